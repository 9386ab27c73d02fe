#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells what the engine of one side does: the generation it runs, and every link with its targets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ambassador_info
short_description: Tells what the links of one side do
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Asks the engine which generation it runs and what every link and target of the side does: HAProxy through its master CLI, the kernel
    through the keeper of the engine nftables.
  - >-
    After a reload an old worker lives on while it holds connections. Connections and bytes are summed over all workers;
    states and checks are those of the current one.
  - A worker counts from its own start, and HAProxy counts the bytes of a connection when it ends.
  - >-
    The kernel counts connections, and for UDP flows, from the last time that its ruleset was loaded, which a backend's new address does as
    well. It checks nothing and counts no bytes. A target is up while it has an address.
options:
  path:
    description: The state directory of one side, for example V(/var/lib/ambassador/client). The engine is asked in C(run) in it.
    type: path
    required: true
  alias:
    description: Only the link of this alias.
    type: str
  timeout:
    description: Seconds to wait for each answer of the engine. All answers of a container may take three times as long.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, for it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: The links that this host consumes are looked at
  crosshost.ambassador.ambassador_info:
    path: /var/lib/ambassador/client
  register: client

- name: Redis has a server
  ansible.builtin.assert:
    that: client.links.redis.targets | selectattr('up') | list != []
"""

RETURN = r"""
engine:
  description: The engine that answered, V(haproxy) or V(nftables).
  returned: success
  type: str
  sample: haproxy
current:
  description: Name of the generation on disk, to which C(current) points; none where there is no such link.
  returned: success
  type: str
  sample: c12964c32605
generation:
  description: Name of the generation that the current worker, or the kernel, runs.
  returned: success
  type: str
  sample: c12964c32605
certificate:
  description: The certificate that the current worker shows; none without TLS.
  returned: success
  type: dict
  contains:
    name:
      description: Whose it is.
      type: str
      sample: vm2
    serial:
      description: Its serial number, in hexadecimal digits.
      type: str
      sample: 0B069AA087687613E99E904CEC61CFD64F937BF2
    not_before:
      description: When its lifetime begins, UTC.
      type: str
      sample: "2026-11-24T23:41:01Z"
    not_after:
      description: When its lifetime ends, UTC.
      type: str
      sample: "2027-02-22T23:41:01Z"
    seconds_left:
      description: Seconds until then; negative when it has expired.
      type: int
      sample: 7775999
history:
  description: What the last 20 runs that changed something have changed of this side, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    time:
      description: When that was, UTC.
      type: str
      sample: "2026-11-24T23:41:01Z"
    lines:
      description: What the plan of the run said.
      type: list
      elements: str
      sample: ["+ redis vm2 -> vm1 (198.18.0.11:6379)"]
    worked:
      description: Whether the links led through to a backend after it.
      type: bool
workers:
  description: HAProxy's workers, the current one first; empty with nftables.
  returned: success
  type: list
  elements: dict
  contains:
    directory:
      description: The directory of its container's endpoint in that of the side.
      type: str
      sample: run
    pid:
      description: Process ID, as the container sees it.
      type: int
      sample: 22
    current:
      description: Whether it takes new connections; the others only serve those that they have.
      type: bool
    uptime:
      description: Seconds since it started.
      type: int
      sample: 151
    reloads:
      description: Number of reloads since it started, those that HAProxy refused among them.
      type: int
      sample: 0
connections:
  description: The directories of the endpoints of the side's containers, and how many connections each container has.
  returned: success
  type: dict
  sample: {"run": 3}
counters:
  description: What the numbers of the links belong to. Where it differs, they were counted anew meanwhile, at least in part.
  returned: success
  type: str
  sample: "22"
links:
  description: >-
    The links by their aliases. A link that is not in the current generation any more is there as long as an old worker
    has connections of it.
  returned: success
  type: dict
  contains:
    listen:
      description: >-
        C(open), C(shut) while a server side has no backend to hand a connection to, or C(gone) for a link that only old workers know.
      type: str
      sample: open
    connections:
      description: Connections now.
      type: int
      sample: 3
    total:
      description: Connections in all.
      type: int
      sample: 1369
    bytes_in:
      description: Bytes from consumers.
      type: int
      sample: 19355
    bytes_out:
      description: Bytes to consumers.
      type: int
      sample: 17630
    failed:
      description: Connections for which no server could be reached.
      type: int
      sample: 0
    refused:
      description: Connections that were closed at once, because the link had as many as it may (C(max_connections)).
      type: int
      sample: 0
    held:
      description: Connections that are held now, for want of a server that is up.
      type: int
      sample: 0
    targets:
      description: The targets in their order; on the server side the backend first.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the target, a server host or the backend.
          type: str
          sample: vm1
        address:
          description: What it dials now, C(address:port); none while the name does not resolve.
          type: str
          sample: 198.18.0.11:6379
        state:
          description: Its state in HAProxy's words.
          type: str
          sample: UP
        up:
          description: Whether it gets new connections.
          type: bool
        check_status:
          description: What the last check found, in HAProxy's words; none without checks.
          type: str
          sample: L7OK
        check_code:
          description: The code that came with it, if one did.
          type: int
          sample: 0
        last_check:
          description: What HAProxy says of the last check; none without checks.
          type: str
          sample: Layer7 check passed, (tcp-check)
        check_duration:
          description: Milliseconds that the last check took; none without checks.
          type: int
          sample: 1
        connections:
          description: Connections now.
          type: int
          sample: 3
        total:
          description: Connections in all.
          type: int
          sample: 574
        bytes_in:
          description: Bytes from consumers.
          type: int
          sample: 8169
        bytes_out:
          description: Bytes to consumers.
          type: int
          sample: 12044
        last_change:
          description: Seconds since it went up or down.
          type: int
          sample: 90
        downs:
          description: How often the current worker saw it go down.
          type: int
          sample: 6
        replicas_down:
          description: How many of the containers that it stands for are down; of one that stands for itself 0.
          type: int
          sample: 0
    leaving:
      description: What old workers still have connections to, and is no target any more, or not at that address.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the former target.
          type: str
          sample: vm1
        address:
          description: What it was dialled at.
          type: str
          sample: 198.18.0.12:6379
        connections:
          description: Connections now.
          type: int
          sample: 2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _history as history
from ansible_collections.crosshost.ambassador.plugins.module_utils._engines import read


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "alias": {"type": "str"},
            "timeout": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    path, alias = module.params["path"], module.params["alias"]
    try:
        info = read(path, alias, module.params["timeout"])
    except PermissionError as error:
        module.fail_json(msg=f"The module requires root: {error}. Set become: true for this host.")
    except FileNotFoundError as error:
        module.fail_json(
            msg=f"There is no socket of an engine at {error.engine.path}. Deploy this side with the engine haproxy or nftables, or correct"
            " the path. The engine socat has no socket: inspect its container with `docker inspect`."
        )
    except OSError as error:
        module.fail_json(
            msg=f"{error.engine.reader} does not answer on {error.engine.path}: {error}. See its log with `docker logs` of the container of"
            " the ambassador."
        )
    if alias is not None and not info["links"]:
        module.fail_json(msg=f"Generation {info['generation']} of {path} has no link {alias}. Correct the alias.")
    module.exit_json(changed=False, history=history.read(path), **info)


if __name__ == "__main__":
    main()
