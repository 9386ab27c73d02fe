"""The measurement, in short: that it runs, and that what it finds is plausible. How fast anything is, is not judged."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SIDES = ["direct", "haproxy-tls", "published"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The directory that a short measurement has written into."""
    directory = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, ROOT / "bench" / "bench", "--quick", "--sides", ",".join(SIDES[1:]), "--output", directory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def results(written):
    return json.loads((written / "results.json").read_text())


def test_every_side_answered_in_every_case(results):
    for case in ("get-1", "get-50", "pipeline-16", "connect", "get-64k", "pgbench", "idle"):
        assert list(results["cases"][case]) == SIDES
        assert all(len(rounds) == 1 for rounds in results["cases"][case].values())


def test_figures_are_plausible(results):
    for case, sides in results["cases"].items():
        for side, (figures,) in sides.items():
            if case != "idle":
                assert figures["rate"] > 0, (case, side)
                assert 0 < figures["p50"] <= figures["p99"] <= figures["p99.9"] <= figures["worst"], (case, side)
                assert all(seconds > 0 for seconds in figures["cpu"].values()), (case, side)


def test_each_side_handles_the_requested_number(results):
    for case, asked in results["requests"].items():
        for side, (figures,) in results["cases"][case].items():
            # whole pipelines
            assert asked <= figures["requests"] < asked + 16, (case, side)
    assert all(figures["connections"] == 100 for (figures,) in results["cases"]["idle"].values())


def test_memory_is_that_of_ambassadors(results):
    for side, (figures,) in results["cases"]["idle"].items():
        if side == "direct":
            assert figures["memory"] == 0
        else:
            assert 0 < figures["none"] < figures["memory"]
    # a process for each connection, on either host
    (figures,) = results["cases"]["idle"]["published"]
    assert figures["memory"] > figures["none"] * 2


def test_report_lists_sides_figures_and_plots(written, results):
    report = (written / "report.md").read_text()
    assert all(f"* `{side}`: " in report for side in SIDES)
    assert "haproxy-tls / published" in report
    assert "not measured" in report
    rate = results["cases"]["get-50"]["direct"][0]["rate"]
    assert f"{rate:,.0f}" in report
    for name in ("throughput", "p99", "worst", "cpu", "memory"):
        assert f"({name}.svg)" in report
        assert "haproxy-tls" in (written / f"{name}.svg").read_text()


def test_hosts_are_left_empty(results):
    for host in results["hosts"].values():
        left = subprocess.check_output(["docker", "exec", host, "docker", "ps", "-aq"], text=True)
        assert left == ""
        there = subprocess.check_output(["docker", "exec", host, "ls", "/var/lib"], text=True).split()
        assert not {"ambassador", "bench"} & set(there)
