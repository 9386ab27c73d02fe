# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The descriptions of the ambassadors of a side. Pure Python without Ansible."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import (
    ENDPOINT_DIRECTORY,
    NO_UPSTREAM_DNS,
    describe_container,
    format_volume,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import (
    choose_addresses,
    listens_on_ipv6,
    name_alias_marker,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import select_place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_ports import format_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import side_variables
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import list_names, networks

# variable of a container: its place, if that is not the first one
PLACE_VARIABLE = "AMBASSADOR_PLACE"
# the user of the official image of socat
SOCAT_UID = 65534
# the kernel accepts rules from root only; the rules are in the container's own network namespace
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


def describe_ambassadors(side, wiring, settings, scripts, observed):
    """Return the description of each container that has names. A server side has one such container, without names.

    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict[str, str] scripts: see :func:`describe_ambassador`
    :param dict observed: the observation
    :return: number of the container -> its description, with all ports that its links publish
    :rtype: dict[int, dict]
    """
    found, given = {}, []
    for place in sorted({link["place"] for link in wiring["links"]}):
        # links of a server side share what it publishes
        own = select_place(wiring, place) if side == "client" else wiring
        found[place] = describe_ambassador(side, own, settings, scripts, observed, place, given)
        given += found[place]["address"].values()
    return found


def describe_ambassador(side, wiring, settings, scripts, observed, place=1, given=()):
    """Return the description of the ambassador of a side.

    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :param dict[str, str] scripts: name -> content, of ``socat.sh`` and ``nftables.sh``
    :param dict observed: the observation
    :param int place: its number
    :param given: addresses of other containers in the same plan
    :rtype: dict
    """
    directory, engine = f"{settings['state_dir']}/{side}", settings["engine"]
    uid = UIDS[engine]
    # consumers connect to the aliases; no client connects to the ambassador of a server side by name
    aliases = list_names(wiring["links"]) if side == "client" else []
    name = names.name_side_container(side, observed["mesh"], place)
    address = choose_addresses(name, settings["network"], observed, given) if aliases else {}
    # a container ignores links of other places
    environment = {PLACE_VARIABLE: str(place)} if place > 1 else {}
    common = {
        "user": f"{uid}:{uid}",
        "network": settings["network"],
        "memory": settings["memory"],
        "pids": settings["pids"],
        "dns": NO_UPSTREAM_DNS,
        # the connections that nftables forwards end on other hosts
        "sysctls": None if engine == "nftables" else TCP_SYSCTLS,
        "publish": format_ports(wiring),
        "aliases": [*aliases, name_alias_marker(aliases)] if address else aliases,
        # another alias means a reconnect: with the same address, so that connections outlive it
        "address": address,
        # one that a link leaves may have gone before it
        "others": {
            network: [*aliases, name_alias_marker(aliases)]
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
        return describe_container(name, settings["image"], **common, **own)
    # the whole directory: a mounted file would keep its old inode
    volumes = [format_volume(directory, "/etc/ambassador")]
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
        volumes += [format_volume(f"{settings['state_dir']}/identity", "/etc/ambassador-identity")] if settings["tls"] else []
    volumes.append(format_volume(f"{directory}/{names.name_run_directory(place)}", ENDPOINT_DIRECTORY, True))
    return describe_container(name, settings["image"], **common, **own, env=environment, volumes=volumes)
