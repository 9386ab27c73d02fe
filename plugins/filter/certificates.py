# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters for the life of certificates: an entry of a list of revoked ones, and the hosts that a change of CA waits for."""

from __future__ import annotations

import hashlib

from ansible_collections.crosshost.ambassador.plugins.module_utils.wiring import OBSERVED


def revoked_now(path):
    """Return the entry of a certificate in a list of revoked ones.

    :param str path: its file on the controller
    :return: as ``revoked_certificates`` of community.crypto.x509_crl takes it
    :rtype: dict[str, str]
    """
    return {"path": path, "revocation_date": "+0s"}


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
        return {"revoked_now": revoked_now, "behind": behind}
