# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The passwords of Redis that the controller keeps, a file each."""

from __future__ import annotations

import os

from ansible.plugins.loader import lookup_loader
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller


def path_of(directory, user, mesh):
    """Return the file of a user's password.

    :param str directory: the directory on the controller
    :param str user: the user
    :param str mesh: the mesh
    :rtype: str
    """
    return os.path.join(directory, names.name_password_file(user, mesh))


def kept(directory, user, mesh):
    """Return the password that the controller keeps, None where there is no file.

    :param str directory: the directory on the controller
    :param str user: the user
    :param str mesh: the mesh
    :rtype: str | None
    """
    password = controller.read(path_of(directory, user, mesh))
    return None if password is None else password.rstrip()


def made(directory, user, mesh, loader):
    """Return a password that is made now, and kept where a directory is given.

    :param str | None directory: the directory on the controller; None to keep none
    :param str user: the user
    :param str mesh: the mesh
    :param loader: Ansible's loader of files
    :rtype: str
    """
    file = path_of(directory, user, mesh) if directory else "/dev/null"
    if directory:
        controller.make_directory(directory)
    # Ansible's own: it locks the file, so that hosts that ask at once get one password
    return lookup_loader.get("ansible.builtin.password", loader=loader).run([file], {}, length=40, chars=["ascii_letters", "digits"])[0]
