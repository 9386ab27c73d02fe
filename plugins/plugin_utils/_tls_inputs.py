# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inputs of the plan of a side with TLS: the CA of the controller, and the certificates of the hosts of a play."""

from __future__ import annotations

import functools
import os
import stat
import time
from collections.abc import Collection

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import CERTIFICATE_CHARACTERS, certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import text_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import Settings
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import TlsInputs, compute_lifetime, find_renewal
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._play import Play


def read_text(path: str) -> str:
    """Return the text of a file of the controller without spaces at both ends, empty if there is no such file."""
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def read_mode(path: str) -> int | None:
    """Return the mode of a file, None if it is missing."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None


class TlsReader:
    """Reads the CA of the controller, and the certificates that hosts reported.

    :param str host: inventory name of the host
    :param dict observed: its observation
    :param Settings settings: the settings of the run
    :param Play play: the other hosts of the play
    """

    def __init__(self, host: str, observed: dict, settings: Settings, play: Play):
        self._host, self._observed, self._settings, self._play = host, observed, settings, play

    @functools.cached_property
    def _ca(self) -> str:
        """The CA of the settings, or of the directory on the controller, PEM."""
        return self._settings["ca"].strip() or read_text(f"{self._settings['controller_dir']}/ca.pem")

    @functools.cached_property
    def has_ca(self) -> bool:
        """Whether there is a CA."""
        return bool(self._ca)

    @functools.cached_property
    def revocation_lists(self) -> str:
        """The lists of revoked certificates of the CA of the settings, or of the directory on the controller, PEM."""
        settings = self._settings
        return settings["ca_crl"].strip() if settings["ca"] else read_text(f"{settings['controller_dir']}/ca.crl")

    def gather(self, wiring: dict, holders: list[str], unseen_hosts: list[str]) -> TlsInputs:
        """Return the inputs of the plan.

        :param wiring: the wiring of the side
        :param holders: names of the hosts that have a certificate; empty if there is a CA
        :param unseen_hosts: names of the hosts of the map whose certificates the run has to ask for; empty if there is a CA
        """
        key, now = f"{self._settings['controller_dir']}/ca.key", time.time()
        authorities, revoked = certificates.read_certificates(self._ca), certificates.list_revoked(self.revocation_lists)
        held = certificates.read_foreign_certificate(self._observed["identity"]["certificate"])
        return {
            "ca": self._ca,
            "authorities": authorities,
            "missing_issuers": certificates.find_missing_issuers(self._ca),
            "unlisted": certificates.find_unlisted_authorities(self._ca, self.revocation_lists, now),
            "authority_key": None if self._settings["ca"] else (key, read_mode(key)),
            "held": held,
            "former_name": self._find_former_name(held, now),
            "inventory": self._play.variables["groups"]["all"],
            "revoked": certificates.select_revoked_serials(held, revoked),
            "holders": holders,
            "ask": unseen_hosts,
            # reading many certificates takes time, and only a wrong clock needs it
            "peers": self._list_lifetimes(wiring, authorities, revoked, now) if clock.is_off(self._observed.get("clock_offset")) else {},
            "now": now,
        }

    def _find_former_name(self, held: dict | None, now: float) -> str | None:
        """Return the name in the certificate of this host if the host was renamed, otherwise None.

        A host was renamed if no inventory host has that name and no other host has the same key.
        The request for the next certificate proves that the host has the key (:func:`signing.read_request`).
        """
        if not held or held["name"] == certificate_name(self._host) or not clock.is_valid(held, now):
            return None
        text, name = self._observed["identity"]["certificate"], held["name"]
        others = [other for host, other in self._play.read_certificates().items() if host != self._host]
        is_copied = certificates.read_public_key(text) in map(certificates.read_public_key, others)
        # DNS names have no case
        is_taken = name.lower() in (certificate_name(host).lower() for host in self._play.variables["groups"]["all"])
        is_possible = CERTIFICATE_CHARACTERS.fullmatch(name) and not is_copied and not is_taken
        return name if is_possible and certificates.proves_name(text, name, self._ca, now) else None

    def _list_lifetimes(self, wiring: dict, authorities: list[dict], revoked: Collection[int], now: float) -> dict[str, dict]:
        """Return host -> lifetime of its certificate at the end of this run, of the hosts at the other ends of the links."""
        ends = {host for link in wiring["links"] for host in (*link["servers"], *link["clients"])} - {self._host}
        lifetimes = {}
        for host, observed in self._play.read_observations().items():
            if host not in ends or not observed.get("identity"):
                continue
            key, text = text_of(observed, "identity", "key"), text_of(observed, "identity", "certificate")
            held = certificates.read_foreign_certificate(text)
            serials = certificates.select_revoked_serials(held, revoked)
            due = find_renewal(host, key, {"authorities": authorities, "held": held, "revoked": serials, "now": now})
            # a forged lifetime would stop this host, whose clock is wrong
            if not due and not certificates.is_signed(text, self._ca):
                continue
            lifetime = compute_lifetime(self._settings, authorities, now) if due else held
            lifetimes[host] = {key: lifetime[key] for key in ("not_before", "not_after")}
        return lifetimes
