# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name: it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Shows what the links do
version_added: 1.0.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Holds what was found on the hosts of the play against what the map wants, and shows it on the terminal, a line for each target of each
    link, then warnings and problems. With a callback that prints JSON it prints nothing of its own.
  - It needs what the playbook C(crosshost.ambassador.status) looks at before, and runs once for all hosts.
  - It does not fail where a link has a problem; the playbook does.
options:
  mesh:
    description: The mesh; or V(all), to show what M(crosshost.ambassador.meshes) found of all meshes, and to judge nothing.
    type: str
    default: default
  page:
    description: >-
      A file of the controller that ends in C(.html), to which the same is written as a page that needs no other file. Beside it the same is
      written as JSON, under the same name with C(.json). By default nothing is written.
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
  description: What was found, as the JSON Schema C(docs/status.schema.json) of the collection describes it.
  returned: success, of one mesh
  type: dict
lines:
  description: What the terminal shows.
  returned: success
  type: list
  elements: str
"""
