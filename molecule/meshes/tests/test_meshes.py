"""Two teams on two hosts: each one's runs, under load on both, leave the other's links, files and containers as they are."""

import json
import re

import pytest
import yaml
from conftest import PATIENT, ROOT, inspect, lab_image, untouched

SCENARIO = ROOT / "molecule" / "meshes"
REDIS = "redis://redis:6379"
POSTGRESQL = "postgresql://postgres@postgresql:5432/postgres"
KERNEL = ("-e", json.dumps({"ambassador_engine": "nftables", "ambassador_tls": False}))
LINKS = yaml.safe_load((SCENARIO / "inventory/group_vars/all/ambassador.yml").read_text())["ambassador_links"]
HANDSHAKE = """\
import socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain("{identity}/cert.pem", "{identity}/key.pem")
context.set_alpn_protocols(["{alias}"])
with socket.create_connection(("{address}", {port}), timeout=5) as plain, context.wrap_socket(plain) as link:
    link.sendall(b"PING\\r\\n")
    print(link.recv(100))
"""


@pytest.fixture(scope="module")
def default(playbook):
    """Runs the playbook of the team whose mesh is `default`."""
    return lambda *arguments, name="site.yml": playbook(name, *arguments, inventory=str(ROOT / "inventory"))


@pytest.fixture(scope="module")
def blue(playbook):
    """Runs the playbook of the other team."""
    return lambda *arguments, name="molecule/meshes/blue.yml": playbook(name, *arguments, inventory=str(SCENARIO / "inventory"))


@pytest.fixture(scope="module", autouse=True)
def teams(vm1, blue):
    """Both teams have deployed; the other one's service is on its network, which the first run of it makes."""
    done = blue("-e", "ambassador_prove=false")
    assert done.returncode == 0, done.stdout
    image = lab_image(vm1, "postgres:17.6", "ambassador_server")
    vm1.check_output("docker run -d --name postgres_server --network ambassador-blue -e POSTGRES_HOST_AUTH_METHOD=trust %s", image)
    unchanged(blue())


def unchanged(done):
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}, done.stdout


def held(host, mesh):
    """Return all that a mesh has on a host: its containers and when they started, its network, its files and what they hold."""
    own = "-" if mesh == "blue" else ""
    directory, network = ("/var/lib/ambassador-blue", "ambassador-blue") if own else ("/var/lib/ambassador", "ambassador")
    columns = '{{.Names}} {{.Label "crosshost.ambassador.mesh"}} {{.ID}} {{.Ports}} {{.Networks}}'
    words = f"docker ps -a --no-trunc --filter label=crosshost.ambassador --format '{columns}'"
    there = [line for line in host.check_output(words).splitlines() if (" blue " in line) == (mesh == "blue")]
    started = [inspect(host, line.split()[0])["State"]["StartedAt"] for line in there]
    files = host.check_output(f"find {directory} -not -type s -printf '%p %l %m %u %T@\\n' | sort")
    files += host.check_output(f"find {directory} -type f -print0 | sort -z | xargs -0 sha256sum")
    return there, started, files, host.check_output(f"docker network inspect -f '{{{{.Id}}}}' {network}")


def in_turns(default, blue, loads, rounds, arguments=()):
    """Run both playbooks in turns, and return what consumers of both links saw."""
    for _ in range(rounds):
        unchanged(default())
        unchanged(blue(*arguments))
    return [load.stop()["total"] for load in loads]


def test_each_team_has_things_of_its_own_and_sees_no_alias_of_the_other(vm1, vm2):
    assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
    look = "docker run --rm --network %s %s getent ahostsv4 %s"
    image = lab_image(vm2)
    for network, own, other in (("ambassador", "redis", "postgresql"), ("ambassador-blue", "postgresql", "redis")):
        assert vm2.run(look, network, image, own).rc == 0
        assert vm2.run(look, network, image, other).rc == 2
    assert {"ambassador_server", "ambassador_blue_server"} <= set(vm1.check_output("docker ps --format '{{.Names}}'").split())


def test_runs_in_turns_change_nothing_and_cost_no_connection(hosts, default, blue, load):
    before = [held(host, mesh) for host in hosts.values() for mesh in ("default", "blue")]
    loads = [load(REDIS, PATIENT), load(POSTGRESQL, PATIENT, client="ambassador_blue_client")]
    seen = in_turns(default, blue, loads, 10)
    assert all(map(untouched, seen)), json.dumps(seen)
    assert [held(host, mesh) for host in hosts.values() for mesh in ("default", "blue")] == before


def test_one_play_carries_the_links_of_both(default):
    unchanged(default("-e", json.dumps({"blue_links": LINKS}), name="molecule/meshes/both.yml"))


def test_neither_lets_the_other_one_in(vm2):
    address = "198.18.0.11"
    ways = [("/var/lib/ambassador", "redis", 6379), ("/var/lib/ambassador-blue", "postgresql", 5432)]
    for (own, alias, port), (other, *_) in (ways, ways[::-1]):
        for directory, welcome in ((own, True), (other, False)):
            script = HANDSHAKE.format(identity=f"{directory}/identity", alias=alias, address=address, port=port)
            said = vm2.run("python3 -c %s", script)
            # Redis answers the PING; PostgreSQL, to which that is no request, says nothing or ends, but not the handshake
            refused = "ssl.SSLError" in said.stderr or "TLSV1_ALERT" in said.stderr
            assert refused != welcome, (alias, directory, said.stderr)


def test_what_clashes_is_told_with_the_mesh_and_nothing_is_changed(hosts, blue):
    before = [held(host, mesh) for host in hosts.values() for mesh in ("default", "blue")]
    done = blue("-e", json.dumps({"ambassador_links": {"postgresql": {**LINKS["postgresql"], "publish": 6379}}}))
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert (
        "link postgresql: expected to publish port 6379 on 198.18.0.11, found it taken by container ambassador_server of mesh default"
        in said
    )
    done = blue("-e", "ambassador_mesh=Blue")
    assert "Variable ambassador_mesh: 'Blue' is not a valid name of a mesh." in " ".join(done.stdout.split())
    assert [held(host, mesh) for host in hosts.values() for mesh in ("default", "blue")] == before


def test_what_a_map_asks_for_no_more_goes_when_client_sides_have_turned(hosts, blue):
    done = blue("-e", json.dumps({"ambassador_links": {}}))
    assert done.returncode == 0, done.stdout
    before, _, after = done.stdout.partition("TASK [Remove what no client uses]")
    assert "changed: [vm1]" not in before, done.stdout
    assert "changed: [vm1]" in after, done.stdout
    for host in hosts.values():
        assert "ambassador_blue" not in host.check_output("docker ps -a --format '{{.Names}}'")
    done = blue()
    assert done.returncode == 0, done.stdout


def test_status_is_that_of_a_mesh_or_of_all(default, blue):
    for run, own, other in ((default, "redis", "postgresql"), (blue, "postgresql", "redis")):
        done = run(name="playbooks/status.yml")
        assert done.returncode == 0, done.stdout
        assert re.search(rf"vm2 +client +{own} +\d+ +vm1 +198\.18\.0\.11:\d+ +UP", done.stdout), done.stdout
        assert f"Link {own} on 2 hosts is up." in " ".join(done.stdout.split())
        assert other not in done.stdout
    done = default("-e", "ambassador_mesh=all", name="playbooks/status.yml")
    assert done.returncode == 0, done.stdout
    said = re.sub(r" +", " ", done.stdout)
    for row in (
        "vm1 default server ambassador_server running redis redis_server UP",
        "vm2 default client ambassador_client running redis vm1 UP",
        "vm2 default - redis_client running - - -",
        "vm1 blue server ambassador_blue_server running postgresql postgres_server UP",
        "vm2 blue client ambassador_blue_client running postgresql vm1 UP",
    ):
        assert row in said, said


def test_a_mesh_on_another_engine_is_none_of_the_other_s_business(hosts, vm2, default, blue, load):
    before = [held(host, "default") for host in hosts.values()]
    redis = load(REDIS, PATIENT)
    done = blue(*KERNEL)
    assert done.returncode == 0, done.stdout
    seen = in_turns(default, blue, [redis, load(POSTGRESQL, PATIENT, client="ambassador_blue_client")], 2, KERNEL)
    assert all(map(untouched, seen)), json.dumps(seen)
    assert [held(host, "default") for host in hosts.values()] == before
    assert "dnat" in vm2.check_output("docker exec ambassador_blue_client nft list ruleset")


def test_a_teardown_takes_what_is_the_mesh_s_own(hosts, vm1, blue, load):
    before = [held(host, "default") for host in hosts.values()]
    others = {name: host.check_output("docker volume ls -q; docker network ls -q --no-trunc").split() for name, host in hosts.items()}
    networks = {name: host.check_output("docker network inspect -f '{{.Id}}' ambassador-blue") for name, host in hosts.items()}
    redis = load(REDIS, PATIENT)
    vm1.check_output("docker rm -fv postgres_server")
    done = blue(*KERNEL, name="playbooks/teardown.yml")
    assert done.returncode == 0, done.stdout
    seen = redis.stop()["total"]
    assert untouched(seen), json.dumps(seen)
    assert [held(host, "default") for host in hosts.values()] == before
    for name, host in hosts.items():
        left = host.check_output("docker volume ls -q; docker network ls -q --no-trunc").split()
        # the volume of PostgreSQL's image went with its container
        assert set(others[name]) - set(left) >= {networks[name]}
        assert "blue" not in host.check_output("docker ps -a --format '{{.Names}} {{.Labels}}'; docker network ls; ls /var/lib")
