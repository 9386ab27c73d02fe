# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that returns the link variables of a consumer."""

from __future__ import annotations

DOCUMENTATION = r"""
name: link_variables
short_description: Returns the link variables of a consumer
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Returns the variables that Docker's links gave a container, for a link of the map as its consumers dial it - at its alias, on the
    network of the ambassadors. They stay the same wherever the link leads.
options:
  _input:
    description: The map of links, C(ambassador_links).
    type: dict
    required: true
  alias:
    description: The link.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Run a consumer that was written for Docker's links
  community.docker.docker_container:
    name: app
    image: app:1
    networks:
      - name: ambassador
    env: "{{ ambassador_links | crosshost.ambassador.link_variables('redis') }}"
"""

RETURN = r"""
_value:
  description: Variable to value.
  type: dict
  sample:
    REDIS_PORT: tcp://redis:6379
    REDIS_PORT_6379_TCP: tcp://redis:6379
    REDIS_PORT_6379_TCP_ADDR: redis
    REDIS_PORT_6379_TCP_PORT: "6379"
    REDIS_PORT_6379_TCP_PROTO: tcp
    REDIS_NAME: /consumer/redis
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import split_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import format_name, is_port
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import consumer_variables


def link_variables(links, alias):
    """Return the link variables of a consumer: see the documentation above."""
    if not hasattr(links, "items") or alias not in links:
        known = ", ".join(map(format_name, links)) if hasattr(links, "items") else "none"
        raise AnsibleFilterError(f"link_variables: expected a link of the map, found {alias!r} (the map has {known}); correct it.")
    settings, found = links[alias] if hasattr(links[alias], "items") else {}, {}
    by_port, problems = split_ports(alias, settings) if "ports" in settings else ({alias: settings}, [])
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    for one in by_port.values():
        port = one.get("port")
        if not is_port(port):
            raise AnsibleFilterError(f"link {format_name(alias)}, port: expected a port from 1 to 65535, found {port!r}; correct it.")
        if one.get("protocol", "tcp") not in SCHEMA["protocol"].choices:
            choices, protocol = ", ".join(SCHEMA["protocol"].choices), one["protocol"]
            raise AnsibleFilterError(f"link {format_name(alias)}, protocol: expected one of {choices}, found {protocol!r}; correct it.")
        # of several the first has the variables without a port
        found = {**consumer_variables(alias, int(port), one.get("protocol", "tcp")), **found}
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"link_variables": link_variables}
