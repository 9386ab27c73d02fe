# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dials links as a consumer does, and tells which of them lead to somebody who stays on the line.

With TCP nothing is sent, so that nothing can be changed by it. A link that has nobody behind it is held by the ambassadors for its
`wait`, and
only then closed; whether somebody is there is for the server side to tell. With UDP one datagram goes out, a byte of zero: that nobody
answers
says nothing then, but that the kernel of the other end says that nobody is there does.
"""

from __future__ import annotations

import concurrent.futures
import errno
import select
import socket

# what becomes of a connection that nothing answers
TIMED_OUT = "timed out"


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
        # before Python 3.10 a time-out of the socket itself has no number
        return TIMED_OUT if isinstance(error, socket.timeout) or error.errno == errno.ETIMEDOUT else str(error)


def dial_any(addresses, port, protocol, seconds):
    """Open a connection to the first of some addresses at which somebody is; return as :func:`dial` does."""
    found = "no address"
    for address in addresses:
        found = dial(address, port, protocol, seconds)
        if found in ("open", "bytes"):
            break
    return found


def dial_local(link, direct, seconds=0.5):
    """Dial the port that a link opens on its client host, as a program of the host does, and the client side itself.

    :param dict link: see :func:`plan.local_ports`
    :param list[str] direct: addresses of the client side, as the host reaches it
    :param float seconds: how long to wait for bytes or an end
    :return: ``address`` and ``port``, ``found``, the result as :func:`dial` returns it, and ``direct``, the result of the client side
        itself, None if it was not needed
    :rtype: dict
    """
    found = dial_any(link["addresses"], link["port"], link["protocol"], seconds)
    is_reached = found in ("open", "bytes")
    other = None if is_reached else dial_any(direct, link["listen"], link["protocol"], seconds)
    return {"address": link["address"], "port": link["port"], "found": found, "direct": other}


def dial_all_local(links, direct, seconds=0.5):
    """Dial the ports that links open on their client host, all at once.

    :param list[dict] links: see :func:`plan.local_ports`
    :param dict direct: place of a link -> addresses of the client side there
    :param float seconds: how long to wait for bytes or an end
    :return: alias -> see :func:`dial_local`
    :rtype: dict[str, dict]
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        found = pool.map(lambda link: dial_local(link, direct[link["place"]], seconds), links)
        return {link["alias"]: one for link, one in zip(links, found)}


def dial_all(addresses, links, seconds=0.5):
    """Dial links.

    :param list[str] addresses: addresses of the client side, as the host reaches it; as consumers do, the next is tried where one is
        refused
    :param list[dict] links: ``alias``, ``listen`` (a port) and ``protocol`` of each
    :param float seconds: how long to wait for bytes or an end
    :return: alias -> what became of it: ``bytes`` (the service spoke), ``open`` (it listens), ``closed`` (without a byte), or the
        system's words
    :rtype: dict[str, str]
    """
    # one after the other, links that nobody answers would add up
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        found = pool.map(lambda link: dial_any(addresses, link["listen"], link["protocol"], seconds), links)
        return {link["alias"]: said for link, said in zip(links, found)}
