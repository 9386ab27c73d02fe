# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that lets one host report the problems of all hosts. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: said_once
short_description: Lets one host report the problems of all hosts
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - A mistake in the map causes the same problem on each host. The first host reports the problems, and the others name this host.
options:
  _input:
    description: The problems of this host.
    type: list
    elements: str
    required: true
  host:
    description: Inventory name of this host.
    type: str
    required: true
  hosts:
    description: Inventory names of all hosts of the play, in their order.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  name:
    description: Name of the variable with the plan of a host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse problems
  ansible.builtin.fail:
    msg: "{{ plan.problems | crosshost.ambassador.said_once(inventory_hostname, ansible_play_batch, hostvars, 'plan') }}"
  when: plan.problems != []
"""

RETURN = r"""
_value:
  description: The message of this host, one line for each problem.
  type: str
"""


def said_once(problems, host, hosts, hostvars, name):
    """Return the message of a host: see the documentation above."""
    for other in hosts:
        if other == host:
            break
        is_fact = name in (hostvars[other].get("ansible_facts") or {})
        if not is_fact and list((hostvars[other].get(name) or {}).get("problems") or []) == list(problems):
            return f"Host {host}: the problems are the same as on host {other}."
    return "\n".join(problems)


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"said_once": said_once}
