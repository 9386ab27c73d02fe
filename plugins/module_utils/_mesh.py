# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A mesh on a host: its name, its labels, and its names in the state directory. :mod:`_names` has the names of its containers."""

from __future__ import annotations

import re

DEFAULT = "default"
# all meshes of a host, as a value of the playbook status
ALL = "all"
STATE_DIR, NETWORK = "/var/lib/ambassador", "ambassador"
# in the state directory: the link variables of consumers, a file for each link
LINKS = "links"
# in the directory of the endpoint of a container: the socket with its metrics
METRICS = "metrics.sock"
# labels of all objects of the collection: their name, and their mesh, unless it is the default mesh
LABEL, MESH_LABEL = "crosshost.ambassador", "crosshost.ambassador.mesh"
# without `_`, which separates the words of a name; short enough for the host name of a container (63 characters, RFC 1035, section 2.3.4)
MESH = re.compile(r"[a-z][a-z0-9-]{0,29}")


def find_mesh_problem(mesh: object) -> str | None:
    """Return the message about a wrong name of a mesh, or None."""
    if mesh == ALL:
        return "Variable ambassador_mesh: all is reserved, because the playbook status shows all meshes with it. Use another name."
    if isinstance(mesh, str) and MESH.fullmatch(mesh):
        return None
    remedy = "Use a letter, then letters, digits, and hyphens, in lower case, at most 30 characters."
    return f"Variable ambassador_mesh: {mesh!r} is not a valid name of a mesh. {remedy}"


def in_mesh(name: str, mesh: str) -> str:
    """Return the name in a mesh of a thing with this name in the mesh ``default``: words with ``_`` between them, a word, or a path."""
    if mesh == DEFAULT:
        return name
    first, sign, others = name.partition("_")
    return f"{first}_{mesh}_{others}" if sign else f"{name}-{mesh}"
