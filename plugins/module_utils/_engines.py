# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of the engine of one side in all of its containers: the running generation, and every link with its targets."""

from __future__ import annotations

import functools
import json
import os
import stat
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils._haproxy import COUNTS, SUMS, HAProxy
from ansible_collections.crosshost.ambassador.plugins.module_utils._nftables import Nftables
from ansible_collections.crosshost.ambassador.plugins.module_utils._packing import MAX_PACKED_BYTES

ENGINES = {engine.engine: engine for engine in (HAProxy, Nftables)}


def engine_of(directory: str) -> HAProxy | Nftables:
    """Return the engine whose endpoint is in a directory, HAProxy if there is none. HAProxy in a container can create another file."""
    keeper = Nftables(directory)
    return keeper if os.path.lexists(keeper.path) and stat.S_ISFIFO(os.lstat(keeper.path).st_mode) else HAProxy(directory)


def read(path: str, alias: str | None = None, timeout: float = 5) -> dict[str, Any]:
    """Return the state of a side as the module ``ambassador_info`` documents it, with one link or all.

    Raise OSError, with the attribute ``engine``, if an engine does not answer in time; FileNotFoundError without an endpoint.
    """
    states = []
    for run in endpoints.runs(path):
        engine = engine_of(os.path.join(path, run))
        try:
            with endpoints.readable(engine.reader):
                state = engine.read(alias, timeout)
                if len(json.dumps(state["links"])) > MAX_PACKED_BYTES:
                    raise ValueError("too many links")
        except OSError as error:
            error.engine = engine
            raise
        state["connections"] = {run: sum(link["connections"] for link in state["links"].values())}
        states.append({**state, "current": endpoints.current_generation(path)})
    return functools.reduce(together, states)


def together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the states of two containers of a side as one: the worse of both, and the sum of counters."""
    # the generation to report is the one that differs from the one on disk
    stale = one["generation"] == one["current"] != other["generation"]
    links = {**other["links"], **one["links"]}
    for alias in one["links"].keys() & other["links"].keys():
        links[alias] = _link_together(one["links"][alias], other["links"][alias])
    return {
        **one,
        "generation": other["generation"] if stale else one["generation"],
        "workers": one["workers"] + other["workers"],
        "counters": f"{one['counters']} {other['counters']}",
        "connections": {**one["connections"], **other["connections"]},
        "links": links,
    }


def _link_together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    others = {target["name"]: target for target in other["targets"]}
    targets = [_target_together(target, others[target["name"]]) if target["name"] in others else target for target in one["targets"]]
    # the first of these words is the worst
    listen = next(word for word in ("shut", "open", "gone") if word in (one["listen"], other["listen"]))
    leaving = one["leaving"] + other["leaving"]
    return {**one, **_sums(one, other, (*SUMS, *COUNTS)), "targets": targets, "leaving": leaving, "listen": listen}


def _target_together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {**(other if one["up"] and not other["up"] else one), **_sums(one, other, SUMS)}


def _sums(one: dict[str, Any], other: dict[str, Any], keys: Any) -> dict[str, int | None]:
    # the kernel counts no bytes
    return {key: None if None in (one[key], other[key]) else one[key] + other[key] for key in keys}


def proved(target: dict[str, Any]) -> bool:
    """Return whether a target is up and a check has confirmed it: a worker that has just started considers its own backend up."""
    # HAProxy Management Guide, section 9.1, column check_status: a check that succeeds ends in OK, or OKC
    return target["up"] and (target["check_status"] is None or target["check_status"].endswith(("OK", "OKC")))
