# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lines that a run prints before it changes a side, and its warnings: links, connections, networks and containers."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import targets_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import Change, format_differences, needs_recreate
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import find_default_route


def format_link_lines(side, host, wiring, on_disk):
    """Return the links that are added, removed and changed.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict on_disk: the side as it was observed
    :return: a line each: ``+ redis vm2 -> vm1 (198.18.0.11:6379)``
    :rtype: list[str]
    """
    lines, former_links = [], on_disk.get("links") or {}
    format_line = _format_server_link if side == "server" else _format_client_link
    for link in wiring["links"]:
        line = format_line(host, link, former_links.get(link["alias"]))
        if line:
            lines.append(line)
    return lines + format_removed_links(side, host, wiring, on_disk)


def _format_server_link(host, link, former_link):
    """Return the line of a link of a server side, None if it does not change. Docker reports the address of its backend."""
    if former_link is None:
        return f"+ {link['alias']} {host}: {link['backend']}"
    targets, former_targets = targets_of(link, "server"), targets_of(former_link, "server")
    former_places = [target["name"] for target in former_targets]
    if _has_same_targets(targets, [target["name"] for target in targets], former_targets, former_places):
        return None
    return _format_changed_link(host, link, targets, former_targets, former_places)


def _format_client_link(host, link, former_link):
    """Return the line of a link of a client side, None if it does not change."""
    targets = targets_of(link, "client")
    places = [endpoint(target["address"], target["port"]) for target in targets]
    if former_link is None:
        servers = ", ".join(f"{target['name']} ({place})" for target, place in zip(targets, places, strict=False))
        return f"+ {link['alias']} {host} -> {servers}"
    former_targets = targets_of(former_link, "client")
    former_places = [target["address"] for target in former_targets]
    if _has_same_targets(targets, places, former_targets, former_places):
        return None
    return _format_changed_link(host, link, targets, former_targets, former_places)


def _format_changed_link(host, link, targets, former_targets, former_places):
    former_names = ", ".join(target["name"] for target in former_targets)
    places = ", ".join(f"{target['name']} {endpoint(target['address'], target['port'])}" for target in targets)
    return f"~ {link['alias']} {host}: {former_names} {', '.join(filter(None, former_places))} -> {places}, live"


def _has_same_targets(targets, places, former_targets, former_places):
    """Return whether a link forwards to the same targets as before: the address of a name can change without a run."""
    if len(places) != len(former_places):
        return False
    return all(
        place == former_place or ((target["dns"] or target["on_this_host"]) and target["name"] == former_target["name"])
        for target, place, former_target, former_place in zip(targets, places, former_targets, former_places, strict=False)
    )


def format_removed_links(side, host, wiring, on_disk):
    """Return the links that are removed, with their state and their connections.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict on_disk: the side as it was observed
    :return: a line each: ``- pg vm2 -> vm1, up, 3 connections``
    :rtype: list[str]
    """
    lines, wanted = [], {link["alias"] for link in wiring["links"]}
    for alias, link in (on_disk.get("links") or {}).items():
        if alias in wanted:
            continue
        targets = targets_of(link, side)
        target_names = ", ".join(target["name"] for target in targets)
        state = "up" if any(target["up"] for target in targets) else "down"
        arrow = " ->" if side == "client" else ":"
        lines.append(f"- {alias} {host}{arrow} {target_names}, {state}, {format_connections(link['connections'])}")
    return lines


def find_removal_warnings(side, host, wiring, on_disk):
    """Return a warning if a run removes the last link of a side, or more than half of its links: that may be a mistake in the map.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict on_disk: the side as it was observed
    :rtype: list[str]
    """
    former, wanted = list(on_disk.get("links") or {}), {link["alias"] for link in wiring["links"]}
    removed = [alias for alias in former if alias not in wanted]
    if not removed or (wanted and len(removed) * 2 <= len(former)):
        return []
    return [f"host {host}: this run removes {len(removed)} of the {len(former)} links of its {side} side ({', '.join(sorted(removed))})."]


def format_connections(connections):
    """Return a number of connections in words: ``1 connection``, ``3 connections``.

    :param int connections: the number
    :rtype: str
    """
    return f"{connections} connection{'' if connections == 1 else 's'}"


def format_joined_networks(host, wanted, container, observed, settings):
    """Return which Docker networks a container joins and leaves, and whether that breaks its connections.

    Docker publishes the ports of a container on the network that is its default route. With another one, connections through it break.

    :param str host: inventory name of the host
    :param dict wanted: the description of the container
    :param dict | None container: the container as it was observed
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    if not container:
        return []
    former, planned = set(container["networks"]), {wanted["network"], *wanted["others"]}
    joins, leaves = sorted(set(wanted["others"]) - former), sorted(former - planned)
    old_route, new_route = (find_default_route(networks, observed, settings) for networks in (former, planned))
    routes = {old_route: "was", new_route: "becomes"} if old_route and old_route != new_route else {}
    lines = []
    for verb, networks in (("joins", joins), ("leaves", leaves)):
        for network in networks:
            more = f", which {routes[network]} its default route, so that connections through it break once" if network in routes else ""
            lines.append(f"~ host {host}: {wanted['name']} {verb} the network {network}{more}")
    return lines


def format_recreation(host, wanted, container, differences, connections):
    """Return a line if a running container is recreated, with the connections that this breaks.

    :param str host: inventory name of the host
    :param dict wanted: the description of the container
    :param dict | None container: the container as it was observed
    :param list[Difference] differences: the differences between both
    :param int | None connections: how many it has; None for an engine that does not count them
    :rtype: list[str]
    """
    if container is None or container["state"] != "running" or not needs_recreate(differences):
        return []
    if any(difference.change is Change.PORTS for difference in differences):
        former = ", ".join(container["publishes"]) or "nothing"
        reason = f", to publish {', '.join(wanted['publish']) or 'nothing'} instead of {former}"
    else:
        reason = f" ({format_differences(differences)})"
    return [
        f"~ host {host}: {wanted['name']} is made anew{reason}; connections through it break once."
        f" There are {format_connections(connections or 0)} now."
    ]
