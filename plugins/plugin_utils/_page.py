# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A status as a page that needs no other file, and as JSON in an additional file."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import TypedDict

import jinja2
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status import combine_health, format_age, name_server
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status_report import Health, LinkStatus, StatusReport, TargetStatus

TEMPLATES = pathlib.Path(__file__).parents[2] / "playbooks" / "templates"
# the worst first
ORDER: tuple[Health, ...] = ("down", "degraded", "unknown", "unchecked", "standby", "up")
# in units of the drawings: the height of a row, and the positions of the columns of a card and of the overview
ROW_HEIGHT, CARD_COLUMNS, OVERVIEW_COLUMNS = 36, (118, 160, 240, 282), (200, 400)
# hosts of a link with the same health that are drawn one by one
MAX_HOSTS_OF_A_HEALTH = 6


class TargetSummary(TypedDict):
    """What several targets have together."""

    health: Health
    #: empty if none is known
    state: str
    #: None if nothing counts connections
    connections: int | None
    #: seconds since the last of them changed
    since: int | None


class DrawnEnd(TargetSummary):
    """A host of a link in its drawing. One can represent several others."""

    name: str
    y: float
    path: str


class Card(LinkStatus):
    """The drawing of a link: its clients left, its servers right."""

    targets: list[TargetStatus]
    left: list[DrawnEnd]
    right: list[DrawnEnd]
    #: the words that find the link
    names: str
    #: client host, server, and health of each pair
    pairs: list[tuple[str, str, Health]]
    height: float
    middle: float
    connections: int | None


class Edge(TypedDict):
    """The line between a client host and a server in the overview."""

    ends: str
    links: list[str]
    health: Health
    path: str
    #: the words that find the line
    names: str


class Overview(TypedDict):
    """The drawing of all links: client hosts left, servers right, and a line for all links of two hosts."""

    #: name -> y
    left: dict[str, float]
    right: dict[str, float]
    #: the worst last, because the last one is on top
    edges: list[Edge]
    height: float


def find_page_problem(path: pathlib.Path, mesh: str = mesh_names.DEFAULT) -> Problem | None:
    """Return why a page cannot be written, or None."""
    place = Place(variable="status_page")
    if mesh == mesh_names.ALL:
        return StatusMessage.PAGE_OF_ALL_MESHES.at(place, mesh=mesh)
    if path.suffix != ".html":
        return StatusMessage.PAGE_NOT_HTML.at(place, path=str(path))
    if not path.parent.is_dir():
        return StatusMessage.PAGE_DIRECTORY_MISSING.at(place, directory=str(path.parent))
    return None


def find_differing_page(path: str | None, pages: Mapping[str, str | None]) -> Problem | None:
    """Return the problem of a host that has another ``status_page`` than the run, or None.

    :param path: the page of the run
    :param pages: host -> its ``status_page``
    """
    for host, page in pages.items():
        if page and page != path:
            return StatusMessage.PAGE_DIFFERS.at(Place(host=host), page=page, page_of_run=path or "no page")
    return None


def write_page(path: pathlib.Path, report: StatusReport) -> None:
    """Write the page and the JSON. Each file is replaced as a whole.

    :raises OSError: if a file cannot be written
    """
    for name, text in ((path.with_suffix(".json"), json.dumps(report, indent=1) + "\n"), (path, render_page(report))):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{name.name}.", delete=False) as file:
            file.write(text)
        # another user, for example that of a web server, may read the file; it holds no secret
        os.chmod(file.name, 0o644)
        os.replace(file.name, name)


def render_page(report: StatusReport) -> str:
    """Return the page. All values of a status are escaped, and no script runs in the page except its own."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(age=format_age, short=shorten, sha256=hash_script)
    targets: dict[str, list[TargetStatus]] = {}
    for target in report["targets"]:
        targets.setdefault(target["link"], []).append(target)
    cards = [draw_card(link, targets.get(link["alias"], [])) for link in report["links"]]
    cards.sort(key=lambda card: ORDER.index(card["health"]))
    template = environment.get_template("status.html.j2")
    return template.render(report, cards=cards, map=draw_overview(cards), card_x=CARD_COLUMNS, map_x=OVERVIEW_COLUMNS, row=ROW_HEIGHT)


def hash_script(script: str) -> str:
    """Return the hash of a script for a Content Security Policy.

    :source: Content Security Policy Level 3, section 6.7.2.2
    """
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def shorten(text: str, width: int) -> str:
    """Return a text with at most ``width`` characters, because SVG does not cut a text."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def summarize_targets(targets: list[TargetStatus]) -> TargetSummary:
    """Return what several targets have together. No target is an unknown state."""
    counts = [target["connections"] for target in targets if target["connections"] is not None]
    changes = [target["since"] for target in targets if target["since"] is not None]
    return {
        "health": combine_health(target["health"] for target in targets),
        "state": " / ".join(dict.fromkeys(target["state"] for target in targets)),
        "connections": sum(counts) if counts else None,
        "since": min(changes, default=None),
    }


def select_ends(targets: Mapping[str, list[TargetStatus]]) -> list[DrawnEnd]:
    """Return the hosts of one end of a link in the order of their drawing: the worst first. One represents many with the same health.

    :param targets: host -> its targets
    """
    ends: list[DrawnEnd] = []
    hosts: list[DrawnEnd] = [{"name": name, "y": 0, "path": "", **summarize_targets(known)} for name, known in targets.items()]
    for __, group in itertools.groupby(sorted(hosts, key=lambda end: ORDER.index(end["health"])), key=lambda end: end["health"]):
        *first, last = group
        shown, rest = first[:MAX_HOSTS_OF_A_HEALTH], [*first[MAX_HOSTS_OF_A_HEALTH:], last]
        if len(rest) > 1:
            counts = [end["connections"] for end in rest if end["connections"] is not None]
            last = {**last, "name": f"{len(rest)} more", "connections": sum(counts) if counts else None, "since": None}
        ends += [*shown, last]
    return ends


def draw_ends(ends: list[DrawnEnd], height: float, outer: float, inner: float) -> None:
    """Set the position of each end of a link, and its path between two columns."""
    offset = (height - ROW_HEIGHT * len(ends)) / 2
    for number, end in enumerate(ends):
        end["y"] = ROW_HEIGHT * (number + 0.5) + offset
        end["path"] = draw_curve(outer, end["y"], inner, height / 2)


def draw_card(link: LinkStatus, targets: list[TargetStatus]) -> Card:
    """Return the drawing of a link.

    :param link: the link
    :param targets: the targets of the link
    """
    present = [target for target in targets if target["health"] != "leaving"]
    client_side = [target for target in present if target["side"] == "client"]
    # HAProxy has another name for a server host whose name has characters that HAProxy does not accept
    hosts = {name_server(host): host for host in link["servers"]}
    clients: dict[str, list[TargetStatus]] = {host: [] for host in link["clients"]}
    servers: dict[str, list[TargetStatus]] = {host: [] for host in link["servers"]}
    pairs: dict[tuple[str, str], list[TargetStatus]] = {}
    for target in client_side:
        server_name = target["target"] or target["address"] or "?"
        server = hosts.get(target["target"] or "", server_name)
        clients.setdefault(target["host"], []).append(target)
        servers.setdefault(server, []).append(target)
        pairs.setdefault((target["host"], server), []).append(target)
    if not client_side:
        # no client side is in the run: only the backends of server sides are known, which come first
        for target in present:
            known = servers.setdefault(target["host"], [])
            known += [] if known else [target]
    left, right = select_ends(clients), select_ends(servers)
    height = ROW_HEIGHT * max(len(left), len(right), 1)
    draw_ends(left, height, CARD_COLUMNS[0], CARD_COLUMNS[1])
    draw_ends(right, height, CARD_COLUMNS[3], CARD_COLUMNS[2])
    return {
        **link,
        "targets": targets,
        "left": left,
        "right": right,
        "names": " ".join(dict.fromkeys([link["alias"], *clients, *servers])).lower(),
        "pairs": [(*pair, combine_health(target["health"] for target in known)) for pair, known in pairs.items()],
        "height": height,
        "middle": height / 2,
        "connections": summarize_targets(client_side)["connections"],
    }


def draw_overview(cards: list[Card]) -> Overview:
    """Return the drawing of all links."""
    # client host and server -> alias and health of each link
    pairs: dict[tuple[str, str], list[tuple[str, Health]]] = {}
    for card in cards:
        for client, server, health in card["pairs"]:
            pairs.setdefault((client, server), []).append((card["alias"], health))
    left = {name: number for number, name in enumerate(sorted({client for client, __ in pairs}))}
    clients: dict[str, list[int]] = {}
    for client, server in pairs:
        clients.setdefault(server, []).append(left[client])
    # near the middle of its clients, because fewer lines cross then
    right = sorted(clients, key=lambda name: (sum(clients[name]) / len(clients[name]), name))
    height = max(len(left), len(right), 1) * ROW_HEIGHT * 0.7
    left_y, right_y = (
        {name: (number + 0.5) * (height / max(len(hosts), 1)) for number, name in enumerate(hosts)} for hosts in (list(left), right)
    )
    edges: list[Edge] = [
        {
            "ends": f"{client} → {server}",
            "links": [alias for alias, __ in links],
            "health": min((health for __, health in links), key=ORDER.index),
            "path": draw_curve(OVERVIEW_COLUMNS[0], left_y[client], OVERVIEW_COLUMNS[1], right_y[server]),
            "names": " ".join([client, server, *(alias for alias, __ in links)]).lower(),
        }
        for (client, server), links in pairs.items()
    ]
    edges.sort(key=lambda edge: -ORDER.index(edge["health"]))
    return {"left": left_y, "right": right_y, "edges": edges, "height": height}


def draw_curve(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return the line between two points as an SVG path."""
    middle = (x1 + x2) / 2
    return f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
