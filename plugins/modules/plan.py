# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name: it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Plans what a run has to change on a host
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Plans the changes of one part of a host from the map, the inventory, the observation of the host, and the files of the controller. It
    returns the problems, or the steps in their order. It changes nothing.
  - The map is the variable C(ambassador_links) of the host.
  - It does not fail if it finds problems. The roles fail with its messages.
options:
  part:
    description: The part of the host.
    type: str
    choices: [server, client, redis_server, redis_client]
    required: true
  state:
    description: Whether the part must exist.
    type: str
    choices: [present, absent]
    default: present
  settings:
    description: The inputs that all roles share. See C(vars/main.yml) of the role P(crosshost.ambassador.ambassador_engine#role).
    type: dict
    required: true
  observed:
    description: The result of M(crosshost.ambassador.observation_info) on the host.
    type: dict
    required: true
  redis:
    description: The inputs of a role of Redis.
    type: dict
  asked:
    description: Hosts outside the run that have a certificate. Not set before the run has contacted any of them.
    type: list
    elements: str
  gathered:
    description: Hosts outside the run whose network facts were requested. The run requests the facts of each host only once.
    type: list
    elements: str
    default: []
  tested:
    description: Images whose version this run has checked.
    type: list
    elements: str
  leaving:
    description:
      - What happens to links of a server side that the map no longer contains.
      - >-
        V(keep) continues to serve them. V(turned) removes them, unless the run finds that a client side uses them or may use them. V(drop)
        removes them.
    type: str
    choices: [keep, turned, drop]
    default: drop
  said:
    description: Lines that were printed already.
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, because it changes nothing.
  diff_mode:
    support: none
    description: The roles show its lines.
"""

EXAMPLES = r"""
- name: Plan the client side
  crosshost.ambassador.plan:
    part: client
    settings: "{{ settings }}"
    observed: "{{ observed }}"
"""

RETURN = r"""
problems:
  description: The problems, as messages. With a problem, there are no steps.
  returned: always
  type: list
  elements: str
ask:
  description: The information that the plan needs first - C(observation), C(facts), and C(certificates), each with names of hosts.
  returned: always
  type: dict
steps:
  description: The steps in their order.
  returned: always
  type: list
  elements: str
phases:
  description: The steps by their phase in the order of all hosts - C(expand), C(turn), and C(contract).
  returned: always
  type: dict
why:
  description: The reason for each step.
  returned: always
  type: dict
lines:
  description: The lines that a run prints, one for each change.
  returned: always
  type: list
  elements: str
warnings:
  description: Possible mistakes that do not stop the run, as messages.
  returned: always
  type: list
  elements: str
leaving:
  description: What happens to links of a server side that the map no longer contains.
  returned: always
  type: str
uses_redis:
  description: Whether the backend of a link of this host is the Redis server of the role P(crosshost.ambassador.redis_server#role).
  returned: for C(part=server) and C(part=client)
  type: bool
mesh:
  description: The observed mesh.
  returned: always
  type: str
open:
  description: Whether the plan has steps, needs information, or has lines or warnings.
  returned: always
  type: bool
"""
