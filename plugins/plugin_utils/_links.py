# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One link of a map, parsed and validated against the schema. Pure Python without Ansible."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import (
    is_address,
    parse_endpoint,
    unmapped,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
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
    WITHOUT_PORT,
    Endpoint,
    Reader,
    format_name,
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


def parse_entry(name: Any, settings: Any, hosts_of: Callable[[str], list[str]], has_ipv6: bool) -> tuple[dict[str, Link], list[str]]:
    """Return the links of an entry of the map, by alias, and its problems. With problems, the links are not complete.

    :param name: the alias in the map
    :param settings: its settings
    :param hosts_of: returns the hosts that a pattern matches
    :param has_ipv6: whether the networks of the ambassadors have IPv6
    """
    if not hasattr(settings, "items"):
        reader = Reader(name, {}, {}, hosts_of)
        _check_name(reader)
        reader.refuse(None, "a map of settings", describe_type(settings), "see the README's example")
        return {}, reader.problems
    if "ports" not in settings:
        reader = Reader(name, settings, settings, hosts_of)
        return {name: _parse_link(name, reader, has_ipv6)}, reader.problems
    links = {}
    settings_by_alias, problems = split_ports(name, settings)
    for alias, settings_of_port in settings_by_alias.items():
        reader = Reader(name, settings_of_port, settings, hosts_of)
        links[alias] = _parse_link(alias, reader, has_ipv6)
        links[alias].shares_publish = links[alias].has_publish and len(settings_by_alias) > 1
        problems += reader.problems
    return links, problems


def split_ports(name: Any, settings: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the settings of a link with `ports` as settings of links with one `port` each, and the problems of `ports`.

    The aliases have the port after the name: ``rabbit:5672`` or ``dns:53-udp``. They come in the order in which Docker's links took the
    first one: by port, and TCP before UDP.

    :param name: the alias in the map
    :param settings: its settings
    :source: Docker's documentation, "Legacy container links", section "Environment variables", for the order
    """
    reader, ports = Reader(name, settings, settings, hosts_of=lambda pattern: []), settings["ports"]
    for key in ("port", "protocol"):
        if key in settings:
            remedy = f"remove {key} (ports: [53, 53/udp] says both)"
            reader.refuse("ports", f"no {key} beside it", f"{key} {settings[key]!r}", remedy)
    matches = [PORT_OF_PORTS.fullmatch(str(port)) for port in ports] if isinstance(ports, list) else []
    if not matches or not all(match and is_port(match[1]) for match in matches):
        reader.refuse_value(SCHEMA["ports"], "a list of ports from 1 to 65535, with /udp behind one of UDP")
        return {}, reader.problems
    pairs = sorted({(int(match[1]), match[2] or "tcp") for match in matches if match})
    if len(pairs) < len(matches):
        reader.refuse_value(SCHEMA["ports"], "every port once", "remove one")
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
                reader.refuse(key, WITHOUT_PORT, format_value(value))
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
        expected, remedy = "first, roundrobin or leastconn with send_proxy", "change balance or remove send_proxy"
        reader.refuse_value(SCHEMA["balance"], expected, remedy)
    if link.backend:
        unreachable = list(_backend_problems(link))
        reader.problems += unreachable
        if not unreachable and ":" in link.backend[0] and not has_ipv6 and "network" not in settings:
            found, remedy = f"{link.backend_as_written} and no IPv6", "set ambassador_ipv6 to true, or name the container"
            reader.refuse("backend", "a service that the network of the ambassadors reaches", found, remedy)
    return link


def _check_name(reader: Reader) -> None:
    """Refuse a name that is not an alias."""
    if not isinstance(reader.name, str) or not LABEL.fullmatch(reader.name):
        expected = "a DNS label as alias (a letter, then letters, digits or hyphens, at most 63)"
    elif RESERVED.fullmatch(reader.name):
        expected = "an alias that is not reserved (localhost, h2, ambassador, ambassador-…)"
    else:
        return
    reader.refuse(None, expected, format_value(reader.name), "rename the link")


def _check_keys(reader: Reader, has_server_side: bool) -> None:
    """Refuse keys that do not exist, and keys of a server side in a link without one. Require keys that are missing."""
    name, settings = format_name(reader.name), reader.settings
    for key in settings:
        if key in REMOVED:
            reader.problems.append(f"Link {name}, key {key}: no longer supported. {REMOVED[key]} Remove the key.")
        elif key not in SCHEMA:
            close = difflib.get_close_matches(str(key), SCHEMA, 1)
            remedy = f"did you mean {close[0]}" if close else "remove it"
            reader.refuse(None, f"only the keys {', '.join(SCHEMA)}", format_value(key), remedy)
    for key in _REQUIRED_KEYS if has_server_side else _ALWAYS_REQUIRED_KEYS:
        if key not in settings:
            reader.refuse(None, f"the key {key}", "none", f"add {key} to the link")
    for key in () if has_server_side else _SERVER_ONLY_KEYS:
        if key in settings:
            reader.problems.append(
                f"Link {name}, key {key}: {format_value(reader.written[key])} is not used, because a link with targets and without"
                f" servers has no server side. Remove {key}, or add servers."
            )


_REQUIRED_KEYS = [key.name for key in SCHEMA.values() if key.required is not Required.NEVER]
_ALWAYS_REQUIRED_KEYS = [key.name for key in SCHEMA.values() if key.required is Required.ALWAYS]
_SERVER_ONLY_KEYS = [key.name for key in SCHEMA.values() if key.is_server_only]


def _backend_problems(link: Link) -> Iterator[str]:
    """Yield the problem of a backend that containers do not reach, or that is the ambassador itself."""
    name, host = link.service[0], service_on_host(link)
    place = f"Link {link.name}, key backend: {link.backend_as_written!r}"
    itself = f"{place} is the ambassador itself, which has an address of its own. Use {host} for a program on the server host."
    if is_address(name):
        address = unmapped(name)
        if address.is_loopback or address.is_unspecified:
            yield itself
        elif address.is_multicast or str(address) == "255.255.255.255" or (address.version == 6 and address.is_link_local):
            yield f"{place} is not an address of one host that a container reaches. Use {host} for a program on the server host."
    elif name == HOST:
        return
    elif link.network:
        if not BACKEND_HOST.fullmatch(f"{name}.{link.network}"):
            yield (
                f"Link {link.name}, key network: Docker's DNS cannot resolve {name}.{link.network}. Rename the network: between two dots"
                " are 1 to 63 characters, at the end is no dot, and all has at most 253 characters."
            )
    elif CONTAINER_NAMES.fullmatch(name):
        yield itself
    elif NUMERIC.fullmatch(name):
        yield f"{place} is neither a complete IP address nor a name that DNS resolves. Write the whole address, or rename the container."


def asked_features(link: Link, engine: str) -> list[str]:
    """Return what a link asks of an engine, in the words of ``ENGINES``."""
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


def describe_cycle(link: Link, key: str, value: Any, host: str) -> str:
    """Return the problem of a key that leads back to its link through what the link opens on a host."""
    if not link.local:
        raise ValueError(f"link {link.alias} opens no local address")
    return (
        f"Link {link.name}, key {key}: {value!r} leads back to the link, because the link opens {endpoint(*link.local)} on host"
        f" {host} (key local). Set {key} to the service, or local to another port."
    )


def describe_type(value: Any) -> str:
    """Return the type of a value as a message prints it."""
    kinds = ((str, "a string"), (bool, "a boolean"), ((int, float), "a number"), ((list, tuple), "a list"))
    return next((name for types, name in kinds if isinstance(value, types)), "nothing" if value is None else "something else")
