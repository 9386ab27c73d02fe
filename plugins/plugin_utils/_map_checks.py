# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of a whole map: conflicts between its links, names of its hosts, abilities of its engine. Pure Python without Ansible."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import overlap
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import CERTIFICATE_CHARACTERS, Hosts, certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import (
    Link,
    Mesh,
    describe_cycle,
    list_required_features,
    service_on_host,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import BALANCES, ENGINES, HOST, WILDCARDS, Ability
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import link_variables, variable_prefix

# characters that haproxy.cfg.j2 replaces in the name of a server, and names of servers there that are not names of hosts
SERVER_CHARACTERS = re.compile(r"[^A-Za-z0-9_.:-]")
SERVER_NAME = re.compile(r"\..*|.*\.replica[0-9]+")

Links = dict[str, Link]


def find_problems(links: Links, hosts: Hosts, mesh: Mesh) -> list[Problem]:
    """Return the problems that only the whole map shows.

    :param links: the links without a problem of their own, by alias
    :param hosts: names of all hosts of the map
    :param mesh: the settings of the mesh
    """
    checks = [_variable_problems(links)]
    if not mesh.tls:
        # over TLS the alias travels along, and identifies the links of a shared port
        checks.append(_port_problems(links))
    checks += [_local_problems(links), _cycle_problems(links, mesh)]
    if mesh.engine == "haproxy":
        checks.append(_server_name_problems(links, hosts))
    if mesh.tls:
        checks.append(_certificate_problems(links, hosts))
    if mesh.engine in ENGINES:
        checks.append(_ability_problems(links, mesh))
    return list(itertools.chain.from_iterable(checks))


def _variable_problems(links: Links) -> Iterator[Problem]:
    """Yield the links that would set the same variables."""
    holders: dict[str, str] = {}
    for alias, link in links.items():
        prefix = variable_prefix(link.name)
        count = len(link.targets or link.servers)
        variables: set[str] = set()
        for name in [prefix] + [f"{prefix}_{number}" for number in range(1, count + 1) if count > 1]:
            for port in (link.port, link.publish):
                variables.update(link_variables(name, port, "", port, link.protocol))
        # variables of the engines are named after the alias
        drain = f"AMBASSADOR_DRAIN_{variable_prefix(alias)}"
        # of one name with several ports the first has the variables without a port
        clashes = {
            holders[variable]: variable
            for variable in [drain, *sorted(variables, reverse=True)]
            if holders.get(variable, link.name) != link.name
        }
        for other, variable in clashes.items():
            yield MapMessage.VARIABLE_CONFLICT.at(Place(link=alias), other=other, variable=variable)
        holders.update(dict.fromkeys([drain, *variables], link.name))


def _port_problems(links: Links) -> Iterator[Problem]:
    """Yield the links that publish the same port on a server host."""
    candidates: dict[tuple[int, str], list[Link]] = {}
    for link in links.values():
        candidates.setdefault((link.publish, link.protocol), []).append(link)
    for (port, __), sharing in candidates.items():
        # a map can have many hosts, which matter only if several links publish the port
        by_host: dict[str, list[str]] = {}
        for link in sharing if len(sharing) > 1 else ():
            for host in link.servers:
                by_host.setdefault(host, []).append(link.alias)
        clashes: dict[tuple[str, ...], list[str]] = {}
        for host, aliases in by_host.items():
            if len(aliases) > 1:
                clashes.setdefault(tuple(aliases), []).append(host)
        for clash, hosts in clashes.items():
            name, *others = dict.fromkeys(links[alias].name for alias in clash)
            key = "publish" if any(links[alias].has_publish for alias in clash) else "port"
            if others:
                first, *conflicting = clash
                label = f"link{'s' if len(conflicting) > 1 else ''} {', '.join(conflicting)}"
                yield MapMessage.PORT_CONFLICT.at(Place(link=first, key=key), others=label, port=port, hosts=_join_some(hosts))
            else:
                yield MapMessage.PORT_CONFLICT_OF_PORTS.at(Place(link=name, key="publish"), port=port)


def _local_problems(links: Links) -> Iterator[Problem]:
    """Yield the links that open the same address and port on a client host."""
    opening = [(link, link.local) for link in links.values() if link.local]
    for number, (link, local) in enumerate(opening):
        for other, other_local in opening[:number]:
            hosts = [host for host in link.clients if host in other.clients]
            if hosts and link.protocol == other.protocol and overlap(local, other_local):
                yield MapMessage.LOCAL_CONFLICT.at(
                    Place(link=link.alias, key="local"),
                    local=endpoint(*local),
                    other=other.alias,
                    other_local=endpoint(*other_local),
                    hosts=_join_some(hosts),
                )


def _cycle_problems(links: Links, mesh: Mesh) -> Iterator[Problem]:
    """Yield the links whose backend is an ambassador, or an alias or a ``local`` that returns to the link."""
    by_name: dict[str, list[Link]] = {}
    for link in links.values():
        # Docker's names have no case
        by_name.setdefault(link.name.lower(), []).append(link)
    opening = [link for link in links.values() if link.local]
    for link in links.values():
        if link.backend:
            if names.PROXY.fullmatch(link.backend[0].partition(".")[0]):
                yield MapMessage.BACKEND_IS_AMBASSADOR.at(Place(link=link.alias, key="backend"), name=link.backend[0])
            yield from _follow(link, links, by_name, opening, mesh)


def _follow(link: Link, links: Links, by_name: dict[str, list[Link]], opening: list[Link], mesh: Mesh) -> Iterator[Problem]:
    """Follow a backend from link to link on the hosts that serve them, and yield a problem if they return to the first link."""
    visited: set[tuple[str, str]] = set()
    queue = [(link.alias, host) for host in link.servers]
    while queue:
        step = queue.pop()
        if step in visited:
            continue
        visited.add(step)
        last, host = links[step[0]], step[1]
        named = [other for other in _named_links(last, by_name, mesh) if host in other.clients]
        opened = [other for other in opening if _is_opened_by(last, other) and host in other.clients]
        if any(other.name == link.name for other in named):
            yield MapMessage.BACKEND_IS_ALIAS.at(Place(link=link.alias, key="backend"), name=repr(last.service[0]), host=host)
            return
        if any(other.name == link.name for other in opened):
            yield describe_cycle(link, "backend", link.backend_as_written, host)
            return
        queue += [(other.alias, server) for other in named + opened for server in other.servers]


def _named_links(link: Link, by_name: dict[str, list[Link]], mesh: Mesh) -> list[Link]:
    """Return the links whose client side has the name of a backend, if the client side is on the same host.

    Docker knows a container by its names on each of its networks, and by these names followed by a dot and the network.
    """
    name, network = link.backend[0] if link.backend else "", link.network
    if name.lower() == HOST or not name:
        return []
    if not network and "." in name:
        name, __, network = name.partition(".")
    return [other for other in by_name.get(name.lower(), []) if not network or network == mesh.network or network in other.networks]


def _is_opened_by(link: Link, other: Link) -> bool:
    """Return whether the backend of a link is the ``local`` of another link, if both are on the same host."""
    if not other.local or not link.backend or other.protocol != link.protocol:
        return False
    name, port = link.backend
    return link.backend == other.local or (name == HOST and port == other.local[1] and other.local[0] in WILDCARDS)


def _server_name_problems(links: Links, hosts: Hosts) -> Iterator[Problem]:
    """Yield the names of servers in haproxy.cfg that are not unique in their link: the backend, and the hosts that serve the link."""
    # a map can have many hosts, and few have another name there
    renamed = {host: name for host in hosts for name in [SERVER_CHARACTERS.sub("_", host)] if name != host}
    reserved = {host for host in hosts if SERVER_NAME.fullmatch(host)}
    for link in links.values():
        servers = [] if link.targets else link.servers
        backend = link.backend[0] if link.backend else ""
        by_name: dict[str, list[str]] = {}
        for host in servers if renamed else ():
            by_name.setdefault(renamed.get(host, host), []).append(host)
        for name, same in by_name.items():
            if len(same) > 1:
                yield MapMessage.SERVER_NAME_CONFLICT.at(Place(link=link.alias, key="servers"), name=name, hosts=", ".join(same))
        for host in servers:
            if host in reserved:
                yield MapMessage.SERVER_NAME_RESERVED.at(Place(link=link.alias, key="servers"), host=host)
        place = Place(link=link.name, key="backend")
        if SERVER_NAME.fullmatch(backend):
            yield MapMessage.BACKEND_NAME_RESERVED.at(place, name=backend)
        elif len(servers) > 1 and (backend in servers or backend in by_name):
            written, service = repr(link.backend_as_written), service_on_host(link)
            yield MapMessage.BACKEND_NAME_CONFLICT.at(place, backend=written, host=backend, service=service)


def _certificate_problems(links: Links, hosts: Hosts) -> Iterator[Problem]:
    """Yield the hosts whose names no certificate can hold, or whose certificates would have the same name."""
    invalid = [host for host in hosts if not CERTIFICATE_CHARACTERS.fullmatch(host)]
    hosts_by_name: dict[str, list[str]] = {}
    for host in hosts:
        # DNS names have no case: RFC 4343
        hosts_by_name.setdefault(certificate_name(host).lower(), []).append(host)
    for name, same in hosts_by_name.items():
        if len(same) > 1:
            yield MapMessage.CERTIFICATE_NAME_CONFLICT.at(hosts=", ".join(same), name=name)
    for link in links.values():
        for host in invalid:
            if host in link.servers or host in link.clients:
                yield MapMessage.CERTIFICATE_NAME_INVALID.at(Place(link=link.alias), host=repr(host))
        if link.targets and len(link.servers) not in (0, 1, len(link.targets)):
            place, servers = Place(link=link.alias, key="targets"), ", ".join(link.servers)
            yield MapMessage.TARGETS_NOT_PER_SERVER.at(place, count=len(link.targets), servers=servers)


def _ability_problems(links: Links, mesh: Mesh) -> Iterator[Problem]:
    """Yield the features that the map requires and the engine lacks, with the engines that have them."""
    lacks: dict[str, list[str]] = {}
    for engine, missing in ENGINES.items():
        required = {feature for link in links.values() for feature in list_required_features(link, engine)}
        lacks[engine] = [feature for feature in missing if feature in required or (feature == Ability.TLS and mesh.tls)]
    if Ability.TLS in lacks[mesh.engine]:
        place, able = Place(variable="ambassador_engine"), [engine for engine, missing in lacks.items() if Ability.TLS not in missing]
        suitable = [engine for engine in able if not lacks[engine]]
        if suitable:
            yield MapMessage.ENGINE_WITHOUT_TLS.at(place, engine=mesh.engine, engines=_join(suitable))
        else:
            yield MapMessage.NO_ENGINE_WITH_TLS.at(place, engine=mesh.engine, others=_describe_lacks(able, lacks))
    for link in links.values():
        for feature in list_required_features(link, mesh.engine):
            if feature in lacks[mesh.engine]:
                yield _find_ability_remedy(link, feature, mesh.engine, lacks)


def _find_ability_remedy(link: Link, feature: str, engine: str, lacks: dict[str, list[str]]) -> Problem:
    """Return the problem of a feature that the engine lacks, with its remedy: another engine, or no such feature.

    :param lacks: engine -> features that the map requires and the engine lacks
    """
    place, values = Place(link=link.alias), {"engine": engine, "feature": str(feature)}
    able = [name for name, missing in ENGINES.items() if feature not in missing]
    suitable = [name for name in able if not lacks[name]]
    unencrypted = [name for name in able if lacks[name] == [Ability.TLS]]
    balances = [balance for balance in BALANCES if balance not in ENGINES[engine]] if link.has_several and feature in BALANCES else []
    if suitable and balances:
        return MapMessage.BALANCE_UNSUPPORTED.at(place, **values, engines=_join(suitable), balances=_join(balances))
    if suitable:
        return MapMessage.FEATURE_UNSUPPORTED.at(place, **values, engines=_join(suitable))
    if unencrypted:
        return MapMessage.FEATURE_UNSUPPORTED_WITH_TLS.at(place, **values, engines=_join(unencrypted))
    others = _describe_lacks(able, lacks)
    if balances:
        return MapMessage.BALANCES_CONFLICT.at(place, **values, others=others, balances=_join(balances))
    return MapMessage.FEATURES_CONFLICT.at(place, **values, others=others)


def _describe_lacks(engines: list[str], lacks: dict[str, list[str]]) -> str:
    """Return the features that engines lack, as a message prints them."""
    return " and ".join(f"{engine} does not support {_join(lacks[engine])}" for engine in engines)


def _join(features: list[str]) -> str:
    return " or ".join(features)


def _join_some(hosts: list[str], most: int = 3) -> str:
    return ", ".join(hosts[:most]) + (f" and {len(hosts) - most} more" if len(hosts) > most else "")
