#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remembers on the host what a run has changed of one side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Records the changes of a run
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Adds the changes of one side to its history. M(crosshost.ambassador.ambassador_info) and the playbook C(status) show the history.
  - It keeps the last 20 entries in C(history.json) in the state directory of the side.
options:
  path:
    description: The state directory of one side, for example V(/var/lib/ambassador/client).
    type: path
    required: true
  lines:
    description: The lines of the plan.
    type: list
    elements: str
    required: true
  worked:
    description: Whether the links reached a backend after the change.
    type: bool
    required: true
attributes:
  check_mode:
    support: full
    description: Writes nothing in check mode.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Record the changes
  crosshost.ambassador.record:
    path: /var/lib/ambassador/client
    lines: ["+ redis vm2 -> vm1 (198.18.0.11:6379)"]
    worked: true
"""

RETURN = r"""
time:
  description: Time of the entry, UTC.
  returned: success
  type: str
  sample: "2026-11-24T23:41:01Z"
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _history as history
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import describe_failure


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "lines": {"type": "list", "elements": "str", "required": True},
            "worked": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    path, now = module.params["path"], time.strftime(history.ISO_8601, time.gmtime())
    if not module.check_mode:
        try:
            history.add(path, {"time": now, "lines": module.params["lines"], "worked": module.params["worked"]})
        except OSError as error:
            module.fail_json(msg=describe_failure(os.path.join(path, history.FILE), error))
    module.exit_json(changed=True, time=now)


if __name__ == "__main__":
    main()
