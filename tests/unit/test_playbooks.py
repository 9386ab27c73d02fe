"""What the playbooks say where there is no host to ask."""

import os
import subprocess

import pytest
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
