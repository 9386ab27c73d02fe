"""A container that is taken over puts links where the modules of a host, which run as root, expect its sockets, pipes, and answers."""

import contextlib
import os
import socket
import stat
import threading
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _haproxy as haproxy
from ansible_collections.crosshost.ambassador.plugins.module_utils import _nftables as nftables
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as observation
from conftest import named, run_module

OWNER = os.getuid()
REFUSED = "it is not what an ambassador creates there; its container may be taken over"


@pytest.fixture
def run(tmp_path):
    """The directory that a container writes to."""
    path = tmp_path / "client/run"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def victim(tmp_path):
    """A file of the host that the container does not reach."""
    path = tmp_path / "victim"
    path.write_text("secret")
    path.chmod(0o600)
    return path


def listen(path, answer=b"Success=1\n"):
    """Answer one connection on a Unix socket; return what was asked, a list."""
    listener, asked = socket.socket(socket.AF_UNIX), []
    listener.bind(str(path))
    listener.listen()

    def serve():
        connection = listener.accept()[0]
        with connection:
            asked.append(connection.makefile().read())
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return asked


def test_socket_of_a_container_is_asked_and_no_other_one(run, tmp_path):
    assert listen(run / "master.sock") == []
    assert haproxy.ask(str(run / "master.sock"), "reload") == "Success=1"
    asked = listen(tmp_path / "docker.sock")
    for place in ("link.sock", "hard.sock", "file.sock"):
        path = run / place
        {
            "link.sock": lambda path=path: path.symlink_to(tmp_path / "docker.sock"),
            "hard.sock": lambda path=path: os.link(tmp_path / "docker.sock", path),
            "file.sock": lambda path=path: path.write_text(""),
        }[place]()
        with pytest.raises(OSError, match=REFUSED):
            haproxy.ask(str(path), "reload")
    assert asked == []
    with pytest.raises(FileNotFoundError):
        haproxy.ask(str(run / "missing.sock"), "reload")


def test_answer_of_a_socket_has_an_end(run, monkeypatch):
    monkeypatch.setattr(endpoints, "MAX_ANSWER_BYTES", 100)
    listen(run / "master.sock", b"x" * 100)
    assert haproxy.ask(str(run / "master.sock"), "show stat") == "x" * 100
    (run / "master.sock").unlink()
    listen(run / "master.sock", b"x" * 101)
    with pytest.raises(OSError, match="the answer is too long"):
        haproxy.ask(str(run / "master.sock"), "show stat")


def test_answer_of_a_socket_comes_in_time(run):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "master.sock"))
    listener.listen()

    def drip():
        with listener.accept()[0] as connection, contextlib.suppress(BrokenPipeError):
            for _ in range(50):
                time.sleep(0.1)
                connection.sendall(b"x")

    threading.Thread(target=drip, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        haproxy.ask(str(run / "master.sock"), "show stat", timeout=1)
    assert time.monotonic() - begin < 4


def test_answer_that_never_ends_is_cut_in_time(run):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "master.sock"))
    listener.listen()

    def drip():
        with listener.accept()[0] as connection, contextlib.suppress(OSError):
            end = time.monotonic() + 4
            while time.monotonic() < end:
                connection.sendall(b"x")

    threading.Thread(target=drip, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        haproxy.ask(str(run / "master.sock"), "show stat", timeout=0.5)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "answer",
    [
        "{",
        "{}",
        '{"nftables": 1}',
        '{"nftables": [{"table": {"handle": 1, "comment": "../../secret"}}]}',
        '{"nftables": [{"table": {"handle": 1, "comment": ["0123456789ab"]}}]}',
        '{"nftables": [{"table": {"handle": "1", "comment": "0123456789ab"}}]}',
        '{"nftables": [{"table": {"handle": 1, "comment": "0123456789ab"}}, {"rule": {"comment": 1}}]}',
        '{"nftables": [{"table": {"handle": NaN, "comment": "0123456789ab"}}]}',
        '{"nftables": [{"table": {"handle": %s, "comment": "0123456789ab"}}]}' % ("9" * 1_000_000),
        '{"nftables": ' + "[" * 100_000,
        '{"nftables": []}\ntcp 6379 198.18.0.11 many 1',
        '{"nftables": []}\ntcp',
    ],
    ids=range(12),
)
def test_keeper_that_answers_something_unknown_is_one_that_does_not_answer(run, answer):
    (run.parent / "current").symlink_to("generations/0123456789ab")
    keep(run, lambda path: (path.with_suffix(".new").write_text(answer), path.with_suffix(".new").rename(path)))
    found = observation.side(str(run.parent))
    assert "the keeper answers something unknown" in found["error"]
    assert (found["running"], found["links"]) == (None, {})
    with contextlib.suppress(FileNotFoundError):
        os.unlink(run / "ask")
    keep(run, lambda path: (path.with_suffix(".new").write_text(answer), path.with_suffix(".new").rename(path)))
    # it reads no more than the name
    with contextlib.suppress(OSError):
        assert nftables.Nftables(str(run)).running() == "0123456789ab"


def keep(run, answer):
    """Read one line from the pipe, as the keeper does; then answer."""
    os.mkfifo(run / "ask")
    pipe = os.open(run / "ask", os.O_RDWR)

    def serve():
        name = os.read(pipe, 200).decode().split()[1]
        answer(run / name)

    threading.Thread(target=serve, daemon=True).start()


def test_answer_of_the_keeper_is_a_file_of_its_own(run):
    def answer(path):
        (run / "whole").write_text("Success=1\n")
        (run / "whole").rename(path)

    keep(run, answer)
    assert nftables.ask(str(run / "ask"), "reload", timeout=5) == "Success=1"
    assert os.listdir(run) == ["ask"]


@pytest.mark.parametrize(
    "linked", [lambda path, victim: path.symlink_to(victim), lambda path, victim: os.link(victim, path)], ids=["symlink", "hard link"]
)
def test_answer_of_the_keeper_tells_nothing_of_other_files(run, victim, linked):
    keep(run, lambda path: linked(path, victim))
    with pytest.raises(OSError, match="answer") as refused:
        nftables.ask(str(run / "ask"), "show", timeout=5)
    assert "secret" not in str(refused.value)
    assert victim.read_text() == "secret"
    assert os.listdir(run) == ["ask"]


@pytest.mark.parametrize(
    "linked", [lambda path, victim: path.symlink_to(victim), lambda path, victim: os.link(victim, path)], ids=["symlink", "hard link"]
)
def test_command_to_the_keeper_is_written_to_no_other_file(run, victim, linked):
    linked(run / "ask", victim)
    with pytest.raises(OSError, match="ask"):
        nftables.ask(str(run / "ask"), "show", timeout=5)
    assert victim.read_text() == "secret"


def test_symlink_in_the_directory_of_a_container_changes_no_directory_elsewhere(run, tmp_path):
    """Earlier releases created a directory for metrics there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    before = elsewhere.stat()
    run.chmod(0o700)
    (run / "metrics").symlink_to(elsewhere)
    generation = named({"haproxy.cfg": "one", "links.cfg": "@generation@"})
    assert run_module("generation", path=str(run.parent), state="staged", owner=OWNER, **generation)["changed"]
    each = run_module("private_directory", path=str(run / "metrics"), owner=OWNER, files={"app": "a password"})
    assert each["failed"], each
    assert each["msg"] == f"Cannot write {run}/metrics: it is a symbolic link or a file, and not a directory. Remove it.", each
    after = elsewhere.stat()
    assert (after.st_uid, stat.S_IMODE(after.st_mode), after.st_ino) == (before.st_uid, 0o755, before.st_ino)
    assert os.listdir(elsewhere) == []
