# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The passwords of Redis that hold."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_passwords
short_description: Returns the passwords of Redis, and creates missing ones
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - The lookup returns the given password, or else the password that the controller stores.
  - If there is neither, it creates a password and stores it.
options:
  _terms:
    description: Passwords that the caller provides, by name of the user. An empty password counts as missing.
    type: list
    elements: dict
    required: true
  directory:
    description: The directory on the controller that stores them. If it is empty, as in check mode, nothing is stored.
    type: str
    required: true
  mesh:
    description: The mesh. Each mesh has its own passwords.
    type: str
    default: default
"""

EXAMPLES = r"""
- name: Show the users
  ansible.builtin.debug:
    msg: "{{ lookup('crosshost.ambassador.redis_passwords', {'app': ''}, directory='/srv/passwords') | list }}"
"""

RETURN = r"""
_raw:
  description: User to password.
  type: list
  elements: dict
"""

import os

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _passwords as passwords
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms, variables=None, **kwargs):
        """Return the passwords."""
        problem = controller.find_facts_problem(variables or {}, ControllerMessage.FACTS_STOP_PASSWORD)
        if problem:
            raise AnsibleError(str(problem))
        self.set_options(var_options=variables, direct=kwargs)
        directory, mesh = self.get_option("directory") or None, self.get_option("mesh")
        directory = directory and os.path.realpath(os.path.expanduser(directory))
        return [
            {
                user: password
                or (passwords.read_password(directory, user, mesh) if directory else None)
                or passwords.create_password(directory, user, mesh, self._loader)
                for user, password in given.items()
            }
            for given in terms
        ]
