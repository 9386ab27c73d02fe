# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of an observation that comes from the state directory. Secrets stay on the host: files with one have keyed hashes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import stat
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _engines as engines
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._packing import FILE, MAX_PACKED_BYTES, packed

USERS, LOADED = "users.acl", "loaded"
# the address with which HAProxy starts a server with a DNS name: none in the plan, and the last known one on disk
UNKNOWN = re.compile(r"resolvers hosts init-addr none")
KNOWN = re.compile(r"resolvers hosts init-addr [0-9A-Fa-f.:]+,none")


def disk(path: str) -> dict[str, Any]:
    """Return ``free`` bytes and ``writable`` of the file system of a directory, which need not exist."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    status = os.statvfs(path)
    return {"free": status.f_bavail * status.f_frsize, "writable": not status.f_flag & os.ST_RDONLY}


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def keyed(sha256: str, key: str) -> str:
    """Return a keyed hash of a hash that both sides know: without the key, passwords cannot be tried against it."""
    return hmac.new(key.encode(), sha256.encode(), hashlib.sha256).hexdigest()


def variables_digest(files: dict[str, str]) -> str:
    """Return the digest of the files of link variables, name -> SHA-256 of the content."""
    return digest(json.dumps(files, sort_keys=True).encode())


def without_addresses(content: str) -> str:
    """Return a configuration of HAProxy without the addresses that the module ``generation`` added, to compare it with the planned one."""
    return KNOWN.sub("resolvers hosts init-addr none", content)


def directory(path: str) -> dict[str, Any]:
    """Return ``owner`` and ``mode`` of a directory, and ``files``: name -> ``owner``, ``mode``, and ``sha256``."""
    files = {}
    for entry in os.scandir(path):
        # its user removes and replaces files at any time
        with contextlib.suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False):
                files[entry.name] = {**_ownership(entry.stat(follow_symlinks=False)), "sha256": digest(_comparable(entry.path))}
    return {**_ownership(os.stat(path)), "files": files}


def _comparable(path: str) -> bytes:
    content = _read(path)
    if not path.endswith("haproxy.cfg"):
        return content
    return without_addresses(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _ownership(status: os.stat_result) -> dict[str, Any]:
    return {"owner": status.st_uid, "mode": f"{stat.S_IMODE(status.st_mode):04o}"}


def _read(path: str) -> bytes:
    """Return the content of a file, empty without one: a container, or its user, may have put something else in its place."""
    try:
        return endpoints.read_file(path, MAX_PACKED_BYTES)
    except PermissionError:
        raise
    except OSError:
        return b""


def users(text: str) -> dict[str, str]:
    """Return the SHA-256 of the password of each user in an ACL file of Redis."""
    return dict(re.findall(r"(?m)^user (\S+) .*#([0-9a-f]{64})", text))


def side(path: str) -> dict[str, Any]:
    """Return the files of a side in its state directory, and the state of its engine."""
    current = endpoints.current_directory(path)
    observed = {
        "current": endpoints.current_generation(path),
        "files": {name: file["sha256"] for name, file in directory(current)["files"].items()} if os.path.isdir(current) else {},
        "runs": {run: _ownership(os.stat(os.path.join(path, run))) for run in endpoints.existing_runs(path)},
        **dict.fromkeys(("engine", "running", "certificate", "error")),
        "connections": {},
        "links": {},
        "wiring": packed(_read(os.path.join(current, FILE))) if os.path.isfile(os.path.join(current, FILE)) else None,
    }
    try:
        info = engines.read(path)
    except FileNotFoundError:
        return observed
    except OSError as error:
        return {**observed, "error": str(error)}
    observed["links"] = {alias: link_of(link) for alias, link in info["links"].items() if link["listen"] != "gone"}
    return {**observed, **{key: info[key] for key in ("engine", "certificate", "connections")}, "running": info["generation"]}


def link_of(link: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a link, as the module ``ambassador_info`` reports it, that the plan of a change needs."""
    return {
        "connections": link["connections"],
        "targets": [
            {"name": target["name"], "address": target["address"], "up": target["up"], "proved": engines.proved(target)}
            for target in link["targets"]
        ],
    }


def identity(path: str) -> dict[str, str]:
    """Return ``certificate`` (PEM, empty without one), and whether its ``key`` is ``own``, ``other``, or ``none``."""
    certificate, key = (
        _read(os.path.join(path, name)).decode(errors="replace") if os.path.isfile(os.path.join(path, name)) else ""
        for name in ("cert.pem", "key.pem")
    )
    if not key:
        return {"certificate": certificate, "key": "none"}
    # RFC 5915, section 3; RFC 5480, section 2.2: a key ends with its public point, which its certificate holds as well
    point = _der(key)[-64:]
    return {"certificate": certificate, "key": "own" if point and point in _der(certificate) else "other"}


def _der(pem: str) -> bytes:
    """Return the bytes of the first block of a PEM text, empty without one."""
    # a regular expression takes minutes for a text with many begins
    block, end, __ = pem.partition("-----BEGIN ")[2].partition("-----")[2].partition("-----END")
    try:
        return base64.b64decode(block) if end else b""
    except ValueError:
        return b""


def variables(path: str) -> str | None:
    """Return the digest of the files of link variables; None if there are none, or one has a wrong owner or mode."""
    # one digest for all, because there may be a thousand
    if not os.path.isdir(path) or permissions.differs(path, os.geteuid(), permissions.DIRECTORY):
        return None
    files = directory(path)["files"]
    wrong = (name for name in files if permissions.differs(os.path.join(path, name), os.geteuid(), permissions.FILE))
    if set(files) != set(os.listdir(path)) or any(wrong):
        return None
    return variables_digest({name: file["sha256"] for name, file in files.items()})


def state(path: str, key: str) -> dict[str, Any]:
    """Return the content of a state directory; ``key`` is the key of the hashes of passwords, and of files that may hold one."""
    entries = sorted(os.listdir(path)) if os.path.isdir(path) else []
    sides = {name: side(os.path.join(path, name)) for name in permissions.SIDES if name in entries}
    special = (*permissions.SIDES, permissions.IDENTITY, mesh_names.LINKS)
    others = [name for name in entries if name not in special and os.path.isdir(os.path.join(path, name))]
    directories = {name: directory(os.path.join(path, name)) for name in others}
    for file in (file for observed in directories.values() for file in observed["files"].values()):
        file["sha256"] = keyed(file["sha256"], key)
    return {
        "entries": entries,
        "sides": sides,
        "identity": identity(os.path.join(path, permissions.IDENTITY)),
        "variables": variables(os.path.join(path, mesh_names.LINKS)),
        "wrong_permissions": sorted(relative for relative, *__ in permissions.find_wrong(path)),
        "directories": directories,
        "users": _users(path, others, USERS, key),
        "loaded_users": _users(path, others, LOADED, key),
    }


def _users(path: str, directories: list[str], file: str, key: str) -> dict[str, dict[str, str]]:
    """Return directory -> user -> keyed hash of the password, of each directory that has the file."""
    paths = {name: os.path.join(path, name, file) for name in directories}
    texts = {name: _read(place).decode(errors="replace") for name, place in paths.items() if os.path.isfile(place)}
    return {name: {user: keyed(sha256, key) for user, sha256 in users(text).items()} for name, text in texts.items()}


def light(observed: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a state directory with the links of its sides packed."""
    sides = {name: {**side, "links": packed(json.dumps(side["links"]).encode())} for name, side in observed["sides"].items()}
    return {**observed, "sides": sides}
