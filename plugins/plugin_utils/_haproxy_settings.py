# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parts that all sections of the configuration of HAProxy share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FILES = "/etc/ambassador/generations/@generation@"
# Refusals of a minute are logged up to a limit for each source, and up to another one for all strangers. Metrics count all of them.
# Failed handshakes have a limit of their own: they do not hide the refusal of a certificate of the mesh.
MOST_LINES = 20
LOG_FORMAT = 'log-format "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts '


@dataclass(frozen=True)
class Section:
    """A section, or a condition around sections.

    :param head: its first line
    :param lines: its other lines without their indent
    :param comments: the lines above it
    :param is_separate: whether an empty line precedes it
    """

    head: str
    lines: Sequence[str] = ()
    comments: Sequence[str] = ()
    is_separate: bool = True


@dataclass(frozen=True)
class Settings:
    """The variables of a side that its configuration depends on, as the action plugin ``plan`` has them."""

    side: str
    links: list[dict[str, Any]]
    tls: bool
    crl: bool
    ipv6: bool
    connections: int
    metrics: bool
    not_after: float | None
    ports: dict[int, list[str]]
    subnets: list[str]
    gateways: list[str]
    nameservers: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, variables: dict[str, Any]) -> Settings:
        """Return the settings among the variables of the templates."""
        return cls(**{name: variables[name] for name in cls.__dataclass_fields__ if name in variables})

    @property
    def is_server_side(self) -> bool:
        """Whether the side serves links."""
        return self.side == "server"

    @property
    def many(self) -> int:
        """The number of links. With many links, checks are spread, because they cost CPU, and over TLS a handshake each."""
        return len(self.links)

    @property
    def far_interval(self) -> str:
        """The interval of checks of other hosts: seldom, because refused connections show a failure first."""
        return f"{max(2000, 30 * self.many)}ms downinter {max(1000, 15 * self.many)}ms"

    @property
    def certificate(self) -> str:
        """The options of TLS with certificates on both sides."""
        return f"ssl crt @/host ca-file {FILES}/ca.pem verify required{f' crl-file {FILES}/crl.pem' if self.crl else ''}"

    def bind(self, port: int) -> str:
        """Return the line that listens on a port."""
        return f"bind :::{port} v4v6" if self.ipv6 else f"bind :{port}"

    def refuse(self) -> list[str]:
        """Return the lines that refuse a connection with the variable sess.refused."""
        if not self.is_server_side:
            return ["tcp-request content reject if { var(sess.refused) -m found }"]
        silent = "tcp-request content set-log-level silent if { var(sess.refused) -m found }"
        return [
            "tcp-request content sc-inc-gpc(2,0) if { var(sess.refused) -m found }",
            f"{silent} {{ sc_gpc_rate(2,0) gt {MOST_LINES} }}",
            f"{silent} {{ var(sess.is_quiet) -m found }}",
            "tcp-request content reject if { var(sess.refused) -m found }",
        ]
