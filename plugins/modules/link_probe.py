#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dials links as a consumer does, and tells which of them lead to somebody who stays on the line."""

from __future__ import annotations

DOCUMENTATION = r"""
module: link_probe
short_description: Dials links as a consumer does
version_added: 0.2.0
author: the crosshost.ambassador contributors
description:
  - Opens a connection to every given link, from the managed host, and waits a moment for bytes, or for its end.
  - >-
    With UDP it sends one datagram, a byte of zero. That nobody answers says nothing then, but that the kernel of the other end says that
    nobody is there does.
  - >-
    With TCP it sends nothing, so that nothing can be changed by it. A link that has nobody behind it is held by the ambassadors for its
    C(wait), and only then closed; whether somebody is there is for the server side to tell.
options:
  addresses:
    description: Addresses of the client side, as the host reaches it. As consumers do, the next one is tried where one is refused.
    type: list
    elements: str
    required: true
  links:
    description: The links to dial.
    type: list
    elements: dict
    required: true
    suboptions:
      alias:
        description: Alias of the link.
        type: str
        required: true
      listen:
        description: Port that the client side listens on.
        type: int
        required: true
      protocol:
        description: What the link carries.
        type: str
        choices: [tcp, udp]
        default: tcp
      servers:
        description: Hosts that serve the link. Not used by the probe.
        type: list
        elements: str
  seconds:
    description: How long to wait for bytes or an end.
    type: float
    default: 0.5
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, for it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: The queue is dialled
  crosshost.ambassador.link_probe:
    addresses: ["{{ client.container.NetworkSettings.Networks.ambassador.IPAddress }}"]
    links:
      - alias: queue
        listen: 7000
  register: dialled
"""

RETURN = r"""
links:
  description: >-
    What became of each link, by its alias - V(bytes), the service spoke; V(open), it listens; V(closed), the connection was closed
    without a byte; else the words of the system.
  returned: success
  type: dict
  sample: {"queue": "open"}
"""

import concurrent.futures
import select
import socket

from ansible.module_utils.basic import AnsibleModule


def dial(address, port, protocol, seconds):
    """Open a connection and wait.

    :param str address: IPv4 or IPv6 address
    :param int port: port
    :param str protocol: ``tcp`` or ``udp``
    :param float seconds: how long to wait
    :return: ``bytes``, ``open``, ``closed`` or the words of the system
    :rtype: str
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as connection:
            connection.settimeout(seconds)
            connection.connect((address, port))
            if protocol == "udp":
                # Docker's own proxy, between containers of one host, hands no empty datagram on
                connection.send(b"\0")
            if not select.select([connection], [], [], seconds)[0]:
                return "open"
            # an answer without a byte is one as well
            return "bytes" if connection.recv(1) or protocol == "udp" else "closed"
    except OSError as error:
        return str(error)


def dial_any(addresses, port, protocol, seconds):
    """Open a connection to the first of some addresses at which somebody is; return as :func:`dial` does."""
    found = "no address"
    for address in addresses:
        found = dial(address, port, protocol, seconds)
        if found in ("open", "bytes"):
            break
    return found


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "required": True},
            "links": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "alias": {"type": "str", "required": True},
                    "listen": {"type": "int", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                    "servers": {"type": "list", "elements": "str"},
                },
            },
            "seconds": {"type": "float", "default": 0.5},
        },
        supports_check_mode=True,
    )
    links, addresses, seconds = (module.params[name] for name in ("links", "addresses", "seconds"))
    # one after the other, links that nobody answers would add up
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        found = pool.map(lambda link: dial_any(addresses, link["listen"], link["protocol"], seconds), links)
        module.exit_json(changed=False, links={link["alias"]: said for link, said in zip(links, found, strict=True)})


if __name__ == "__main__":
    main()
