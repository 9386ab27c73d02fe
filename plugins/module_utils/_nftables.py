# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine nftables in one container: its generation and links, as its keeper reports them, through a pipe and a file beside it."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint

# a link or target without traffic; the kernel counts the bytes of neither
EMPTY_LINK = {**dict.fromkeys(("connections", "total", "failed", "refused", "held"), 0), "bytes_in": None, "bytes_out": None}
EMPTY_TARGET = {
    **{"state": "no address", "up": False, "connections": 0, "total": 0, "replicas_down": 0, "bytes_in": None, "bytes_out": None},
    **dict.fromkeys(("address", "check_status", "check_code", "last_check", "check_duration", "last_change", "downs")),
}


def ask(path: str, command: str, timeout: float = 60, budget: endpoints.Budget | None = None) -> str:
    """Return the answer of a keeper to ``show`` or ``reload``. Raise OSError if none answers, or the pipe or answer is something else."""
    name = f"answer.{os.getpid()}.{time.monotonic_ns()}"
    # without waiting: a pipe without a reader belongs to a keeper that has ended
    endpoints.write_to_pipe(path, f"{command} {name}\n".encode())
    answer = os.path.join(os.path.dirname(path), name)
    budget = budget or endpoints.Budget(timeout)
    while not os.path.lexists(answer):
        time.sleep(min(0.02, budget.seconds_left()))
    try:
        content = endpoints.read_file(answer, budget.max_bytes())
        budget.spend(len(content))
        return content.decode(errors="replace").strip()
    finally:
        os.unlink(answer)


class Nftables:
    """The keeper in the container whose endpoint is in a directory."""

    # as messages name the program that loads a ruleset, and the one that answers
    engine, name, reader = "nftables", "nft", "the keeper"
    endpoint, file = "ask", "ambassador.nft"

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, self.endpoint)

    def ask(self, command: str, timeout: float = 60) -> str:
        """Send a command and return the answer."""
        return ask(self.path, command, timeout)

    def running(self) -> str:
        """Return the name of the generation that the kernel has. Raise OSError if no keeper answers, or the kernel has no table."""
        answer = self.ask("show", timeout=5)
        with endpoints.readable(self.reader):
            return endpoints.generation(table_of(answer)[0].get("comment", ""))

    def read(self, alias: str | None, timeout: float) -> dict[str, Any]:
        """Return the state of this container, with one link or all. Raise OSError if no keeper answers, or the kernel has no table."""
        head, objects, flows = table_of(self.ask("show", timeout))
        return {
            "engine": self.engine,
            "generation": endpoints.generation(head.get("comment", "")),
            "certificate": None,
            "workers": [],
            # a table that is loaded again is another one, and counts from zero
            "counters": f"{head['handle']:d}",
            "links": kernel_links(objects, flows, alias),
        }


def table_of(answer: str) -> tuple[dict, list, dict]:
    """Return the table, its objects, as libnftables-json(5) has them, and the number of flows by protocol, port, and target.

    Its ``comment`` is the name of the generation. Raise OSError with the words of nft if the answer to ``show`` has no table.
    """
    if not answer.startswith("{"):
        raise OSError(answer[: endpoints.MAX_WORDS] or "no answer")
    table, *lines = answer.splitlines()
    flows = {}
    for line in lines:
        protocol, port, address, to, count = line.split()
        flows[protocol, endpoints.number(port), address, endpoints.number(to)] = endpoints.number(count)
    numbers = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), endpoints.number)
    objects = json.loads(table, **numbers)["nftables"]
    return next(entry["table"] for entry in objects if "table" in entry), objects, flows


def kernel_links(objects: list[dict[str, Any]], flows: dict[tuple, int], alias: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the state of all links, or of one. The comment of a rule is the alias and the name of the target."""
    links, ways = {}, {}
    for rule in (entry["rule"] for entry in objects if "comment" in entry.get("rule", {})):
        name, __, target_name = rule["comment"].partition(" ")
        if alias not in (None, name):
            continue
        actions = {key: value for expression in rule["expr"] for key, value in expression.items() if key in ("counter", "dnat")}
        dport = next(match for match in (entry.get("match", {}) for entry in rule["expr"]) if "payload" in match.get("left", {}))
        way = dport["left"]["payload"]["protocol"], dport["right"]
        link = links.setdefault(name, {"listen": "open", **EMPTY_LINK, "targets": {}, "leaving": []})
        target = link["targets"].setdefault(target_name, {"name": target_name, **EMPTY_TARGET})
        for counted in (link, target):
            counted["total"] += actions["counter"]["packets"]
        ways[way] = name
        if "dnat" not in actions:
            link["failed"] += actions["counter"]["packets"]
            continue
        address, port = actions["dnat"]["addr"], actions["dnat"]["port"]
        target.update(address=target["address"] or endpoint(address, port), state="not checked", up=True)
        target["connections"] += flows.pop((*way, address, port), 0)
    for (protocol, port, address, to), count in flows.items():
        if (protocol, port) in ways:
            links[ways[protocol, port]]["leaving"].append({"name": "", "address": endpoint(address, to), "connections": count})
    for link in links.values():
        link["targets"] = list(link["targets"].values())
        link["connections"] = sum(entry["connections"] for entry in link["targets"] + link["leaving"])
    return links
