"""The figures of the lab's load generator, and that it would see a loss; no server is asked."""

import subprocess
import sys
import threading
import types

import pytest
from conftest import ROOT

PATH = ROOT / "lab/images/client/load"
load = types.ModuleType("load")  # not imported: the compiled file would lie in the image's directory
exec(compile(PATH.read_text(), PATH, "exec"), load.__dict__)


def ok(number, end, server="a", took=0.01):
    return load.Event(end - took, end, None, server, number)


def failed(number, end, error="ConnectionError: refused", took=0.01):
    return load.Event(end - took, end, error, None, number)


def figures(short=(), long=(), found=(), begin=0, end=10):
    return load.figures(begin, end, short, long, found)


@pytest.mark.parametrize(
    ("acknowledged", "found", "lost", "repeated", "disordered"),
    [
        ([1, 2, 3], [1, 2, 3], 0, 0, 0),
        ([], [], 0, 0, 0),
        ([1, 2, 3], [], 3, 0, 0),
        ([1, 2, 3], [1, 3], 1, 0, 0),
        ([1, 2, 3], [1, 2, 2, 3, 3, 3], 0, 3, 0),
        ([1, 2, 3], [2, 1, 3], 0, 0, 1),
        ([1, 2, 3], [3, 2, 1], 0, 0, 2),
        ([1, 2, 3], [1, 2, 3, 1], 0, 1, 0),
        ([1, 2, 3, 4], [3, 1, 1], 2, 1, 1),
        ([1, 3], [1, 2, 3], 0, 0, 0),
        ([1, 3], [2, 1, 3, 2], 0, 0, 0),
    ],
    ids=["all", "none", "all lost", "one lost", "repeated", "swapped", "reversed", "late again", "all at once", "not acknowledged", "late"],
)
def test_what_is_wrong_with_the_acknowledged_numbers(acknowledged, found, lost, repeated, disordered):
    assert load.verify(acknowledged, found) == {"lost": lost, "repeated": repeated, "disordered": disordered}


def test_a_failed_write_is_not_acknowledged():
    told = figures([ok(1, 1), failed(2, 2), ok(3, 3)], found=[1])
    assert (told["attempts"], told["failures"], told["acknowledged"], told["lost"]) == (3, 1, 2, 1)


def test_reads_acknowledge_nothing():
    told = figures([ok(None, 1), ok(None, 2)])
    assert (told["attempts"], told["acknowledged"], told["lost"]) == (2, 0, 0)


def test_a_server_that_cannot_be_asked_is_not_taken_for_one_without_losses():
    told = figures([ok(1, 1)], found=None)
    assert (told["lost"], told["repeated"], told["disordered"]) == (None, None, None)


def test_the_longest_gap_is_between_the_ends_of_successes():
    assert figures([ok(1, 1), failed(2, 2), ok(3, 4), ok(4, 5)], end=5)["longest_gap_ms"] == 3000


@pytest.mark.parametrize(("short", "gap"), [([], 10000), ([ok(1, 1)], 9000), ([ok(1, 7), ok(2, 9)], 7000)])
def test_an_outage_at_the_windows_ends_is_one(short, gap):
    assert figures(short)["longest_gap_ms"] == gap


def test_the_slowest_is_the_slowest_success():
    assert figures([ok(1, 1, took=0.25), failed(2, 3, took=1), ok(3, 4)])["slowest_ms"] == 250


def test_the_first_errors_are_told():
    told = figures([failed(number, number / 2, f"E: {number}", took=0.1) for number in range(1, 15)])
    assert told["failures"] == 14
    assert len(told["errors"]) == 10
    assert told["errors"][0] == {"at": 0.5, "ms": 100, "error": "E: 1"}


def test_servers_are_told_in_the_order_of_their_first_answers():
    told = figures([ok(1, 1, "b"), failed(2, 2), ok(3, 3, "a"), ok(4, 4, "b"), ok(5, 5, "a")])
    assert told["servers"] == [{"at": 1, "server": "b"}, {"at": 3, "server": "a"}]


def test_long_connections_are_opened_and_dropped():
    told = figures(long=[load.Event(0, 0.1), load.Event(1, 2, "TimeoutError: x"), load.Event(2, 2.1)])
    assert (told["long_opened"], told["long_dropped"]) == (2, 1)
    assert told["drops"] == [{"at": 2, "ms": 1000, "error": "TimeoutError: x"}]


def test_each_window_has_figures_of_what_ended_in_it():
    short = [ok(1, 1), ok(2, 2), failed(3, 5.5, took=1), ok(4, 7, "b"), ok(5, 9, "b")]
    told = load.report(10, [5, 8], short, [load.Event(0, 0.1), load.Event(5, 6, "E")], [1, 2, 5])
    assert [(window["begin"], window["end"]) for window in told["windows"]] == [(0, 5), (5, 8), (8, 10)]
    for key, parts in {
        "attempts": [2, 2, 1],
        "failures": [0, 1, 0],
        "acknowledged": [2, 1, 1],
        "lost": [0, 1, 0],
        "long_dropped": [0, 1, 0],
    }.items():
        assert [window[key] for window in told["windows"]] == parts
        assert told["total"][key] == sum(parts)
    assert [window["longest_gap_ms"] for window in told["windows"]] == [3000, 2000, 1000]
    assert told["total"]["longest_gap_ms"] == 5000


def test_a_run_without_marks_has_one_window():
    told = load.report(10, [], [ok(1, 1)], [], [1])
    assert told["windows"] == [told["total"]]


class Server:
    """Keeps every number but those it forgets; fails as it is told to; does what is due at an attempt."""

    def __init__(self, forgets=(), refuses=(), breaks=()):
        self.forgets, self.refuses, self.breaks = forgets, refuses, list(breaks)
        self.kept, self.opened, self.closed = [], 0, 0

    def connect(self):
        self.opened += 1
        return self

    def write(self, name, number):
        if number in self.refuses:
            raise ConnectionError(f"no\nto {number}")
        if number not in self.forgets:
            self.kept.append(number)
        return "fake"

    def read(self):
        if self.breaks:
            raise self.breaks.pop()
        return "fake"

    def close(self):
        self.closed += 1


def run_until(run, work, enough):
    """Let a thread of a run work until there is enough."""
    thread = threading.Thread(target=work)
    thread.start()
    while not enough():
        run.stopping.wait(0.01)
    run.stopping.set()
    thread.join()


def test_short_connections_to_a_server_that_forgets(tmp_path):
    server = Server(forgets=(2, 5), refuses=(3,))
    run = load.Run(server.connect, rate=1000, count=tmp_path / "attempts")
    run_until(run, run.connect_briefly, lambda: len(run.short) >= 6)
    total = load.report(run.clock(), [], run.short, run.long, server.kept)["total"]
    assert (total["failures"], total["lost"], total["acknowledged"]) == (1, 2, len(run.short) - 1)
    assert total["errors"][0]["error"] == "ConnectionError: no to 3"
    assert (tmp_path / "attempts").read_text() == f"{len(run.short)}\n"
    assert server.opened == server.closed == len(run.short)


def test_the_rate_is_kept(tmp_path):
    run = load.Run(Server().connect, rate=20, count=tmp_path / "attempts")
    run_until(run, run.connect_briefly, lambda: len(run.short) >= 4)
    assert run.short[3].start - run.short[0].start >= 0.15


def test_a_long_connection_that_breaks_is_opened_again():
    server = Server(breaks=[TimeoutError("slow")])
    run = load.Run(server.connect, rate=1)
    run_until(run, run.stay_connected, lambda: len(run.long) >= 3)
    assert [event.error for event in run.long] == [None, "TimeoutError: slow", None]
    assert server.opened == server.closed == 2


@pytest.mark.parametrize(
    "said",
    [
        ["redis://nowhere:1", "--user", "app"],
        ["redis://nowhere:1", "--password-file", "/dev/null"],
        ["postgresql://nowhere:1", "--user", "app", "--password-file", "/dev/null"],
    ],
    ids=["no password", "no user", "not of Redis"],
)
def test_a_user_and_the_password_of_redis_come_together(said):
    run = subprocess.run([sys.executable, PATH, *said], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "expected --user and --password-file together, and with redis://..." in run.stderr
