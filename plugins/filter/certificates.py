# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters for certificates: those of a host for a revocation list, and the hosts that a change of the CA waits for."""

from __future__ import annotations

import hashlib

from ansible_collections.crosshost.ambassador.plugins.module_utils.wiring import OBSERVED
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import signing


def revocations(host, directory):
    """Return the certificates of a host as entries of a revocation list, revoked from now on.

    :param str host: inventory name of the host
    :param str directory: the directory of the CA on the controller
    :return: as ``revoked_certificates`` of community.crypto.x509_crl takes them
    :rtype: list[dict]
    """
    serials = sorted({serial for serial, __ in signing.issued_to(host, directory)})
    return [{"serial_number": serial, "revocation_date": "+0s"} for serial in serials]


def behind(hosts, reached, hostvars, authorities):
    """Return the hosts that do not trust the CAs of this controller yet, as the end of the last run of site saw them.

    :param list[str] hosts: all hosts of the play
    :param list[str] reached: those that could be reached
    :param hostvars: the magic variable
    :param str authorities: ``ca.pem`` of the controller
    :rtype: list[str]
    """
    wanted = hashlib.sha256(authorities.encode()).hexdigest()
    found = []
    for host in hosts:
        sides = (hostvars[host].get(OBSERVED) or {}).get("sides", {})
        if host not in reached or any(side["files"].get("ca.pem", wanted) != wanted for side in sides.values()):
            found.append(host)
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"revocations": revocations, "behind": behind}
