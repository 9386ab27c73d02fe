"""What the module makes of HAProxy's answers: they were recorded from 3.2.26 with the roles' configuration, and cut after 94 columns."""

import _strptime
import calendar
import os
import re
import socket
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _engines as engines
from ansible_collections.crosshost.ambassador.plugins.module_utils import _haproxy as haproxy
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as observation
from conftest import RecordedEngine, run_module


@pytest.fixture
def side(tmp_path):
    return tmp_path / "state"


def info(side, **arguments):
    return run_module("ambassador_info", path=str(side), **arguments)


def test_a_link_with_its_target(side):
    RecordedEngine(side, "client")
    (side / "current").symlink_to("generations/051901f6ec76")
    said = info(side)
    assert said["changed"] is False
    assert (said["current"], said["generation"]) == ("051901f6ec76", "051901f6ec76")
    assert [worker["current"] for worker in said["workers"]] == [True]
    assert list(said["links"]) == ["redis"]
    link = said["links"]["redis"]
    (target,) = link.pop("targets")
    assert link == {
        "listen": "open",
        "connections": 3,
        "total": 771,
        "bytes_in": 53891,
        "bytes_out": 520533,
        "failed": 0,
        "refused": 0,
        "held": 0,
        "leaving": [],
    }
    assert target == {
        "name": "vm3",
        "address": "198.18.0.13:6379",
        "state": "UP",
        "up": True,
        "check_status": "L7OK",
        "check_code": 0,
        "last_check": "Layer7 check passed, (tcp-check)",
        "check_duration": 1,
        "last_change": 119,
        "downs": 0,
        "replicas_down": 0,
        "connections": 3,
        "total": 771,
        "bytes_in": 53891,
        "bytes_out": 520533,
    }


def test_what_several_containers_of_a_side_do_is_told_as_one(side):
    one, other = RecordedEngine(side, "client"), RecordedEngine(side, "client", "run-2")
    (side / "current").symlink_to("generations/051901f6ec76")
    said = info(side)
    assert said["connections"] == {"run": 3, "run-2": 3}
    assert [worker["directory"] for worker in said["workers"]] == ["run", "run-2"]
    link = said["links"]["redis"]
    (target,) = link["targets"]
    assert (link["connections"], link["total"], target["connections"], target["bytes_out"]) == (6, 1542, 6, 1041066)
    # the worse of both is what is told
    stat = next(command for command in other.answers if command.endswith("show stat"))
    other.answers[stat] = other.answers[stat].replace(",UP,", ",DOWN,")
    assert info(side)["links"]["redis"]["targets"][0]["up"] is False
    env = next(command for command in other.answers if "show env" in command)
    other.answers[env] = "AMBASSADOR_GENERATION=000000000000\n"
    assert info(side)["generation"] == "000000000000"
    other.answers[env], one.answers[env] = one.answers[env], other.answers[env]
    assert info(side)["generation"] == "000000000000"
    other.listener.close()
    (side / "run-2/master.sock").unlink()
    assert f"There is no socket of an engine at {side}/run-2/master.sock." in info(side)["msg"]


def test_check_mode_asks_the_same(side):
    engine = RecordedEngine(side, "client")
    assert info(side, check=True) == info(side)
    assert {command.split(maxsplit=1)[1] for command in engine.asked} == {
        "proc",
        "show stat",
        "show env AMBASSADOR_GENERATION",
        "show ssl cert @/host",
    }


def test_old_workers_are_summed_and_what_they_leave_is_told(side):
    RecordedEngine(side, "client_after_reloads")
    said = info(side)
    assert [(worker["pid"], worker["current"], worker["uptime"], worker["reloads"]) for worker in said["workers"]] == [
        (34, True, 3, 0),
        (31, False, 8, 1),
    ]
    link = said["links"]["redis"]
    assert (link["listen"], link["connections"], link["total"]) == ("open", 4, 4)
    vm1, vm3 = link["targets"]
    assert (vm1["address"], vm1["state"], vm1["connections"]) == ("198.19.250.3:6379", "UP", 2)
    assert link["leaving"] == [{"name": "vm1", "address": "198.19.250.101:6379", "connections": 2}]
    assert (vm3["up"], vm3["check_status"], vm3["check_code"]) == (False, "L4CON", None)
    assert vm3["last_check"] == "Layer4 connection problem, Connection refused at step 1 of tcp-check (connect)"


def test_a_target_counts_what_was_held_for_it_as_well(side):
    RecordedEngine(side, "client_after_a_move")
    link = info(side)["links"]["redis"]
    # of the old worker 308 went to vm1, which is left, and 701 and 6 that were held to vm3
    assert (link["total"], link["bytes_in"]) == (18 + 1014, 1278 + 75272)
    (vm3,) = link["targets"]
    assert (vm3["name"], vm3["connections"], vm3["total"]) == ("vm3", 2, 18 + 701 + 6)
    assert (link["leaving"], link["held"]) == ([], 0)


def test_a_worker_that_ends_meanwhile_is_left_out(side):
    engine = RecordedEngine(side, "client_after_reloads")
    del engine.answers["@!31 show stat"]
    said = info(side)
    assert [worker["pid"] for worker in said["workers"]] == [34]
    assert said["links"]["redis"]["connections"] == 2


def test_a_link_that_is_gone_is_told_while_old_workers_carry_it(side):
    engine = RecordedEngine(side, "client_after_reloads")
    engine.answers["@!34 show stat"] = engine.answers["@!34 show stat"].replace("redis", "cache")
    links = info(side)["links"]
    assert (links["cache"]["listen"], links["cache"]["connections"]) == ("open", 2)
    assert (links["redis"]["listen"], links["redis"]["connections"], links["redis"]["targets"]) == ("gone", 2, [])
    engine.answers["@!31 show stat"] = re.sub(r"^(redis,\w+,[^,]*,[^,]*),2,", r"\1,0,", engine.answers["@!31 show stat"], flags=re.M)
    assert list(info(side)["links"]) == ["cache"]


def test_a_port_without_a_backend_is_shut(side):
    RecordedEngine(side, "server_without_a_backend")
    link = info(side)["links"]["redis"]
    assert link["listen"] == "shut"
    backend, peer = link["targets"]
    assert (backend["name"], backend["address"], backend["state"]) == ("redis_server", None, "MAINT (resolution)")
    assert (backend["up"], backend["check_status"], backend["last_check"], backend["downs"]) == (False, None, None, 3)
    assert peer["state"] == "DOWN"


def test_a_held_connection_is_told(side):
    engine = RecordedEngine(side, "client_while_nothing_is_up")
    link = info(side)["links"]["redis"]
    assert (link["connections"], link["held"], link["failed"]) == (1, 1, 2)
    assert not any(target["up"] for target in link["targets"])
    # once it has a server it is held no more
    engine.answers["@!20 show stat"] = engine.answers["@!20 show stat"].replace("redis.held,vm1,0,0,0,", "redis.held,vm1,0,0,1,")
    link = info(side)["links"]["redis"]
    assert (link["held"], link["targets"][0]["connections"]) == (0, 1)


def test_the_worker_that_goes_on_after_a_refused_reload_is_the_current_one(side):
    engine = RecordedEngine(side, "client_while_nothing_is_up")
    assert engine.answers["show proc"].partition("# old workers")[0].endswith("# workers\n")
    (worker,) = info(side)["workers"]
    assert (worker["current"], worker["reloads"]) == (True, 1)


def test_one_link_can_be_asked_for(side):
    RecordedEngine(side, "client")
    assert list(info(side, alias="redis")["links"]) == ["redis"]
    failed = info(side, alias="cache")
    assert failed["failed"]
    assert "has no link cache." in failed["msg"]


def test_no_socket_is_said(side):
    failed = info(side)
    assert failed["failed"]
    assert f"There is no socket of an engine at {side}/run/master.sock." in failed["msg"]


def test_an_engine_that_is_gone_or_has_no_worker_is_said(side):
    engine = RecordedEngine(side, "client")
    engine.answers["show proc"] = engine.answers["show proc"].partition("# workers")[0]
    failed = info(side)
    assert failed["failed"]
    assert f"HAProxy does not answer on {side}/run/master.sock: #<PID>" in failed["msg"]
    os.unlink(side / "run" / "master.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(side / "run" / "master.sock"))
    assert "Connection refused" in info(side)["msg"]


def test_an_engine_that_is_frozen_is_said_in_time(side):
    (side / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(side / "run" / "master.sock"))
        frozen.listen()
        assert "run/master.sock: timed out" in info(side, timeout=1)["msg"]


CERTIFICATE = """\
Filename: @/host
Status: Used
Serial: 0B069AA087687613E99E904CEC61CFD64F937BF2
notBefore: Nov 24 23:41:01 2026 GMT
notAfter: Feb  2 23:41:01 2027 GMT
Subject: /CN=vm2
Issuer: /CN=crosshost.ambassador 2026-11-24
"""


def test_the_certificate_that_is_shown_is_told(side):
    engine = RecordedEngine(side, "client")
    assert info(side)["certificate"] is None
    engine.answers["@!14 show ssl cert @/host"] = CERTIFICATE
    said = info(side)["certificate"]
    assert isinstance(said.pop("seconds_left"), int)
    assert said == {
        "name": "vm2",
        "serial": "0B069AA087687613E99E904CEC61CFD64F937BF2",
        "not_before": "2026-11-24T23:41:01Z",
        "not_after": "2027-02-02T23:41:01Z",
    }


def test_dates_of_certificates_are_read_in_any_language(monkeypatch):
    german = ["", "Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]
    english = list(calendar.month_abbr)
    monkeypatch.setattr(calendar, "month_abbr", german)
    monkeypatch.setattr(_strptime, "_TimeRE_cache", _strptime.TimeRE())
    for number in range(1, 13):
        answer = CERTIFICATE.replace("Feb  2 23:41:01 2027", f"{english[number]} 12 09:21:36 2027")
        assert haproxy.parse_certificate(answer, 0)["not_after"] == f"2027-{number:02}-12T09:21:36Z"


def test_the_containers_behind_one_name_of_a_backend_are_told_as_one_target():
    def server(name, address, up, connections=0):
        counts = {"connections": connections, "total": 2, "bytes_in": 10, "bytes_out": 20, "downs": 1}
        return {
            "name": name,
            "address": address,
            "state": "UP" if up else "DOWN",
            "up": up,
            "check_status": "L4OK" if up else "L4CON",
            **counts,
        }

    first = server("api.replica1", "198.19.0.9:80", False, 1)
    second, unknown = (
        server("api.replica2", "198.19.0.8:80", True, 2),
        {**server("api.replica3", None, False), "state": "MAINT (resolution)"},
    )
    peer = server("vm3", "198.18.0.13:80", True)
    own, other = haproxy.replicated([first, second, unknown, peer])
    assert other == peer
    assert (own["name"], own["address"], own["state"]) == ("api", "198.19.0.8:80, 198.19.0.9:80", "UP (1 of 2)")
    assert (own["up"], own["check_status"], own["connections"], own["total"], own["downs"]) == (True, "L4OK", 3, 6, 3)
    assert own["replicas_down"] == 1
    assert haproxy.replicated([second, unknown])[0]["state"] == "UP"
    (gone,) = haproxy.replicated([unknown])
    assert (gone["name"], gone["address"], gone["state"], gone["up"]) == ("api", None, "MAINT (resolution)", False)


HEAD = (
    "# pxname,svname,status,addr,check_status,check_code,check_desc,last_chk,check_duration,lastchg,chkdown,dreq,econ,scur,stot,bin,bout\n"
)
ROW = "redis,vm1,UP,198.18.0.11:6379,L7OK,0,,,1,1,0,0,0,{scur},1,1,1\n"
PROC = "{pid}  worker  0  0d00h00m01s  3.2.26\n"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("@!14 show stat", HEAD + ROW.format(scur="many")),
        ("@!14 show stat", HEAD + ROW.format(scur="9" * 100_000)),
        ("@!14 show stat", HEAD + "redis,vm1\n"),
        ("@!14 show stat", "# pxname,\n" + "redis,\n" * 3),
        ("@!14 show stat", "# pxname,svname\nredis,vm1\n"),
        ("@!14 show stat", HEAD + "x" * 200_000 + ",vm1\n"),
        ("@!14 show stat", HEAD + "".join(f"redis,{number},,,,,,,,,,,,,,,\n" for number in range(haproxy.MAX_ROWS + 1))),
        ("show proc", "".join(PROC.format(pid=number) for number in range(1, 1000))),
        ("@!14 show ssl cert @/host", CERTIFICATE.replace("Feb", "soon")),
        ("@!14 show env AMBASSADOR_GENERATION", "AMBASSADOR_GENERATION=../../secret\n"),
        ("@!14 show env AMBASSADOR_GENERATION", "AMBASSADOR_GENERATION=\n"),
    ],
    ids=range(11),
)
def test_engine_that_answers_something_unknown_is_one_that_does_not_answer(side, command, answer):
    engine = RecordedEngine(side, "client")
    engine.answers[command] = answer
    with pytest.raises(OSError, match="HAProxy answers something unknown") as refused:
        engines.read(str(side))
    assert (refused.value.engine.reader, refused.value.engine.path) == ("HAProxy", str(side / "run/master.sock"))
    assert len(str(refused.value)) < 200
    assert "HAProxy answers something unknown" in observation.side(str(side))["error"]
    # one asks for many answers
    assert len(engine.asked) < 12


def test_all_answers_of_an_endpoint_have_one_limit_of_time_and_size(side, monkeypatch):
    engine = RecordedEngine(side, "client")
    workers = range(1, 21)
    engine.answers["show proc"] = "".join(PROC.format(pid=pid) for pid in workers)
    engine.answers |= {f"@!{pid} show stat": HEAD + ROW.format(scur=1) for pid in workers}
    engine.answers["@!1 show env AMBASSADOR_GENERATION"] = "AMBASSADOR_GENERATION=051901f6ec76\n"
    assert len(engines.read(str(side))["workers"]) == 20
    monkeypatch.setattr(endpoints, "MAX_TOTAL_BYTES", 3000)
    with pytest.raises(OSError, match="the answer is too long"):
        engines.read(str(side))
    monkeypatch.undo()
    engine.seconds, begin = 0.3, time.monotonic()
    with pytest.raises(TimeoutError):
        engines.read(str(side), timeout=1)
    assert time.monotonic() - begin < 5


def test_generation_that_the_link_names_elsewhere_is_none(side):
    RecordedEngine(side, "client")
    elsewhere = side.parent / "secret"
    elsewhere.mkdir()
    (elsewhere / "key").write_text("secret")
    for target in ("../secret", "generations/../../secret", str(elsewhere)):
        (side / "current").symlink_to(target)
        assert endpoints.current_generation(str(side)) is None
        found = observation.side(str(side))
        assert (found["current"], found["files"], found["wiring"]) == (None, {}, None)
        (side / "current").unlink()
