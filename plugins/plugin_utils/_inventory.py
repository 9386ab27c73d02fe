# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the inventory: their variables, and the hosts that a pattern matches."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager, order_patterns, split_host_pattern
from ansible.parsing.dataloader import DataLoader
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._controller import is_own_variable

# a name of hosts or groups in a pattern, without a wildcard, a range or a regular expression
PLAIN = re.compile(r"[\w.-]+")

Groups = Mapping[str, list[str]]


class AllVariables:
    """The variables of all hosts, by host: each host's are looked up once.

    :param hostvars: the magic variable
    """

    def __init__(self, hostvars: Mapping[str, Any]):
        self._hostvars = hostvars
        self._variables_by_host: dict[str, HostVariables] = {}

    def __getitem__(self, host: str) -> HostVariables:
        """Return the variables of a host."""
        if host not in self._variables_by_host:
            self._variables_by_host[host] = HostVariables(self._hostvars[host])
        return self._variables_by_host[host]


class HostVariables:
    """The variables of a host.

    A variable that cannot be templated yet, because facts are missing, counts as not set.
    So does a variable of this collection that the host returned as a fact.

    :param variables: the host's entry in the magic variable ``hostvars``
    """

    def __init__(self, variables: Mapping[str, Any]):
        self._variables = variables
        self._values: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """Return the value of a variable, or None."""
        if name not in self._values:
            try:
                is_forged = constants.INJECT_FACTS_AS_VARS and is_own_variable(name) and name in self._facts
                self._values[name] = None if is_forged else self._variables.get(name)
            except AnsibleError:
                self._values[name] = None
        return self._values[name]

    @functools.cached_property
    def _facts(self) -> Mapping[str, Any]:
        return self._variables.get("ansible_facts") or {}


class _Patterns:
    """Host patterns, resolved against the groups of the inventory."""

    def __init__(self, groups: Groups, hostvars: Collection[str]):
        self._groups, self._hostvars = groups, hostvars
        self._hosts_by_pattern: dict[str, list[str]] = {}

    @functools.cached_property
    def _members(self) -> frozenset[str]:
        return frozenset[str]().union(*self._groups.values())

    @functools.cached_property
    def _manager(self) -> Any:
        manager = InventoryManager(DataLoader(), sources=None, parse=False)
        for group, hosts in self._groups.items():
            manager.add_group(group)
            for host in hosts:
                manager.add_host(host, group=group)
        return manager

    def _is_host(self, name: str) -> bool:
        # hostvars has a localhost that is in no group
        return (name in self._hostvars and name not in constants.LOCALHOST) or name in self._members

    def _match_names(self, pattern: str) -> list[str] | None:
        """Return the hosts of a pattern of host and group names (``a:b:!c``); None for other patterns."""
        hosts: dict[str, None] = {}
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

    def _match(self, pattern: str) -> list[str]:
        try:
            hosts = self._match_names(pattern)
            return [host.name for host in self._manager.get_hosts(pattern)] if hosts is None else hosts
        # an invalid pattern matches no host; ValueError: too many digits in a subscript
        except (AnsibleError, re.error, ValueError):
            return []

    def resolve(self, pattern: str) -> list[str]:
        """Return the names of the hosts that a pattern matches."""
        if pattern in self._groups:
            return list(self._groups[pattern])
        if pattern not in self._hosts_by_pattern:
            self._hosts_by_pattern[pattern] = self._match(pattern)
        return self._hosts_by_pattern[pattern]


def make_pattern_resolver(groups: Groups, hostvars: Collection[str] = ()) -> Callable[[str], list[str]]:
    """Return a callable that returns the names of the hosts that a pattern matches.

    :param groups: group name -> names of its hosts
    :param hostvars: the magic variable; without it the names of hosts are collected from the groups, which takes time
    """
    return _Patterns(groups, hostvars).resolve


def make_host_matcher(
    host: str, group_names: Collection[str], groups: Groups, hostvars: Collection[str], resolve: Callable[[str], list[str]]
) -> Callable[[str], bool]:
    """Return a callable that returns whether a host pattern matches a host. For a pattern of names, it reads no other host.

    :param host: inventory name of the host
    :param group_names: names of its groups
    :param groups: group name -> names of its hosts
    :param hostvars: the magic variable
    :param resolve: returns the names of the hosts of all other patterns
    """
    groups_of_host = {*group_names, "all"}

    def matches(pattern: str) -> bool:
        if pattern in groups:
            return pattern in groups_of_host
        is_match = False
        for part in order_patterns(split_host_pattern(pattern)):
            name = part[1:] if part[0] in "!&" else part
            # a group may have the name of a host
            if not PLAIN.fullmatch(name) or (name in groups and name in hostvars):
                return host in resolve(pattern)
            is_member = name == host or (name in groups and name in groups_of_host)
            is_match = (is_match or is_member) if part == name else (is_match and is_member == (part[0] == "&"))
        return is_match

    return matches
