# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an engine of one side does: the generation that it runs, and every link with its targets, as its own endpoint tells."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import ssl
import time

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _nftables_keeper as nftables_keeper
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._haproxy_cli import ask
from ansible_collections.crosshost.ambassador.plugins.module_utils._packing import MAX_PACKED_BYTES

VARIABLE = "AMBASSADOR_GENERATION"
# the pipe of the engine nftables
KEEPER = "ask"
# the directories of endpoints, one for each container of a side
RUN = re.compile(r"run(-[0-9]+)?")
# the name that haproxy.cfg gives the certificate of the host
CERTIFICATE = "@/host"
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
HELD = ".held"
# a server of several that one name of a backend stands for
REPLICA = re.compile(r"(.+)\.replica[0-9]+")
# what is counted of a link alone, and not of its targets
COUNTS = ("failed", "refused", "held")
# what is summed -> its column
SUMS = {"connections": "scur", "total": "stot", "bytes_in": "bin", "bytes_out": "bout"}
# the columns of `show stat` that are read
COLUMNS = {"pxname", "svname", "status", "addr", "check_status", "check_code", "check_desc", "last_chk", "check_duration", "lastchg"}
COLUMNS |= {"chkdown", "dreq", "econ", *SUMS.values()}
# 1,000 links of 21 workers take 4 seconds on a busy host
ALL_ANSWERS = 3
# haproxy.cfg lets HAProxy keep 20 old workers
MAX_WORKERS = 32
# of all workers together: 1,000 links of 21 workers have 150,000
MAX_ROWS = 200_000
# HAProxy 3.2 has 105
MAX_COLUMNS = 256
# of an answer that is an error, the characters that a message repeats
MAX_WORDS = 200
# where the link to the current generation may lead to
CURRENT = re.compile(rf"generations/({endpoints.GENERATION.pattern})")


def number(value):
    """Return a column as a number, or None where it is empty.

    :param str value: the column
    :rtype: int | None
    """
    return endpoints.number(value) if value else None


def parse_workers(answer):
    """Return the workers that `show proc` lists, the newest first.

    After a reload that HAProxy refused, the worker that goes on is listed as an old one: the heading does not tell.

    :param str answer: what HAProxy answered
    :rtype: list[dict]
    :raises ValueError: if there are too many
    :source: HAProxy Management Guide, section 9.4.1, "show proc"
    """
    workers = []
    for match in re.finditer(r"^(\d{1,9})\s+worker\s+(\d{1,9})\s+(\d{1,9})d(\d{1,9})h(\d{1,9})m(\d{1,9})s", answer, re.M):
        pid, reloads, days, hours, minutes, seconds = map(int, match.groups())
        workers.append({"pid": pid, "uptime": ((days * 24 + hours) * 60 + minutes) * 60 + seconds, "reloads": reloads})
        if len(workers) > MAX_WORKERS:
            raise ValueError(f"more than {MAX_WORKERS} workers")
    return sorted(workers, key=lambda worker: worker["reloads"])


def parse_stat(answer, max_rows=MAX_ROWS):
    """Return the rows of `show stat`, or None where the answer is none (the worker has just ended).

    :param str answer: what HAProxy answered
    :param int max_rows: how many rows it may have
    :return: name of the proxy -> name of the row (a server, ``FRONTEND`` or ``BACKEND``) -> column -> value, of :data:`COLUMNS`
    :rtype: dict[str, dict[str, dict[str, str]]] | None
    :raises ValueError, IndexError, KeyError, csv.Error: if it cannot be read
    :source: HAProxy Management Guide, section 9.1, "CSV format"
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


def parse_certificate(answer, now):
    """Return what `show ssl cert` says of a certificate, or None where it says nothing (without TLS).

    :param str answer: what HAProxy answered
    :param float now: seconds since the epoch
    :rtype: dict | None
    :source: HAProxy Management Guide, section 9.3, "show ssl cert"
    """
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


def servers(rows):
    """Return the rows of a proxy that are targets: not its sums, nor the server that holds connections.

    :param dict rows: name of the row -> column -> value
    :rtype: dict[str, dict[str, str]]
    """
    return {name: row for name, row in rows.items() if name not in ("FRONTEND", "BACKEND") and not name.startswith(".")}


def target(row):
    """Return what the current worker knows of a target.

    :param dict row: column -> value
    :rtype: dict
    """
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


def read_link(alias, stats):
    """Return what a link does.

    :param str alias: its alias
    :param list stats: what :func:`parse_stat` returned for each worker, the current one first
    :rtype: dict
    """
    now = stats[0].get(alias, {})
    targets = {name: target(row) for name, row in servers(now).items()}
    # a server side's port can be other links' as well: its own proxy has no frontend
    shut = now["FRONTEND"]["status"] != "OPEN" if "FRONTEND" in now else not any(row["up"] for row in list(targets.values())[:1])
    link = {**dict.fromkeys((*SUMS, *COUNTS), 0), "listen": ("shut" if shut else "open") if now else "gone"}
    leaving = {}
    for proxies in stats:
        rows, held = proxies.get(alias, {}), proxies.get(alias + HELD, {})
        for key, column in SUMS.items():
            link[key] += number(rows.get("BACKEND", {}).get(column)) or 0
        link["refused"] += sum(number(rows.get(row, {}).get("dreq")) or 0 for row in ("FRONTEND", "BACKEND"))
        link["failed"] += sum(number(proxy.get("BACKEND", {}).get("econ")) or 0 for proxy in (rows, held))
        # one that was held and has a server is like any other
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


def replicated(targets):
    """Return targets with those as one that one name of a backend stands for: up where one of them is, counted together.

    :param list[dict] targets: as :func:`target` returns them
    :rtype: list[dict]
    """
    found, groups = [], {}
    for one in targets:
        match = REPLICA.fullmatch(one["name"])
        if not match:
            found.append(one)
        elif match[1] in groups:
            groups[match[1]].append(one)
        else:
            groups[match[1]] = [one]
            found.append(match[1])
    return [_as_one(one, groups[one]) if isinstance(one, str) else one for one in found]


def _as_one(name, targets):
    known = [one for one in targets if one["address"]] or targets[:1]
    up = [one for one in known if one["up"]]
    return {
        **(up or known)[0],
        "name": name,
        "address": ", ".join(sorted(one["address"] for one in known if one["address"])) or None,
        **({"state": f"UP ({len(up)} of {len(known)})"} if 0 < len(up) < len(known) else {}),
        "replicas_down": len(known) - len(up),
        **{key: sum(one[key] for one in targets) for key in SUMS},
        "downs": sum(one["downs"] for one in targets),
    }


def read_links(stats, alias=None):
    """Return what all links do.

    :param list stats: what :func:`parse_stat` returned for each worker, the current one first
    :param str | None alias: only this one
    :return: alias -> link
    :rtype: dict[str, dict]
    """
    # an alias has no dot
    aliases = dict.fromkeys(name for proxies in stats for name in proxies if "." not in name)
    links = {name: read_link(name, stats) for name in aliases if alias in (None, name)}
    return {name: link for name, link in links.items() if link["listen"] != "gone" or link["connections"]}


def kernel_links(table, flows, alias=None):
    """Return what the kernel does for all links.

    :param list table: the objects of the table, as :func:`nftables_keeper.table_of` returns them; the comment of a rule is the alias
        and the name of the target
    :param dict flows: protocol, port, address and port -> number of flows
    :param str | None alias: only this link
    :return: alias -> link
    :rtype: dict[str, dict]
    """
    links, ways = {}, {}
    for rule in (entry["rule"] for entry in table if "comment" in entry.get("rule", {})):
        name, __, target_name = rule["comment"].partition(" ")
        if alias not in (None, name):
            continue
        found = {key: value for expression in rule["expr"] for key, value in expression.items() if key in ("counter", "dnat")}
        dport = next(match for match in (entry.get("match", {}) for entry in rule["expr"]) if "payload" in match.get("left", {}))
        way = dport["left"]["payload"]["protocol"], dport["right"]
        empty = {**dict.fromkeys(("connections", "total", *COUNTS), 0), "bytes_in": None, "bytes_out": None}
        link = links.setdefault(name, {"listen": "open", **empty, "targets": {}, "leaving": []})
        unknown = dict.fromkeys(("address", "check_status", "check_code", "last_check", "check_duration", "last_change", "downs"))
        counts = {"connections": 0, "total": 0, "bytes_in": None, "bytes_out": None, "replicas_down": 0}
        target = link["targets"].setdefault(target_name, {"name": target_name, "state": "no address", "up": False, **unknown, **counts})
        for one in (link, target):
            one["total"] += found["counter"]["packets"]
        ways[way] = name
        if "dnat" not in found:
            link["failed"] += found["counter"]["packets"]
            continue
        address, port = found["dnat"]["addr"], found["dnat"]["port"]
        target.update(address=target["address"] or endpoint(address, port), state="not checked", up=True)
        target["connections"] += flows.pop((*way, address, port), 0)
    for (protocol, port, address, to), count in flows.items():
        if (protocol, port) in ways:
            links[ways[protocol, port]]["leaving"].append({"name": "", "address": endpoint(address, to), "connections": count})
    for link in links.values():
        link["targets"] = list(link["targets"].values())
        link["connections"] = sum(entry["connections"] for entry in link["targets"] + link["leaving"])
    return links


def read_kernel(path, run, alias, timeout):
    """Return what the kernel does for a container of a side, as its keeper says.

    :param str path: the state directory of the side
    :param str run: the directory of the container's endpoint in it
    :param str | None alias: only this link
    :param int timeout: seconds to wait for the answer
    :rtype: dict
    :raises OSError: where no keeper answers, or the kernel has no table
    """
    answer = nftables_keeper.ask(os.path.join(path, run, KEEPER), "show", timeout)
    table, flows = nftables_keeper.table_of(answer)
    head = nftables_keeper.head_of(table)
    return {
        "engine": "nftables",
        "current": current_generation(path),
        "generation": endpoints.generation(head.get("comment", "")),
        "certificate": None,
        "workers": [],
        # a table that is loaded again is another one, and counts from zero
        "counters": f"{head['handle']:d}",
        "links": kernel_links(table, flows, alias),
    }


def current_generation(path):
    """Return the name of the generation on disk, or None if there is none, or the link leads elsewhere.

    :param str path: the state directory of the side
    :rtype: str | None
    """
    link = os.path.join(path, "current")
    match = CURRENT.fullmatch(os.readlink(link)) if os.path.islink(link) else None
    return match[1] if match else None


def current_directory(path):
    """Return the directory of the generation on disk, or a path that does not exist.

    :param str path: the state directory of the side
    :rtype: str
    """
    return os.path.join(path, "generations", current_generation(path) or "none")


def read_haproxy(path, run, alias, timeout):
    """Return what HAProxy does in a container of a side.

    :param str path: the state directory of the side
    :param str run: the directory of the container's endpoint in it
    :param str | None alias: only this link
    :param int timeout: seconds to wait for each answer; all of them may take :data:`ALL_ANSWERS` times as long
    :rtype: dict
    :raises OSError: where nothing answers, or no worker does
    """
    budget = endpoints.Budget(ALL_ANSWERS * timeout)
    question = functools.partial(ask, os.path.join(path, run, "master.sock"), timeout=timeout, budget=budget)
    workers, stats, rows = [], [], MAX_ROWS
    answer = question("show proc")
    for worker in parse_workers(answer):
        answer = question(f"@!{worker['pid']} show stat")
        proxies = parse_stat(answer, rows)
        # one that ends, or is not ready yet, does not answer
        if proxies is not None:
            workers.append({"directory": run, **worker, "current": not workers})
            stats.append(proxies)
            rows -= sum(map(len, proxies.values()))
    if workers:
        answer = question(f"@!{workers[0]['pid']} show env {VARIABLE}")
    generation = generation_of(answer)
    certificate = question(f"@!{workers[0]['pid']} show ssl cert {CERTIFICATE}")
    return {
        "engine": "haproxy",
        "current": current_generation(path),
        "generation": generation,
        "certificate": parse_certificate(certificate, time.time()),
        "workers": workers,
        # what a worker has counted ends with it
        "counters": " ".join(str(worker["pid"]) for worker in workers),
        "links": read_links(stats, alias),
    }


def generation_of(answer):
    """Return the name of the generation that HAProxy reports.

    :param str answer: the answer to `show env`
    :rtype: str
    :raises OSError: if HAProxy reports none; with its words
    """
    if not answer.startswith(f"{VARIABLE}="):
        raise OSError(answer.splitlines()[0][:MAX_WORDS] if answer else "no answer")
    with endpoints.readable("HAProxy"):
        return endpoints.generation(answer.partition("=")[2])


def runs(path):
    """Return the directories of the endpoints of a side's containers, that of the ambassador first.

    :param str path: the state directory of the side
    :rtype: list[str]
    """
    found = [name for name in (os.listdir(path) if os.path.isdir(path) else []) if RUN.fullmatch(name)]
    return sorted(found, key=lambda name: (len(name), name)) or ["run"]


def endpoint_of(path, run):
    """Return the name of the engine that answers for a container of a side, as a sentence names it, and the path at which it does.

    :param str path: the state directory of the side
    :param str run: the directory of the container's endpoint in it
    :rtype: tuple[str, str]
    """
    keeper = os.path.join(path, run, KEEPER)
    return ("the keeper", keeper) if os.path.lexists(keeper) else ("HAProxy", os.path.join(path, run, "master.sock"))


def read(path, alias=None, timeout=5):
    """Return what the engine of a side does, in all of its containers.

    :param str path: the state directory of the side
    :param str | None alias: only this link
    :param int timeout: seconds to wait for each answer; all of a container may take :data:`ALL_ANSWERS` times as long
    :return: as the module ``ambassador_info`` documents it
    :rtype: dict
    :raises OSError: where one does not answer; its attribute ``endpoint`` is what :func:`endpoint_of` returns. A FileNotFoundError where
        there is no endpoint at all
    """
    found = []
    for run in runs(path):
        name, at = endpoint_of(path, run)
        try:
            with endpoints.readable(name):
                one = (read_kernel if name == "the keeper" else read_haproxy)(path, run, alias, timeout)
                if len(json.dumps(one["links"])) > MAX_PACKED_BYTES:
                    raise ValueError("too many links")
        except OSError as error:
            error.endpoint = (name, at)
            raise
        found.append({**one, "connections": {run: sum(link["connections"] for link in one["links"].values())}})
    return functools.reduce(together, found)


def together(one, other):
    """Return what two containers of a side do: of what differs the worse, of what is counted the sum.

    :param dict one: what :func:`read` returns
    :param dict other: the same of another container
    :rtype: dict
    """
    # a generation that is not the one on disk is the one to be told of
    stale = one["generation"] == one["current"] != other["generation"]
    links = {**other["links"], **one["links"]}
    for alias in one["links"].keys() & other["links"].keys():
        links[alias] = _together(one["links"][alias], other["links"][alias])
    return {
        **one,
        "generation": other["generation"] if stale else one["generation"],
        "workers": one["workers"] + other["workers"],
        "counters": f"{one['counters']} {other['counters']}",
        "connections": {**one["connections"], **other["connections"]},
        "links": links,
    }


def _together(one, other):
    """Return what two containers do of one link, or for one target of it."""
    numbers = (*SUMS, *COUNTS)
    found = {**one, **{key: None if None in (one[key], other[key]) else one[key] + other[key] for key in numbers if key in one}}
    if "targets" not in one:
        counted = {key: found[key] for key in SUMS}
        return {**(other if one["up"] and not other["up"] else one), **counted}
    theirs = {target["name"]: target for target in other["targets"]}
    found["targets"] = [_together(target, theirs[target["name"]]) if target["name"] in theirs else target for target in one["targets"]]
    found["leaving"] = one["leaving"] + other["leaving"]
    # in the order of what tells more of a trouble
    found["listen"] = next(word for word in ("shut", "open", "gone") if word in (one["listen"], other["listen"]))
    return found
