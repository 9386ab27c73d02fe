"""A Redis moves from vm1 to vm3 and back, and what was acknowledged is there."""

import json
import re

import pytest
from conftest import PATIENT, as_user, inspect

MOVE = "playbooks/move.yml"
THERE = ["-e", "home=there", "-e", "move_link=redis", "-e", "move_from=vm1"]
ELSEWHERE = {"redis": {"port": 6379, "clients": "vm2", "targets": ["198.18.0.13:6379"], "check": "redis"}}
BACK = ["-e", "home=here", "-e", "move_link=redis", "-e", "move_from=vm3"]


def role(host):
    return host.check_output("docker exec redis_server redis-cli role").split()[0]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], "move: the link, or the host that it leaves, is missing."),
        (["-e", "move_link=redsi", "-e", "move_from=vm1"], "move_link: redsi is not a link of the map."),
        (
            [*THERE, "-e", json.dumps({"ambassador_links": ELSEWHERE})],
            "Link redis: move supports only links with the keys port and servers, without targets.",
        ),
        (
            ["-e", "move_link=redis", "-e", "move_from=vm1"],
            "Link redis, key servers: vm1 cannot be the new host of a link that leaves vm1.",
        ),
    ],
)
def test_what_cannot_be_moved_is_refused(playbook, said, sentence):
    run = playbook(MOVE, *said)
    assert run.returncode != 0
    assert sentence in " ".join(run.stdout.split()), run.stdout


# the map has no link to it yet
SECOND = """
- hosts: vm3
  gather_facts: false
  roles: [crosshost.ambassador.redis_server]
"""


def test_data_that_would_be_lost_stays(hosts, playbook, ask, tmp_path):
    (tmp_path / "second.yml").write_text(SECOND)
    assert playbook(str(tmp_path / "second.yml")).returncode == 0
    assert ask(hosts["vm3"], "app", "set", "mine", "1") == "OK"
    run = playbook(MOVE, *THERE)
    assert run.returncode != 0
    assert "has its own data (role master), and no replication with" in " ".join(run.stdout.split()), run.stdout
    assert ask(hosts["vm3"], "app", "get", "mine") == "1"
    assert role(hosts["vm1"]) == "master"
    assert ask(hosts["vm3"], "app", "del", "mine") == "1"


def test_a_move_loses_nothing_and_can_be_run_again(hosts, vm2, playbook, load, figures):
    consumer = inspect(vm2, "redis_client")
    rehearsal = playbook(MOVE, *THERE, "--check")
    assert rehearsal.returncode == 0, rehearsal.stdout
    assert role(hosts["vm3"]) == "master"

    # 5 s, for writes wait while the roles change
    redis_load = load("redis://redis:6379", PATIENT)
    run = playbook(MOVE, *THERE)
    assert run.returncode == 0, run.stdout
    redis_load.more(20)
    seen = redis_load.stop()["total"]
    figures("moved to another host", "redis", seen)
    assert (seen["lost"], seen["repeated"], seen["disordered"]) == (0, 0, 0)
    assert [role(hosts[name]) for name in ("vm1", "vm3")] == ["slave", "master"]
    assert inspect(vm2, "redis_client")["Id"] == consumer["Id"]
    assert inspect(vm2, "redis_client")["State"]["StartedAt"] == consumer["State"]["StartedAt"]

    again = playbook(MOVE, *THERE)
    assert again.returncode == 0, again.stdout
    assert again.stdout.count("changed=0") == 3, again.stdout
    assert playbook("site.yml", *THERE[:2]).stdout.count("changed=0") == 3


def test_site_in_the_place_of_move_is_taken_back(hosts, vm2, playbook):
    """After the one before: the master is on vm3, and the map as it stands leads to vm1, a replica."""
    run = playbook("site.yml")
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, run.stdout
    assert "link redis: expected a target that is up, as ambassador_client on vm2 sees it, found vm1" in said, said
    assert re.search(
        r"Generation [0-9a-f]{12}, which worked before this run, was put back on vm2\. The links of this generation are up\.", said
    ), said
    assert "= host vm3: ambassador_server serves what it served, until the next run that reaches vm2, which has failed" in said, said
    assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
    assert role(hosts["vm3"]) == "master"
    mended = playbook("site.yml", *THERE[:2])
    assert mended.returncode == 0, mended.stdout
    # what it had made on vm1 is gone again
    assert hosts["vm1"].run("docker inspect ambassador_server").rc == 1


def test_an_interrupted_move_goes_on(hosts, playbook, load):
    """After the one before: back to vm1, from the state between the two steps of the change."""
    for name in ("vm1", "vm3"):
        assert hosts[name].check_output(f"docker exec redis_server {as_user('operator', 'replicaof redis 6379')}").startswith("OK")
    run = playbook(MOVE, *BACK)
    assert run.returncode == 0, run.stdout
    assert [role(hosts[name]) for name in ("vm1", "vm3")] == ["master", "slave"]
    redis_load = load("redis://redis:6379", PATIENT)
    assert redis_load.stop()["total"]["failures"] == 0
