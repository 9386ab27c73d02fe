# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of all that a mesh makes on a host, and that its controller keeps, from mesh, side and number. Pure Python without Ansible.

A name of several words has the mesh behind the first one, ``ambassador_blue_server``; a single word, or a path, ends with it,
``ambassador-blue``. What the mesh ``default`` makes is named without it.
"""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import (
    ALL,
    DEFAULT,
    LABEL,
    LINKS,
    MESH,
    MESH_LABEL,
    METRICS,
    NETWORK,
    STATE_DIR,
    in_mesh,
    problem,
)

# the controller reads the names of a mesh from here as well
__all__ = ["ALL", "DEFAULT", "LABEL", "LINKS", "MESH_LABEL", "METRICS", "NETWORK", "STATE_DIR", "in_mesh", "problem"]
# a container of a side: its mesh, its side, its number
AMBASSADOR = re.compile(rf"ambassador(?:_({MESH.pattern}))?_(server|client)(?:_([2-9]|[1-9][0-9]+))?")
# the same, and a temporary container, as Docker's DNS compares names
PROXY = re.compile(rf"ambassador(?:_{MESH.pattern})?_(?:server|client|client_standin)(?:_[0-9]+)?", re.I)


def numbered(word: str, number: int, sign: str = "_") -> str:
    """Return a word with a number behind it, unless the number is 1."""
    return word if number == 1 else f"{word}{sign}{number}"


def name_side_container(side: str, mesh: str = DEFAULT, number: int = 1) -> str:
    """Return the name of a container of a side. 1 is the ambassador, all others publish further ports without recreating it."""
    return numbered(in_mesh(f"ambassador_{side}", mesh), number)


def standin(mesh: str = DEFAULT, number: int = 1) -> str:
    """Return the name of a temporary container, which holds the names of a client side while that is recreated."""
    return numbered(in_mesh("ambassador_client_standin", mesh), number)


def standin_number(name: str, mesh: str = DEFAULT) -> int | None:
    """Return the number of a temporary container, None for any other name."""
    match = re.fullmatch(rf"{standin(mesh)}(?:_([0-9]+))?", name)
    return int(match[1] or 1) if match else None


def metrics(mesh: str = DEFAULT) -> str:
    """Return the name of the container that serves the metrics of both sides."""
    return in_mesh("ambassador_metrics", mesh)


def password(user: str, mesh: str = DEFAULT) -> str:
    """Return the name of the file in which the controller keeps the password of a user of Redis."""
    return in_mesh(f"redis_{user}.password", mesh)


def run(number: int = 1) -> str:
    """Return the name of the directory of a container's endpoint, in the state directory of its side."""
    return numbered("run", number, "-")
