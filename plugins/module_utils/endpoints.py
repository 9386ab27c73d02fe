# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sockets, pipes, and files in a directory that a container writes to. The container can be taken over, so no link is followed there."""

from __future__ import annotations

import errno
import os
import stat

# bytes: the answer of an engine with 1,000 links has less than 2 MiB
MAX_ANSWER_BYTES = 64 << 20


def open_endpoint(path, flags, is_kind):
    """Open a socket, pipe, or file that a container created.

    :param str path: the path; the directory that holds it belongs to no container
    :param int flags: as :func:`os.open` takes them
    :param is_kind: tells from a mode whether the path is what is expected, such as :func:`stat.S_ISSOCK`
    :return: the file descriptor
    :rtype: int
    :raises OSError: if the path is missing, or is something else, such as a symbolic link
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    # a second link may be the one of a file elsewhere
    if not is_kind(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not what an ambassador creates there; its container may be taken over", path)
    return descriptor


def connect(client, path):
    """Connect a Unix socket to one that a container created.

    :param socket.socket client: the socket
    :param str path: the path of the other one
    :raises OSError: if nothing listens there, or the path is something else
    :source: open(2), ``O_PATH``; proc(5), ``/proc/self/fd``
    """
    descriptor = open_endpoint(path, os.O_PATH, stat.S_ISSOCK)
    try:
        client.connect(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def write_to_pipe(path, content):
    """Write to a pipe that a container created and reads, without waiting.

    :param str path: the pipe
    :param bytes content: what to write
    :raises OSError: if nothing reads it, or the path is something else
    """
    descriptor = open_endpoint(path, os.O_WRONLY | os.O_NONBLOCK, stat.S_ISFIFO)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read_file(path):
    """Return the content of a file that a container created.

    :param str path: the file
    :rtype: bytes
    :raises OSError: if it is missing, too long, or the path is something else
    """
    with open(open_endpoint(path, os.O_RDONLY | os.O_NONBLOCK, stat.S_ISREG), "rb") as file:
        content = file.read(MAX_ANSWER_BYTES + 1)
    if len(content) > MAX_ANSWER_BYTES:
        raise OSError(errno.EMSGSIZE, "the answer is too long", path)
    return content
