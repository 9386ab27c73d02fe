#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes a directory of files that one container alone may read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: private_directory
short_description: Writes a directory that only one container can read
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Creates the directory with mode 0700, and each file in it with mode 0600, for one user. It repairs another content, owner, or mode.
    The umask has no effect on them.
  - The content of the files appears in no log and in no difference.
  - A file is replaced as a whole, so a crash leaves the old file or the new one.
options:
  path:
    description: The directory. If the directory that holds it is missing, the module makes that one for root, with mode 0755.
    type: path
    required: true
  repair_parent:
    description: Whether the module also sets owner and mode of the directory that holds O(path), if that exists - root, and 0755.
    type: bool
    default: false
  owner:
    description: Numeric ID of the user, and of the group.
    type: int
    required: true
  owner_writes:
    description:
      - Whether the user can create and remove files in the directory.
      - Otherwise the directory belongs to root, and to the group with the number O(owner), with mode 0750. Use this if root writes files
        there by other means than this module, because the user could replace such a file with a symbolic link.
    type: bool
    default: true
  files:
    description: Name of each file and its content.
    type: dict
    required: true
  exclusive:
    description: Whether other files are removed. By default, they stay unchanged.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Reports whether it would change something, and changes nothing.
  diff_mode:
    support: none
    description: Shows no differences, because they are secret.
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
  description: Names of the files that were written or repaired.
  returned: success
  type: list
  elements: str
"""

import os
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import describe_failure, group_of, make_directory, write_file


def owned(path, owner, mode):
    """Tell whether a path has an owner, a group of the same number, and a mode.

    :param str path: the path
    :param int owner: numeric user ID
    :param int mode: the mode
    :rtype: bool
    """
    found = os.lstat(path)
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (owner, owner, mode)


def differs(path, owner, content):
    """Return whether a file has another owner, mode, or content. Its user can replace it with anything.

    :param str path: the file
    :param int owner: numeric user ID
    :param bytes content: the content that it should have
    :rtype: bool
    """
    try:
        return not owned(path, owner, permissions.PRIVATE_FILE) or endpoints.read_file(path, len(content)) != content
    except OSError:
        return True


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "int", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
            "exclusive": {"type": "bool", "default": False},
            "owner_writes": {"type": "bool", "default": True},
            "repair_parent": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    path, owner = module.params["path"], module.params["owner"]
    files = {name: content.encode() for name, content in module.params["files"].items()}
    removed = []
    ownership = (owner, permissions.PRIVATE_DIRECTORY, group_of(owner))
    if not module.params["owner_writes"]:
        ownership = (os.geteuid(), permissions.side_mode(owner), group_of(owner))
    # the state directory may be a symbolic link
    parent = os.path.realpath(os.path.dirname(path.rstrip("/")))
    try:
        parent_differs = not os.path.isdir(parent) or permissions.differs(parent, os.geteuid(), permissions.DIRECTORY)
        repairs_parent = parent_differs and (module.params["repair_parent"] or not os.path.isdir(parent))
        made = not os.path.isdir(path) or permissions.differs(path, *ownership)
        written = [name for name, content in sorted(files.items()) if differs(os.path.join(path, name), owner, content)]
        if module.params["exclusive"] and os.path.isdir(path):
            removed = sorted(
                entry.name for entry in os.scandir(path) if entry.name not in files and not entry.is_dir(follow_symlinks=False)
            )
        if not module.check_mode:
            if repairs_parent:
                make_directory(parent, os.geteuid(), permissions.DIRECTORY)
            if made:
                make_directory(path, *ownership)
            for name in written:
                write_file(os.path.join(path, name), files[name], owner, permissions.PRIVATE_FILE)
            for name in removed:
                os.unlink(os.path.join(path, name))
    except OSError as error:
        module.fail_json(msg=describe_failure(path, error))
    module.exit_json(changed=made or repairs_parent or bool(written or removed), written=written, removed=removed)


if __name__ == "__main__":
    main()
