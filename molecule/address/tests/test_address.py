"""The address of a server host, by the order of the contract, on hosts with two interfaces and IPv6."""

import json
import re

import pytest
from conftest import until

LINK = {"redis": {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}}


def address(host, interface, family=4):
    scope = "scope global"
    return re.search(r"inet6? ([0-9a-f.:]+)", host.check_output(f"ip -{family} -o addr show dev {interface} {scope}"))[1]


def target(host, engine="haproxy"):
    if engine == "socat":
        text = host.check_output("docker inspect --format '{{join .Config.Env \"\\n\"}}' ambassador_client")
        return re.search(r"^REDIS_PORT_6379_TCP=(.*)$", text, re.M)[1]
    links = host.file("/var/lib/ambassador/client/current/links.cfg").content_string
    return re.search(r"setenv REDIS_PORT_6379_TCP (.*)", links)[1]


def listens(host):
    return {line.split()[3] for line in host.check_output("ss -Hltn 'sport = :6379'").splitlines()}


def pong(host):
    return host.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"


def test_the_named_interface_is_dialled_and_bound(vm1, vm2):
    second = address(vm1, "eth1")
    assert target(vm2) == f"tcp://{second}:6379"
    assert listens(vm1) == {f"{second}:6379"}
    assert pong(vm2)


def test_what_is_observed_is_what_setup_gathers(vm1):
    observed = vm1.ansible("crosshost.ambassador.observation_info", check=False, become=False)["facts"]
    gathered = vm1.ansible("setup", "gather_subset=network", check=False, become=False)["ansible_facts"]
    for fact in ("default_ipv4", "default_ipv6"):
        assert observed[fact]["address"] == gathered[f"ansible_{fact}"]["address"]
        assert observed[fact]["interface"] == gathered[f"ansible_{fact}"]["interface"]
    for interface in ("eth0", "eth1"):
        assert observed[interface]["ipv4"]["address"] == gathered[f"ansible_{interface}"]["ipv4"]["address"]
        one, another = observed[interface].get("ipv6", []), gathered[f"ansible_{interface}"].get("ipv6", [])
        assert {said["address"] for said in one} == {said["address"] for said in another}
    for fact in ("all_ipv4_addresses", "all_ipv6_addresses"):
        assert set(observed[fact]) == set(gathered[f"ansible_{fact}"])


def test_limit_to_the_client_host_alone_gathers_the_server_hosts_address(vm2, playbook):
    scenario = ["--extra-vars=ambassador_interface=eth1", "--extra-vars=ambassador_haproxy_image=haproxy-debian:lab"]
    run = playbook("site.yml", "--limit=vm2", *scenario)
    assert run.returncode == 0, run.stdout
    assert "changed=0" in re.search(r"^vm2 .*", run.stdout, re.M)[0]
    assert not re.search(r"^vm1 ", run.stdout, re.M)


def test_the_default_ipv4_is_taken_where_nothing_is_said(vm1, vm2, playbook):
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout
    first = address(vm1, "eth0")
    assert target(vm2) == f"tcp://{first}:6379"
    assert listens(vm1) == {f"{first}:6379"}
    assert pong(vm2)


def test_a_server_host_that_the_controller_cannot_reach(vm1, playbook, tmp_path):
    lost = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory = tmp_path / "lost.json"
    inventory.write_text(json.dumps({"VM1": {"hosts": {"vm1": lost}}}))
    run = playbook("site.yml", "--limit=vm2", f"--inventory={inventory}")
    assert run.returncode == 2, run.stdout
    assert "Link redis, host vm1: the host has no address in " in re.sub(r"\s+", " ", run.stdout)
    assert re.search(r"^vm2 .*changed=0 +unreachable=0 +failed=1", run.stdout, re.M)

    inventory.write_text(json.dumps({"VM1": {"hosts": {"vm1": lost | {"ambassador_address": address(vm1, "eth0")}}}}))
    run = playbook("site.yml", "--limit=vm2", f"--inventory={inventory}")
    assert run.returncode == 0, run.stdout
    assert "(not verified, because it could not be asked)" in re.sub(r"\s+", " ", run.stdout)


# delays what it carries by so many seconds, in both directions
RELAY = """
import asyncio, sys
address, port, to, delay = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
async def carry(reader, writer):
    while data := await reader.read(65536):
        await asyncio.sleep(delay)
        writer.write(data)
    writer.close()
async def serve(*consumer):
    server = await asyncio.open_connection(address, to)
    await asyncio.gather(carry(consumer[0], server[1]), carry(server[0], consumer[1]), return_exceptions=True)
async def main():
    await (await asyncio.start_server(serve, address, port)).serve_forever()
asyncio.run(main())
"""


def test_a_path_of_600_ms_there_and_back_carries_a_link(vm1, vm2, playbook):
    first, port = address(vm1, "eth0"), 7999
    vm1.check_output("setsid python3 -c %s %s %s 6379 0.3 > /dev/null 2>&1 & echo $! > /run/relay", RELAY, first, str(port))
    try:
        links = {"redis": LINK["redis"] | {"targets": [f"{first}:{port}"]}}
        hurried = {"redis": {**links["redis"], "connect": 0.5}}
        run = playbook("site.yml", f"--extra-vars={json.dumps({'ambassador_links': hurried})}")
        assert run.returncode == 2, run.stdout
        assert "slower than" in run.stdout, run.stdout
        run = playbook("site.yml", f"--extra-vars={json.dumps({'ambassador_links': links})}")
        assert run.returncode == 0, run.stdout
        assert pong(vm2)
    finally:
        vm1.check_output("kill $(cat /run/relay)")


def test_explicit_targets_win(vm1, vm2, playbook):
    links = {"redis": LINK["redis"] | {"targets": [f"{address(vm1, 'eth1')}:6379", f"{address(vm1, 'eth0')}:6379"]}}
    run = playbook("site.yml", f"--extra-vars={json.dumps({'ambassador_links': links})}")
    assert run.returncode == 0, run.stdout
    # nothing listens on the first any more: the second serves
    assert target(vm2) == f"tcp://{address(vm1, 'eth1')}:6379"
    assert pong(vm2)


def test_a_host_whose_address_comes_after_its_docker_engine_publishes_on_all(vm1, vm2, playbook):
    run = playbook("site.yml", "--extra-vars=ambassador_bind=0.0.0.0")
    assert run.returncode == 0, run.stdout
    assert listens(vm1) == {"0.0.0.0:6379"}
    words, way = vm1.check_output("ip -4 -o addr show dev eth0 | awk '{print $4}'"), vm1.check_output("ip route show default")
    vm1.check_output("engine stop; ip addr del %s dev eth0; engine start", words)
    vm1.check_output(f"ip addr add {words} dev eth0; ip route replace {way}")
    until(vm2, "docker exec redis_client redis-cli -h redis ping | grep -q PONG")


def test_a_host_whose_facts_cannot_be_had_is_named_with_the_variable_to_set(playbook):
    run = playbook("site.yml", "--limit=vm2", "--extra-vars=ambassador_interface=eth9")
    assert run.returncode != 0
    expected = "Link redis, host vm1: the host has no address in interface eth9 (ambassador_interface). Set ambassador_address for vm1"
    assert expected in re.sub(r"\s+", " ", run.stdout)


@pytest.fixture(scope="module")
def with_ipv6(vm1, playbook):
    """Options for a run in which vm1 is dialled at its IPv6 address; the network is made anew for it."""
    options = ["--extra-vars=ambassador_ipv6=true", f"--extra-vars=ambassador_address={address(vm1, 'eth0', 6)}"]
    refused = playbook("site.yml", *options)
    assert "ambassador_ipv6: expected the network ambassador to have IPv6, found it made without;" in re.sub(r"\s+", " ", refused.stdout)
    roles = ("redis_server", "ambassador_server", "ambassador_client", "redis_client")
    assert playbook("site.yml", *[f"--extra-vars={role}_state=absent" for role in roles]).returncode == 0
    return options


@pytest.mark.parametrize("engine", ["haproxy", "socat"])
def test_an_ipv6_target_is_dialled(vm1, vm2, playbook, with_ipv6, engine):
    sixth = address(vm1, "eth0", 6)
    options = [*with_ipv6, f"--extra-vars=ambassador_engine={engine}", f"--extra-vars=ambassador_tls={engine == 'haproxy'}"]
    run = playbook("site.yml", *options)
    assert run.returncode == 0, run.stdout
    assert target(vm2, engine) == f"tcp://[{sixth}]:6379"
    assert listens(vm1) == {f"[{sixth}]:6379"}
    assert pong(vm2)
    again = playbook("site.yml", *options)
    assert len(re.findall("changed=0", again.stdout)) == 2, again.stdout
