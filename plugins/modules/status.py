# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name: it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Shows the state of the links
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Compares the state of the hosts of the play with the map. It prints a line for each target of each link, then warnings and problems.
    With a callback that prints JSON, it prints no lines.
  - It needs the observations that the playbook C(crosshost.ambassador.status) makes first. It runs once for all hosts.
  - It does not fail if a link has a problem. The playbook fails.
options:
  mesh:
    description: The mesh. V(all) shows what M(crosshost.ambassador.meshes_info) found of all meshes, and judges nothing.
    type: str
    default: default
  page:
    description: >-
      A file on the controller that ends in C(.html). The module writes the status to it as a page that needs no other file. It also writes
      the status as JSON, to a file of the same name that ends in C(.json). By default, it writes no file.
    type: path
attributes:
  check_mode:
    support: full
    description: Writes no file.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Show the status of all links
  crosshost.ambassador.status:
    page: /tmp/status.html
  run_once: true
"""

RETURN = r"""
status:
  description: The status, as the JSON Schema C(docs/status.schema.json) of the collection describes it.
  returned: success, of one mesh
  type: dict
lines:
  description: The lines on the terminal.
  returned: success
  type: list
  elements: str
"""
