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
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import CERTIFIED, Hosts, certified
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import Link, Mesh, asked_features, describe_cycle, service_on_host
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import BALANCES, ENGINES, HOST, WILDCARDS
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import link_variables, variable_prefix

# characters that haproxy.cfg.j2 replaces in the name of a server, and names of servers there that are not names of hosts
SERVER_CHARACTERS = re.compile(r"[^A-Za-z0-9_.:-]")
SERVER_NAME = re.compile(r"\..*|.*\.replica[0-9]+")
# the consequence of links without TLS
UNENCRYPTED = "what the links carry can be read and changed on its way, and anyone can connect"

Links = dict[str, Link]


def find_problems(links: Links, hosts: Hosts, mesh: Mesh) -> list[str]:
    """Return the problems that only the whole map shows, a sentence each.

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


def _variable_problems(links: Links) -> Iterator[str]:
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
            yield f"links {other} and {alias}: expected variables of their own, found {variable} in both; rename one."
        holders.update(dict.fromkeys([drain, *variables], link.name))


def _port_problems(links: Links) -> Iterator[str]:
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
            yield (
                f"links {', '.join(clash)}: expected a listening port of their own, found {key} {port} more than once"
                f" on the server side of {_join_some(hosts)}; set publish of all but one to another port."
                if others
                else f"link {name}, publish: expected a listening port for each of its ports, found {port} for all of them;"
                " remove publish, or set ambassador_tls to true."
            )


def _local_problems(links: Links) -> Iterator[str]:
    """Yield the links that open the same address and port on a client host."""
    opening = [(link, link.local) for link in links.values() if link.local]
    for number, (link, local) in enumerate(opening):
        for other, other_local in opening[:number]:
            hosts = [host for host in link.clients if host in other.clients]
            if hosts and link.protocol == other.protocol and overlap(local, other_local):
                yield (
                    f"links {other.alias}, {link.alias}: expected a local of their own, found {endpoint(*other_local)}"
                    f" and {endpoint(*local)} on the client side of {_join_some(hosts)}; change one."
                )


def _cycle_problems(links: Links, mesh: Mesh) -> Iterator[str]:
    """Yield the links whose backend is an ambassador, or an alias or a ``local`` that leads back to the link."""
    by_name: dict[str, list[Link]] = {}
    for link in links.values():
        # Docker's names have no case
        by_name.setdefault(link.name.lower(), []).append(link)
    opening = [link for link in links.values() if link.local]
    for link in links.values():
        if link.backend:
            if names.PROXY.fullmatch(link.backend[0].partition(".")[0]):
                yield f"link {link.alias}, backend: expected a service, found the ambassador {link.backend[0]}; name the service."
            yield from _follow(link, links, by_name, opening, mesh)


def _follow(link: Link, links: Links, by_name: dict[str, list[Link]], opening: list[Link], mesh: Mesh) -> Iterator[str]:
    """Follow a backend from link to link on the hosts that serve them, and yield a problem if the way leads back to its link."""
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
            yield (
                f"link {link.alias}, backend: expected a name that does not lead back to the link, found that {last.service[0]!r} is"
                f" its own alias on {host} (the traffic would go round); give the container another name."
            )
            return
        if any(other.name == link.name for other in opened):
            yield describe_cycle(link, "backend", link.backend_as_written, host)
            return
        queue += [(other.alias, server) for other in named + opened for server in other.servers]


def _named_links(link: Link, by_name: dict[str, list[Link]], mesh: Mesh) -> list[Link]:
    """Return the links to whose client side the name of a backend leads, if the client side is on the same host.

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


def _server_name_problems(links: Links, hosts: Hosts) -> Iterator[str]:
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
                yield (
                    f"Link {link.alias}, key servers: HAProxy has one name, {name}, for the hosts {', '.join(same)}. Rename all but one of"
                    " them in the inventory."
                )
        for host in servers:
            if host in reserved:
                yield (
                    f"Link {link.alias}, key servers: HAProxy has names like {host} for servers of its own. Rename the host in the"
                    " inventory; its name must not begin with a dot, or end with .replica and a number."
                )
        if SERVER_NAME.fullmatch(backend):
            yield (
                f"Link {link.name}, key backend: HAProxy has names like {backend} for servers of its own. Rename the container; its"
                " name must not end with .replica and a number."
            )
        elif len(servers) > 1 and (backend in servers or backend in by_name):
            yield (
                f"Link {link.name}, key backend: {link.backend_as_written!r} has the name of the server host {backend}. A backend"
                f" is a container of each server host. Use another name for the container, or {service_on_host(link)} for a program on the"
                " server host."
            )


def _certificate_problems(links: Links, hosts: Hosts) -> Iterator[str]:
    """Yield the hosts whose names no certificate can hold, or whose certificates would have the same name."""
    invalid = [host for host in hosts if not CERTIFIED.fullmatch(host)]
    identities: dict[str, list[str]] = {}
    for host in hosts:
        # DNS names have no case: RFC 4343
        identities.setdefault(certified(host).lower(), []).append(host)
    for name, same in identities.items():
        if len(same) > 1:
            yield (
                f"Hosts {', '.join(same)}: their certificates would be for the same name, {name}."
                " Rename all but one of them in the inventory."
            )
    for link in links.values():
        for host in invalid:
            if host in link.servers or host in link.clients:
                yield (
                    f"link {link.alias}: expected names of hosts that a certificate can hold (letters, digits and _.:-), found"
                    f" {host!r}; rename the host in the inventory, or set ambassador_tls to false."
                )
        if link.targets and len(link.servers) not in (0, 1, len(link.targets)):
            yield (
                f"link {link.alias}, targets: expected one for each of its servers ({', '.join(link.servers)}), whose names are verified,"
                f" found {len(link.targets)}; correct targets or servers."
            )


def _ability_problems(links: Links, mesh: Mesh) -> Iterator[str]:
    """Yield what the map asks of its engine and the engine cannot do, with the engines that can."""
    lacks: dict[str, list[str]] = {}
    for engine, missing in ENGINES.items():
        needed = {feature for link in links.values() for feature in asked_features(link, engine)}
        lacks[engine] = [feature for feature in missing if feature in needed or (feature == "TLS" and mesh.tls)]
    if "TLS" in lacks[mesh.engine]:
        able = [engine for engine, missing in lacks.items() if "TLS" not in missing]
        fit = [engine for engine in able if not lacks[engine]]
        blocked = "" if fit else f" ({', '.join(f'{engine} encrypts, but cannot do {_join(lacks[engine])}' for engine in able)})"
        yield (
            f"ambassador_engine: expected one that encrypts, as ambassador_tls asks for, found {mesh.engine}; set"
            + (f" ambassador_engine to {', '.join(fit)}, or" if fit else "")
            + f" ambassador_tls to false, and {UNENCRYPTED}{blocked}."
        )
    for link in links.values():
        for feature in asked_features(link, mesh.engine):
            if feature in lacks[mesh.engine]:
                yield (
                    f"link {link.alias}: expected what engine {mesh.engine} can do, found {feature}, which it cannot;"
                    f" {_ability_remedy(link, feature, mesh.engine, lacks)}."
                )


def _ability_remedy(link: Link, feature: str, engine: str, lacks: dict[str, list[str]]) -> str:
    """Return how to get a feature that the engine lacks, or to do without it.

    :param lacks: engine -> features that the map asks for and the engine lacks
    """
    able = [name for name, missing in ENGINES.items() if feature not in missing]
    fit = [name for name in able if not lacks[name]]
    unencrypted = [name for name in able if lacks[name] == ["TLS"]]
    balances = [balance for balance in BALANCES if balance not in ENGINES[engine]]
    instead = f"ask for {_join(balances)}" if link.has_several and balances and feature in BALANCES else "remove it"
    if fit:
        return f"set ambassador_engine to {', '.join(fit)} or {instead}"
    if unencrypted:
        return f"{instead}, or set ambassador_engine to {', '.join(unencrypted)} and ambassador_tls to false, and {UNENCRYPTED}"
    return f"{instead} ({', '.join(f'{name} can, but not {_join(lacks[name])}' for name in able)})"


def _join(features: list[str]) -> str:
    return " or ".join(features)


def _join_some(hosts: list[str], most: int = 3) -> str:
    return ", ".join(hosts[:most]) + (f" and {len(hosts) - most} more" if len(hosts) > most else "")
