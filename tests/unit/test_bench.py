"""What the measurements make of what redis-benchmark, pgbench and Ansible print, and their verdicts."""

import importlib.machinery
import importlib.util
import pathlib
import re
import sys

import pytest
import yaml
from conftest import ROOT

REDIS = """\
get small: rps=0.0 (overall: nan)\rget small: rps=19960.0 (overall: 20040.2) avg_msec=1.5 (overall: 1.5)\r\
====== get small ======
  4500 requests completed in 0.18 seconds
  50 parallel clients

Latency by percentile distribution:
0.000% <= 0.463 milliseconds (cumulative count 1)
50.000% <= 1.327 milliseconds (cumulative count 2262)
99.805% <= 4.407 milliseconds (cumulative count 4492)
99.902% <= 4.495 milliseconds (cumulative count 4496)
100.000% <= 4.575 milliseconds (cumulative count 4500)

Cumulative distribution of latencies:
100.000% <= 5.103 milliseconds (cumulative count 4500)

Summary:
  throughput summary: 24725.28 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        1.410     0.456     1.327     2.015     2.543     4.575
"""
PGBENCH = """\
pgbench (17.12)
number of transactions actually processed: 4
tps = 11616.084592 (without initial connection time)
437
900
400
73296
"""


def program(name):
    """Return a program of bench/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "bench" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    path = list(sys.path)
    loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.fixture(scope="module")
def bench():
    return program("bench")


def test_redis_benchmark_is_read(bench):
    assert bench.parse_redis_benchmark(REDIS) == {
        "requests": 4500,
        "rate": 24725.28,
        "p50": 1.327,
        "p99": 2.543,
        "p99.9": 4.495,
        "worst": 4.575,
    }


def test_pgbench_is_read(bench):
    assert bench.parse_pgbench(PGBENCH) == {
        "requests": 4,
        "rate": 11616.084592,
        "p50": 0.9,
        "p99": 73.296,
        "p99.9": 73.296,
        "worst": 73.296,
    }


def test_a_ratio_is_taken_round_by_round_against_the_best(bench):
    found = {
        "haproxy": [{"rate": 10}, {"rate": 90}, {"rate": 20}],
        "nginx": [{"rate": 10}, {"rate": 30}, {"rate": 20}],
        "envoy": [{"rate": 1}, {"rate": 100}, {"rate": 2}],
    }
    assert bench.report.ratios(found, "haproxy", ("nginx", "envoy"), "rate") == ("nginx", [1, 3, 1])


@pytest.mark.parametrize(("rate", "verdict"), [(17, "met"), (16, "**missed**")])
def test_a_target_is_judged(bench, rate, verdict):
    cases = {case: {} for case in (*bench.report.CASES, "idle")}
    cpu = {"vm1": 1, "vm2": 2}
    cases["get-50"] = {
        "direct": [{"rate": 20, "worst": 1, "cpu": cpu}],
        "haproxy": [{"rate": rate, "worst": 1, "cpu": cpu}],
        "published": [{"rate": 10, "worst": 10, "cpu": cpu}],
    }
    said = bench.report.verdicts({"cases": cases})
    rows = [line for line in said.splitlines() if "haproxy / published | throughput, GET, 50" in line]
    assert len(rows) == 1
    assert rows[0].endswith(f"| {verdict} |")
    assert ("Reasons for missed targets" in said) == (verdict != "met")


@pytest.fixture(scope="module")
def cost():
    return program("cost")


def test_tasks_are_counted_as_ansible_does(cost):
    said = """\
ok: [vm1] => a line with vm1 : ok=7 changed=1 in it
PLAY RECAP *********************************************************************
vm1                        : ok=12   changed=3    unreachable=0    failed=0    skipped=1    rescued=4    ignored=2
vm2                        : ok=5    changed=0    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0
"""
    assert cost.recap(said) == ({"vm1": 19, "vm2": 6}, 3)


@pytest.mark.parametrize("core", ["2.19", "2.21"])
def test_modules_are_counted_in_the_log(cost, core):
    """Recorded with a docker that runs commands here; its path, and those of Python, are set to what they are elsewhere."""
    log = (ROOT / "tests" / "unit" / "answers" / f"log_of_core_{core}.txt").read_text()
    tasks = cost.parse_log(log)
    assert {one["name"]: one["modules"] for one in tasks} == {
        # not the search for an interpreter
        "Facts are gathered": {"vm1": 1, "vm2": 1},
        "This stays on the controller": {},
        "A file is copied": {"vm1": 2, "vm2": 2},
        "The controller looks": {},
        "A command that is no module": {},
        "With a variable of the environment": {"vm2": 1},
        "In the background": {"vm2": 1},
        "It is told": {"vm2": 1},
    }
    # all but the start of the second play
    assert sum(one["seconds"] for one in tasks) == pytest.approx({"2.19": 7.613, "2.21": 9.512}[core])


@pytest.fixture
def costs():
    """Figures that just meet each target."""
    return {
        "tasks": {
            "tasks": {"vm1": 30, "vm2": 29},
            "modules": {"vm1": 4, "vm2": 5},
            "seconds": 6.0,
            "hosts": {"tasks": 6, "seconds": 3.5},
            "controller": {"tasks": 24, "seconds": 1.5},
        },
        "links": {
            "deployed": {1: [9.0], 1000: [50.0, 70.0, 60.0]},
            "unchanged": {1: [6.0, 6.1, 5.9], 1000: [9.0, 8.0, 30.0]},
            "answers": ["PONG"] * 3,
        },
        "foreign": {"without": [5.0, 6.0, 6.5], "with": [6.6, 6.6, 9.0]},
        "first": {"0.1.0": [40.0, 41.0, 39.0], "now": [20.0, 12.0, 21.0]},
        "hosts": {2: {"run": [6.0, 9.0, 5.0], "floor": [2.0, 2.0, 2.0]}, 4: {"run": [8.5, 8.5, 8.5], "floor": [3.0, 3.0, 3.0]}},
        "wiring": 2.2,
    }


def test_what_a_run_costs_is_said(cost, costs):
    said = cost.text(costs)
    assert re.findall(r"^\| (.*?) \| .* \| at most (\S+) \| (\S+) \| met \|$", said, re.M) == [
        ("a run / the floor, 2 hosts, 1 link", "3", "3"),
        ("each further host, a run / the floor", "2.5", "2.5"),
        ("tasks of a host", "30", "30"),
        ("modules started on a host", "5", "5"),
        ("a run, 1,000 links / 1 link", "1.5", "1.5"),
        ("first deployment / that of 0.1.0", "0.5", "0.5"),
    ]
    assert "| vm2 | 29 | 5 |" in said
    assert "One run took 6.0 s:\n\n- 3.5 s for the 6 tasks that start a module on a host\n" in said
    assert "- 1.5 s for the 24 tasks on the controller\n- 1.0 s for the start of Ansible and of the plays" in said
    assert "| 4 | 8.5 | 3.0 |" in said
    assert "Each further host adds 1.25 s, and 0.50 s to the floor." in said
    assert "increases the number of links from 1 to 1,000 takes 60 s" in said
    assert "PONG, PONG, PONG" in said
    assert "A run takes 6.6 s with them and 6.0 s without them, which is 1.10 times as long." in said


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (0, {"hosts": {2: {"run": [6.1], "floor": [2.0]}, 4: {"run": [8.5], "floor": [3.0]}}}),
        (1, {"hosts": {2: {"run": [6.0], "floor": [2.0]}, 4: {"run": [8.6], "floor": [3.0]}}}),
        (2, {"tasks": {"tasks": {"vm1": 31, "vm2": 1}, "modules": {"vm1": 5}}}),
        (3, {"tasks": {"tasks": {"vm1": 30}, "modules": {"vm1": 1, "vm2": 6}}}),
        (4, {"links": {"unchanged": {1: [6.0], 1000: [9.1]}}}),
        (5, {"first": {"0.1.0": [40.0], "now": [20.5]}}),
    ],
)
def test_a_target_of_the_cost_is_missed(cost, costs, row, change):
    rows = cost.judged(costs | change).splitlines()
    assert [number for number, line in enumerate(rows) if line.endswith("| **missed** |")] == [row]


def test_the_sides_of_a_first_deployment_differ_in_their_groups(cost, tmp_path):
    now, before = (
        yaml.safe_load(pathlib.Path(cost.inventory_of(tmp_path / "hosts.yml", ["vm1", "vm2", "vm3"], 2, groups)).read_text())
        for groups in (cost.GROUPS, cost.GROUPS_BEFORE)
    )
    assert set(now) == {"all", "VM1", "VM2"}
    assert set(before) == {"all", "vm1", "vm2"}
    for inventory, server, client in ((now, "VM1", "VM2"), (before, "vm1", "vm2")):
        assert list(inventory[server]["hosts"]) == ["vm1"]
        assert list(inventory[client]["hosts"]) == ["vm2", "vm3"]
        links = inventory["all"]["vars"]["ambassador_links"]
        assert set(links) == {"redis", "link1"}
        assert all((link["servers"], link["clients"]) == (server, client) for link in links.values())
