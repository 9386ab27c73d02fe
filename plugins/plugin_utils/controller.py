# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory on the controller that holds the CA and the passwords."""

from __future__ import annotations

import os

from ansible_collections.crosshost.ambassador.plugins.module_utils import permissions


def make_directory(path):
    """Create the directory for this user alone, and keep it out of Git. A directory that exists stays as it is.

    :param str path: the directory
    :raises OSError: if it cannot be created
    """
    if not os.path.isdir(path):
        permissions.make_private_directories(path)
        permissions.write_file(os.path.join(path, ".gitignore"), b"*\n", os.geteuid(), permissions.FILE)
