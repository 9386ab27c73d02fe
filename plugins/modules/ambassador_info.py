#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells what the engine of one side does: the generation it runs, and every link with its targets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ambassador_info
short_description: Returns the state of the links of one side
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Requests from the engine the generation that it runs, and the state of every link and target of the side. The source is the master CLI
    of HAProxy, or the keeper of the engine nftables.
  - >-
    After a reload, an old worker continues to run until its connections end. Connections and bytes are summed over all workers.
    States and checks are those of the current worker.
  - A worker counts from its own start, and HAProxy counts the bytes of a connection when it ends.
  - >-
    The kernel counts connections, and flows of UDP, since the last load of its ruleset. A new address of a backend loads it again.
    The kernel checks nothing, and counts no bytes. A target is up while it has an address.
options:
  path:
    description: >-
      The state directory of one side, for example V(/var/lib/ambassador/client). The endpoint of the engine is in C(run) in this directory.
    type: path
    required: true
  alias:
    description: Alias of the only link to report.
    type: str
  timeout:
    description: Seconds to wait for each answer of the engine. All answers of a container may take three times as long.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, because it changes nothing.
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
  description: Name of the generation on disk, to which C(current) points. None if this symbolic link is missing.
  returned: success
  type: str
  sample: c12964c32605
generation:
  description: Name of the generation that the current worker, or the kernel, runs.
  returned: success
  type: str
  sample: c12964c32605
certificate:
  description: The certificate of the current worker. None without TLS.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the host.
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
      description: Seconds until then. Negative after the expiry.
      type: int
      sample: 7775999
history:
  description: The changes of this side in the last 20 runs that changed it, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    time:
      description: Time of the run, UTC.
      type: str
      sample: "2026-11-24T23:41:01Z"
    lines:
      description: The lines of the plan.
      type: list
      elements: str
      sample: ["+ redis vm2 -> vm1 (198.18.0.11:6379)"]
    worked:
      description: Whether the links reached a backend after the run.
      type: bool
workers:
  description: The workers of HAProxy, the current one first. Empty with nftables.
  returned: success
  type: list
  elements: dict
  contains:
    directory:
      description: The directory of the endpoint of its container, in the directory of the side.
      type: str
      sample: run
    pid:
      description: Process ID, as the container sees it.
      type: int
      sample: 22
    current:
      description: Whether it takes new connections. Old workers only serve their open connections.
      type: bool
    uptime:
      description: Seconds since it started.
      type: int
      sample: 151
    reloads:
      description: Number of reloads since it started, including refused ones.
      type: int
      sample: 0
connections:
  description: The number of connections of each container of the side, by the directory of its endpoint.
  returned: success
  type: dict
  sample: {"run": 3}
counters:
  description: The origin of the numbers of the links. If it differs between two calls, at least some numbers began again at zero.
  returned: success
  type: str
  sample: "22"
links:
  description: >-
    The links by their aliases. They include links that are no longer in the current generation, until the last old worker with their
    connections ends.
  returned: success
  type: dict
  contains:
    listen:
      description: >-
        C(open), or C(shut) while a server side has no backend that is up. C(gone) for a link that only old workers have.
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
      description: Bytes from clients.
      type: int
      sample: 19355
    bytes_out:
      description: Bytes to clients.
      type: int
      sample: 17630
    failed:
      description: Connections for which no server could be reached.
      type: int
      sample: 0
    refused:
      description: Connections that were closed immediately, because the link had reached C(max_connections).
      type: int
      sample: 0
    held:
      description: Connections that wait now, because no server is up.
      type: int
      sample: 0
    targets:
      description: The targets in their order. On the server side, the backend is the first.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the target, a server host or the backend.
          type: str
          sample: vm1
        address:
          description: Its present address, C(address:port). None while the name does not resolve.
          type: str
          sample: 198.18.0.11:6379
        state:
          description: State of the target, as HAProxy reports it.
          type: str
          sample: UP
        up:
          description: Whether it gets new connections.
          type: bool
        check_status:
          description: The result of the last check, as HAProxy reports it. None without checks.
          type: str
          sample: L7OK
        check_code:
          description: The code of the result, if it has one.
          type: int
          sample: 0
        last_check:
          description: The description of the last check by HAProxy. None without checks.
          type: str
          sample: Layer7 check passed, (tcp-check)
        check_duration:
          description: Duration of the last check in milliseconds. None without checks.
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
          description: Bytes from clients.
          type: int
          sample: 8169
        bytes_out:
          description: Bytes to clients.
          type: int
          sample: 12044
        last_change:
          description: Seconds since it went up or down.
          type: int
          sample: 90
        downs:
          description: How often it went down since the start of the current worker.
          type: int
          sample: 6
        replicas_down:
          description: How many of its containers are down. 0 if the target is a single container.
          type: int
          sample: 0
    leaving:
      description: Former targets, and former addresses of targets, to which old workers still have connections.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the former target.
          type: str
          sample: vm1
        address:
          description: Its former address.
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
