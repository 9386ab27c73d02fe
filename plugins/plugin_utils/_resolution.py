# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The links of a map, resolved for one host and side. Pure Python without Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, is_dialable, normalize_address, overlap
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import (
    certificate_name,
    find_host_address,
    is_dns_name,
    is_record_name,
    list_host_addresses,
    list_other_addresses,
    list_source_addresses,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import Link, Mesh, describe_cycle, service_on_host
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINES, EVERYWHERE, HOST, WILDCARDS, Ability
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideLink, SideWiring, Target
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import Endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import consumer_variables, side_variables, variable_prefix


class Destination(NamedTuple):
    """A target before it is resolved."""

    name: str
    address: str
    port: int
    #: the server host whose certificate is verified
    server: str | None


class Resolver:
    """Resolves links for one host and side.

    :param links: all links of the map, by alias
    :param mesh: the settings of the mesh
    :param host: inventory name of the host
    :param side: ``server`` or ``client``
    :param hostvars: host name -> its variables
    :param problems: problems of the map
    """

    def __init__(self, links: dict[str, Link], mesh: Mesh, host: str, side: str, hostvars: Mapping[str, Any], problems: Iterable[Problem]):
        self._links, self._mesh, self._host, self._hostvars = links, mesh, host, hostvars
        lacks = ENGINES.get(mesh.engine, ())
        self._has_dns, self._has_admission = Ability.DNS not in lacks, Ability.ADMISSION not in lacks
        self.wiring: SideWiring = {
            "problems": list(problems),
            "unknown": [],
            "unknown_problems": [],
            "variables": {},
            "publish": [],
            "links": [],
            "addresses": {},
            "sources": {},
            "left_out": {},
            "holder": names.name_side_container(side, mesh.name),
            "serves_itself": False,
        }

    def _refuse(self, message: MapMessage, place: Place, **values: str) -> None:
        """Add a problem."""
        self.wiring["problems"].append(message.at(place, **values))

    # -- the server side -----------------------------------------------------------------------------------------

    def add_server(self, link: Link) -> None:
        """Add a link to the wiring of a server side."""
        wiring, host = self.wiring, self._host
        # behind NAT, other hosts dial an address that is not an address of the host
        bind = self._bind_address(link) or _published_address(self._address(link, host))
        name, port = link.service
        self._check_backend(link, bind)
        # if the backend has just failed, another host that serves the link gets the connection
        peers = [] if link.targets else [server for server in link.servers if server != host]
        destinations = [Destination(peer, self._address(link, peer), link.publish, peer) for peer in peers]
        self._check_families(link, destinations)
        # Docker's own form of a name on one network, because another network may have the same name; a host or an address is on none
        is_container = name != HOST and not is_address(name)
        address = f"{name}.{link.network}" if link.network and is_container else name
        # the number in the name is the port that this side listens on: links may share `port`, and `publish` only if they have one name
        number = link.port if link.shares_publish else link.publish
        resolved = self._add(link, link.publish, number, [Destination(name, address, port, None), *destinations], backends=1)
        resolved["networks"] = [link.network] if link.network else []
        resolved["admitted"] = self._admitted(link, peers)
        resolved["clients"] = list(link.clients)
        wiring["serves_itself"] = wiring["serves_itself"] or (host in link.clients and not link.targets)
        if (link.publish, link.protocol) not in [(published["port"], published["protocol"]) for published in wiring["publish"]]:
            self._publish(link, "publish", bind, link.publish, link.publish)

    def _admitted(self, link: Link, peers: list[str]) -> list[str]:
        """Return the clients that a link authorizes, and remember their addresses."""
        hosts = [*link.clients, *peers] if self._has_admission else []
        for host in hosts:
            if host != self._host and host not in self.wiring["sources"]:
                self.wiring["sources"][host] = list_source_addresses(self._hostvars[host])
        if self._mesh.tls:
            admitted = [certificate_name(host) for host in hosts]
        else:
            # the host itself connects from the network of its ambassadors
            gateway = ["gateway"] if self._host in hosts else []
            admitted = [self._admitted_address(link, host, host in peers) for host in hosts] + gateway
        return list(dict.fromkeys(filter(None, admitted)))

    def _admitted_address(self, link: Link, host: str, is_server: bool) -> str:
        """Return the address of a host that may connect.

        A client host whose address is not known does not stop the others. It gets no address.
        """
        address = find_host_address(self._hostvars[host])[0]
        if address and is_dns_name(address) and self._has_dns:
            self._refuse(MapMessage.ADDRESS_NEEDS_TLS, Place(link=link.alias, host=host), address=address)
        if is_server or address is not None:
            return self._address(link, host)
        if host not in self.wiring["unknown"]:
            self.wiring["unknown"].append(host)
        self.wiring["left_out"].setdefault(host, []).append(link.alias)
        return ""

    def _bind_address(self, link: Link) -> str:
        """Return the address that the host publishes on, as far as its variables have one."""
        bind = self._hostvars[self._host].get("ambassador_bind")
        if bind and not is_address(bind):
            self._refuse(MapMessage.BIND_INVALID, Place(link=link.alias, host=self._host), address=repr(bind))
        return normalize_address(str(bind or ""))

    def _check_backend(self, link: Link, bind: str) -> None:
        """Refuse a backend that is a port that the ambassadors open on the same host."""
        name, port = link.service
        if name != HOST and not is_address(name):
            return
        problem, variables, place = None, self._hostvars[self._host], Place(link=link.name, key="backend")
        addresses, is_everywhere, backend = list_host_addresses(variables), bind in WILDCARDS, repr(link.backend_as_written)
        if self._is_published(port, link.protocol):
            if name == HOST and is_everywhere:
                problem = MapMessage.BACKEND_PUBLISHED_EVERYWHERE.at(place, backend=backend, host=self._host)
            elif name in (bind, find_host_address(variables)[0]) or (is_everywhere and name in addresses):
                problem = MapMessage.BACKEND_PUBLISHED.at(place, backend=backend, host=self._host, service=service_on_host(link))
        is_opened = link.local and link.local[0] in WILDCARDS and link.local[1] == port
        if not problem and is_opened and name in addresses and self._host in link.clients:
            problem = describe_cycle(link, "backend", link.backend_as_written, self._host)
        if problem and problem not in self.wiring["problems"]:
            self.wiring["problems"].append(problem)

    def _is_published(self, port: int, protocol: str) -> bool:
        """Return whether the server side of the host publishes a port."""
        return any((link.publish, link.protocol) == (port, protocol) and self._host in link.servers for link in self._links.values())

    # -- the client side -----------------------------------------------------------------------------------------

    def add_client(self, link: Link) -> None:
        """Add a link to the wiring of a client side."""
        if link.targets:
            # without a server host, no server side speaks TLS
            first = link.servers[0] if link.servers else None
            servers = link.servers if len(link.servers) == len(link.targets) else [first] * len(link.targets)
            pairs = enumerate(zip(link.targets, servers, strict=True), 1)
            destinations = [Destination(f"target{number}", *target, server) for number, (target, server) in pairs]
        else:
            destinations = [Destination(server, self._server_address(link, server), link.publish, server) for server in link.servers]
        self._check_families(link, destinations)
        self._check_targets(link)
        resolved = self._add(link, link.port, link.port, destinations, backends=0)
        resolved["local"], resolved["networks"] = bool(link.local), list(link.networks)
        if link.local:
            self._publish(link, "local", *link.local, link.port)
            self._check_local(link, link.local)

    def _server_address(self, link: Link, server: str) -> str:
        """Return the address at which the client side dials a server host."""
        # a firewall of the host can drop what its containers send to its address, but not what they send on their own network
        return names.name_side_container("server", self._mesh.name) if server == self._host else self._address(link, server)

    def _check_local(self, link: Link, local: Endpoint) -> None:
        """Refuse a ``local`` that is a port that the server side of the host publishes."""
        for served in self._links.values():
            if self._host in served.servers and served.protocol == link.protocol:
                variables = self._hostvars[self._host]
                bind = normalize_address(str(variables.get("ambassador_bind") or ""))
                bind = bind or _published_address(find_host_address(variables)[0] or "")
                # without an address of the host, another problem reports that
                if bind and overlap(local, (bind, served.publish)):
                    place, address = Place(link=link.alias, key="local"), endpoint(*local)
                    self._refuse(MapMessage.LOCAL_PUBLISHED, place, host=self._host, other=served.alias, local=address)

    def _check_targets(self, link: Link) -> None:
        """Refuse targets that return to the link through ``local`` of links on the same host."""
        if not link.targets or not link.local:
            return
        opening = [(other, other.local) for other in self._links.values() if other.local and self._host in other.clients]
        addresses, visited = list_host_addresses(self._hostvars[self._host]), set[str]()
        queue = [(link, target) for target in link.targets]
        for last, (address, port) in queue:
            for other, (opened, opened_port) in opening:
                if other.alias in visited or opened_port != port or other.protocol != last.protocol:
                    continue
                if opened != address and not (opened in WILDCARDS and address in addresses):
                    continue
                if other is link:
                    self.wiring["problems"].append(describe_cycle(link, "targets", endpoint(address, port), self._host))
                    return
                visited.add(other.alias)
                queue += [(other, target) for target in other.targets or []]

    # -- both sides ----------------------------------------------------------------------------------------------

    def _address(self, link: Link, host: str) -> str:
        """Return the address of a host, and refuse an address that other hosts or the engine cannot use."""
        address, origin = find_host_address(self._hostvars[host])
        place = Place(link=link.alias, host=host)
        if address is None:
            if host not in self.wiring["unknown"]:
                self.wiring["unknown"].append(host)
            self._refuse(MapMessage.ADDRESS_MISSING, place, origin=origin, host=host)
            self.wiring["unknown_problems"].append(self.wiring["problems"][-1])
            return ""
        if host not in self.wiring["addresses"]:
            self.wiring["addresses"][host] = {"origin": origin, "others": list_other_addresses(self._hostvars[host], address)}
        if is_record_name(address):
            self._refuse(MapMessage.ADDRESS_IS_RECORD, Place(host=host), address=address, origin=origin)
        elif not is_dialable(address) and not is_dns_name(address):
            self._refuse(MapMessage.ADDRESS_INVALID, place, address=repr(address), origin=origin)
        if is_dns_name(address) and not self._has_dns:
            self._refuse(MapMessage.ADDRESS_NEEDS_DNS, place, engine=self._mesh.engine, address=address, origin=origin)
        return address

    def _check_families(self, link: Link, destinations: list[Destination]) -> None:
        """Refuse IPv6 addresses if the network of the ambassadors has no IPv6."""
        for destination in destinations:
            if ":" in destination.address and not self._mesh.ipv6:
                place, target = Place(link=link.alias), endpoint(destination.address, destination.port)
                if link.targets:
                    self._refuse(MapMessage.TARGET_NEEDS_IPV6, place, target=target)
                else:
                    self._refuse(MapMessage.SERVER_NEEDS_IPV6, place, target=target, host=destination.name)

    def _publish(self, link: Link, key: str, address: str, port: int, container_port: int) -> None:
        self.wiring["publish"].append(
            {
                "alias": link.alias,
                "key": key,
                "address": address,
                "port": port,
                "container_port": container_port,
                "protocol": link.protocol,
            }
        )

    def _add(self, link: Link, listen: int, number: int, destinations: list[Destination], backends: int) -> SideLink:
        """Add a link to the wiring, and return it.

        :param number: the port in the names of its variables
        :param backends: number of destinations, the first ones, that are backends, whose names Docker knows
        """
        resolved: SideLink = {
            "alias": link.alias,
            "name": link.name,
            "also": [],
            "place": 1,
            "listen": listen,
            "number": number,
            "protocol": link.protocol,
            "check": link.check,
            "balance": link.balance,
            "check_interval": link.check_interval,
            "connect": link.connect,
            "max_connections": link.max_connections,
            "send_proxy": link.send_proxy,
            "wait": link.wait,
            "drain": link.drain,
            "backend": endpoint(*(link.backend or (link.targets or [])[0])),
            "servers": list(link.servers),
            "consumer": consumer_variables(link.name, link.port, link.protocol),
            "targets": self._targets(link, number, destinations, backends),
        }
        self.wiring["links"].append(resolved)
        # of several ports of one name, the first has the variables without a port
        for variable, value in side_variables(resolved, self.wiring["holder"]).items():
            self.wiring["variables"].setdefault(variable, value)
        return resolved

    def _targets(self, link: Link, number: int, destinations: list[Destination], backends: int) -> list[Target]:
        """Return the targets of a link."""
        prefix, targets = variable_prefix(link.name), []
        for position, (name, address, port, server) in enumerate(destinations, 1):
            numbered = f"{prefix}_{position}" if len(destinations) > 1 else prefix
            target: Target = {
                "name": name,
                "address": address,
                "port": port,
                "variable": f"{numbered}_PORT_{number}_{link.protocol.upper()}",
                "verify": certificate_name(server) if self._mesh.tls and server else None,
                "dns": None if position <= backends else _record_type(address),
                "on_this_host": position > backends and bool(names.AMBASSADOR.fullmatch(address)),
                "families": self._families(address),
            }
            targets.append(target)
        return targets

    def _families(self, address: str) -> list[str]:
        """Return the families in which a target may be dialed. A name can have addresses of both."""
        if is_address(address):
            return ["ip6" if ":" in address else "ip"]
        return ["ip", "ip6"] if self._mesh.ipv6 else ["ip"]


def _record_type(address: str) -> str | None:
    """Return the type of the DNS record that a target needs, or None."""
    if is_record_name(address):
        return "SRV"
    return "A" if is_dns_name(address) else None


def _published_address(address: str) -> str:
    """Return the address that a server host publishes on by default, from the address that other hosts dial."""
    return EVERYWHERE if is_dns_name(address) else address
