# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that tells whether passwords may be used or made, given what hosts hold already. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: passwords
short_description: Tells whether Redis' passwords may be used or made
version_added: 0.1.0
author: the crosshost.ambassador contributors
description:
  - A password is given by the user, or kept on the controller, or made there; it is never made anew where a host holds one.
  - A given one may differ from what hosts hold, for that is how it is changed; a kept one may not.
options:
  _input:
    description: The passwords that were given, user to password; empty where none was.
    type: dict
    required: true
  kept:
    description: The passwords that the controller keeps, user to password; none where it keeps none.
    type: dict
    required: true
  held:
    description: What hosts hold, host to user to the password's SHA-256.
    type: dict
    required: true
  directory:
    description: The directory on the controller.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: No password is made anew
  ansible.builtin.assert:
    that: "{'app': ''} | crosshost.ambassador.passwords(kept={'app': none}, held={'vm1': {}}, directory='/srv/passwords') == []"
"""

RETURN = r"""
_value:
  description: A list of sentences, empty where all is well.
  type: list
"""

import hashlib
import re


def digest(password):
    """Return the SHA-256 of a password, as Redis' ACL has it.

    :param str password: the password
    :rtype: str
    """
    return hashlib.sha256(password.encode()).hexdigest()


def wrong(user, password, where):
    """Return what is wrong with a password itself: a list of at most one sentence."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", user):
        return [f"Redis' user {user!r}: expected a name of letters, digits, points, dashes and underscores, found another; rename it."]
    if not isinstance(password, str) or not password.isprintable():
        return [f"the password of Redis' user {user}{where}: expected one line of printable characters, found something else; correct it."]
    return []


def passwords(given, kept, held, directory):
    """Judge passwords: see the documentation above."""
    problems = []
    for user, password in given.items():
        file = f"{directory}/redis_{user}.password"
        problems += wrong(user, password, "")
        if not password and kept[user] is not None:
            problems += wrong(user, kept[user], f" in {file}")
            if not kept[user]:
                problems.append(
                    f"the password of Redis' user {user} in {file}: expected one, found the file empty; put back what was in it."
                )
    for host, users in held.items():
        found = []
        for user in sorted(set(users) & {user for user, password in given.items() if not password}):
            if kept[user] is None:
                found.append(f"no redis_{user}.password")
            elif kept[user] and digest(kept[user]) != users[user]:
                found.append(f"another one in redis_{user}.password")
        if found:
            problems.append(
                f"host {host}: expected {directory} on the controller to hold the passwords of Redis that this host has, found"
                f" {', '.join(found)}; copy that directory from the controller that made it, set ambassador_controller_dir to where it is,"
                " or give the passwords."
            )
    return problems


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"passwords": passwords}
