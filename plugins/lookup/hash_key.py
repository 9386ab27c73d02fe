# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The key of the hashes of passwords in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hash_key
short_description: Returns the key of the hashes of passwords in this run
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Hosts hash passwords with it, so that the controller can compare them, and readers of its output cannot try passwords.
  - Each run has another key, which is stored nowhere. The option of the module that receives it is secret.
options: {}
seealso:
  - module: crosshost.ambassador.observation_info
"""

EXAMPLES = r"""
- name: Observe the host
  crosshost.ambassador.observation_info:
    hash_key: "{{ lookup('crosshost.ambassador.hash_key') }}"
"""

RETURN = r"""
_raw:
  description: The key.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms, variables=None, **kwargs):
        """Return the key."""
        return [controller.derive_hash_key()]
