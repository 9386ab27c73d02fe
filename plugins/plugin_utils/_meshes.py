# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of all meshes on the hosts of a run."""

from __future__ import annotations

from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import targets_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import align_rows

HEAD = ("host", "mesh", "side", "container", "state", "link", "target", "up", "connections")

Row = tuple[object, ...]


def _list_rows(host: str, answer: dict[str, Any]) -> list[Row]:
    """Return the rows of a host. ``answer`` is the result of the module ``meshes_info``."""
    if "containers" not in answer:
        return [(host, *["-"] * 3, answer.get("msg", "no answer"), *["-"] * 4)]
    rows: list[Row] = []
    for container in answer["containers"]:
        begin = (host, container["mesh"], container["side"] or "-", container["name"], container["error"] or container["state"])
        ends = [
            (alias, target["name"], "UP" if target["up"] else "DOWN", link["connections"])
            for alias, link in sorted(container["links"].items())
            for target in targets_of(link, container["side"])
        ]
        rows += [(*begin, *end) for end in ends or [("-",) * 4]]
    return rows


def _list_readable_rows(host: str, answer: Any) -> list[Row]:
    """Return the rows of a host, which may answer anything."""
    try:
        return _list_rows(host, answer)
    except (AttributeError, KeyError, TypeError):
        return _list_rows(host, {"msg": "an answer that cannot be read"})


def format_meshes(answers: dict[str, Any]) -> list[str]:
    """Return the lines of the table of all meshes. ``answers`` has the result of the module ``meshes_info`` of each host."""
    return align_rows([HEAD, *(row for host, answer in answers.items() for row in _list_readable_rows(host, answer))])
