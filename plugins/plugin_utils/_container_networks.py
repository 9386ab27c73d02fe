# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The networks of containers: subnets, addresses, default routes, and the networks that a side joins. Pure Python without Ansible."""

from __future__ import annotations

import enum
import hashlib
import ipaddress
import itertools

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import networks

# Docker refuses to allocate addresses from half of a /64
MAX_RANGE_BITS = 16
# first part of the alias that identifies all other aliases
ALIAS_MARKER_PREFIX = "ambassador-"
# addresses that only programs in the container reach
LOOPBACK_SUBNETS = ("127.0.0.0/8", "::1/128")
# drivers of networks with a gateway: the second kind extends the network of the host's interface
BRIDGE_DRIVER, PARENT_DRIVERS = "bridge", ("macvlan", "ipvlan")
# the modes of a gateway that translate addresses
NAT_MODES = ("nat", "nat-unprotected")
# how Go reads false, in lower case
FALSE_TEXTS = ("false", "f", "0")


class RouteFault(enum.Enum):
    """Why a network does not work as the default route of an ambassador."""

    PARENT_DRIVER = "parent_driver"
    NO_HOST_ADDRESS = "no_host_address"
    NOT_NAT = "not_nat"
    NO_MASQUERADE = "no_masquerade"


def add_ranges(pools):
    """Return the subnets of a network with a range, as ``ipam_config`` of docker_network. Docker allocates addresses from the range.

    The client side keeps its address when it gets another alias, so that connections outlive it; and Docker starts containers in any order,
    and would give that address to another one if it lay in the range that it gives from.

    :param list[dict] pools: with ``Subnet``
    :rtype: list[dict]
    :source: ``docker network create --help``, ``--ip-range``: allocate container ip from a sub-range
    """
    found = []
    for pool in pools:
        subnet = ipaddress.ip_network(pool["Subnet"])
        parts = subnet.subnets(new_prefix=max(subnet.prefixlen + 1, subnet.max_prefixlen - MAX_RANGE_BITS))
        found.append({"subnet": str(subnet), "iprange": str(next(itertools.islice(parts, 1, None)))})
    return found


def find_default_route(network_names, observed, settings):
    """Return the network whose gateway is the default route of a container, or None.

    Networks with IPv4 and IPv6 come first, then the order of the bytes of the names decides: digits, capital letters, small letters.
    Networks that are internal have no gateway, and neither have those of most drivers.

    :param network_names: names of the networks of the container
    :param dict observed: the observation
    :param dict settings: see :mod:`plan`
    :rtype: str | None
    :source: Docker's documentation, "Networking overview", section "Connecting to multiple networks"; measured with Docker Engine 26.1 and
        28.5
    """
    # the network that a run creates is a bridge
    created = {"ipv6": settings["ipv6"], "pools": []}
    ranks = []
    for name in network_names:
        network = observed["networks"].get(name, created)
        has_ipv4 = not network["pools"] or any(":" not in pool["Subnet"] for pool in network["pools"])
        if has_ipv4 and not network.get("internal") and network.get("driver", BRIDGE_DRIVER) in (BRIDGE_DRIVER, *PARENT_DRIVERS):
            ranks.append((not network["ipv6"], name))
    return min(ranks)[1] if ranks else None


def find_route_fault(network, dials_out, publishes, ipv6):
    """Return why a container does not work if a network is its default route, or None.

    :param dict network: the network, as it was observed
    :param bool dials_out: whether the container connects to other hosts
    :param bool publishes: whether the container publishes ports
    :param bool ipv6: whether the container connects to other hosts over IPv6 too
    :rtype: RouteFault | None
    :source: Docker's documentation, "Bridge network driver", section "Options"; measured with Docker Engine 26.1 and 28.5
    """
    options = network.get("options", {})
    if not dials_out and not publishes:
        return None
    if network.get("driver") in PARENT_DRIVERS:
        return RouteFault.PARENT_DRIVER
    if options.get("inhibit_ipv4", "false").lower() not in FALSE_TEXTS:
        return RouteFault.NO_HOST_ADDRESS
    if any(options.get(f"gateway_mode_ipv{family}", "nat") not in NAT_MODES for family in ("46" if ipv6 else "4")):
        return RouteFault.NOT_NAT
    # ports that the host publishes work without masquerading
    if dials_out and options.get("enable_ip_masquerade", "true").lower() in FALSE_TEXTS:
        return RouteFault.NO_MASQUERADE
    return None


def choose_addresses(name, network, observed, given=()):
    """Return an address of each subnet that has a range, outside of it, as options of an item of docker_container's ``networks``.

    It is the one that the container has, or else the first that no other one has: several meshes may share a network.

    :param str name: name of the container
    :param str network: name of the network
    :param dict observed: the observation
    :param given: addresses that others are given by the same plan
    :return: empty where the network is not there or not the collection's own, or no subnet of it has a range
    :rtype: dict[str, str]
    """
    there, found = observed["networks"].get(network), {}
    ends = {one: container["networks"][network] for one, container in observed["containers"].items() if network in container["networks"]}
    others = [end for one, end in ends.items() if one != name]
    taken = {address for end in others for address in [*end["addresses"], *end.get("said", {}).values()]} | set(given)
    for pool in there["pools"] if there and there["ours"] else []:
        if not pool.get("IPRange"):
            continue
        subnet, range_ = ipaddress.ip_network(pool["Subnet"]), ipaddress.ip_network(pool["IPRange"])
        key = f"ipv{subnet.version}_address"
        own = ends.get(name, {}).get("said", {}).get(key)
        # not the first one, which is a gateway's by custom
        first = next(str(subnet[number]) for number in itertools.count(2) if str(subnet[number]) not in taken)
        kept = own and own not in taken and ipaddress.ip_address(own) in subnet and ipaddress.ip_address(own) not in range_
        found[key] = own if kept else first
    return found


def find_gateways(pools, addresses):
    """Return the addresses of the host itself on a network: what comes from the host comes from there.

    :param list[dict] pools: with ``Subnet``
    :param list[str] addresses: all addresses of the host
    :rtype: list[str]
    """
    subnets = [ipaddress.ip_network(pool["Subnet"]) for pool in pools]
    return [address for address in addresses if any(ipaddress.ip_address(address) in subnet for subnet in subnets)]


def name_alias_marker(aliases):
    """Return an additional alias that identifies the aliases. Docker keeps an old alias until a new alias is missing.

    :param list[str] aliases: aliases of a container
    :rtype: str
    """
    return f"{ALIAS_MARKER_PREFIX}{hashlib.sha256(' '.join(sorted(aliases)).encode()).hexdigest()[:12]}"


def find_manual_networks(wiring, settings, observed):
    """Return the networks that a user connected the containers of a client side to. Networks of links have an alias that lists the aliases.

    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict observed: the observation
    :rtype: list[str]
    """
    planned = {settings["network"], *networks(wiring["links"], "client")}
    return sorted(
        {
            name
            for container in find_side_containers("client", observed).values()
            for name, network in container["networks"].items()
            if name not in planned and not is_link_network(network)
        }
    )


def is_link_network(network):
    """Return whether a container is connected to a network because a link names the network.

    :param dict network: the network, as it was observed of the container
    :rtype: bool
    """
    return any(alias.startswith(ALIAS_MARKER_PREFIX) for alias in network.get("aliases", []))


def find_subnets(network_names, observed):
    """Return the subnets of networks, IPv4 first. Overlapping subnets become one.

    :param network_names: names of networks; a network that does not exist yet has no subnets
    :param dict observed: the observation
    :rtype: list[str]
    """
    found = [
        ipaddress.ip_network(pool["Subnet"], strict=False)
        for name in network_names
        for pool in observed["networks"].get(name, {"pools": []})["pools"]
    ]
    return [str(subnet) for version in (4, 6) for subnet in ipaddress.collapse_addresses(one for one in found if one.version == version)]


def add_subnets(wiring, settings, observed):
    """Return the wiring of a client side with the networks that each link serves.

    These are the ambassadors' network, the link's ``networks``, and networks joined by hand. Their subnets are the ``subnets`` of a link,
    the addresses on which the link answers, and its ``sources``, the addresses of its clients. A side that joins no network of a link
    answers on all its addresses, and its links have no ``subnets``. A link whose port the host publishes for other hosts has no
    ``sources``, and neither has any link before the ambassadors' network exists.

    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict observed: the observation
    :rtype: dict
    """
    joins = set(networks(wiring["links"], "client")) - {settings["network"]}
    everywhere = [settings["network"], *find_manual_networks(wiring, settings, observed)]
    # loopback addresses do not pass the kernel's rules
    loopback = LOOPBACK_SUBNETS if settings["engine"] == "haproxy" else ()
    # what the host publishes on its loopback arrives from its address on the network
    open_to_hosts = {one["alias"] for one in wiring["publish"] if not ipaddress.ip_address(one["address"]).is_loopback}
    is_known, links = find_subnets([settings["network"]], observed), []
    for link in wiring["links"]:
        served = [*loopback, *find_subnets([*everywhere, *link["networks"]], observed)]
        answers = {"subnets": served} if joins else {}
        accepts = {"sources": served} if is_known and link["alias"] not in open_to_hosts else {}
        links.append({**link, **answers, **accepts})
    return {**wiring, "links": links}


def listens_on_ipv6(side, wiring, settings, observed):
    """Return whether a side listens on IPv6: a client side does if any of its networks has IPv6, because Docker's DNS returns that address.

    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict observed: the observation
    :rtype: bool
    """
    if settings["ipv6"] or side == "server":
        return settings["ipv6"]
    joined = {settings["network"], *networks(wiring["links"], side), *find_manual_networks(wiring, settings, observed)}
    return any(observed["networks"].get(name, {}).get("ipv6") for name in joined)
