# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that returns the name of an object in a mesh."""

from __future__ import annotations

DOCUMENTATION = r"""
name: in_mesh
short_description: Returns the name of an object in a mesh
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    The mesh follows the first word of a name with several words. It follows a single word, or a path, at its end. In the mesh V(default),
    the name does not change.
options:
  _input:
    description: The name in the mesh V(default).
    type: str
    required: true
  mesh:
    description: The mesh, C(ambassador_mesh).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show ambassador_blue_server
  ansible.builtin.debug:
    msg: "{{ 'ambassador_server' | crosshost.ambassador.in_mesh('blue') }}"
"""

RETURN = r"""
_value:
  description: The name.
  type: str
"""

from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import in_mesh


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"in_mesh": in_mesh}
