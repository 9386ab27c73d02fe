# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that returns the link variables of a consumer."""

from __future__ import annotations

DOCUMENTATION = r"""
name: link_variables
short_description: Returns the link variables of a client
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Returns the variables that Docker created for a container link. Their address is the alias of a link on the network of the ambassadors.
  - They stay the same if the link gets other servers.
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

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import split_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import (
    Reader,
    format_name,
    format_value,
    parse_choice,
    parse_port,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import consumer_variables


def link_variables(links: Any, alias: str) -> dict[str, str]:
    """Return the link variables of a consumer: see the documentation above."""
    if not hasattr(links, "items") or alias not in links:
        aliases = ", ".join(map(format_name, links)) if hasattr(links, "items") else ""
        raise AnsibleFilterError(str(MapMessage.LINK_UNKNOWN.at(alias=format_value(alias), aliases=aliases or "not defined")))
    settings = links[alias] if hasattr(links[alias], "items") else {}
    by_port, problems = split_ports(alias, settings) if "ports" in settings else ({alias: settings}, [])
    variables: dict[str, str] = {}
    for each in by_port.values():
        reader = Reader(alias, each, each, list_hosts=lambda pattern: [])
        port = parse_port(reader, SCHEMA["port"], each.get("port"))
        protocol = parse_choice(reader, SCHEMA["protocol"], each.get("protocol", SCHEMA["protocol"].default))
        problems += reader.problems
        if port and protocol:
            # of several ports, the first has the variables without a port
            variables = {**consumer_variables(alias, port, protocol), **variables}
    if problems:
        raise AnsibleFilterError("\n".join(map(str, problems)))
    return variables


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"link_variables": link_variables}
