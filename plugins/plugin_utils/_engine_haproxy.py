# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of HAProxy: sections of lines, which the template haproxy.cfg.j2 prints.

A changed byte reloads HAProxy on each host of each deployment.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._haproxy_links import LinkProxies
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._haproxy_settings import FILES, LOG_FORMAT, MOST_LINES, Section, Settings

# the handshake errors that the rules of a server side refuse and log afterwards
IGNORED_ERRORS = "X509_V_ERR_CERT_HAS_EXPIRED,X509_V_ERR_CERT_NOT_YET_VALID,X509_V_ERR_CERT_REVOKED"
# A self-signed certificate can hold any characters, also a line feed. Names of the mesh have only these.
PEER = "ssl_c_s_dn(CN),regsub([^A-Za-z0-9_.:-],?,g)"
# in the place of a source: all containers of the host that are not known as clients; no connection comes from a multicast address
NEIGHBORS = "ff02::1"
# the parts of the line of a handshake that fails; as words, `-` for a missing value would be logged alone
FAILED_HANDSHAKE = (
    *("src", "str(:)", "src_port", 'accept_date(ms),ms_ltime(" [%d/%b/%Y:%H:%M:%S.%3N] ")', "fe_name", 'str(" link=")', "ssl_fc_alpn"),
    *('str(" peer=")', PEER, r'str(" refused=\"")', "fc_err_str", 'str(", ")', "ssl_fc_err_str", r'str("\"")'),
)


def sections(variables: dict[str, Any]) -> list[Section]:
    """Return the sections of the configuration from the variables of the templates."""
    settings = Settings.of(variables)
    parts = [*_general(settings), *_resolvers(settings)]
    if settings.is_server_side:
        parts += [*_tables(settings), *(_frontend(settings, port, aliases) for port, aliases in settings.ports.items())]
    if settings.metrics:
        parts.append(_metrics(settings))
    # two links with one port have a container each, with this configuration
    is_placed = max(link["place"] for link in settings.links) > 1
    for link in settings.links:
        proxies = LinkProxies(settings, link).sections()
        parts += [_condition(link["place"]), *proxies, Section(".endif", is_separate=False)] if is_placed else proxies
    return parts


def _condition(place: int) -> Section:
    if place > 1:
        return Section(f'.if streq("$AMBASSADOR_PLACE",{place}) || defined(AMBASSADOR_CHECKED)')
    return Section(".if !defined(AMBASSADOR_PLACE)")


def _general(settings: Settings) -> list[Section]:
    """Return the sections that do not depend on single links."""
    many = settings.many
    lines = [
        "log stdout format raw local0",
        "# HAProxy takes as many connections as it has descriptors for: as many as there is memory for, or fewer where the system says so",
        f"fd-hard-limit {2 * settings.connections + 8 * many + 200}",
        "# an old worker, some 10 MiB, lives until its last connection ends, but not through more reloads than these",
        "mworker-max-reloads 20",
        "# after a reload the first checks come at once",
        f"max-spread-checks {max(20, 2 * many, 20 * many - 2000)}",
        "tune.lua.bool-sample-conversion normal",
        f"lua-load {FILES}/links.lua {settings.side} @generation@",
    ]
    if settings.is_server_side:
        lines += ["tune.stick-counters 5", *(["localpeer ambassador"] if settings.tls else [])]
    general = []
    if settings.tls:
        lines += [
            "# a record of TLS, 16 KiB, does not fit into a buffer of the default size",
            "tune.bufsize 32768",
            "ssl-default-bind-options ssl-min-ver TLSv1.3",
            "ssl-default-server-options ssl-min-ver TLSv1.3",
        ]
        load = f"load crt {FILES}/cert.pem key /etc/ambassador-identity/key.pem alias host"
        general.append(Section("crt-store", [load], ["# the key stays where it was made, beside no generation"]))
    return [Section("global", lines, is_separate=False), *general, _defaults(settings)]


def _defaults(settings: Settings) -> Section:
    many = settings.many
    interval = f"{max(250, 3 * many)}ms" if settings.is_server_side else settings.far_interval
    return Section(
        "defaults",
        [
            "log global",
            "mode tcp",
            "option dontlog-normal",
            "option tcplog",
            "# Idle connections have no timeout. Keepalive ends them on a dead path, and tcp_retries2 of the container ends busy ones.",
            "timeout client 24d",
            "timeout server 24d",
            "timeout tunnel 24d",
            "option clitcpka",
            "clitcpka-idle 5s",
            "clitcpka-intvl 3s",
            "clitcpka-cnt 3",
            "option srvtcpka",
            "srvtcpka-idle 5s",
            "srvtcpka-intvl 1s",
            "srvtcpka-cnt 3",
            "timeout connect 500ms",
            f"timeout check {max(300, many)}ms",
            "timeout queue 3s",
            "option redispatch 1",
            "# a backend is asked often, on its own host; other hosts seldom, for refused connections tell first",
            f"default-server inter {interval} fastinter {max(100, 10 * many)}ms fall 2 rise 2",
        ],
    )


def _resolvers(settings: Settings) -> list[Section]:
    """Return the sections that resolve names of containers and, if a target needs them, names of hosts."""
    docker = Section(
        "resolvers docker",
        [
            "parse-resolv-conf",
            "timeout resolve 500ms",
            "timeout retry 500ms",
            "hold valid 1s",
            "hold other 500ms",
            "hold nx 500ms",
            "# a Docker Engine that is away answers nothing, and its containers may go on: checks find out",
            "hold timeout 24d",
            "hold refused 24d",
        ],
        ["# names of containers, asked of Docker's own DNS; one that is away is asked for again at once"],
    )
    if not any(target.get("dns") for link in settings.links for target in link["targets"]):
        return [docker]
    servers = [f"[{address}]" if ":" in address else address for address in settings.nameservers]
    hosts = Section(
        "resolvers hosts",
        [
            *(f"nameserver {number} {address}:53" for number, address in enumerate(servers, 1)),
            "accepted_payload_size 4096",
            "timeout resolve 1s",
            "timeout retry 500ms",
            "hold valid 2s",
            *(f"hold {answer} 24d" for answer in ("other", "nx", "timeout", "refused")),
        ],
        ["# names of hosts, asked of the host's own name servers, which follow the time to live; without them the last answer holds"],
    )
    return [docker, hosts]


def _tables(settings: Settings) -> list[Section]:
    """Return the tables in which a server side counts sources."""
    sources = Section(
        "backend ambassador.sources",
        ["stick-table type ipv6 size 20k expire 1m store conn_cur,gpc(3),gpc_rate(3,1m)", *([] if settings.tls else [""])],
        [
            "# Connections of each source, and its failed handshakes, logged connections, and refusals (the counters 0 to 2).",
            "# The source :: stands for all strangers: the sources that are not known as clients.",
            *([f"# {NEIGHBORS} stands for the strangers that are containers of this host."] if settings.subnets else []),
        ],
    )
    if not settings.tls:
        return [sources]
    return [
        sources,
        Section(
            "backend ambassador.clients",
            ["stick-table type ipv6 size 20k expire 1h store conn_cur"],
            ["# connections of each source after its first connection with the certificate of a client"],
        ),
        Section(
            "backend ambassador.known",
            ["stick-table type ipv6 size 20k expire 1h peers ambassador.workers"],
            ["# Sources that have shown the certificate of a client. On a reload, the old worker sends them to the new one."],
        ),
        Section(
            "peers ambassador.workers",
            ["# only this container reaches the socket", "bind abns@ambassador.workers", "server ambassador"],
        ),
    ]


def _frontend(settings: Settings, port: int, aliases: list[str]) -> Section:
    """Return the section in which client sides connect to links on a port."""
    return Section(
        f"frontend publish.{port}",
        [
            *_bind(settings, port, aliases),
            "# before a connection has a server; after that, the tunnel's timeout applies",
            "timeout client 10s",
            f'{LOG_FORMAT}link=%[var(sess.link)] peer=%[var(sess.peer)] refused=%{{+Q}}[var(sess.refused)]"',
            "",
            *_sources(settings),
            *_limits(settings),
            *(_handshakes(settings) if settings.tls else _plain_session(aliases)),
            *_authorization(settings, aliases),
            *settings.refuse(),
            *(_state_requests() if settings.tls else []),
            "use_backend %[var(sess.link)]",
        ],
    )


def _bind(settings: Settings, port: int, aliases: list[str]) -> list[str]:
    if not settings.tls:
        return [settings.bind(port)]
    protocols = ",".join(alias + suffix for alias in aliases for suffix in ("", ".check"))
    return [f"{settings.bind(port)} {settings.certificate} crt-ignore-err {IGNORED_ERRORS} alpn {protocols}"]


def _sources(settings: Settings) -> list[str]:
    """Return the rules that classify the source of a connection."""
    lines = [f"acl is_client src -f {FILES}/clients.lst"]
    if settings.tls:
        lines.append("acl is_client src,in_table(ambassador.known)")
    if settings.subnets:
        lines.append("# containers, and the client side of this host; connections from elsewhere can arrive from the address of the host")
        lines.append(f"acl is_neighbor src {' '.join(settings.subnets)}")
        if settings.gateways:
            lines.append(f"acl is_host src {' '.join(settings.gateways)}")
        lines.append("acl is_local var(sess.is_neighbor) -m found")
        no_host = " !is_host" if settings.gateways else ""
        lines.append(f"tcp-request connection set-var(sess.is_neighbor) bool(true) if is_neighbor{no_host}")
    if settings.ipv6:
        lines.append("# HAProxy compares the IPv4 address inside a 6to4 or IPv4-compatible address with IPv4 addresses and subnets")
        lines += ["acl is_embedded_ipv4 src 2002::/16 ::/96", "acl is_loopback src ::1"]
        lines += ["tcp-request connection unset-var(sess.is_neighbor) if is_embedded_ipv4"] if settings.subnets else []
        if not settings.tls:
            lines.append("tcp-request connection reject if is_embedded_ipv4 !is_loopback")
    return lines


def _limits(settings: Settings) -> list[str]:
    """Return the rules that limit the connections of each source, and of all strangers."""
    connections, is_embedded = settings.connections, " or is_embedded_ipv4 !is_loopback" if settings.ipv6 else ""
    clients = {client for link in settings.links for client in link.get("clients", [])}
    lines = ["tcp-request connection track-sc0 src table ambassador.sources"]
    if len(clients) > 1:
        lines.append("# one client host does not take the connections of the links of other client hosts")
        lines.append(f"tcp-request connection reject if {{ sc0_conn_cur gt {connections * 7 // 8} }}")
    quiet = "tcp-request connection set-var(sess.is_quiet) bool(true) if { sc1_tracked }"
    remote = ""
    if settings.subnets:
        remote = " !is_local"
        lines.append("# containers of this host do not take the connections of other hosts")
        lines.append(f"tcp-request connection track-sc1 str({NEIGHBORS}) table ambassador.sources if is_local !is_client")
    lines += [
        f"tcp-request connection track-sc1 str(::) table ambassador.sources if !is_client{is_embedded}",
        "# a stranger becomes known with its first certificate, so each of its connections may be one that is logged",
        f"{quiet} {{ sc0_gpc1_rate ge {MOST_LINES} }}",
        f"{quiet} {{ sc1_gpc1_rate ge {10 * MOST_LINES} }}",
    ]
    if settings.tls:
        timeout = max(5000, min(10000, max(link.get("connect") or 0 for link in settings.links)))
        all_verified = "tcp-request connection set-var(sess.all_verified)"
        unverified, reject = "sc0_conn_cur,sub(sess.verified)", "tcp-request connection reject if"
        lines += [
            "# A handshake costs capacity before the certificate is known: a source gets a part of it,"
            " and all strangers together leave most of it.",
            "# as long as a client side waits, within limits",
            f"timeout client-hs {timeout}ms",
            "tcp-request connection set-var(sess.verified) src,table_conn_cur(ambassador.clients)",
            f"{all_verified} str(::),table_conn_cur(ambassador.clients)",
            *([f"{all_verified} str({NEIGHBORS}),table_conn_cur(ambassador.clients) if is_local"] if remote else []),
            f"{reject} {{ {unverified} gt {connections * 3 // 4} }}",
            f"{reject} {{ sc1_tracked }} {{ {unverified} gt {connections // 16} }}{remote}",
            f"{reject} {{ sc1_tracked }} {{ sc1_conn_cur,sub(sess.all_verified) gt {connections // 8} }}{remote}",
            *([f"{reject} {{ sc1_tracked }} {{ {unverified} gt {connections // 8} }}"] if remote else []),
            *([f"{reject} {{ sc1_tracked }} {{ sc1_conn_cur,sub(sess.all_verified) gt {connections // 4} }}"] if remote else []),
        ]
    return [
        *lines,
        "tcp-request connection sc-inc-gpc1(0) if { sc1_tracked } !{ var(sess.is_quiet) -m found }",
        "tcp-request connection sc-inc-gpc1(1) if { sc1_tracked } !{ var(sess.is_quiet) -m found }",
    ]


def _plain_session(aliases: list[str]) -> list[str]:
    # a port has one link without TLS
    return [f"tcp-request session set-var(sess.link) str({aliases[0]})", "tcp-request session set-var(sess.peer) src"]


def _handshakes(settings: Settings) -> list[str]:
    """Return the rules that log failed handshakes, and read and verify the certificate of a session."""
    parts = "".join(f"%[{part},when(!acl,is_quiet)]" for part in FAILED_HANDSHAKE)
    refuse, days = "tcp-request session set-var-fmt(sess.refused)", "-m len 13 }"
    serial = "%[ssl_c_serial,hex]"
    return [
        "",
        "# a handshake that fails is counted here, because no rule runs after it; an empty line is not logged",
        f"acl is_quiet sc0_gpc0_rate gt {MOST_LINES}",
        "acl is_quiet var(sess.is_quiet) -m found",
        "acl is_never always_false",
        f"error-log-format '%{{-M}}o%[sc0_inc_gpc0,when(acl,is_never)]{parts}'",
        "tcp-request session set-var(sess.link) ssl_fc_alpn,field(1,.)",
        f"tcp-request session set-var(sess.peer) {PEER}",
        "# a session that is resumed is verified no more, but holds the certificate; a year of four digits is far away",
        "tcp-request session set-var(sess.now) date,utime(%y%m%d%H%M%S)",
        f'{refuse} "certificate expired %[ssl_c_notafter]" if {{ ssl_c_verify 10 }}'
        f" or {{ ssl_c_notafter {days} {{ ssl_c_notafter,field(1,Z),sub(sess.now) lt 0 }}",
        f'{refuse} "certificate not valid before %[ssl_c_notbefore], check the clocks of both hosts" if {{ ssl_c_verify 9 }}'
        f" or {{ ssl_c_notbefore {days} {{ ssl_c_notbefore,field(1,Z),sub(sess.now) gt 0 }}",
        *(
            [f'{refuse} "certificate {serial} revoked %[ssl_c_serial,hex,map({FILES}/revoked.lst)]" if {{ ssl_c_verify 23 }}']
            if settings.crl
            else []
        ),
    ]


def _authorization(settings: Settings, aliases: list[str]) -> list[str]:
    """Return the rules that refuse sessions of hosts that are not clients of the link."""
    # without TLS the client side of this host is known by its network; a port has one link then
    own_clients = [] if settings.tls else [link["alias"] for link in settings.links if "gateway" in link["admitted"]]
    is_own = f" !{{ src {' '.join(settings.subnets)} }}" if aliases[0] in own_clients and settings.subnets else ""
    admitted = f"!{{ var(sess.link),concat(/,sess.peer) -m str -f {FILES}/admitted.lst }}"
    accepted = "if !{ var(sess.refused) -m found }"
    lines = [
        'tcp-request session set-var(sess.refused) str("no such link") if !{ var(sess.link) -m found }',
        f'tcp-request session set-var(sess.refused) str("not a client of the link") {accepted} {admitted}{is_own}',
    ]
    if settings.tls:
        tracked = f"{accepted} {{ sc1_tracked }}"
        lines += [
            f"tcp-request session track-sc2 src table ambassador.clients {accepted}",
            *([f"tcp-request session track-sc3 str({NEIGHBORS}) table ambassador.clients {tracked} is_local"] if settings.subnets else []),
            f"tcp-request session track-sc3 str(::) table ambassador.clients {tracked}",
            f"tcp-request session track-sc4 src table ambassador.known {accepted}",
        ]
    return lines


def _state_requests() -> list[str]:
    """Return the rules that answer the checks of client sides."""
    return [
        "tcp-request content set-log-level silent if { ssl_fc_alpn -m end .check }",
        "tcp-request content use-service lua.tell_state if { ssl_fc_alpn -m end .check }",
    ]


def _metrics(settings: Settings) -> Section:
    """Return the section that serves metrics."""
    text = r"ambassador_generation_info{generation=\"@generation@\"} 1\n"
    if settings.not_after:
        text += rf"ambassador_certificate_not_after_seconds {int(settings.not_after)}\n"
    return Section(
        "frontend ambassador.metrics",
        [
            "bind unix@/run/ambassador/metrics.sock mode 666",
            "mode http",
            "timeout client 30s",
            "http-request use-service prometheus-exporter if { path /metrics }",
            f'http-request return content-type "text/plain; version=0.0.4" string "{text}" if {{ path /generation }}',
            "http-request deny deny_status 404",
        ],
        ["# asked by the container that tells metrics; `generation` is what this process runs, whatever is on disk"],
    )
