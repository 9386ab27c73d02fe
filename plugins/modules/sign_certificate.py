# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name: it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sign_certificate
short_description: Certifies the key of a host
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Issues a certificate for the public key of a signing request. The module ignores all other content of the request. The names, the
    usages, and the lifetime come from the options.
  - It refuses a request that is not signed by its own key, and a key that is not of the curve P-256, P-384, or P-521.
  - The CA is the variable C(ambassador_ca_certificate) with the key C(ambassador_ca_key), or C(ca.pem) and C(ca.key) in O(directory).
    C(ambassador_ca_passphrase) is the passphrase of the key. These are variables and not options, so no log shows them.
  - Without a key of the CA, it writes the request to C(requests/) in O(directory). It uses C(certificates/<host>.pem) if this certificate
    has the content that the module issues itself.
  - It appends each certificate to C(issued.jsonl) in O(directory).
options:
  request:
    description: The signing request of the host, PEM.
    type: str
    required: true
  names:
    description: The names of the host in its certificate. The second one, if any, is its former name.
    type: list
    elements: str
    required: true
  held:
    description: The present certificate of the host, PEM. For a second name, the request must have its key.
    type: str
    default: ""
  directory:
    description: The directory of the CA on the controller.
    type: path
    required: true
  days:
    description: Lifetime of the certificate in days. It ends with its CA at the latest.
    type: int
    required: true
  mesh:
    description: The mesh of the host, for C(issued.jsonl).
    type: str
    default: default
attributes:
  check_mode:
    support: none
    description: Does not run in check mode.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Certify the key of the host
  crosshost.ambassador.sign_certificate:
    request: "{{ request.csr }}"
    names: [vm1]
    directory: /srv/ambassador/.ambassador
    days: 730
  register: signed
"""

RETURN = r"""
certificate:
  description: The certificate, PEM.
  returned: success
  type: str
"""
