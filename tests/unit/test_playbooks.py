"""What the playbooks say where there is no host to ask."""

import hashlib
import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT


@pytest.mark.parametrize(
    ("playbook", "arguments", "said"),
    [
        ("site", [], "site: expected hosts in the groups VM1 and VM2, found none; give their inventory with -i"),
        ("status", [], "status: expected hosts in the groups VM1 and VM2, found none; give their inventory with -i"),
        ("teardown", [], "teardown: expected hosts in the groups VM1 and VM2, found none; give their inventory with -i"),
        ("revoke", [], "site: expected hosts in the groups VM1 and VM2, found none; give their inventory with -i"),
        ("move", [], "move: expected the link and the host that it leaves, found one missing; say -e move_link=… -e move_from=…."),
        ("move", ["-e", "move_link=redis", "-e", "move_from=vm9"], "move_from: expected a host of the inventory, found vm9; correct it"),
    ],
)
def test_a_run_without_its_hosts_fails_and_says_what_to_give(playbook, arguments, said):
    run = subprocess.run(
        ["ansible-playbook", f"{ROOT}/playbooks/{playbook}.yml", "-i", "/dev/null", *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert said in " ".join((run.stdout + run.stderr).split())


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
    said = " ".join((run.stdout + run.stderr).split())
    if is_loaded:
        assert run.returncode == 0, said
        assert (tmp_path / "log").read_text() == "docker_image_load docker_image_pull "
    else:
        assert run.returncode == 2, said
        assert not (tmp_path / "log").exists()
        assert said.count(
            f"Host vm1: the image archive {tmp_path}/images.tar has the checksum sha256:{RIGHT}, not {checksum}. Replace the archive, or"
            " correct ambassador_image_archive_checksum."
        ), said
        assert "expected to get the image" not in said
    # the copy is gone
    assert [path.name for path in tmp_path.rglob("*.tar")] == ["images.tar"]
