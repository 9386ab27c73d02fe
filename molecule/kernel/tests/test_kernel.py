"""The kernel carries TCP and UDP; links are re-pointed, followed, refused and brought back under the eyes of a consumer."""

import json
import re
import time

import pytest
from conftest import ROOT, inspect, lab_image, until

PORT = 7007
SCRIPT = (ROOT / "molecule" / "resources" / "echo.py").read_text()
REDIS = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}
# on the port of another one
ANOTHER = {"port": PORT, "publish": PORT + 2, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}
ADDRESSES = {"vm1": "198.18.0.11", "vm2": "198.18.0.12"}
SIDE = "/var/lib/ambassador/client"


@pytest.fixture(scope="module")
def run(playbook):
    """Runs a playbook with this engine, and with the link of Redis and two more: TCP and UDP on one port; and a third, of `either`."""

    def with_links(name="site.yml", to="vm1", either=None, **changes):
        # both hosts serve them all the time: where a link leads to is what is tested here
        echo = {"port": PORT, "servers": "vm1:vm2", "clients": "vm2", "backend": f"echo_server:{PORT}", "drain": 3}
        echo |= changes or {"targets": [f"{ADDRESSES[to]}:{PORT}"]}
        links = {"redis": REDIS, "echo": echo, "datagrams": {**echo, "protocol": "udp"}, "another": ANOTHER}
        if either:
            links["either"] = {"port": PORT + 1, "servers": "vm1", "clients": "vm2", "backend": f"echo_server:{PORT}", "protocol": either}
        extra = json.dumps({"ambassador_engine": "nftables", "ambassador_tls": False, "ambassador_links": links})
        return playbook(name, "-e", extra)

    return with_links


def serve(host, name, registry):
    host.check_output(
        "docker rm -f echo_server; docker run -d --name echo_server --network ambassador %s python3 -uc %s serve %s", registry, SCRIPT, name
    )


@pytest.fixture(scope="module")
def echoes(hosts, vm2, run):
    """Both hosts have a backend; vm1 serves it."""
    registry = lab_image(vm2)
    for name, host in hosts.items():
        serve(host, name, registry)
    done = run()
    assert done.returncode == 0, done.stdout
    yield registry
    for host in hosts.values():
        host.check_output("docker rm -f echo_server consumer prober taker")


@pytest.fixture
def consumer(vm2, echoes):
    """Starts a consumer on vm2; called, it ends it and returns what it saw."""
    vm2.check_output("docker rm -f consumer; docker run -d --name consumer --network ambassador %s python3 -uc %s consume", echoes, SCRIPT)

    def stop():
        vm2.check_output("docker stop -t 20 consumer")
        seen = json.loads(vm2.check_output("docker logs consumer"))
        vm2.check_output("docker rm -f consumer")
        return seen

    return stop


def ask(host, registry, protocol="tcp", count=1, either=False, alias=None):
    """Return who answers new connections on a link, or new sockets of UDP."""
    name, kind = ("echo", "STREAM") if protocol == "tcp" else ("datagrams", "DGRAM")
    alias, port = ("either", PORT + 1) if either else (alias or name, PORT)
    words = (
        f"import socket\nfor _ in range({count}):\n  link = socket.socket(type=socket.SOCK_{kind}); link.settimeout(2)\n"
        f"  link.connect(('{alias}', {port})); link.sendall(b'hello\\n'); print(link.recv(99).split()[0].decode()); link.close()"
    )
    said = host.run("docker run --rm --network ambassador %s python3 -c %s", registry, words)
    return said.stdout.split() or [said.stderr.strip().splitlines()[-1]]


def switched(seen):
    """Return the time of the first answer of vm2, after which vm1 gives none."""
    names = [name for _, name in seen]
    first = names.index("vm2")
    assert set(names[:first]) == {"vm1"}
    assert set(names[first:]) == {"vm2"}
    return seen[first][0]


def test_tcp_and_udp_are_answered_on_one_port(vm1, vm2, echoes):
    assert (ask(vm2, echoes), ask(vm2, echoes, "udp")) == (["vm1"], ["vm1"])
    # beside the one that Redis' link lives in
    assert set(inspect(vm1, "ambassador_server_2")["HostConfig"]["PortBindings"]) == {f"{PORT}/tcp", f"{PORT}/udp", f"{PORT + 2}/tcp"}
    assert set(inspect(vm1, "ambassador_server")["HostConfig"]["PortBindings"]) == {"6379/tcp"}


def test_names_that_share_a_port_have_a_container_each(vm2, echoes):
    assert ask(vm2, echoes)[0] == "vm1"
    # which is how Redis answers HELLO
    assert ask(vm2, echoes, alias="another")[0].startswith("*")


def test_a_connection_that_the_server_resets_arrives_reset(vm2, echoes):
    words = (
        f"import socket\nlink = socket.create_connection(('echo', {PORT})); link.settimeout(5); link.sendall(b'hello\\n')\n"
        "print(link.recv(99)); link.sendall(b'reset\\n')\ntry: print(link.recv(99))\nexcept ConnectionResetError: print('reset')"
    )
    said = vm2.check_output("docker run --rm --network ambassador %s python3 -c %s", echoes, words)
    assert said.splitlines()[-1] == "reset", said


def test_the_link_variables_are_the_input_of_the_ruleset(vm2, echoes):
    address = ADDRESSES["vm1"]
    defines = vm2.check_output(f"cat {SIDE}/current/links.nft")
    for line in (
        f'define REDIS_PORT_6379_TCP = "tcp://{address}:6379"',
        f"define DATAGRAMS_PORT_{PORT}_UDP_ADDR = {address}",
        'define ECHO_NAME = "/ambassador_client/echo"',
    ):
        assert line in defines.splitlines()
    # change one by hand, and traffic moves; put it back, and it is back
    vm2.check_output(f"sed -i 's/\\(ECHO_PORT_{PORT}_TCP_PORT\\) = {PORT}/\\1 = 6379/' {SIDE}/current/links.nft")
    until(vm2, "docker exec ambassador_client nft list table inet ambassador | grep -q '6379 comment \"echo'")
    # which is how Redis answers HELLO
    assert ask(vm2, echoes)[0].startswith("*")
    vm2.check_output(f"sed -i 's/\\(ECHO_PORT_{PORT}_TCP_PORT\\) = 6379/\\1 = {PORT}/' {SIDE}/current/links.nft")
    until(vm2, f"docker exec ambassador_client nft list table inet ambassador | grep -q '{PORT} comment \"echo'")


def test_nothing_but_the_links_is_forwarded(vm2, echoes):
    # a neighbour that takes the ambassador for a router reaches nobody
    at = inspect(vm2, "ambassador_client")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    target = ADDRESSES["vm1"]
    vm2.check_output("docker run -d --name prober --network ambassador %s sleep 60", echoes)
    vm2.check_output("nsenter -n -t %s ip route replace %s via %s", str(inspect(vm2, "prober")["State"]["Pid"]), target, at)
    dial = f"import socket; socket.create_connection(('{target}', {PORT}), timeout=1)"
    assert "timed out" in vm2.run("docker exec prober python3 -c %s", dial).stderr
    vm2.check_output("docker rm -f prober")


def test_users_of_the_host_do_not_reach_what_a_container_leaves_there(vm2):
    """Root in the container can leave a program that runs as root."""
    leave = "cp /bin/sh /run/ambassador/shell && chmod 4755 /run/ambassador/shell && chmod 755 /run/ambassador"
    vm2.check_output("docker exec ambassador_client sh -c %s", leave)
    try:
        assert vm2.check_output(f"stat -c %a-%u {SIDE}/run/shell {SIDE}/run").split() == ["4755-0", "755-0"]
        pid = inspect(vm2, "ambassador_client")["State"]["Pid"]
        # accounts of a system may be in the group of root
        for group in ("deploy", "99", "0"):
            for path in (f"{SIDE}/run", f"/proc/{pid}/root/run/ambassador"):
                # a shell between both, because setpriv itself has the capabilities of root
                run = vm2.run(f"setpriv --reuid deploy --regid {group} --clear-groups sh -c '{path}/shell -p -c id'")
                assert (run.rc != 0, run.stdout) == (True, ""), (group, path, run)
                assert "Permission denied" in run.stderr, (group, path, run)
    finally:
        vm2.check_output(f"rm {SIDE}/run/shell && chmod 700 {SIDE}/run")


def test_status_tells_targets_and_what_has_come(run, vm2, echoes):
    # the kernel counts from the last time that something was loaded
    assert ask(vm2, echoes, "udp") == ["vm1"]
    done = run("playbooks/status.yml")
    assert done.returncode == 0, done.stdout
    said = re.sub(r"\s+", " ", done.stdout)
    assert re.search(rf"vm2 client datagrams {PORT} target1 198\.18\.0\.11:{PORT} not checked - \d+ of [1-9]\d* -", said), said
    assert "No problem in 4 links on 2 hosts." in said
    assert set(re.findall(r"vm\d (?:server|client) (\S+) \d+ ", said)) == {"another", "datagrams", "echo", "redis"}


def test_a_ruleset_that_is_refused_leaves_the_traffic_and_is_told_in_the_words_of_nft(vm2, consumer):
    until(vm2, "docker exec consumer true")
    vm2.check_output(
        f"cp -p {SIDE}/current/ambassador.nft /tmp/good && echo 'table inet ambassador {{ nonsense }}' >> {SIDE}/current/ambassador.nft"
    )
    until(vm2, "docker logs --tail 20 ambassador_client 2>&1 | grep -q 'Error: syntax error'")
    vm2.check_output(f"mv /tmp/good {SIDE}/current/ambassador.nft")
    seen = consumer()
    assert seen["new"]
    assert (seen["failures"], seen["cut"]) == ([], [])


def test_a_re_point_that_leads_nowhere_is_taken_back(run, vm2, hosts, echoes):
    hosts["vm2"].check_output("docker stop -t 1 echo_server")
    before = vm2.check_output(f"readlink {SIDE}/current")
    done = run(to="vm2")
    hosts["vm2"].check_output("docker start echo_server")
    said = re.sub(r"\s+", " ", done.stdout)
    assert done.returncode != 0
    for alias in ("echo", "datagrams"):
        assert f"link {alias}: expected a target that is up, as ambassador_client on vm2 sees it, found " in said
    assert "which worked before this run, was put back on vm2." in said
    assert vm2.check_output(f"readlink {SIDE}/current") == before
    assert (ask(vm2, echoes), ask(vm2, echoes, "udp")) == (["vm1"], ["vm1"])


def test_a_re_point_drains_and_cuts_and_fails_nobody(run, vm2, consumer):
    redis = inspect(vm2, "redis_client")
    time.sleep(2)
    done = run(to="vm2")
    assert done.returncode == 0, done.stdout
    time.sleep(5)
    seen = consumer()
    assert seen["failures"] == []
    at = switched(seen["new"])
    # the socket of UDP is the same one
    assert -1 < switched(seen["datagrams"]) - at < 1
    # the connection that was there was drained, and then cut, and no other
    assert switched(seen["kept"]) - at > 2
    ((when, what),) = seen["cut"]
    assert what.startswith("kept: ")
    assert when - at > 2
    assert len(seen["redis"]) > 100
    assert (inspect(vm2, "redis_client")["Id"], inspect(vm2, "redis_client")["State"]["StartedAt"]) == (
        redis["Id"],
        redis["State"]["StartedAt"],
    )


@pytest.fixture
def either(run):
    """There is a link that has one protocol and then the other; its alias is what costs the kernel engine a reconnect."""
    done = run(to="vm2", either="tcp")
    assert done.returncode == 0, done.stdout


def test_another_protocol_of_a_link_costs_the_others_nothing(either, run, vm1, vm2, echoes, consumer):
    before = inspect(vm1, "ambassador_server")["Id"]
    for protocol in ("udp", "tcp"):
        done = run(to="vm2", either=protocol)
        assert done.returncode == 0, done.stdout
        assert ask(vm2, echoes, protocol, either=True) == ["vm1"]
        # the one that is left is served until nobody dials it
        assert vm1.check_output("docker ps --format '{{.Ports}}'").count(f":{PORT + 1}->") == 1
    seen = consumer()
    assert (seen["failures"], seen["cut"]) == ([], [])
    assert {name for kind in ("new", "kept", "datagrams") for _, name in seen[kind]} == {"vm2"}
    assert inspect(vm1, "ambassador_server")["Id"] == before


def test_several_targets_take_turns(run, vm2, echoes):
    done = run(balance="roundrobin")
    assert done.returncode == 0, done.stdout
    for protocol in ("tcp", "udp"):
        names = ask(vm2, echoes, protocol, count=10)
        # a packet that was sent twice, on a busy machine, takes a turn of its own
        assert min(names.count("vm1"), names.count("vm2")) >= 4, names


def test_a_backend_with_another_address_is_followed(vm1, vm2, echoes):
    was = inspect(vm1, "echo_server")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    vm1.check_output("docker rm -f echo_server; docker run -d --name taker --network ambassador %s sleep 600", echoes)
    # who is away is refused at once, and so are datagrams
    until(vm1, "! docker exec ambassador_server nft list table inet ambassador | grep -q 'dnat.*comment \"echo'")
    refused = [ask(vm2, echoes, protocol)[0] for protocol in ("tcp", "tcp", "udp", "udp")]
    assert sorted("refused" in said for said in refused) == [False, False, True, True]
    serve(vm1, "vm1", echoes)
    began = time.monotonic()
    while set(ask(vm2, echoes, count=2)) != {"vm1", "vm2"} or set(ask(vm2, echoes, "udp", count=2)) != {"vm1", "vm2"}:
        assert time.monotonic() - began < 10
    assert inspect(vm1, "echo_server")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"] != was


@pytest.mark.parametrize(
    "end", ["kill -9 $(docker inspect -f '{{.State.Pid}}' ambassador_client)", "engine restart", "engine kill; engine start"]
)
def test_what_was_killed_comes_back_with_its_links(vm2, end):
    vm2.check_output(end)
    until(vm2, "docker exec redis_client redis-cli -h redis ping | grep -q PONG")


def test_another_engine_takes_over_and_leaves_nothing_of_this_one_and_the_other_way_round(playbook, hosts, vm2):
    for engine, mine, others in (("haproxy", "haproxy.cfg", "ambassador.nft"), ("nftables", "ambassador.nft", "haproxy.cfg")):
        done = playbook("site.yml", "-e", json.dumps({"ambassador_engine": engine, "ambassador_tls": False}))
        assert done.returncode == 0, done.stdout
        assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
        for name, side in (("vm1", "server"), ("vm2", "client")):
            files = hosts[name].check_output(f"find /var/lib/ambassador/{side} -mindepth 1 -printf '%f\\n'").split()
            assert mine in files
            assert others not in files
            assert ("ask" in files, "master.sock" in files) == (engine == "nftables", engine == "haproxy")
            capabilities = inspect(hosts[name], f"ambassador_{side}")["HostConfig"]["CapAdd"]
            assert bool(capabilities) == (engine == "nftables")


@pytest.fixture
def tunnel(hosts):
    """Both hosts have an interface wg0 of WireGuard: 198.18.200.1 and 198.18.200.2. Where the kernel has none, a process makes it."""
    numbers = {"vm1": 1, "vm2": 2}
    keys = {name: hosts[name].check_output("umask 077; wg genkey > /run/wg.key; wg pubkey < /run/wg.key") for name in numbers}
    for name, number in numbers.items():
        peer = next(other for other in numbers if other != name)
        hosts[name].check_output(
            "ip link add wg0 type wireguard 2> /dev/null || wireguard-go wg0 2> /dev/null;"
            f" wg set wg0 listen-port 51820 private-key /run/wg.key peer {keys[peer]} endpoint {ADDRESSES[peer]}:51820"
            f" allowed-ips 198.18.200.{numbers[peer]}/32 && ip address add 198.18.200.{number}/24 dev wg0 && ip link set wg0 up"
        )
    yield
    for name in numbers:
        hosts[name].run("ip link delete wg0")


def test_a_link_goes_through_an_interface_that_encrypts(vm1, vm2, tunnel, playbook):
    settings = {
        "ambassador_engine": "nftables",
        "ambassador_tls": False,
        "ambassador_interface": "wg0",
        "ambassador_links": {"redis": REDIS},
    }
    done = playbook("site.yml", "-e", json.dumps(settings))
    assert done.returncode == 0, done.stdout
    assert vm1.check_output("ss -Hltn 'sport = :6379' | awk '{ print $4 }'") == "198.18.200.1:6379"

    def received():
        return int(vm1.check_output("wg show wg0 transfer").split()[1])

    # what a consumer sends goes through, and nothing of it in the clear
    before = received()
    seen = "iptables -t raw -L PREROUTING -vnx | awk '/dpt:6379/ { print $1 }'"
    vm1.check_output("iptables -t raw -I PREROUTING -i eth0 -p tcp --dport 6379")
    try:
        assert vm2.check_output("docker exec redis_client redis-cli -h redis ping %s", "x" * 4000) == "x" * 4000
        assert received() - before > 4000
        assert vm1.check_output(seen) == "0"
    finally:
        vm1.run("iptables -t raw -D PREROUTING -i eth0 -p tcp --dport 6379")
