# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports that a host cannot publish."""

from __future__ import annotations

import ipaddress

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_host_address, overlap
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_ports import parse_listener
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import name_container

REMEDIES = {
    "publish": "set ambassador_bind for this host to one of its own addresses, or correct ambassador_address",
    "local": "correct the link's local to one of this host's own addresses",
    "metrics": "set ambassador_metrics to a port, or to one of this host's own addresses and a port",
}
# key -> how to publish on IPv4
IPV4_REMEDIES = {
    "publish": "Set ambassador_bind of this host to an IPv4 address",
    "local": "Set local to an IPv4 address, for example 127.0.0.1",
    "metrics": "Set ambassador_metrics to a port, or to an IPv4 address and a port",
}


def find_port_problems(wiring, own_containers, observed):
    """Return the ports that the host cannot publish.

    :param dict wiring: the wiring of the side
    :param list[str] own_containers: names of the containers of the side, whose ports are free for their successors
    :param dict observed: the observation
    :rtype: list[str]
    """
    # protocol and port number -> listeners of the side; name of any other container -> its listeners
    problems, held, others = [], {}, {}
    for name, container in observed["containers"].items():
        ports = [parse_listener(port) for port in container["publishes"]]
        if name in own_containers:
            for listener in ports:
                held.setdefault((listener[0], listener[1][1]), []).append(listener)
        else:
            others[name] = ports
    for port in wiring["publish"]:
        protocol, at = port["protocol"], (port["address"], port["port"])
        if _is_taken(protocol, at, held.get((protocol, port["port"]), ())):
            continue
        place = port.get("where") or f"link {port['alias']}"
        sentence = f"{place}: expected to publish port {port['port']} on {port['address']}"
        if not is_host_address(port["address"], observed["addresses"]):
            problems.append(f"{sentence}, found that this host has no such address (NAT?); {REMEDIES[port['key']]}.")
            continue
        holder = next((name for name, ports in others.items() if _is_taken(protocol, at, ports)), None)
        if holder or _is_taken(protocol, at, ((protocol, (address, number)) for protocol, address, number in observed["listening"])):
            user = name_container(holder, observed["containers"][holder]) if holder else "another program or container"
            remedy = "set it to another port" if port["key"] == "metrics" else f"change {port['key']} of the link"
            problems.append(
                f"{sentence}, found it taken by {user} (`ss -l{protocol[0]}np` and `docker ps` name it); stop that, or {remedy}."
            )
    return problems


def _is_taken(protocol, at, listeners):
    """Return whether a listener, protocol and (address, port), has the port."""
    return any(other == protocol and overlap(at, taken) for other, taken in listeners)


def find_ipv6_port_problems(host, publish, observed, has_ipv6):
    """Return the IPv6 addresses on which the Docker Engine of a host publishes nothing, because it runs without its userland proxy.

    Then only rules of the kernel forward to a container. The kernel has no rule for IPv6 loopback, and none from IPv6 to IPv4.

    :param str host: inventory name of the host
    :param list[dict] publish: the published ports, as :func:`find_port_problems` takes them
    :param dict observed: the observation
    :param bool has_ipv6: whether the containers that publish the ports have IPv6 addresses and listen there
    :rtype: list[str]
    :source: measured on Docker Engine 26.1; ip-sysctl of the kernel has ``route_localnet`` for IPv4 only
    """
    if observed["docker"].get("userland_proxy") is not False:
        return []
    problems = []
    for port in publish:
        address = ipaddress.ip_address(port["address"])
        if address.version == 4 or (has_ipv6 and not address.is_loopback):
            continue
        where = f"Link {port['alias']}, key {port['key']}: host" if "alias" in port else "Variable ambassador_metrics: host"
        reason, remedy = "", "run the engine with userland-proxy: true"
        if not address.is_loopback:
            reason, remedy = " and the ambassadors have no IPv6", "set ambassador_ipv6 to true"
        problems.append(
            f"{where} {host} cannot publish port {port['port']} on {address}, because its Docker Engine has userland-proxy: false{reason}."
            f" {IPV4_REMEDIES[port['key']]}, or {remedy}."
        )
    return problems


def publishes_on_ipv6(side, observed, settings):
    """Return whether the containers of a side that publish ports have IPv6 addresses and listen there.

    On the client side these containers are on the network of the ambassadors alone.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: bool
    """
    network = observed["networks"].get(settings["network"], {})
    return settings["ipv6"] or (side == "client" and bool(network.get("ipv6")))
