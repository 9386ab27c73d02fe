# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The types of a status: the answers of hosts, and the report, which docs/status.schema.json describes. Pure Python without Ansible."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideWiring

Health = Literal["up", "degraded", "down", "standby", "unchecked", "leaving", "unknown"]


class ObservedTarget(TypedDict):
    """A target, as the module ``ambassador_info`` returns it."""

    name: str
    address: str | None
    #: in the words of the engine
    state: str
    up: bool
    check_status: str | None
    last_check: str | None
    #: seconds since the target went up or down
    last_change: int | None
    connections: int
    total: int
    #: how many addresses of a backend with several containers are down
    replicas_down: int


class LeavingTarget(TypedDict):
    """A target that is not in the configuration, and still has connections, as the module ``ambassador_info`` returns it."""

    name: str
    address: str
    connections: int


class ObservedLink(TypedDict):
    """A link, as the module ``ambassador_info`` returns it."""

    #: ``open``, ``shut``, or ``gone``
    listen: str
    #: connections that wait for a target
    held: int
    targets: list[ObservedTarget]
    leaving: list[LeavingTarget]


class ObservedCertificate(TypedDict):
    """A certificate, as the module ``ambassador_info`` returns it. Times are in UTC."""

    not_before: str
    not_after: str
    #: negative if the certificate expired
    seconds_left: int


class ObservedSide(TypedDict, total=False):
    """The result of the module ``ambassador_info``: a failure has only ``msg``, and a skipped task has none of these keys."""

    msg: str
    generation: str | None
    #: the generation on disk
    current: str | None
    certificate: ObservedCertificate | None
    history: list[dict[str, Any]]
    links: dict[str, ObservedLink]


class SideAnswer(TypedDict):
    """What is known of a side of a host."""

    wiring: SideWiring
    #: lines of the environment of its containers, if the engine is socat
    environment: list[str]
    info: ObservedSide


class HostAnswer(TypedDict, total=False):
    """What is known of a host. A host that does not answer has only the first keys."""

    #: why Ansible cannot connect
    unreachable: str
    #: the error that its answer causes
    unreadable: str
    engine: str
    #: the network of its ambassadors
    network: str
    #: the result of the module ``observation_info``
    observed: dict[str, Any]
    server: SideAnswer
    client: SideAnswer


class CertificateStatus(TypedDict):
    """The certificate of a side in the report."""

    not_after: str
    #: whole days until then, negative if the certificate expired
    days: int


class SideStatus(TypedDict):
    """A side of a host in the report."""

    side: str
    generation: str | None
    certificate: CertificateStatus | None


class HostStatus(TypedDict):
    """A host in the report."""

    name: str
    reached: bool
    engine: str | None
    sides: list[SideStatus]


class LinkEnds(TypedDict):
    """The hosts of a link."""

    servers: list[str]
    clients: list[str]


class LinkStatus(LinkEnds):
    """A link in the report."""

    alias: str
    health: Health


class SideOfLink(TypedDict):
    """A link on a side in the report."""

    host: str
    side: str
    link: str
    port: int
    listens: bool


class TargetStatus(SideOfLink):
    """A target of a link on a side in the report: a line of the table."""

    target: str | None
    address: str | None
    state: str
    health: Health
    check: str | None
    #: None if nothing counts connections
    connections: int | None
    total: int | None
    #: seconds since the target went up or down
    since: int | None


class HistoryEntry(TypedDict):
    """What a run changed on a side."""

    host: str
    side: str
    time: str
    lines: list[str]
    worked: bool


class StatusReport(TypedDict):
    """A status, as docs/status.schema.json describes it."""

    #: :data:`_status.FORMAT`
    format: int
    time: str
    mesh: str
    #: whether there is no problem
    well: bool
    #: the summary
    verdict: str
    problems: list[str]
    warnings: list[str]
    hosts: list[HostStatus]
    links: list[LinkStatus]
    targets: list[TargetStatus]
    history: list[HistoryEntry]
