"""Passwords: changed while all runs, shown to nobody, and none for a Redis that asks for none."""

import json
import pathlib
import re
import shutil

import pytest
from conftest import as_user, everything, inspect, until

# what quoting could trip over
CHANGED = {"redis_server_password": 'it\'s "new" \\ é', "redis_server_operator_password": "also new"}
SET = "docker exec redis_client " + as_user("app", "set tests:credentials 1", "-h redis")


def state(host, name):
    found = inspect(host, name)
    return found["Id"], found["State"]["StartedAt"]


@pytest.fixture
def given(playbook, tmp_path):
    """Runs site.yml with passwords that are given, in a file; returns what it said."""

    def run(passwords, *arguments):
        (tmp_path / "vault.json").write_text(json.dumps(passwords))
        (tmp_path / "vault.json").chmod(0o600)
        done = playbook("site.yml", "-e", f"@{tmp_path}/vault.json", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout + done.stderr

    return run


def test_a_password_is_changed_while_all_runs_and_is_shown_nowhere(vm1, vm2, given, passwords, ask):
    before = state(vm1, "redis_server"), state(vm2, "redis_client")
    kept = passwords()
    session = "docker exec redis_client " + as_user("app", "blpop tests:nothing 0", "-h redis")
    vm2.check_output("rm -f /run/ended; setsid sh -c %s > /dev/null 2>&1 &", f"{session}; touch /run/ended")
    until(vm1, "docker exec redis_server " + as_user("operator", "info clients") + " | grep -q blocked_clients:1")
    old = {"redis_server_password": kept["app"], "redis_server_operator_password": kept["operator"]}
    try:
        said = given(CHANGED, "--diff", "-vvv")
        assert vm2.check_output(SET) == "OK"
        # sessions with the old password end
        assert vm2.file("/run/ended").exists
        # the controller keeps the old one
        assert "WRONGPASS" in ask(vm1, "app", "get", "tests:credentials")
        assert "role:master" in vm1.check_output(f"docker exec redis_server {as_user('operator', 'info replication')}")
    finally:
        back = given(old, "--diff", "-vvv")
    assert ask(vm1, "app", "del", "tests:credentials") == "1"
    assert (state(vm1, "redis_server"), state(vm2, "redis_client")) == before
    # as they are, and as JSON has them
    secrets = {*kept.values(), *CHANGED.values()}
    assert not [secret for secret in secrets if secret in said + back or json.dumps(secret)[1:-1] in said + back]


def test_an_interrupted_change_is_ended_by_the_next_run(vm1, playbook):
    # as a run leaves it that was stopped before the server was told
    vm1.check_output("docker exec redis_server " + as_user("operator", "config set masterauth interrupted"))
    vm1.check_output("echo old > /var/lib/ambassador/redis_server/loaded")
    run = playbook("site.yml", "--limit=vm1")
    assert run.returncode == 0, run.stdout
    loaded = r"Load the users\] \**\nchanged: \[vm1\]"
    assert re.search(loaded, run.stdout)
    assert not re.search(loaded, playbook("site.yml", "--limit=vm1").stdout)


def test_another_controller_is_refused(hosts, playbook, tmp_path, request):
    before = {name: everything(host) for name, host in hosts.items()}
    # it has the CA, which scenario secure asks for
    (tmp_path / "none").mkdir()
    shutil.copy(pathlib.Path(request.config.option.ansible_inventory) / ".ambassador/ca.pem", tmp_path / "none")
    run = playbook("site.yml", "-e", f"ambassador_controller_dir={tmp_path}/none")
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, run.stdout
    assert f"Host vm1: the directory {tmp_path}/none on this controller does not have the Redis passwords of this host (redis_" in said
    assert {name: everything(host) for name, host in hosts.items()} == before
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["ca.pem"]


CONSUME = """
- hosts: vm2
  gather_facts: false
  roles: [crosshost.ambassador.redis_client]
"""


def test_a_redis_of_somebody_else_that_asks_for_no_password(vm1, vm2, playbook, tmp_path):
    (tmp_path / "consume.yml").write_text(CONSUME)
    image = inspect(vm1, "redis_server")["Image"]
    vm1.check_output("docker run -d --name theirs --network ambassador %s redis-server --protected-mode no", image)
    links = {"redis": {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "theirs:6379"}}
    try:
        # site runs the client of Redis for the Redis of the collection alone
        for name in ("site.yml", str(tmp_path / "consume.yml")):
            run = playbook(name, "-e", json.dumps({"ambassador_links": links, "redis_client_user": ""}))
            assert run.returncode == 0, run.stdout
        assert "not verified, because" not in " ".join(run.stdout.split())
        assert vm2.check_output("docker exec redis_client redis-cli -h redis set a b") == "OK"
        assert not vm2.file("/var/lib/ambassador/redis_client").exists
    finally:
        vm1.check_output("docker rm -fv theirs")
        assert playbook("site.yml").returncode == 0
