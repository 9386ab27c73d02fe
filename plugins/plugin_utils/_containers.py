# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of each container, whether a container is that, and what else its address takes. Pure Python without Ansible.

A description is a dict: ``name``, ``image`` (as it is pulled), ``user``, ``entrypoint``, ``command``, ``env``, ``volumes``, ``tmpfs``,
``dns``, ``healthcheck``, ``stop_signal``, ``capabilities``, ``sysctls``, ``memory``, ``pids``, ``publish``, ``network``, ``aliases``,
``address``, ``others`` (other networks -> aliases there, None for one that somebody else made it join; None altogether for a container
that joins no others), ``networks`` (all of these, as docker_container takes them), ``temporary`` and ``hash``. The role's
``container.yml`` hands it to Docker, with what all containers have in common.
"""

from __future__ import annotations

import enum
import hashlib
import ipaddress
import itertools
import json
import re
from typing import NamedTuple

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import (
    endpoint,
    is_address,
    overlap,
    parse_address,
    parse_endpoint,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID, REDIS_UID
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import side_variables, variable_prefix
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import names_of, networks

# what all containers have in common (container.yml) is of this version: another number, and they are made anew
COMMON = 1
# the user of the official image of socat
SOCAT_UID = 65534
# the kernel takes rules from nobody else, and in the container's own network namespace alone
NFTABLES_UID = 0
UIDS = {"haproxy": HAPROXY_UID, "socat": SOCAT_UID, "nftables": NFTABLES_UID}
# ports of common services in the range of source ports: RabbitMQ, CockroachDB, Redis Sentinel, MongoDB, RethinkDB
RESERVED_PORTS = "25672,26257,26379,27017-27019,28015"
# settings of TCP in the network namespaces of the engines that end connections themselves
TCP_SYSCTLS = {
    # data that is not acknowledged ends its connection after some 13 s, in both address families; a live peer with a full window is not cut
    "net.ipv4.tcp_retries2": "5",
    # more source ports to one target than an ambassador of 2 GiB has connections, each used again a second after it is closed
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.ip_local_port_range": "16384 65535",
    # a connection that uses one of these as its source port would stop a reload that listens on it
    "net.ipv4.ip_local_reserved_ports": RESERVED_PORTS,
}
# Docker's own DNS and none behind it (nothing listens there): a backend that is away must not be answered for by somebody else's DNS
NO_UPSTREAM_DNS = ["::1"]
# where a container has the directory of its engine's endpoint
ENDPOINT = "/run/ambassador"
# the most bits of an address that Docker gives: it refuses to count through half of a /64
BITS = 16
# the port of a container at which it tells metrics, by HAProxy's custom
METRICS_PORT = 8404
# what is told of each container: by HAProxy, and by its generation
PAGES = ("metrics", "generation")
# what can be changed while a container lives, and what says where it is to be had: no part of the hash
CHANGEABLE = ("image", "memory", "pids", "aliases", "address", "others", "networks", "hash", "name")
# variables of a container: which place it is, where that is not the first; and that it only publishes what `local` asks for
PLACE, LOCAL = "AMBASSADOR_PLACE", "AMBASSADOR_LOCAL"
# and of the one that says what is wrong with a generation: it looks at all places
CHECKED = "AMBASSADOR_CHECKED"
# how an alias begins that says which ones there are
ALL_OF = "ambassador-"
# the addresses of a container that only its own programs reach
LOOPBACK_SUBNETS = ("127.0.0.0/8", "::1/128")
# drivers of networks that have a gateway: the second kind is a part of the network of the host's interface
BRIDGE, PARENT_DRIVERS = "bridge", ("macvlan", "ipvlan")
# the modes of a gateway that translate addresses
NAT_MODES = ("nat", "nat-unprotected")
# how Go reads false, in lower case
FALSE = ("false", "f", "0")
# bytes: what an ambassador needs without a connection, and for one over TLS while it is busy (measured: 40 KiB)
IDLE, CONNECTION = 64 << 20, 40 << 10
UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


class Change(enum.Enum):
    """What of a container differs from its description."""

    MISSING = "missing"
    NETWORK = "network"
    EXTRA_NETWORK = "extra_network"
    ALIASES_ON_NETWORK = "aliases_on_network"
    STATE = "state"
    OPTIONS = "options"
    IMAGE = "image"
    PORTS = "ports"
    ALIASES = "aliases"
    ADDRESS = "address"
    RESTART_POLICY = "restart_policy"
    MEMORY_LIMIT = "memory_limit"
    PROCESS_LIMIT = "process_limit"


class Difference(NamedTuple):
    """A difference between a container and its description. ``value`` is the name of a network, or the state of the container."""

    change: Change
    value: str = ""


# changes for which Docker recreates a container
RECREATE_CHANGES = frozenset((Change.OPTIONS, Change.IMAGE, Change.PORTS, Change.PROCESS_LIMIT))
CHANGE_TEXTS = {
    Change.MISSING: "missing",
    Change.NETWORK: "its network {value}",
    Change.EXTRA_NETWORK: "network {value}, which no link names",
    Change.ALIASES_ON_NETWORK: "its aliases on {value}",
    Change.STATE: "it is {value}",
    Change.OPTIONS: "its options",
    Change.IMAGE: "its image",
    Change.PORTS: "what it publishes",
    Change.ALIASES: "its aliases",
    Change.ADDRESS: "its address",
    Change.RESTART_POLICY: "its restart policy",
    Change.MEMORY_LIMIT: "its memory limit",
    Change.PROCESS_LIMIT: "its limit of processes",
}


class RouteFault(enum.Enum):
    """Why a network does not work as the default route of an ambassador."""

    PARENT_DRIVER = "parent_driver"
    NO_HOST_ADDRESS = "no_host_address"
    NOT_NAT = "not_nat"
    NO_MASQUERADE = "no_masquerade"


def described(name, image, **options):
    """Return a description with all defaults, and its hash.

    :param str name: name of the container
    :param str image: image as it is pulled
    :param options: see the documentation of this file
    :rtype: dict
    """
    found = {
        "name": name,
        "image": image,
        "env": {},
        "volumes": [],
        "tmpfs": [],
        "dns": None,
        "healthcheck": None,
        "stop_signal": "SIGTERM",
        "capabilities": None,
        "sysctls": None,
        "publish": [],
        "aliases": [],
        "address": {},
        "others": None,
        "temporary": False,
        **options,
    }
    found["networks"] = [{"name": found["network"], "aliases": found["aliases"], **found["address"]}]
    for name, aliases in (found["others"] or {}).items():
        found["networks"].append({"name": name, **({"aliases": aliases} if aliases else {})})
    asked = {key: value for key, value in found.items() if key not in CHANGEABLE}
    return {**found, "hash": hashlib.sha256(json.dumps([COMMON, asked], sort_keys=True).encode()).hexdigest()[:16]}


def mounted(source, target, writable=False):
    """Return a directory of the host as a volume, that containers may read where SELinux is on; elsewhere Docker passes over the label.

    :param str source: the directory on the host
    :param str target: where the container has it
    :param bool writable: whether it may write there
    :rtype: str
    :source: Docker's documentation, "Bind mounts", section "Configure the SELinux label"
    """
    return f"{source}:{target}:{'rw' if writable else 'ro'},z"


# -- the network ------------------------------------------------------------------------------------------------------


def ranged(pools):
    """Return the subnets of a network with a range, as ``ipam_config`` of docker_network: what Docker gives lies in the range.

    The client side keeps its address when it gets another alias, so that connections outlive it; and Docker starts containers in any order,
    and would give that address to another one if it lay in the range that it gives from.

    :param list[dict] pools: with ``Subnet``
    :rtype: list[dict]
    :source: ``docker network create --help``, ``--ip-range``: allocate container ip from a sub-range
    """
    found = []
    for pool in pools:
        subnet = ipaddress.ip_network(pool["Subnet"])
        parts = subnet.subnets(new_prefix=max(subnet.prefixlen + 1, subnet.max_prefixlen - BITS))
        found.append({"subnet": str(subnet), "iprange": str(next(itertools.islice(parts, 1, None)))})
    return found


def default_route(network_names, observed, settings):
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
        if has_ipv4 and not network.get("internal") and network.get("driver", BRIDGE) in (BRIDGE, *PARENT_DRIVERS):
            ranks.append((not network["ipv6"], name))
    return min(ranks)[1] if ranks else None


def route_fault(network, dials_out, publishes, ipv6):
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
    if options.get("inhibit_ipv4", "false").lower() not in FALSE:
        return RouteFault.NO_HOST_ADDRESS
    if any(options.get(f"gateway_mode_ipv{family}", "nat") not in NAT_MODES for family in ("46" if ipv6 else "4")):
        return RouteFault.NOT_NAT
    # ports that the host publishes work without masquerading
    if dials_out and options.get("enable_ip_masquerade", "true").lower() in FALSE:
        return RouteFault.NO_MASQUERADE
    return None


def fixed(name, network, observed, given=()):
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


def gateways(pools, addresses):
    """Return the addresses of the host itself on a network: what comes from the host comes from there.

    :param list[dict] pools: with ``Subnet``
    :param list[str] addresses: all addresses of the host
    :rtype: list[str]
    """
    subnets = [ipaddress.ip_network(pool["Subnet"]) for pool in pools]
    return [address for address in addresses if any(ipaddress.ip_address(address) in subnet for subnet in subnets)]


# -- the ambassadors --------------------------------------------------------------------------------------------------


def wanted_ports(wiring):
    """Return what a side publishes, as Docker is told: ``address:port:port of the container``, and ``/udp`` where it is that.

    :param dict wiring: the wiring of the side
    :rtype: list[str]
    """
    # sorted: the order of the map is no reason to make a container anew
    return sorted(
        f"{endpoint(port['address'], port['port'])}:{port['container_port']}{'/udp' if port['protocol'] == 'udp' else ''}"
        for port in wiring["publish"]
    )


def places(links, observed):
    """Tell which container of a client side has the name of each link.

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
    for number, found in numbered("client", observed).items():
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
            found[name] = alone[name] = alone.get(name) or free_number("client", observed, alone.values())
    return found


def free_number(side, observed, taken):
    """Return the first number from 2 that no container has, and is not taken by what is yet to be made.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param taken: numbers
    :rtype: int
    """
    return next(
        n for n in itertools.count(2) if n not in taken and names.ambassador(side, observed["mesh"], n) not in observed["containers"]
    )


def placed(wiring, observed):
    """Return the wiring of a client side with the number of the container that has the name of each link, its ``place``.

    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :rtype: dict
    """
    where, variables = places(wiring["links"], observed), dict(wiring["variables"])
    links = [{**link, "place": where[link["name"]]} for link in wiring["links"]]
    for link in links:
        if link["place"] > 1:
            holder = names.ambassador("client", observed["mesh"], link["place"])
            variables[f"{variable_prefix(link['name'])}_NAME"] = f"/{holder}/{link['name']}"
    return {**wiring, "links": links, "variables": variables}


def at(wiring, place):
    """Return what of a wiring is in one place.

    :param dict wiring: the wiring of a side
    :param int place: number of a container that has names
    :rtype: dict
    """
    links = [link for link in wiring["links"] if link["place"] == place]
    aliases = {link["alias"] for link in links}
    return {**wiring, "links": links, "publish": [one for one in wiring["publish"] if one["alias"] in aliases]}


def joined_by_hand(wiring, settings, observed):
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
            for container in numbered("client", observed).values()
            for name, network in container["networks"].items()
            if name not in planned and not is_of_link(network)
        }
    )


def is_of_link(network):
    """Return whether a container is connected to a network because a link names the network.

    :param dict network: the network, as it was observed of the container
    :rtype: bool
    """
    return any(alias.startswith(ALL_OF) for alias in network.get("aliases", []))


def subnets(network_names, observed):
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


def with_subnets(wiring, settings, observed):
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
    everywhere = [settings["network"], *joined_by_hand(wiring, settings, observed)]
    # loopback addresses do not pass the kernel's rules
    loopback = LOOPBACK_SUBNETS if settings["engine"] == "haproxy" else ()
    # what the host publishes on its loopback arrives from its address on the network
    open_to_hosts = {one["alias"] for one in wiring["publish"] if not ipaddress.ip_address(one["address"]).is_loopback}
    is_known, links = subnets([settings["network"]], observed), []
    for link in wiring["links"]:
        served = [*loopback, *subnets([*everywhere, *link["networks"]], observed)]
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
    joined = {settings["network"], *networks(wiring["links"], side), *joined_by_hand(wiring, settings, observed)}
    return any(observed["networks"].get(name, {}).get("ipv6") for name in joined)


def of_places(side, wiring, settings, scripts, observed):
    """Return what is asked of each container that has names; of a server side there is one, and it has none.

    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict[str, str] scripts: see :func:`describe_ambassador`
    :param dict observed: the observation
    :return: number of the container -> what is asked of it, with all that its links publish
    :rtype: dict[int, dict]
    """
    found, given = {}, []
    for place in sorted({link["place"] for link in wiring["links"]}):
        # links of a server side share what it publishes
        own = at(wiring, place) if side == "client" else wiring
        found[place] = describe_ambassador(side, own, settings, scripts, observed, place, given)
        given += found[place]["address"].values()
    return found


def describe_ambassador(side, wiring, settings, scripts, observed, place=1, given=()):
    """Return what is asked of the ambassador of a side.

    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict[str, str] scripts: name -> content, of ``socat.sh`` and ``nftables.sh``
    :param dict observed: the observation
    :param int place: its number
    :param given: addresses that others are given by the same plan
    :rtype: dict
    """
    directory, engine = f"{settings['state_dir']}/{side}", settings["engine"]
    uid = UIDS[engine]
    # consumers dial the aliases; on the server side nobody dials the ambassador by name
    aliases = names_of(wiring["links"]) if side == "client" else []
    name = names.ambassador(side, observed["mesh"], place)
    address = fixed(name, settings["network"], observed, given) if aliases else {}
    # what is in another place is not carried here
    environment = {PLACE: str(place)} if place > 1 else {}
    common = {
        "user": f"{uid}:{uid}",
        "network": settings["network"],
        "memory": settings["memory"],
        "pids": settings["pids"],
        "dns": NO_UPSTREAM_DNS,
        # the connections that nftables forwards end on other hosts
        "sysctls": None if engine == "nftables" else TCP_SYSCTLS,
        "publish": wanted_ports(wiring),
        "aliases": [*aliases, all_of(aliases)] if address else aliases,
        # another alias means a reconnect: with the same address, so that connections outlive it
        "address": address,
        # one that a link leaves may have gone before it
        "others": {
            network: [*aliases, all_of(aliases)]
            for network, aliases in networks(wiring["links"], side).items()
            if network in observed["networks"] and network != settings["network"]
        },
    }
    if engine == "socat":
        # one process per connection: the listeners stop accepting before the container's limit ends them
        children = max((int(settings["pids"]) - 8) // max(len(wiring["links"]), 1) - 2, 1)
        variables = wiring["variables"]
        if side == "client":
            # of several ports of one name the first has the variables without a port
            variables = {key: value for link in reversed(wiring["links"]) for key, value in side_variables(link, name).items()}
        ipv6 = "1" if listens_on_ipv6(side, wiring, settings, observed) else ""
        # socat compares with one subnet
        served = {tuple(link.get("sources", ())) for link in wiring["links"]}
        sources = min(served) if len(served) == 1 else ()
        accepts = {"AMBASSADOR_RANGE": sources[0]} if len(sources) == 1 and not ipv6 else {}
        own = {
            "entrypoint": ["sh", "-c"],
            "command": [scripts["socat.sh"]],
            "env": {**variables, "AMBASSADOR_IPV6": ipv6, "AMBASSADOR_CHILDREN": str(children), **accepts},
        }
        return described(name, settings["image"], **common, **own)
    # the whole directory: a mounted file would keep its old inode
    volumes = [mounted(directory, "/etc/ambassador")]
    if engine == "nftables":
        common["sysctls"] = {"net.ipv4.ip_forward": "1"} | ({"net.ipv6.conf.all.forwarding": "1"} if settings["ipv6"] else {})
        own = {
            "entrypoint": ["sh", "-c"],
            "command": [scripts["nftables.sh"], "keeper"],
            "capabilities": ["NET_ADMIN"],
        }
    else:
        own = {"entrypoint": ["haproxy"], "command": ["-W", "-db", "-S", "/run/ambassador/master.sock,mode,600"]}
        own["command"] += ["-f", "/etc/ambassador/current/links.cfg", "-f", "/etc/ambassador/current/haproxy.cfg"]
        volumes += [mounted(f"{settings['state_dir']}/identity", "/etc/ambassador-identity")] if settings["tls"] else []
    volumes.append(mounted(f"{directory}/{names.run(place)}", ENDPOINT, True))
    return described(name, settings["image"], **common, **own, env=environment, volumes=volumes)


def all_of(aliases):
    """Return a further alias that says which ones there are: Docker keeps one that nobody asks for, until another one is missing.

    :param list[str] aliases: aliases of a container
    :rtype: str
    """
    return f"{ALL_OF}{hashlib.sha256(' '.join(sorted(aliases)).encode()).hexdigest()[:12]}"


def scaled(wiring, network, observed):
    """Return the wiring of a server side with the ``replicas`` of each link: how many containers its backend's name may stand for.

    One, where no more answer to it, and no room is kept; else twice as many as there are, eight at least, so that a service that is scaled
    further needs no run.

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


# -- the containers of a side -----------------------------------------------------------------------------------------


def numbered(side, observed):
    """Return the containers of a side that are there.

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


def of_side(side, asked, engine, observed, serves_itself=False):
    """Return the containers of a side: those that have its names, and others beside them that publish what they cannot.

    Docker publishes no further port on a container that runs. Made anew it would break all connections through it, so a port that is new
    gets a container of its own, with the same generation; and one that nobody asks for any more is left to its container, as long as that
    has others and nothing listens there. Without containers to spare, or where one is made anew anyway, that one takes what is new.
    On the client side those that have names publish nothing: their names are enough to be made anew for.
    The first container of a server side stays, even without a port to publish, while the client side of its host dials its name.

    :param str side: ``server`` or ``client``
    :param dict[int, dict] asked: what is asked of those that have the names, as :func:`of_places` returns it
    :param str engine: the engine
    :param dict observed: the observation
    :param bool serves_itself: whether the client side of the same host connects to the first container of this side
    :return: number -> what is asked of the container; and of those that are there and publish nothing that is asked for, number -> whether
        they still run what the others are asked for, and can load what these load
    :rtype: tuple[dict[int, dict], dict[int, bool]]
    """
    there, found, idle = numbered(side, observed), {}, {}
    for place, container in asked.items():
        mine = {number: one for number, one in there.items() if _belongs(number, one, place, asked, side)}
        is_needed = side == "client" or serves_itself
        own, spare = _of_place(side, place, container, mine, engine, observed, {*found, *asked}, is_needed)
        found.update(own)
        idle.update(spare)
    idle.update({number: False for number in there if number not in found and number not in idle})
    return {number: _with_foreign(one, there.get(number)) for number, one in sorted(found.items())}, dict(sorted(idle.items()))


def _belongs(number, found, place, asked, side):
    """Tell whether a container that is there is one of a place: by its number, or by what it publishes; what is left is the first one's."""
    if side == "server" or number in asked:
        return side == "server" or number == place
    # one that has names of links that are gone
    if any(is_of_link(network) for network in found["networks"].values()):
        return False
    holders = [other for other, container in asked.items() if set(container["publish"]) & set(found["publishes"])]
    return (holders or [min(asked)])[0] == place


def _of_place(side, place, container, there, engine, observed, numbers, is_needed):
    """Return what :func:`of_side` does, of one place.

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
        more = [] if side == "client" and (names_only or engine != "haproxy") else _shut(found, wanted, new)
        one = numbered_as(container, number, side, [*own, *more], mesh, place)
        if needs_recreate(find_differences(one, found, observed["images"])):
            if names_only:
                new, own = new | set(own), []
            else:
                new, own = set(), sorted({*own, *new})
            one = numbered_as(container, number, side, own, mesh, place)
        if own or (is_needed and number == place):
            asked[number] = one
        else:
            idle[number] = not needs_recreate(find_differences(one, found, observed["images"]))
    if side == "client" and place not in asked:
        asked[place] = numbered_as(container, place, side, [], mesh, place)
    elif is_needed and place not in asked:
        asked[place] = numbered_as(container, place, side, sorted(new), mesh, place)
        new = set()
    if new or not asked:
        vacant = side == "server" and names.ambassador(side, mesh) not in observed["containers"]
        number = 1 if vacant else free_number(side, observed, {*asked, *numbers})
        asked[number] = numbered_as(container, number, side, sorted(new), mesh, place)
    return asked, idle


def _with_foreign(container, found):
    """Return what is asked of a container, with the networks that somebody else made it join: it stays there.

    Those that it joined for a link have the alias that says which ones there are.
    """
    there = (found or {"networks": {}})["networks"]
    foreign = {
        name: None
        for name, network in there.items()
        if name not in (container["network"], *container["others"]) and not is_of_link(network)
    }
    return described(**{**container, "others": {**container["others"], **foreign}})


def _shut(found, wanted, new):
    """Return the ports that a container publishes and nobody asks for, if they can stay: nothing listens there, and they are in no way.

    :rtype: list[str]
    """
    more = sorted(set(found["publishes"]) - set(wanted))
    listens = {port.rpartition(":")[2] for port in wanted}
    taken = [listener(port) for port in new]
    open_or_in_the_way = any(
        port.rpartition(":")[2] in listens or any(one[0] == other[0] and overlap(one[1], other[1]) for other in taken)
        for port, one in ((port, listener(port)) for port in more)
    )
    return [] if open_or_in_the_way else more


def listener(port):
    """Return protocol and (address, port) of what a container publishes.

    :param str port: as :func:`wanted_ports` returns it
    :rtype: tuple[str, tuple[str, int]]
    """
    address, number = parse_endpoint(port.rpartition(":")[0])
    return "udp" if port.endswith("/udp") else "tcp", (address, number)


def numbered_as(container, number, side, publish, mesh, place=1):
    """Return what is asked of a container of a side.

    :param dict container: what is asked of the one that has the names
    :param int number: its number
    :param str side: ``server`` or ``client``
    :param list[str] publish: what it publishes
    :param str mesh: the mesh
    :param int place: number of the one that has the names
    :rtype: dict
    """
    publish = sorted(publish)
    if number == place:
        return described(**{**container, "publish": publish})
    endpoints = rf"/{names.run(place)}(?=:{ENDPOINT}:)"
    volumes = [re.sub(endpoints, f"/{names.run(number)}", volume) for volume in container["volumes"]]
    # only what is published is open there, so that a port of a link that has it no more is shut
    env = {**container["env"], LOCAL: "1"} if side == "client" else container["env"]
    own = {"name": names.ambassador(side, mesh, number), "publish": publish, "aliases": [], "address": {}, "volumes": volumes, "env": env}
    # a backend is dialled by all of a server side
    own.update({"others": {}} if side == "client" else {})
    return described(**{**container, **own})


def check(container, generation):
    """Return what is asked of the container that says what is wrong with a generation.

    :param dict container: the description of the side's container
    :param str generation: name of the generation
    :rtype: dict
    """
    at = f"/etc/ambassador/generations/{generation}"
    if container["entrypoint"] == ["haproxy"]:
        command = ["-c", "-f", f"{at}/links.cfg", "-f", f"{at}/haproxy.cfg"]
    else:
        command = [*container["command"], "check", at]
    volumes = [volume for volume in container["volumes"] if f":{ENDPOINT}:" not in volume]
    return {**container, "name": f"{container['name']}_check", "command": command, "volumes": volumes, "env": {CHECKED: "1"}}


def left_over(side, observed):
    """Return the names of containers that only told of an image or a generation, and that a run which was killed has left behind.

    Each run gives them a number of its own, for two may be at it at once.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :rtype: list[str]
    """
    name = re.compile(rf"{names.ambassador(side, observed['mesh'])}(_[0-9]+)?_(check|version)_[0-9]+")
    return [one for one, found in observed["containers"].items() if found["ours"] and name.fullmatch(one) and found["state"] == "exited"]


def standins(observed):
    """Return the names of the stand-ins that are there: each ends with its last connection, and a later run may need another one.

    :param dict observed: the observation
    :rtype: list[str]
    """
    return sorted(
        name for name, found in observed["containers"].items() if names.standin_number(name, observed["mesh"]) and found["ours"] == name
    )


def free_standins(observed, count):
    """Return names that no stand-in has.

    :param dict observed: the observation
    :param int count: how many
    :rtype: list[str]
    """
    possible = (names.standin(observed["mesh"], number) for number in itertools.count(1))
    return list(itertools.islice((name for name in possible if name not in observed["containers"]), max(count, 0)))


def standin_directory(name, directory):
    """Return the directory that holds the one of a stand-in's endpoint.

    :param str name: name of the stand-in
    :param str directory: the state directory of the client side
    :rtype: str
    """
    return f"{directory}/{name.partition('_client_')[2]}"


def standin(container, name, directory, with_names):
    """Return what is asked of the container that stands in for a client side while that is away.

    :param dict container: the description of the client side's container
    :param str name: its name
    :param str directory: the state directory of the client side
    :param bool with_names: whether it has the aliases; without them nobody dials it
    :rtype: dict
    """
    own = standin_directory(name, directory)
    volumes = [re.sub(rf"^.*(?=:{ENDPOINT}:)", f"{own}/run", volume) for volume in container["volumes"]]
    more = {"publish": [], "address": {}, "aliases": container["aliases"] if with_names else [], "temporary": True, "volumes": volumes}
    more["others"] = {network: aliases for network, aliases in container["others"].items() if with_names and aliases}
    return described(**{**container, "name": name, **more})


# -- metrics ----------------------------------------------------------------------------------------------------------


def metrics_at(said):
    """Return address and port at which metrics are asked for.

    :param said: ``ambassador_metrics``: ``address:port``, or a port on the loopback
    :return: None where it is neither
    :rtype: tuple[str, int] | None
    """
    found = parse_address(f"127.0.0.1:{said}" if str(said).isdigit() else said)
    return found if found and is_address(found[0]) else None


def metrics(host, shown, settings, observed):
    """Return what is asked of the container at which the metrics of both sides are asked for.

    It publishes the port, so that no other container is made anew for it, and hands each request on to the one that it is about. It says
    as well which there are, as Prometheus discovers targets. Where the port is on the loopback, other containers are refused.

    :param str host: inventory name of the host
    :param list[tuple[str, int]] shown: side and number of each container that has metrics
    :param dict settings: see :mod:`plan`
    :param dict observed: the observation
    :rtype: dict
    :source: Prometheus' documentation, "Writing HTTP service discovery"
    """
    address, port = metrics_at(settings["metrics"])
    network = observed["networks"].get(settings["network"])
    own = gateways(network["pools"], observed["addresses"]) if network and ipaddress.ip_address(address).is_loopback else []
    paths = {names.numbered(side, number): (side, number) for side, number in shown}
    targets, volumes, backends = [], [], []
    for path, (side, number) in paths.items():
        labels = {"host": host, "mesh": observed["mesh"], "side": side, "container": names.ambassador(side, observed["mesh"], number)}
        targets += [{"targets": ["@host@"], "labels": {"__metrics_path__": f"/{path}/{page}", **labels, "page": page}} for page in PAGES]
        volumes.append(mounted(f"{settings['state_dir']}/{side}/{names.run(number)}/{names.METRICS}", f"{ENDPOINT}/{path}"))
        backends += [f"backend {path}", "    http-request replace-path /[^/]+(/.*) \\1", f"    server {path} unix@{ENDPOINT}/{path}/socket"]
    # in a format of HAProxy, in quotes
    told = json.dumps(targets).replace("%", "%%").replace("'", "\\u0027").replace("@host@", "%[req.hdr(host),json(utf8s)]")
    lines = [
        "global",
        "    log stdout format raw local0",
        "    maxconn 64",
        "    hard-stop-after 1s",
        "defaults",
        "    mode http",
        "    timeout connect 5s",
        "    timeout client 30s",
        "    timeout server 30s",
        "frontend metrics",
        f"    bind {':::' if settings['ipv6'] else ':'}{METRICS_PORT}{' v4v6' if settings['ipv6'] else ''}",
        *([f"    http-request deny unless {{ src {' '.join(own)} }}"] if own else []),
        f"    http-request return content-type application/json lf-string '{told}' if {{ path /targets }}",
        f"    http-request deny deny_status 404 unless {{ path_beg {' '.join(f'/{path}/' for path in paths)} }}",
        "    use_backend %[path,field(2,/)]",
        *backends,
    ]
    return described(
        names.metrics(observed["mesh"]),
        settings["image"],
        user=f"{HAPROXY_UID}:{HAPROXY_UID}",
        entrypoint=["sh", "-c"],
        command=["exec haproxy -db -f /dev/stdin <<'END'\n" + "\n".join(lines) + "\nEND"],
        # as the first process, and without a master, HAProxy ignores SIGTERM
        stop_signal="SIGUSR1",
        volumes=volumes,
        dns=NO_UPSTREAM_DNS,
        memory="64M",
        pids=64,
        publish=[f"{endpoint(address, port)}:{METRICS_PORT}"],
        network=settings["network"],
    )


# -- Redis ------------------------------------------------------------------------------------------------------------


def redis_server(name, settings):
    """Return what is asked of the container of a Redis server.

    :param str name: its name
    :param dict settings: see :mod:`plan`; and ``volume``, the name of the volume of its data
    :rtype: dict
    """
    command = ["/etc/ambassador/redis.conf", "--aclfile", "/etc/ambassador/users.acl", "--dir", "/data", "--appendonly", "yes"]
    # no protected mode: it would let in loopback only; the network of the ambassadors is the fence, and the users are
    command += ["--protected-mode", "no"]
    return described(
        name,
        settings["image"],
        user=f"{REDIS_UID}:{REDIS_UID}",
        entrypoint=["redis-server"],
        command=command,
        # the whole directory: a mounted file would keep its old inode
        volumes=[f"{settings['volume']}:/data:nocopy", mounted(f"{settings['state_dir']}/{name}", "/etc/ambassador")],
        healthcheck={"test": ["CMD", "redis-cli", "ping"], "interval": "10s", "timeout": "3s", "retries": 3},
        memory=settings["memory"],
        pids=settings["pids"],
        network=settings["network"],
    )


def redis_client(name, settings, variables, has_passwords):
    """Return what is asked of the container of a Redis client, which only stays.

    :param str name: its name
    :param dict settings: see :mod:`plan`
    :param dict variables: the link variables of its link
    :param bool has_passwords: whether it has a directory of them
    :rtype: dict
    """
    return described(
        name,
        settings["image"],
        user=f"{REDIS_UID}:{REDIS_UID}",
        entrypoint=["sleep"],
        command=["infinity"],
        # sleep, as the first process, ignores SIGTERM, and has nothing to lose
        stop_signal="SIGKILL",
        env=variables,
        # the whole directory: a mounted file would keep its old inode
        volumes=[mounted(f"{settings['state_dir']}/{name}", "/etc/ambassador")] if has_passwords else [],
        # where the image declares a volume: one without a name would be left behind by every client
        tmpfs=["/data"],
        memory=settings["memory"],
        pids=settings["pids"],
        network=settings["network"],
    )


# -- whether it is that -----------------------------------------------------------------------------------------------


def size(value):
    """Return a size in bytes, or None where it is none: ``512M`` -> 536870912.

    :param value: a number of bytes, or a number with a unit of 1024, as Docker takes it
    :rtype: int | None
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s*([bkmgtp]?)i?b?", str(value).strip().lower())
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def connections(memory):
    """Return how many connections an ambassador takes, so that its memory does for them, and a quarter is left to old workers.

    :param memory: its memory limit, as Docker takes it; 0 for none
    :rtype: int
    """
    limit = size(memory)
    return max((limit - IDLE) * 3 // 4 // CONNECTION, 100) if limit else 32000


def reference(image):
    """Return the name under which Docker lists an image.

    :param str image: the name as it is pulled
    :rtype: str
    :source: Docker's documentation, "docker image pull": docker.io, library and latest are understood; a digest wins over a tag
    """
    name, __, digest = image.partition("@")
    name = re.sub(r"^((index\.)?docker\.io/)?(library/(?=[^/]+$))?", "", name)
    path, __, last = name.rpartition("/")
    if digest:
        last = last.partition(":")[0]
    elif ":" not in last:
        last += ":latest"
    return f"{path}/{last}" * bool(path) + last * (not path) + (f"@{digest}" if digest else "")


def find_differences(wanted, container, images):
    """Return the differences between a container and its description, the most important ones first.

    :param dict wanted: the description
    :param dict | None container: the container as it was observed
    :param dict[str, str] images: name -> ID of the images of the host
    :rtype: list[Difference]
    """
    if not container:
        return [Difference(Change.MISSING)]
    network, others = wanted["network"], wanted["others"] or {}
    joined = container["networks"]
    address = joined.get(network, {}).get("said", {})
    checks = [
        *((name not in joined, Change.NETWORK, name) for name in others),
        *((wanted["others"] is not None and name not in (network, *others), Change.EXTRA_NETWORK, name) for name in joined),
        *((name in joined and lacks(container, name, aliases), Change.ALIASES_ON_NETWORK, name) for name, aliases in others.items()),
        (container["state"] != "running", Change.STATE, container["state"]),
        (container.get("hash") != wanted["hash"], Change.OPTIONS, ""),
        (container["image_id"] != images.get(reference(wanted["image"])), Change.IMAGE, ""),
        (sorted(container["publishes"]) != sorted(wanted["publish"]), Change.PORTS, ""),
        (network not in joined, Change.NETWORK, network),
        (network in joined and lacks(container, network, wanted["aliases"]), Change.ALIASES, ""),
        (network in joined and any(address.get(key) != value for key, value in wanted["address"].items()), Change.ADDRESS, ""),
        (container.get("restart") != ("no" if wanted["temporary"] else "always"), Change.RESTART_POLICY, ""),
        # None is a limit that the kernel does not know
        (container.get("memory") not in (None, size(wanted["memory"])), Change.MEMORY_LIMIT, ""),
        (container.get("pids") not in (None, int(wanted["pids"])), Change.PROCESS_LIMIT, ""),
    ]
    return [Difference(change, value) for is_different, change, value in checks if is_different]


def format_differences(differences):
    """Return differences in words: ``its image, its aliases on acme``.

    :param list[Difference] differences: see :func:`find_differences`
    :rtype: str
    """
    return ", ".join(CHANGE_TEXTS[change].format(value=value) for change, value in differences)


def needs_recreate(differences):
    """Return whether Docker has to recreate a container because of its differences, which breaks its connections.

    :param list[Difference] differences: see :func:`find_differences`
    :rtype: bool
    """
    return any(difference.change in RECREATE_CHANGES for difference in differences)


def lacks(container, network, aliases):
    """Return whether a container lacks an alias on a network.

    :param dict container: the container as it was observed
    :param str network: the network
    :param list[str] | None aliases: the aliases that it needs
    :rtype: bool
    """
    return not set(aliases or ()) <= set(container["networks"].get(network, {}).get("aliases", []))
