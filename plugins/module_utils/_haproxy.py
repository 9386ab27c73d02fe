# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine haproxy in one container: its generation, workers, certificate, and links, as its master CLI reports them."""

from __future__ import annotations

import csv
import errno
import functools
import os
import re
import socket
import ssl
import time
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints

VARIABLE = "AMBASSADOR_GENERATION"
# the name that haproxy.cfg gives the certificate of the host
CERTIFICATE = "@/host"
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
# a server of several that one name of a backend stands for
REPLICA = re.compile(r"(.+)\.replica[0-9]+")
# counters of a link that its targets do not have
COUNTS = ("failed", "refused", "held")
# counter -> its column
SUMS = {"connections": "scur", "total": "stot", "bytes_in": "bin", "bytes_out": "bout"}
# the columns of `show stat` that are read
COLUMNS = {"pxname", "svname", "status", "addr", "check_status", "check_code", "check_desc", "last_chk", "check_duration", "lastchg"}
COLUMNS |= {"chkdown", "dreq", "econ", *SUMS.values()}
# all answers may take this many times as long as one: 1,000 links of 21 workers take 4 seconds on a busy host
ALL_ANSWERS = 3
# haproxy.cfg lets HAProxy keep 20 old workers
MAX_WORKERS = 32
# of all workers together: 1,000 links of 21 workers have 150,000
MAX_ROWS = 200_000
# HAProxy 3.2 has 105
MAX_COLUMNS = 256


def ask(path: str, command: str, timeout: float = 60, budget: endpoints.Budget | None = None) -> str:
    """Return the answer of a master CLI (HAProxy Management Guide, section 9.4). Raise OSError if there is none, or it is too long."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as cli:
        budget = budget or endpoints.Budget(timeout)
        budget.begin(timeout)
        cli.settimeout(budget.seconds_left())
        endpoints.connect(cli, path)
        cli.sendall(command.encode() + b"\n")
        cli.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while chunk := cli.recv(65536):
            answer += chunk
            # a container that is taken over may send a byte now and then
            cli.settimeout(budget.seconds_left())
            if len(answer) > budget.max_bytes():
                raise OSError(errno.EMSGSIZE, "the answer is too long", path)
        budget.spend(len(answer))
    return answer.decode(errors="replace").strip()


class HAProxy:
    """HAProxy in the container whose endpoint is in a directory."""

    # as messages name the program that loads a configuration, and the one that answers
    engine, name, reader = "haproxy", "HAProxy", "HAProxy"
    endpoint, file = "master.sock", "haproxy.cfg"

    def __init__(self, directory: str) -> None:
        self.run, self.path = os.path.basename(directory), os.path.join(directory, self.endpoint)

    def ask(self, command: str, timeout: float = 60) -> str:
        """Send a command and return the answer."""
        return ask(self.path, command, timeout)

    def running(self) -> str:
        """Return the name of the generation that it runs. Raise OSError if it does not answer, or not with a generation."""
        # a request while the worker starts may never be answered, so the caller repeats it
        return generation_of(self.ask(f"@1 show env {VARIABLE}", timeout=5))

    def read(self, alias: str | None, timeout: float) -> dict[str, Any]:
        """Return the state of this container, with one link or all. Raise OSError if nothing answers, or no worker does."""
        request = functools.partial(ask, self.path, timeout=timeout, budget=endpoints.Budget(ALL_ANSWERS * timeout))
        workers, stats, rows = [], [], MAX_ROWS
        answer = request("show proc")
        for worker in parse_workers(answer):
            answer = request(f"@!{worker['pid']} show stat")
            proxies = parse_stat(answer, rows)
            # a worker that ends, or is not ready yet, does not answer
            if proxies is not None:
                workers.append({"directory": self.run, **worker, "current": not workers})
                stats.append(proxies)
                rows -= sum(map(len, proxies.values()))
        if workers:
            answer = request(f"@!{workers[0]['pid']} show env {VARIABLE}")
        return {
            "engine": self.engine,
            "generation": generation_of(answer),
            "certificate": parse_certificate(request(f"@!{workers[0]['pid']} show ssl cert {CERTIFICATE}"), time.time()),
            "workers": workers,
            # the counters of a worker end with it
            "counters": " ".join(str(worker["pid"]) for worker in workers),
            "links": read_links(stats, alias),
        }


def generation_of(answer: str) -> str:
    """Return the name of the generation in an answer to `show env`. Raise OSError with HAProxy's words without one."""
    if not answer.startswith(f"{VARIABLE}="):
        raise OSError(answer.splitlines()[0][: endpoints.MAX_WORDS] if answer else "no answer")
    with endpoints.readable(HAProxy.reader):
        return endpoints.generation(answer.partition("=")[2])


def parse_workers(answer: str) -> list[dict[str, int]]:
    """Return the workers that `show proc` lists, the newest first; after a refused reload, the heading lists the current one as old."""
    workers = []
    for match in re.finditer(r"^(\d{1,9})\s+worker\s+(\d{1,9})\s+(\d{1,9})d(\d{1,9})h(\d{1,9})m(\d{1,9})s", answer, re.M):
        pid, reloads, days, hours, minutes, seconds = map(int, match.groups())
        workers.append({"pid": pid, "uptime": ((days * 24 + hours) * 60 + minutes) * 60 + seconds, "reloads": reloads})
        if len(workers) > MAX_WORKERS:
            raise ValueError(f"more than {MAX_WORKERS} workers")
    return sorted(workers, key=lambda worker: worker["reloads"])


def parse_stat(answer: str, max_rows: int = MAX_ROWS) -> dict[str, dict[str, dict[str, str]]] | None:
    """Return proxy -> row (a server, ``FRONTEND``, or ``BACKEND``) -> column -> value of `show stat`; None if the worker has just ended.

    HAProxy Management Guide, section 9.1, "CSV format". Raise an error if the answer cannot be read, or has too many rows.
    """
    if not answer.startswith("# pxname,"):
        return None
    proxies, rows = {}, csv.reader(answer[2:].splitlines())
    columns = {name: number for number, name in enumerate(next(rows)[:MAX_COLUMNS]) if name in COLUMNS}
    for count, values in enumerate(filter(None, rows), 1):
        if count > max_rows:
            raise ValueError("too many rows")
        row = {name: values[number] for name, number in columns.items()}
        proxies.setdefault(row["pxname"], {})[row["svname"]] = row
    return proxies


def parse_certificate(answer: str, now: float) -> dict[str, Any] | None:
    """Return the certificate in an answer to `show ssl cert`, or None (without TLS)."""
    # HAProxy Management Guide, section 9.3, "show ssl cert"
    fields = dict(re.findall(r"^([^:\n]+): (.*)$", answer, re.M))
    if "notAfter" not in fields:
        return None
    # not strptime, which expects the month in the language of the host
    begin, end = (ssl.cert_time_to_seconds(fields[name]) for name in ("notBefore", "notAfter"))
    return {
        "name": fields.get("Subject", "").rpartition("/CN=")[2],
        "serial": fields.get("Serial"),
        "not_before": time.strftime(ISO_8601, time.gmtime(begin)),
        "not_after": time.strftime(ISO_8601, time.gmtime(end)),
        "seconds_left": int(end - now),
    }


def number(value: str) -> int | None:
    """Return a column as a number, or None for an empty one."""
    return endpoints.number(value) if value else None


def servers(rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the rows of a proxy that are targets: not its sums, nor the server that holds connections."""
    return {name: row for name, row in rows.items() if name not in ("FRONTEND", "BACKEND") and not name.startswith(".")}


def target(row: dict[str, str]) -> dict[str, Any]:
    """Return the state of a target in the current worker."""
    state = row["status"]
    return {
        "name": row["svname"],
        "address": row["addr"] or None,
        "state": state,
        # HAProxy's words are UP, UP 1/3 (on its way down), DOWN, DOWN 1/2 (on its way up), no check, MAINT (…), DRAIN, …
        "up": state.startswith("UP") or state == "no check",
        # the asterisk means that the next check is under way
        "check_status": re.sub(r"^\* ", "", row["check_status"]) or None,
        "check_code": number(row["check_code"]),
        "last_check": ", ".join(part for part in (row["check_desc"], row["last_chk"].strip()) if part) or None,
        "check_duration": number(row["check_duration"]),
        "last_change": number(row["lastchg"]),
        "downs": number(row["chkdown"]) or 0,
        "replicas_down": 0,
        **dict.fromkeys(SUMS, 0),
    }


def read_link(alias: str, stats: list[dict[str, dict[str, dict[str, str]]]]) -> dict[str, Any]:
    """Return the state of a link from the statistics of each worker, the current one first."""
    now = stats[0].get(alias, {})
    targets = {name: target(row) for name, row in servers(now).items()}
    # other links can share a port of a server side, so the proxy of a link has no frontend there
    shut = now["FRONTEND"]["status"] != "OPEN" if "FRONTEND" in now else not any(row["up"] for row in list(targets.values())[:1])
    link = {**dict.fromkeys((*SUMS, *COUNTS), 0), "listen": ("shut" if shut else "open") if now else "gone"}
    leaving = {}
    for proxies in stats:
        rows, held = proxies.get(alias, {}), proxies.get(f"{alias}.held", {})
        for key, column in SUMS.items():
            link[key] += number(rows.get("BACKEND", {}).get(column)) or 0
        link["refused"] += sum(number(rows.get(row, {}).get("dreq")) or 0 for row in ("FRONTEND", "BACKEND"))
        link["failed"] += sum(number(proxy.get("BACKEND", {}).get("econ")) or 0 for proxy in (rows, held))
        # a held connection that has a server is like any other
        link["held"] += number(held.get("FRONTEND", {}).get("scur")) or 0
        link["held"] -= sum(endpoints.number(row["scur"]) for row in servers(held).values())
        for name, row in [*servers(rows).items(), *servers(held).items()]:
            if name in targets and row["addr"] == (targets[name]["address"] or ""):
                for key, column in SUMS.items():
                    targets[name][key] += endpoints.number(row[column])
            elif endpoints.number(row["scur"]):
                leaving[name, row["addr"]] = leaving.get((name, row["addr"]), 0) + endpoints.number(row["scur"])
    link["held"] = max(link["held"], 0)
    link["targets"] = replicated(list(targets.values()))
    link["leaving"] = [{"name": name, "address": address, "connections": count} for (name, address), count in leaving.items()]
    return link


def replicated(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return targets with the servers of one name of a backend as one target: up if one of them is, counted together."""
    groups: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for server in targets:
        match = REPLICA.fullmatch(server["name"])
        groups.setdefault((match[1], True) if match else (server["name"], False), []).append(server)
    return [_merge_replicas(name, group) if is_replicated else group[0] for (name, is_replicated), group in groups.items()]


def _merge_replicas(name: str, targets: list[dict[str, Any]]) -> dict[str, Any]:
    known = [server for server in targets if server["address"]] or targets[:1]
    up = [server for server in known if server["up"]]
    return {
        **(up or known)[0],
        "name": name,
        "address": ", ".join(sorted(server["address"] for server in known if server["address"])) or None,
        **({"state": f"UP ({len(up)} of {len(known)})"} if 0 < len(up) < len(known) else {}),
        "replicas_down": len(known) - len(up),
        **{key: sum(server[key] for server in targets) for key in (*SUMS, "downs")},
    }


def read_links(stats: list[dict[str, dict[str, dict[str, str]]]], alias: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the state of all links, or of one, from the statistics of each worker, the current one first."""
    # an alias has no dot
    aliases = dict.fromkeys(name for proxies in stats for name in proxies if "." not in name)
    links = {name: read_link(name, stats) for name in aliases if alias in (None, name)}
    return {name: link for name, link in links.items() if link["listen"] != "gone" or link["connections"]}
