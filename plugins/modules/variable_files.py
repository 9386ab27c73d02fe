#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps a directory of files that anybody may read, and nothing else in it: the link variables of consumers, a file for each link."""

from __future__ import annotations

DOCUMENTATION = r"""
module: variable_files
short_description: Keeps the files of link variables
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Keeps a file for each link, for C(docker run --env-file) and for C(env_file) of Compose, and removes the files of former links.
  - A file is replaced as a whole, so a program reads the old file or the new one.
  - The directory and its files belong to root, and every user may read them. The umask has no effect on that.
options:
  path:
    description: The directory. It contains only these files.
    type: path
    required: true
  files:
    description: Name of each file and its content.
    type: dict
    required: true
  repair_parent:
    description: Whether the module also sets owner and mode of the directory that holds O(path), if that exists - root, and 0755.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Reports the changes, and changes nothing.
  diff_mode:
    support: full
    description: Shows what differs, file by file.
"""

EXAMPLES = r"""
- name: A consumer of the link redis has its variables
  crosshost.ambassador.variable_files:
    path: /var/lib/ambassador/links
    files:
      redis.env: |
        REDIS_PORT=tcp://redis:6379
"""

RETURN = r"""
written:
  description: Names of the files whose content, owner, or mode was wrong.
  returned: success
  type: list
  elements: str
removed:
  description: Names of the files of former links.
  returned: success
  type: list
  elements: str
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import describe_failure, make_directory, write_file


def read(path):
    """Return the content of a file with the right owner and mode; None for anything else."""
    if os.path.islink(path) or not os.path.isfile(path) or permissions.differs(path, os.geteuid(), permissions.FILE):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def directory_differs(path):
    """Tell whether a directory is missing, or has a wrong owner or mode."""
    return not os.path.isdir(path) or permissions.differs(path, os.geteuid(), permissions.DIRECTORY)


def clear(place):
    """Remove a directory that is in the place of a file; a link to one is no directory."""
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)


def keep(path, files, written, removed):
    """Write and remove.

    :param str path: the directory
    :param dict[str, str] files: name -> content
    :param list[str] written: names of the files to write
    :param list[str] removed: names of what is to go
    """
    if directory_differs(path):
        make_directory(path, os.geteuid(), permissions.DIRECTORY)
    for name in written:
        clear(os.path.join(path, name))
        # there may be a thousand: the disk is not waited for
        write_file(os.path.join(path, name), files[name].encode(), os.geteuid(), permissions.FILE, sync=False)
    for name in removed:
        clear(os.path.join(path, name))
        if os.path.lexists(os.path.join(path, name)):
            os.unlink(os.path.join(path, name))


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "repair_parent": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    path, files = module.params["path"], module.params["files"]
    try:
        there = os.listdir(path) if os.path.isdir(path) else []
        before = {name: read(os.path.join(path, name)) for name in files}
        written = sorted(name for name in files if before[name] != files[name])
        removed = sorted(set(there) - set(files))
        # the state directory may be a symbolic link
        parent = os.path.realpath(os.path.dirname(path.rstrip("/")))
        repairs_parent = module.params["repair_parent"] and directory_differs(parent)
        changed = bool(written or removed or repairs_parent or directory_differs(path))
        if repairs_parent and not module.check_mode:
            make_directory(parent, os.geteuid(), permissions.DIRECTORY)
        if changed and not module.check_mode:
            keep(path, files, written, removed)
    except OSError as error:
        module.fail_json(msg=describe_failure(path, error))
    diff = [{"before_header": name, "after_header": name, "before": before[name] or "", "after": files[name]} for name in written]
    module.exit_json(changed=changed, written=written, removed=removed, diff=diff)


if __name__ == "__main__":
    main()
