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
- name: Show what all meshes have
  ansible.builtin.debug:
    msg: "{{ {'vm1': found} | crosshost.ambassador.meshes }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import targets_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import aligned

HEAD = ("host", "mesh", "side", "container", "state", "link", "target", "up", "connections")


def rows(host, found):
    """Return the rows of a host.

    :param str host: inventory name of the host
    :param dict found: what the module ``meshes`` returned
    :rtype: list[tuple]
    """
    if "containers" not in found:
        return [(host, *["-"] * 3, found.get("msg", "no answer"), *["-"] * 4)]
    told = []
    for one in found["containers"]:
        begin = (host, one["mesh"], one["side"] or "-", one["name"], one["error"] or one["state"])
        ends = [
            (alias, target["name"], "UP" if target["up"] else "DOWN", link["connections"])
            for alias, link in sorted(one["links"].items())
            for target in targets_of(link, one["side"])
        ]
        told += [(*begin, *end) for end in ends or [("-",) * 4]]
    return told


def meshes(answers):
    """Show what all meshes have: see the documentation above."""
    return aligned([HEAD, *(row for host, found in answers.items() for row in readable_rows(host, found))])


def readable_rows(host, found):
    """Return the rows of a host, which may have answered anything.

    :param str host: inventory name of the host
    :param found: its answer
    :rtype: list[tuple]
    """
    try:
        return rows(host, found)
    except (AttributeError, KeyError, TypeError):
        return rows(host, {"msg": "an answer that cannot be read"})


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"meshes": meshes}
