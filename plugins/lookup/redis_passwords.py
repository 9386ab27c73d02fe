# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The passwords of Redis that hold."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_passwords
short_description: Returns the passwords of Redis that hold, and makes those that are missing
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - A password that was given holds; else the one that the controller keeps; else one is made, and kept.
options:
  _terms:
    description: The passwords that were given, user to password, empty where none was.
    type: list
    elements: dict
    required: true
  directory:
    description: The directory on the controller that keeps them; empty to keep none, in check mode.
    type: str
    required: true
  mesh:
    description: The mesh, of which each has its own.
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
