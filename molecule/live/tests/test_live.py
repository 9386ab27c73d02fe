"""Consumers go on while what they consume is changed, killed, frozen, cut off, and comes back.

Redis is served by vm1 and vm3 and only read from (two servers have two data sets); PostgreSQL is served by vm3, and written to.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import PATIENT, ROOT, as_user, inspect, lab_image, until, untouched

REDIS = "redis://redis:6379"
POSTGRESQL = "postgresql://postgres@postgresql:5432/postgres"
ASK = "timeout 20 redis-cli -h redis ping 2>&1"


@pytest.fixture
def servers(hosts):
    """The hosts that serve Redis, the first one first."""
    return [hosts["vm1"], hosts["vm3"]]


@pytest.fixture(autouse=True)
def healthy(servers, vm2):
    """All backends and server sides run before each test; and the consumer is the same one after it, restarted by its engine only."""
    for host in servers:
        host.check_output("docker unpause redis_server 2>/dev/null; docker start redis_server ambassador_server")
    for host in servers:
        until(host, "docker exec redis_server redis-cli ping | grep -q PONG")
    # the client side has noticed that the first is back
    first = servers[0].check_output(f"docker exec redis_server {as_user('operator', 'info server')} | grep run_id")
    until(vm2, f"docker exec redis_client {as_user('proof', 'info server', '-h redis')} | grep -q '{first.strip()}'")
    before, engine = inspect(vm2, "redis_client"), vm2.check_output("pidof dockerd")
    yield
    after = inspect(vm2, "redis_client")
    assert after["Id"] == before["Id"]
    if vm2.check_output("pidof dockerd") == engine:
        assert after["State"]["StartedAt"] == before["State"]["StartedAt"]


def address(host):
    return host.check_output("ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")


def only_inside(seen):
    """Tell whether nothing failed but what was inside a container when that ended: connections that were made, and broke at once."""
    ends = [error["at"] for error in seen["errors"]]
    made = all(re.search("while reading|closed|reset by peer", error["error"]) for error in seen["errors"])
    # as many as shown: how many are inside at one moment, the machine decides
    return made and seen["failures"] == len(ends) and (not ends or max(ends) - min(ends) < 1)


def given(**settings):
    """Return the arguments of a run whose map has further settings of the link redis."""
    return ["-e", json.dumps({"settings": settings})]


# a Redis that asks everybody for a password
LOCKED = ["-e", "served=locked:6379", "-e", "kind=redis"]
# PostgreSQL by its second name
STORED = ["-e", "stored=postgres_again:5432"]
SCRIPT = "local ends = redis.call('time')[1] + 4; while redis.call('time')[1] + 0 < ends do end"
TARGETS = ["198.18.0.11:6379", "198.18.0.13:6379"]
PUBLISHED = ["-e", "published=5433"]
# every change of the map that docs/changes.md lists, but protocol, which is the kernel engine's (see the scenario of that name)
LINKS = {
    "link re-pointed": ["-e", "redis=second"],
    # in both directions at once: it comes to one host, and leaves one that goes on serving the other link
    "link re-pointed, from a host that serves another": ["-e", "redis=first"],
    "server host added": [],
    "another link added, another backend": ["-e", "more=6380", *LOCKED, *STORED],
    "another link changed": ["-e", "more=6390", *LOCKED, *STORED],
    "another link removed, the backend before": [],
}
SETTINGS = {
    "settings changed": given(
        check="tcp",
        max_connections=500,
        check_interval=1,
        balance="roundrobin",
        connect=2,
        wait=5,
        drain=5,
        targets=TARGETS,
        clients="VM2:first",
    ),
    "settings as before": [],
    "local opened": ["--limit=vm2", *given(local="127.0.0.1:6390")],
    "local removed": ["--limit=vm2"],
    # as when the controller is killed between both sides, or the client host is away
    "published on another port, server side only": ["--limit=VM1", *PUBLISHED],
    "published on another port": PUBLISHED,
    "published on the port before": [],
}


@pytest.fixture
def locked(hosts):
    """A Redis on vm3 that asks everybody for a password."""
    image = inspect(hosts["vm3"], "redis_server")["Config"]["Image"]
    hosts["vm3"].check_output("docker run -d --name locked --network ambassador %s redis-server --requirepass secret --save ''", image)
    yield
    hosts["vm3"].check_output("docker rm -fv locked")


def lives(vm2, vm3):
    """A Redis that asks for a password is none that is gone, nor is one that is in a script for longer than a check takes."""
    vm3.check_output("docker exec -e REDISCLI_AUTH=secret locked redis-cli eval %s 0", SCRIPT)
    assert vm2.check_output("docker exec redis_client redis-cli -h more -p 6380 ping").startswith("NOAUTH")
    assert "Server more/locked is DOWN" not in vm3.check_output("docker logs --since 60s ambassador_server 2>&1")


@pytest.mark.parametrize("changes", [LINKS, SETTINGS], ids=["links", "settings"])
def test_planned_changes_cost_no_connection(hosts, vm2, playbook, load, figures, locked, changes):
    sides = {(hosts["vm3"], "ambassador_server"), (vm2, "ambassador_client")}
    before = {side: inspect(*side)["Id"] for side in sides}
    redis, postgresql = load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)
    for change, arguments in changes.items():
        run = playbook("site.yml", *arguments)
        assert run.returncode == 0, run.stdout
        if change.startswith("another link added"):
            lives(vm2, hosts["vm3"])
        if change == "local opened":
            dialled = vm2.check_output("bash -c 'exec 3<>/dev/tcp/127.0.0.1/6390; echo PING >&3; head -1 <&3'")
            assert dialled.strip() == "+PONG"
        if change.endswith("server side only"):
            said = "= host vm3: ambassador_server serves what it served, until the next run that reaches vm2, which is not in this run"
            assert said in " ".join(run.stdout.split()), run.stdout
        # so that each window is that of one change
        until(vm2, "! docker inspect ambassador_client_standin")
        for one in (redis, postgresql):
            one.more(10)
            one.mark()
    assert vm2.run("docker exec redis_client getent ahostsv4 more").rc == 2
    assert {side: inspect(*side)["Id"] for side in sides} == before
    assert "ambassador_server_2" not in hosts["vm3"].check_output("docker ps -a")
    seen = zip(changes, redis.stop()["windows"], postgresql.stop()["windows"], strict=False)
    for change, seen_redis, seen_postgresql in seen:
        figures(change, "redis", seen_redis)
        figures(change, "postgresql", seen_postgresql)
        for one in (seen_redis, seen_postgresql):
            assert (one["failures"], one["lost"], one["repeated"], one["disordered"]) == (0, 0, 0, 0), (change, json.dumps(one))
        # connections to a port or a backend that is left are cut after `drain`, as those to a host are
        if not re.search(" port| backend", change):
            assert untouched(seen_postgresql), (change, json.dumps(seen_postgresql))
        if not change.startswith(("link re-pointed", "settings ")):
            assert seen_redis["long_dropped"] == 0, (change, json.dumps(seen_redis))


def test_a_backend_made_anew_elsewhere_is_followed(vm1, playbook, load, figures):
    before = inspect(vm1, "redis_server")
    redis, postgresql = load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)
    vm1.check_output("docker rm -f redis_server && docker run -d --name squatter --network ambassador %s sleep 300", before["Image"])
    run = playbook("site.yml", "--limit=vm1")
    vm1.check_output("docker rm -f squatter")
    assert run.returncode == 0, run.stdout
    until(vm1, "docker exec redis_server redis-cli ping | grep -q PONG")
    redis.more(40)
    ours, others = redis.stop()["total"], postgresql.stop()["total"]
    figures("backend recreated, another address", "redis", ours)
    figures("backend recreated, another address", "postgresql", others)
    assert inspect(vm1, "redis_server")["Id"] != before["Id"]
    # what is inside it when it is killed cannot be sent again: it might have been done
    assert only_inside(ours), json.dumps(ours)
    assert ours["servers"][-1]["server"] != ours["servers"][0]["server"]
    assert untouched(others), json.dumps(others)


@pytest.mark.parametrize("container", ["redis_server", "ambassador_server"])
def test_what_is_killed_costs_no_new_connection(vm1, load, figures, container):
    redis, postgresql = load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)
    vm1.check_output("docker kill %s", container)
    redis.more(40)
    vm1.check_output("docker start %s", container)
    redis.more(40)
    ours, others = redis.stop()["total"], postgresql.stop()["total"]
    figures(f"{container} killed and back", "redis", ours)
    figures(f"{container} killed and back", "postgresql", others)
    assert only_inside(ours), json.dumps(ours)
    assert untouched(others), json.dumps(others)


OUTAGES = {
    "backend frozen": ("docker pause redis_server", "docker unpause redis_server"),
    "server host cut off": ("iptables -t raw -I PREROUTING -i eth0 -j DROP", "iptables -t raw -D PREROUTING -i eth0 -j DROP"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_what_does_not_answer_is_left(vm1, load, figures, outage):
    begin, end = OUTAGES[outage]
    redis, postgresql = load(REDIS, "--readonly"), load(POSTGRESQL, PATIENT)
    vm1.check_output(begin)
    try:
        redis.more(40)
    finally:
        vm1.check_output(end)
    redis.more(40)
    ours, others = redis.stop()["total"], postgresql.stop()["total"]
    figures(outage, "redis", ours)
    figures(outage, "postgresql", others)
    # each has cost its consumer the time-out of 1 s
    assert ours["failures"] <= 3, json.dumps(ours)
    assert untouched(others), json.dumps(others)


# PostgreSQL answers the first message at once. The second one is sent after the path is cut.
REQUEST = """
import pathlib, socket, time
link = socket.create_connection(("postgresql", 5432))
link.sendall(bytes.fromhex("0000000804d2162f"))
assert link.recv(1) == b"N"
print("connected", flush=True)
while not pathlib.Path("/dev/shm/cut").exists():
    time.sleep(0.05)
start = time.monotonic()
link.sendall(bytes.fromhex("00000017000300007573657200706f73746772657300") + bytes(1))
try:
    assert link.recv(1) == b""
except ConnectionResetError:
    pass
print(time.monotonic() - start)
"""


def test_a_request_to_a_single_server_ends_on_a_dead_path(hosts, vm2):
    server, image = hosts["vm3"], lab_image(vm2)
    rules = f"iptables -t raw %s PREROUTING -s {address(vm2)} -j DROP && iptables -t mangle %s POSTROUTING -d {address(vm2)} -j DROP"
    vm2.check_output("docker run -d --name request --network ambassador %s python3 -c %s", image, REQUEST)
    try:
        until(vm2, "docker logs request | grep connected")
        server.check_output(rules % ("-I", "-I"))
        try:
            vm2.check_output("docker exec request touch /dev/shm/cut")
            vm2.check_output("timeout 40 docker wait request")
        finally:
            server.check_output(rules % ("-D", "-D"))
        seconds = vm2.check_output("docker logs request").split()[-1]
    finally:
        vm2.check_output("docker rm -f request")
    until(vm2, f"docker run --rm --network ambassador {image} psql {POSTGRESQL} -Atc 'select 1'")
    # a server that refuses ends it at once, keepalive alone within 8 s, and tcp_retries2 after 13 s
    assert 10 < float(seconds) < 20, seconds


def test_a_server_host_that_stops_is_left_and_comes_back_by_itself(vm1, vm2, load, figures):
    redis, postgresql = load(REDIS, "--readonly"), load(POSTGRESQL, PATIENT)
    subprocess.run(["docker", "stop", "vm1"], check=True, capture_output=True)
    redis.more(40)
    subprocess.run(["docker", "start", "vm1"], check=True, capture_output=True)
    ours, others = redis.stop()["total"], postgresql.stop()["total"]
    figures("server host stopped", "redis", ours)
    figures("server host stopped", "postgresql", others)
    assert ours["failures"] <= 3, json.dumps(ours)
    assert untouched(others), json.dumps(others)
    until(vm1, "docker exec redis_server redis-cli ping | grep -q PONG")
    until(vm2, f"bash -c '</dev/tcp/{address(vm1)}/6379'")


def start_run(port, named="more"):
    """Start a run that adds or changes the other link; return its process, the leader of a group of its own."""
    return subprocess.Popen(
        ["ansible-playbook", f"--inventory={ROOT}/molecule/live/inventory", "site.yml", "-e", f"more={port}", "-e", f"named={named}"],
        cwd=ROOT,
        # a task is named when it begins, not when it has an outcome to show
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_met_the_stand_in_of_a_new_alias_lives_on(vm2, playbook, load):
    client = inspect(vm2, "ambassador_client")
    with start_run(6380, "later") as run:
        for task in ("Add the names to the temporary container", "Run the ambassador"):
            assert any(task in line for line in run.stdout)
        os.killpg(run.pid, signal.SIGSTOP)
        standin = inspect(vm2, "ambassador_client_standin")["NetworkSettings"]["Networks"]["ambassador"]
        redis = load(f"redis://{standin['IPAddress']}:6379", f"--readonly {PATIENT}")
        os.killpg(run.pid, signal.SIGCONT)
        said = run.stdout.read()
    assert run.returncode == 0, said
    redis.more(40)
    # it takes no new ones any more, nor has it a name that a consumer dials
    until(vm2, f"! bash -c '</dev/tcp/{standin['IPAddress']}/6379'")
    assert vm2.check_output("docker exec redis_client getent ahostsv4 redis").count("STREAM") == 1
    assert redis.stop()["total"]["long_dropped"] == 0
    until(vm2, "! docker inspect ambassador_client_standin")
    assert inspect(vm2, "ambassador_client")["State"] == client["State"]
    assert playbook("site.yml").returncode == 0


def test_somebody_elses_container_of_that_name_is_left_alone(vm2, playbook):
    image = inspect(vm2, "redis_client")["Image"]
    vm2.check_output("docker run -d --name ambassador_client_standin --network ambassador --entrypoint sleep %s 300", image)
    before = inspect(vm2, "ambassador_client_standin")
    run = playbook("site.yml", "--limit=vm2")
    after = inspect(vm2, "ambassador_client_standin")
    vm2.check_output("docker rm -f ambassador_client_standin")
    assert run.returncode == 0, run.stdout
    assert after == before


def test_another_image_of_haproxy_costs_no_new_connection(vm2, playbook, load, figures):
    before = inspect(vm2, "ambassador_client")
    redis, postgresql = load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)
    run = playbook("site.yml", "--limit=vm2", "-e", "ambassador_haproxy_image=haproxy-debian:lab")
    assert run.returncode == 0, run.stdout
    after = inspect(vm2, "ambassador_client")
    assert after["Image"] != before["Image"]
    for link, seen in (("redis", redis.stop()["total"]), ("postgresql", postgresql.stop()["total"])):
        figures("another image on the client side", link, seen)
        assert only_inside(seen), json.dumps(seen)
        assert (seen["lost"], seen["repeated"], seen["disordered"]) == (0, 0, 0), json.dumps(seen)
    # and back: the tests to come have connections that must not break
    assert playbook("site.yml", "--limit=vm2").returncode == 0
    assert inspect(vm2, "ambassador_client")["Image"] == before["Image"]


RESETS = """
import socket, struct
server = socket.create_server(("", 7070))
while True:
    link, _ = server.accept()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.send(b"x" * 1000)
    link.close()
"""
READS = """
import socket
link, count = socket.create_connection(("more", 6380)), 0
try:
    while part := link.recv(65536):
        count += len(part)
    print("end")
except ConnectionResetError:
    print("reset")
"""
MANY = """
import socket, time
links = [socket.create_connection(("redis", 6379)) for _ in range(700)]
time.sleep(3)
kept = 0
for link in links:
    link.setblocking(False)
    try:
        link.recv(1)
    except BlockingIOError:
        kept += 1
    except OSError:
        pass
print(kept)
"""


@pytest.fixture(scope="module")
def tight(hosts, vm2, playbook):
    """The client side has little memory, and there is a link to a service that resets its connections; returns the image of a client."""
    client = lab_image(vm2)
    hosts["vm3"].check_output("docker run -d --name resetter --network ambassador %s python3 -c %s", client, RESETS)
    run = playbook("site.yml", "-e", "ambassador_memory=96M", "-e", "more=6380", "-e", "served=resetter:7070")
    assert run.returncode == 0, run.stdout
    yield client
    hosts["vm3"].check_output("docker rm -f resetter")
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout


def test_one_link_does_not_take_the_connections_of_the_others(vm2, tight, load):
    before, postgresql = inspect(vm2, "ambassador_client"), load(POSTGRESQL, PATIENT)
    kept = int(vm2.check_output("docker run --rm --network ambassador %s python3 -c %s", tight, MANY))
    # three quarters of what 96 MiB do for; how many of them find a server at once, the machine decides
    assert kept <= 460
    seen = postgresql.stop()["total"]
    assert untouched(seen), json.dumps(seen)
    assert inspect(vm2, "ambassador_client")["State"] == before["State"]
    refused = "docker logs --since 120s ambassador_client 2>&1 | grep -c 'refused=\"more than 460 connections\"'"
    assert int(vm2.check_output(refused)) > 0


def test_with_haproxy_a_connection_that_the_server_resets_arrives_as_one_that_ended(vm2, tight):
    assert vm2.check_output("docker run --rm --network ambassador %s python3 -c %s", tight, READS) == "end"


STAGES = (
    "Write the configuration",
    "Switch to the configuration",
    "Load the configuration",
    "Add the names to the temporary container",
    "Run the ambassador",
    "Verify the links",
)


def test_an_interrupted_run_harms_nothing_and_the_next_one_ends_it(playbook, load):
    redis, postgresql = load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)
    for number, task in enumerate(STAGES):
        with start_run(6380, f"more-{number}") as run:
            assert any(task in line for line in run.stdout)
            os.killpg(run.pid, signal.SIGKILL)
    ended = playbook("site.yml")
    assert ended.returncode == 0, ended.stdout
    for seen in (redis.stop()["total"], postgresql.stop()["total"]):
        assert untouched(seen), json.dumps(seen)


def test_two_runs_at_once_do_no_harm(playbook, load):
    postgresql = load(POSTGRESQL, PATIENT)
    runs = [start_run(port) for port in (6380, 6390)]
    for run in runs:
        run.communicate(timeout=300)
    ended = playbook("site.yml")
    assert ended.returncode == 0, ended.stdout
    seen = postgresql.stop()["total"]
    assert untouched(seen), json.dumps(seen)


@pytest.fixture
def shop(servers):
    """A network beside that of the ambassadors, on which Redis is as well; its name."""
    for host in servers:
        host.check_output("docker network create shop && docker network connect shop redis_server")
    yield "shop"
    for host in servers:
        host.check_output("docker network disconnect shop redis_server && docker network rm shop")


def test_a_change_that_breaks_a_link_is_taken_back(servers, vm1, vm2, shop, playbook, load):
    postgresql = load(POSTGRESQL, PATIENT)
    run = playbook("site.yml", "-e", "backend=redis_server:6399", *given(network=shop))
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, run.stdout
    found = "link redis: expected a target that is up, as ambassador_server on vm1 sees it, found redis_server .*L4CON"
    assert re.search(found, said), said
    assert re.search("Generation [0-9a-f]{12}, which worked before this run, was put back on vm1", said), said
    assert f"ambassador_server left the networks that this run had joined: {shop}." in said, said
    assert [list(inspect(host, "ambassador_server")["NetworkSettings"]["Networks"]) for host in servers] == [["ambassador"]] * 2
    # what status tells of it
    assert json.loads(vm1.check_output("cat /var/lib/ambassador/server/history.json"))["entries"][0]["worked"] is False
    until(vm2, "docker exec redis_client redis-cli -h redis ping | grep -q PONG")
    seen = postgresql.stop()["total"]
    assert untouched(seen), json.dumps(seen)
    assert playbook("site.yml").stdout.count("changed=0") == 3


@pytest.fixture
def altered(playbook, tmp_path):
    """Runs site of a copy of the collection whose haproxy.cfg has further lines, on vm2."""

    def run(lines):
        copy = tmp_path / "ansible_collections" / "crosshost" / "ambassador"
        for part in ("meta", "playbooks", "plugins", "roles"):
            shutil.copytree(ROOT / part, copy / part)
        with (copy / "roles/ambassador_engine/templates/haproxy.cfg.j2").open("a") as template:
            template.write(lines)
        return playbook("crosshost.ambassador.site", "--limit=vm2", ANSIBLE_COLLECTIONS_PATH=str(tmp_path))

    return run


def test_what_haproxy_finds_invalid_never_runs(vm2, playbook, altered, load):
    loads = [load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)]
    run = altered("    nonsense\n")
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, run.stdout
    assert "unknown keyword 'nonsense'" in said, said
    for seen in [one.stop()["total"] for one in loads]:
        assert untouched(seen), json.dumps(seen)
    assert playbook("site.yml", "--limit=vm2").stdout.count("changed=0") == 1


def test_what_haproxy_cannot_load_leaves_the_last_good_one(playbook, altered, load):
    loads = [load(REDIS, f"--readonly {PATIENT}"), load(POSTGRESQL, PATIENT)]
    # valid, but only root may do that, and nothing here is
    run = altered("\nglobal\n    gid 5\n")
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, run.stdout
    assert re.search("HAProxy did not load generation .* HAProxy reported: Success=0 .*Cannot set gid 5", said), said
    for seen in [one.stop()["total"] for one in loads]:
        assert untouched(seen), json.dumps(seen)
    ended = playbook("site.yml", "--limit=vm2")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_links_come_back_with_the_docker_engine(vm2, load, figures, how):
    before = inspect(vm2, "ambassador_client")["NetworkSettings"]["Networks"]["ambassador"]
    postgresql = load(f"postgresql://postgres@{before['IPAddress']}:5432/postgres", PATIENT, outside=True)
    vm2.check_output(f"engine {how} && engine start")
    until(vm2, "docker exec redis_client redis-cli -h redis ping | grep -q PONG")
    after = inspect(vm2, "ambassador_client")["NetworkSettings"]["Networks"]["ambassador"]
    postgresql.more(25)
    postgresql.mark()
    postgresql.more(25)
    seen = postgresql.stop()
    figures(f"Docker Engine of the client host: {how}", "postgresql", seen["total"])
    # it is away for a while, and then all is as it was
    assert (seen["total"]["lost"], seen["total"]["repeated"], seen["total"]["disordered"]) == (0, 0, 0), json.dumps(seen)
    assert seen["windows"][-1]["failures"] == 0, json.dumps(seen)
    # said, so that no container that starts first is given it
    assert after["IPAMConfig"] == before["IPAMConfig"] == {"IPv4Address": before["IPAddress"]}


def test_a_server_side_goes_on_while_its_docker_engine_is_away(vm1, vm2, load):
    postgresql, redis = load(POSTGRESQL, PATIENT), load(REDIS, f"--readonly {PATIENT}")
    server = inspect(vm1, "redis_server")["State"]["Pid"]
    vm1.check_output("engine kill")
    try:
        # Docker's DNS answers nothing meanwhile: HAProxy forgets addresses after 30 s, unless it is told not to
        time.sleep(36)
        for one in (redis, postgresql):
            one.mark()
            one.more(20)
        assert vm1.run("kill -0 %s", str(server)).rc == 0
        during = [one.stop() for one in (redis, postgresql)]
    finally:
        vm1.check_output("engine start")
    until(vm1, "docker exec redis_server redis-cli ping | grep -q PONG")
    for seen in during:
        assert untouched(seen["total"]), json.dumps(seen)
    # the first of both servers all the time
    assert len({one["server"] for one in during[0]["total"]["servers"]}) == 1, json.dumps(during[0])


def test_psql_asks_through_the_link(vm2, load):
    postgresql = load(POSTGRESQL, PATIENT)
    assert vm2.check_output(f"docker exec {postgresql.name} psql {POSTGRESQL} -Atc 'select 6 * 7'") == "42"


def reload(host, side):
    """Reload one side, as a run does."""
    ask = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/lib/ambassador/{side}/run/master.sock'); "
    ask += "s.sendall(b'reload\\n'); s.shutdown(socket.SHUT_WR); print(s.makefile().read())"
    assert host.check_output("python3 -c %s", ask).startswith("Success=1")


def test_a_port_without_a_backend_is_shut_and_opens_again_after_a_reload_too(vm1, vm2):
    dial = f"bash -c '</dev/tcp/{address(vm1)}/6379' 2>/dev/null"
    vm1.check_output("docker stop redis_server")
    until(vm2, f"! {dial}")
    reload(vm1, "server")
    until(vm2, f"! {dial}")
    vm1.check_output("docker start redis_server")
    until(vm2, dial)


def stop_all(servers, vm2):
    """Stop the backends; their ports are shut then."""
    for host in servers:
        host.check_output("docker stop redis_server")
        until(vm2, f"! bash -c '</dev/tcp/{address(host)}/6379'")


def test_while_nothing_is_up_a_new_connection_is_held_and_served(servers, vm1, vm2):
    stop_all(servers, vm2)
    vm2.check_output(
        "docker exec -d redis_client sh -c %s", f"rm -f /dev/shm/held; {ASK} > /dev/shm/beside; mv /dev/shm/beside /dev/shm/held"
    )
    until(vm2, "docker exec redis_client test -e /dev/shm/beside")
    vm1.check_output("docker start redis_server")
    until(vm2, "docker exec redis_client test -e /dev/shm/held")
    assert vm2.check_output("docker exec redis_client cat /dev/shm/held") == "PONG"


def test_a_held_connection_is_closed_without_a_byte(servers, vm2):
    stop_all(servers, vm2)
    # a new worker has never seen them up
    reload(vm2, "client")
    start = time.monotonic()
    assert vm2.check_output("docker exec redis_client sh -c %s", f"{ASK} || true") == "Error: Server closed the connection"
    # no longer than it takes, and no shorter than what `wait` leaves after the client side has noticed
    assert 2 < time.monotonic() - start < 15
