"""The files of a generation: made as Ansible would make them, and named by what they hold."""

import json
import re

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _render as render
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring, ports, resolve_host_backend
from conftest import ROOT
from simulation import ROLE

ADDRESSES = {"vm1": "198.18.0.11", "vm2": "198.18.0.12", "vm3": "2001:db8::13"}
HOSTVARS = {name: {"ambassador_address": address} for name, address in ADDRESSES.items()}
LINKS = {
    "redis": {"port": 6379, "servers": "vm1:vm3", "clients": "vm1:vm2", "backend": "redis_server:6379", "check": "redis"},
    "my-queue": {"port": 5672, "servers": "vm1", "clients": "vm2", "backend": "queue.test:5672", "check": "none", "drain": 0},
}
KERNEL = {
    "dns": {"port": 53, "servers": "vm1", "clients": "vm2", "backend": "dns:53", "protocol": "udp"},
    "pg": {"port": 5432, "servers": "vm1:vm3", "clients": "vm2", "backend": "postgres:5432", "balance": "roundrobin"},
}
LISTED = {"admitted.lst": None, "clients.lst": None}
REVOKED = [{"serial": 0xABC, "since": "20261124120000Z"}, {"serial": 0x1234, "since": "20261125120000Z"}]


def variables(side="client", engine="haproxy", tls=False, ipv6=True, map_=None, **changes):
    """Return what the templates read."""
    host = {"server": "vm1", "client": "vm2"}[side]
    links = map_ or (KERNEL if engine == "nftables" else LINKS)
    wiring = Wiring(links, lambda pattern: pattern.split(":"), engine, ipv6, tls).side(host, side, HOSTVARS)
    assert wiring["problems"] == []
    # a program on the host listens on its loopback here
    wiring = resolve_host_backend(wiring, "127.0.0.1")
    told = {"ansible_managed": "Ansible managed", "side": side, "links": wiring["links"], "variables": wiring["variables"]}
    told |= {"connections": 8000, "sources": wiring["sources"]}
    told |= {"gateways": ["198.19.0.1"], "image_id": "sha256:aa", "tls": tls, "ipv6": ipv6, "revoked": [], "crl": False}
    told |= {"metrics": False, "not_after": None, "subnets": ["198.19.0.0/24", "2001:db8:1::/64"]}
    return {**told, "ports": ports(told["links"]), **changes}


def generation(engine="haproxy", more=None, **changes):
    return render.generation(engine, ROLE, variables(engine=engine, **changes), more or {})


# -- its ports, while one is left ------------------------------------------------------------------------------------


def left(engine):
    """Return a generation of a server side whose first link is served on a port that it leaves, too."""
    told = variables("server", engine, tls=False)
    first, *others = told["links"]
    return render.generation(engine, ROLE, {**told, "links": [{**first, "also": [7000]}, *others]}, {"admitted.lst": None})["files"]


def test_haproxy_serves_a_link_on_the_port_that_it_leaves_too():
    files = left("haproxy")
    assert "bind :::6379 v4v6\n" in files["haproxy.cfg"]
    frontend = files["haproxy.cfg"].partition("frontend publish.7000\n")[2].partition("\nfrontend ")[0]
    assert "bind :::7000 v4v6\n" in frontend
    assert "set-var(sess.link) str(redis)\n" in frontend
    assert files["haproxy.cfg"].count("\nbackend redis\n") == 1
    assert "setenv AMBASSADOR_PUBLISH_REDIS 6379,7000\n" in files["links.cfg"]


def test_the_kernel_serves_a_link_on_the_port_that_it_leaves_too():
    files = left("nftables")
    rules = [line.strip() for line in files["ambassador.nft"].splitlines() if 'comment "dns dns"' in line]
    assert [rule.partition("dport ")[2].partition(" ")[0] for rule in rules if "ipv4" in rule] == ["53", "7000"]
    assert "define AMBASSADOR_DRAIN_DNS = 10\n" in files["links.nft"]


# -- its times ------------------------------------------------------------------------------------------------------


def part(config, head):
    """Return the lines of a section of haproxy.cfg."""
    return [line.strip() for line in config.partition(f"\n{head}\n")[2].partition("\n\n")[0].splitlines()]


def timed(side, tls=True, **changes):
    """Return haproxy.cfg of links of one server and of several, with what was asked for."""
    links = {"one": {"port": 1, "servers": "vm1", "clients": "vm2", "backend": "one:1", **changes}}
    links["two"] = {**links["one"], "port": 2, "servers": "vm1:vm3"}
    hostvars = {**HOSTVARS, "vm3": {"ambassador_address": "198.18.0.13"}}
    host = {"server": "vm1", "client": "vm2"}[side]
    wiring = Wiring(links, lambda pattern: pattern.split(":"), "haproxy", False, tls).side(host, side, hostvars)
    assert wiring["problems"] == []
    told = variables(side, tls=tls, links=wiring["links"], ports=ports(wiring["links"]))
    return render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"]


def test_who_has_nobody_else_to_turn_to_waits_longer():
    config = timed("client")
    assert {"timeout connect 3000ms", "timeout check 3000ms"} <= set(part(config, "listen one"))
    assert [line for line in part(config, "listen two") if line.startswith("timeout")] == []
    config = timed("server")
    assert [line for line in part(config, "backend one") if line.startswith("timeout")] == [
        "timeout check 3000ms",
        "timeout connect 1200ms",
    ]
    assert [line for line in part(config, "backend two") if line.startswith("timeout")] == []


def test_what_was_asked_for_is_the_time_of_a_connection_and_of_a_check():
    config = timed("client", connect=1.5, check_interval=5)
    for alias in ("one", "two"):
        assert {"timeout connect 1500ms", "timeout check 1500ms"} <= set(part(config, f"listen {alias}"))
        servers = [line for line in part(config, f"listen {alias}") if line.startswith("server vm")]
        assert all(line.endswith(" inter 5000ms downinter 5000ms") for line in servers), servers
    config = timed("server", connect=1.5, check_interval=5)
    # its own backend is on this host, and may be slow as any other
    assert [line for line in part(config, "backend two") if line.startswith("timeout")] == ["timeout check 1500ms"]
    assert any(line.startswith("server one ") and line.endswith(" inter 5000ms downinter 5000ms") for line in part(config, "backend one"))
    assert {"timeout connect 1500ms", "timeout check 1500ms"} <= set(part(config, "backend two.peers"))


def defaults(config, head):
    """Return the defaults that a section gives its servers; they precede the servers."""
    lines = part(config, head)
    found = [number for number, line in enumerate(lines) if line.startswith("default-server ")]
    assert all(number < min(n for n, line in enumerate(lines) if line.startswith("server ")) for number in found)
    return [lines[number] for number in found]


def test_traffic_errors_never_mark_a_single_server_down():
    for side, kind in (("client", "listen"), ("server", "backend")):
        config = timed(side)
        (single,) = defaults(config, f"{kind} one")
        assert single.startswith("default-server observe layer4 error-limit 1 on-error fastinter")
        assert defaults(config, f"{kind} two") == ["default-server observe layer4 error-limit 2 on-error mark-down"]
        # the servers of held connections follow these
        assert defaults(config, "listen one.held") == defaults(config, "listen two.held") == []
        assert "observe" not in config.partition("\ndefaults\n")[2].partition("\n\n")[0]
        assert "observe" not in timed(side, check="none")


def test_a_single_backend_with_a_full_accept_queue_is_tried_again():
    config = timed("server")
    (single,) = defaults(config, "backend one")
    assert single.endswith(" inter 1200ms fall 3")
    for head in ("backend one", "listen one.held"):
        # the kernel repeats a SYN after 1 s
        assert {"timeout connect 1200ms", "retries 6"} <= set(part(config, head))
        # until `wait` is over
        assert "retries 60" in part(timed("server", wait=60), head)
    assert "retries 8" in part(timed("server", wait=60), "backend two")


def test_a_link_s_own_proxy_on_a_server_side_checks_its_own_backend_alone():
    for tls in (True, False):
        config = timed("server", tls=tls, check="redis")
        servers = [line.split() for line in part(config, "backend two") if line.startswith("server ")]
        assert [(line[1], "check" in line, "track" in line) for line in servers] == [
            ("one", True, False),
            ("vm3", False, True),
            (".held", False, False),
        ]
        (peer,) = [line.split() for line in part(config, "backend two.peers") if line.startswith("server ")]
        assert "check" in peer
        asked = "tcp-check expect string up" if tls else "tcp-check send ROLE\\r\\n"
        assert asked in part(config, "backend two.peers")


def test_no_line_has_more_words_than_haproxy_takes():
    # a scaled service of many containers, which other hosts serve as well
    hostvars = {**HOSTVARS, "vm3": {"ambassador_address": "198.18.0.13"}}
    links = {"api": {"port": 1, "servers": "vm1:vm3", "clients": "vm2", "backend": "api:1"}}
    wiring = Wiring(links, lambda pattern: pattern.split(":"), "haproxy", False, True).side("vm1", "server", hostvars)
    (link,) = wiring["links"]
    told = variables("server", tls=True, links=[{**link, "replicas": 40}], ports=ports(wiring["links"]))
    config = render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"]
    assert config.count("acl own_is_up srv_is_up(api/api.replica") == 40
    # MAX_LINE_ARGS of HAProxy
    assert max(len(line.split()) for line in config.splitlines() if not line.strip().startswith("#")) <= 64


def test_a_dead_path_ends_idle_connections_within_15_seconds():
    for side in ("client", "server"):
        config = timed(side)
        # the kernel ends busy ones: tcp-ut would cut a live peer that reads nothing
        assert "tcp-ut" not in config
        for prefix in ("clitcpka", "srvtcpka"):
            idle, interval, count = (int(re.search(f"{prefix}-{key} ([0-9]+)", config)[1]) for key in ("idle", "intvl", "cnt"))
            assert idle + interval * count < 15


# -- who is calling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [True, False])
def test_what_a_consumer_says_goes_on_with_its_address_in_front(tls):
    config = timed("client", tls, send_proxy=True)
    consumers, link = part(config, "listen one.consumers"), part(config, "listen one")
    # it is opened where consumers dial, in the container that has the names, and nothing else is
    assert consumers[1:6] == [".if defined(AMBASSADOR_LOCAL)", "bind abns@one.shut", ".else", "bind :::1 v4v6", ".endif"]
    assert consumers[6:] == ["server .proxied abns@one.proxied send-proxy-v2"]
    assert [line for line in link if "bind " in line] == ["bind abns@one.proxied"]
    # over TLS it travels inside, so that no server is told in front of it
    assert config.count("send-proxy") == 2
    told = [line for line in timed("server", tls, send_proxy=True).splitlines() if "send-proxy" in line]
    assert len(told) == 2
    assert all(line.strip().startswith("server one ") and line.endswith(" check-send-proxy check") for line in told)
    assert "proxied" not in timed("client", tls)
    assert "send-proxy" not in timed("server", tls)


# -- its checks -----------------------------------------------------------------------------------------------------


CLEANLY = ["option tcp-check", "tcp-check connect default linger"]
REDIS_SERVES = "tcp-check expect min-recv 7 ! rstring '^-(LOADING|MASTERDOWN)'"
HANDSHAKE = f"4200000101820800000000012100{22 * '00'}{b'ambassador'.hex().upper()}0000{b'mysql_native_password'.hex().upper()}00"
GREETING = "^......00(0A(..)*00(..){18}.([0-7]..(..){23}00|[89A-F]..(..){23}00(..)+00)$|FF....)"
# method of the switch -> reply: a signature of client_ed25519, otherwise an empty password
SWITCH = f"regsub(^FE{b'client_ed25519'.hex().upper()}.*,40000003{64 * '00'}),regsub(^FE.*,00000003)"


@pytest.mark.parametrize(
    ("check", "lines"),
    [
        ("tcp", []),
        (
            "postgresql",
            [
                *CLEANLY,
                f"tcp-check send-binary 0000002B00030000{b'user|ambassador|database|postgres||'.replace(b'|', bytes(1)).hex().upper()}",
                "tcp-check expect rbinary '^(520000|450000.*0043(..){5}00)'",
                "tcp-check expect min-recv 3 ! rbinary '^45.*0043353750303[123]00'",
            ],
        ),
        (
            "mysql",
            [
                *CLEANLY,
                f"tcp-check expect rbinary '{GREETING}'",
                "tcp-check expect min-recv 5 ! rbinary '^......00FF1D04'",
                "tcp-check set-var(check.greeting) res.payload(4,1),hex",
                f"tcp-check send-binary-lf '%[var(check.greeting),regsub(^FF$,),regsub(^0A$,{HANDSHAKE})]'",
                "tcp-check expect rbinary '^(......0[1-9](00|01|FE|FF....)|$)'",
                "tcp-check expect min-recv 0 ! rbinary '^......0[1-9]FF1D04'",
                "tcp-check set-var(check.reply) res.payload(4,0),hex",
                f"tcp-check send-binary-lf '%[var(check.reply,FF),regsub(^[0F][01F].*,0100000001),{SWITCH}]'",
            ],
        ),
        ("http", ["option httpchk", "http-check send meth GET uri / ver HTTP/1.1 hdr Host localhost", "http-check expect status 100-499"]),
        (
            "smtp",
            [
                *CLEANLY,
                "tcp-check expect rstring '^(220-[^[:cntrl:]]*[[:cntrl:]]+)*220( [^[:cntrl:]]*)?[[:cntrl:]]{2}'",
                "tcp-check send QUIT\\r\\n",
                "tcp-check expect rstring '^[0-9]'",
            ],
        ),
        (
            "redis",
            [
                "option tcp-check",
                "tcp-check connect default",
                "tcp-check send PING\\r\\n",
                "tcp-check expect rstring '^(\\+PONG|-[^[:cntrl:]]*)[[:cntrl:]]{2}'",
                REDIS_SERVES,
                "tcp-check send ROLE\\r\\n",
                "tcp-check expect min-recv 23 rstring '^(-|\\*[0-9]+[^$]+\\$(6[^a-z]+master|14[^a-z]+active-replica))'",
                REDIS_SERVES,
            ],
        ),
    ],
)
def test_a_check_uses_the_protocol_of_the_service(check, lines):
    for side, head in (("server", "backend one"), ("client", "listen one")):
        assert check_rules(timed(side, tls=False, check=check), head) == lines


def check_rules(config, head):
    """Return the lines of a section that define its check."""
    found = [line for line in part(config, head) if re.search("check|chk", line)]
    return [line for line in found if not line.startswith(("server ", "timeout "))]


EXPECT = re.compile(r"tcp-check expect (?:min-recv (\d+) )?(! )?(rstring|rbinary) '(.*)'")


def is_up(rules, replies, step):
    """Return whether a check accepts the replies, which arrive in pieces of `step` bytes, as HAProxy's tcpcheck_main decides."""
    replies = [reply.encode("latin-1") for reply in replies]
    received, pending, chain = b"", b"" if rules[2].startswith("tcp-check send") else replies.pop(0), []
    for rule in [*rules, "end"]:
        match = EXPECT.fullmatch(rule)
        if match:
            chain.append(match.groups())
            continue
        while chain:
            decisions = (decide(received, *expected, is_closed=not pending) for expected in chain)
            decision = next((decision for decision in decisions if decision is not True), True)
            if decision is False:
                return False
            if decision:
                chain = []
            else:
                received, pending = received + pending[:step], pending[step:]
        if rule.startswith("tcp-check send"):
            received, pending = b"", pending + (replies.pop(0) if replies else b"")
    return True


def decide(received, min_recv, inverse, kind, pattern, is_closed):
    """Return whether received bytes fulfill a rule; None if it waits for more."""
    if not is_closed and (not received or len(received) < int(min_recv or 0)):
        return None
    text = received.hex().upper() if kind == "rbinary" else received.decode("latin-1")
    found = bool(re.search(pattern.replace("[:cntrl:]", r"\x00-\x1f\x7f"), text))
    if not found and not is_closed and min_recv is None:
        return None
    return found != bool(inverse)


@pytest.mark.parametrize("check", ["redis", "postgresql", "mysql", "smtp"])
def test_a_check_decides_each_recorded_reply(check):
    rules = check_rules(timed("server", tls=False, check=check), "backend one")
    for reply in json.loads((ROOT / "tests/unit/answers/checks.json").read_text()):
        if reply["check"] == check:
            assert is_up(rules, reply["bytes"], 1 << 16) == reply["up"], reply
            # MySQL sends an error that replaces its greeting at once
            if check != "mysql" or len(reply["bytes"]) > 1:
                assert is_up(rules, reply["bytes"], 1) == reply["up"], reply


# -- the choice of a server -----------------------------------------------------------------------------------------


def test_haproxy_keeps_a_consumer_address_on_one_server_with_source():
    for section in ("listen two", "listen two.held"):
        lines = part(timed("client", balance="source"), section)
        assert lines[lines.index("balance source") + 1] == "hash-type consistent"
    assert "hash-type" not in timed("client", balance="roundrobin")
    # the one backend of a server side comes before its peers
    assert "balance first" in part(timed("server", balance="source"), "backend two")


def test_haproxy_keeps_a_client_host_on_one_replica_of_a_backend_with_source():
    links = {"pg": {"port": 1, "servers": "vm1", "clients": "vm2", "backend": "pg:1", "balance": "source"}}
    wiring = Wiring(links, lambda pattern: pattern.split(":"), "haproxy", False, True).side("vm1", "server", HOSTVARS)
    told = variables("server", tls=True, links=[{**wiring["links"][0], "replicas": 2}], ports=ports(wiring["links"]))
    assert {"balance source", "hash-type consistent"} <= set(
        part(render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"], "backend pg")
    )


def test_the_kernel_keeps_a_consumer_address_on_one_server_with_source():
    links = {"pg": {**KERNEL["pg"], "servers": "vm1:vm3:vm4", "balance": "source"}}
    hostvars = {**HOSTVARS, "vm4": {"ambassador_address": "198.18.0.14"}, "vm3": {"ambassador_address": "198.18.0.13"}}
    wiring = Wiring(links, lambda pattern: pattern.split(":"), "nftables", True, False).side("vm2", "client", hostvars)
    assert wiring["problems"] == []
    told = variables("client", "nftables", links=wiring["links"], variables=wiring["variables"])
    rules = render.generation("nftables", ROLE, told, {})["files"]["ambassador.nft"].splitlines()
    shares = [re.sub(".*== syn |counter.*", "", rule.strip()) for rule in rules if 'comment "pg ' in rule and "ipv4" in rule]
    assert shares == ["jhash ip saddr mod 3 seed 0x1 == 0 ", "jhash ip saddr mod 3 seed 0x1 == 1 ", ""]


# -- its addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [True, False])
def test_each_address_of_a_name_is_a_server(tls):
    links = {"db": {"port": 1, "servers": "vm1", "clients": "vm2", "backend": "db:1"}}
    hostvars = {**HOSTVARS, "vm1": {"ambassador_address": "db.example.test"}}
    wiring = Wiring(links, lambda pattern: pattern.split(":"), "haproxy", False, tls).side("vm2", "client", hostvars)
    assert wiring["problems"] == []
    config = render.generation("haproxy", ROLE, variables("client", tls=tls, links=wiring["links"], nameservers=[]), {})["files"][
        "haproxy.cfg"
    ]
    servers = [line.split() for line in part(config, "listen db") if line.startswith("server vm1")]
    held = [line.split() for line in part(config, "listen db.held") if line.startswith("server vm1")]
    names = [f"vm1.replica{number}" for number in range(1, 5)]
    assert [line[1] for line in servers] == [line[1] for line in held] == names
    assert all(line[2:6] == ['"${DB_PORT_1_TCP_ADDR}:${DB_PORT_1_TCP_PORT}"', "resolvers", "hosts", "init-addr"] for line in servers + held)
    assert [line[-2:] for line in held] == [["track", f"db/{name}"] for name in names]
    # most names have one address, and a slow path to it
    assert {"timeout connect 3000ms", "retries 6"} <= set(part(config, "listen db"))


# -- its limits -----------------------------------------------------------------------------------------------------


def test_haproxy_takes_as_many_connections_as_there_is_memory_for_and_one_link_not_all_of_them():
    config = timed("client")
    assert "    fd-hard-limit 16216\n" in config
    for alias in ("one", "two"):
        assert 'tcp-request content set-var(sess.refused) str("more than 6000 connections") if { fe_conn gt 6000 }' in part(
            config, f"listen {alias}"
        )
    assert "be_conn" not in config
    config = timed("server")
    assert 'tcp-request content set-var(sess.refused) str("more than 6000 connections") if { be_conn gt 6000 }' in part(
        config, "backend one"
    )
    config = timed("client", max_connections=7)
    assert 'tcp-request content set-var(sess.refused) str("more than 7 connections") if { fe_conn gt 7 }' in part(config, "listen one")


def test_a_link_that_is_alone_may_have_all_connections():
    links = {"one": {"port": 1, "servers": "vm1", "clients": "vm2", "backend": "one:1"}}
    for side, host in (("server", "vm1"), ("client", "vm2")):
        wiring = Wiring(links, lambda pattern: pattern.split(":"), "haproxy", False, True).side(host, side, HOSTVARS)
        told = variables(side, tls=True, links=wiring["links"], ports=ports(wiring["links"]))
        assert "more than" not in render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"]


def test_a_link_has_no_more_connections_than_source_ports():
    links = {"one": {"port": 1, "servers": "vm1", "clients": "vm2", "backend": "one:1"}}
    shared = {"port": 1, "servers": "vm1:vm3", "clients": "vm2", "backend": "one:1"}
    hostvars = {**HOSTVARS, "vm3": {"ambassador_address": "198.18.0.13"}}
    spread = {"one": {**shared, "balance": "roundrobin"}}
    for side, host, map_, most in (
        ("server", "vm1", links, 45000),
        ("client", "vm2", links, 45000),
        ("client", "vm2", {"one": shared}, 45000),
        ("client", "vm2", spread, 90000),
    ):
        wiring = Wiring(map_, lambda pattern: pattern.split(":"), "haproxy", False, True).side(host, side, hostvars)
        told = variables(side, tls=True, links=wiring["links"], ports=ports(wiring["links"]), connections=200000)
        assert f'str("more than {most} connections")' in render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"]


# -- its name -----------------------------------------------------------------------------------------------------


def test_the_name_says_the_content_and_stands_in_it():
    one, again = generation(), generation()
    assert one == again
    assert len(one["name"]) == 12
    assert f"setenv AMBASSADOR_GENERATION {one['name']}\n" in one["files"]["links.cfg"]
    assert f"lua-load /etc/ambassador/generations/{one['name']}/links.lua client {one['name']}\n" in one["files"]["haproxy.cfg"]
    assert not [name for name, content in one["files"].items() if render.NAME in content]
    assert f'comment "{generation("nftables")["name"]}"' in generation("nftables")["files"]["ambassador.nft"]


@pytest.mark.parametrize(
    "changes",
    [{"image_id": "sha256:bb"}, {"ansible_managed": "Somebody else's"}, {"tls": True}, {"ipv6": False}, {"side": "server"}],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_changes_the_name_does(changes):
    if changes == {"ipv6": False}:
        one, other = (render.generation("haproxy", ROLE, {**variables(), "ipv6": ipv6}, {}) for ipv6 in (True, False))
    else:
        one, other = generation(), generation(**changes)
    assert one["name"] != other["name"]


def test_a_further_file_is_part_of_it_as_it_is_and_one_that_is_none_is_made_from_its_template():
    more = {"cert.pem": "a certificate of @generation@ {{ nothing }}\n", "admitted.lst": None}
    one = generation(more=more, side="server")
    assert one["files"]["cert.pem"] == f"a certificate of {one['name']} {{{{ nothing }}}}\n"
    assert "redis/198.18.0.12\n" in one["files"]["admitted.lst"]
    assert one["name"] != generation(more={**more, "cert.pem": "another\n"}, side="server")["name"] != generation(side="server")["name"]


def test_an_engine_has_its_files():
    assert list(generation()["files"]) == ["links.cfg", "haproxy.cfg", "links.lua"]
    assert list(generation("nftables")["files"]) == ["links.nft", "ambassador.nft"]
    script = (ROOT / "roles/ambassador_engine/files/links.lua").read_text()
    assert generation()["files"]["links.lua"] == script.rstrip()


def test_what_a_template_reads_and_is_not_told_is_an_error():
    told = variables()
    del told["image_id"]
    with pytest.raises(Exception, match="'image_id' is undefined"):
        render.generation("haproxy", ROLE, told, {})


# -- its content --------------------------------------------------------------------------------------------------


def test_a_client_side_dials_what_its_variables_say_and_checks_what_can_be_checked():
    files = generation()["files"]
    assert "setenv REDIS_1_PORT_6379_TCP_ADDR 198.18.0.11\n" in files["links.cfg"]
    assert "setenv REDIS_2_PORT_6379_TCP_ADDR 2001:db8::13\n" in files["links.cfg"]
    assert "setenv AMBASSADOR_DRAIN_MY_QUEUE 0\n" in files["links.cfg"]
    lines = [line.strip() for line in files["haproxy.cfg"].splitlines()]
    assert 'server vm1 "${REDIS_1_PORT_6379_TCP_ADDR}:${REDIS_1_PORT_6379_TCP_PORT}" check init-state down' in lines
    assert 'server vm1 "${MY_QUEUE_PORT_5672_TCP_ADDR}:${MY_QUEUE_PORT_5672_TCP_PORT}"' in lines
    assert "bind :::6379 v4v6" in lines
    assert "# Tested with the image sha256:aa" in lines


def test_over_tls_each_name_is_verified():
    config = generation(tls=True)["files"]["haproxy.cfg"]
    assert "verify required verifyhost vm1 alpn redis check-alpn redis.check check" in config
    assert "ssl-min-ver TLSv1.3" in config
    assert "crl-file" not in config
    assert "crl-file /etc/ambassador/generations/" in generation(tls=True, crl=True)["files"]["haproxy.cfg"]


def test_addresses_of_clients_are_listed_once():
    found = generation(
        side="server", tls=True, sources={"vm2": ["198.18.0.12", "2001:db8::12"], "vm3": ["198.18.0.12"], "vm4": []}, more=LISTED
    )
    assert [line for line in found["files"]["clients.lst"].splitlines() if not line.startswith("#")] == ["198.18.0.12", "2001:db8::12"]


def test_address_of_the_host_is_no_known_client():
    """Connections from other hosts can arrive from it, through Docker's proxy."""
    config = generation(side="server", tls=True)["files"]["haproxy.cfg"]
    assert "acl is_host src 198.19.0.1\n" in config
    assert config.count("bool(true) if is_neighbor !is_host\n") == 2
    assert "is_host" not in generation(side="server", tls=True, gateways=[])["files"]["haproxy.cfg"]
    assert "is_neighbor" not in generation(side="server", tls=True, subnets=[])["files"]["haproxy.cfg"]


def test_handshake_ends_after_the_time_that_client_sides_wait():
    assert timed("server").count("    timeout client-hs 5000ms\n") == 2
    for connect, milliseconds in ((1.5, 5000), (8, 8000), (60, 10000)):
        assert f"    timeout client-hs {milliseconds}ms\n" in timed("server", connect=connect)
    assert "client-hs" not in timed("server", tls=False) + timed("client")


def test_addresses_with_an_embedded_ipv4_address_are_no_known_clients():
    """HAProxy compares the IPv4 address inside a 6to4 or IPv4-compatible address with the IPv4 addresses of a list."""
    config = generation(side="server", tls=True)["files"]["haproxy.cfg"]
    assert config.count("track-sc1 str(::) table ambassador.sources if !is_client or is_embedded_ipv4 !is_loopback\n") == 2
    plain = generation(side="server")["files"]["haproxy.cfg"]
    links = [{**link, "sources": ["198.19.0.0/24"]} for link in variables()["links"]]
    for config in (plain, generation(links=links)["files"]["haproxy.cfg"]):
        assert config.count("acl is_embedded_ipv4 src 2002::/16 ::/96\n") == 2
        assert config.count("tcp-request connection reject if is_embedded_ipv4 !is_loopback\n") == 2


def test_one_of_several_client_hosts_does_not_take_all_connections():
    limit = "    tcp-request connection reject if { sc0_conn_cur gt 7000 }\n"
    for tls in (True, False):
        assert generation(side="server", tls=tls)["files"]["haproxy.cfg"].count(limit) == 2
        assert limit not in generation(side="server", tls=tls, map_={"redis": {**LINKS["redis"], "clients": "vm2"}})["files"]["haproxy.cfg"]


def test_who_may_connect_is_told_link_by_link_and_the_host_itself_by_its_gateways():
    admitted = generation(more={"admitted.lst": None}, side="server")["files"]["admitted.lst"].splitlines()
    assert [line for line in admitted if not line.startswith("#")] == [
        *("redis/198.18.0.11", "redis/::ffff:198.18.0.11", "redis/198.18.0.12", "redis/::ffff:198.18.0.12", "redis/2001:db8::13"),
        *("redis/198.19.0.1", "redis/::ffff:198.19.0.1"),
        *("my-queue/198.18.0.12", "my-queue/::ffff:198.18.0.12"),
    ]
    named = generation(more={"admitted.lst": None}, side="server", tls=True)["files"]["admitted.lst"].splitlines()
    assert [line for line in named if not line.startswith("#")] == ["redis/vm1", "redis/vm2", "redis/vm3", "my-queue/vm2"]


def test_network_of_the_ambassadors_may_connect_only_to_links_that_the_host_consumes():
    config = generation(side="server")["files"]["haproxy.cfg"]
    refused = [line.partition("admitted.lst }")[2] for line in config.splitlines() if "not a client of the link" in line]
    assert refused == ["", " !{ src 198.19.0.0/24 2001:db8:1::/64 }"]
    assert "{ src " not in generation(side="server", tls=True)["files"]["haproxy.cfg"]
    # the addresses of a network are unknown until a run creates it
    assert "{ src " not in generation(side="server", subnets=[])["files"]["haproxy.cfg"]


def test_haproxy_asks_docker_for_a_server_side_on_the_same_host():
    told = variables()
    told["links"][0]["targets"][0].update(address="ambassador_server", on_this_host=True)
    config = render.generation("haproxy", ROLE, told, {})["files"]["haproxy.cfg"]
    lines = [line for line in config.splitlines() if "server vm1 " in line and "REDIS" in line]
    assert lines
    assert all(" resolvers docker init-addr libc,none " in line for line in lines)
    assert not any("resolvers" in line for line in config.splitlines() if "server vm3 " in line)


def test_a_revoked_certificate_is_told_as_haproxy_writes_its_number():
    listed = generation(more={"revoked.lst": None}, tls=True, crl=True, revoked=REVOKED)["files"]["revoked.lst"]
    assert listed.splitlines()[-2:] == ["0ABC 20261124120000Z", "1234 20261125120000Z"]


def test_the_kernel_shares_connections_out_family_by_family():
    files = generation("nftables")["files"]
    assert "define PG_1_PORT_5432_TCP_ADDR = 198.18.0.11\n" in files["links.nft"]
    assert "define DNS_PORT_53_UDP_ADDR = 198.18.0.11\n" in files["links.nft"]
    rules = [line.strip() for line in files["ambassador.nft"].splitlines() if "dport 5432" in line]
    assert [rule.split(" counter dnat ")[1] for rule in rules] == [
        'ip to $PG_1_PORT_5432_TCP_ADDR:$PG_1_PORT_5432_TCP_PORT comment "pg vm1"',
        'ip6 to $PG_2_PORT_5432_TCP_ADDR:$PG_2_PORT_5432_TCP_PORT comment "pg vm3"',
    ]
    server = generation("nftables", side="server")["files"]
    assert 'define DNS_PORT_53_UDP_ADDR = "dns"\n' in server["links.nft"]
    # the backend alone, in both families that its name can stand for
    assert server["ambassador.nft"].count('comment "pg postgres"') == 2
    assert 'comment "pg vm3"' not in server["ambassador.nft"]


def test_template_of_haproxy_only_prints_sections():
    template = (ROOT / "roles/ambassador_engine/templates/haproxy.cfg.j2").read_text()
    assert len(template.splitlines()) < 30
    assert "{% set" not in template
    assert "{% macro" not in template


# -- as Ansible renders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "engine", "side", "tls"),
    [
        (template, engine, side, tls)
        for engine, templates in (
            ("haproxy", ("links.cfg.j2", "haproxy.cfg.j2", "admitted.lst.j2", "revoked.lst.j2")),
            ("nftables", ("links.nft.j2", "ambassador.nft.j2")),
        )
        for template in templates
        for side in (("server",) if template == "admitted.lst.j2" else ("server", "client"))
        for tls in ((False, True) if engine == "haproxy" else (False,))
    ],
)
def test_a_template_is_rendered_as_ansible_renders_it(template, engine, side, tls):
    told = render.template_variables(engine, variables(engine=engine, side=side, tls=tls, crl=tls, revoked=REVOKED))
    loader = DataLoader()
    ansible = lookup_loader.get("ansible.builtin.template", loader=loader, templar=Templar(loader, told))
    (theirs,) = ansible.run([f"{ROLE}/templates/{template}"], told)
    assert render.environment(f"{ROLE}/templates").get_template(template).render(told) == theirs


def test_every_error_of_a_certificate_that_a_handshake_ignores_is_refused_afterwards():
    crl = {"crl": True, "revoked": REVOKED}
    config = generation(side="server", tls=True, more={"admitted.lst": None, "revoked.lst": None}, **crl)["files"]["haproxy.cfg"]
    # OpenSSL's x509_vfy.h
    codes = {"CERT_NOT_YET_VALID": 9, "CERT_HAS_EXPIRED": 10, "CERT_REVOKED": 23}
    frontends = config.split("\nfrontend publish.")[1:]
    assert frontends
    for frontend in frontends:
        ignored = re.search("crt-ignore-err (\\S+)", frontend)[1].split(",")
        refused = {int(code) for code in re.findall(r"set-var-fmt\(sess\.refused\) .* if { ssl_c_verify (\d+) }", frontend)}
        assert refused == {codes[name.replace("X509_V_ERR_", "")] for name in ignored}


# -- its metrics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["server", "client"])
def test_what_runs_tells_its_generation_and_when_its_certificate_ends(side):
    more = {"admitted.lst": None} if side == "server" else {}
    found = generation(side=side, tls=True, metrics=True, not_after=2000000000.0, more=more)
    told = f'"ambassador_generation_info{{generation=\\"{found["name"]}\\"}} 1\\nambassador_certificate_not_after_seconds 2000000000\\n"'
    assert f"string {told} if {{ path /generation }}" in found["files"]["haproxy.cfg"]
    plain = generation(side=side, metrics=True, more=more)["files"]["haproxy.cfg"]
    assert "ambassador_generation_info" in plain
    assert "ambassador_certificate" not in plain
    assert "metrics" not in generation(side=side, more=more)["files"]["haproxy.cfg"]
