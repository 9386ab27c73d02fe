# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The numbers of the containers of a side, and the containers of a backend. Pure Python without Ansible."""

from __future__ import annotations

import itertools

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import variable_prefix


def find_side_containers(side, observed):
    """Return the existing containers of a side.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :return: number -> container as it was observed, in the order of numbers
    :rtype: dict[int, dict]
    """
    found = {}
    for name, container in observed["containers"].items():
        match = names.AMBASSADOR.fullmatch(name)
        if match and match[2] == side and container["ours"] == name:
            found[int(match[3] or 1)] = container
    return dict(sorted(found.items()))


def find_free_number(side, observed, taken):
    """Return the first number from 2 that neither an existing nor a planned container has.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param taken: numbers of planned containers
    :rtype: int
    """
    return next(
        n
        for n in itertools.count(2)
        if n not in taken and names.name_side_container(side, observed["mesh"], n) not in observed["containers"]
    )


def choose_places(links, observed):
    """Return which container of a client side has the name of each link.

    Two names with one port cannot share an address, so that one of them has a container of its own, and all others are in the first. What
    is somewhere stays there, whatever comes, goes or is written first in the map: another container is another connection.

    :param list[dict] links: the links of a client side
    :param dict observed: the observation
    :return: name that consumers dial -> number of the container
    :rtype: dict[str, int]
    """
    listens, there = {}, {}
    for link in links:
        listens.setdefault(link["name"], set()).add((link["listen"], link["protocol"]))
    for number, found in find_side_containers("client", observed).items():
        for network in found["networks"].values():
            there.update({alias: number for alias in network.get("aliases", []) if alias in listens and alias not in there})
    alone = {name: number for name, number in there.items() if number > 1}
    # one that was here before all others, then by the map
    found, taken = {}, set()
    for name in sorted(listens, key=lambda one: there.get(one, 2)):
        if name in alone or listens[name] & taken:
            continue
        found[name] = 1
        taken.update(listens[name])
    for name in listens:
        if name not in found:
            found[name] = alone[name] = alone.get(name) or find_free_number("client", observed, alone.values())
    return found


def add_places(wiring, observed):
    """Return the wiring of a client side with the number of the container that has the name of each link, its ``place``.

    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :rtype: dict
    """
    where, variables = choose_places(wiring["links"], observed), dict(wiring["variables"])
    links = [{**link, "place": where[link["name"]]} for link in wiring["links"]]
    for link in links:
        if link["place"] > 1:
            holder = names.name_side_container("client", observed["mesh"], link["place"])
            variables[f"{variable_prefix(link['name'])}_NAME"] = f"/{holder}/{link['name']}"
    return {**wiring, "links": links, "variables": variables}


def select_place(wiring, place):
    """Return the part of a wiring that one container with names forwards.

    :param dict wiring: the wiring of a side
    :param int place: number of a container that has names
    :rtype: dict
    """
    links = [link for link in wiring["links"] if link["place"] == place]
    aliases = {link["alias"] for link in links}
    return {**wiring, "links": links, "publish": [one for one in wiring["publish"] if one["alias"] in aliases]}


def add_replicas(wiring, network, observed):
    """Return the wiring of a server side with the ``replicas`` of each link: how many containers its backend's name may stand for.

    It is 1 if at most one container answers to the name. Otherwise it is twice the number of containers, and at least 8, so that further
    containers of the service need no run.

    :param dict wiring: the wiring of the side
    :param str network: the network of the ambassadors
    :param dict observed: the observation
    :rtype: dict
    """
    # network, name in lower case -> how many containers answer to it
    there = {}
    for container in observed["containers"].values():
        for place, found in container["networks"].items() if container["state"] == "running" else ():
            for name in {one.lower() for one in found.get("names", [])}:
                there[place, name] = there.get((place, name), 0) + 1
    links = []
    for link in wiring["links"]:
        name = link["targets"][0]["name"].lower()
        count = max(there.get((place, name), 0) for place in (link.get("networks") or [network]))
        links.append({**link, "replicas": max(8, 2 * count) if count > 1 else 1})
    return {**wiring, "links": links}
