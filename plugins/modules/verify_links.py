#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waits until every link of a side leads through to a backend, and says what it found."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_links
short_description: Waits until every link of a side reaches a backend
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Queries the engine of a side, until the checks of every link reach a backend, or the time is over.
  - A backend of a server side can be down, but the module waits until the checks have detected this.
  - Then connects to the links without checks, like a client.
  - Then connects to the ports that links open on this host, until each answers like the client side itself, or the time is over.
  - It does not fail if a link reaches no backend. The caller judges the result with the filter P(crosshost.ambassador.proof#filter).
options:
  path:
    description: The state directory of the side.
    type: path
    required: true
  side:
    description: Which side it is.
    type: str
    choices: [server, client]
    required: true
  host:
    description: Inventory name of the host, for the messages.
    type: str
    required: true
  links:
    description: The links of the side, as the filter P(crosshost.ambassador.wiring#filter) returns them.
    type: list
    elements: dict
    required: true
  before:
    description: The observation of the side before a change (RV(crosshost.ambassador.observation_info#module:sides)).
    type: dict
    default: {}
  worse_only:
    description: Wait only for the links that worked before.
    type: bool
    default: false
  dial:
    description: >-
      The links to connect to, each with C(alias), C(listen), C(protocol), and C(place). C(place) is the number of the
      container with its name.
    type: list
    elements: dict
    default: []
  local:
    description:
      - >-
        The ports that links open on this host, each with C(alias), C(address), C(port), C(protocol), and C(addresses). C(addresses) are
        those at which a program of the host reaches the port. C(listen) and C(place) are the same as in O(dial).
    type: list
    elements: dict
    default: []
  network:
    description: The Docker network that connects to the client side.
    type: str
  mesh:
    description: The mesh.
    type: str
    default: default
  patience:
    description: Maximum number of seconds to wait.
    type: int
    default: 5
extends_documentation_fragment:
  - crosshost.ambassador._docker
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, because it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Wait for the links that this host consumes
  crosshost.ambassador.verify_links:
    path: /var/lib/ambassador/client
    side: client
    host: "{{ inventory_hostname }}"
    links: "{{ (ambassador_links | crosshost.ambassador.wiring(host=inventory_hostname, side='client', groups=groups,
    hostvars=hostvars)).links }}"
  register: verified
"""

RETURN = r"""
answers:
  description: Whether the engine answers at all.
  returned: success
  type: bool
problems:
  description: The problems that its checks report, a message for each link.
  returned: success
  type: list
  elements: str
unresolved:
  description: The links that only wait for DNS to resolve a name, a message each.
  returned: success
  type: list
  elements: str
worse:
  description: Whether one of these links worked before.
  returned: success
  type: bool
info:
  description: The answer of the engine - C(engine), C(generation), and C(links) as in M(crosshost.ambassador.ambassador_info),
    or C(msg).
  returned: success
  type: dict
refused_handshakes:
  description: The server hosts with which no handshake succeeds.
  returned: success
  type: list
  elements: str
dialled:
  description: The result of the connection to each link, by its alias - V(bytes), V(open), V(closed), or the error of the system.
  returned: success
  type: dict
local:
  description:
    - >-
      By alias, C(address) and C(port) of each port of this host to which it connected, and C(found). C(found) is the result of the
      connection, as in RV(dialled).
    - C(direct) is the same for a connection to the client side itself. It is none if the first connection works.
  returned: success
  type: dict
  sample: {"redis": {"address": "127.0.0.1", "port": 6379, "found": "open", "direct": null}}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _engines as engines
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._dial import dial_all, dial_all_local
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import (
    ARGUMENTS,
    REQUIRED_TOGETHER,
    DockerEngine,
    SettingsError,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_docker import addresses
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import local_problems, proof, refused_handshakes, undecided


def ask(path):
    """Return the state of the engine of a side, or ``msg``, the reason why it does not answer.

    :param str path: the state directory of the side
    :rtype: dict
    """
    try:
        state = engines.read(path)
    except OSError as error:
        return {"msg": f"that {error.engine.reader} does not answer on {error.engine.path} ({error.strerror or error})"}
    return {key: state[key] for key in ("engine", "generation", "links")}


def client_addresses(engine, network, mesh, place):
    """Return the addresses at which this host reaches its client side.

    :param DockerEngine engine: the Docker Engine of this host
    :param str network: the Docker network
    :param str mesh: the mesh
    :param int place: number of the container that has the name of a link
    :rtype: list[str]
    """
    found = engine.get(f"/containers/{names.name_side_container('client', mesh, place)}/json") or {"NetworkSettings": {"Networks": {}}}
    return addresses(found["NetworkSettings"]["Networks"].get(network) or {})


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "side": {"type": "str", "choices": ["server", "client"], "required": True},
            "host": {"type": "str", "required": True},
            "links": {"type": "list", "elements": "dict", "required": True},
            "before": {"type": "dict", "default": {}},
            "worse_only": {"type": "bool", "default": False},
            "dial": {"type": "list", "elements": "dict", "default": []},
            "local": {"type": "list", "elements": "dict", "default": []},
            "network": {"type": "str"},
            "mesh": {"type": "str", "default": mesh_names.DEFAULT},
            "patience": {"type": "int", "default": 5},
            **ARGUMENTS,
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    given = module.params
    deadline = time.monotonic() + given["patience"]
    while True:
        info = ask(given["path"])
        judged = proof(info, given["links"], given["host"], given["side"], given["before"], mesh=given["mesh"])
        wanting = judged["worse"] if given["worse_only"] and "links" in info else judged["problems"]
        wanting = wanting or judged["unresolved"]
        found_out = given["side"] == "client" or not undecided(info, given["links"])
        if (not wanting and found_out) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    dialled, local = {}, {}
    try:
        places = sorted({link["place"] for link in given["dial"] + given["local"]})
        engine = DockerEngine.of_module(given) if places else None
        direct = {place: client_addresses(engine, given["network"], given["mesh"], place) for place in places}
        for place in places:
            dialled.update(dial_all(direct[place], [link for link in given["dial"] if link["place"] == place]))
        # a container that publishes a port may have started just now
        while given["local"]:
            local = dial_all_local(given["local"], direct)
            if not local_problems(given["host"], local) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
    except SettingsError as error:
        module.fail_json(msg=f"Host {given['host']}: the connection settings of the Docker Engine are wrong. {error}")
    except OSError as error:
        module.fail_json(msg=f"Host {given['host']}: the Docker Engine does not answer. {error}. Start it on the host.")
    judged = proof(info, given["links"], given["host"], given["side"], given["before"], mesh=given["mesh"], local=local)
    # of what works nobody reads more than that it does
    named = {link["alias"] for link in given["links"]}
    answers = "links" in info
    info["links"] = {alias: link for alias, link in info.get("links", {}).items() if alias in named}
    module.exit_json(
        changed=False,
        answers=answers,
        problems=judged["problems"],
        worse=judged["worse"],
        unresolved=judged["unresolved"],
        info=info,
        refused_handshakes=refused_handshakes(info),
        dialled=dialled,
        local=local,
    )


if __name__ == "__main__":
    main()
