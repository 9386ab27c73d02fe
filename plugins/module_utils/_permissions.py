# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Owners and modes of the directories and files that modules create on a host. The umask has no effect on them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from ansible_collections.crosshost.ambassador.plugins.module_utils import _engines as engines
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names

# the users of the official images; any other image runs as them too, by number
HAPROXY_UID, REDIS_UID = 99, 999
SIDES, IDENTITY = ("server", "client"), "identity"
# the state directory itself, in a list of relative paths
STATE_DIR = "."
# for every user to read
DIRECTORY, FILE = 0o755, 0o644
# for root and the group of one container: a container can set any mode on its own directories, and other users must not get there
SIDE_DIRECTORY = 0o750
# for one user alone
PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
# what is in the place of a file or a directory
_OBSTACLES = {
    errno.ELOOP: "is a symbolic link",
    errno.ENOTDIR: "is a symbolic link or a file, and not a directory",
    errno.EISDIR: "is a directory",
}


def describe_failure(path, error):
    """Return the message for a directory or file that cannot be written.

    :param str path: where the module writes
    :param OSError error: the error
    :rtype: str
    """
    place = error.filename or path
    if isinstance(error, PermissionError):
        return f"Cannot write {place}: {error.strerror}. Become root on this host (become: true)."
    if error.errno in _OBSTACLES:
        return f"Cannot write {place}: it {_OBSTACLES[error.errno]}. Remove it."
    return f"Cannot write {place}: {error.strerror}. Free space on its file system, or mount it writable."


def differs(path, owner, mode, group=None):
    """Return whether a directory or file has another owner, mode, or group.

    :param str path: the path, which exists; a symbolic link is not followed
    :param int owner: numeric user ID
    :param int mode: the mode
    :param int | None group: numeric group ID; None if the group does not matter
    :rtype: bool
    """
    found = os.lstat(path)
    return (found.st_uid, stat.S_IMODE(found.st_mode)) != (owner, mode) or group not in (None, found.st_gid)


def group_of(owner):
    """Return the numeric group ID of what a user owns: the same number, or the group of this process for its own user.

    :param int owner: numeric user ID
    :rtype: int
    """
    return os.getegid() if owner == os.geteuid() else owner


def side_mode(owner):
    """Return the mode of the directory of a side.

    :param int owner: numeric user ID of the container
    :rtype: int
    """
    # root needs no group, which system accounts of some distributions are in
    return SIDE_DIRECTORY if owner else PRIVATE_DIRECTORY


def set_permissions(path, owner, mode, flags=0, group=None):
    """Set owner, group, and mode of a directory or file that exists.

    :param str path: the path
    :param int owner: numeric user ID
    :param int mode: the mode
    :param int flags: further flags to open it with
    :param int | None group: numeric group ID; None for the group of the owner
    :raises OSError: if the path is a symbolic link, or this user may not change it
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags)
    try:
        os.fchown(descriptor, owner, group_of(owner) if group is None else group)
        # after the owner, whose change clears bits
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def make_directory(path, owner, mode, group=None):
    """Create a directory, or set owner, group, and mode of one that exists.

    Missing directories above it belong to this user, and every user may read them.

    :param str path: the directory
    :param int owner: numeric user ID
    :param int mode: the mode
    :param int | None group: numeric group ID; None for the group of the owner
    :raises OSError: if the directory cannot be created, or something else is in its place
    """
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent, os.geteuid(), DIRECTORY)
    with contextlib.suppress(FileExistsError):
        # closed until it has its owner
        os.mkdir(path, PRIVATE_DIRECTORY)
    set_permissions(path, owner, mode, os.O_DIRECTORY, group)


def make_private_directories(path):
    """Make a directory and the missing ones above it, all for this user alone. One that exists is left as it is.

    :param str path: the directory
    :raises OSError: if one cannot be made
    """
    if not os.path.isdir(path):
        make_private_directories(os.path.dirname(path))
        make_directory(path, os.geteuid(), PRIVATE_DIRECTORY)


def write_file(path, content, owner, mode, sync=True):
    """Replace a file. A reader and a crash find the old file or the new one, whole.

    :param str path: the file
    :param bytes content: the new content
    :param int owner: numeric user ID
    :param int mode: the mode
    :param bool sync: whether the content is on disk before the old file is replaced
    :raises OSError: if the file cannot be written
    """
    temporary = f"{path}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as file:
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


def _expected(state_dir, sides):
    """Yield relative path, owner, mode, and group (None: any) of what the ambassadors may have in a state directory."""
    own = os.geteuid()
    yield STATE_DIR, own, DIRECTORY, None
    # its user must not replace the key or the certificate, which other modules write
    yield IDENTITY, own, side_mode(HAPROXY_UID), HAPROXY_UID
    yield f"{IDENTITY}/key.pem", HAPROXY_UID, PRIVATE_FILE, None
    yield f"{IDENTITY}/cert.pem", own, FILE, None
    for side in sides:
        path = os.path.join(state_dir, side)
        generations = os.path.join(path, "generations")
        runs = [run for run in engines.runs(path) if os.path.isdir(os.path.join(path, run))]
        if runs:
            owner = os.stat(os.path.join(path, runs[0])).st_uid
            yield side, own, side_mode(owner), owner
        yield f"{side}/history.json", own, FILE, None
        yield f"{side}/generations", own, DIRECTORY, None
        # a name that starts with a dot is a generation that a crash interrupted
        for name in os.listdir(generations) if os.path.isdir(generations) else []:
            if not name.startswith("."):
                yield f"{side}/generations/{name}", own, DIRECTORY, None
                for file in os.listdir(os.path.join(generations, name)):
                    yield f"{side}/generations/{name}/{file}", own, FILE, None
        for run in runs:
            yield f"{side}/{run}/{names.METRICS}", os.stat(os.path.join(path, run)).st_uid, PRIVATE_DIRECTORY, None


def find_wrong(state_dir, sides=SIDES):
    """Return what the ambassadors have in a state directory with a wrong owner or mode.

    The directories of endpoints are not among it: their owner depends on the engine. A symbolic link is not either.

    :param str state_dir: the state directory
    :param sides: the sides to look at
    :return: relative path, expected owner, mode, and group (None: any) of each
    :rtype: list[tuple[str, int, int, int | None]]
    """
    # an administrator may have put the state directory elsewhere
    state_dir, wrong = os.path.realpath(state_dir), []
    if os.path.isdir(state_dir):
        for relative, owner, mode, group in _expected(state_dir, sides):
            path = os.path.join(state_dir, relative)
            # a container removes and replaces what is in its own directory at any time
            with contextlib.suppress(FileNotFoundError):
                if not os.path.islink(path) and differs(path, owner, mode, group):
                    wrong.append((relative, owner, mode, group))
    return wrong


def of_side(paths, side):
    """Return the relative paths that the generation of a side depends on.

    :param list[str] paths: relative paths, as :func:`find_wrong` has them
    :param str side: ``server`` or ``client``
    :rtype: list[str]
    """
    return [path for path in paths if path.partition("/")[0] in (STATE_DIR, IDENTITY, side)]
