# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The proxies of one link in the configuration of HAProxy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._haproxy_checks import CHECKS, REDIS_MASTER, SERVER_SIDE_CHECK
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._haproxy_settings import LOG_FORMAT, Section, Settings

# HAProxy reads at most 64 words of a line
MOST_SUBNETS = 32
# each connection to a target has a source port of its own; without a free one, HAProxy marks the target down
SOURCE_PORTS = 45000
# the servers of a name with SRV records, and those of a name with addresses
SRV_SERVERS, ADDRESS_SERVERS = 8, 4


@dataclass(frozen=True)
class Server:
    """A server of a link.

    :param name: its name, as HAProxy has it
    :param variable: the link variable that holds its address
    :param verify: the name in its certificate, None without TLS
    :param line: its line, up to the options of TLS
    :param check: the options of its check
    :param is_template: whether HAProxy makes several servers of it
    """

    name: str
    variable: str
    verify: str | None
    line: str
    check: str
    is_template: bool


class LinkProxies:
    """The proxies of one link.

    :param settings: the settings of the side
    :param link: the link, as the wiring has it
    """

    def __init__(self, settings: Settings, link: dict[str, Any]) -> None:
        self.settings, self.link, self.alias = settings, link, link["alias"]
        self.is_server_side = settings.is_server_side
        self.is_checked = link["check"] != "none"
        self.replicas = link.get("replicas", 1)
        self.servers = [server for number, target in enumerate(link["targets"]) for server in self._servers(target, number == 0)]
        # on the server side the first server is the backend, the others are the server sides of its peers
        self.peers = self.servers[1:] if self.is_server_side else []
        self.is_single = len(self.servers) == 1 and not self.servers[0].is_template
        # the handshake is part of the connect timeout and of the check timeout; a single server gets more time
        self.connect = link.get("connect") or (3000 if len(link["targets"]) == 1 else None)
        # The kernel sends a second SYN to a full accept queue after 1 s. HAProxy limits the connect phase of a check to the shorter of
        # `inter` and `timeout connect`.
        self.own_timeout = f"{max(1200, 3 * settings.many)}ms" if self.is_server_side and self.is_single else ""
        interval = link.get("check_interval")
        self.interval = f" inter {interval}ms downinter {interval}ms" if interval else ""
        self.is_proxied = bool(link.get("send_proxy")) and not self.is_server_side

    def sections(self) -> list[Section]:
        """Return the sections of the link."""
        sections = [self._consumers()] if self.is_proxied else []
        sections.append(Section(f"{'backend' if self.is_server_side else 'listen'} {self.alias}", list(self._proxy())))
        if self.is_checked and self.peers:
            sections.append(self._peers())
        return [*sections, self._held()]

    def _servers(self, target: dict[str, Any], is_first: bool) -> list[Server]:
        """Return the servers of a target."""
        name, dns = re.sub("[^A-Za-z0-9_.:-]", "_", target["name"]), target.get("dns")
        is_own = self.is_server_side and is_first
        # a name that stands for several is as many servers, each with an address of its own
        count = self.replicas if is_own else SRV_SERVERS if dns == "SRV" else 1
        variable, port = target["variable"], "" if dns == "SRV" else f":${{{target['variable']}_PORT}}"
        options = f' "${{{variable}_ADDR}}{port}"{self._resolved(target, is_own, count)}'
        check = ""
        if target["verify"]:
            options += f" {self.settings.certificate} verifyhost {target['verify']} alpn {self.alias}"
            check = f" check-alpn {self.alias}.check"
        elif is_own and self.link.get("send_proxy") and self.is_checked:
            check = " check-send-proxy"
        # Of a name of a client side, each address is a server: as a line of its own, it can start with its last address, and be tracked.
        if dns == "A" and not self.is_server_side:
            names = [f"{name}.replica{number}" for number in range(1, ADDRESS_SERVERS + 1)]
        else:
            names = [name]
        heads = [f"server {each}" for each in names] if count == 1 else [f"server-template {name}.replica 1-{count}"]
        return [Server(each, variable, target["verify"], head + options, check, count > 1) for each, head in zip(names, heads, strict=True)]

    @staticmethod
    def _resolved(target: dict[str, Any], is_own: bool, count: int) -> str:
        """Return the options that resolve the name of a target."""
        if is_own or target.get("on_this_host"):
            return f" resolvers docker init-addr {'libc,' if count == 1 else ''}none resolve-prefer ipv4"
        if not target.get("dns"):
            return ""
        # of a name that was known before, the generation on disk has the last address in the place of none
        # most records have a weight of 0, with which HAProxy would not use them
        return f" resolvers hosts init-addr none resolve-prefer ipv4{' resolve-opts ignore-weight' if target['dns'] == 'SRV' else ''}"

    def _consumers(self) -> Section:
        return Section(
            f"listen {self.alias}.consumers",
            [*self._opened(), f"server .proxied abns@{self.alias}.proxied send-proxy-v2"],
            ["# what consumers say goes on with their address in front, which the backend takes from it; over TLS it travels inside"],
        )

    def _proxy(self) -> Iterator[str]:
        """Yield the lines of the proxy that has the servers."""
        most = self._most()
        if not self.is_server_side:
            yield from [f"bind abns@{self.alias}.proxied"] if self.is_proxied else self._opened()
            if most:
                yield f'{LOG_FORMAT}refused=%{{+Q}}[var(sess.refused)]"'
        if most:
            count = "be_conn" if self.is_server_side else "fe_conn"
            yield f'tcp-request content set-var(sess.refused) str("more than {most} connections") if {{ {count} gt {most} }}'
            yield from self.settings.refuse()
        if self.peers:
            yield from self._peer_rules()
        yield "# enough to find out that all servers refuse; a single server is tried until `wait` is over"
        yield from self._balance()
        if self.connect:
            yield from [self._check_timeout()] if self.is_server_side else self._timeouts()
        if self.own_timeout:
            yield f"timeout connect {self.own_timeout}"
        if self.is_checked:
            # Errors of traffic mark a server down only if another one can serve. A single server may have a full accept queue: its check
            # is started early.
            observed = f"observe layer4 error-limit {'1 on-error fastinter' if self.is_single else '2 on-error mark-down'}"
            yield f"default-server {observed}{f' inter {self.own_timeout} fall 3' if self.own_timeout else ''}"
        yield from self._check(not self.is_server_side and bool(self.servers[0].verify))
        yield from map(self._server_line, self.servers)
        yield f"server .held abns@{self.alias}.held backup"

    def _server_line(self, server: Server) -> str:
        is_peer = server in self.peers
        backup = " backup" if is_peer and self.replicas > 1 else ""
        if not self.is_checked:
            return f"{server.line}{backup}"
        if is_peer:
            return f"{server.line} track {self.alias}.peers/{server.name}{backup}"
        return f"{server.line}{server.check} check{'' if self.is_server_side else ' init-state down'}{self.interval}"

    def _peer_rules(self) -> Iterator[str]:
        yield "# what a peer could not serve does not go back to it"
        for server in self.peers:
            source = f"var(sess.peer) -m str {server.verify}" if server.verify else f'src "${{{server.variable}_ADDR}}"'
            yield f"acl from_peer {source}"
        for number in range(1, self.replicas + 1):
            yield f"acl own_is_up srv_is_up({self.alias}/{self.servers[0].name}{f'.replica{number}' if self.replicas > 1 else ''})"
        yield "tcp-request content reject if from_peer !own_is_up"

    def _peers(self) -> Section:
        """Return the section that checks the peers."""
        interval = self.interval or f" inter {self.settings.far_interval}"
        return Section(
            f"backend {self.alias}.peers",
            [
                *(self._timeouts() if self.connect else []),
                *self._check(bool(self.peers[0].verify)),
                *(f"{server.line}{server.check} check{interval}" for server in self.peers),
            ],
            ["# how the other hosts are that serve it"],
        )

    def _held(self) -> Section:
        """Return the section that holds connections."""
        servers = [server for server in self.servers if server not in self.peers]
        tracks = [f" track {self.alias}/{server.name}" if self.is_checked and not server.is_template else "" for server in servers]
        return Section(
            f"listen {self.alias}.held",
            [
                f"bind abns@{self.alias}.held",
                *self._balance(),
                *([f"timeout connect {self.own_timeout}"] if self.own_timeout else []),
                f"tcp-request inspect-delay {self.link['wait']}s",
                "tcp-request content lua.wait_for_server",
                *(server.line + track for server, track in zip(servers, tracks, strict=True)),
            ],
            ["# new connections while no server is up"],
        )

    def _opened(self) -> Iterator[str]:
        """Yield the lines that listen for consumers."""
        bind = self.settings.bind(self.link["listen"])
        if self.link["local"]:
            yield bind
        else:
            yield "# a container that only publishes does not open what is not published"
            yield from [".if defined(AMBASSADOR_LOCAL)", f"bind abns@{self.alias}.shut", ".else", bind, ".endif"]
        if "subnets" in self.link:
            yield "# the link does not answer on networks that this side joins for other links"
            yield from _acl("is_offered dst", self.link["subnets"])
            yield "tcp-request connection reject unless is_offered"
        if "sources" in self.link:
            yield "# the link serves these networks; a neighbor of the host may route to a container"
            yield from _acl("is_served src", self.link["sources"])
            yield "tcp-request connection reject unless is_served"
            if self.settings.ipv6:
                yield "# HAProxy compares the IPv4 address inside a 6to4 or IPv4-compatible address with IPv4 subnets"
                yield from ["acl is_embedded_ipv4 src 2002::/16 ::/96", "acl is_loopback src ::1"]
                yield "tcp-request connection reject if is_embedded_ipv4 !is_loopback"
            yield ""

    def _balance(self) -> list[str]:
        """Return the lines that choose a server, and how often."""
        balance = self._algorithm()
        attempts = max(2 * len(self.link["targets"]) + 4, self.link["wait"] if self.is_single else 0)
        # a server that goes or comes moves its own clients only
        return [f"retries {attempts}", f"balance {balance}", *(["hash-type consistent"] if balance == "source" else [])]

    def _algorithm(self) -> str:
        if not self.is_server_side:
            return self.link["balance"]
        if self.replicas == 1:
            return "first"
        return self.link["balance"] if self.link["balance"] in ("leastconn", "source") else "roundrobin"

    def _check_timeout(self) -> str:
        return f"timeout check {max(self.connect, self.settings.many)}ms"

    def _timeouts(self) -> list[str]:
        return [f"timeout connect {self.connect}ms", self._check_timeout()]

    def _check(self, is_of_server_side: bool) -> Sequence[str]:
        """Return the lines of the check of a server side, or of the service."""
        if is_of_server_side:
            return SERVER_SIDE_CHECK
        is_redis = self.link["check"] == "redis" and self.link["balance"] == "first"
        return (*CHECKS.get(self.link["check"], ()), *(REDIS_MASTER if is_redis else ()))

    def _most(self) -> int | None:
        """Return the maximum number of connections, None without one: a link does not take all of them from the others."""
        connections, many = self.settings.connections, self.settings.many
        share = connections * 3 // 4 if many > 1 else connections
        available = SOURCE_PORTS * (1 if self._algorithm() == "first" else len(self.servers))
        return self.link.get("max_connections") or (min(share, available) if many > 1 or share > available else None)


def _acl(name: str, networks: Sequence[str]) -> list[str]:
    """Return an ACL in lines that HAProxy can read."""
    batches = [networks[start : start + MOST_SUBNETS] for start in range(0, len(networks), MOST_SUBNETS)]
    return [f"acl {name} {' '.join(batch)}" for batch in batches]
