# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The wiring: all links of the map resolved against the inventory.

Pure Python without Ansible, so that the roles, the tests and other tools call the same function.
:class:`Wiring` parses and validates a map of links once; :meth:`Wiring.side` resolves it for one host and side.
Mistakes of the user never raise: they are collected in ``problems``, and one run shows them all.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import Hosts
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import Link, Mesh, describe_type, parse_entry
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._map_checks import find_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._resolution import Resolver
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINES, HOST, SIDES
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideLink, SideWiring
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import join_choices
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import side_variables


class Wiring:
    """A map of links, parsed, validated and matched with the inventory's hosts.

    :param links: the map as the user wrote it: alias -> settings
    :param list_hosts: host pattern -> names of the hosts that it matches, in the order of the inventory
    :param engine: the engine of the ambassadors
    :param ipv6: whether the ambassadors' networks have IPv6
    :param tls: whether ambassadors speak TLS with each other
    :param mesh: the mesh
    :param network: the Docker network of the ambassadors; None for the default of the mesh
    :param only: host pattern -> whether it names the host whose links alone are parsed, of a map that was parsed before without a
        problem; None to parse all links
    """

    def __init__(
        self,
        links: Any,
        list_hosts: Callable[[str], list[str]],
        engine: str = "haproxy",
        ipv6: bool = False,
        tls: bool = False,
        mesh: str = mesh_names.DEFAULT,
        network: str | None = None,
        only: Callable[[str], bool] | None = None,
    ):
        self._only = only
        self._list_hosts = functools.lru_cache(maxsize=None)(lambda pattern: Hosts(list_hosts(pattern)))
        self._mesh = Mesh(engine, ipv6, tls, mesh, network or mesh_names.in_mesh(mesh_names.NETWORK, mesh))
        # the host patterns of all links without a problem, in their order
        self._patterns: dict[str, None] = {}
        #: problems of the map itself
        self.problems: list[Problem] = []
        #: the links without a problem, by alias
        self.links: dict[str, Link] = {}
        if engine not in ENGINES:
            place = Place(variable="ambassador_engine")
            self.problems.append(MapMessage.ENGINE_UNKNOWN.at(place, engine=repr(engine), engines=join_choices(list(ENGINES))))
        if not hasattr(links, "items"):
            self.problems.append(MapMessage.MAP_INVALID.at(Place(variable="ambassador_links"), kind=describe_type(links)))
            return
        for name, settings in links.items():
            if only is None or self._names_host(settings, only):
                self._add(name, settings)
        if only is None:
            self.problems += find_problems(self.links, self.hosts, self._mesh)

    def _names_host(self, settings: Any, only: Callable[[str], bool]) -> bool:
        """Return whether a link names the only host whose links are parsed."""
        patterns = [settings[key] for key in ("servers", "clients") if key in settings]
        self._patterns.update(dict.fromkeys(patterns))
        return any(map(only, patterns))

    def _add(self, name: str, settings: Any) -> None:
        """Add the links of an entry of the map, or its problems."""
        links, problems = parse_entry(name, settings, self._list_hosts, self._mesh.ipv6)
        self.problems += dict.fromkeys(problems)
        if not problems:
            self.links.update(links)
            self._patterns.update((settings[key], None) for key in ("servers", "clients") if key in settings)

    @functools.cached_property
    def hosts(self) -> Hosts:
        """Names of all hosts of the map."""
        return Hosts(dict.fromkeys(itertools.chain.from_iterable(map(self._list_hosts, self._patterns))))

    def side(self, host: str, side: str, hostvars: Mapping[str, Any]) -> SideWiring:
        """Return the wiring of one host and side.

        :param host: inventory name of the host
        :param side: ``server`` or ``client``
        :param hostvars: host name -> its variables
        :raises ValueError: for a side that is neither
        """
        if side not in SIDES:
            raise ValueError(f"{side!r} is not a side: {', '.join(SIDES)}")
        resolver = Resolver(self.links, self._mesh, host, side, hostvars, self.problems)
        for link in self.links.values():
            if side == "server" and host in link.servers:
                resolver.add_server(link)
            elif side == "client" and host in link.clients:
                resolver.add_client(link)
        wiring = resolver.wiring
        wiring["is_in_map"] = bool(wiring["links"]) or (any(map(self._only, self._patterns)) if self._only else host in self.hosts)
        return wiring


def list_names(links: list[SideLink]) -> list[str]:
    """Return the names that clients of a client side dial."""
    return list(dict.fromkeys(link["name"] for link in links))


def list_listening_ports(link: SideLink) -> list[int]:
    """Return the ports on which a side listens for a link."""
    return [link["listen"], *link["also"]]


def ports(links: list[SideLink]) -> dict[int, list[str]]:
    """Return port -> aliases of the links that a side serves on the port, in the order of the ports."""
    aliases: dict[int, list[str]] = {}
    for link in links:
        for port in list_listening_ports(link):
            aliases.setdefault(port, []).append(link["alias"])
    return dict(sorted(aliases.items()))


def networks(links: list[SideLink], side: str) -> dict[str, list[str]]:
    """Return the Docker networks that a side joins in addition to the network of the ambassadors, and the side's names on each of them.

    A server side has no names there, because no client dials it by name.
    """
    aliases: dict[str, list[str]] = {}
    for link in links:
        for network in link.get("networks", []):
            aliases.setdefault(network, []).append(link["name"])
    return {network: list(dict.fromkeys(aliases[network])) if side == "client" else [] for network in sorted(aliases)}


def resolve_host_backend(wiring: SideWiring, address: str) -> SideWiring:
    """Return the wiring of a server side with the address at which containers reach the host, in the place of the backend ``host``."""
    links, variables = [], dict(wiring["variables"])
    for link in wiring["links"]:
        backend, *peers = link["targets"]
        if backend["name"] == HOST:
            link = {**link, "targets": [{**backend, "address": address}, *peers]}
            variables.update(side_variables(link, wiring["holder"]))
        links.append(link)
    return {**wiring, "links": links, "variables": variables}
