# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ports that each container of a side publishes, so that a new port recreates none. Pure Python without Ansible."""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import overlap, parse_endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import find_differences, needs_recreate
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import ENDPOINT_DIRECTORY, describe_container
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import is_link_network
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_free_number, find_side_containers

# variable of a container that only publishes the ports of `local`
LOCAL_VARIABLE = "AMBASSADOR_LOCAL"


def format_ports(wiring):
    """Return the ports that a side publishes in Docker's notation: ``address:port:container port``, with ``/udp`` for UDP.

    :param dict wiring: the wiring of the side
    :rtype: list[str]
    """
    # sorted: the order of the map does not recreate a container
    return sorted(
        f"{endpoint(port['address'], port['port'])}:{port['container_port']}{'/udp' if port['protocol'] == 'udp' else ''}"
        for port in wiring["publish"]
    )


def distribute_ports(side, asked, engine, observed, serves_itself=False):
    """Return the containers of a side: containers that have names, and additional containers for further ports.

    Docker cannot publish another port on a running container, and recreating a container breaks all its connections. So a new port gets an
    additional container with the same generation, unless Docker recreates a container anyway: that container takes the port. A container
    keeps an unused port as long as it has other ports and nothing listens on the unused one.
    On the client side, containers that have names publish no ports: only a change of names recreates them.
    The first container of a server side stays, even without a port to publish, while the client side of its host dials its name.

    :param str side: ``server`` or ``client``
    :param dict[int, dict] asked: what is asked of those that have the names, as :func:`describe_ambassadors` returns it
    :param str engine: the engine
    :param dict observed: the observation
    :param bool serves_itself: whether the client side of the same host connects to the first container of this side
    :return: number -> what is asked of the container; and of those that are there and publish nothing that is asked for, number -> whether
        they still run what the others are asked for, and can load what these load
    :rtype: tuple[dict[int, dict], dict[int, bool]]
    """
    there, found, idle = find_side_containers(side, observed), {}, {}
    for place, container in asked.items():
        mine = {number: one for number, one in there.items() if _belongs_to_place(number, one, place, asked, side)}
        is_needed = side == "client" or serves_itself
        own, spare = _distribute_ports_of_place(side, place, container, mine, engine, observed, {*found, *asked}, is_needed)
        found.update(own)
        idle.update(spare)
    idle.update({number: False for number in there if number not in found and number not in idle})
    return {number: _keep_third_party_networks(one, there.get(number)) for number, one in sorted(found.items())}, dict(sorted(idle.items()))


def _belongs_to_place(number, found, place, asked, side):
    """Return whether an existing container belongs to a place, by number or ports. Others belong to the first place."""
    if side == "server" or number in asked:
        return side == "server" or number == place
    # the container has names of removed links
    if any(is_link_network(network) for network in found["networks"].values()):
        return False
    holders = [other for other, container in asked.items() if set(container["publish"]) & set(found["publishes"])]
    return (holders or [min(asked)])[0] == place


def _distribute_ports_of_place(side, place, container, there, engine, observed, numbers, is_needed):
    """Return what :func:`distribute_ports` does, of one place.

    :param dict[int, dict] there: number -> container as it was observed, of those of this place
    :param numbers: numbers that others have
    :param bool is_needed: whether the container whose number is ``place`` is needed, even if it publishes nothing
    """
    wanted, mesh = container["publish"], observed["mesh"]
    new = set(wanted) - {port for found in there.values() for port in found["publishes"]}
    asked, idle = {}, {}
    for number, found in there.items():
        names_only = side == "client" and number == place
        own = sorted(set(wanted) & set(found["publishes"]))
        # what has the names opens all ports of its side, and engines other than haproxy do so in every container
        more = [] if side == "client" and (names_only or engine != "haproxy") else _find_unused_ports(found, wanted, new)
        one = describe_side_container(container, number, side, [*own, *more], mesh, place)
        if needs_recreate(find_differences(one, found, observed["images"])):
            if names_only:
                new, own = new | set(own), []
            else:
                new, own = set(), sorted({*own, *new})
            one = describe_side_container(container, number, side, own, mesh, place)
        if own or (is_needed and number == place):
            asked[number] = one
        else:
            idle[number] = not needs_recreate(find_differences(one, found, observed["images"]))
    if side == "client" and place not in asked:
        asked[place] = describe_side_container(container, place, side, [], mesh, place)
    elif is_needed and place not in asked:
        asked[place] = describe_side_container(container, place, side, sorted(new), mesh, place)
        new = set()
    if new or not asked:
        vacant = side == "server" and names.name_side_container(side, mesh) not in observed["containers"]
        number = 1 if vacant else find_free_number(side, observed, {*asked, *numbers})
        asked[number] = describe_side_container(container, number, side, sorted(new), mesh, place)
    return asked, idle


def _keep_third_party_networks(container, found):
    """Return the description of a container with the networks that a user connected it to. It stays connected to them.

    Those that it joined for a link have the alias that says which ones there are.
    """
    there = (found or {"networks": {}})["networks"]
    foreign = {
        name: None
        for name, network in there.items()
        if name not in (container["network"], *container["others"]) and not is_link_network(network)
    }
    return describe_container(**{**container, "others": {**container["others"], **foreign}})


def _find_unused_ports(found, wanted, new):
    """Return the ports that a container publishes without a link, if they can stay: nothing listens there, and no other port conflicts.

    :rtype: list[str]
    """
    more = sorted(set(found["publishes"]) - set(wanted))
    listens = {port.rpartition(":")[2] for port in wanted}
    taken = [parse_listener(port) for port in new]
    open_or_in_the_way = any(
        port.rpartition(":")[2] in listens or any(one[0] == other[0] and overlap(one[1], other[1]) for other in taken)
        for port, one in ((port, parse_listener(port)) for port in more)
    )
    return [] if open_or_in_the_way else more


def parse_listener(port):
    """Return protocol and (address, port) of a published port.

    :param str port: as :func:`format_ports` returns it
    :rtype: tuple[str, tuple[str, int]]
    """
    address, number = parse_endpoint(port.rpartition(":")[0])
    return "udp" if port.endswith("/udp") else "tcp", (address, number)


def describe_side_container(container, number, side, publish, mesh, place=1):
    """Return the description of a container of a side.

    :param dict container: the description of the container that has the names
    :param int number: number of the container
    :param str side: ``server`` or ``client``
    :param list[str] publish: ports of the container
    :param str mesh: the mesh
    :param int place: number of the container that has the names
    :rtype: dict
    """
    publish = sorted(publish)
    if number == place:
        return describe_container(**{**container, "publish": publish})
    endpoints = rf"/{names.name_run_directory(place)}(?=:{ENDPOINT_DIRECTORY}:)"
    volumes = [re.sub(endpoints, f"/{names.name_run_directory(number)}", volume) for volume in container["volumes"]]
    # only published ports are open in the container: a port that its link no longer has is closed
    env = {**container["env"], LOCAL_VARIABLE: "1"} if side == "client" else container["env"]
    own = {
        "name": names.name_side_container(side, mesh, number),
        "publish": publish,
        "aliases": [],
        "address": {},
        "volumes": volumes,
        "env": env,
    }
    # all containers of a server side connect to backends
    own.update({"others": {}} if side == "client" else {})
    return describe_container(**{**container, **own})
