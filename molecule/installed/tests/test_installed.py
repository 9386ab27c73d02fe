"""The tarball alone, in somebody else's playbook: their names, their network, their container."""

import json
import os
import re
import subprocess

import pytest
from conftest import inspect

DIRECTORY = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "")


def ansible(*command):
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{DIRECTORY}/collections"}
    ).stdout


def test_the_collection_that_ran_is_the_installed_one():
    found = json.loads(ansible("ansible-galaxy", "collection", "list", "crosshost.ambassador", "--format=json"))
    assert list(found) == [f"{DIRECTORY}/collections/ansible_collections"]


@pytest.fixture
def asked(ask):
    """Returns the run_id of the Redis that a container reaches, as a consumer."""

    def run(host, container, *more):
        return re.search("run_id:.*", ask(host, "app", "info", "server", container=container, more=more))[0]

    return run


def test_a_consumer_of_their_own_reaches_the_store_by_its_alias(vm1, vm2, asked):
    assert asked(vm2, "application", "-h", "redis") == asked(vm1, "store")


def test_owners_and_modes_do_not_depend_on_the_umask(vm1, vm2):
    for host, side in ((vm1, "server"), (vm2, "client")):
        state = "/var/lib/ambassador"
        public = f"{state} {state}/{side}/generations {state}/{side}/current/"
        assert set(host.check_output(f"stat -c '%U %a' {public}").splitlines()) == {"root 755"}
        assert host.check_output(f"stat -c '%U %g %a' {state}/{side}") == "root 99 750"
        assert set(host.check_output(f"stat -c '%U %a' {state}/{side}/current/*").splitlines()) == {"root 644"}
        assert host.check_output(f"stat -c '%u %a' {state}/identity {state}/identity/key.pem").splitlines() == ["0 750", "99 600"]


def test_a_second_link_has_ports_of_its_own(vm1, vm2, asked):
    assert asked(vm2, "application", "-h", "queue", "-p", "7000") == asked(vm1, "store")
    assert vm1.check_output("ss -Hltn 'sport = :7001' | wc -l") == "1"


def test_a_program_outside_containers_uses_the_local_port(vm2):
    ping = "import socket; s = socket.create_connection(('127.0.0.1', 7002)); s.sendall(b'PING\\r\\n'); print(s.recv(9))"
    assert vm2.check_output("python3 -c %s", ping) == "b'+PONG\\r\\n'"


def test_their_network_is_left_as_it_is(vm1, vm2):
    for host in (vm1, vm2):
        assert host.check_output("docker network inspect --format '{{json .Labels}}' backbone") == "{}"


def test_all_is_on_their_network(vm1, vm2):
    for host, name in ((vm1, "store"), (vm1, "ambassador_server"), (vm2, "ambassador_client"), (vm2, "application")):
        assert list(inspect(host, name)["NetworkSettings"]["Networks"]) == ["backbone"]


def test_their_variables_stay_theirs(vm2):
    assert "THEIRS=theirstheirstheirs" in inspect(vm2, "application")["Config"]["Env"]


DOCUMENTED = {
    "role": ["redis_server", "ambassador_server", "ambassador_client", "redis_client", "ambassador_engine"],
    "module": [
        "ambassador_info",
        "change_ca",
        "close_connections",
        "generation",
        "meshes_info",
        "observation_info",
        "plan",
        "private_directory",
        "record",
        "sign_certificate",
        "status",
        "variable_files",
        "verify_links",
    ],
    "filter": [
        "behind",
        "in_mesh",
        "link_variables",
        "meshes",
        "proof",
        "ranged",
        "redis_files",
        "redis_proof",
        "said_once",
        "wiring",
    ],
    "lookup": ["hash_key", "redis_passwords", "trusted"],
}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_everything_has_documentation(kind):
    names = [f"crosshost.ambassador.{name}" for name in DOCUMENTED[kind]]
    documented = json.loads(ansible("ansible-doc", f"--type={kind}", "--json", *names))
    for name in names:
        assert documented[name]["entry_points"]["main"]["options"] if kind == "role" else documented[name]["return"]


def test_the_playbook_runs_by_its_full_name(playbook, tmp_path):
    (tmp_path / "ansible.cfg").touch()
    run = playbook(
        "crosshost.ambassador.site",
        "--check",
        "--extra-vars=ambassador_registry=",
        ANSIBLE_COLLECTIONS_PATH=f"{DIRECTORY}/collections",
        ANSIBLE_CONFIG=str(tmp_path / "ansible.cfg"),
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "PLAY [Deploy the links]" in run.stdout
