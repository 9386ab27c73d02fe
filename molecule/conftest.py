"""What the tests of all scenarios share: the two hosts, and a way to run Ansible as a user does."""

import json
import os
import pathlib
import subprocess

import pytest
import testinfra
import yaml

ROOT = pathlib.Path(__file__).parents[1]
# new connections a second: the fewer, the less a machine of two processors is busy with itself
RATE = 20 if os.environ.get("FIGURES") else 10
# of a consumer: what must not fail at all is told apart from what a busy machine, or a packet sent again, is late with
PATIENT = "--timeout 5"
FAILURES = ROOT / ".cache" / "failures"
FIGURES = """\
# Effect of changes and failures on clients

`make figures` writes this page with the scenarios `live` and `move`.
Clients on vm2 open 20 connections per second, and keep two connections open.

- A failure is an attempt without an answer, or with a wrong answer.
- The longest gap is the longest time between two answers.
  It includes the timeout of the client if a server does not answer.
- Most events change the link `redis`.
  The rows of `postgresql` show the effect on another link of the same hosts.

| event | link | attempts | failures | longest gap, ms | long connections broken | writes acknowledged | lost |
|---|---|---|---|---|---|---|---|
"""


def pytest_runtest_logreport(report):
    """Keep what failed, for the last lines of `make scenarios`: an hour of output hides it."""
    if report.failed:
        FAILURES.parent.mkdir(exist_ok=True)
        lines = report.longreprtext.splitlines()
        # what a playbook said is far above the end of a failed assertion, which shows its recap
        fatal = [line for line in lines if "fatal: [" in line or "[ERROR]" in line]
        with FAILURES.open("a", encoding="utf-8") as file:
            file.write("\n".join([f"failed: {report.nodeid} ({report.when})", *fatal[-4:], *lines[-4:], ""]))


@pytest.fixture(scope="session")
def hosts(request):
    """The scenario's hosts by name, reached as its inventory says."""
    options = request.config.option
    specs = options.hosts.split(",")
    found = testinfra.get_hosts(specs, ansible_inventory=options.ansible_inventory, force_ansible=options.force_ansible)
    for host in found:
        host.backend.run = begun(host.backend.run)
    return {spec.rpartition("/")[2]: host for spec, host in zip(specs, found, strict=True)}


def begun(run):
    """Wrap a backend's `run`: a command that Docker could not even begin, which happens once in thousands, is begun again."""

    def again(*arguments, **options):
        for _ in range(3):
            done = run(*arguments, **options)
            if done.rc != 126 or not done.stdout.startswith("OCI runtime exec failed"):
                break
        return done

    return again


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


@pytest.fixture(scope="session")
def converged(playbook):
    """Runs what the scenario's converge has run, again, with more options."""
    directory = pathlib.Path(os.environ.get("MOLECULE_SCENARIO_DIRECTORY", ROOT / "molecule" / "default"))
    said = (yaml.safe_load((directory / "molecule.yml").read_text()) or {}).get("ansible", {})
    own = directory / "converge.yml"
    arguments = [os.path.expandvars(each) for each in said.get("executor", {}).get("args", {}).get("ansible_playbook", [])]
    inventories = [each.partition("=")[2] for each in arguments if each.startswith("--inventory=")]
    environment = {name: os.path.expandvars(value) for name, value in said.get("env", {}).items()}
    environment |= {"inventory": inventories[0]} if inventories else {}
    return lambda *more: playbook(str(own) if own.exists() else "site.yml", *arguments, *more, **environment)


@pytest.fixture(scope="session")
def passwords(request):
    """Reads the passwords that the controller keeps, of the scenario's inventory: a dict of user and password."""

    def read():
        inventory = pathlib.Path(request.config.option.ansible_inventory)
        files = (inventory / ".ambassador").glob("redis_*.password")
        return {file.stem.removeprefix("redis_"): file.read_text().rstrip("\n") for file in files}

    return read


def as_user(user, command, more=""):
    """Return the words of a shell on a host that run a command of Redis as a user whose password lies in the container."""
    return f"sh -c 'redis-cli {more} --user {user} --askpass {command} < /etc/ambassador/{user}'"


@pytest.fixture(scope="session")
def ask(passwords):
    """Asks Redis in a container of a host, as any user; the password comes from the controller, over standard input."""

    def run(host, user, *command, container="redis_server", more=()):
        name = host.check_output("hostname")
        done = subprocess.run(
            ["docker", "exec", "-i", name, "docker", "exec", "-i", container, "redis-cli", *more, "--user", user, "--askpass", *command],
            input=passwords()[user] + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        return (done.stdout + done.stderr).strip()

    return run


class Load:
    """A consumer of its own on a host: see lab/images/client/load. Redis it asks as the user that redis_client there is.

    :param host: the testinfra host
    :param str url: what it consumes, e.g. ``redis://redis:6379``
    :param str options: further options of `load`
    :param bool outside: in the network of vm2, but not on its Docker Engine, so that it outlives that one
    :param str client: the container of the client side
    """

    def __init__(self, host, url, options="", outside=False, client="ambassador_client"):
        self.host, self.name = host, "load_" + url.partition(":")[0]
        if outside:
            self.host, network, image = testinfra.get_host("local://"), "container:vm2", "crosshost-lab/client"
        else:
            network = inspect(host, client)["HostConfig"]["NetworkMode"]
            image = lab_image(host, container=client)
        self.remove()  # one that a failed test left
        docker = f"docker run -d --read-only --name {self.name} --network {network}"
        if url.startswith("redis:"):
            docker += " --user 999:999 --volume /var/lib/ambassador/redis_client:/etc/ambassador:ro"
            options += " --user app --password-file /etc/ambassador/app"
        self.host.check_output(f"{docker} {image} load {url} --rate {RATE} --seconds 900 {options}")
        self.more(RATE)

    def more(self, attempts):
        """Wait until it has made so many more attempts."""
        count = f"docker exec {self.name} cat /dev/shm/attempts"
        until(self.host, f"test $({count} || echo 0) -ge {int(self.host.run(count).stdout or 0) + attempts}")

    def mark(self):
        """Begin a new window of its figures."""
        self.host.check_output(f"docker kill -s USR1 {self.name}")

    def stop(self):
        """End it; return its figures: a dict with `total` and the list `windows`."""
        self.host.check_output(f"docker stop -t 60 {self.name}")
        said = self.host.check_output(f"docker logs {self.name}")
        self.remove()
        return json.loads(said)

    def remove(self):
        """Remove its container."""
        self.host.run(f"docker rm -f {self.name}")


@pytest.fixture
def load(vm2):
    """Starts consumers on vm2: see Load."""
    started = []

    def start(url, options="", **more):
        started.append(Load(vm2, url, options, **more))
        return started[-1]

    yield start
    for one in started:
        one.remove()


@pytest.fixture
def figures(request):
    """Prints what consumers saw, a line each, and adds it to the file that the variable FIGURES names."""

    def say(what, link, seen):
        columns = ("attempts", "failures", "longest_gap_ms", "long_dropped", "acknowledged", "lost")
        row = " | ".join([what, link, *(str(round(seen[column])) for column in columns)])
        print(f"| {row} |")
        if path := os.environ.get("FIGURES"):
            file = ROOT / path
            file.parent.mkdir(exist_ok=True)
            file.write_text((file.read_text() if file.exists() else FIGURES) + f"| {row} |\n")

    return say


def lab_image(host, name="client:lab", container="ambassador_client"):
    """Return the name of an image of the lab, of the registry that a container of a host came from."""
    return inspect(host, container)["Config"]["Image"].rpartition("/")[0] + f"/{name}"


def untouched(seen):
    """Tell whether a consumer saw nothing at all: no failure, no broken connection, nothing lost."""
    return (seen["failures"], seen["long_dropped"], seen["lost"], seen["repeated"], seen["disordered"]) == (0, 0, 0, 0, 0)


def until(host, condition):
    """Wait until a shell command succeeds on a host, 30 s at most."""
    host.check_output(f"for i in $(seq 300); do if {condition}; then exit 0; fi; sleep 0.1; done 2>/dev/null; exit 1")


def engine(host, side, command):
    """Return what HAProxy says to a command on the master CLI of an ambassador, on its host."""
    return host.check_output(
        "python3 -c %s",
        "import socket; s = socket.socket(socket.AF_UNIX); "
        f"s.connect('/var/lib/ambassador/{side}/run/master.sock'); s.sendall({command!r}.encode() + b'\\n'); "
        "s.shutdown(socket.SHUT_WR); print(s.makefile().read())",
    )


def inspect(host, name):
    """Return what `docker inspect` says of a container on a host, a dict."""
    return json.loads(host.check_output("docker inspect %s", name))[0]


def everything(host):
    """Return all that Docker and the state directory hold on a host, but images: a sorted list of lines."""
    return host.check_output(
        "docker ps -aq --no-trunc; docker volume ls -q; docker network ls -q --no-trunc; "
        "find /var/lib/ambassador -printf '%p %l %m %T@\\n' 2>/dev/null | sort"
    ).splitlines()


def pytest_collection_modifyitems(items):
    """What holds in every scenario comes first: a scenario's own tests may leave the hosts changed."""
    items.sort(key=lambda item: "resources" not in item.path.parts)
