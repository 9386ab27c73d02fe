# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server side goes on serving, though the map asks for it no more, until nobody dials it. Pure Python without Ansible.

A link that leaves a host, and a client that leaves a link, are served as before until all client sides have turned: a generation of a
server side holds its wiring, and the next one is made of both. What is left is given up once every host that dialled it was seen to dial
it no more.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from ansible_collections.crosshost.ambassador.plugins.module_utils.wiring import endpoint, parse_endpoint, side_variables

# the file of a generation
FILE = "wiring.json"
# what happens to that which the map asks for no more
KEEP, TURNED, DROP = "keep", "turned", "drop"


def text(wiring, settings):
    """Return the wiring of a server side as its generation holds it.

    :param dict wiring: the wiring of the side
    :param dict settings: see :mod:`plan`
    :rtype: str
    """
    links = [{**link, "consumer": {}} for link in wiring["links"]]
    held = {"engine": settings["engine"], "tls": settings["tls"], "links": links, "publish": wiring["publish"]}
    return json.dumps(held, sort_keys=True) + "\n"


def packed(content):
    """Return the content of the file as an observation carries it: a thousand links are half a megabyte.

    :param bytes content: the content
    :rtype: str
    """
    return base64.b64encode(zlib.compress(content)).decode()


def former(observed, settings):
    """Return the wiring that a server side has, where the engine that is asked for can go on with it.

    :param dict observed: the side as it was observed; empty where there is none
    :param dict settings: see :mod:`plan`
    :return: ``links`` and ``publish``; None where nothing is known of it
    :rtype: dict | None
    """
    try:
        held = json.loads(zlib.decompress(base64.b64decode(observed.get("wiring") or "")))
    # somebody else's file, or half of one
    except (ValueError, binascii.Error, zlib.error):
        return None
    return held if (held["engine"], held["tls"]) == (settings["engine"], settings["tls"]) else None


def both(wiring, held):
    """Return a wiring with what a server side serves now beside what it is to serve.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the one that it has, see :func:`former`
    :rtype: dict
    """
    if not held or not wiring["links"]:
        return wiring
    now = {link["alias"]: link for link in wiring["links"]}
    ports = {(link["listen"], link["protocol"]): link["alias"] for link in wiring["links"]}
    links, variables, publish = list(wiring["links"]), dict(wiring["variables"]), list(wiring["publish"])
    for link in held["links"]:
        at = (link["listen"], link["protocol"])
        if link["alias"] in now:
            same = now[link["alias"]]
            if at == (same["listen"], same["protocol"]):
                more = {key: list(dict.fromkeys([*same[key], *link[key]])) for key in ("admitted", "clients")}
                links = [{**one, **more} if one is same else one for one in links]
            continue
        own = side_variables(link, "ambassador_server")
        # without TLS one port is one link's
        if set(own) & set(variables) or (at in ports and not held["tls"]):
            continue
        links.append(link)
        variables |= own
        taken = {(one["port"], one["protocol"]) for one in publish}
        publish += [one for one in held["publish"] if (one["port"], one["protocol"]) == at and at not in taken]
    return {**wiring, "links": links, "variables": variables, "publish": publish}


def left(wiring, held):
    """Return who may dial what a server side serves now, and the map asks for no more.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the one that it has, see :func:`former`
    :return: alias -> names of client hosts
    :rtype: dict[str, list[str]]
    """
    now, found = {link["alias"]: link["clients"] for link in wiring["links"]}, {}
    for link in held["links"] if held else []:
        gone = [client for client in link["clients"] if client not in now.get(link["alias"], [])]
        if gone or link["alias"] not in now:
            found[link["alias"]] = gone
    return found


def dials(alias, host, publish, observed):
    """Tell whether a client host still leads a link to a server host.

    :param str alias: the link
    :param str host: inventory name of the server host
    :param list[dict] publish: what the server side publishes, as a wiring has it
    :param dict observed: the observation of the client host
    :rtype: bool
    """
    places = {endpoint(one["address"], one["port"]) for one in publish}
    link = observed["sides"].get("client", {}).get("links", {}).get(alias, {})
    return any(target["name"] == host or _place(target["address"]) in places for target in link.get("targets", []))


def _place(address):
    found = parse_endpoint(address)
    return endpoint(*found) if found else None


def waiting(wiring, held, host, observations, inventory, failed):
    """Tell which hosts keep a server side from giving up what the map asks for no more.

    :param dict wiring: the wiring of the side, as the map has it
    :param dict | None held: the one that it has; None where nothing is known of it, and then every host that failed may dial it
    :param str host: inventory name of the server host
    :param dict[str, dict] observations: host -> what this run has observed of it last, of those that it has
    :param inventory: names of all hosts that there are: of others nobody will hear again
    :param failed: names of the hosts at which this run has failed
    :return: host -> why, in words for people
    :rtype: dict[str, str]
    """
    if held is None:
        return dict.fromkeys(failed, "has failed")
    found = {}
    for alias, clients in left(wiring, held).items():
        for client in clients:
            if client not in inventory or client in found:
                continue
            if client not in observations:
                found[client] = "is not in this run, or does not answer"
            elif client in failed:
                found[client] = "has failed"
            elif dials(alias, host, held["publish"], observations[client]):
                found[client] = "still dials it"
    return found
