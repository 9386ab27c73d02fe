# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of a link, their values, and what the engines cannot do. Pure Python without Ansible."""

from __future__ import annotations

import re

# RFC 1035, section 2.3.1, <label>: a letter, then letters, digits and hyphens, no hyphen last, at most 63 characters.
LABEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What else an alias must not be: a name that every consumer has for itself, the ALPN of HTTP/2, and what our own variables begin with.
RESERVED = re.compile(r"localhost|h2|ambassador(-.*)?", re.I)
# What Docker accepts as the name of a network, and those on which containers have no names.
NETWORK, NAMELESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}"), ("bridge", "host", "none")
# The name of a backend that is the host itself.
HOST = "host"
# how a target begins that is an SRV record, which names hosts and ports
SRV = "srv:"
# what a server host publishes on whose address is a name: its addresses may change
EVERYWHERE = "0.0.0.0"
# addresses that stand for all of a host
WILDCARDS = (EVERYWHERE, "::")
# The name of a container that DNS can hold (RFC 1035, section 2.3.4), or a DNS name. Docker accepts more.
BACKEND_HOST = re.compile(r"(?=.{1,253}$)(?=[A-Za-z0-9])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
# What the resolver of the C library takes for an IPv4 address: inet(3) has "127.1" and "0x7f.1".
NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*", re.I)
# names that Docker writes to /etc/hosts of each container
OWN_NAMES = re.compile(
    r"(?:.*\.)?localhost|localhost\.localdomain|ip6-(?:localhost|loopback|localnet|mcastprefix|allnodes|allrouters)", re.I
)
# what haproxy.cfg.j2 replaces in the name of a server, and names of servers there that are not names of hosts
SERVER_CHARACTERS = re.compile(r"[^A-Za-z0-9_.:-]")
SERVER_NAME = re.compile(r"\..*|.*\.replica[0-9]+")

KEYS = (
    *("port", "ports", "servers", "clients", "backend", "publish", "check", "check_interval", "balance", "connect", "wait", "drain"),
    *("max_connections", "local", "targets", "protocol", "send_proxy", "network", "networks"),
)
# key of a link that earlier versions had -> why it is not needed
REMOVED = {"user_timeout": "Connections on a dead path end within 15 seconds without it."}
REQUIRED = ("clients",)
# keys that a server side needs, and keys that only a server side uses
SERVED, SERVER_ONLY = ("servers", "backend"), ("backend", "publish", "network")
# keys of a link with several ports that it says without one: each of its ports leads to the same one there
PORTLESS = ("backend", "local", "targets")
WITHOUT_PORT = "a name or an address without a port, for each of its ports leads to the same one there"
CHOICES = {
    "check": ("tcp", "redis", "postgresql", "mysql", "http", "smtp", "none"),
    "balance": ("first", "roundrobin", "leastconn", "source"),
    "protocol": ("tcp", "udp"),
}
# key of a link -> its default, both in seconds
SECONDS = {"wait": 3, "drain": 10}
# keys of a link in seconds or parts of one, whose default is the engine's business
FRACTIONS = ("check_interval", "connect")
# key of a link that is a number; its default is a part of what the memory of its ambassador admits
LIMIT = "max_connections"
# key of a link that is true or false, the latter by default
PROXY = "send_proxy"
SIDES = ("server", "client")
BALANCES = tuple(f"balance {balance}" for balance in CHOICES["balance"])
# engine -> what it cannot do
ENGINES = {
    "haproxy": ("protocol udp",),
    "socat": ("TLS", "admission", "protocol udp", "a DNS name", "several targets", *BALANCES, "check", *FRACTIONS, LIMIT, *SECONDS, PROXY),
    # without checks there is no first that is healthy, and the kernel counts no connections of a target
    "nftables": (
        "TLS",
        "admission",
        "a DNS name",
        "balance first",
        "balance leastconn",
        "check",
        *FRACTIONS,
        LIMIT,
        "wait",
        PROXY,
    ),
}
# what follows from links without TLS
UNENCRYPTED = "what the links carry can be read and changed on its way, and anyone can connect"
