# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of containers and files of a mesh, from mesh, side, and number. :mod:`_mesh` has the mesh itself. Pure Python without Ansible.

A name of several words has the mesh after its first word, ``ambassador_blue_server``. A single word, or a path, ends with the mesh,
``ambassador-blue``. Names of the mesh ``default`` do not have the mesh.
"""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import DEFAULT, MESH, in_mesh

# a container of a side: its mesh, its side, its number
AMBASSADOR = re.compile(rf"ambassador(?:_({MESH.pattern}))?_(server|client)(?:_([2-9]|[1-9][0-9]+))?")
# a container of a side, or a temporary container, as Docker's DNS compares names
PROXY = re.compile(rf"ambassador(?:_{MESH.pattern})?_(?:server|client|client_standin)(?:_[0-9]+)?", re.I)


def add_number(word: str, number: int, sign: str = "_") -> str:
    """Return a word with a number after it, unless the number is 1."""
    return word if number == 1 else f"{word}{sign}{number}"


def name_side_container(side: str, mesh: str = DEFAULT, number: int = 1) -> str:
    """Return the name of a container of a side. 1 is the ambassador. Additional containers publish ports without recreating it."""
    return add_number(in_mesh(f"ambassador_{side}", mesh), number)


def name_temporary_container(mesh: str = DEFAULT, number: int = 1) -> str:
    """Return the name of a temporary container, which has the names of a client side while the client side is recreated."""
    return add_number(in_mesh("ambassador_client_standin", mesh), number)


def parse_temporary_number(name: str, mesh: str = DEFAULT) -> int | None:
    """Return the number of a temporary container, None for any other name."""
    match = re.fullmatch(rf"{name_temporary_container(mesh)}(?:_([0-9]+))?", name)
    return int(match[1] or 1) if match else None


def name_metrics_container(mesh: str = DEFAULT) -> str:
    """Return the name of the container that serves the metrics of both sides."""
    return in_mesh("ambassador_metrics", mesh)


def name_password_file(user: str, mesh: str = DEFAULT) -> str:
    """Return the name of the file in which the controller keeps the password of a user of Redis."""
    return in_mesh(f"redis_{user}.password", mesh)


def name_run_directory(number: int = 1) -> str:
    """Return the name of the directory of a container's endpoint, in the state directory of its side."""
    return add_number("run", number, "-")
