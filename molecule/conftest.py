"""What the tests of all scenarios share: the two hosts, and a way to run Ansible as a user does."""

import json
import os
import pathlib
import subprocess

import pytest
import testinfra

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="session")
def hosts(request):
    """The scenario's hosts by name, reached as its inventory says."""
    options = request.config.option
    specs = options.hosts.split(",")
    found = testinfra.get_hosts(specs, ansible_inventory=options.ansible_inventory, force_ansible=options.force_ansible)
    return {spec.rpartition("/")[2]: host for spec, host in zip(specs, found, strict=True)}


@pytest.fixture(scope="session")
def vm1(hosts):
    return hosts["vm1"]


@pytest.fixture(scope="session")
def vm2(hosts):
    return hosts["vm2"]


@pytest.fixture(scope="session")
def playbook(request):
    """Runs a playbook of the collection against the scenario's inventory; returns the finished process."""

    def run(name, *arguments, inventory=request.config.option.ansible_inventory, **environment):
        return subprocess.run(
            ["ansible-playbook", f"--inventory={inventory}", name, *arguments],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def inspect(host, name):
    """Return what `docker inspect` says of a container on a host, a dict."""
    return json.loads(host.check_output("docker inspect %s", name))[0]


def everything(host):
    """Return all that Docker and the state directory hold on a host, but images: a sorted list of lines."""
    return host.check_output(
        "docker ps -aq --no-trunc; docker volume ls -q; docker network ls -q --no-trunc; "
        "find /var/lib/ambassador -printf '%%p %%l %%m %%T@\\n' 2>/dev/null | sort"
    ).splitlines()


def pytest_collection_modifyitems(items):
    """What holds in every scenario comes first: a scenario's own tests may leave the hosts changed."""
    items.sort(key=lambda item: "resources" not in item.path.parts)
