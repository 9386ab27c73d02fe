# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the keys of a link: a parser for each type of the schema. Pure Python without Ansible."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, is_dialable, parse_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import is_dns_name, is_record_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA, SRV, Key, Kind

# names of Docker networks, and the networks on which containers have no names
NETWORK, NAMELESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}"), ("bridge", "host", "none")
# the name of a container that DNS can hold (RFC 1035, section 2.3.4), or a DNS name; Docker accepts more
BACKEND_HOST = re.compile(r"(?=.{1,253}$)(?=[A-Za-z0-9])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
DIGITS, FRACTION = re.compile("[0-9]+"), re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")

Endpoint = tuple[str, int]


def format_name(name: Any) -> str:
    """Return a name as a message prints it: quoted if it has characters that change the terminal or the line."""
    return str(name) if str(name).isprintable() else repr(str(name))


def format_value(value: Any) -> str:
    """Return a value as a message prints it."""
    return "an empty value" if value is None else repr(value)


def join_choices(choices: Sequence[str]) -> str:
    """Return choices as a message prints them: ``server or client``, or ``tcp, redis, or none``."""
    return " or ".join(choices) if len(choices) < 3 else f"{', '.join(choices[:-1])}, or {choices[-1]}"


@dataclasses.dataclass(slots=True)
class Reader:
    """A link while it is parsed, and its problems."""

    name: Any
    settings: Mapping[str, Any]
    #: the settings as the user wrote them: with `ports`, and without the port that each link of them has
    written: Mapping[str, Any]
    list_hosts: Callable[[str], list[str]]
    problems: list[Problem] = dataclasses.field(default_factory=list)

    @property
    def has_ports(self) -> bool:
        """Whether the user wrote `ports`."""
        return self.written is not self.settings

    def refuse(self, message: MapMessage, place: str = "", /, **values: str | int) -> None:
        """Add a problem of a key, or of the whole link."""
        self.problems.append(message.at(Place(link=format_name(self.name), key=place), **values))

    def refuse_value(self, message: MapMessage, key: Key, /, **values: str | int) -> None:
        """Add a problem of a key, with its value as the user wrote it."""
        self.refuse(message, key.name, value=format_value(self.written[key.name]), **values)


def format_limits(key: Key) -> dict[str, str]:
    """Return the limits of a key as fields of messages."""
    return {"minimum": str(key.minimum), "maximum": str(key.maximum)}


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
    reader.refuse(MapMessage.PORT_INVALID, key.name, value=format_value(value), **format_limits(key))
    return None


def parse_choice(reader: Reader, key: Key, value: Any) -> str | None:
    """Return one of the choices of a key."""
    if value in key.choices:
        return str(value)
    reader.refuse(MapMessage.CHOICE_INVALID, key.name, value=format_value(value), choices=join_choices(key.choices))
    return None


def parse_seconds(reader: Reader, key: Key, value: Any) -> int | None:
    """Return whole seconds."""
    if is_whole(value, key):
        return int(value)
    reader.refuse_value(MapMessage.SECONDS_INVALID, key, **format_limits(key))
    return None


def parse_fraction(reader: Reader, key: Key, value: Any) -> int | None:
    """Return the milliseconds of a value in seconds."""
    if not isinstance(value, bool) and FRACTION.fullmatch(str(value)) and key.minimum <= float(value) < key.maximum + 1:
        return round(float(value) * 1000)
    reader.refuse_value(MapMessage.FRACTION_INVALID, key, **format_limits(key))
    return None


def parse_number(reader: Reader, key: Key, value: Any) -> int | None:
    """Return a whole number."""
    if is_whole(value, key) and not str(value).startswith("0"):
        return int(value)
    reader.refuse_value(MapMessage.NUMBER_INVALID, key, **format_limits(key))
    return None


def parse_boolean(reader: Reader, key: Key, value: Any) -> bool | None:
    """Return a boolean."""
    if isinstance(value, bool):
        return value
    reader.refuse_value(MapMessage.BOOLEAN_INVALID, key)
    return None


def parse_backend(reader: Reader, key: Key, value: Any) -> Endpoint | None:
    """Return the address or name of a service, and its port."""
    backend = parse_address(value)
    if backend and (is_address(backend[0]) or BACKEND_HOST.fullmatch(backend[0])):
        return backend
    reader.refuse_value(MapMessage.ADDRESS_INVALID_WITH_PORTS if reader.has_ports else MapMessage.BACKEND_INVALID, key)
    return None


def parse_local(reader: Reader, key: Key, value: Any) -> Endpoint | None:
    """Return an address of the client hosts, and a port."""
    local = parse_address(value)
    if local and is_address(local[0]):
        return local
    if reader.has_ports:
        reader.refuse_value(MapMessage.ADDRESS_INVALID_WITH_PORTS, key)
    else:
        reader.refuse_value(MapMessage.LOCAL_INVALID, key, example=key.example)
    return None


def parse_hosts(reader: Reader, key: Key, value: Any) -> list[str]:
    """Return the names of the hosts that a pattern matches."""
    if not isinstance(value, str) or not value.strip():
        reader.refuse_value(MapMessage.PATTERN_INVALID, key)
        return []
    hosts = reader.list_hosts(value)
    if not hosts:
        reader.refuse_value(MapMessage.PATTERN_WITHOUT_HOSTS, key)
    return hosts


def parse_network(reader: Reader, key: Key, value: Any) -> str | None:
    """Return the name of a Docker network."""
    if isinstance(value, str) and NETWORK.fullmatch(value) and value not in NAMELESS:
        return value
    reader.refuse(MapMessage.NETWORK_INVALID, key.name, value=format_value(value), nameless=", ".join(NAMELESS))
    return None


def parse_networks(reader: Reader, key: Key, value: Any) -> list[str | None]:
    """Return the names of Docker networks."""
    if isinstance(value, list):
        return [parse_network(reader, key, name) for name in value]
    reader.refuse_value(MapMessage.NETWORKS_INVALID, key)
    return []


def parse_targets(reader: Reader, key: Key, value: Any) -> list[Endpoint | None] | None:
    """Return addresses or names of hosts, each with its port, or the name of an SRV record."""
    if isinstance(value, str) and reader.has_ports:
        is_record = reader.written[key.name].startswith(SRV)
        message = MapMessage.TARGETS_RECORD_WITH_PORTS if is_record else MapMessage.TARGETS_INVALID_WITH_PORTS
        reader.refuse_value(message, key)
        return None
    if isinstance(value, str) and value.startswith(SRV) and is_record_name(value[len(SRV) :]):
        # the record has the ports, and the variables need one
        return [(value[len(SRV) :], reader.settings.get("port", 0))]
    if not isinstance(value, (list, tuple)) or not value:
        reader.refuse_value(MapMessage.TARGETS_INVALID, key)
        return None
    targets = [parse_address(target) for target in value]
    invalid = MapMessage.ADDRESS_INVALID_WITH_PORTS if reader.has_ports else MapMessage.TARGET_INVALID
    for written, target in zip(reader.written[key.name], targets, strict=True):
        if target and is_record_name(target[0]):
            reader.refuse(MapMessage.TARGET_IS_RECORD, key.name, name=target[0])
        elif not target or not (is_dialable(target[0]) or is_dns_name(target[0])):
            reader.refuse(invalid, key.name, value=format_value(written))
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
