# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that hands the wiring to the roles."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wiring
short_description: Resolves the map of links for one host and side
version_added: 0.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Parses and validates C(ambassador_links) and resolves it against the inventory for one host and side.
  - Mistakes do not fail the filter; they are returned as sentences, all at once.
options:
  _input:
    description: The map of links, C(ambassador_links).
    type: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
  side:
    description: The side of the ambassador on that host.
    type: str
    choices: [server, client]
    required: true
  groups:
    description: The magic variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  engine:
    description: The engine of the ambassadors.
    type: str
    default: haproxy
  ipv6:
    description: Whether the ambassadors' networks have IPv6.
    type: bool
    default: false
  tls:
    description: Whether ambassadors speak TLS with each other.
    type: bool
    default: false
  mesh:
    description: The mesh.
    type: str
    default: default
  network:
    description: The Docker network of the ambassadors. Without it, it is the default one of the mesh.
    type: str
"""

EXAMPLES = r"""
- name: What this host forwards to where
  ansible.builtin.debug:
    msg: >-
      {{ ambassador_links | crosshost.ambassador.wiring(host=inventory_hostname, side='client', groups=groups, hostvars=hostvars) }}
"""

RETURN = r"""
_value:
  description:
    - The wiring of the side.
    - C(problems), a list of sentences, empty where the map is right and every address is known.
    - C(unknown), the hosts whose facts are needed and missing, and C(hosts), all hosts of the map.
    - C(addresses), of the hosts whose address is known its C(origin) and the C(others) that they have.
    - C(sources), of the hosts that connect to a server side the addresses that are known.
    - C(holder), the name of the side's ambassador.
    - C(variables), the link variables that are the side's input.
    - C(publish), what is opened on the host, a list of C(alias), C(key), C(address), C(port), C(container_port),
      C(protocol).
    - >-
      C(links), a list of C(alias), C(listen), C(protocol), C(check), C(balance), C(wait), C(drain), C(send_proxy),
      C(networks), C(connect), C(check_interval), C(backend), C(servers), C(admitted), C(consumer) (the link
      variables of a consumer), and C(targets), a list of C(name), C(address), C(port), C(variable), C(verify), C(families).
  type: dict
"""

import functools
import re

from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager, order_patterns, split_host_pattern
from ansible.parsing.dataloader import DataLoader
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring

# a name of hosts or groups in a pattern, without a wildcard, a range or a regular expression
PLAIN = re.compile(r"[\w.-]+")


class AllVariables:
    """The variables of all hosts, by host: each host's are looked up once.

    :param hostvars: the magic variable
    """

    def __init__(self, hostvars):
        self._hostvars, self._known = hostvars, {}

    def __getitem__(self, host):
        """Return the variables of a host."""
        if host not in self._known:
            self._known[host] = HostVariables(self._hostvars[host])
        return self._known[host]


class HostVariables:
    """The variables of a host. A variable that cannot be templated yet, because facts are missing, counts as not set.

    :param variables: the host's entry in the magic variable ``hostvars``
    """

    def __init__(self, variables):
        self._variables, self._known = variables, {}

    def get(self, name):
        """Return the value of a variable, or None."""
        if name not in self._known:
            try:
                self._known[name] = self._variables.get(name)
            except AnsibleError:
                self._known[name] = None
        return self._known[name]


class _Patterns:
    """Host patterns, resolved against the groups of the inventory."""

    def __init__(self, groups, hostvars):
        self._groups, self._hostvars, self._resolved = groups, hostvars, {}

    @functools.cached_property
    def _members(self):
        return frozenset().union(*self._groups.values())

    @functools.cached_property
    def _manager(self):
        manager = InventoryManager(DataLoader(), sources=None, parse=False)
        for group, hosts in self._groups.items():
            manager.add_group(group)
            for host in hosts:
                manager.add_host(host, group=group)
        return manager

    def _is_host(self, name):
        # hostvars has a localhost that is in no group
        return (name in self._hostvars and name not in constants.LOCALHOST) or name in self._members

    def _hosts_of_names(self, pattern):
        """Return the hosts of a pattern of host and group names (``a:b:!c``); None for other patterns."""
        hosts = {}
        for part in order_patterns(split_host_pattern(pattern)):
            name = part[1:] if part[0] in "!&" else part
            if not PLAIN.fullmatch(name) or (name in self._groups) == self._is_host(name):
                return None
            named = self._groups.get(name, [name])
            if part == name:
                hosts.update(dict.fromkeys(named))
            else:
                members = frozenset(named)
                hosts = {host: None for host in hosts if (host in members) == (part[0] == "&")}
        return list(hosts)

    def _match(self, pattern):
        try:
            hosts = self._hosts_of_names(pattern)
            return [host.name for host in self._manager.get_hosts(pattern)] if hosts is None else hosts
        # an invalid pattern matches no host; ValueError: too many digits in a subscript
        except (AnsibleError, re.error, ValueError):
            return []

    def resolve(self, pattern):
        """Return the names of the hosts that a pattern matches."""
        if pattern in self._groups:
            return list(self._groups[pattern])
        if pattern not in self._resolved:
            self._resolved[pattern] = self._match(pattern)
        return self._resolved[pattern]


def hosts_of(groups, hostvars=()):
    """Return a callable that returns the names of the hosts that a pattern matches.

    :param groups: group name -> names of its hosts
    :param hostvars: the magic variable; without it the names of hosts are collected from the groups, which takes time
    """
    return _Patterns(groups, hostvars).resolve


def names_host(host, group_names, groups, hostvars, resolve):
    """Return a callable that returns whether a host pattern names a host. For a pattern of names, it looks at no other host.

    :param str host: inventory name of the host
    :param group_names: names of its groups
    :param groups: group name -> names of its hosts
    :param hostvars: the magic variable
    :param resolve: callable: pattern -> names of hosts, for all other patterns
    :return: callable: pattern (str) -> bool
    """
    own_groups = {*group_names, "all"}

    def is_named(pattern):
        if pattern in groups:
            return pattern in own_groups
        matches = False
        for part in order_patterns(split_host_pattern(pattern)):
            name = part[1:] if part[0] in "!&" else part
            # a group may have the name of a host
            if not PLAIN.fullmatch(name) or (name in groups and name in hostvars):
                return host in resolve(pattern)
            is_member = name == host or (name in groups and name in own_groups)
            matches = (matches or is_member) if part == name else (matches and is_member == (part[0] == "&"))
        return matches

    return is_named


def wiring(links, host, side, groups, hostvars, engine="haproxy", ipv6=False, tls=False, mesh="default", network=None):
    """Resolve the map of links for one host and side: see the documentation above and ``Wiring.side``."""
    resolved = Wiring(links, hosts_of(groups, hostvars), engine, ipv6, tls, mesh, network)
    return {**resolved.side(host, side, AllVariables(hostvars)), "hosts": list(resolved.hosts)}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"wiring": wiring}
