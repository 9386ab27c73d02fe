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


def parse_address(value: Any) -> tuple[str, int] | None:
    """Split ``address:port``, as :func:`parse_endpoint` does; the address is as :func:`normalize_address` returns it."""
    parts = parse_endpoint(value)
    return parts and (normalize_address(parts[0]), parts[1])


def normalize_address(address: str) -> str:
    """Return an address as the kernel, Docker, and HAProxy write it, to compare it with theirs. Other strings are returned unchanged.

    An IPv6 address that is mapped to an IPv4 address becomes that address.

    :source: RFC 5952
    """
    return str(parse_ip(address)) if is_address(address) else address


def is_dialable(value: Any) -> bool:
    """Return whether a value is a literal IP address of one host that another host can dial.

    :source: RFC 6890, the special-purpose address registries
    """
    return isinstance(value, str) and _is_dialable(value)


# all links to a host have the same address
@functools.lru_cache(maxsize=65536)
def _is_dialable(value: str) -> bool:
    if not is_address(value):
        return False
    address = parse_ip(value)
    special = address.is_link_local or address.is_loopback or address.is_multicast or address.is_unspecified
    return not special and str(address) != "255.255.255.255"


def parse_ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an IP address, or the IPv4 address that an IPv6 address is mapped to (RFC 4291, section 2.5.5.2)."""
    address = ipaddress.ip_address(value)
    return getattr(address, "ipv4_mapped", None) or address


def overlap(endpoint: tuple[str, int], other: tuple[str, int]) -> bool:
    """Return whether two listening sockets use the same address and port.

    :param endpoint: address and port
    :param other: address and port
    """
    addresses = {endpoint[0], other[0]}
    # `::` of a program takes the ports of IPv4 as well
    is_everywhere = "::" in addresses or ("0.0.0.0" in addresses and not any(":" in address for address in addresses))
    return endpoint[1] == other[1] and (len(addresses) == 1 or is_everywhere)


def is_host_address(address: str, addresses: list[str]) -> bool:
    """Return whether a host can listen on an address: one of its addresses, the loopback, or all.

    :param address: IPv4 or IPv6 address
    :param addresses: all addresses of the host
    """
    parsed = ipaddress.ip_address(address)
    return parsed.is_unspecified or parsed.is_loopback or str(parsed) in addresses
