# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts of the inventory, as a map names them: their addresses, and their names in certificates. Pure Python without Ansible."""

from __future__ import annotations

import hashlib
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import fact_name, is_address, is_dialable, spelled

# A DNS name of several labels, as RFC 1123, section 2.1, has them: of one label the meaning would depend on the host that asks. HAProxy
# looks up an SRV record for a name that begins with `_` (RFC 2782), and addresses for all others.
DNS_NAME = re.compile(r"(?=.{1,253}$)(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)+(?!-)(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9-]{1,63}(?<!-)")
# a variable of every host that a run has looked at
OBSERVED = "__ambassador_engine_observed"
# What a certificate can name: a dNSName's characters, and as many as RFC 5280, appendix A.1, ub-common-name, has
CERTIFIED = re.compile(r"[A-Za-z0-9_.:-]+")
CERTIFIED_LENGTH = 64


class Hosts(list):
    """Names of hosts in the order of the inventory. A membership test takes the same time for any number of hosts.

    :param names: names of hosts; the list does not change later
    """

    def __init__(self, names):
        super().__init__(names)
        self._set = frozenset(self)

    def __contains__(self, name):
        return name in self._set


def certified(host):
    """Return the name of a host in its certificate: its own, or the begin of one that is too long and what tells it from others.

    :param str host: inventory name of the host
    :rtype: str
    """
    if len(host) <= CERTIFIED_LENGTH:
        return host
    # a label of a DNS name has 63 characters at most
    return f"{host[:46]}-{hashlib.sha256(host.encode()).hexdigest()[:16]}"


def is_dns_name(value):
    """Tell whether a value is a DNS name of several labels that can have addresses, and is not the name of an SRV record.

    :param value: anything
    :rtype: bool
    """
    return isinstance(value, str) and not value.startswith("_") and bool(DNS_NAME.fullmatch(value))


def is_record_name(value):
    """Tell whether a value is the name of an SRV record.

    :param value: anything
    :rtype: bool
    """
    return isinstance(value, str) and value.startswith("_") and bool(DNS_NAME.fullmatch(value))


def host_address(variables):
    """Return the address at which other hosts reach a host, and where it was found.

    In this order: ``ambassador_address``, the interface named by ``ambassador_interface``, the default IPv4 fact,
    the default IPv6 fact. ``ansible_host`` is none of them: it can be a bastion's or a container's name.

    :param variables: what has ``get`` for the host's variables, among them what was observed, or else ``ansible_facts``
    :return: the address and its origin; the address is None where there is none (yet), and the origin then says why
    :rtype: tuple[str | None, str]
    """
    address = variables.get("ambassador_address")
    if address:
        return spelled(str(address)), "ambassador_address"
    facts = network_facts(variables)
    interface = variables.get("ambassador_interface")
    if interface:
        return _interface_address(facts.get(fact_name(str(interface)))), f"interface {interface} (ambassador_interface)"
    for family in ("default_ipv4", "default_ipv6"):
        address = (facts.get(family) or {}).get("address")
        if is_dialable(address):
            interface = (facts.get(family) or {}).get("interface")
            return str(address), f"fact {family}" + (f" of {interface}" if interface else "")
    return None, "facts default_ipv4 and default_ipv6"


def source_addresses(variables):
    """Return the addresses from which a host connects to other hosts, as far as its variables and facts tell. Behind NAT, they are others.

    :param variables: what has ``get`` for the host's variables
    :rtype: list[str]
    """
    facts = network_facts(variables)
    defaults = [(facts.get(family) or {}).get("address") for family in ("default_ipv4", "default_ipv6")]
    return sorted({spelled(address) for address in [host_address(variables)[0], *defaults] if is_dialable(address)})


def network_facts(variables):
    """Return the network facts of a host: as this run has observed them, or else as Ansible has gathered them.

    :param variables: what has ``get`` for the host's variables
    :rtype: dict
    """
    return (variables.get(OBSERVED) or {}).get("facts") or variables.get("ansible_facts") or {}


def other_addresses(variables, address):
    """Return the further addresses of a host that another host could dial, as far as facts tell.

    :param variables: what has ``get`` for the host's variables
    :param str address: the one that is dialled
    :rtype: list[str]
    """
    facts = network_facts(variables)
    found = [*(facts.get("all_ipv4_addresses") or []), *(facts.get("all_ipv6_addresses") or [])]
    return [str(one) for one in found if is_dialable(one) and one != address]


def own_addresses(variables):
    """Return the addresses of a host, as far as its variables and facts tell.

    :param variables: what has ``get`` for the host's variables
    :rtype: set[str]
    """
    facts = network_facts(variables)
    found = [host_address(variables)[0], variables.get("ambassador_bind")]
    found += [*(facts.get("all_ipv4_addresses") or []), *(facts.get("all_ipv6_addresses") or [])]
    return {spelled(address) for address in found if is_address(address)}


def _interface_address(fact):
    # not every fact is one of an interface
    fact = fact if hasattr(fact, "get") else {}
    ipv4, ipv6 = fact.get("ipv4"), fact.get("ipv6")
    entries = [ipv4, *(ipv6 if isinstance(ipv6, list) else [])]
    found = [entry.get("address") for entry in entries if hasattr(entry, "get")]
    return next((str(address) for address in found if is_dialable(address)), None)
