#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells before a container is made whether its ports can be published."""

from __future__ import annotations

DOCUMENTATION = r"""
module: listen_check
short_description: Checks that a host can listen on addresses and ports
version_added: 0.1.0
author: the crosshost.ambassador contributors
description:
  - Tries to bind every wanted address and port on the managed host for a moment, and fails with one sentence for each that cannot be bound.
  - Changes nothing.
options:
  wanted:
    description: What is to be published.
    type: list
    elements: dict
    required: true
    suboptions:
      alias:
        description: Alias of the link it belongs to.
        type: str
        required: true
      key:
        description: The key of the link that asks for it.
        type: str
        choices: [publish, local]
        default: publish
      address:
        description: Address of the host, IPv4 or IPv6.
        type: str
        required: true
      port:
        description: Port.
        type: int
        required: true
      protocol:
        description: What is listened for.
        type: str
        choices: [tcp, udp]
        default: tcp
      container_port:
        description: Port inside the container. Not used by the check.
        type: int
  held:
    description: >-
      The ports of the container that will be replaced, as the Docker Engine lists them (C(Type), C(IP), C(PublicPort));
      what it holds is free for its successor.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: The ports are free
  crosshost.ambassador.listen_check:
    wanted:
      - alias: redis
        address: "{{ ansible_facts['default_ipv4']['address'] }}"
        port: 6379
"""

RETURN = r"""
problems:
  description: What cannot be bound, a sentence each. Only on failure.
  returned: failure
  type: list
  elements: str
"""

import contextlib
import errno
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils.wiring import overlap

REMEDIES = {
    "publish": "set ambassador_bind for this host to one of its own addresses, or correct ambassador_address",
    "local": "correct the link's local to one of this host's own addresses",
}


def bind_error(address, port, protocol, stack):
    """Try to bind a port.

    :param str address: IPv4 or IPv6 address
    :param int port: port
    :param str protocol: ``tcp`` or ``udp``
    :param contextlib.ExitStack stack: keeps the port bound, so that the next one is tried beside it
    :return: None, or the error
    :rtype: OSError | None
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM))
        if protocol == "tcp":
            # as Docker does: connections in TIME_WAIT do not hold a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))
        if protocol == "tcp":
            probe.listen(1)
    except PermissionError:  # a low port without root: the Docker Engine is root
        return None
    except OSError as error:
        return error
    return None


def sentence(want, error):
    """Say what is wrong with a wanted port, and what to do.

    :param dict want: ``alias``, ``address``, ``port``, ``protocol``
    :param OSError error: what the kernel answered
    :rtype: str
    """
    where = f"link {want['alias']}: expected to publish port {want['port']} on {want['address']}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}, found it taken by another program or container (`ss -l{want['protocol'][0]}np` and `docker ps` name it);"
            f" stop that, or change {want['key']} of the link."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}, found that this host has no such address (NAT?); {REMEDIES[want['key']]}."
    return f"{where}, found: {error.strerror}."


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "alias": {"type": "str", "required": True},
                    "key": {"type": "str", "choices": ["publish", "local"], "default": "publish"},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "container_port": {"type": "int"},
                    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                },
            },
            "held": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    held = [(port["Type"], (port["IP"], port["PublicPort"])) for port in module.params["held"] if port.get("PublicPort")]
    problems = []
    with contextlib.ExitStack() as stack:
        for want in module.params["wanted"]:
            # also where it goes from one address to all, or back
            if any(protocol == want["protocol"] and overlap((want["address"], want["port"]), one) for protocol, one in held):
                continue
            error = bind_error(want["address"], want["port"], want["protocol"], stack)
            if error:
                problems.append(sentence(want, error))
    if problems:
        module.fail_json(msg="\n".join(problems), problems=problems)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
