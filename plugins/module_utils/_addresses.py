# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses and ports: how they are written, compared, and checked. Pure Python without Ansible."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Any


def parse_endpoint(value: Any) -> tuple[str, int] | None:
    """Split ``host:port`` or ``[IPv6]:port``. Return the host without brackets and the port, or None for anything else."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})", value) if isinstance(value, str) else None
    if not match or not 1 <= int(match[3]) <= 65535:
        return None
    return match[1] or match[2], int(match[3])


def is_address(value: Any) -> bool:
    """Return whether a value is a literal IP address, without a zone (RFC 4007, section 11: no other host knows a zone)."""
    try:
        return isinstance(value, str) and "%" not in value and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def parse_address(value):
    """Split ``address:port``, as :func:`parse_endpoint` does; the address is as :func:`spelled` returns it."""
    found = parse_endpoint(value)
    return found and (spelled(found[0]), found[1])


def spelled(address):
    """Return an address in the one spelling that the kernel, Docker and HAProxy have for it, with which it is compared.

    An IPv6 address that is mapped to an IPv4 address becomes that address.

    :param str address: IPv4 or IPv6 address; anything else is returned as it is
    :rtype: str
    :source: RFC 5952
    """
    return str(unmapped(address)) if is_address(address) else address


def is_dialable(value):
    """Tell whether a value is a literal IP address of one host that another host can dial.

    :param value: anything
    :rtype: bool
    :source: RFC 6890, the special-purpose address registries
    """
    return isinstance(value, str) and _is_dialable(value)


# the same few addresses, for every link that leads to them
@functools.lru_cache(maxsize=65536)
def _is_dialable(value):
    if not is_address(value):
        return False
    address = unmapped(value)
    special = address.is_link_local or address.is_loopback or address.is_multicast or address.is_unspecified
    return not special and str(address) != "255.255.255.255"


def unmapped(value):
    """Return an address, and the IPv4 address in the place of an IPv6 address that is mapped to it (RFC 4291, section 2.5.5.2)."""
    address = ipaddress.ip_address(value)
    return getattr(address, "ipv4_mapped", None) or address


def overlap(one, other):
    """Tell whether two listening sockets ask for the same address and port.

    :param tuple[str, int] one: address and port
    :param tuple[str, int] other: address and port
    :rtype: bool
    """
    addresses = {one[0], other[0]}
    # `::` of a program takes the ports of IPv4 as well
    is_everywhere = "::" in addresses or ("0.0.0.0" in addresses and not any(":" in address for address in addresses))
    return one[1] == other[1] and (len(addresses) == 1 or is_everywhere)


def is_own(address, addresses):
    """Tell whether a host can listen on an address: one of its own, the loopback, or all.

    :param str address: IPv4 or IPv6 address
    :param list[str] addresses: all addresses of the host
    :rtype: bool
    """
    found = ipaddress.ip_address(address)
    return found.is_unspecified or found.is_loopback or str(found) in addresses
