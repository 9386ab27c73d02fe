# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sockets, pipes, and files in a directory that a container writes to.

The container can be taken over: no link is followed there, and its answers have limits of time and size.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time

# the answer of an engine with 1,000 links has less than 2 MiB, and HAProxy keeps 20 old workers at most
MAX_ANSWER_BYTES, MAX_TOTAL_BYTES = 8 << 20, 48 << 20

# names of generations are paths in the directory of a side
GENERATION = re.compile(r"[0-9a-f]{12}")
NUMBER = re.compile(r"-?[0-9]{1,20}")


@contextlib.contextmanager
def readable(engine):
    """Raise an OSError if an answer cannot be read: a container that is taken over answers anything.

    :param str engine: the engine that answered, for the message
    :raises OSError: for any error
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        message = f"{engine} answers something unknown ({type(error).__name__}); its container may be taken over"
        raise OSError(errno.EBADMSG, message) from error


def number(text):
    """Return a number of an answer. To read millions of digits takes minutes.

    :param str text: the digits
    :rtype: int
    :raises ValueError: for anything else
    """
    if not NUMBER.fullmatch(text):
        raise ValueError("expected a number")
    return int(text)


def generation(text):
    """Return the name of a generation of an answer.

    :param str text: the name
    :rtype: str
    :raises ValueError: for anything else, such as a path
    """
    if not GENERATION.fullmatch(text):
        raise ValueError("expected the name of a generation")
    return text


class Budget:
    """The time and the bytes that all answers of one endpoint may take together.

    :param float seconds: the time, from now on
    """

    def __init__(self, seconds):
        self.deadline, self.size = time.monotonic() + seconds, MAX_TOTAL_BYTES
        self.end = self.deadline

    def begin(self, seconds):
        """Begin to wait for an answer.

        :param float seconds: the time for this answer, if as much is left
        """
        self.end = min(self.deadline, time.monotonic() + seconds)

    def seconds_left(self):
        """Return the seconds that are left for the answer.

        :rtype: float
        :raises TimeoutError: if none are
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return left

    def max_bytes(self):
        """Return how long the next answer may be.

        :rtype: int
        """
        return min(MAX_ANSWER_BYTES, self.size)

    def spend(self, size):
        """Count an answer.

        :param int size: its bytes
        """
        self.size -= size


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


def read_file(path, max_bytes=None):
    """Return the content of a file that a container created, or can replace.

    :param str path: the file
    :param int | None max_bytes: how long it may be; by default :data:`MAX_ANSWER_BYTES`
    :rtype: bytes
    :raises OSError: if it is missing, too long, or the path is something else
    """
    with open(open_endpoint(path, os.O_RDONLY | os.O_NONBLOCK, stat.S_ISREG), "rb") as file:
        max_bytes = MAX_ANSWER_BYTES if max_bytes is None else max_bytes
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EMSGSIZE, "the answer is too long", path)
    return content
