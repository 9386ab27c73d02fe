"""The playbooks beside site.yml: status, which says what the links do, and teardown, which removes them."""

import json
import re

import jsonschema
import pytest
from conftest import ROOT, everything, inspect, until

PING = "docker exec redis_client redis-cli -h redis ping | grep -q PONG"
UNCHANGED = r"^vm{} .*changed=0 .*unreachable=0 .*failed=0"


@pytest.fixture(scope="module", autouse=True)
def deployed(playbook):
    """The chain, whatever the tests before have left of it."""
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", [["playbooks/status.yml"], ["crosshost.ambassador.status", "--check"]], ids=["clone", "installed_check"])
def test_status_says_that_all_is_well_and_changes_nothing(hosts, vm2, playbook, name):
    until(vm2, PING)
    before = {host: everything(hosts[host]) for host in hosts}
    run = playbook(*name)
    assert run.returncode == 0, run.stdout
    assert re.search(r"vm1 +server +redis +6379 +redis_server +[0-9.]+:6379 +UP", run.stdout), run.stdout
    assert re.search(r"vm2 +client +redis +6379 +vm1 +[0-9.]+:6379 +UP", run.stdout), run.stdout
    assert "Link redis on 2 hosts is up." in run.stdout
    assert all(re.search(UNCHANGED.format(number), run.stdout, re.M) for number in (1, 2))
    assert {host: everything(hosts[host]) for host in hosts} == before


def test_status_fails_with_a_sentence_where_the_backend_is_gone(vm1, vm2, playbook, tmp_path):
    vm1.check_output("docker stop redis_server")
    until(vm2, f"! {PING}")
    try:
        run = playbook("playbooks/status.yml", f"--extra-vars=status_page={tmp_path}/status.html")
    finally:
        vm1.check_output("docker start redis_server")
        until(vm2, PING)
    assert run.returncode == 2, run.stdout
    assert "problem: Link redis, host vm1: the link is down on the server side. redis_server" in run.stdout
    assert re.search(r"vm1 +server +redis +6379 shut +redis_server", run.stdout)
    found = json.loads((tmp_path / "status.json").read_text())
    jsonschema.validate(found, json.loads((ROOT / "docs/status.schema.json").read_text()), jsonschema.Draft202012Validator)
    assert (found["well"], [link["health"] for link in found["links"]]) == (False, ["down"])
    assert {(target["host"], target["side"], target["health"]) for target in found["targets"]} == {
        ("vm1", "server", "down"),
        ("vm2", "client", "down"),
    }
    assert all(side["certificate"]["days"] > 0 for host in found["hosts"] for side in host["sides"])
    # what the run that deployed it has changed, as it said then
    worked = {(entry["host"], entry["side"]) for entry in found["history"] if entry["worked"]}
    assert worked == {("vm1", "server"), ("vm2", "client")}
    assert any(line.startswith("+ redis vm2 -> vm1") for entry in found["history"] for line in entry["lines"])
    assert found["problems"][0] in (tmp_path / "status.html").read_text()


def test_what_else_answers_to_an_alias_is_told_by_status_and_refused_by_site(vm1, vm2, playbook):
    image = inspect(vm1, "redis_server")["Config"]["Image"]
    vm2.check_output("docker run -d --name theirs --network ambassador --network-alias redis %s sleep 300", image)
    try:
        said = [playbook(name) for name in ("playbooks/status.yml", "site.yml")]
    finally:
        vm2.check_output("docker rm -fv theirs")
    sentence = (
        "link redis: expected ambassador_client alone to answer to this name on the network ambassador of host vm2, found container theirs"
    )
    for run in said:
        assert run.returncode == 2, run.stdout
        assert f"{sentence} (image {image}) to answer as well" in " ".join(run.stdout.split()), run.stdout


@pytest.fixture
def others(hosts):
    """A network and a volume of somebody else, on every host."""
    for host in hosts.values():
        host.check_output("docker network create tests_network; docker volume create tests_volume")
    yield
    for host in hosts.values():
        host.check_output("docker network rm tests_network; docker volume rm tests_volume")


def test_teardown_removes_what_was_made_and_nothing_else(hosts, others, playbook):
    def run(name, *arguments, changed):
        done = playbook(name, *arguments)
        assert done.returncode == 0, done.stdout
        assert len(re.findall(f"changed={changed} ", done.stdout)) == 2, done.stdout

    before = {host: everything(hosts[host]) for host in hosts}
    run("crosshost.ambassador.teardown", "--check", changed="[1-9][0-9]*")
    assert {host: everything(hosts[host]) for host in hosts} == before

    run("playbooks/teardown.yml", changed="[1-9][0-9]*")
    for name, host in hosts.items():
        assert host.check_output("docker ps -aq") == ""
        assert host.check_output("docker volume ls -q").split() == ["redis_server"] * (name == "vm1") + ["tests_volume"]
        assert sorted(host.check_output("docker network ls --format '{{.Name}}'").split()) == ["bridge", "host", "none", "tests_network"]
        assert not host.file("/var/lib/ambassador").exists
    # the images are still there, nothing else is
    run("site.yml", "--check", changed="[1-9][0-9]*")

    run("playbooks/teardown.yml", "--check", changed="0")
    purge = ["playbooks/teardown.yml", "--extra-vars=redis_server_purge=true"]
    assert playbook(*purge).returncode == 0
    assert hosts["vm1"].check_output("docker volume ls -q") == "tests_volume"
    run(*purge, changed="0")


SERIAL = """
- hosts: vm1:vm2
  gather_facts: false
  serial: 1
  vars:
    ambassador_links:
      there: {port: 6379, servers: vm2, clients: vm1, backend: "redis_server:6379", check: redis}
      back: {port: 6379, servers: vm1, clients: vm2, backend: "redis_server:6379", check: redis}
  roles:
    - crosshost.ambassador.redis_server
    - crosshost.ambassador.ambassador_server
    - crosshost.ambassador.ambassador_client
"""


def test_hosts_that_serve_each_other_are_deployed_one_after_the_other_and_proved_at_the_end(playbook, tmp_path):
    (tmp_path / "serial.yml").write_text(SERIAL)
    run = playbook(str(tmp_path / "serial.yml"))
    assert run.returncode == 0, run.stdout
    assert "= there vm1 -> vm2: proved when this run has reached its server hosts" in run.stdout, run.stdout
    # on vm1, by the last host
    assert re.search(r"TASK \[crosshost\.ambassador\.ambassador_client : Verify the links\].*?\nok: \[vm2 -> vm1", run.stdout, re.S), (
        run.stdout
    )
