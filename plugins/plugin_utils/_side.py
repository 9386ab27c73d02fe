# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The types of the wiring of a host and side, which templates and JSON files read. Pure Python without Ansible."""

from __future__ import annotations

from typing import TypedDict

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Problem


class Target(TypedDict):
    """A target of a link on a side, ready for templates."""

    name: str
    address: str
    port: int
    #: the link variable with its URL
    variable: str
    #: the name that its certificate must have; None without TLS
    verify: str | None
    #: type of the DNS record that is requested, ``A`` or ``SRV``; None for an address, and for a backend
    dns: str | None
    #: whether the address is the name of the container of the server side on the same host
    on_this_host: bool
    #: ``ip`` and ``ip6``, in the words of nftables
    families: list[str]


class SideLink(TypedDict, total=False):
    """A link of a side."""

    alias: str
    #: the name that clients dial: the alias, without the port that identifies a link of `ports`
    name: str
    #: the port that the side listens on
    listen: int
    #: further ports; :mod:`_handover` adds them
    also: list[int]
    #: number of the container of the side that forwards the link; :mod:`_container_numbers` sets numbers other than 1
    place: int
    #: the port in the names of its variables
    number: int
    protocol: str
    check: str
    balance: str
    #: in milliseconds, or None
    check_interval: int | None
    connect: int | None
    max_connections: int | None
    send_proxy: bool
    #: in seconds
    wait: int
    drain: int
    #: the service; without a server side, the first target
    backend: str
    servers: list[str]
    #: the link variables of a consumer on a client host
    consumer: dict[str, str]
    #: on the server side the backend first, then the other hosts that serve the link
    targets: list[Target]
    #: Docker networks that the side joins for the link
    networks: list[str]
    #: on the server side: the client hosts
    clients: list[str]
    #: on the server side: clients that are authorized. Names with TLS, addresses without, ``gateway`` for the host itself and the network
    #: of its ambassadors
    admitted: list[str]
    #: on the client side: whether it opens ``local``
    local: bool


class Published(TypedDict):
    """A port that a side opens on its host."""

    alias: str
    #: ``publish`` or ``local``
    key: str
    address: str
    port: int
    container_port: int
    protocol: str


class KnownAddress(TypedDict):
    """The source of a host's address, and the other addresses of the host."""

    origin: str
    others: list[str]


class SideWiring(TypedDict, total=False):
    """The wiring of a host and side."""

    #: problems of the map, then problems of this side
    problems: list[Problem]
    #: hosts without an address in variables and facts
    unknown: list[str]
    #: the problems about hosts in ``unknown``
    unknown_problems: list[Problem]
    #: the link variables that are the input of the side
    variables: dict[str, str]
    publish: list[Published]
    links: list[SideLink]
    #: host -> its address
    addresses: dict[str, KnownAddress]
    #: host that connects to a server side -> its addresses
    sources: dict[str, list[str]]
    #: client host -> aliases that do not authorize it, because its address is not known
    left_out: dict[str, list[str]]
    #: name of the side's ambassador
    holder: str
    #: whether the client side of this host connects to the container of its server side
    serves_itself: bool
    #: whether a link names the host
    is_in_map: bool
