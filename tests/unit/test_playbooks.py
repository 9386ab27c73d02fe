"""The messages of playbooks without hosts."""

import hashlib
import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

NO_HOST = (
    "matches no host of the inventory. Give the inventory with -i, or name your groups, for example with -e ambassador_hosts=database:web"
)
NAMED = "move: the link, or the host that it leaves, is missing. Set -e move_link=… and -e move_from=…."
GROUPS = {"database": {"hosts": {"d1": None}}, "web": {"hosts": {"w1": None}}, "other": {"hosts": {"o1": None}}}


@pytest.fixture
def play(tmp_path):
    """Runs a playbook with an inventory; returns its exit code and all that it prints in one line."""

    def run(playbook, inventory, *arguments):
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory) if inventory else "")
        done = subprocess.run(
            [
                "ansible-playbook",
                f"{ROOT}/playbooks/{playbook}.yml",
                "-i",
                f"{tmp_path}/hosts.yml" if inventory else "/dev/null",
                *arguments,
            ],
            env={**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    return run


def inventory(variables=None, **groups):
    """Return an inventory whose hosts are processes of this machine."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    return {"all": {"vars": common | (variables or {})}, **(groups or GROUPS)}


@pytest.mark.parametrize(
    ("playbook", "groups"),
    [("site", None), ("move", None), *((name, GROUPS) for name in ("site", "status", "teardown", "revoke", "rollover", "move"))],
)
def test_playbook_without_hosts_fails_with_the_remedy(play, playbook, groups):
    code, output = play(playbook, groups and inventory(**groups))
    assert code != 0
    assert (NAMED if playbook == "move" else f"Pattern VM1:VM2 {NO_HOST}") in output
    # nothing else runs
    assert output.count("TASK [") == 1, output


@pytest.mark.parametrize(
    ("playbook", "variables", "arguments", "message"),
    [
        (
            "site",
            {"ambassador_hosts": "{{ servers }}:web", "servers": "database"},
            ["--limit", "o1"],
            "database:web matches no host within",
        ),
        ("site", {}, ["-e", "ambassador_hosts=databse"], f"Pattern databse {NO_HOST}"),
        ("site", {"ambassador_hosts": ["databse", "wbe"]}, [], f"Pattern databse:wbe {NO_HOST}"),
        (
            "move",
            {},
            ["-e", "move_link=redis", "-e", "move_from=vm9"],
            "move_from: vm9 is not a host of the inventory. Correct it",
        ),
        (
            "move",
            {"move_link": "redis", "move_from": "d1"},
            ["--limit", "o1"],
            "d1 is not a host of the inventory. Correct it, set the inventory with -i, or extend",
        ),
        ("move", {"move_link": "redis", "move_from": "d1"}, [], "move_link: redis is not a link of the map."),
    ],
)
def test_hosts_of_a_playbook_come_from_the_inventory_or_the_command(play, playbook, variables, arguments, message):
    code, output = play(playbook, inventory(variables), *arguments)
    assert code != 0
    assert message in output, output


def test_limit_without_an_inventory_is_refused(play):
    code, output = play("status", None, "--limit", "vm1")
    assert code != 0
    assert "Pattern VM1:VM2 matches no host within --limit vm1. Correct --limit" in output, output


def test_run_has_the_hosts_of_the_inventory(play):
    """The modules find no Docker Engine on them, which each of the hosts reports."""
    links = {"db": {"port": 5432, "servers": "database:web", "clients": "web", "backend": "db:5432"}}
    variables = {"ambassador_hosts": "database:web", "ambassador_links": links, "ambassador_docker": {"docker_host": "unix:///none"}}
    code, output = play("site", inventory(variables))
    assert code != 0
    assert "Host d1: the Docker Engine does not answer" in output, output
    assert "Host w1: the Docker Engine does not answer" in output, output
    assert "o1:" not in output.partition("PLAY RECAP")[0], output


ARCHIVE = b"images"
RIGHT = hashlib.sha256(ARCHIVE).hexdigest()
WRONG = "0" * 64


@pytest.mark.parametrize(
    ("checksum", "is_loaded"),
    [("", True), (f"sha256:{RIGHT.upper()}", True), (f"sha256:{WRONG}", False)],
    ids=["none", "right", "wrong"],
)
def test_host_loads_an_archive_of_images_only_with_the_checksum_of_the_inventory(tmp_path, checksum, is_loaded):
    # modules in place of those that use Docker: each lists its name
    for name in ("docker_container", "docker_image_load", "docker_image_pull"):
        module = tmp_path / f"collections/ansible_collections/community/docker/plugins/modules/{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"#!/usr/bin/python\n# WANT_JSON\nopen('{tmp_path}/log', 'a').write('{name} ')\nprint('{{}}')\n")
    (tmp_path / "images.tar").write_bytes(ARCHIVE)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": f"{tmp_path}/remote",
        "ambassador_image_archive": f"{tmp_path}/images.tar",
        "ambassador_image_archive_checksum": checksum,
        "ambassador_mesh": "default",
        "ambassador_network": "ambassador",
        "ambassador_state_dir": f"{tmp_path}/state",
        "__ambassador_engine_plan": {"image": {"missing": True, "untested": False}, "container": {"image": "haproxy:3.2.26"}},
    }
    tasks = [{"ansible.builtin.include_tasks": f"{ROOT}/roles/ambassador_engine/tasks/image.yml"}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "vm1", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    run = subprocess.run(
        ["ansible-playbook", f"{tmp_path}/play.yml", "-i", "vm1,"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path}/collections:{ROOT}/collections",
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    output = " ".join((run.stdout + run.stderr).split())
    if is_loaded:
        assert run.returncode == 0, output
        assert (tmp_path / "log").read_text() == "docker_image_load docker_image_pull "
    else:
        assert run.returncode == 2, output
        assert not (tmp_path / "log").exists()
        assert output.count(
            f"Host vm1: the image archive {tmp_path}/images.tar has the checksum sha256:{RIGHT}, not {checksum}. Replace the archive, or"
            " correct ambassador_image_archive_checksum."
        ), output
        assert "cannot be pulled. " not in output
    # the copy is gone
    assert [path.name for path in tmp_path.rglob("*.tar")] == ["images.tar"]
