# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lines that a run prints before it changes a side: links, connections, networks and containers."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import targets_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers


def _places(targets):
    return ", ".join(f"{target['name']} {endpoint(target['address'], target['port'])}" for target in targets)


def link_lines(side, host, wiring, on_disk):
    """Tell which links are added, removed and re-pointed.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict on_disk: the side as it was observed
    :return: a line each: ``+ redis vm2 -> vm1 (198.18.0.11:6379)``
    :rtype: list[str]
    """
    lines, were = [], on_disk.get("links") or {}
    for link in wiring["links"]:
        alias, targets, was = link["alias"], targets_of(link, side), targets_of(were.get(link["alias"], {}), side)
        if side == "server":
            # where its backend is, Docker says
            now, then = [target["name"] for target in targets], [target["name"] for target in was]
            told = f"{alias} {host}: {link['backend']}"
        else:
            now = [endpoint(target["address"], target["port"]) for target in targets]
            then = [target["address"] for target in was]
            told = f"{alias} {host} -> " + ", ".join(f"{target['name']} ({place})" for target, place in zip(targets, now, strict=False))
        if alias not in were:
            lines.append(f"+ {told}")
        elif not _same_places(targets, now, was, then):
            names = ", ".join(target["name"] for target in was)
            lines.append(f"~ {alias} {host}: {names} {', '.join(filter(None, then))} -> {_places(targets)}, live")
    return lines + removed_lines(side, host, wiring, on_disk)


def _same_places(targets, now, was, then):
    """Tell whether a link leads to the same targets as before: the address behind a name can change without a run."""
    if len(now) != len(then):
        return False
    return all(
        place == other or ((target["dns"] or target["on_this_host"]) and target["name"] == before["name"])
        for target, place, before, other in zip(targets, now, was, then, strict=False)
    )


def removed_lines(side, host, wiring, on_disk):
    """Tell which links are removed, and what they did.

    :return: a line each: ``- pg vm2 -> vm1, up, 3 connections``
    :rtype: list[str]
    """
    lines, wanted = [], {link["alias"] for link in wiring["links"]}
    for alias, link in (on_disk.get("links") or {}).items():
        if alias in wanted:
            continue
        targets = targets_of(link, side)
        names = ", ".join(target["name"] for target in targets)
        up = "up" if any(target["up"] for target in targets) else "down"
        arrow = " ->" if side == "client" else ":"
        lines.append(f"- {alias} {host}{arrow} {names}, {up}, {counted(link['connections'])}")
    return lines


def removal_warnings(side, host, wiring, on_disk):
    """Warn of a run that removes the last link of a side, or more than half of them: that may be a mistake in the map.

    :rtype: list[str]
    """
    were, wanted = list(on_disk.get("links") or {}), {link["alias"] for link in wiring["links"]}
    gone = [alias for alias in were if alias not in wanted]
    if not gone or (wanted and len(gone) * 2 <= len(were)):
        return []
    return [f"host {host}: this run removes {len(gone)} of the {len(were)} links of its {side} side ({', '.join(sorted(gone))})."]


def counted(connections):
    """Return a number of connections in words: ``1 connection``, ``3 connections``.

    :param int connections: the number
    :rtype: str
    """
    return f"{connections} connection{'' if connections == 1 else 's'}"


def joined_lines(host, container, found, observed, settings):
    """Return which Docker networks a container joins and leaves, and whether that breaks its connections.

    Docker publishes the ports of a container on the network that is its default route. With another one, connections through it break.

    :param str host: inventory name of the host
    :param dict container: what is asked of it
    :param dict | None found: the container as it was observed
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if not found:
        return []
    there, wanted = set(found["networks"]), {container["network"], *container["others"]}
    joins, leaves = sorted(set(container["others"]) - there), sorted(there - wanted)
    was, will_be = (containers.default_route(places, observed, settings) for places in (there, wanted))
    routes = {was: "was", will_be: "becomes"} if was and was != will_be else {}
    lines = []
    for verb, places in (("joins", joins), ("leaves", leaves)):
        for network in places:
            more = f", which {routes[network]} its default route, so that connections through it break once" if network in routes else ""
            lines.append(f"~ host {host}: {container['name']} {verb} the network {network}{more}")
    return lines


def remade_lines(host, container, found, observed, connections):
    """Tell whether a container is made anew, and what that breaks.

    :param str host: inventory name of the host
    :param dict container: what is asked of it
    :param dict | None found: the container as it was observed
    :param dict observed: the observation
    :param int | None connections: how many it has; None for an engine that does not tell
    :rtype: list[str]
    """
    lines, name = [], container["name"]
    if found is None:
        return lines
    if found["state"] == "running" and containers.made_anew(container, found, observed["images"]):
        breaks = counted(connections or 0)
        if sorted(found["publishes"]) != sorted(container["publish"]):
            why = f", to publish {', '.join(container['publish']) or 'nothing'} instead of {', '.join(found['publishes']) or 'nothing'}"
        else:
            why = f" ({', '.join(containers.differences(container, found, observed['images']))})"
        lines.append(f"~ host {host}: {name} is made anew{why}; connections through it break once. There are {breaks} now.")
    return lines
