"""The connections of a revoked host end in every worker of every container of a side that knows it, and on no other."""

import re
import socket

import pytest
from conftest import MasterCli, run_module

ACLS = """# id (file) description
0 () acl 'ssl_c_verify' file '/etc/ambassador/current/haproxy.cfg' line 70. curr_ver=0 next_ver=0 entry_cnt=1
8 (/etc/ambassador/generations/9eca454ac2b7/admitted.lst) pattern loaded from file '/etc/ambassador/generations/9eca454ac2b7/admitted.lst' \
used by acl at file '/etc/ambassador/current/haproxy.cfg' line 73. curr_ver=0 next_ver=0 entry_cnt=4

"""
PROC = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
PROC += "1               master          2 [failed: 0]   0d00h00m51s     3.2.26-1       \n# workers\n"


class Engine(MasterCli):
    """HAProxy with workers, the current one first: of each the hosts that it authorizes, and those that it connects to."""

    def __init__(self, side, *workers, run="run", answer="Success=1\n--\n", ends=True):
        self.workers = dict(enumerate(workers, 10))
        self.answer, self.ends = answer, ends
        super().__init__(side / run)

    def reply(self, command):
        if command == "show proc":
            rows = enumerate(self.workers)
            return PROC + "".join(f"{pid}              worker          {age}               0d00h00m01s     3.2.26-1\n" for age, pid in rows)
        if command == "hard-reload":
            if self.answer.startswith("Success=1") and self.ends:
                self.workers = {99: ((), ())}
            return self.answer
        pid, asked = re.fullmatch(r"@!(\d+) (.*)", command).groups()
        admitted, targets = self.workers[int(pid)]
        if asked == "show acl":
            return ACLS if admitted else ACLS.splitlines()[0]
        if asked == "show acl #8":
            return "".join(f"0x7fd82dada200 redis/{host}\n" for host in admitted)
        return "# pxname,svname\n" + "".join(f"redis,{name}\n" for name in ("FRONTEND", *targets, ".held", "BACKEND"))


def close(side, *hosts, **arguments):
    return run_module("close_connections", path=str(side), hosts=list(hosts), **arguments)


@pytest.mark.parametrize(
    ("workers", "is_closed"),
    [
        ([(("vm2", "vm9"), ())], True),
        # an old worker, of a map in which it was a client
        ([(("vm2",), ()), (("vm9",), ())], True),
        ([((), ("vm1", "vm9"))], True),
        ([((), ("vm9.replica2",))], True),
        ([((), ("vm1",)), ((), ("vm9",))], True),
        ([(("vm2", "vm99"), ("vm1", "avm9"))], False),
        ([((), ())], False),
    ],
    ids=str,
)
def test_connections_end_where_a_worker_knows_the_host(tmp_path, workers, is_closed):
    engine = Engine(tmp_path, *workers)
    found = close(tmp_path, "vm9", check=True)
    assert (found["changed"], "hard-reload" in engine.asked) == (is_closed, False)
    found = close(tmp_path, "vm9")
    assert (found["changed"], found["closed"]) == (is_closed, ["run"] if is_closed else [])
    assert engine.asked.count("hard-reload") == is_closed


def test_each_container_of_a_side_is_asked_and_one_that_does_not_run_is_left_out(tmp_path):
    engines = {run: Engine(tmp_path, (hosts, ()), run=run) for run, hosts in (("run", ("vm2",)), ("run-2", ("vm9",)), ("run-3", ("vm9",)))}
    (tmp_path / "run-4").mkdir()
    (tmp_path / "run-5").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run-5/master.sock"))
    assert close(tmp_path, "vm9")["closed"] == ["run-2", "run-3"]
    assert [engine.asked.count("hard-reload") for engine in engines.values()] == [0, 1, 1]
    assert not close(tmp_path / "nothing", "vm9")["changed"]


def test_a_name_that_haproxy_cannot_have_is_found_as_haproxy_has_it(tmp_path):
    Engine(tmp_path, ((), ("vm_9",)))
    assert close(tmp_path, "vm@9")["changed"]


@pytest.mark.parametrize(
    ("answer", "ends", "words"),
    [("Success=0\n--\n[ALERT] no\n", True, "Success=0"), ("Success=1\n--\n", False, "an old worker does not end")],
    ids=["refused", "stays"],
)
def test_connections_that_stay_open_are_reported(tmp_path, answer, ends, words):
    Engine(tmp_path, (("vm9",), ()), answer=answer, ends=ends)
    other = Engine(tmp_path, (("vm9",), ()), run="run-2")
    found = close(tmp_path, "vm9", timeout=0)
    assert found["failed"]
    assert found["msg"] == f"The HAProxy at {tmp_path}/run/master.sock did not close its connections: {words}. Restart its container."
    assert other.asked.count("hard-reload") == 1


@pytest.mark.parametrize("proc", ["".join(f"{pid}  worker  0  0d00h00m01s  3.2.26\n" for pid in range(1, 1000)), "rows"])
def test_haproxy_that_answers_something_unknown_is_told(tmp_path, monkeypatch, proc):
    engine = Engine(tmp_path, (("vm1",), ("vm1",)))
    answer = engine.reply
    monkeypatch.setattr(
        engine,
        "reply",
        lambda command: (
            proc if command == "show proc" and proc != "rows" else "# pxname,\nredis\n" if "stat" in command else answer(command)
        ),
    )
    failed = close(tmp_path, "vm9")
    assert failed["failed"]
    assert "HAProxy answers something unknown" in failed["msg"]
    assert len(engine.asked) < 10
