# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the Docker networks of a side: other containers with the name of a link, missing networks, default routes."""

from __future__ import annotations

import ipaddress

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import (
    PARENT_DRIVERS,
    RouteFault,
    find_default_route,
    find_route_fault,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import name_all_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import name_container
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import HOST
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import list_names, networks

# Docker's states of containers that answer to no name
STOPPED_STATES = ("created", "exited", "dead")
# why a network does not work as the default route, after "the network X of host Y"
ROUTE_FAULTS = {
    RouteFault.PARENT_DRIVER: "has the driver {driver}, with which the host forwards nothing for its containers",
    RouteFault.NO_HOST_ADDRESS: "has no gateway on the host (inhibit_ipv4)",
    RouteFault.NOT_NAT: "does not translate addresses (gateway_mode)",
    RouteFault.NO_MASQUERADE: "does not lead to other hosts (enable_ip_masquerade is false)",
}


def find_alias_problems(host, wiring, observed, network):
    """Return what else answers to an alias on a network: Docker returns the addresses of both, and each gets a share of the connections.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side
    :param dict observed: the observation
    :param str network: the network of the ambassadors
    :rtype: list[str]
    """
    mesh, aliases = observed["mesh"], networks(wiring["links"], "client")
    aliases[network] = list_names(wiring["links"])
    sides = name_all_containers("client", observed)
    # network, name in lower case -> containers that answer to it, as a sentence names them
    others = {}
    for container_name, container in observed["containers"].items():
        is_own = container["ours"] in sides or names.parse_temporary_number(container["ours"] or "", mesh)
        if is_own or container["state"] in STOPPED_STATES:
            continue
        for place, joined in container["networks"].items():
            for name in joined.get("names", []):
                others.setdefault((place, name.lower()), []).append(
                    f"{name_container(container_name, container)} (image {container['image']})"
                )
    return [
        f"link {alias}: expected {wiring['holder']} alone to answer to this name on the network {place} of host"
        f" {host}, found {other} to answer as well, and to take its share of the connections;"
        " rename that container or its alias, put it on another network, or rename the link."
        for place in sorted(aliases, key=lambda name: name != network)
        for alias in aliases[place]
        for other in others.get((place, alias.lower()), [])
    ]


def find_missing_networks(host, side, wiring, observed, network):
    """Return the Docker networks of links that are missing.

    :param str host: inventory name of the host
    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param str network: the network of the ambassadors, which the run creates
    :rtype: list[str]
    """
    key = {"server": "network", "client": "networks"}[side]
    return [
        f"link {link['alias']}, {key}: expected a Docker network {name} on host {host}, found none;"
        " start what makes it (docker compose up), or correct the name."
        for link in wiring["links"]
        for name in link.get("networks", [])
        if name not in (network, *observed["networks"])
    ]


def dials_other_hosts(side, links):
    """Return whether a side connects to other hosts, and not only to containers of its own host.

    A client side does, unless its own host alone serves its links. A server side does for a backend that is an address, and for the other
    hosts that serve a link.

    :param str side: ``server`` or ``client``
    :param list[dict] links: the links of the side
    :rtype: bool
    """
    if side == "client":
        return any(not target["on_this_host"] for link in links for target in link["targets"])
    return any(
        len(link["targets"]) > 1 or (link["targets"][0]["name"] != HOST and is_address(link["targets"][0]["address"])) for link in links
    )


def find_default_route_problems(host, side, links, wanted, observed, settings):
    """Return the joined networks that become the default route of a container and do not work as one.

    The network of the ambassadors is not checked: its user decides how it reaches other hosts.

    :param str host: inventory name of the host
    :param str side: ``server`` or ``client``
    :param list[dict] links: the links of the side
    :param wanted: descriptions of the containers of the side
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    # network -> problem: several containers of a side have the same networks
    problems, ambassadors, dials = {}, settings["network"], dials_other_hosts(side, links)
    for container in wanted:
        name = find_default_route([ambassadors, *container["others"]], observed, settings)
        if name in (None, ambassadors, *problems):
            continue
        network = observed["networks"][name]
        fault = find_route_fault(network, dials, bool(container["publish"]), settings["ipv6"])
        if fault:
            alias = next((link["alias"] for link in links if name in link.get("networks", [])), None)
            key = {"server": "network", "client": "networks"}[side]
            where = f"Link {alias}, key {key}: the network {name} of host {host}" if alias else f"Host {host}: the network {name}"
            reason = ROUTE_FAULTS[fault].format(driver=network.get("driver"))
            remedy = _route_remedy(name, container["name"], alias, observed, ambassadors)
            problems[name] = f"{where} becomes the default route of {container['name']}, but it {reason}. {remedy}"
    return list(problems.values())


def _route_remedy(name, container, alias, observed, ambassadors):
    network, other = observed["networks"][name], observed["networks"].get(ambassadors, {"ipv6": False})
    ways = [] if alias else [f"disconnect {container} from it"]
    create = [] if network.get("driver") in PARENT_DRIVERS else ["with --internal"]
    # a network with IPv6 comes before one without, whatever their names
    later = ["without IPv6"] if network["ipv6"] and not other["ipv6"] else []
    later += [f"with a name that sorts after {ambassadors}"] if name < ambassadors else []
    create.append(" and ".join(later))
    ways.append(f"create it again {' or '.join(create)}")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def find_shared_listener_problems(host, wiring, settings):
    """Return the links whose ``networks`` differ, for the engine socat: it answers on all networks of its container.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side, with the place of each link
    :param Settings settings: the settings
    :rtype: list[str]
    """
    if settings["engine"] != "socat":
        return []
    problems, first = [], {}
    for link in wiring["links"]:
        other = first.setdefault(link["place"], link)
        if set(link["networks"]) - {settings["network"]} != set(other["networks"]) - {settings["network"]}:
            problems.append(
                f"link {link['alias']}, networks: the networks of link {other['alias']} on host {host} are different, and the engine socat"
                " answers for every link on all networks of its container. Give both links the same networks, or set ambassador_engine to"
                " haproxy or nftables."
            )
    return problems


def find_ipv6_alias_problems(host, wiring, observed, settings):
    """Return the links whose alias has an IPv6 address that the engine nftables cannot serve: the kernel does not translate to IPv4.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    if settings["engine"] != "nftables":
        return []
    has_ipv6 = {settings["network"]: settings["ipv6"], **{name: network["ipv6"] for name, network in observed["networks"].items()}}
    return [
        f"link {link['alias']}: the network {name} of host {host} has IPv6, and the engine nftables cannot forward IPv6 to targets that"
        " have only IPv4 addresses. Set ambassador_engine to haproxy, or use a network without IPv6."
        for link in wiring["links"]
        for name in dict.fromkeys([settings["network"], *link["networks"]])
        if has_ipv6.get(name) and not any("ip6" in target["families"] for target in link["targets"])
    ]


def find_loopback_problems(host, wiring, observed, network):
    """Return the backends on the host itself that no container reaches, because they listen on loopback only.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its server side
    :param dict observed: the observation
    :param str network: the network of the ambassadors
    :rtype: list[str]
    """
    problems = []
    for link in wiring["links"]:
        backend = link["targets"][0]
        if backend["name"] != HOST:
            continue
        at = (link["protocol"], backend["port"])
        listeners = sorted({address for protocol, address, port in observed["listening"] if (protocol, port) == at})
        if listeners and all(ipaddress.ip_address(address).is_loopback for address in listeners):
            problems.append(
                f"link {link['alias']}, backend: expected what listens on port {backend['port']} of host {host} to listen where containers"
                f" reach it, found it on {', '.join(listeners)} alone; let it listen on all, or on the address that the host has on the"
                f" network {network}."
            )
    return problems
