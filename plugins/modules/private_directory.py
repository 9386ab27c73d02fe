#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes a directory of files that one container alone may read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: private_directory
short_description: Writes a directory that one container alone may read
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Makes the directory, of mode 0700, and each file in it, of mode 0600, for one user; what has another content, owner or mode is mended.
  - What the files hold is never logged, nor shown as a difference.
  - A file is replaced whole, so that a crash leaves the old one or the new one.
options:
  path:
    description: The directory. The one that it is in is made as well, for root, of mode 0755.
    type: path
    required: true
  owner:
    description: Numeric ID of the user, and of the group.
    type: int
    required: true
  files:
    description: Name of each file and its content.
    type: dict
    required: true
  exclusive:
    description: Whether any other file is removed. One is left as it is by default.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says whether it would change something, and changes nothing.
  diff_mode:
    support: none
    description: Shows no differences, for they are secret.
"""

EXAMPLES = r"""
- name: Write a password
  crosshost.ambassador.private_directory:
    path: /var/lib/ambassador/consumer
    owner: 999
    files:
      app: "{{ password }}\n"
"""

RETURN = r"""
removed:
  description: Names of the files that were removed.
  returned: success
  type: list
  elements: str
written:
  description: Names of the files that were written or mended.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os
import stat

from ansible.module_utils.basic import AnsibleModule


def owned(path, owner, mode):
    """Tell whether a path has an owner, a group of the same number, and a mode.

    :param str path: the path
    :param int owner: numeric user ID
    :param int mode: the mode
    :rtype: bool
    """
    found = os.stat(path)
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (owner, owner, mode)


def differs(path, owner, content):
    """Tell whether a file is not what it should be.

    :param str path: the file
    :param int owner: numeric user ID
    :param bytes content: what it should hold
    :rtype: bool
    """
    if not os.path.isfile(path) or os.path.islink(path) or not owned(path, owner, 0o600):
        return True
    with open(path, "rb") as file:
        return file.read() != content


def write(path, owner, content):
    """Replace a file.

    :param str path: the file
    :param int owner: numeric user ID
    :param bytes content: what it is to hold
    """
    beside = f"{path}.new"
    if os.path.lexists(beside):
        os.unlink(beside)
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchown(file.fileno(), owner, owner)
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    os.rename(beside, path)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "int", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
            "exclusive": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    path, owner = module.params["path"], module.params["owner"]
    files = {name: content.encode() for name, content in module.params["files"].items()}
    removed = []
    try:
        made = not os.path.isdir(path) or not owned(path, owner, 0o700)
        written = [name for name, content in sorted(files.items()) if differs(os.path.join(path, name), owner, content)]
        if module.params["exclusive"] and os.path.isdir(path):
            removed = sorted(
                entry.name for entry in os.scandir(path) if entry.name not in files and not entry.is_dir(follow_symlinks=False)
            )
        if not module.check_mode:
            if made:
                around = os.path.dirname(path)
                if not os.path.isdir(around):
                    # whatever the umask
                    os.makedirs(around)
                    os.chmod(around, 0o755)
                os.makedirs(path, mode=0o700, exist_ok=True)
                os.chown(path, owner, owner)
                os.chmod(path, 0o700)
            for name in written:
                write(os.path.join(path, name), owner, files[name])
            for name in removed:
                os.unlink(os.path.join(path, name))
    except PermissionError as error:
        module.fail_json(msg=f"expected to be root on this host, found: {error}; set become: true for it.")
    except OSError as error:
        module.fail_json(msg=f"expected to write in {path}, found: {error}; make room there, or mount it writable.")
    module.exit_json(changed=made or bool(written or removed), written=written, removed=removed)


if __name__ == "__main__":
    main()
