# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the keys of a link: a parser for each type of the schema. Pure Python without Ansible."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, is_dialable, parse_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import is_dns_name, is_record_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA, SRV, Key, Kind

# names of Docker networks, and the networks on which containers have no names
NETWORK, NAMELESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}"), ("bridge", "host", "none")
# the name of a container that DNS can hold (RFC 1035, section 2.3.4), or a DNS name; Docker accepts more
BACKEND_HOST = re.compile(r"(?=.{1,253}$)(?=[A-Za-z0-9])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
DIGITS, FRACTION = re.compile("[0-9]+"), re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")
WITHOUT_PORT = "a name or an address without a port, for each of its ports leads to the same one there"

Endpoint = tuple[str, int]


def format_name(name: Any) -> str:
    """Return a name as a message prints it: quoted if it has characters that change the terminal or the line."""
    return str(name) if str(name).isprintable() else repr(str(name))


def format_value(value: Any) -> str:
    """Return a value as a message prints it."""
    return "nothing" if value is None else repr(value)


@dataclasses.dataclass(slots=True)
class Reader:
    """A link while it is parsed, and its problems."""

    name: Any
    settings: Mapping[str, Any]
    #: the settings as the user wrote them: with `ports`, and without the port that each link of them has
    written: Mapping[str, Any]
    hosts_of: Callable[[str], list[str]]
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def has_ports(self) -> bool:
        """Whether the user wrote `ports`."""
        return self.written is not self.settings

    def refuse(self, key: str | None, expected: str, found: str, remedy: str = "correct it") -> None:
        """Add a problem of a key, or of the whole link."""
        place = f"link {format_name(self.name)}" + (f", {key}" if key else "")
        self.problems.append(f"{place}: expected {expected}, found {found}; {remedy}.")

    def refuse_value(self, key: Key, expected: str, remedy: str = "correct it") -> None:
        """Add a problem of a key, with its value as the user wrote it."""
        self.refuse(key.name, expected, format_value(self.written[key.name]), remedy)


def is_whole(value: Any, key: Key) -> bool:
    """Return whether a value is a whole number within the limits of a key, or the digits of one."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not DIGITS.fullmatch(str(value)):
        return False
    return len(str(value)) <= len(str(key.maximum)) and key.minimum <= int(value) <= key.maximum


def is_port(value: Any) -> bool:
    """Return whether a value is a port, or the digits of one."""
    return is_whole(value, SCHEMA["port"])


def parse_port(reader: Reader, key: Key, value: Any) -> int | None:
    """Return a port."""
    if is_whole(value, key):
        return int(value)
    # with `ports`, the port is not a value of the user
    reader.refuse(key.name, f"a port from {key.minimum} to {key.maximum}", format_value(value))
    return None


def parse_choice(reader: Reader, key: Key, value: Any) -> str | None:
    """Return one of the choices of a key."""
    if value in key.choices:
        return str(value)
    reader.refuse(key.name, f"one of {', '.join(key.choices)}", format_value(value))
    return None


def parse_seconds(reader: Reader, key: Key, value: Any) -> int | None:
    """Return whole seconds."""
    if is_whole(value, key):
        return int(value)
    reader.refuse_value(key, f"whole seconds from {key.minimum} to {key.maximum}")
    return None


def parse_fraction(reader: Reader, key: Key, value: Any) -> int | None:
    """Return the milliseconds of a value in seconds."""
    if not isinstance(value, bool) and FRACTION.fullmatch(str(value)) and key.minimum <= float(value) < key.maximum + 1:
        return round(float(value) * 1000)
    reader.refuse_value(key, f"seconds from {key.minimum} to {key.maximum}")
    return None


def parse_number(reader: Reader, key: Key, value: Any) -> int | None:
    """Return a whole number."""
    if is_whole(value, key) and not str(value).startswith("0"):
        return int(value)
    reader.refuse_value(key, f"a number from {key.minimum} to {key.maximum}")
    return None


def parse_boolean(reader: Reader, key: Key, value: Any) -> bool | None:
    """Return a boolean."""
    if isinstance(value, bool):
        return value
    reader.refuse_value(key, "true or false")
    return None


def parse_backend(reader: Reader, key: Key, value: Any) -> Endpoint | None:
    """Return the address or name of a service, and its port."""
    backend = parse_address(value)
    if backend and (is_address(backend[0]) or BACKEND_HOST.fullmatch(backend[0])):
        return backend
    reader.refuse_value(key, WITHOUT_PORT if reader.has_ports else "name:port, as the server side sees it on its own host")
    return None


def parse_local(reader: Reader, key: Key, value: Any) -> Endpoint | None:
    """Return an address of the client hosts, and a port."""
    local = parse_address(value)
    if local and is_address(local[0]):
        return local
    if reader.has_ports:
        reader.refuse_value(key, WITHOUT_PORT)
        return None
    reader.refuse_value(key, "address:port of the client host", f"correct it, for example {key.example}")
    return None


def parse_hosts(reader: Reader, key: Key, value: Any) -> list[str]:
    """Return the names of the hosts that a pattern matches."""
    if not isinstance(value, str) or not value.strip():
        reader.refuse_value(key, "a group or host pattern", "name a group of the inventory")
        return []
    hosts = reader.hosts_of(value)
    if not hosts:
        reader.refuse_value(key, "a pattern that matches a host of the inventory", "add the group or correct the name")
    return hosts


def parse_network(reader: Reader, key: Key, value: Any) -> str | None:
    """Return the name of a Docker network."""
    if isinstance(value, str) and NETWORK.fullmatch(value) and value not in NAMELESS:
        return value
    reader.refuse(key.name, f"a Docker network on which containers have names (not {', '.join(NAMELESS)})", format_value(value))
    return None


def parse_networks(reader: Reader, key: Key, value: Any) -> list[str | None]:
    """Return the names of Docker networks."""
    if isinstance(value, list):
        return [parse_network(reader, key, name) for name in value]
    reader.refuse_value(key, "a list of Docker networks of the client hosts")
    return []


def parse_targets(reader: Reader, key: Key, value: Any) -> list[Endpoint | None] | None:
    """Return addresses or names of hosts, each with its port, or the name of an SRV record."""
    if isinstance(value, str) and reader.has_ports:
        is_record = reader.written[key.name].startswith(SRV)
        remedy = "use port for an SRV record, which gives the port" if is_record else "correct it"
        reader.refuse_value(key, "a list of addresses or DNS names beside ports", remedy)
        return None
    if isinstance(value, str) and value.startswith(SRV) and is_record_name(value[len(SRV) :]):
        # the record has the ports, and the variables need one
        return [(value[len(SRV) :], reader.settings.get("port", 0))]
    if not isinstance(value, (list, tuple)) or not value:
        reader.refuse_value(key, "a list of address:port, or srv: and the name of an SRV record", "correct it or remove it")
        return None
    targets = [parse_address(target) for target in value]
    one_host = "address:port, with the IP address or the DNS name of one host"
    for written, target in zip(reader.written[key.name], targets, strict=True):
        if target and is_record_name(target[0]):
            reader.refuse(
                key.name,
                one_host,
                f"{target[0]}, which is the name of an SRV record",
                f"use targets: {SRV}{target[0]} for all targets and ports of that record, or the name of a host",
            )
        elif not target or not (is_dialable(target[0]) or is_dns_name(target[0])):
            reader.refuse(key.name, WITHOUT_PORT if reader.has_ports else one_host, format_value(written))
    return targets


_PARSERS = {
    Kind.PORT: parse_port,
    Kind.HOSTS: parse_hosts,
    Kind.BACKEND: parse_backend,
    Kind.CHOICE: parse_choice,
    Kind.SECONDS: parse_seconds,
    Kind.FRACTION: parse_fraction,
    Kind.NUMBER: parse_number,
    Kind.LOCAL: parse_local,
    Kind.TARGETS: parse_targets,
    Kind.BOOLEAN: parse_boolean,
    Kind.NETWORK: parse_network,
    Kind.NETWORKS: parse_networks,
}
# each key with its parser; a link of `ports` has a `port` when it is parsed
PARSERS = [(key, _PARSERS[key.kind]) for key in SCHEMA.values() if key.kind is not Kind.PORTS]
