-- What the configuration cannot say of a link without a server. `<alias>.held` holds the servers that a held connection may use.
local side, generation = ...
local generations = "/etc/ambassador/generations/"

-- What a generation says: `alias/server` -> the address that it dials; and its variables.
local function wiring_of(directory)
    local variables, dialled, proxy = {}, {}, nil
    for line in io.lines(directory .. "/links.cfg") do
        local name, value = line:match("^%s*setenv (%S+) (%S+)")
        if name then variables[name] = value end
    end
    for line in io.lines(directory .. "/haproxy.cfg") do
        proxy = line:match("^%l+ (%S+)") or proxy
        local server, variable = line:match('^%s*server (%S+) "%${([%w_]+)_ADDR}')
        if server then dialled[proxy .. "/" .. server] = variables[variable] end
        local prefix, last, name = line:match('^%s*server%-template (%S+) 1%-(%d+) "%${([%w_]+)_ADDR}')
        for number = 1, tonumber(last or 0) do dialled[proxy .. "/" .. prefix .. number] = variables[name] end
    end
    return dialled, variables
end

-- What links.cfg says of the link of a proxy, whose name begins with the alias.
local function setting(variables, name, proxy)
    return variables["AMBASSADOR_" .. name .. "_" .. proxy:match("^[^.]+"):upper():gsub("[^A-Z0-9]", "_")]
end

local own, own_variables = wiring_of(generations .. generation)

-- The proxy of a link, whose servers hold what its `.held` has.
local function proxy_of(held) return core.backends[(held:get_name():gsub("%.held$", ""))] end

-- Of a backend with several containers the addresses are not known at once. How many servers it has never changes.
local begun, counts = core.now().sec, {}
local function several(held)
    local name = held:get_name()
    if not counts[name] then
        counts[name] = 0
        for _ in pairs(held.servers) do counts[name] = counts[name] + 1 end
    end
    return side == "server" and counts[name] > 1
end
local function just_begun(held) return core.now().sec - begun < 2 and several(held) end

-- A server whose name was away, and is known again, is up for HAProxy until a check fails; here it is not before one has passed.
local away = {}
local function was_away(held)
    local servers = proxy_of(held).servers
    for name in pairs(held.servers) do
        if servers[name]:get_stats().status:find("^MAINT") then return true end
    end
    return false
end
local function has_passed(held)
    local servers = proxy_of(held).servers
    for name in pairs(held.servers) do
        local said = servers[name]:get_stats()
        if said.status == "no check" or (said.check_health or 0) >= (said.check_rise or 0) + (said.check_fall or 0) - 1 then return true end
    end
    return false
end

-- Whether a link has a server. Its own proxy knows: what tracks a server in `.held` never hears that it began as down.
local function serves(held)
    if away[held:get_name()] then return false end
    local servers = proxy_of(held).servers
    for name in pairs(held.servers) do
        local status = servers[name]:get_stats().status
        if status:find("^UP") or status == "no check" then return true end
    end
    return false
end

-- A new connection waits for a server; the rule's inspect-delay bounds the time.
core.register_action("wait_for_server", { "tcp-req" }, function(txn)
    local held = core.backends[txn.f:fe_name()]
    while not serves(held) do
        core.msleep(20)
    end
end)

-- A client side asks whether its link works: the backend is told of, by whoever checks it. One that is not checked yet is waited for.
core.register_service("tell_state", "tcp", function(applet)
    local held = core.backends[applet:get_var("sess.link") .. ".held"]
    local servers = proxy_of(held).servers
    while just_begun(held) and not serves(held) do core.msleep(20) end
    for name in pairs(held.servers) do
        while servers[name]:get_stats().check_status == "INI" and not servers[name]:get_stats().status:find("^MAINT") do core.msleep(20) end
    end
    applet:send(serves(held) and "up\n" or "down\n")
end)

if side == "server" then
    -- A port without a backend is shut: client sides are refused at SYN, and turn to another server before anything is lost.
    core.register_task(function()
        local shut, tick = {}, 0
        while true do
            local served = {}
            tick = tick + 1
            for name, held in pairs(core.backends) do
                if name:find("%.held$") then
                    -- these are not tracked, and the others' server sides are only their backup
                    local active = (several(held) and proxy_of(held) or held):get_srv_act()
                    if active > 0 then
                        away[name] = away[name] and not has_passed(held)
                    elseif tick % 2 == 0 then
                        away[name] = away[name] or was_away(held)
                    end
                    for port in setting(own_variables, "PUBLISH", name):gmatch("%d+") do
                        served[port] = served[port] or (active > 0 and not away[name]) or just_begun(held)
                    end
                end
            end
            for port, serving in pairs(served) do
                if serving == (shut[port] or false) then
                    shut[port] = not serving
                    local listener = core.frontends["publish." .. port]
                    if serving then listener:resume() else listener:pause() end
                end
            end
            core.msleep(50)
        end
    end)
else
    -- Old connections leave a dead server for one that lives. Not at once: those still being made are redispatched, not cut.
    core.event_sub({ "SERVER_DOWN" }, function(_, data)
        core.msleep(500)
        local server = data.reference
        if server and core.backends[data.proxy_name]:get_srv_act() > 0 and server:get_stats().status:find("^DOWN") then
            server:shut_sess()
        end
    end)
end

-- After a reload this worker serves on for its old connections; those to what is no target of the link any more are cut in time.
local since = {}

local function drain()
    local _, current = wiring_of("/etc/ambassador/current")
    -- by its name, for `current` may be renamed between two files
    local now, variables = wiring_of(generations .. current.AMBASSADOR_GENERATION)
    -- a renamed host is the same target
    local kept = {}
    for name, address in pairs(now) do kept[name:match("^[^/]+/") .. address] = true end
    for name, address in pairs(own) do
        if kept[name:match("^[^/]+/") .. address] then
            since[name] = nil
        else
            since[name] = since[name] or core.now().sec
            local proxy, server = name:match("^([^/]+)/(.+)$")
            if core.now().sec - since[name] >= tonumber(setting(variables, "DRAIN", proxy) or setting(own_variables, "DRAIN", proxy)) then
                -- of two links with one port another container has the other one
                if core.backends[proxy] then core.backends[proxy].servers[server]:shut_sess() end
            end
        end
    end
end

core.register_task(function()
    while core.get_info().Stopping ~= 1 do core.msleep(500) end
    while true do
        -- what cannot be read now is read again
        pcall(drain)
        core.msleep(500)
    end
end)
