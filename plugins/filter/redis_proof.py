# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that verifies a request to Redis through a link. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_proof
short_description: Verifies a request to Redis through a link
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - The request succeeds if the answer has the C(run_id) of a server of the link.
options:
  _input:
    description: The answer to C(PING) and C(INFO server), which the container of the client sends through the link.
    type: dict
    required: true
  servers:
    description: The answers of the servers of the link to C(INFO server), on their own hosts.
    type: list
    elements: dict
    required: true
  link:
    description: The link, as the filter P(crosshost.ambassador.wiring#filter) returns it.
    type: dict
    required: true
  consumer:
    description: The client, with C(host), C(mesh), C(container), C(user), and C(engine).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Verify the request
  ansible.builtin.assert:
    that: (answer | crosshost.ambassador.redis_proof(servers.results, link, consumer)).problem == ''
"""

RETURN = r"""
_value:
  description: C(problem), which is empty if the request succeeds, and C(path), the path of the request.
  type: dict
"""

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import text_of

RUN_ID = re.compile(r"run_id:(\w+)")


def find_run_id(answer):
    """Return the run_id in an answer, or None."""
    match = RUN_ID.search(text_of(answer, "stdout"))
    return match[1] if match else None


def redis_proof(answer, servers, link, consumer):
    """Return the result of a request: see the documentation above."""
    alias, host, client = link["alias"], consumer["host"], names.name_side_container("client", consumer["mesh"])
    targets = " or ".join(f"tcp://{endpoint(target['address'], target['port'])}" for target in link["targets"])
    run_id, known = find_run_id(answer), [find_run_id(server) for server in servers]
    # a server host that the controller cannot reach, or a target outside the inventory, cannot be asked
    are_servers_known = bool(known) and None not in known
    problem = ""
    if not run_id or host not in answer["stdout"]:
        output = (answer.get("stdout") or "") + (answer.get("stderr") or answer.get("msg") or "")
        user = f" of user {consumer['user']}" if consumer["user"] else ""
        problem = (
            f"Link {alias}, host {host}: {targets} does not answer PING and INFO{user} through {client}: {output.strip() or 'no answer'}."
            f" If the run was limited, run it for {', '.join(link['servers']) or 'the targets'} as well."
        )
    elif are_servers_known and run_id not in known:
        problem = (
            f"Link {alias}, host {host}: another server than Redis on {', '.join(link['servers'])} (run_id {', '.join(known)}) answers on"
            f" {', '.join(target['address'] for target in link['targets'])} (run_id {run_id}). Correct the address, or stop that server."
        )
    path = [
        consumer["container"],
        f"{alias}:{link['listen']}",
        f"{client} on {host} ({consumer['engine']})",
        targets,
        names.name_side_container("server", consumer["mesh"]),
        link["backend"] + ("" if are_servers_known else " (not verified, because it could not be asked)"),
    ]
    return {"problem": problem, "path": " -> ".join(path)}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"redis_proof": redis_proof}
