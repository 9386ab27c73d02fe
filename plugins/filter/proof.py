# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that verifies that each link of a side reaches a backend. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: proof
short_description: Verifies that each link of a side reaches a backend
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - The checks of HAProxy go from the client side through the server side to the backend, so a target that is up proves a link.
  - >-
    A link without checks needs a connection. The link is proved if the connection stays open, and a server side of the link has forwarded a
    connection to its backend meanwhile.
  - The kernel has no checks, so all links of the engine nftables need a connection.
  - A port that a link opens on its client host (C(local)) has to answer like the client side itself.
  - A server side needs no proof for a link that did not work before, because its backend can be a replica.
options:
  _input:
    description: The result of M(crosshost.ambassador.verify_links).
    type: dict
    required: true
  links:
    description: The links of the side, as the filter P(crosshost.ambassador.wiring#filter) returns them.
    type: list
    elements: dict
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
  before:
    description: >-
      The observation of the side before the run changed anything (RV(crosshost.ambassador.observation_info#module:sides)). C(dialled) has
      the results of connections to links without checks at that time. Empty if the run changes nothing, or if nothing ran.
    type: dict
    required: true
  counted:
    description: >-
      The results of M(crosshost.ambassador.ambassador_info) on the server hosts of links without checks. The first list is from before the
      connections, the second one from after them.
    type: list
    elements: list
    default: []
  addresses:
    description: The addresses of server hosts, as the filter P(crosshost.ambassador.wiring#filter) returns them.
    type: dict
  mesh:
    description: The mesh.
    type: str
    default: default
  certificates:
    description: >-
      The results of M(ansible.builtin.slurp) in a loop over hosts, with the certificates of both ends of a refused handshake.
    type: list
    elements: dict
    default: []
  hostvars:
    description: The variables of all hosts. They have the observations of the hosts, with their clocks and certificates.
    type: dict
"""

EXAMPLES = r"""
- name: Verify that each link reaches a backend
  ansible.builtin.assert:
    that: (verified | crosshost.ambassador.proof(wiring.links, inventory_hostname, 'client', {})).problems == []
"""

RETURN = r"""
_value:
  description:
    - C(problems), a list with a message for each link that does not work.
    - C(worse), whether one of these links worked before.
  type: dict
"""

import base64
import time

from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import proof as judge
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import read_foreign_certificate
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED, mapping_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import text_of


def proof(verified, links, host, side, before, counted=(), addresses=None, certificates=(), mesh="default", hostvars=None):
    """Judge the links of one side: see the documentation above."""
    first, last = (counted[-2], counted[-1]) if len(counted) > 1 else ([], [])
    dialled = {"links": verified.get("dialled", {}), "before": first, "after": last}
    held = {read[read["ansible_loop_var"]]: read_certificate(read["content"]) for read in certificates if read.get("content")}
    authorities = {holder: certificate["authority"] for holder, certificate in held.items() if certificate}
    lifetimes, clocks = dict(held), {}
    for name in {host, *(server for link in links for server in link["servers"])} if hostvars else ():
        observed = mapping_of((hostvars.get(name) or {}).get(OBSERVED))
        clocks[name] = observed.get("clock_offset")
        lifetimes.setdefault(name, read_foreign_certificate(text_of(observed, "identity", "certificate")))
    times = {"lifetimes": lifetimes, "clocks": clocks, "now": time.time()}
    local = verified.get("local")
    return judge(verified["info"], links, host, side, before, dialled, addresses, authorities, mesh, times, local)


def read_certificate(content):
    """Return the fields of a certificate that was read on another host, None if it cannot be read.

    :param content: anything; the content of the file in base64
    :rtype: dict | None
    """
    try:
        return read_foreign_certificate(base64.b64decode(content).decode())
    except (TypeError, ValueError):
        return None


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"proof": proof}
