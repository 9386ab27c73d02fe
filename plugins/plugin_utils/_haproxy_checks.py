# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of HAProxy: the lines that decide whether a server is up."""

from __future__ import annotations

# a handshake alone proves nothing about a backend: the server side reports its state
SERVER_SIDE_CHECK = ("option tcp-check", "tcp-check connect default", "tcp-check expect string up")
# A check decides by the reply of the service, and a refusal is a reply. With `min-recv`, a mismatch is final at once; without it, HAProxy
# waits for the rest of the reply. Patterns use POSIX syntax, which works in HAProxy with and without PCRE. `linger` closes with FIN:
# services log RST.
CONNECT_CLEANLY = ("option tcp-check", "tcp-check connect default linger")
# a Redis that reports any other error serves data
REDIS_SERVES = "tcp-check expect min-recv 7 ! rstring '^-(LOADING|MASTERDOWN)'"
# A master's shortest answer to ROLE has 24 bytes: so many of a replica's answer show that it is none, and nothing is waited for.
REDIS_MASTER = (
    "# the server with the role master; a server that does not report its role is taken for the master",
    r"tcp-check send ROLE\r\n",
    r"tcp-check expect min-recv 23 rstring '^(-|\*[0-9]+[^$]+\$(6[^a-z]+master|14[^a-z]+active-replica))'",
    REDIS_SERVES,
)
# PostgreSQL: a StartupMessage for user ambassador and database postgres. The check never completes a login, so the role is not needed.
# SQLSTATE 57P01 to 57P03: the server stops, recovers, or starts.
STARTUP_MESSAGE = "0000002B000300007573657200616D6261737361646F7200646174616261736500706F7374677265730000"
# MySQL: a HandshakeResponse41 for user ambassador without a password. Aborted logins block the host, so the check completes each one:
# with an empty password or signature (client_ed25519) if the server switches the method (FE), otherwise with COM_QUIT.
# A server that sends an error instead of its greeting then closes. Error 1053 (041D): the server shuts down.
HANDSHAKE_RESPONSE = (
    "420000010182080000000001210000000000000000000000000000000000000000000000616D6261737361646F72"
    "00006D7973716C5F6E61746976655F70617373776F726400"
)
CHECKS = {
    "redis": (
        "option tcp-check",
        "tcp-check connect default",
        r"tcp-check send PING\r\n",
        r"tcp-check expect rstring '^(\+PONG|-[^[:cntrl:]]*)[[:cntrl:]]{2}'",
        REDIS_SERVES,
    ),
    "postgresql": (
        *CONNECT_CLEANLY,
        f"tcp-check send-binary {STARTUP_MESSAGE}",
        "tcp-check expect rbinary '^(520000|450000.*0043(..){5}00)'",
        "tcp-check expect min-recv 3 ! rbinary '^45.*0043353750303[123]00'",
    ),
    "mysql": (
        *CONNECT_CLEANLY,
        "tcp-check expect rbinary '^......00(0A(..)*00(..){18}.([0-7]..(..){23}00|[89A-F]..(..){23}00(..)+00)$|FF....)'",
        "tcp-check expect min-recv 5 ! rbinary '^......00FF1D04'",
        "tcp-check set-var(check.greeting) res.payload(4,1),hex",
        f"tcp-check send-binary-lf '%[var(check.greeting),regsub(^FF$,),regsub(^0A$,{HANDSHAKE_RESPONSE})]'",
        "tcp-check expect rbinary '^(......0[1-9](00|01|FE|FF....)|$)'",
        "tcp-check expect min-recv 0 ! rbinary '^......0[1-9]FF1D04'",
        "tcp-check set-var(check.reply) res.payload(4,0),hex",
        "tcp-check send-binary-lf '%[var(check.reply,FF),regsub(^[0F][01F].*,0100000001),regsub(^FE636C69656E745F65643235353139.*,"
        f"40000003{'00' * 64}),regsub(^FE.*,00000003)]'",
    ),
    "http": ("option httpchk", "http-check send meth GET uri / ver HTTP/1.1 hdr Host localhost", "http-check expect status 100-499"),
    "smtp": (
        *CONNECT_CLEANLY,
        "tcp-check expect rstring '^(220-[^[:cntrl:]]*[[:cntrl:]]+)*220( [^[:cntrl:]]*)?[[:cntrl:]]{2}'",
        r"tcp-check send QUIT\r\n",
        "tcp-check expect rstring '^[0-9]'",
    ),
}
