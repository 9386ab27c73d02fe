# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create and replace directories and files with an owner and a mode. The umask has no effect on them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions

# what is in the place of a file or a directory
_OBSTACLES = {
    errno.ELOOP: "is a symbolic link",
    errno.EMLINK: "is a hard link to another file",
    errno.ENOTDIR: "is a symbolic link or a file, and not a directory",
    errno.EISDIR: "is a directory",
}


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
