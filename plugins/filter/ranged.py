# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that gives the subnets of a network a range."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ranged
short_description: Gives the subnets of a Docker network a range
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Docker gives containers addresses in the range. The client side uses an address outside of the range, so no other container gets it.
options:
  _input:
    description: C(IPAM.Config) of the network, as Docker returns it.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Give the network its range
  community.docker.docker_network:
    name: ambassador
    ipam_config: "{{ made.network.IPAM.Config | crosshost.ambassador.ranged }}"
    force: true
"""

RETURN = r"""
_value:
  description: The same subnets with a range, as O(community.docker.docker_network#module:ipam_config) takes them.
  type: list
  elements: dict
"""

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import add_ranges


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"ranged": add_ranges}
