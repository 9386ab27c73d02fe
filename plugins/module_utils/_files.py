# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create and replace directories and files with an owner and a mode. The umask has no effect on them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Sequence

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions

# what is in the place of a file or a directory
_OBSTACLES = {
    errno.ELOOP: "is a symbolic link",
    errno.EMLINK: "is a hard link to another file",
    errno.ENOTDIR: "is a symbolic link or a file, and not a directory",
    errno.EISDIR: "is a directory",
}
# mode of a directory for one user, and others that know a name in it: the container that exports metrics reaches only their sockets
METRICS_DIRECTORY = 0o711
# mode of a directory whose content is being removed: with the sticky bit, to continue after an interruption
EMPTYING = permissions.PRIVATE_DIRECTORY | stat.S_ISVTX


def describe_failure(path: str, error: OSError) -> str:
    """Return the message for a directory or file that cannot be written."""
    place = error.filename or path
    if isinstance(error, PermissionError):
        return f"Cannot write {place}: {error.strerror}. Become root on this host (become: true)."
    if error.errno in _OBSTACLES:
        return f"Cannot write {place}: it {_OBSTACLES[error.errno]}. Remove it."
    return f"Cannot write {place}: {error.strerror}. Free space on its file system, or mount it writable."


def group_of(owner: int) -> int:
    """Return the numeric group ID of files of a user: the same number, or the group of this process for its own user."""
    return os.getegid() if owner == os.geteuid() else owner


def set_permissions(path: str, owner: int, mode: int, flags: int = 0, group: int | None = None) -> None:
    """Set owner, group, and mode of a directory or file that exists.

    :param flags: further flags to open it with
    :param group: None for the group of the owner
    :raises OSError: if the path is a symbolic link, or this user may not change it
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), path)
        os.fchown(descriptor, owner, group_of(owner) if group is None else group)
        # after the owner, whose change clears bits
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def make_directory(path: str, owner: int, mode: int, group: int | None = None) -> None:
    """Create a directory, or set owner, group, and mode of one that exists.

    Missing directories above it belong to this user, and every user may read them.

    :param group: None for the group of the owner
    :raises OSError: if the directory cannot be created, or something else is in its place
    """
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent, os.geteuid(), permissions.DIRECTORY)
    with contextlib.suppress(FileExistsError):
        # closed until it has its owner
        os.mkdir(path, permissions.PRIVATE_DIRECTORY)
    set_permissions(path, owner, mode, os.O_DIRECTORY, group)


def write_file(path: str, content: bytes, owner: int, mode: int, sync: bool = True) -> None:
    """Replace a file. A reader and a crash find the old file or the new one, whole.

    :param sync: whether the content is on disk before the old file is replaced
    :raises OSError: if the file cannot be written
    """
    temporary = f"{path}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions.PRIVATE_FILE), "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), owner, group_of(owner))
            os.fchmod(file.fileno(), mode)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    os.rename(temporary, path)


def empty_directory(path: str, owner: int, endpoints: Sequence[str] = ()) -> None:
    """Give a directory that a container can write to an owner, with the mode EMPTYING, and remove its content.

    It follows no symbolic link, and removes directories of any depth: it moves each one to the top before it empties it. Each directory
    gets the owner before its content is read, so the container of another user adds nothing to it.

    :param endpoints: names that stay if they are a socket or a pipe
    :raises OSError: if something remains
    """
    top = _open_directory(path, owner)
    try:
        while entries := [name for name in os.listdir(top) if not (name in endpoints and _is_endpoint(name, top))]:
            for name in entries:
                if _is_directory(name, top):
                    _empty_into(top, name, owner)
                else:
                    os.unlink(name, dir_fd=top)
    finally:
        os.close(top)


def _empty_into(top: int, name: str, owner: int) -> None:
    """Remove a directory and its files, and move its directories to the one that holds it."""
    directory = _open_directory(name, owner, top)
    try:
        for entry in os.listdir(directory):
            if _is_directory(entry, directory):
                os.rename(entry, f".{secrets.token_hex()}", src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(entry, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _open_directory(path: str, owner: int, parent: int | None = None) -> int:
    """Return a file descriptor of a directory after it has an owner, and the mode EMPTYING."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=parent)
    os.fchown(descriptor, owner, group_of(owner))
    os.fchmod(descriptor, EMPTYING)
    return descriptor


def _is_directory(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _is_endpoint(name: str, parent: int) -> bool:
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
