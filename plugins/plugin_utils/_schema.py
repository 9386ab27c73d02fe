# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of a link: types, limits, defaults, engines, and documentation. Pure Python without Ansible.

Validation, typo suggestions, and defaults read ``SCHEMA``. Unit tests compare it with the tables of docs/map.md and docs/changes.md.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

# the backend that is the host itself
HOST = "host"
# prefix of targets that are an SRV record, which names hosts and ports
SRV = "srv:"
# address that a server host publishes on if its own address is a name, because the addresses of a name can change
EVERYWHERE = "0.0.0.0"
# addresses that stand for all addresses of a host
WILDCARDS = (EVERYWHERE, "::")
SIDES = ("server", "client")

HAPROXY, SOCAT, NFTABLES = ENGINE_NAMES = ("haproxy", "socat", "nftables")


class Ability(enum.StrEnum):
    """Abilities of engines that no key of a link names, as messages print them."""

    TLS = "TLS"
    ADMISSION = "admission"
    DNS = "a DNS name"
    SEVERAL_TARGETS = "several targets"


class Kind(enum.Enum):
    """Types of values; `_values.py` has a parser for each."""

    PORT = enum.auto()
    PORTS = enum.auto()
    HOSTS = enum.auto()
    BACKEND = enum.auto()
    CHOICE = enum.auto()
    SECONDS = enum.auto()
    FRACTION = enum.auto()
    NUMBER = enum.auto()
    LOCAL = enum.auto()
    TARGETS = enum.auto()
    BOOLEAN = enum.auto()
    NETWORK = enum.auto()
    NETWORKS = enum.auto()


class Required(enum.Enum):
    """The links that need a key."""

    NEVER = enum.auto()
    ALWAYS = enum.auto()
    WITH_SERVER_SIDE = enum.auto()


class Effect(enum.Enum):
    """What a change of a key does to the containers of a side, as docs/changes.md prints it."""

    LIVE = "live"
    ADD_CONTAINER = "additional container"
    ADD_CONTAINER_FOR_PORT = "additional container, if the port is not published yet"
    ADD_CONTAINER_FOR_ADDRESS = "additional container, if the address is not published yet"
    ADD_CONTAINER_BY_DEFAULT = "additional container, if the link has no `publish`"
    JOIN_NETWORK = "joins that network, live"
    JOIN_NETWORKS = "joins these networks, live"


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a link."""

    name: str
    kind: Kind
    #: its meaning, as docs/map.md prints it
    meaning: str
    #: a correct value
    example: Any
    #: what a change does to the server side and to the client side
    effects: tuple[Effect, Effect] = (Effect.LIVE, Effect.LIVE)
    #: None if there is no default, or it depends on the engine or on other keys
    default: Any = None
    #: the default, as docs/map.md prints it, if it is not a value
    default_text: str = ""
    #: limits of a number
    minimum: float = 0
    maximum: float = 0
    choices: tuple[str, ...] = ()
    #: choice -> engines that support it, for choices that not all engines support
    engines_of_choice: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: engines that support the key
    engines: tuple[str, ...] = ENGINE_NAMES
    required: Required = Required.NEVER
    #: whether only a server side uses it
    is_server_only: bool = False
    #: whether its value has no port in a link with `ports`
    has_port: bool = False


SCHEMA = {
    key.name: key
    for key in (
        Key(
            "port",
            Kind.PORT,
            "port that applications connect to, at the alias",
            example=6379,
            effects=(Effect.ADD_CONTAINER_BY_DEFAULT, Effect.LIVE),
            minimum=1,
            maximum=65535,
            required=Required.ALWAYS,
        ),
        Key(
            "ports",
            Kind.PORTS,
            "list of [several ports](#ports) instead of `port`, for example `[53, 53/udp]`",
            example=[53, "53/udp"],
            effects=(Effect.ADD_CONTAINER_BY_DEFAULT, Effect.LIVE),
            minimum=1,
            maximum=65535,
        ),
        Key(
            "servers",
            Kind.HOSTS,
            "group or host pattern of the hosts that serve the link",
            example="VM1",
            required=Required.WITH_SERVER_SIDE,
        ),
        Key(
            "clients",
            Kind.HOSTS,
            "group or host pattern of the hosts whose containers use the link",
            example="VM2",
            required=Required.ALWAYS,
        ),
        Key(
            "backend",
            Kind.BACKEND,
            "[the service](#backend), as containers on its host see it: `name:port`",
            example="redis_server:6379",
            required=Required.WITH_SERVER_SIDE,
            is_server_only=True,
            has_port=True,
        ),
        Key(
            "publish",
            Kind.PORT,
            "port on the server hosts. Links with TLS can share one, because the alias is part of the TLS handshake",
            example=7000,
            effects=(Effect.ADD_CONTAINER_FOR_PORT, Effect.LIVE),
            default_text="`port`",
            minimum=1,
            maximum=65535,
            is_server_only=True,
        ),
        Key(
            "check",
            Kind.CHOICE,
            "[health check](engines.md#health-checks) of the service: `tcp`, `redis`, `postgresql`, `mysql`, `http`, `smtp`, or `none`",
            example="redis",
            default="tcp",
            choices=("tcp", "redis", "postgresql", "mysql", "http", "smtp", "none"),
            engines=(HAPROXY,),
        ),
        Key(
            "check_interval",
            Kind.FRACTION,
            "seconds between two checks of a server",
            example=5,
            default_text="on its own host 0.25, or 1.2 if the link has one server; from another host 2",
            minimum=0.05,
            maximum=99,
            engines=(HAPROXY,),
        ),
        Key(
            "balance",
            Kind.CHOICE,
            "choice of the server for a new connection: `first` healthy server, `roundrobin`, `leastconn`, or `source`",
            example="roundrobin",
            default="first",
            choices=("first", "roundrobin", "leastconn", "source"),
            # without checks no server is the first healthy one, and the kernel does not count the connections of a target
            engines_of_choice={
                "first": (HAPROXY,),
                "roundrobin": (HAPROXY, NFTABLES),
                "leastconn": (HAPROXY,),
                "source": (HAPROXY, NFTABLES),
            },
        ),
        Key(
            "connect",
            Kind.FRACTION,
            "seconds for a connection to a server host and its TLS handshake, and for the reply to a check",
            example=0.5,
            default_text="3 for one server; 0.5 for several, and 0.3 for a check",
            minimum=0.05,
            maximum=99,
            engines=(HAPROXY,),
        ),
        Key(
            "wait",
            Kind.SECONDS,
            "seconds for which a new connection waits while no server is up. Then the client side closes the connection",
            example=5,
            default=3,
            maximum=9999,
            engines=(HAPROXY,),
        ),
        Key(
            "drain",
            Kind.SECONDS,
            "seconds until connections to a removed target are closed",
            example=60,
            default=10,
            maximum=9999,
            engines=(HAPROXY, NFTABLES),
        ),
        Key(
            "max_connections",
            Kind.NUMBER,
            "connections of the link on each host and side. The side closes further connections at once, and logs them",
            example=100,
            default_text="all, or three quarters if the host has other links; at most 45,000 to a target",
            minimum=1,
            maximum=9999999,
            engines=(HAPROXY,),
        ),
        Key(
            "local",
            Kind.LOCAL,
            "[address and port on the client hosts](#local) for programs outside of containers, for example `127.0.0.1:6379`",
            example="127.0.0.1:6379",
            effects=(Effect.LIVE, Effect.ADD_CONTAINER_FOR_ADDRESS),
            has_port=True,
        ),
        Key(
            "targets",
            Kind.TARGETS,
            "list of [services outside of the inventory](#targets): `address:port`, `name:port`, or `srv:` and the name of an SRV record",
            example=["192.0.2.1:6379"],
            has_port=True,
        ),
        Key(
            "protocol",
            Kind.CHOICE,
            "`tcp`, or `udp` with the engine `nftables`. A link of each protocol can share a port",
            example="udp",
            effects=(Effect.ADD_CONTAINER, Effect.LIVE),
            default="tcp",
            choices=("tcp", "udp"),
            engines_of_choice={"udp": (NFTABLES,)},
        ),
        Key(
            "send_proxy",
            Kind.BOOLEAN,
            "`true` sends the address of the application to the service, with the [PROXY protocol](#proxy-protocol)",
            example=True,
            default=False,
            engines=(HAPROXY,),
        ),
        Key(
            "network",
            Kind.NETWORK,
            "Docker network on the server hosts that the server side joins to reach the backend, for example `shop_default`",
            example="shop_default",
            effects=(Effect.JOIN_NETWORK, Effect.LIVE),
            default_text="the network of the ambassadors",
            is_server_only=True,
        ),
        Key(
            "networks",
            Kind.NETWORKS,
            "list of [Docker networks on the client hosts](#networks) that the client side joins",
            example=["shop_default"],
            effects=(Effect.LIVE, Effect.JOIN_NETWORKS),
        ),
    )
}
# key that earlier versions had -> why a link does not need it
REMOVED = {"user_timeout": "Connections on a dead path end within 15 seconds without it."}


def _list_features() -> dict[str, tuple[str, ...]]:
    """Return feature -> engines that have it, for all features that some engine lacks."""
    features: dict[str, tuple[str, ...]] = {
        Ability.TLS: (HAPROXY,),
        Ability.ADMISSION: (HAPROXY,),
        Ability.DNS: (HAPROXY,),
        Ability.SEVERAL_TARGETS: (HAPROXY, NFTABLES),
    }
    for key in SCHEMA.values():
        features.update({f"{key.name} {choice}": engines for choice, engines in key.engines_of_choice.items()})
    features.update({key.name: key.engines for key in SCHEMA.values() if key.engines != ENGINE_NAMES})
    return features


FEATURES = _list_features()
# engine -> what it cannot do
ENGINES = {engine: tuple(feature for feature, engines in FEATURES.items() if engine not in engines) for engine in ENGINE_NAMES}
BALANCES = tuple(f"balance {choice}" for choice in SCHEMA["balance"].choices)
