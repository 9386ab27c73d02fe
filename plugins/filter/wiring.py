# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that returns the wiring of a host and side."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wiring
short_description: Resolves the map of links for one host and side
version_added: 0.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Parses and validates C(ambassador_links) and resolves it against the inventory for one host and side.
  - Mistakes do not fail the filter. It returns all of them at once, as messages.
options:
  _input:
    description: The map of links, C(ambassador_links).
    type: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
  side:
    description: The side of the ambassador on that host.
    type: str
    choices: [server, client]
    required: true
  groups:
    description: The magic variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  engine:
    description: The engine of the ambassadors.
    type: str
    default: haproxy
  ipv6:
    description: Whether the networks of the ambassadors have IPv6.
    type: bool
    default: false
  tls:
    description: Whether ambassadors use TLS between hosts.
    type: bool
    default: false
  mesh:
    description: The mesh.
    type: str
    default: default
  network:
    description: The Docker network of the ambassadors. Without it, it is the default one of the mesh.
    type: str
"""

EXAMPLES = r"""
- name: Show where this host forwards its links to
  ansible.builtin.debug:
    msg: >-
      {{ ambassador_links | crosshost.ambassador.wiring(host=inventory_hostname, side='client', groups=groups, hostvars=hostvars) }}
"""

RETURN = r"""
_value:
  description:
    - The wiring of the side.
    - C(problems), a list of messages. It is empty if the map is correct and every address is known.
    - >-
      C(unknown), the hosts whose required facts are missing, C(unknown_problems), the problems about these hosts, and C(hosts), all hosts
      of the map.
    - C(addresses), the C(origin) and the C(others) of each host whose address is known.
    - C(sources), the known addresses of the hosts that connect to a server side.
    - C(holder), the name of the ambassador of the side.
    - C(variables), the link variables that are the input of the side.
    - C(publish), the ports to open on the host, a list of C(alias), C(key), C(address), C(port), C(container_port),
      C(protocol).
    - >-
      C(links), a list of dictionaries. Each has C(alias), C(listen), C(protocol), C(check), C(balance), C(wait), C(drain), C(send_proxy),
      C(networks), C(connect), and C(check_interval).
    - Each link also has C(backend), C(servers), C(admitted), C(consumer), and C(targets). C(consumer) has the link variables of a client.
    - C(targets) of a link is a list of C(name), C(address), C(port), C(variable), C(verify), and C(families).
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._inventory import AllVariables, make_pattern_resolver
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring


def wiring(
    links: Any,
    host: str,
    side: str,
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Any],
    engine: str = "haproxy",
    ipv6: bool = False,
    tls: bool = False,
    mesh: str = "default",
    network: str | None = None,
) -> dict[str, Any]:
    """Resolve the map of links for one host and side: see the documentation above and ``Wiring.side``."""
    resolved = Wiring(links, make_pattern_resolver(groups, hostvars), engine, ipv6, tls, mesh, network)
    wired = resolved.side(host, side, AllVariables(hostvars))
    sentences = {key: [str(problem) for problem in wired[key]] for key in ("problems", "unknown_problems")}
    return {**wired, **sentences, "hosts": list(resolved.hosts)}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"wiring": wiring}
