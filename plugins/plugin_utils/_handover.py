# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links that a server side serves until all client sides have switched, although the map no longer has them. Pure Python without Ansible.

A generation of a server side stores its wiring, and the next generation serves both: the links of the map, and the stored ones.
The side removes former links, ports, and addresses after the run has seen that no client connects to them.
It waits for no client that left a link: such a client is refused as soon as the client sides have had the time to switch.
"""

from __future__ import annotations

import json

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_host_address, overlap, parse_endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import unpacked
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import side_variables, variable_prefix
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import list_listening_ports

# the format of the stored wiring; version 1.0.0 of the collection wrote none
FORMAT = 1
# the keys of each stored link
WHOLE = {"alias", "listen", "protocol", "admitted", "clients", "targets", "also"}
# what happens to links that the map no longer has: they stay, they stay until clients have switched, or they are removed
KEEP, TURNED, DROP = "keep", "turned", "drop"


def text(wiring, settings):
    """Return the content of the file that stores the wiring of a server side.

    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :rtype: str
    """
    links = [{**link, "consumer": {}} for link in wiring["links"]]
    held = {"format": FORMAT, "engine": settings["engine"], "tls": settings["tls"], "links": links, "publish": wiring["publish"]}
    held["sources"] = wiring["sources"]
    return json.dumps(held, sort_keys=True) + "\n"


def stored(observed):
    """Return the wiring that a server side stores in its generation, with whatever engine.

    :param dict observed: the side as it was observed; empty if there is none
    :return: ``links``, ``publish`` and ``sources``; None if the file is missing or cannot be read
    :rtype: dict | None
    """
    try:
        held = json.loads(unpacked(observed.get("wiring") or ""))
        # older versions stored fewer keys
        held.setdefault("sources", {})
        held["links"] = [{"name": link["alias"], "number": link["listen"], "place": 1, **link} for link in held["links"]]
        is_known = held.pop("format", FORMAT) <= FORMAT
        is_whole = is_known and {"engine", "tls", "publish"} <= set(held) and all(set(link) >= WHOLE for link in held["links"])
        is_whole = is_whole and all({"address", "port", "protocol"} <= set(port) for port in held["publish"])
    # a file of another program, a part of one, or another format
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return held if is_whole else None


def former(observed, settings):
    """Return the wiring that a server side stores, if the engine of the run can go on with it.

    :param dict observed: the side as it was observed; empty if there is none
    :param dict settings: see :mod:`plan`
    :return: see :func:`stored`; None if it is unknown, or of another engine, or if TLS was turned on or off since
    :rtype: dict | None
    """
    held = stored(observed)
    return held if held and (held["engine"], held["tls"]) == (settings["engine"], settings["tls"]) else None


def removes_clients(observed, wiring, tls):
    """Return whether a server side loses authorized clients, or may lose some because its clients are unknown.

    :param dict observed: the side as it was observed; empty if there is none
    :param dict wiring: the wiring that it gets
    :param bool tls: whether it gets TLS
    :rtype: bool
    """
    held = stored(observed)
    if held is None:
        # without a generation there is no list of clients
        return bool(observed.get("running"))
    # certificate names with TLS, addresses without
    key = "admitted" if held["tls"] == tls else "clients"
    authorized = {(link["alias"], client) for link in wiring["links"] for client in link[key]}
    return any((link["alias"], client) not in authorized for link in held["links"] for client in link[key])


def with_sources(wiring, held):
    """Return a wiring with the addresses of each client host that are known. A run that does not observe a host knows fewer of them.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the wiring that the side has, see :func:`former`
    :rtype: dict
    """
    before = held["sources"] if held else {}
    known = {host: (before.get(host, now), now) for host, now in wiring["sources"].items()}
    return {**wiring, "sources": {host: former if set(now) <= set(former) else now for host, (former, now) in known.items()}}


def both(wiring, held, addresses, inventory=()):
    """Return a wiring with the links of the map and those that a server side serves now.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the wiring that the side stores, see :func:`former`
    :param list[str] addresses: all addresses of the host
    :param Collection[str] inventory: names of all hosts if those that left the clients of a link lose their authorization now
    :rtype: dict
    """
    if not held or not wiring["links"]:
        return wiring
    links = {link["alias"]: link for link in wiring["links"]}
    # without TLS a port has one link
    holders = {} if held["tls"] else {(link["listen"], link["protocol"]): link["alias"] for link in wiring["links"]}
    # the engines know each link by its alias in this form
    prefixes = {variable_prefix(alias) for alias in links}
    variables, kept = dict(wiring["variables"]), set()
    for link in held["links"]:
        at = [(port, link["protocol"]) for port in list_listening_ports(link)]
        ports = [port for port, protocol in at if (port, protocol) not in holders]
        aliases = dict.fromkeys([link["alias"], *filter(None, map(holders.get, at))])
        successor = next((links[alias] for alias in aliases if alias in links and _succeeds(links[alias], link)), None)
        if successor:
            # on another port it is served on both
            stored = _without_departed(link, successor, held, inventory)
            more = {key: list(dict.fromkeys([*successor[key], *stored[key]])) for key in ("admitted", "clients")}
            more["also"] = [port for port in dict.fromkeys([*successor["also"], *ports]) if port != successor["listen"]]
            links[successor["alias"]] = {**successor, **more}
            kept.update(at)
        elif ports and variable_prefix(link["alias"]) not in prefixes:
            for name, value in side_variables(link, wiring["holder"]).items():
                variables.setdefault(name, value)
            links[link["alias"]] = {**link, "listen": ports[0], "also": ports[1:], "targets": _add_targets(link, variables)}
            kept.update((port, link["protocol"]) for port in ports)
    publish, places = list(wiring["publish"]), _places(wiring["publish"])
    for one in held["publish"]:
        at = (one["port"], one["protocol"])
        free = not any(overlap((one["address"], one["port"]), (address, one["port"])) for address in places.get(at, ()))
        if free and at in kept and is_host_address(one["address"], addresses):
            publish.append(one)
            places.setdefault(at, []).append(one["address"])
    sources = {**held["sources"], **wiring["sources"]}
    return {**wiring, "links": list(links.values()), "variables": variables, "publish": publish, "sources": sources}


def find_departed(wiring, held, inventory):
    """Return the hosts of the inventory that left the clients of a link which is still in the map.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the wiring that the side stores, see :func:`former`
    :param Collection[str] inventory: names of all hosts. A client with another name may have been renamed
    :rtype: set[str]
    """
    links = {link["alias"]: link for link in wiring["links"]}
    pairs = [(link, links[link["alias"]]) for link in (held["links"] if held else ()) if link["alias"] in links]
    return {client for link, successor in pairs for client in _departed_of(link, successor, inventory)}


def _departed_of(link, successor, inventory):
    clients = frozenset(successor["clients"])
    # most links lose no client, and need no look at the inventory
    return frozenset(client for client in link["clients"] if client not in clients and client in inventory)


def _without_departed(link, successor, held, inventory):
    """Return the clients and the authorizations of a stored link without the hosts that left it.

    :param dict link: the stored link
    :param dict successor: the link of the map
    :param dict held: the wiring that the side stores
    :param Collection[str] inventory: names of all hosts, see :func:`find_departed`
    :rtype: dict
    """
    departed = _departed_of(link, successor, inventory)
    # with TLS names of certificates, without it addresses
    names = {name for client in departed for name in (certificate_name(client), *held["sources"].get(client, ()))}
    return {
        "clients": [client for client in link["clients"] if client not in departed],
        "admitted": [name for name in link["admitted"] if name not in names],
    }


def with_servers_of_map(links, wiring):
    """Return links with only those servers that the map has. A host stores its links, and could name any host in them.

    :param list[dict] links: the links that a side serves, see :func:`both`
    :param dict wiring: the wiring of the side, as the map has it
    :rtype: list[dict]
    """
    servers = {server for link in wiring["links"] for server in link["servers"]}
    return [{**link, "servers": [server for server in link["servers"] if server in servers]} for link in links]


def _succeeds(link, former):
    """Return whether a link of the map serves the clients of a link that a server side has.

    :param dict link: the link of the map
    :param dict former: a link with the same alias, or, without TLS, with one of the same ports
    :return: True for the same alias, and if one of both links has the port in its alias: ``port`` of the link was replaced with ``ports``,
        or the other way round
    :rtype: bool
    """
    # two ports of one name are two services
    is_same = link["alias"] == former["alias"] or (link["name"] == former["name"] and link["name"] in (link["alias"], former["alias"]))
    return is_same and link["protocol"] == former["protocol"]


def _add_targets(link, variables):
    """Return the targets of a link that the map no longer has, and add their variables. A name with another value gets a prefix.

    :param dict link: the link
    :param dict[str, str] variables: the variables of the side
    :rtype: list[dict]
    """
    targets = []
    for target in link["targets"]:
        name, url = target["variable"], f"{link['protocol']}://{endpoint(target['address'], target['port'])}"
        values = {"": url, "_ADDR": target["address"], "_PORT": str(target["port"]), "_PROTO": link["protocol"]}
        while any(variables.get(name + key, value) != value for key, value in values.items()):
            name = f"FORMER_{name}"
        variables.update({name + key: value for key, value in values.items()})
        targets.append({**target, "variable": name})
    return targets


def _places(publish):
    """Return port and protocol -> the addresses on which they are published."""
    found = {}
    for one in publish:
        found.setdefault((one["port"], one["protocol"]), []).append(one["address"])
    return found


def left(wiring, held):
    """Return the clients of links, ports, and addresses that a server side serves and the map no longer has.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the wiring that the side stores, see :func:`former`
    :return: link, names of client hosts, and the ports and addresses that are left (None: all)
    :rtype: list[tuple[dict, list[str], tuple[set[int], set[str]] | None]]
    """
    found, now = [], {link["alias"]: link for link in wiring["links"]}
    kept, served = _places(wiring["publish"]), _places(held["publish"]) if held else {}
    for link in held["links"] if held else []:
        same = now.get(link["alias"])
        clients = same["clients"] if same else []
        gone = [client for client in link["clients"] if client not in clients]
        if gone or not same:
            found.append((link, gone, None))
        if same:
            ports, at = set(list_listening_ports(link)) - {same["listen"]}, (same["listen"], same["protocol"])
            addresses = set(served.get(at, ())) - set(kept.get(at, ()))
            stay = [client for client in link["clients"] if client in clients]
            if stay and (ports or addresses):
                found.append((link, stay, (ports, addresses)))
    return found


def dials(link, host, held, observed, places=None):
    """Return whether a client host still connects to a link of a server host.

    :param dict link: the link, as the server side has it
    :param str host: inventory name of the server host
    :param dict held: the wiring that the server side has, see :func:`former`
    :param dict observed: the observation of the client host
    :param tuple[set[int], set[str]] | None places: only to these ports or addresses of the link
    :rtype: bool
    """
    published = {endpoint(one["address"], one["port"]) for one in held["publish"]}
    for alias, dialed in observed["sides"].get("client", {}).get("links", {}).items():
        # without TLS the server side does not learn the alias: a change between `port` and `ports` gives a port another one
        is_other = alias != link["alias"]
        if is_other and (held["tls"] or alias.partition(":")[0] != link["name"]):
            continue
        for target in dialed["targets"]:
            found = parse_endpoint(target["address"])
            ours = target["name"] == host or (found and endpoint(*found) in published)
            # a target without an address may have any
            if is_other and found and found[1] not in list_listening_ports(link):
                continue
            if ours and (not places or not found or found[1] in places[0] or found[0] in places[1]):
                return True
    return False


def _former_names(observations):
    """Return the former names of client hosts that were renamed, and still run with the certificate of that name -> their names now."""
    found = {}
    for host, observed in observations.items():
        shown = observed["sides"].get("client", {}).get("certificate")
        if shown and shown["name"] != certificate_name(host):
            found[shown["name"]] = host
    return found


def waiting(wiring, held, host, observations, inventory, failed):
    """Return the hosts for which a server side keeps links that the map no longer has.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the one that it has; None where nothing is known of it, and then every host that failed may dial it
    :param str host: inventory name of the server host
    :param dict[str, dict] observations: host -> what this run has observed of it last, of those that it has
    :param inventory: names of all hosts; a host that is not among them never answers again
    :param failed: names of the hosts at which this run has failed
    :return: host -> why, in words for people
    :rtype: dict[str, str]
    """
    if held is None:
        return dict.fromkeys(failed, "has failed")
    found, renamed = {}, _former_names(observations)
    clients_now = {link["alias"]: link["clients"] for link in wiring["links"]}
    for link, clients, places in left(wiring, held):
        # a host of the inventory was not renamed, whatever name another host reports
        for client in (name if name in inventory else renamed.get(certificate_name(name), name) for name in clients):
            # a client that left a link is refused, whatever it still does
            if client not in inventory or client in found or client not in clients_now.get(link["alias"], [client]):
                continue
            if client not in observations:
                found[client] = "is not in this run, or does not answer"
            elif client in failed:
                found[client] = "has failed"
            elif dials(link, host, held, observations[client], places):
                found[client] = "still dials it"
    return found
