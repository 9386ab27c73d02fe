"""Deploys the scenario default on two hosts of the lab, tries it, and takes it down, as `tests/hosts` and `tests/versions` do in turns."""

import os
import pathlib
import re
import shutil
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = (
    "molecule/resources/tests",
    "molecule/resources/secrets",
    "molecule/default/tests/test_haproxy.py::test_a_backend_that_comes_back_with_another_address_is_followed",
)


def take_what_is_locked():
    """Have Ansible take the settings of the clone, and no collection from elsewhere but those that are locked."""
    os.environ.update(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_COLLECTIONS_PATH=str(ROOT / "collections"))


def run(*command, **more):
    """Run a command. Return the finished process, with its whole output in `stdout`."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)


def must(*command, **more):
    """Run a command that must succeed. Return its output."""
    done = run(*command, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])}: {done.stdout[-3000:]}")
    return done.stdout


def write_inventory(directory, hosts, **variables):
    """Write the inventory of the clone, with two hosts of the lab as vm1 and vm2, and with more variables."""
    shutil.copytree(ROOT / "inventory/group_vars", directory / "group_vars")
    inventory = yaml.safe_load((ROOT / "inventory/hosts.yml").read_text())
    inventory["all"]["vars"] |= variables
    for group, name, host in zip(("VM1", "VM2"), ("vm1", "vm2"), hosts, strict=True):
        inventory[group]["hosts"] = {name: {"ansible_host": host}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))


def left_on(host):
    """Return what a run has left on a host: nothing where it was refused before it changed anything."""
    return must("docker", "exec", host, "sh", "-c", "docker ps -aq; docker volume ls -q; ls -d /var/lib/ambassador* 2>/dev/null || true")


def result_of(hosts, directory):
    """Deploy the scenario.

    :return: whether it passes or is refused as it must be, and the words for the page
    """
    done = run("ansible-playbook", f"--inventory={directory}", "site.yml")
    if done.returncode == 0:
        tests = run(
            *("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS),
            *(f"--ansible-inventory={directory}", "--hosts=ansible://vm1,ansible://vm2"),
        )
        end = run("ansible-playbook", f"--inventory={directory}", "playbooks/teardown.yml", "--extra-vars=redis_server_purge=true")
        left = "".join(left_on(host) for host in hosts)
        if tests.returncode == end.returncode == 0 and not left:
            return True, "passes"
        print(tests.stdout[-6000:], end.stdout[-2000:], left)
        return False, "**fails**"
    refusals = set(re.findall(r"Action failed: host vm\d: (expected a Docker Engine .*)", done.stdout))
    changed = set(re.findall(r" changed=(\d+) ", done.stdout))
    if len(refusals) != 1 or changed != {"0"} or any(left_on(host) for host in hosts):
        print(done.stdout[-6000:])
        return False, "**fails**"
    return True, f"refused: {refusals.pop()}"
