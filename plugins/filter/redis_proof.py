# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that judges a request of Redis through a link: whether it came back, and from whom. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_proof
short_description: Judges a request of Redis through a link
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - A request is proved if its answer has the C(run_id) of one of the link's servers.
options:
  _input:
    description: The answers of the container of the client to C(PING) and C(INFO server), sent through the link.
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
    description: The client - C(host), C(mesh), C(container), C(user), and C(engine).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: The request came back
  ansible.builtin.assert:
    that: (answer | crosshost.ambassador.redis_proof(servers.results, link, consumer)).problem == ''
"""

RETURN = r"""
_value:
  description: C(problem), a sentence, empty where the request is proved, and C(path), the path that it took.
  type: dict
"""

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import text_of

RUN_ID = re.compile(r"run_id:(\w+)")


def run_id(answer):
    """Return the run_id in an answer, or None."""
    found = RUN_ID.search(text_of(answer, "stdout"))
    return found[1] if found else None


def redis_proof(answer, servers, link, consumer):
    """Judge a request: see the documentation above."""
    alias, host, client = link["alias"], consumer["host"], names.name_side_container("client", consumer["mesh"])
    targets = " or ".join(f"tcp://{endpoint(target['address'], target['port'])}" for target in link["targets"])
    found, known = run_id(answer), [run_id(server) for server in servers]
    # a server host that the controller cannot reach, or a target outside the inventory, cannot be asked
    asked = bool(known) and None not in known
    problem = ""
    if not found or host not in answer["stdout"]:
        said = (answer.get("stdout") or "") + (answer.get("stderr") or answer.get("msg") or "")
        who = f" for user {consumer['user']}" if consumer["user"] else ""
        problem = (
            f"link {alias}: expected answers to PING and INFO{who} through {client} on {host} from {targets}, found:"
            f" {said.strip() or 'none'}; if the run was limited, run it for {', '.join(link['servers']) or 'the targets'} as well."
        )
    elif asked and found not in known:
        problem = (
            f"link {alias}: expected an answer from Redis on {', '.join(link['servers'])} (run_id {', '.join(known)}), found"
            f" run_id {found}; another server answers on {', '.join(target['address'] for target in link['targets'])}."
        )
    path = [
        consumer["container"],
        f"{alias}:{link['listen']}",
        f"{client} on {host} ({consumer['engine']})",
        targets,
        names.name_side_container("server", consumer["mesh"]),
        link["backend"] + ("" if asked else " (that it is that one was not checked: it could not be asked)"),
    ]
    return {"problem": problem, "path": " -> ".join(path)}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"redis_proof": redis_proof}
