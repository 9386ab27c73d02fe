"""What the measurement makes of what redis-benchmark and pgbench print, and its verdicts."""

import importlib.machinery
import importlib.util
import sys

import pytest
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


@pytest.fixture(scope="module")
def bench():
    loader = importlib.machinery.SourceFileLoader("bench", str(ROOT / "bench" / "bench"))
    spec = importlib.util.spec_from_loader("bench", loader)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    loader.exec_module(module)
    sys.path[:] = path
    return module


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
    assert ("Missed, and why" in said) == (verdict != "met")


def test_what_a_run_costs_is_said():
    loader = importlib.machinery.SourceFileLoader("cost", str(ROOT / "bench" / "cost"))
    cost = importlib.util.module_from_spec(importlib.util.spec_from_loader("cost", loader))
    path = list(sys.path)
    loader.exec_module(cost)
    sys.path[:] = path
    said = cost.text(
        {
            "links": {"seconds": {1: [30.0, 31.0, 32.0], 100: [33.0, 31.0, 48.0]}, "tasks": {1: 200, 100: 200}},
            "thousand": {"proved": True, "seconds": 90.0, "unchanged": 50.0, "answers": ["PONG"] * 3},
            "hosts": {2: {"seconds": [10.0], "floor": [3.0], "tasks": 100}, 4: {"seconds": [20.0], "floor": [4.0], "tasks": 100}},
            "wiring": 2.2,
            "fakes": 200,
            "resolve": 0.08,
        },
        3,
    )
    assert "The number of tasks is the same. 100 links / 1 link, median of 3 ratios: 1.10" in said
    assert "For each further host 5.0 s, and 0.5 s of the floor: 10.0 times the floor." in said
    assert "PONG, PONG, PONG" in said
    assert "100 tasks of 50 ms" in said
    assert "2 of 250 ms" in said
    assert "80 ms" in said
