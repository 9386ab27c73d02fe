"""What holds after every run, whatever the engine and the way in: a real request arrives, and nothing else is open."""

import pathlib
import re
import stat

import pytest
from conftest import as_user, inspect

# capabilities(7), as a bit
NET_ADMIN = 1 << 12
CONTAINERS = {"vm1": ["redis_server", "ambassador_server"], "vm2": ["ambassador_client", "redis_client"]}


def run_id(text):
    return re.search(r"run_id:(\w+)", text)[1]


def test_consumer_gets_a_pong(vm2):
    assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"


def test_the_answer_comes_from_the_server_on_vm1(vm1, vm2):
    served = run_id(vm1.check_output(f"docker exec redis_server {as_user('operator', 'info server')}"))
    for user in ("app", "proof"):
        assert run_id(vm2.check_output(f"docker exec redis_client {as_user(user, 'info server', '-h redis')}")) == served


def test_a_value_written_on_one_host_is_there_on_the_other(vm1, vm2, ask):
    assert vm2.check_output("docker exec redis_client " + as_user("app", 'set tests:value "a b"', "-h redis")) == "OK"
    assert ask(vm1, "app", "get", "tests:value") == "a b"
    assert ask(vm1, "app", "del", "tests:value") == "1"


@pytest.mark.parametrize(
    "command", ["set a b", "get a", "info", "keys *", "config get *", "acl list", "flushall", "publish a b", "replicaof a 1"]
)
def test_whoever_does_not_authenticate_may_ping_and_ask_the_role_and_nothing_else(vm2, command):
    assert vm2.check_output("docker exec redis_client redis-cli -h redis role").split()[0] == "master"
    said = vm2.check_output(f"docker exec redis_client redis-cli -h redis {command}".replace("*", "'*'"))
    assert said.startswith("NOPERM User default has no permissions"), said


@pytest.mark.parametrize(
    "command",
    [
        "config get dir",
        "acl list",
        "shutdown nosave",
        "replicaof no one",
        "flushall",
        "client kill type normal",
        "eval 1 0",
        "script flush",
    ],
)
def test_a_consumer_does_not_administer(vm2, command):
    said = vm2.check_output(f"docker exec redis_client {as_user('app', command, '-h redis')}")
    assert said.startswith("NOPERM User app has no permissions"), said


@pytest.mark.parametrize("user", ["proof", "operator"])
@pytest.mark.parametrize("command", [("get", "tests:value"), ("set", "tests:value", "a"), ("config", "get", "*"), ("acl", "list")])
def test_who_proves_and_who_operates_do_not_read_data(vm1, ask, user, command):
    assert ask(vm1, user, *command).startswith(f"NOPERM User {user} has no permissions")


# clients without a password that send large requests and stay; the last one is another client
LARGE_REQUESTS = r"""
import socket, sys
def connect():
    return socket.create_connection((sys.argv[1], 6379), timeout=10)
closed, links = 0, []
for size in [200000010] * 2 + [40000000] * 10:
    links.append(connect())
    try:
        links[-1].sendall(b"*2\r\n$4\r\nPING\r\n$%d\r\n" % size)
        for _ in range(size // 65536):
            links[-1].sendall(b"x" * 65536)
    except OSError:
        closed += 1
link = connect()
link.sendall(b"PING\r\n")
print(closed, link.recv(99).decode().strip())
"""


def test_clients_without_a_password_do_not_exhaust_the_memory(vm1, ask):
    before = inspect(vm1, "redis_server")
    address = before["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    closed, answer = vm1.check_output("python3 -c %s %s", LARGE_REQUESTS, address).split()
    assert int(closed) >= 2
    assert answer == "+PONG"
    assert inspect(vm1, "redis_server")["State"]["StartedAt"] == before["State"]["StartedAt"]
    peak = int(vm1.check_output("sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/%s/status", str(before["State"]["Pid"])))
    assert peak * 1024 < before["HostConfig"]["Memory"] * 3 // 4
    assert ask(vm1, "app", "get", "tests:none") == ""


# requests of app that are small: a value of 512 MiB, a value of 70 MB, and 20 copies of that value; then the number of bytes that come back
LARGE_REPLIES = r"""
import socket, sys
def connect():
    link = socket.create_connection((sys.argv[1], 6379), timeout=60)
    password = sys.argv[2].encode()
    link.sendall(b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$%d\r\n%s\r\n" % (len(password), password))
    assert link.recv(99) == b"+OK\r\n"
    return link
def request(command):
    link = connect()
    link.sendall(command + b"\r\n")
    return link.recv(99).decode().strip()
print(request(b"SETRANGE tests:large 536870000 x"))
print(request(b"SETRANGE tests:large 70000000 x"))
link, received = connect(), 0
link.sendall(b"MGET" + b" tests:large" * 20 + b"\r\n")
try:
    for part in iter(lambda: link.recv(1 << 20), b""):
        received += len(part)
except ConnectionResetError:
    pass
print(received)
print(request(b"DEL tests:large"))
"""


def test_small_requests_for_large_values_and_replies_do_not_exhaust_the_memory(vm1, ask, passwords):
    before = inspect(vm1, "redis_server")
    address = before["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    output = vm1.check_output("python3 -c %s %s %s", LARGE_REPLIES, address, passwords()["app"])
    refusal, length, received, removed = output.splitlines()
    assert refusal.startswith("-ERR string exceeds maximum allowed size")
    assert (length, removed) == (":70000001", ":1")
    assert int(received) < 10 * 70000000
    after = inspect(vm1, "redis_server")
    assert (after["State"]["StartedAt"], after["RestartCount"]) == (before["State"]["StartedAt"], before["RestartCount"])
    assert ask(vm1, "app", "get", "tests:none") == ""


FILES = {
    "vm1": {"redis_server": "700", "redis_server/users.acl": "600", "redis_server/redis.conf": "600", "redis_server/operator": "600"},
    "vm2": {"redis_client": "700", "redis_client/app": "600", "redis_client/proof": "600"},
}


def test_passwords_lie_in_files_that_their_container_alone_may_read(hosts, passwords):
    for name, host in hosts.items():
        for path, mode in FILES[name].items():
            assert host.check_output("stat -c '%%u:%%g %%a' %s", f"/var/lib/ambassador/{path}") == f"999:999 {mode}"
    # where only their hashes are needed there is nothing else
    users = hosts["vm1"].check_output("cat /var/lib/ambassador/redis_server/users.acl")
    assert not any(password in users for password in passwords().values())


def test_the_controller_keeps_its_passwords_to_itself(request):
    directory = pathlib.Path(request.config.option.ansible_inventory) / ".ambassador"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = sorted(directory.glob("redis_*"))
    assert [file.name for file in files] == [f"redis_{user}.password" for user in ("app", "operator", "proof")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_each_host_has_its_containers_and_no_others(hosts):
    for name, host in hosts.items():
        assert sorted(host.check_output("docker ps --format '{{.Names}}'").split()) == sorted(CONTAINERS[name])


def test_consumer_holds_the_link_variables_of_its_alias(vm2):
    env = inspect(vm2, "redis_client")["Config"]["Env"]
    assert {"REDIS_PORT_6379_TCP=tcp://redis:6379", "REDIS_PORT_6379_TCP_ADDR=redis", "REDIS_NAME=/consumer/redis"} <= set(env)
    # any user's consumer has them from a file
    shown = vm2.check_output("runuser -u nobody -- cat /var/lib/ambassador/links/redis.env").splitlines()
    assert set(shown) == {line for line in env if line.startswith("REDIS_") and "_VERSION=" not in line}


def test_the_server_side_alone_is_published_and_on_one_address(hosts):
    for name, host in hosts.items():
        for container in CONTAINERS[name]:
            bindings = inspect(host, container)["HostConfig"]["PortBindings"] or {}
            addresses = {entry["HostIp"] for entries in bindings.values() for entry in entries}
            assert (list(bindings) == ["6379/tcp"]) == (container == "ambassador_server")
            assert not addresses & {"", "0.0.0.0", "::"}


def test_no_container_has_more_rights_than_it_needs(hosts):
    for name, host in hosts.items():
        for container in CONTAINERS[name]:
            found = inspect(host, container)
            status = host.check_output("cat /proc/%s/status", str(found["State"]["Pid"]))
            fields = dict(line.split(":", 1) for line in status.splitlines())
            # the kernel takes rules from root alone, and in the network namespace of its container
            kernel = "/ambassador-nftables:" in found["Config"]["Image"]
            assert ("0" in fields["Uid"].split()) == kernel
            assert {int(fields[cap], 16) for cap in ("CapEff", "CapPrm", "CapBnd")} == {NET_ADMIN if kernel else 0}
            assert int(fields["CapAmb"], 16) == 0
            namespaces = host.check_output("readlink /proc/%s/ns/net /proc/1/ns/net", str(found["State"]["Pid"])).split()
            assert len(set(namespaces)) == 2
            assert fields["NoNewPrivs"].strip() == "1"
            assert host.run("docker exec %s sh -c 'echo x > /tests'", container).rc != 0
            # what SELinux asks for, where it is on
            assert all(bind.endswith(",z") for bind in found["HostConfig"]["Binds"] or [] if bind.startswith("/"))
            assert found["HostConfig"]["Memory"] > 0
            assert found["HostConfig"]["PidsLimit"] > 0
            assert found["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
            assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_an_ambassador_asks_no_dns_but_dockers_own(vm1):
    assert vm1.check_output("docker exec ambassador_server getent hosts redis_server")
    assert vm1.check_output("docker exec redis_server getent hosts registry.lab")
    assert vm1.run("docker exec ambassador_server getent hosts registry.lab").rc != 0


def test_containers_of_the_ambassadors_stop_at_once(vm2):
    # SIGKILL comes after 10 s; --time 0 would not show who needs it
    vm2.check_output("timeout 5 docker restart ambassador_client")
    assert (
        vm2.check_output(
            "docker exec redis_client sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do redis-cli -h redis ping && break; sleep 0.2; done'"
        )
        == "PONG"
    )
