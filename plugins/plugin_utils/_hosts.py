# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts of the inventory, as a map names them: their addresses, and their names in certificates. Pure Python without Ansible."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, is_dialable, normalize_address
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import fact_name

# A DNS name of several labels (RFC 1123, section 2.1): the meaning of one label would depend on the host that resolves it. HAProxy
# requests an SRV record for a name that begins with `_` (RFC 2782), and addresses for all others.
DNS_NAME = re.compile(r"(?=.{1,253}$)(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)+(?!-)(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9-]{1,63}(?<!-)")
# variable of every host that a run has observed
OBSERVED = "__ambassador_engine_observed"
# names that a certificate can hold: the characters of a dNSName, and the length of RFC 5280, appendix A.1, ub-common-name
CERTIFICATE_CHARACTERS = re.compile(r"[A-Za-z0-9_.:-]+")
CERTIFICATE_NAME_LENGTH = 64
# the kernel accepts no spaces in names of interfaces, and 15 bytes at most
INTERFACE = re.compile(r"[!-~]{1,15}")


class Variables(Protocol):
    """The variables of a host."""

    def get(self, name: str) -> Any:
        """Return the value of a variable, or None."""


class Hosts(list[str]):
    """Names of hosts in the order of the inventory. A membership test takes the same time for any number of hosts.

    :param names: names of hosts; the list does not change later
    """

    def __init__(self, names: Iterable[str]):
        super().__init__(names)
        self._set = frozenset(self)

    def __contains__(self, name: object) -> bool:
        return name in self._set


def certificate_name(host: str) -> str:
    """Return the name of a host in its certificate: its own name, or a part of a name that is too long, with a hash.

    :param host: inventory name of the host
    """
    if len(host) <= CERTIFICATE_NAME_LENGTH:
        return host
    # a label of a DNS name has 63 characters at most
    return f"{host[:46]}-{hashlib.sha256(host.encode()).hexdigest()[:16]}"


def is_dns_name(value: object) -> bool:
    """Return whether a value is a DNS name of several labels that can have addresses, and is not the name of an SRV record."""
    return isinstance(value, str) and not value.startswith("_") and bool(DNS_NAME.fullmatch(value))


def is_record_name(value: object) -> bool:
    """Return whether a value is the name of an SRV record."""
    return isinstance(value, str) and value.startswith("_") and bool(DNS_NAME.fullmatch(value))


def find_host_address(variables: Variables) -> tuple[str | None, str]:
    """Return the address at which other hosts reach a host, and its source. Without an address, return None and where it is missing.

    The sources, in this order: ``ambassador_address``, the interface ``ambassador_interface``, the default IPv4 fact, the default IPv6
    fact. ``ansible_host`` is no source, because it can be the name of a bastion or a container.

    :param variables: the variables of the host, with its observation or ``ansible_facts``
    """
    address = variables.get("ambassador_address")
    if address:
        return normalize_address(str(address)), "ambassador_address"
    facts = read_network_facts(variables)
    interface = variables.get("ambassador_interface")
    if interface:
        address = next(filter(is_dialable, _read_interface(facts.get(fact_name(str(interface))))), None)
        return address and str(address), f"interface {interface} (ambassador_interface)"
    for family in ("default_ipv4", "default_ipv6"):
        fact = mapping_of(facts.get(family))
        address, interface = fact.get("address"), fact.get("interface")
        if is_dialable(address):
            is_name = isinstance(interface, str) and INTERFACE.fullmatch(interface)
            return str(address), f"fact {family}" + (f" of {interface}" if is_name else "")
    return None, "facts default_ipv4 and default_ipv6"


def list_source_addresses(variables: Variables) -> list[str]:
    """Return the addresses from which a host connects to other hosts, from its variables and facts. Behind NAT, the addresses differ."""
    facts = read_network_facts(variables)
    addresses: list[Any] = [mapping_of(facts.get(family)).get("address") for family in ("default_ipv4", "default_ipv6")]
    addresses.append(find_host_address(variables)[0])
    return sorted({normalize_address(address) for address in addresses if is_dialable(address)})


def read_network_facts(variables: Variables) -> dict[str, Any]:
    """Return the network facts of a host that this run observed, or else the facts that Ansible gathered."""
    return mapping_of(mapping_of(variables.get(OBSERVED)).get("facts") or variables.get("ansible_facts"))


def mapping_of(value: Any) -> dict[str, Any]:
    """Return a value of the answer of a host if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def list_other_addresses(variables: Variables, address: str) -> list[str]:
    """Return the addresses in the facts of a host that other hosts can dial, except one address."""
    return [str(other) for other in _list_addresses(variables) if is_dialable(other) and other != address]


def list_host_addresses(variables: Variables) -> set[str]:
    """Return the addresses of a host, from its variables and facts."""
    addresses = [find_host_address(variables)[0], variables.get("ambassador_bind"), *_list_addresses(variables)]
    return {normalize_address(address) for address in addresses if is_address(address)}


def _list_addresses(variables: Variables) -> list[str]:
    facts = read_network_facts(variables)
    lists = [facts.get(key) for key in ("all_ipv4_addresses", "all_ipv6_addresses")]
    return [address for addresses in lists if isinstance(addresses, list) for address in addresses if isinstance(address, str)]


def _read_interface(fact: Any) -> Iterator[Any]:
    """Yield the addresses of an interface, IPv4 first. Facts of other things have none."""
    if isinstance(fact, dict):
        ipv4, ipv6 = fact.get("ipv4"), fact.get("ipv6")
        for entry in [ipv4, *(ipv6 if isinstance(ipv6, list) else [])]:
            if isinstance(entry, dict):
                yield entry.get("address")
