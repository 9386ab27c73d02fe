# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Owners and modes that directories and files of the collection have on a host, and those that differ."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints

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


def differs(path: str, owner: int, mode: int, group: int | None = None) -> bool:
    """Return whether a directory or file has another owner, mode, or group (None: any). A symbolic link is not followed."""
    status = os.lstat(path)
    return (status.st_uid, stat.S_IMODE(status.st_mode)) != (owner, mode) or group not in (None, status.st_gid)


def side_mode(owner: int) -> int:
    """Return the mode of the directory of a side whose container has a user."""
    # root needs no group, which system accounts of some distributions are in
    return SIDE_DIRECTORY if owner else PRIVATE_DIRECTORY


def _expected(state_dir: str, sides: Sequence[str]) -> Iterator[tuple[str, int, int, int | None]]:
    """Yield relative path, owner, mode, and group (None: any) of everything that the ambassadors may have in a state directory."""
    own = os.geteuid()
    yield STATE_DIR, own, DIRECTORY, None
    # its user must not replace the key or the certificate, which other modules write
    yield IDENTITY, own, side_mode(HAPROXY_UID), HAPROXY_UID
    yield f"{IDENTITY}/key.pem", HAPROXY_UID, PRIVATE_FILE, None
    yield f"{IDENTITY}/cert.pem", own, FILE, None
    for side in sides:
        path = os.path.join(state_dir, side)
        generations, runs = os.path.join(path, "generations"), endpoints.existing_runs(path)
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


def find_wrong(state_dir: str, sides: Sequence[str] = SIDES) -> list[tuple[str, int, int, int | None]]:
    """Return relative path, expected owner, mode, and group (None: any) of everything in a state directory that differs.

    The directories of endpoints are not among it, because their owner depends on the engine, and neither are symbolic links.
    """
    # an administrator may have put the state directory elsewhere
    state_dir, wrong = os.path.realpath(state_dir), []
    if os.path.isdir(state_dir):
        for relative, owner, mode, group in _expected(state_dir, sides):
            path = os.path.join(state_dir, relative)
            # a container removes and replaces the content of its own directory at any time
            with contextlib.suppress(FileNotFoundError):
                if not os.path.islink(path) and differs(path, owner, mode, group):
                    wrong.append((relative, owner, mode, group))
    return wrong


def of_side(paths: list[str], side: str) -> list[str]:
    """Return the relative paths, as :func:`find_wrong` has them, that the generation of a side depends on."""
    return [path for path in paths if path.partition("/")[0] in (STATE_DIR, IDENTITY, side)]
