# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of a link: types, limits, defaults, engines, and documentation. Pure Python without Ansible.

Validation, typo suggestions, and defaults read ``SCHEMA``. Unit tests compare it with the tables of the README and of docs/changes.md.
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
    PUBLISH = "beside, for a port that is not published yet"
    PUBLISH_BY_DEFAULT = "beside, if `publish` is not set"
    BESIDE = "beside"
    JOIN = "joins the network, live"


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a link."""

    name: str
    kind: Kind
    #: its meaning, as the table of the README prints it
    meaning: str
    #: a correct value
    example: Any
    #: what a change does to the server side and to the client side
    effects: tuple[Effect, Effect] = (Effect.LIVE, Effect.LIVE)
    #: None if there is no default, or it depends on the engine or on other keys
    default: Any = None
    #: the default, as the table of the README prints it, if it is not a value
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
            "port that consumers dial on the alias; links may share one, and then have a container each on the client side",
            example=6379,
            effects=(Effect.PUBLISH_BY_DEFAULT, Effect.LIVE),
            minimum=1,
            maximum=65535,
            required=Required.ALWAYS,
        ),
        Key(
            "ports",
            Kind.PORTS,
            "in the place of `port` a list of ports, UDP with `/udp` behind: `[53, 53/udp]`. `backend`, `local` and `targets` say no port"
            " then, for each port leads to the same one there; `status` calls each `alias:port`",
            example=[53, "53/udp"],
            effects=(Effect.PUBLISH_BY_DEFAULT, Effect.LIVE),
            minimum=1,
            maximum=65535,
        ),
        Key(
            "servers",
            Kind.HOSTS,
            "group, or host pattern, of the hosts that serve the link",
            example="VM1",
            required=Required.WITH_SERVER_SIDE,
        ),
        Key(
            "clients",
            Kind.HOSTS,
            "group, or host pattern, of the hosts that consume it",
            example="VM2",
            required=Required.ALWAYS,
        ),
        Key(
            "backend",
            Kind.BACKEND,
            "`name:port` of the service as its own host's containers see it; `host:port` for a program on the host itself (not"
            " `localhost`, which is the ambassador), `address:port` for another machine. Not with `targets` without `servers`",
            example="redis_server:6379",
            required=Required.WITH_SERVER_SIDE,
            is_server_only=True,
            has_port=True,
        ),
        Key(
            "publish",
            Kind.PORT,
            "port on the server hosts; links may share one, for the alias travels along",
            example=7000,
            effects=(Effect.PUBLISH, Effect.LIVE),
            default_text="`port`",
            minimum=1,
            maximum=65535,
            is_server_only=True,
        ),
        Key(
            "check",
            Kind.CHOICE,
            "how to [check the health](docs/engines.md#health-checks) of the service: `tcp`, `redis`, `postgresql`, `mysql`, `http`,"
            " `smtp`, or `none`",
            example="redis",
            default="tcp",
            choices=("tcp", "redis", "postgresql", "mysql", "http", "smtp", "none"),
            engines=(HAPROXY,),
        ),
        Key(
            "check_interval",
            Kind.FRACTION,
            "seconds between two checks of a server that is up",
            example=5,
            default_text="0.25 on its own host, 2 from another",
            minimum=0.05,
            maximum=99,
            engines=(HAPROXY,),
        ),
        Key(
            "balance",
            Kind.CHOICE,
            "`first` (the first healthy server), `roundrobin`, `leastconn`, or `source` (each consumer address stays on one server)."
            " Protocols with cancel requests, such as PostgreSQL, need `first` or `source`",
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
            "seconds that a connection to a server host may take, handshake included, before another is tried; and the answer to a check",
            example=0.5,
            default_text="3 for one server; for several 0.5, and 0.3 for a check",
            minimum=0.05,
            maximum=99,
            engines=(HAPROXY,),
        ),
        Key(
            "wait",
            Kind.SECONDS,
            "seconds that a new connection is held while no server is up; then it is closed",
            example=5,
            default=3,
            maximum=9999,
            engines=(HAPROXY,),
        ),
        Key(
            "drain",
            Kind.SECONDS,
            "seconds until connections to what is no target of the link any more are cut",
            example=60,
            default=10,
            maximum=9999,
            engines=(HAPROXY, NFTABLES),
        ),
        Key(
            "max_connections",
            Kind.NUMBER,
            "connections that the link may have on a host and side; one more is closed at once, and logged",
            example=100,
            default_text="all, or three quarters where there are other links; at most 45,000 to a target",
            minimum=1,
            maximum=9999999,
            engines=(HAPROXY,),
        ),
        Key(
            "local",
            Kind.LOCAL,
            "`address:port` also opened on the client hosts, for programs outside containers. Each run connects to it. With"
            " `userland-proxy: false`, Docker cannot open `[::1]`, and other IPv6 addresses need `ambassador_ipv6: true`",
            example="127.0.0.1:6379",
            effects=(Effect.LIVE, Effect.PUBLISH),
            has_port=True,
        ),
        Key(
            "targets",
            Kind.TARGETS,
            "list of `address:port` or `name:port` that wins over the inventory; or `srv:` and the name of an SRV record,"
            " `srv:_redis._tcp.example.com`, which begins with an underscore. Without `servers`, a link has no server side, and no"
            " `backend`, `publish`, or `network`",
            example=["192.0.2.1:6379"],
            has_port=True,
        ),
        Key(
            "protocol",
            Kind.CHOICE,
            "`tcp`, or `udp` with the engine `nftables`; a link of each may share a port",
            example="udp",
            effects=(Effect.BESIDE, Effect.LIVE),
            default="tcp",
            choices=("tcp", "udp"),
            engines_of_choice={"udp": (NFTABLES,)},
        ),
        Key(
            "send_proxy",
            Kind.BOOLEAN,
            "`true` tells the backend the consumer's address, in a header of the PROXY protocol (version 2), which the service must take,"
            " as nginx and HAProxy can; without it the service sees one address for all consumers",
            example=True,
            default=False,
            engines=(HAPROXY,),
        ),
        Key(
            "network",
            Kind.NETWORK,
            "Docker network of the server hosts on which the backend is, as a Compose project's `shop_default`; the server side joins it."
            " Of a scaled service each container takes its share; a run finds out that there are several, and from then on more and fewer"
            " are followed live",
            example="shop_default",
            effects=(Effect.JOIN, Effect.LIVE),
            default_text="that of the ambassadors",
            is_server_only=True,
        ),
        Key(
            "networks",
            Kind.NETWORKS,
            "list of Docker networks of the client hosts on which the alias answers in addition to `ambassador_network`. The client side"
            " joins them, and the link answers on no other network that the side joins for other links. It accepts connections only from"
            " the subnets of its networks, and with `local` on an address that other hosts reach, from everywhere. With the engine"
            " `socat`, all links of a client host need the same `networks`",
            example=["shop_default"],
            effects=(Effect.LIVE, Effect.JOIN),
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
