# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One link of a map, parsed and validated against the schema. Pure Python without Ansible."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import (
    is_address,
    parse_endpoint,
    parse_ip,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import (
    ENGINE_NAMES,
    ENGINES,
    HOST,
    REMOVED,
    SCHEMA,
    Ability,
    Required,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import (
    BACKEND_HOST,
    PARSERS,
    Endpoint,
    Reader,
    format_value,
    is_port,
)

# RFC 1035, section 2.3.1, <label>: a letter, then letters, digits and hyphens, no hyphen last, at most 63 characters.
LABEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# labels that are no aliases: a name that each client has for itself, the ALPN of HTTP/2, and the prefix of the collection's variables
RESERVED = re.compile(r"localhost|h2|ambassador(-.*)?", re.I)
# strings that the resolver of the C library takes for an IPv4 address: inet(3) has "127.1" and "0x7f.1"
NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*", re.I)
# names that Docker writes to /etc/hosts of each container
CONTAINER_NAMES = re.compile(
    r"(?:.*\.)?localhost|localhost\.localdomain|ip6-(?:localhost|loopback|localnet|mcastprefix|allnodes|allrouters)", re.I
)
PORT_OF_PORTS = re.compile(r"([0-9]+)(?:/(tcp|udp))?")

FEATURE_KEYS = [key for key in SCHEMA.values() if key.engines_of_choice or key.engines != ENGINE_NAMES]
PORTLESS_KEYS = [key.name for key in SCHEMA.values() if key.has_port]


@dataclasses.dataclass(frozen=True)
class Mesh:
    """The settings of a mesh that its links depend on."""

    engine: str
    ipv6: bool
    tls: bool
    name: str
    #: the Docker network of the ambassadors
    network: str


@dataclasses.dataclass(slots=True)
class Link:
    """A link. An entry of the map with `ports` has a link for each port.

    The fields that are named after keys have their values, or their defaults.
    """

    #: identifies the link: its name, and with `ports` also its port (``dns:53-udp``)
    alias: str
    #: the name that clients dial
    name: str
    backend_as_written: Any
    #: features that the link's keys need from the engine
    features: list[str]
    has_publish: bool
    #: whether several links of one entry have the same ``publish``
    shares_publish: bool = False
    port: int = 0
    publish: int = 0
    servers: Sequence[str] = ()
    clients: Sequence[str] = ()
    #: None without a server side
    backend: Endpoint | None = None
    network: str | None = None
    networks: Sequence[str] = ()
    local: Endpoint | None = None
    targets: list[Endpoint] | None = None
    check: str = SCHEMA["check"].default
    balance: str = SCHEMA["balance"].default
    protocol: str = SCHEMA["protocol"].default
    #: in seconds
    wait: int = SCHEMA["wait"].default
    drain: int = SCHEMA["drain"].default
    #: in milliseconds
    check_interval: int | None = None
    connect: int | None = None
    max_connections: int | None = None
    send_proxy: bool = SCHEMA["send_proxy"].default

    @property
    def service(self) -> Endpoint:
        """The backend of a link with a server side."""
        if not self.backend:
            raise ValueError(f"link {self.alias} has no server side")
        return self.backend

    @property
    def has_several(self) -> bool:
        """Whether the link has several targets."""
        return len(self.targets or self.servers) > 1


def parse_entry(name: Any, settings: Any, list_hosts: Callable[[str], list[str]], has_ipv6: bool) -> tuple[dict[str, Link], list[Problem]]:
    """Return the links of an entry of the map, by alias, and its problems. With problems, the links are not complete.

    :param name: the alias in the map
    :param settings: its settings
    :param list_hosts: returns the hosts that a pattern matches
    :param has_ipv6: whether the networks of the ambassadors have IPv6
    """
    if not hasattr(settings, "items"):
        reader = Reader(name, {}, {}, list_hosts)
        _check_name(reader)
        reader.refuse(MapMessage.LINK_INVALID, kind=describe_type(settings))
        return {}, reader.problems
    if "ports" not in settings:
        reader = Reader(name, settings, settings, list_hosts)
        return {name: _parse_link(name, reader, has_ipv6)}, reader.problems
    links = {}
    settings_by_alias, problems = split_ports(name, settings)
    for alias, settings_of_port in settings_by_alias.items():
        reader = Reader(name, settings_of_port, settings, list_hosts)
        links[alias] = _parse_link(alias, reader, has_ipv6)
        links[alias].shares_publish = links[alias].has_publish and len(settings_by_alias) > 1
        problems += reader.problems
    return links, problems


def split_ports(name: Any, settings: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Return the settings of a link with `ports` as settings of links with one `port` each, and the problems of `ports`.

    The aliases have the port after the name: ``rabbit:5672`` or ``dns:53-udp``. They come in the order in which Docker's links took the
    first one: by port, and TCP before UDP.

    :param name: the alias in the map
    :param settings: its settings
    :source: Docker's documentation, "Legacy container links", section "Environment variables", for the order
    """
    reader, ports = Reader(name, settings, settings, list_hosts=lambda pattern: []), settings["ports"]
    for key in ("port", "protocol"):
        if key in settings:
            reader.refuse(MapMessage.PORTS_CONFLICT, "ports", key=key, value=format_value(settings[key]))
    matches = [PORT_OF_PORTS.fullmatch(str(port)) for port in ports] if isinstance(ports, list) else []
    if not matches or not all(match and is_port(match[1]) for match in matches):
        reader.refuse_value(MapMessage.PORTS_INVALID, SCHEMA["ports"])
        return {}, reader.problems
    pairs = sorted({(int(match[1]), match[2] or "tcp") for match in matches if match})
    if len(pairs) < len(matches):
        reader.refuse_value(MapMessage.PORTS_DUPLICATE, SCHEMA["ports"])
    settings_by_alias = {}
    for port, protocol in pairs:
        settings_of_port = {key: value for key, value in settings.items() if key != "ports"}
        settings_of_port.update({"port": port, **({"protocol": protocol} if protocol != "tcp" else {})})
        settings_of_port.update({key: _add_port(settings[key], port) for key in PORTLESS_KEYS if key in settings})
        settings_by_alias[f"{name}:{port}" + ("-udp" if protocol == "udp" else "")] = settings_of_port
    for key in PORTLESS_KEYS:
        values = settings.get(key)
        for value in values if isinstance(values, list) else [values]:
            if parse_endpoint(value):
                reader.refuse(MapMessage.ADDRESS_INVALID_WITH_PORTS, key, value=format_value(value))
    return settings_by_alias, reader.problems


def _add_port(value: Any, port: int) -> Any:
    """Return a string, or a list of strings, with the port added. Other values are returned as they are, and refused later."""
    if isinstance(value, list):
        return [_add_port(item, port) for item in value]
    if not isinstance(value, str):
        return value
    return endpoint(value[1:-1] if value.startswith("[") and value.endswith("]") else value, port)


def _parse_link(alias: str, reader: Reader, has_ipv6: bool) -> Link:
    """Return a link, and add its problems to those of the reader."""
    settings = reader.settings
    has_server_side = "targets" not in settings or "servers" in settings
    _check_name(reader)
    _check_keys(reader, has_server_side)
    link = Link(alias, reader.name, reader.written.get("backend"), [], "publish" in settings)
    for key, parse in PARSERS:
        if key.name in settings and (has_server_side or not key.is_server_only):
            if settings[key.name] is None:
                reader.refuse(MapMessage.VALUE_MISSING, key.name)
            else:
                setattr(link, key.name, parse(reader, key, settings[key.name]))
    if not link.has_publish:
        link.publish = link.port
    for key in FEATURE_KEYS:
        value = getattr(link, key.name)
        # a check of none needs nothing
        if key.name in settings and value is not False and value != "none":
            link.features.append(f"{key.name} {value}" if key.engines_of_choice else key.name)
    if link.send_proxy and link.balance == "source":
        # HAProxy hands a connection with a header on to itself, without the address of the consumer
        reader.refuse_value(MapMessage.BALANCE_WITH_SEND_PROXY, SCHEMA["balance"])
    if link.backend:
        problem = _check_backend(link)
        if problem:
            reader.problems.append(problem)
        elif ":" in link.backend[0] and not has_ipv6 and "network" not in settings:
            reader.refuse(MapMessage.BACKEND_NEEDS_IPV6, "backend", backend=link.backend_as_written)
    return link


def _check_name(reader: Reader) -> None:
    """Refuse a name that is not an alias."""
    if not isinstance(reader.name, str) or not LABEL.fullmatch(reader.name):
        reader.refuse(MapMessage.ALIAS_INVALID, alias=format_value(reader.name))
    elif RESERVED.fullmatch(reader.name):
        reader.refuse(MapMessage.ALIAS_RESERVED, alias=format_value(reader.name))


def _check_keys(reader: Reader, has_server_side: bool) -> None:
    """Refuse keys that do not exist, and keys of a server side in a link without one. Require keys that are missing."""
    settings = reader.settings
    for key in settings:
        if key in REMOVED:
            reader.refuse(MapMessage.KEY_REMOVED, key, reason=REMOVED[key])
        elif key not in SCHEMA:
            close = difflib.get_close_matches(str(key), SCHEMA, 1)
            if close:
                reader.refuse(MapMessage.KEY_MISSPELLED, key=format_value(key), suggestion=close[0])
            else:
                reader.refuse(MapMessage.KEY_UNKNOWN, key=format_value(key), keys=", ".join(SCHEMA))
    for key in _REQUIRED_KEYS if has_server_side else _ALWAYS_REQUIRED_KEYS:
        if key not in settings:
            reader.refuse(MapMessage.KEY_MISSING, key=key)
    for key in () if has_server_side else _SERVER_ONLY_KEYS:
        if key in settings:
            reader.refuse(MapMessage.KEY_UNUSED, key, key=key)


_REQUIRED_KEYS = [key.name for key in SCHEMA.values() if key.required is not Required.NEVER]
_ALWAYS_REQUIRED_KEYS = [key.name for key in SCHEMA.values() if key.required is Required.ALWAYS]
_SERVER_ONLY_KEYS = [key.name for key in SCHEMA.values() if key.is_server_only]


def _check_backend(link: Link) -> Problem | None:
    """Return the problem of a backend that containers do not reach, or that is the ambassador itself."""
    name, values = link.service[0], {"backend": repr(link.backend_as_written), "service": service_on_host(link)}
    place = Place(link=link.name, key="backend")
    if is_address(name):
        address = parse_ip(name)
        if address.is_loopback or address.is_unspecified:
            return MapMessage.BACKEND_IS_ITSELF.at(place, **values)
        if address.is_multicast or str(address) == "255.255.255.255" or (address.version == 6 and address.is_link_local):
            return MapMessage.BACKEND_NOT_REACHABLE.at(place, **values)
    elif name == HOST:
        return None
    elif link.network:
        if not BACKEND_HOST.fullmatch(f"{name}.{link.network}"):
            return MapMessage.NETWORK_NOT_RESOLVABLE.at(Place(link=link.name, key="network"), name=f"{name}.{link.network}")
    elif CONTAINER_NAMES.fullmatch(name):
        return MapMessage.BACKEND_IS_ITSELF.at(place, **values)
    elif NUMERIC.fullmatch(name):
        return MapMessage.BACKEND_NOT_RESOLVABLE.at(place, **values)
    return None


def list_required_features(link: Link, engine: str) -> list[str]:
    """Return the features that a link requires of an engine, as ``ENGINES`` has them."""
    features = list(link.features)
    if not all(is_address(address) for address, __ in link.targets or []):
        features.append(Ability.DNS)
    if link.has_several:
        several = Ability.SEVERAL_TARGETS
        features.append(several if several in ENGINES[engine] else f"balance {link.balance}")
    return list(dict.fromkeys(features))


def service_on_host(link: Link) -> str:
    """Return how a user writes a backend that is a program on the host: with ``ports``, without a port."""
    return HOST if link.alias != link.name else f"{HOST}:{link.service[1]}"


def describe_cycle(link: Link, key: str, value: Any, host: str) -> Problem:
    """Return the problem of a key that returns to its link through an address that the link opens on a host."""
    if not link.local:
        raise ValueError(f"link {link.alias} opens no local address")
    place = Place(link=link.name, key=key)
    return MapMessage.LINK_CYCLE.at(place, value=repr(value), local=endpoint(*link.local), host=host, key=key)


def describe_type(value: Any) -> str:
    """Return the type of a value as a message prints it: ``the value is a string``."""
    kinds = ((str, "a string"), (bool, "a boolean"), ((int, float), "a number"), ((list, tuple), "a list"))
    return next((name for types, name in kinds if isinstance(value, types)), "empty" if value is None else "of another type")
