"""The haproxy engine: its input, its reload, and what it does when the backend goes away."""

import json
import re

from conftest import engine, everything, inspect


def test_show_env_prints_the_link_variable_with_the_address_of_vm1(vm1, vm2):
    address = vm1.check_output("ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")
    assert f"REDIS_PORT_6379_TCP=tcp://{address}:6379" in engine(vm2, "client", "@1 show env").splitlines()


def test_the_variable_is_the_input_change_it_by_hand_and_traffic_moves(vm1, vm2, playbook):
    links = "/var/lib/ambassador/client/current/links.cfg"
    vm2.check_output("sed -i 's/\\(REDIS_PORT_6379_TCP_PORT\\) .*/\\1 6380/' %s", links)
    assert engine(vm2, "client", "reload").startswith("Success=1")
    assert "PONG" not in vm2.run("docker exec redis_client redis-cli -h redis ping").stdout

    mended = playbook("site.yml", "--limit=vm2", "--diff")
    assert mended.returncode == 0, mended.stdout
    assert "-    setenv REDIS_PORT_6379_TCP_PORT 6380" in mended.stdout
    assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"


def test_a_change_is_a_reload_and_no_container_is_touched(hosts, vm1, playbook):
    before = {name: everything(host)[:2] for name, host in hosts.items()}
    started = inspect(vm1, "ambassador_server")["State"]["StartedAt"]
    links = {"redis": {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379", "check": "redis"}}
    changed = playbook("site.yml", f"--extra-vars={json.dumps({'ambassador_links': links})}")
    assert changed.returncode == 0, changed.stdout
    assert "tcp-check send PING" in vm1.file("/var/lib/ambassador/server/current/haproxy.cfg").content_string
    generation = vm1.check_output("basename $(readlink /var/lib/ambassador/server/current)")
    assert engine(vm1, "server", "@1 show env AMBASSADOR_GENERATION").strip() == f"AMBASSADOR_GENERATION={generation}"
    assert {name: everything(host)[:2] for name, host in hosts.items()} == before
    assert inspect(vm1, "ambassador_server")["State"]["StartedAt"] == started
    assert playbook("site.yml").returncode == 0


def test_old_workers_do_not_live_through_any_number_of_reloads(vm2):
    """Each has a connection of its own, that somebody holds."""
    hold = "exec 3<>/dev/tcp/redis/6379; sleep 600"
    workers = "docker top ambassador_client -eo pid,args | grep -c ' haproxy -'"
    try:
        for _ in range(25):
            vm2.check_output("docker exec -d redis_client bash -c %s", hold)
            assert engine(vm2, "client", "reload").startswith("Success=1")
        # the master, the current worker, and those that live through 20 more
        assert 10 < int(vm2.check_output(workers)) <= 22
        assert "as it exceeds max reloads (20)" in vm2.check_output("docker logs --tail 200 ambassador_client 2>&1")
        assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
    finally:
        vm2.check_output("docker restart -t 1 redis_client")


def test_a_host_that_cannot_be_reached_does_not_hold_up_the_others(playbook, tmp_path):
    (tmp_path / "more.yml").write_text("VM2: {hosts: {gone: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}}")
    run = playbook("site.yml", f"--inventory={tmp_path}/more.yml")
    assert run.returncode == 4, run.stdout
    assert re.search(r"^vm1 .*failed=0", run.stdout, re.M)
    assert re.search(r"^vm2 .*failed=0", run.stdout, re.M)
    assert re.search(r"^gone .*unreachable=1", run.stdout, re.M)


def test_a_backend_that_comes_back_with_another_address_is_followed(vm1, vm2):
    before = inspect(vm1, "redis_server")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    # another container takes the address meanwhile
    image = inspect(vm1, "redis_server")["Image"]
    vm1.check_output("docker stop redis_server")
    vm1.check_output(
        "docker run -d --name tests_squatter --network ambassador --ip %s %s sleep 300 2>/dev/null || "
        "docker run -d --name tests_squatter --network ambassador %s sleep 300",
        before,
        image,
        image,
    )
    vm1.check_output("docker start redis_server")
    assert inspect(vm1, "redis_server")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"] != before
    try:
        vm2.check_output(
            "for i in $(seq 100); do docker exec redis_client redis-cli -h redis ping | grep -q PONG && exit 0; sleep 0.1; done; exit 1"
        )
    finally:
        vm1.check_output("docker rm -fv tests_squatter")


def test_what_a_new_port_costs_is_said_before_anything_is_changed(playbook):
    links = {"redis": {"port": 6379, "publish": 6380, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}}
    rehearsal = playbook("site.yml", "--check", f"--extra-vars={json.dumps({'ambassador_links': links})}")
    said = re.sub(r"\s+", " ", rehearsal.stdout)
    assert re.search(r"\+ container ambassador_server_2 on vm1, to publish \S+:6380:6380", said), said
    assert "is made anew" not in said
