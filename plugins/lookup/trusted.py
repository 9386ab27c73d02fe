# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A value that no host has replaced."""

from __future__ import annotations

DOCUMENTATION = r"""
name: trusted
short_description: Returns a value, unless facts of the host replace variables of this collection
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Each answer of a module can hold facts. With Ansible's default C(inject_facts_as_vars), they replace variables of the inventory.
  - Tasks read paths of the controller, and what they do on other hosts, with this lookup. It fails if the host replaced a variable.
options:
  _terms:
    description: The value.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Copy the archive to the host
  ansible.builtin.copy:
    src: "{{ lookup('crosshost.ambassador.trusted', ambassador_image_archive) }}"
    dest: /var/tmp/images.tar
    mode: "0600"
"""

RETURN = r"""
_raw:
  description: The value.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms, variables=None, **kwargs):
        """Return the value."""
        problem = controller.find_facts_problem(variables or {})
        if problem:
            raise AnsibleError(str(problem))
        return list(terms)
