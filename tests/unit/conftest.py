"""The collection is importable by its full name from a plain clone, and its modules run as Ansible runs them."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time

import hypothesis
import pytest
from ansible.plugins.loader import init_plugin_loader

# a machine can be slow, so no example has a deadline
hypothesis.settings.register_profile("random", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
# `make test` draws the same examples each time: the same tree passes again
hypothesis.settings.register_profile("repeatable", hypothesis.settings.get_profile("random"), derandomize=True)
hypothesis.settings.register_profile("short", hypothesis.settings.get_profile("repeatable"), max_examples=10)
hypothesis.settings.load_profile("random")

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))
# as Ansible finds plugins by their full names
init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of what git holds, and a home of its own."""
    home = tmp_path_factory.mktemp("home")
    files = subprocess.check_output(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True).splitlines()
    for name in files:
        target = home / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return home / "clone"


def run_module(name, check=False, environment=None, **arguments):
    """Run a module of the collection in a process of its own; return what it says."""
    run = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.crosshost.ambassador.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(run.stdout)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=lambda umask: f"umask {umask:03o}")
def umask(request):
    """Run the test and its modules with an open, the usual, and a closed umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def named(files):
    """Return name and files of a generation: the name says the content, and stands in it."""
    name = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    return {"generation": name, "files": {file: content.replace("@generation@", name) for file, content in files.items()}}


class MasterCli(threading.Thread):
    """A program that answers on the socket of a master CLI. A subclass has ``reply``, which returns the answer to a command.

    :param pathlib.Path directory: the directory of the socket
    """

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.asked = []
        directory.mkdir(parents=True, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / "master.sock"))
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                command = connection.makefile().read().strip()
                self.asked.append(command)
                with contextlib.suppress(OSError):
                    connection.sendall(self.reply(command).encode())


class RecordedEngine(MasterCli):
    """What answers on a master CLI, as it was recorded.

    :param pathlib.Path side: the state directory of the side
    :param str name: name of the recording
    :param str run: the directory of its socket
    """

    def __init__(self, side, name, run="run"):
        text = (ROOT / f"tests/unit/answers/{name}.txt").read_text()
        self.answers = dict(re.findall(r"^> (.*)\n((?:(?!> ).*\n)*)", text, re.M))
        #: how long each answer takes
        self.seconds = 0
        super().__init__(side / run)

    def reply(self, command):
        time.sleep(self.seconds)
        return self.answers.get(command, f"Can't find the target PID matching the prefix '{command.split()[0]}'\n")


class FakeDockerBase(socketserver.ThreadingMixIn):
    """A Docker Engine that returns recorded answers, and status 404 for all other requests.

    :param address: where it listens
    """

    daemon_threads = True

    def __init__(self, address):
        #: path and query -> what is answered: anything that JSON knows, or the bytes themselves
        self.answers = json.loads((ROOT / "tests/unit/answers/docker.json").read_text())
        #: path and query -> status of an answer that is none of success
        self.failures = {}
        self.asked, self.connections = [], 0
        super().__init__(address, Questions)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class FakeDocker(FakeDockerBase, socketserver.UnixStreamServer):
    """The same on a Unix socket.

    :param pathlib.Path path: the socket
    """

    def __init__(self, path):
        self.path = path
        super().__init__(str(path))

    @property
    def environment(self):
        """The environment of a module that is to find it."""
        return {"DOCKER_HOST": f"unix://{self.path}"}


class FakeDockerOverTCP(FakeDockerBase, socketserver.TCPServer):
    """The same on a TCP port of the loopback interface.

    :param ssl.SSLContext | None context: the TLS context, for TLS
    """

    def __init__(self, context=None):
        self.context = context
        super().__init__(("127.0.0.1", 0))

    @property
    def url(self):
        """The URL to connect to."""
        return f"tcp://127.0.0.1:{self.server_address[1]}"

    def get_request(self):
        """Accept a connection. The first read does the TLS handshake, in the thread of the connection."""
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address):
        """Ignore a client that breaks off."""


class Questions(http.server.BaseHTTPRequestHandler):
    """The questions of one connection to it."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        """Count the connection."""
        super().setup()
        self.server.connections += 1

    def do_GET(self):
        """Answer."""
        self.server.asked.append(self.path)
        found = self.server.answers.get(self.path)
        status = self.server.failures.get(self.path, 200 if found is not None else 404)
        content = found if isinstance(found, bytes) else json.dumps(found if found is not None else {"message": "no such thing"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def docker(tmp_path_factory):
    """A Docker Engine that answers as version 26.1 does."""
    with FakeDocker(tmp_path_factory.mktemp("docker") / "docker.sock") as found:
        yield found
        found.shutdown()
