# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports that a host cannot publish."""

from __future__ import annotations

import ipaddress

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint, is_own, overlap
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import name_problems, named

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


def port_problems(wiring, own, observed):
    """Tell which ports cannot be published, before a container is made for them.

    :param dict wiring: the wiring of the side
    :param list[str] own: names of the side's containers, whose own ports are free for their successors
    :param dict observed: the observation
    :return: a sentence each
    :rtype: list[str]
    """
    problems, held, others = [], [], {}
    for name, found in observed["containers"].items():
        ports = [containers.listener(port) for port in found["publishes"]]
        if name in own:
            held += ports
        else:
            others[name] = ports
    for want in wiring["publish"]:
        at = (want["address"], want["port"])
        if any(protocol == want["protocol"] and overlap(at, one) for protocol, one in held):
            continue
        where = f"{want.get('where') or 'link ' + want['alias']}: expected to publish port {want['port']} on {want['address']}"
        if not is_own(want["address"], observed["addresses"]):
            problems.append(f"{where}, found that this host has no such address (NAT?); {REMEDIES[want['key']]}.")
            continue
        holders = [name for name, ports in others.items() if any(p == want["protocol"] and overlap(at, one) for p, one in ports)]
        taken = any(protocol == want["protocol"] and overlap(at, (found, port)) for protocol, found, port in observed["listening"])
        if holders or taken:
            who = named(holders[0], observed["containers"][holders[0]]) if holders else "another program or container"
            problems.append(
                f"{where}, found it taken by {who} (`ss -l{want['protocol'][0]}np` and `docker ps` name it);"
                f" stop that, or {'set it to another port' if want['key'] == 'metrics' else 'change ' + want['key'] + ' of the link'}."
            )
    return problems


def ipv6_port_problems(host, publish, observed, has_ipv6):
    """Return the IPv6 addresses on which the Docker Engine of a host publishes nothing, because it runs without its userland proxy.

    Then only rules of the kernel forward to a container. The kernel has no rule for IPv6 loopback, and none from IPv6 to IPv4.

    :param str host: inventory name of the host
    :param list[dict] publish: the published ports, as :func:`port_problems` takes them
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


def metrics_problems(host, wiring, observed, settings):
    """Tell why metrics cannot be told where they are asked for.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of a side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if not settings["metrics"]:
        return []
    at, where = containers.metrics_at(settings["metrics"]), f"host {host}, ambassador_metrics: expected"
    if at is None:
        return [f"{where} a port, or address:port, found {settings['metrics']!r}; correct it, or set it to '' for no metrics."]
    if settings["engine"] != "haproxy":
        return [
            f"{where} the engine haproxy, which alone tells metrics, found {settings['engine']}; set ambassador_metrics to '',"
            " or ambassador_engine to haproxy."
        ]
    publishes = [
        f"{port['key']} of link {port['alias']}"
        for port in wiring["publish"]
        if port["protocol"] == "tcp" and overlap(at, (port["address"], port["port"]))
    ]
    if publishes:
        return [f"{where} a port that no link has, found {endpoint(*at)} to be {publishes[0]} as well; set one of them to another port."]
    name = names.metrics(observed["mesh"])
    want = {"where": f"host {host}, ambassador_metrics", "key": "metrics", "address": at[0], "port": at[1], "protocol": "tcp"}
    problems = name_problems(host, name, observed) or port_problems({"publish": [want]}, [name], observed)
    return problems + ipv6_port_problems(host, [want], observed, settings["ipv6"])


def publishes_ipv6(side, observed, settings):
    """Return whether the containers of a side that publish ports have IPv6 addresses and listen there.

    On the client side these containers are on the network of the ambassadors alone.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: bool
    """
    network = observed["networks"].get(settings["network"], {})
    return settings["ipv6"] or (side == "client" and bool(network.get("ipv6")))
