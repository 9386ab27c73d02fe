# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that shows what all meshes have on their hosts. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: meshes
short_description: Shows what all meshes have on their hosts
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Makes a table of what M(crosshost.ambassador.meshes) returned, with a line for every target of every link. It judges nothing.
options:
  _input:
    description: What M(crosshost.ambassador.meshes) returned, by host; or C(msg), why a host does not answer.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show all meshes
  ansible.builtin.debug:
    msg: "{{ {'vm1': found} | crosshost.ambassador.meshes }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._meshes import format_meshes


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"meshes": format_meshes}
