#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells what the engine of one side does: the generation it runs, and every link with its targets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ambassador_info
short_description: Tells what the links of one side do
version_added: 0.1.0
author: the crosshost.ambassador contributors
description:
  - >-
    Asks the engine which generation it runs and what every link and target of the side does: HAProxy through its master CLI, the kernel
    through the keeper of the engine nftables.
  - >-
    After a reload an old worker lives on while it holds connections. Connections and bytes are summed over all workers;
    states and checks are those of the current one.
  - A worker counts from its own start, and HAProxy counts the bytes of a connection when it ends.
  - >-
    The kernel counts connections, and for UDP flows, from the last time that its ruleset was loaded, which a backend's new address does as
    well. It checks nothing and counts no bytes. A target is up while it has an address.
options:
  path:
    description: The state directory of one side, for example V(/var/lib/ambassador/client). The engine is asked in C(run) in it.
    type: path
    required: true
  alias:
    description: Only the link of this alias.
    type: str
  timeout:
    description: Seconds to wait for each answer of the engine.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, for it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: The links that this host consumes are looked at
  crosshost.ambassador.ambassador_info:
    path: /var/lib/ambassador/client
  register: client

- name: Redis has a server
  ansible.builtin.assert:
    that: client.links.redis.targets | selectattr('up') | list != []
"""

RETURN = r"""
engine:
  description: The engine that answered, V(haproxy) or V(nftables).
  returned: success
  type: str
  sample: haproxy
current:
  description: Name of the generation on disk, to which C(current) points; none where there is no such link.
  returned: success
  type: str
  sample: c12964c32605
generation:
  description: Name of the generation that the current worker, or the kernel, runs.
  returned: success
  type: str
  sample: c12964c32605
certificate:
  description: The certificate that the current worker shows; none without TLS.
  returned: success
  type: dict
  contains:
    name:
      description: Whose it is.
      type: str
      sample: vm2
    serial:
      description: Its serial number, in hexadecimal digits.
      type: str
      sample: 0B069AA087687613E99E904CEC61CFD64F937BF2
    not_before:
      description: When its lifetime begins, UTC.
      type: str
      sample: "2026-11-24T23:41:01Z"
    not_after:
      description: When its lifetime ends, UTC.
      type: str
      sample: "2027-02-22T23:41:01Z"
    seconds_left:
      description: Seconds until then; negative when it has expired.
      type: int
      sample: 7775999
workers:
  description: HAProxy's workers, the current one first; empty with nftables.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: Process ID, as the container sees it.
      type: int
      sample: 22
    current:
      description: Whether it takes new connections; the others only serve those that they have.
      type: bool
    uptime:
      description: Seconds since it started.
      type: int
      sample: 151
    reloads:
      description: Number of reloads since it started, those that HAProxy refused among them.
      type: int
      sample: 0
links:
  description: >-
    The links by their aliases. A link that is not in the current generation any more is there as long as an old worker
    has connections of it.
  returned: success
  type: dict
  contains:
    listen:
      description: >-
        C(open), C(shut) while a server side has no backend to hand a connection to, or C(gone) for a link that only old workers know.
      type: str
      sample: open
    connections:
      description: Connections now.
      type: int
      sample: 3
    total:
      description: Connections in all.
      type: int
      sample: 1369
    bytes_in:
      description: Bytes from consumers.
      type: int
      sample: 19355
    bytes_out:
      description: Bytes to consumers.
      type: int
      sample: 17630
    failed:
      description: Connections for which no server could be reached.
      type: int
      sample: 0
    held:
      description: Connections that are held now, for want of a server that is up.
      type: int
      sample: 0
    targets:
      description: The targets in their order; on the server side the backend first.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the target, a server host or the backend.
          type: str
          sample: vm1
        address:
          description: What it dials now, C(address:port); none while the name does not resolve.
          type: str
          sample: 198.18.0.11:6379
        state:
          description: Its state in HAProxy's words.
          type: str
          sample: UP
        up:
          description: Whether it gets new connections.
          type: bool
        check_status:
          description: What the last check found, in HAProxy's words; none without checks.
          type: str
          sample: L7OK
        check_code:
          description: The code that came with it, if one did.
          type: int
          sample: 0
        last_check:
          description: What HAProxy says of the last check; none without checks.
          type: str
          sample: Layer7 check passed, (tcp-check)
        check_duration:
          description: Milliseconds that the last check took; none without checks.
          type: int
          sample: 1
        connections:
          description: Connections now.
          type: int
          sample: 3
        total:
          description: Connections in all.
          type: int
          sample: 574
        bytes_in:
          description: Bytes from consumers.
          type: int
          sample: 8169
        bytes_out:
          description: Bytes to consumers.
          type: int
          sample: 12044
        last_change:
          description: Seconds since it went up or down.
          type: int
          sample: 90
        downs:
          description: How often the current worker saw it go down.
          type: int
          sample: 6
    leaving:
      description: What old workers still have connections to, and is no target any more, or not at that address.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the former target.
          type: str
          sample: vm1
        address:
          description: What it was dialled at.
          type: str
          sample: 198.18.0.12:6379
        connections:
          description: Connections now.
          type: int
          sample: 2
"""

import calendar
import csv
import os
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import nftables_keeper
from ansible_collections.crosshost.ambassador.plugins.module_utils.haproxy_cli import ask
from ansible_collections.crosshost.ambassador.plugins.module_utils.wiring import endpoint

VARIABLE = "AMBASSADOR_GENERATION"
# the pipe of the engine nftables
KEEPER = "ask"
# the name that haproxy.cfg gives the certificate of the host
CERTIFICATE = "@/host"
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
HELD = ".held"
# what is summed -> its column
SUMS = {"connections": "scur", "total": "stot", "bytes_in": "bin", "bytes_out": "bout"}


def number(value):
    """Return a column as a number, or None where it is empty.

    :param str value: the column
    :rtype: int | None
    """
    return int(value) if value else None


def parse_workers(answer):
    """Return the workers that `show proc` lists, the newest first.

    After a reload that HAProxy refused, the worker that goes on is listed as an old one: the heading does not tell.

    :param str answer: what HAProxy answered
    :rtype: list[dict]
    :source: HAProxy Management Guide, section 9.4.1, "show proc"
    """
    workers = []
    for match in re.finditer(r"^(\d+)\s+worker\s+(\d+)\s+(\d+)d(\d+)h(\d+)m(\d+)s", answer, re.M):
        pid, reloads, days, hours, minutes, seconds = map(int, match.groups())
        workers.append({"pid": pid, "uptime": ((days * 24 + hours) * 60 + minutes) * 60 + seconds, "reloads": reloads})
    return sorted(workers, key=lambda worker: worker["reloads"])


def parse_stat(answer):
    """Return the rows of `show stat`, or None where the answer is none (the worker has just ended).

    :param str answer: what HAProxy answered
    :return: name of the proxy -> name of the row (a server, ``FRONTEND`` or ``BACKEND``) -> column -> value
    :rtype: dict[str, dict[str, dict[str, str]]] | None
    :source: HAProxy Management Guide, section 9.1, "CSV format"
    """
    if not answer.startswith("# pxname,"):
        return None
    proxies = {}
    for row in csv.DictReader(answer[2:].splitlines()):
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
    begin, end = (calendar.timegm(time.strptime(fields[name], "%b %d %H:%M:%S %Y GMT")) for name in ("notBefore", "notAfter"))
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
        "check_status": row["check_status"].removeprefix("* ") or None,
        "check_code": number(row["check_code"]),
        "last_check": ", ".join(part for part in (row["check_desc"], row["last_chk"].strip()) if part) or None,
        "check_duration": number(row["check_duration"]),
        "last_change": number(row["lastchg"]),
        "downs": number(row["chkdown"]) or 0,
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
    link = {**dict.fromkeys((*SUMS, "failed", "held"), 0), "listen": ("shut" if shut else "open") if now else "gone"}
    leaving = {}
    for proxies in stats:
        rows, held = proxies.get(alias, {}), proxies.get(alias + HELD, {})
        for key, column in SUMS.items():
            link[key] += int(rows.get("BACKEND", {}).get(column) or 0)
        link["failed"] += sum(int(proxy.get("BACKEND", {}).get("econ") or 0) for proxy in (rows, held))
        # one that was held and has a server is like any other
        link["held"] += int(held.get("FRONTEND", {}).get("scur") or 0)
        link["held"] -= sum(int(row["scur"]) for row in servers(held).values())
        for name, row in [*servers(rows).items(), *servers(held).items()]:
            if name in targets and row["addr"] == (targets[name]["address"] or ""):
                for key, column in SUMS.items():
                    targets[name][key] += int(row[column])
            elif int(row["scur"]):
                leaving[name, row["addr"]] = leaving.get((name, row["addr"]), 0) + int(row["scur"])
    link["held"] = max(link["held"], 0)
    link["targets"] = list(targets.values())
    link["leaving"] = [{"name": name, "address": address, "connections": count} for (name, address), count in leaving.items()]
    return link


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
        name, _, target_name = rule["comment"].partition(" ")
        if alias not in (None, name):
            continue
        found = {key: value for expression in rule["expr"] for key, value in expression.items() if key in ("counter", "dnat")}
        dport = next(match for match in (entry.get("match", {}) for entry in rule["expr"]) if "payload" in match.get("left", {}))
        way = dport["left"]["payload"]["protocol"], dport["right"]
        empty = {**dict.fromkeys(("connections", "total", "failed", "held"), 0), "bytes_in": None, "bytes_out": None}
        link = links.setdefault(name, {"listen": "open", **empty, "targets": {}, "leaving": []})
        unknown = dict.fromkeys(("address", "check_status", "check_code", "last_check", "check_duration", "last_change", "downs"))
        counts = {"connections": 0, "total": 0, "bytes_in": None, "bytes_out": None}
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


def read_kernel(path, alias, timeout):
    """Return what the kernel does for a side, as its keeper says.

    :param str path: the state directory of the side
    :param str | None alias: only this link
    :param int timeout: seconds to wait for the answer
    :rtype: dict
    :raises OSError: where no keeper answers, or the kernel has no table
    """
    answer = nftables_keeper.ask(os.path.join(path, "run", KEEPER), "show", timeout)
    table, flows = nftables_keeper.table_of(answer)
    return {
        "engine": "nftables",
        "current": current_generation(path),
        "generation": nftables_keeper.generation_of(answer),
        "certificate": None,
        "workers": [],
        "links": kernel_links(table, flows, alias),
    }


def current_generation(path):
    """Return the name of the generation on disk, or None.

    :param str path: the state directory of the side
    :rtype: str | None
    """
    link = os.path.join(path, "current")
    return os.path.basename(os.readlink(link)) if os.path.islink(link) else None


def read(path, alias, timeout):
    """Return what HAProxy does for a side.

    :param str path: the state directory of the side
    :param str | None alias: only this link
    :param int timeout: seconds to wait for each answer
    :rtype: dict
    :raises OSError: where nothing answers, or no worker does
    """
    socket = os.path.join(path, "run", "master.sock")
    workers, stats = [], []
    answer = ask(socket, "show proc", timeout)
    for worker in parse_workers(answer):
        answer = ask(socket, f"@!{worker['pid']} show stat", timeout)
        proxies = parse_stat(answer)
        # one that ends, or is not ready yet, does not answer
        if proxies is not None:
            workers.append({**worker, "current": not workers})
            stats.append(proxies)
    if workers:
        answer = ask(socket, f"@!{workers[0]['pid']} show env {VARIABLE}", timeout)
    if not answer.startswith(f"{VARIABLE}="):
        raise OSError(answer.splitlines()[0] if answer else "no answer")
    certificate = ask(socket, f"@!{workers[0]['pid']} show ssl cert {CERTIFICATE}", timeout)
    return {
        "engine": "haproxy",
        "current": current_generation(path),
        "generation": answer.partition("=")[2],
        "certificate": parse_certificate(certificate, time.time()),
        "workers": workers,
        "links": read_links(stats, alias),
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "alias": {"type": "str"},
            "timeout": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    path, alias = module.params["path"], module.params["alias"]
    kernel = os.path.exists(os.path.join(path, "run", KEEPER))
    name, socket = ("the keeper", os.path.join(path, "run", KEEPER)) if kernel else ("HAProxy", os.path.join(path, "run", "master.sock"))
    try:
        info = (read_kernel if kernel else read)(path, alias, module.params["timeout"])
    except PermissionError as error:
        module.fail_json(msg=f"expected to be root on this host, found: {error}; set become: true for it.")
    except FileNotFoundError:
        module.fail_json(
            msg=f"expected the socket of an HAProxy at {socket}, found none; deploy this side with the engine haproxy or nftables"
            " (socat has no socket: `docker inspect` of its container is all there is), or correct the path."
        )
    except OSError as error:
        module.fail_json(
            msg=f"expected {name} to answer on {socket}, found: {error}; its log says why (`docker logs` of the ambassador's container)."
        )
    if alias is not None and not info["links"]:
        module.fail_json(msg=f"expected a link {alias} in generation {info['generation']} of {path}, found none; correct the alias.")
    module.exit_json(changed=False, **info)


if __name__ == "__main__":
    main()
