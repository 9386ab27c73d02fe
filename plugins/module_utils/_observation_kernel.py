# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of an observation that comes from files of the kernel and the resolver: addresses, listeners, and name servers."""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import fact_name

# the states of sockets that listen: LISTEN of TCP, and that of an unconnected UDP socket
LISTENING = {"tcp": "0A", "udp": "07"}


def sockets(text: str, protocol: str) -> list[list[Any]]:
    """Return ``[protocol, address, port]`` of each socket that listens; from ``/proc/net/tcp`` or a file like it."""
    listeners = []
    for line in text.splitlines()[1:]:
        local, state = line.split()[1:4:2]
        address, __, port = local.partition(":")
        if state == LISTENING[protocol]:
            # proc(5): addresses are words in the byte order of the host
            words = [struct.pack("=I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
            listeners.append([protocol, str(ipaddress.ip_address(b"".join(words))), int(port, 16)])
    return listeners


def own_addresses(fib_trie: str, if_inet6: str) -> list[str]:
    """Return all addresses of this host without those of loopback; from the files ``/proc/net/fib_trie`` and ``/proc/net/if_inet6``."""
    addresses = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", fib_trie)
    addresses += [address for address, __ in _inet6(if_inet6)]
    return sorted({address for address in addresses if not ipaddress.ip_address(address).is_loopback})


def _inet6(text: str) -> list[tuple[str, str]]:
    """Return address and interface of each line of ``/proc/net/if_inet6``."""
    rows = [line.split() for line in text.splitlines()]
    return [(str(ipaddress.ip_address(bytes.fromhex(row[0]))), row[5]) for row in rows]


def facts(interfaces: dict[str, str], if_inet6: str, outside: dict[int, str], addresses: list[str]) -> dict[str, Any]:
    """Return the network facts that the map is read with, under their names in the module ``setup``.

    ``interfaces`` has the first IPv4 address of each interface, ``outside`` the address for each version of IP that reaches other hosts.
    """
    network_facts, holders = {}, {}
    for interface, address in interfaces.items():
        network_facts[fact_name(interface)] = {"ipv4": {"address": address}}
        holders[address] = interface
    for address, interface in _inet6(if_inet6):
        network_facts.setdefault(fact_name(interface), {}).setdefault("ipv6", []).append({"address": address})
        holders[address] = interface
    for version in (4, 6):
        address = outside.get(version)
        network_facts[f"default_ipv{version}"] = {"address": address, "interface": holders.get(address)} if address else {}
        network_facts[f"all_ipv{version}_addresses"] = [each for each in addresses if ipaddress.ip_address(each).version == version]
    return network_facts


def nameservers(text: str) -> list[str]:
    """Return the name servers in a file like ``/etc/resolv.conf`` that containers of this host reach as well."""
    # not those on loopback or an IPv6 link; clouds have theirs on an IPv4 link that leads further
    servers = []
    for match in re.finditer(r"(?m)^[ \t]*nameserver[ \t]+([0-9A-Fa-f.:]+)[ \t]*$", text):
        address = ipaddress.ip_address(match[1])
        if not (address.is_loopback or address.is_unspecified or (address.version == 6 and address.is_link_local)):
            servers.append(str(address))
    return list(dict.fromkeys(servers))
