# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that returns the table of all meshes on hosts. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: meshes
short_description: Returns the table of all meshes on hosts
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - The table of the results of M(crosshost.ambassador.meshes_info) has one line for each target of each link.
options:
  _input:
    description: The result of M(crosshost.ambassador.meshes_info) of each host, or C(msg), the reason why a host does not answer.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show all meshes
  ansible.builtin.debug:
    msg: "{{ {'vm1': vm1_meshes} | crosshost.ambassador.meshes }}"
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
