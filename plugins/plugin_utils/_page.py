# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A status as a page that needs no other file, and as JSON beside it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import pathlib
import tempfile

import jinja2
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status import age, server_name, together

TEMPLATES = pathlib.Path(__file__).parents[2] / "playbooks" / "templates"
# the worst first
ORDER = ("down", "degraded", "unknown", "unchecked", "standby", "up")
# units of the drawings: a row's height, and where its columns are
ROW, CARD, MAP = 36, (118, 160, 240, 282), (200, 400)
# hosts of a link that are drawn one by one where more are alike
SHOWN = 6


def problem(path, mesh=mesh_names.DEFAULT):
    """Tell why a page cannot be written, or None.

    :param pathlib.Path path: the file
    :param str mesh: the mesh
    :rtype: str | None
    """
    if mesh == mesh_names.ALL:
        return f"status_page: expected one mesh, of which there is a page, found ambassador_mesh {mesh}; name one, or leave the page out."
    if path.suffix != ".html":
        return f"status_page: expected the name of a file that ends in .html, found {path}; name another, the JSON goes beside it."
    if not path.parent.is_dir():
        return f"status_page: expected a directory {path.parent} on the controller, found none; make it, or name another."
    return None


def misplaced(path, pages):
    """Return a message if a host has another ``status_page`` than the run, otherwise None.

    :param str | None path: the page of the run
    :param dict[str, str | None] pages: host -> its ``status_page``
    :rtype: str | None
    """
    for host, own in pages.items():
        if own and own != path:
            return (
                f"Host {host}: status_page is {own}, but this run writes {path or 'no page'}. Set status_page with -e or for the group all,"
                " not for single groups or hosts."
            )
    return None


def write(path, found):
    """Write the page and the JSON; whoever reads one meanwhile reads a whole one.

    :param pathlib.Path path: the page
    :param dict found: as :func:`status.status` returns it
    :raises OSError: where a file cannot be written
    """
    for name, text in ((path.with_suffix(".json"), json.dumps(found, indent=1) + "\n"), (path, render(found))):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{name.name}.", delete=False) as file:
            file.write(text)
        # whoever serves it is not who writes it; it holds no secret
        os.chmod(file.name, 0o644)
        os.replace(file.name, name)


def render(found):
    """Return the page. All of a status is data, and escaped; no other script than that of the page runs in it.

    :param dict found: as :func:`status.status` returns it
    :rtype: str
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(age=age, short=short, sha256=sha256)
    targets = {}
    for target in found["targets"]:
        targets.setdefault(target["link"], []).append(target)
    links = [card(link, targets.get(link["alias"], [])) for link in found["links"]]
    links.sort(key=lambda link: ORDER.index(link["health"]))
    return environment.get_template("status.html.j2").render(found, cards=links, map=overview(links), card_x=CARD, map_x=MAP, row=ROW)


def sha256(text):
    """Return what a Content Security Policy calls a script.

    :param str text: the script
    :rtype: str
    :source: Content Security Policy Level 3, section 6.7.2.2
    """
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def short(text, width):
    """Return a text that is no longer than so many characters: SVG does not cut it.

    :param str text: the text
    :param int width: characters
    :rtype: str
    """
    return text if len(text) <= width else f"{text[: width - 1]}…"


def figures(targets):
    """Return what several targets do together.

    :param list[dict] targets: of a status; none where nothing is known
    :return: ``health``, ``state`` (str, empty where none is known), ``connections`` (int, None where nobody counts), ``since`` (seconds
        since the last of them changed, or None)
    :rtype: dict
    """
    counts = [target["connections"] for target in targets if target["connections"] is not None]
    changes = [target["since"] for target in targets if target["since"] is not None]
    return {
        "health": together(target["health"] for target in targets),
        "state": " / ".join(dict.fromkeys(target["state"] for target in targets)),
        "connections": sum(counts) if counts else None,
        "since": min(changes, default=None),
    }


def ends(named):
    """Return the hosts of one end of a link as they are drawn: the worst first, and of many that are alike the first.

    :param dict[str, dict] named: name -> see :func:`figures`
    :return: those, each with ``name`` and ``y``; one may stand for several others
    :rtype: list[dict]
    """
    found = []
    known = sorted(({"name": name, **one} for name, one in named.items()), key=lambda end: ORDER.index(end["health"]))
    for __, alike in itertools.groupby(known, key=lambda end: end["health"]):
        *first, last = alike
        shown, rest = first[:SHOWN], [*first[SHOWN:], last]
        if len(rest) > 1:
            counts = [end["connections"] for end in rest if end["connections"] is not None]
            last = {**last, "name": f"{len(rest)} more", "connections": sum(counts) if counts else None, "since": None}
        found += [*shown, last]
    return [{**end, "y": ROW * (number + 0.5)} for number, end in enumerate(found)]


def card(link, targets):
    """Return the drawing of a link: its clients left, its servers right.

    :param dict link: of a status
    :param list[dict] targets: those of the link
    :return: the link, and ``targets``, ``left`` and ``right`` (see :func:`ends`, each with ``path``), ``names`` (what it is found by),
        ``joins`` (client host, server, health), ``height``, ``middle``, ``connections``
    :rtype: dict
    """
    there = [target for target in targets if target["health"] != "leaving"]
    client_side = [target for target in there if target["side"] == "client"]
    # a server host is known to HAProxy by another name where its own has signs that HAProxy's has not
    hosts = {server_name(host): host for host in link["servers"]}
    pairs, clients, servers = {}, {host: [] for host in link["clients"]}, {host: [] for host in link["servers"]}
    for target in client_side:
        name = hosts.get(target["target"], target["target"] or target["address"] or "?")
        clients.setdefault(target["host"], []).append(target)
        servers.setdefault(name, []).append(target)
        pairs.setdefault((target["host"], name), []).append(target)
    if not client_side:
        # no client side was asked: a server side's own backend, which comes first, is all that is known
        for target in there:
            known = servers.setdefault(target["host"], [])
            known += [] if known else [target]
    left, right = (ends({name: figures(known) for name, known in side.items()}) for side in (clients, servers))
    height = ROW * max(len(left), len(right), 1)
    for side, outer, inner in ((left, CARD[0], CARD[1]), (right, CARD[3], CARD[2])):
        offset = (height - ROW * len(side)) / 2
        for end in side:
            end["y"] += offset
            end["path"] = curve(outer, end["y"], inner, height / 2)
    return {
        **link,
        "targets": targets,
        "left": left,
        "right": right,
        "names": " ".join(dict.fromkeys([link["alias"], *clients, *servers])).lower(),
        "joins": [(client, server, together(one["health"] for one in known)) for (client, server), known in pairs.items()],
        "height": height,
        "middle": height / 2,
        "connections": figures(client_side)["connections"],
    }


def overview(cards):
    """Return the drawing of all links: client hosts left, servers right, a line for all links of two.

    :param list[dict] cards: see :func:`card`
    :return: ``left`` and ``right`` (name and y of each), ``edges`` (``ends``, ``links``, ``health``, ``path``, ``names``; the worst last,
        so that it is on top), ``height``
    :rtype: dict
    """
    joined = {}
    for one in cards:
        for client, server, health in one["joins"]:
            joined.setdefault((client, server), []).append((one["alias"], health))
    left = {name: number for number, name in enumerate(sorted({client for client, __ in joined}))}
    clients = {}
    for client, server in joined:
        clients.setdefault(server, []).append(left[client])
    # near the middle of its clients, so that lines cross less
    right = {name: number for number, name in enumerate(sorted(clients, key=lambda name: (sum(clients[name]) / len(clients[name]), name)))}
    rows = max(len(left), len(right), 1)
    step = {side: rows / max(len(names), 1) * ROW * 0.7 for side, names in (("left", left), ("right", right))}
    at = {side: {name: (number + 0.5) * step[side] for name, number in names.items()} for side, names in (("left", left), ("right", right))}
    edges = [
        {
            "ends": f"{client} → {server}",
            "links": [alias for alias, __ in links],
            "health": min((health for __, health in links), key=ORDER.index),
            "path": curve(MAP[0], at["left"][client], MAP[1], at["right"][server]),
            "names": " ".join([client, server, *(alias for alias, __ in links)]).lower(),
        }
        for (client, server), links in joined.items()
    ]
    edges.sort(key=lambda edge: -ORDER.index(edge["health"]))
    return {"left": at["left"], "right": at["right"], "edges": edges, "height": rows * ROW * 0.7}


def curve(x1, y1, x2, y2):
    """Return the line between two points, as SVG wants it."""
    middle = (x1 + x2) / 2
    return f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
