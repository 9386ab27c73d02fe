# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that makes the files of a container of Redis out of its passwords."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_files
short_description: Makes the files of a container of Redis
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - A server has its users with their rules, its configuration, and the password of its operator. A client has a password in each file.
  - V(loaded) is the file with the users that a server has loaded.
options:
  _input:
    description: User to password.
    type: dict
    required: true
  kind:
    description: The kind of container.
    type: str
    choices: [server, client, loaded]
    required: true
  app_rules:
    description: Additional rules of the user C(app), for a server.
    type: list
    elements: str
    default: []
  memory:
    description: Memory limit of the container, for a server.
    type: str
    default: "0"
positional: kind, app_rules, memory
"""

EXAMPLES = r"""
- name: Show the files of a client
  ansible.builtin.debug:
    msg: "{{ {'app': 'a password'} | crosshost.ambassador.redis_files('client') | list }}"
"""

RETURN = r"""
_value:
  description: Name to content.
  type: dict
"""

from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis


def redis_files(passwords, kind, app_rules=(), memory="0"):
    """Return the files: see the documentation above."""
    if kind == "loaded":
        return {"loaded": redis.loaded(passwords, app_rules, memory)}
    return redis.server_files(passwords, app_rules, memory) if kind == "server" else redis.client_files(passwords)


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"redis_files": redis_files}
