"""A map that is missing or differs is never taken for the wish to remove; who has nothing to do with links is left alone."""

import json
import re
import subprocess

import pytest
import yaml
from conftest import ROOT, everything

LINK = {"port": 6379, "servers": "VM1", "clients": "VM2", "backend": "redis_server:6379"}
COMMON = yaml.safe_load((ROOT / "inventory/hosts.yml").read_text())["all"]["vars"]
CONTROLLER = str(ROOT / "inventory" / ".ambassador")


@pytest.fixture(scope="module", autouse=True)
def deployed(playbook):
    """The chain, whatever the tests before have left of it."""
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout


@pytest.fixture
def inventory(tmp_path):
    """Writes an inventory of the two hosts, without the map of the clone; returns its path."""

    def write(vm1=None, vm2=None, directory="inventory", **common):
        path = tmp_path / directory / "hosts.yml"
        path.parent.mkdir()
        hosts = {"VM1": {"hosts": {"vm1": vm1 or {}}}} if vm1 is not False else {}
        hosts |= {"VM2": {"hosts": {"vm2": vm2 or {}}}} if vm2 is not False else {}
        path.write_text(yaml.safe_dump({"all": {"vars": COMMON | common}, **hosts}))
        return str(path)

    return write


@pytest.fixture
def refuse(hosts, playbook):
    """Runs site.yml, which must fail and change nothing; returns what it said, in one line."""

    def run(inventory, *arguments):
        before = {name: everything(host) for name, host in hosts.items()}
        done = playbook("site.yml", *arguments, inventory=inventory)
        assert done.returncode != 0, done.stdout
        assert {name: everything(host) for name, host in hosts.items()} == before
        return re.sub(r"\s+", " ", done.stdout + done.stderr)

    return run


def test_a_map_that_is_not_defined_removes_nothing(inventory, refuse):
    said = refuse(inventory(ambassador_link={"redis": LINK}, ambassador_controller_dir=CONTROLLER))
    assert "Host vm1: the variable ambassador_links is not defined, but the host has links redis." in said, said
    assert "Rename the variable ambassador_link to ambassador_links, or set ambassador_links to {} to remove all links." in said


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (
            {"redis": LINK | {"port": 6380}},
            "Link redis, key port: the value is 6380 on host vm2, and 6379 on host vm1.",
        ),
        (None, "Variable ambassador_links: host vm1 has the map, and host vm2 has none."),
    ],
    ids=["another port", "none"],
)
def test_maps_that_differ_between_hosts(inventory, refuse, theirs, found):
    vm2 = {"ambassador_links": theirs} if theirs else {}
    said = refuse(inventory({"ambassador_links": {"redis": LINK}}, vm2, ambassador_controller_dir=CONTROLLER))
    assert found in said or "Host vm2: the variable ambassador_links is not defined, but the host has" in said, said


def test_hosts_of_two_inventories_come_to_one_controller(inventory, refuse):
    one = inventory(vm2=False, directory="site_a", ambassador_links={"redis": LINK})
    two = inventory(vm1=False, directory="site_b", ambassador_links={"redis": LINK})
    said = refuse(one, f"--inventory={two}")
    assert "Variable ambassador_controller_dir: the directory is " in said, said
    assert "site_a/.ambassador" in said
    assert "site_b/.ambassador" in said


@pytest.fixture
def bare():
    """A host of the lab without a Docker Engine that answers."""
    subprocess.run(["docker", "exec", "vm3", "engine", "stop"], check=True, capture_output=True)
    yield "vm3"
    subprocess.run(["docker", "exec", "vm3", "engine", "start"], check=True, capture_output=True)


def test_a_host_that_no_link_names_is_left_alone(playbook, tmp_path, bare):
    more = tmp_path / "more.yml"
    more.write_text(yaml.safe_dump({"all": {"hosts": {bare: {}}}}))
    run = playbook("site.yml", f"--inventory={more}", "-e", "ambassador_hosts=all")
    assert run.returncode == 0, run.stdout
    assert re.search(rf"^{bare} .*changed=0 .*failed=0", run.stdout, re.M)


def test_an_inventory_without_the_groups_is_refused(playbook, tmp_path):
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"web": {"hosts": {"vm1": COMMON}}}))
    run = playbook("site.yml", inventory=str(tmp_path / "hosts.yml"))
    assert run.returncode != 0
    assert "Pattern VM1:VM2 matches no host of the inventory. Give the inventory with -i, or name your groups" in " ".join(
        run.stdout.split()
    )
    assert re.findall(r"^(\S+) +: .*changed=0", run.stdout, re.M) == ["vm1"]


def test_what_a_run_removes_is_said_before(playbook):
    run = playbook("site.yml", "--check", "-e", json.dumps({"ambassador_links": {"other": LINK}, "redis_client_link": "other"}))
    said = " ".join((run.stdout + run.stderr).split())
    assert "- redis vm2 -> vm1, up, 0 connections" in said, said
    assert "host vm2: this run removes 1 of the 1 links of its client side (redis)." in said, said
