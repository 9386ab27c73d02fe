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
    Decides from the map, the inventory, what was observed of the host and what the controller holds, what has to change of one part of a
    host:
    what is wrong, or which steps to take, in their order. It changes nothing.
  - The map is the variable C(ambassador_links) of the host.
  - It does not fail where something is wrong; the roles do, with its sentences.
options:
  part:
    description: The part of the host.
    type: str
    choices: [server, client, redis_server, redis_client]
    required: true
  state:
    description: Whether the part is to be there.
    type: str
    choices: [present, absent]
    default: present
  settings:
    description: The inputs that all roles share, see C(vars/main.yml) of the role P(crosshost.ambassador.ambassador_engine#role).
    type: dict
    required: true
  observed:
    description: What M(crosshost.ambassador.observation_info) returned of the host.
    type: dict
    required: true
  redis:
    description: The inputs of a role of Redis.
    type: dict
  asked:
    description: Hosts outside the run that hold a certificate; not said where none was asked yet.
    type: list
    elements: str
  gathered:
    description: Hosts outside the run that were asked for their network facts; one that did not answer is not asked again.
    type: list
    elements: str
    default: []
  tested:
    description: Images whose program was asked for its version in this run.
    type: list
    elements: str
  leaving:
    description:
      - What happens to what a server side serves, and the map asks for no more.
      - >-
        V(keep) goes on serving it; V(turned) gives it up, unless a client side dials it, or may, as far as this run knows; V(drop) gives
        it up.
    type: str
    choices: [keep, turned, drop]
    default: drop
  said:
    description: Lines that people were told already.
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, for it changes nothing.
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
  description: What is wrong, a sentence each. There are no steps then.
  returned: always
  type: list
  elements: str
ask:
  description: What is to be known first - C(observation), C(facts) and C(certificates), names of hosts each.
  returned: always
  type: dict
steps:
  description: The steps in their order.
  returned: always
  type: list
  elements: str
phases:
  description: The same by their place in the order over the fleet - C(expand), C(turn), C(contract).
  returned: always
  type: dict
why:
  description: Why each step is taken.
  returned: always
  type: dict
lines:
  description: What people are told, a line for each change.
  returned: always
  type: list
  elements: str
warnings:
  description: What is done, and may be a mistake, a sentence each.
  returned: always
  type: list
  elements: str
leaving:
  description: What happens to that which a server side serves and the map asks for no more.
  returned: always
  type: str
uses_redis:
  description: Whether the backend of a link of this host is the Redis server of the role P(crosshost.ambassador.redis_server#role).
  returned: for C(part=server) and C(part=client)
  type: bool
mesh:
  description: The mesh, as it was observed.
  returned: always
  type: str
open:
  description: Whether there is anything to do, to ask, or to say.
  returned: always
  type: bool
"""
