# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that divides the ambassador network into a fixed address and those that Docker gives. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: network
short_description: Divides a network into a fixed address and those that Docker gives
version_added: 0.1.0
author: the crosshost.ambassador contributors
description:
  - The client side keeps its address when it gets another alias, so that connections outlive it.
  - Docker starts containers in any order, and would give that address to another one if it lay in the range that it gives from.
options:
  _input:
    description: C(IPAM.Config) of the network, as Docker says it.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: The network's range is said
  community.docker.docker_network:
    name: ambassador
    ipam_config: "{{ (made.network.IPAM.Config | crosshost.ambassador.network).ranged }}"
    force: true
"""

RETURN = r"""
_value:
  description:
    - C(ranged), the same subnets with a range, as O(community.docker.docker_network#module:ipam_config) takes them.
    - >-
      C(fixed), an address of each subnet that has a range, outside of it, as options of an item of
      O(community.docker.docker_container#module:networks); empty where no subnet has one.
  type: dict
"""

import ipaddress
import itertools

# the most bits of an address that Docker gives: it refuses to count through half of a /64
BITS = 16


def network(pools):
    """Divide a network: see the documentation above.

    :param list[dict] pools: with ``Subnet`` and, where it was said, ``IPRange``
    :rtype: dict
    :source: ``docker network create --help``, ``--ip-range``: allocate container ip from a sub-range
    """
    ranged, fixed = [], {}
    for pool in pools:
        subnet = ipaddress.ip_network(pool["Subnet"])
        parts = subnet.subnets(new_prefix=max(subnet.prefixlen + 1, subnet.max_prefixlen - BITS))
        ranged.append({"subnet": str(subnet), "iprange": str(next(itertools.islice(parts, 1, None)))})
        if pool.get("IPRange"):
            # not the first one, which is a gateway's by custom
            fixed[f"ipv{subnet.version}_address"] = str(subnet[2])
    return {"ranged": ranged, "fixed": fixed}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"network": network}
