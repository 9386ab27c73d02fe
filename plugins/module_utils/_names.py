# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of all that a mesh makes on a host, and that its controller keeps, from mesh, side and number. Pure Python without Ansible.

A name of several words has the mesh behind the first one, ``ambassador_blue_server``; a single word, or a path, ends with it,
``ambassador-blue``. What the mesh ``default`` makes is named without it.
"""

from __future__ import annotations

import re

DEFAULT = "default"
# what the playbook status takes for all meshes of a host
ALL = "all"
STATE_DIR, NETWORK = "/var/lib/ambassador", "ambassador"
# in the state directory: the link variables of consumers, a file for each link
LINKS = "links"
# labels of all that the collection makes: its name, and its mesh, where that is not the default one
LABEL, MESH_LABEL = "crosshost.ambassador", "crosshost.ambassador.mesh"
# without `_`, which parts the words of a name; short enough for the host name of a container (63 characters, RFC 1035, section 2.3.4)
MESH = re.compile(r"[a-z][a-z0-9-]{0,29}")
# in the directory of a container's endpoint: that of the socket at which its engine tells its metrics, and no more
METRICS = "metrics"
# a container of a side: its mesh, its side, its number
AMBASSADOR = re.compile(rf"ambassador(?:_({MESH.pattern}))?_(server|client)(?:_([2-9]|[1-9][0-9]+))?")
# the same, and a temporary container, as Docker's DNS compares names
PROXY = re.compile(rf"ambassador(?:_{MESH.pattern})?_(?:server|client|client_standin)(?:_[0-9]+)?", re.I)


def problem(mesh):
    """Tell what is wrong with the name of a mesh, or None.

    :param mesh: as the user said it
    :rtype: str | None
    """
    if isinstance(mesh, str) and MESH.fullmatch(mesh) and mesh != ALL:
        return None
    expected = "a name of a letter, then letters, digits and hyphens, in lower case, at most 30"
    expected += f" (and not {ALL}, with which the playbook status shows all that there are)" if mesh == ALL else ""
    return f"ambassador_mesh: expected {expected}, found {mesh!r}; correct it."


def in_mesh(name, mesh):
    """Return the name that something has in a mesh.

    :param str name: its name in the mesh ``default``: words with ``_`` between them, a single word, or a path
    :param str mesh: the mesh
    :rtype: str
    """
    if mesh == DEFAULT:
        return name
    first, sign, others = name.partition("_")
    return f"{first}_{mesh}_{others}" if sign else f"{name}-{mesh}"


def numbered(word, number, sign="_"):
    """Return a word and a number behind it, which the first one has not.

    :param str word: the word
    :param int number: from 1
    :param str sign: what stands between them
    :rtype: str
    """
    return word if number == 1 else f"{word}{sign}{number}"


def ambassador(side, mesh=DEFAULT, number=1):
    """Return the name of a container of a side.

    :param str side: ``server`` or ``client``
    :param str mesh: the mesh
    :param int number: 1 is the ambassador, all others only publish ports that it cannot publish without being made anew
    :rtype: str
    """
    return numbered(in_mesh(f"ambassador_{side}", mesh), number)


def standin(mesh=DEFAULT, number=1):
    """Return the name of a container that has the names of a client side while that is away.

    :rtype: str
    """
    return numbered(in_mesh("ambassador_client_standin", mesh), number)


def standin_number(name, mesh=DEFAULT):
    """Return the number of a stand-in, None for any other name.

    :rtype: int | None
    """
    found = re.fullmatch(rf"{standin(mesh)}(?:_([0-9]+))?", name)
    return int(found[1] or 1) if found else None


def metrics(mesh=DEFAULT):
    """Return the name of the container at which the metrics of both sides are asked for.

    :rtype: str
    """
    return in_mesh("ambassador_metrics", mesh)


def password(user, mesh=DEFAULT):
    """Return the name of the file in which the controller keeps the password of a user of Redis.

    :param str user: the user
    :param str mesh: the mesh
    :rtype: str
    """
    return in_mesh(f"redis_{user}.password", mesh)


def run(number=1):
    """Return the name of the directory of a container's endpoint, in the state directory of its side.

    :rtype: str
    """
    return numbered("run", number, "-")
