"""What a host remembers of the last runs: the module record writes it, and ambassador_info tells it."""

import calendar
import json
import stat
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _history as history
from conftest import RecordedEngine, run_module


@pytest.fixture
def side(tmp_path):
    RecordedEngine(tmp_path, "client")
    return tmp_path


def record(side, number, worked=True, **more):
    return run_module("record", path=str(side), lines=[f"+ link{number}"], worked=worked, **more)


def told(side):
    return run_module("ambassador_info", path=str(side))["history"]


def test_what_was_changed_is_told_the_newest_first(side):
    begin = time.time()
    assert told(side) == []
    assert record(side, 1)["changed"]
    assert record(side, 2, worked=False)["changed"]
    assert [(entry["lines"], entry["worked"]) for entry in told(side)] == [(["+ link2"], False), (["+ link1"], True)]
    for entry in told(side):
        assert calendar.timegm(time.strptime(entry["time"], "%Y-%m-%dT%H:%M:%SZ")) >= int(begin)


def test_the_last_twenty_are_kept(side):
    for number in range(25):
        history.add(str(side), {"time": "2026-11-28T12:00:00Z", "lines": [f"+ link{number}"], "worked": True})
    assert [entry["lines"] for entry in told(side)] == [[f"+ link{number}"] for number in range(24, 4, -1)]
    assert stat.S_IMODE((side / history.FILE).stat().st_mode) == 0o644
    assert not (side / f"{history.FILE}.new").exists()


def test_check_mode_writes_nothing(side):
    assert record(side, 1, check=True)["changed"]
    assert told(side) == []


def test_reads_the_file_of_version_1_0_0(side):
    entry = {"time": "2026-11-28T12:00:00Z", "lines": ["+ link1"], "worked": True}
    (side / history.FILE).write_text(json.dumps([entry]))
    record(side, 2)
    assert [entry["lines"] for entry in told(side)] == [["+ link2"], ["+ link1"]]
    assert json.loads((side / history.FILE).read_text())["format"] == history.FORMAT


def test_a_file_that_is_broken_is_begun_anew(side):
    (side / history.FILE).write_text('[{"time"')
    assert told(side) == []
    record(side, 1)
    assert len(told(side)) == 1


def test_a_directory_that_is_not_there_is_told(tmp_path):
    said = record(tmp_path / "gone", 1)
    assert said["failed"]
    assert said["msg"].startswith(f"Cannot write {tmp_path}/gone/history.json")
