#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Closes the connections of a side that may be those of certain hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: close_connections
short_description: Closes the connections of a side that authorizes or connects to a host
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Looks in each HAProxy of a side, also in old workers that still have connections, for hosts that it authorizes or connects to. If a
    worker has one of O(hosts), the module reloads this HAProxy. It then ends all old workers, which closes their connections at once. New
    connections do not fail.
  - HAProxy does not report the certificate of an open connection, so the module does not choose between connections.
  - An ambassador that does not run has no connections.
options:
  path:
    description: The state directory of one side.
    type: path
    required: true
  hosts:
    description: Names of the hosts, as in their certificates and in the targets of links.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait for the end of old workers.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Closes no connections.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Close the connections of a revoked host
  crosshost.ambassador.close_connections:
    path: /var/lib/ambassador/server
    hosts: [vm9]
"""

RETURN = r"""
closed:
  description: The directories of the endpoints of each HAProxy whose connections were closed.
  returned: success
  type: list
  elements: str
"""

import os
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _haproxy as haproxy

# for all answers of one HAProxy about its workers
ANSWER_SECONDS = 15
NOT_RUNNING = (FileNotFoundError, ConnectionRefusedError)
# an entry of `show acl`: its number, and the file of the hosts that a server side authorizes
ADMITTED = re.compile(r"^(\d+) \([^)\n]*/admitted\.lst\)", re.M)


def admitted_hosts(ask):
    """Return the hosts that a worker authorizes.

    :param ask: sends a command to the worker, and returns the answer
    :rtype: set[str]
    :source: HAProxy Management Guide, section 9.3, "show acl"
    """
    lines = [line for number in ADMITTED.findall(ask("show acl")) for line in ask(f"show acl #{number}").splitlines()]
    return {line.rpartition("/")[2].strip() for line in lines}


def target_hosts(ask):
    """Return the names of the servers that a worker connects to, as haproxy.cfg has them.

    :param ask: sends a command to the worker, and returns the answer
    :rtype: set[str]
    """
    proxies = haproxy.parse_stat(ask("show stat")) or {}
    return {re.sub(r"\.replica[0-9]+$", "", name) for rows in proxies.values() for name in haproxy.servers(rows)}


class Endpoint:
    """HAProxy in one container of a side.

    :param str path: the Unix socket of its master CLI
    :param int timeout: seconds to wait for the end of old workers
    """

    def __init__(self, path, timeout):
        self.path, self.timeout = path, timeout

    def _workers(self, budget):
        with endpoints.readable(haproxy.HAProxy.reader):
            return haproxy.parse_workers(haproxy.ask(self.path, "show proc", 5, budget))

    def knows(self, hosts):
        """Return whether a worker authorizes or connects to one of these hosts.

        :raises OSError: if HAProxy does not answer in time, or answers something unknown
        """
        names = {*hosts, *(re.sub(r"[^A-Za-z0-9_.:-]", "_", host) for host in hosts)}
        budget = endpoints.Budget(ANSWER_SECONDS)
        for worker in self._workers(budget):

            def ask(command, pid=worker["pid"]):
                return haproxy.ask(self.path, f"@!{pid} {command}", 5, budget)

            with endpoints.readable(haproxy.HAProxy.reader):
                if names & (admitted_hosts(ask) | target_hosts(ask)):
                    return True
        return False

    def close(self):
        """Close all connections.

        :raises OSError: if HAProxy refuses, or a worker does not end
        :source: HAProxy Management Guide, section 9.4.1, "hard-reload"
        """
        former = {worker["pid"] for worker in self._workers(endpoints.Budget(ANSWER_SECONDS))}
        answer = haproxy.ask(self.path, "hard-reload")
        if not answer.startswith("Success=1"):
            raise OSError(answer.splitlines()[0][: endpoints.MAX_WORDS] if answer else "no answer")
        deadline = time.monotonic() + self.timeout
        while former & {worker["pid"] for worker in self._workers(endpoints.Budget(ANSWER_SECONDS))}:
            if time.monotonic() > deadline:
                raise OSError("an old worker does not end")
            time.sleep(0.1)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "hosts": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    closed, failed = [], []
    for run in endpoints.runs(module.params["path"]):
        endpoint = Endpoint(os.path.join(module.params["path"], run, haproxy.HAProxy.endpoint), module.params["timeout"])
        try:
            if endpoint.knows(module.params["hosts"]):
                closed.append(run)
                if not module.check_mode:
                    endpoint.close()
        except NOT_RUNNING:
            continue
        except PermissionError as error:
            module.fail_json(msg=f"The module requires root: {error}. Set become: true for this host.")
        except OSError as error:
            failed.append(f"The HAProxy at {endpoint.path} did not close its connections: {error}. Restart its container.")
    if failed:
        module.fail_json(msg="\n".join(failed), closed=closed)
    module.exit_json(changed=bool(closed), closed=closed)


if __name__ == "__main__":
    main()
