# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The passwords of Redis that the controller stores, one in each file."""

from __future__ import annotations

import os

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller


def get_path(directory: str, user: str, mesh: str) -> str:
    """Return the file of the password of a user.

    :param directory: the directory on the controller
    :param user: the user
    :param mesh: the mesh
    """
    return os.path.join(directory, names.name_password_file(user, mesh))


def read_password(directory: str, user: str, mesh: str) -> str | None:
    """Return the password that the controller stores, or None if there is no file.

    :param directory: the directory on the controller
    :param user: the user
    :param mesh: the mesh
    """
    password = controller.read(get_path(directory, user, mesh))
    return None if password is None else password.rstrip()


def create_password(directory: str | None, user: str, mesh: str, loader: DataLoader) -> str:
    """Return a new password, and store it if a directory is given.

    :param directory: the directory on the controller; None to store nothing
    :param user: the user
    :param mesh: the mesh
    :param loader: Ansible's loader of files
    """
    file = get_path(directory, user, mesh) if directory else "/dev/null"
    if directory:
        controller.make_directory(directory)
    # Ansible's own lookup locks the file, so hosts that need it at the same time get one password
    lookup = lookup_loader.get("ansible.builtin.password", loader=loader)
    return str(lookup.run([file], {}, length=40, chars=["ascii_letters", "digits"])[0])
