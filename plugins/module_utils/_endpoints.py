# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directories of a side. A container can be taken over, so no link is followed in its directory, and its answers have limits."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator

# the answer of an engine with 1,000 links has less than 2 MiB, and HAProxy keeps 20 old workers at most
MAX_ANSWER_BYTES, MAX_TOTAL_BYTES = 8 << 20, 48 << 20
# of an answer that is an error, the characters that a message repeats
MAX_WORDS = 200
# names of generations are paths in the directory of a side
GENERATION = re.compile(r"[0-9a-f]{12}")
# where the link to the current generation may lead to
CURRENT = re.compile(rf"generations/({GENERATION.pattern})")
# the directories of endpoints, one for each container of a side
RUN = re.compile(r"run(-[0-9]+)?")
NUMBER = re.compile(r"-?[0-9]{1,20}")


@contextlib.contextmanager
def readable(engine: str) -> Iterator[None]:
    """Raise an OSError that names the engine for any error: a container that is taken over answers anything."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        message = f"{engine} answers something unknown ({type(error).__name__}); its container may be taken over"
        raise OSError(errno.EBADMSG, message) from error


def number(text: str) -> int:
    """Return a number of an answer. Raise ValueError for a longer text: to read millions of digits takes minutes."""
    if not NUMBER.fullmatch(text):
        raise ValueError("expected a number")
    return int(text)


def generation(text: str) -> str:
    """Return the name of a generation of an answer. Raise ValueError for anything else, such as a path."""
    if not GENERATION.fullmatch(text):
        raise ValueError("expected the name of a generation")
    return text


def current_generation(path: str) -> str | None:
    """Return the name of the generation on disk of a side, or None if there is none, or the link leads elsewhere."""
    link = os.path.join(path, "current")
    match = CURRENT.fullmatch(os.readlink(link)) if os.path.islink(link) else None
    return match[1] if match else None


def current_directory(path: str) -> str:
    """Return the directory of the generation on disk of a side, or a path that does not exist."""
    return os.path.join(path, "generations", current_generation(path) or "none")


def runs(path: str) -> list[str]:
    """Return the directories of the endpoints of a side's containers, that of the ambassador first; at least this one."""
    names = [name for name in (os.listdir(path) if os.path.isdir(path) else []) if RUN.fullmatch(name)]
    return sorted(names, key=lambda name: (len(name), name)) or ["run"]


def existing_runs(path: str) -> list[str]:
    """Return the directories of endpoints that exist."""
    return [run for run in runs(path) if os.path.isdir(os.path.join(path, run))]


class Budget:
    """The time and the bytes that all answers of one endpoint may take together."""

    def __init__(self, seconds: float) -> None:
        self.deadline, self.size = time.monotonic() + seconds, MAX_TOTAL_BYTES
        self.end = self.deadline

    def begin(self, seconds: float) -> None:
        """Start to wait for an answer, for this time if as much remains."""
        self.end = min(self.deadline, time.monotonic() + seconds)

    def seconds_left(self) -> float:
        """Return the seconds that remain for the answer. Raise TimeoutError if none do."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return seconds

    def max_bytes(self) -> int:
        """Return the maximum length of the next answer."""
        return min(MAX_ANSWER_BYTES, self.size)

    def spend(self, size: int) -> None:
        """Count the bytes of an answer."""
        self.size -= size


def open_endpoint(path: str, flags: int, is_kind: Callable[[int], bool]) -> int:
    """Return a file descriptor of a socket, pipe, or file (``is_kind`` of its mode) that a container created.

    The directory of the path belongs to no container. Raise OSError for anything else, such as a symbolic link.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    # a second link may be that of a file elsewhere
    if not is_kind(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not what an ambassador creates there; its container may be taken over", path)
    return descriptor


def connect(client: socket.socket, path: str) -> None:
    """Connect a Unix socket to one that a container created. Raise OSError if nothing listens, or the path is something else."""
    descriptor = open_endpoint(path, os.O_PATH, stat.S_ISSOCK)
    try:
        # open(2), O_PATH; proc(5), /proc/self/fd
        client.connect(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def write_to_pipe(path: str, content: bytes) -> None:
    """Write to a pipe that a container reads, without waiting. Raise OSError if nothing reads it, or the path is something else."""
    descriptor = open_endpoint(path, os.O_WRONLY | os.O_NONBLOCK, stat.S_ISFIFO)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read_file(path: str, max_bytes: int | None = None) -> bytes:
    """Return the content of a file that a container can replace. Raise OSError if it is missing, too long, or something else."""
    max_bytes = MAX_ANSWER_BYTES if max_bytes is None else max_bytes
    with open(open_endpoint(path, os.O_RDONLY | os.O_NONBLOCK, stat.S_ISREG), "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EMSGSIZE, "the answer is too long", path)
    return content
