# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A filter for the hosts that a change of the CA waits for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: behind
short_description: Returns the hosts that do not trust the CAs of this controller yet
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - The filter reads the CAs that a host trusts from the last observation of the run.
  - A host is behind as well if the run did not reach it, or if its answer cannot be read.
positional: reached, hostvars, authorities
options:
  _input:
    description: All hosts of the play.
    type: list
    elements: str
    required: true
  reached:
    description: The hosts that the run reached.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  authorities:
    description: C(ca.pem) of the controller.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the hosts that are behind
  ansible.builtin.debug:
    msg: >-
      {{ ansible_play_hosts_all | crosshost.ambassador.behind(ansible_play_hosts, hostvars, lookup('ansible.builtin.file', 'ca.pem')) }}
"""

RETURN = r"""
_value:
  description: Names of hosts.
  type: list
  elements: str
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED


def behind(hosts: list[str], reached: list[str], hostvars: Mapping[str, Any], authorities: str) -> list[str]:
    """Return the hosts that do not trust the CAs of this controller yet, from the observations at the end of the last run of site.

    :param hosts: all hosts of the play
    :param reached: the hosts that the run reached
    :param hostvars: the magic variable
    :param authorities: ``ca.pem`` of the controller
    """
    sha256 = hashlib.sha256(authorities.encode()).hexdigest()
    hosts_behind = []
    for host in hosts:
        try:
            sides = (hostvars[host].get(OBSERVED) or {}).get("sides", {})
            is_behind = any(side["files"].get("ca.pem", sha256) != sha256 for side in sides.values())
        except (AttributeError, KeyError, TypeError):
            # an answer that cannot be read
            is_behind = True
        if is_behind or host not in reached:
            hosts_behind.append(host)
    return hosts_behind


class FilterModule:
    """The filter of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"behind": behind}
