# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HAProxy's master CLI: one question, one answer."""

from __future__ import annotations

import errno
import socket

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints


def ask(path, command, timeout=60, budget=None):
    """Send a command to HAProxy's master CLI and return the answer.

    :param str path: path of the Unix socket
    :param str command: the command, e.g. ``reload`` or ``@1 show env``
    :param float timeout: seconds to wait for the answer
    :param endpoints.Budget | None budget: the limits of all answers of this endpoint
    :rtype: str
    :raises OSError: if nothing listens there, the path is no socket, or the answer is too long
    :source: HAProxy Management Guide, section 9.4, "Master CLI"
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as cli:
        budget = budget or endpoints.Budget(timeout)
        budget.begin(timeout)
        cli.settimeout(budget.seconds_left())
        endpoints.connect(cli, path)
        cli.sendall(command.encode() + b"\n")
        cli.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while chunk := cli.recv(65536):
            answer += chunk
            # a container that is taken over may send a byte now and then
            cli.settimeout(budget.seconds_left())
            if len(answer) > budget.max_bytes():
                raise OSError(errno.EMSGSIZE, "the answer is too long", path)
        budget.spend(len(answer))
    return answer.decode(errors="replace").strip()
