#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name: it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: change_ca
short_description: Revokes certificates, or changes to a new CA, on the controller
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Changes the files of the CA on the controller. A run of C(site) brings them to the hosts.
  - HAProxy requires a list of revoked certificates of each CA that it trusts. This module signs the lists of the CAs whose keys are in
    O(directory). It refuses to change anything if the list of another CA is missing, has ended, or lacks a certificate to revoke.
  - With the variable C(ambassador_ca_certificate), O(step=revoke) only verifies the variable C(ambassador_ca_crl).
  - C(ambassador_ca_passphrase) is the passphrase of the keys. It is a variable and not an option, so no log shows it.
options:
  step:
    description:
      - V(revoke) puts all certificates of O(host) on the list.
      - V(trust) adds C(next.pem) to the trusted CAs.
      - V(sign) signs with C(next.key). C(previous.key) is the former key.
      - V(forget) trusts C(next.pem) alone, and removes the other keys.
    type: str
    choices: [revoke, trust, sign, forget]
    required: true
  directory:
    description: The directory of the CA on the controller.
    type: path
    required: true
  host:
    description: The inventory name of the host whose certificates are revoked.
    type: str
    default: ""
  mesh:
    description: The mesh of this run. Other meshes with the same CA are reported with O(step=revoke), and refused with the other steps.
    type: str
    default: default
  separated:
    description: Whether all other meshes that had the same CA have a copy of O(directory).
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Changes no file.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Revoke all certificates of a host
  crosshost.ambassador.change_ca:
    step: revoke
    host: vm9
    directory: /srv/ambassador/.ambassador
"""

RETURN = r"""
other_meshes:
  description: Other meshes that this controller issued certificates of the same CA for.
  returned: success
  type: list
  elements: str
"""
