# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a host needs another certificate, and what is wrong with its certificate, its clock or its CA."""

from __future__ import annotations

import enum
from typing import NamedTuple, TypedDict

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import BACKDATED_SECONDS, ListFault
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certificate_name

# a run warns this time before the end of a CA
CA_WARNING_DAYS = 365


class RenewalReason(enum.Enum):
    """Why a host needs another certificate."""

    MISSING = "missing"
    REVOKED = "revoked"
    OTHER_KEY = "other_key"
    RENAMED = "renamed"
    OTHER_NAME = "other_name"
    OTHER_AUTHORITY = "other_authority"
    EXTRA_NAME = "extra_name"
    AGED = "aged"


# another host, or an attacker, may have the key as well
NEW_KEY_REASONS = (RenewalReason.REVOKED, RenewalReason.OTHER_NAME)

# why HAProxy refuses all certificates of a CA -> what is wrong with its list of revoked certificates, and what to do
LIST_PROBLEMS = {
    ListFault.MISSING: "the list of revoked certificates of the CA {name} is missing. Append it."
    " With any list, HAProxy requires one of each CA.",
    ListFault.ENDED: "the list of revoked certificates of the CA {name} has ended. Replace it with the present list of this CA.",
    ListFault.CANNOT_SIGN: "the list of the CA {name} is not valid. Issue the certificate of the CA with the key usage cRLSign.",
}


class TlsInputs(TypedDict):
    """The certificates that a plan needs.

    ``ca`` are the CAs of this controller, PEM, and ``authorities`` the same (see the plugin util ``certificates``); the first one signs.
    ``missing_issuers`` are the ``name`` and ``issuer`` of the CAs whose issuer is not in the file of the CA, and ``unlisted`` are the
    ``name`` and ``fault`` of the CAs without a valid list of revoked certificates. ``authority_key`` is path and mode of the key of the CA,
    None if it is given. ``held`` is the certificate of the host, ``revoked`` are serial numbers.
    ``former_name`` is the name in the certificate if the host was renamed. ``inventory`` are the names of all hosts. ``holders`` are hosts
    that have a certificate, so that this controller may not create a CA. ``ask`` are hosts that the run has to ask for their certificate.
    ``peers`` is host at the other end of a link -> ``not_before`` and ``not_after`` of its certificate, if they are known. ``now`` is in
    seconds since the epoch.
    """

    ca: str
    authorities: list[dict]
    missing_issuers: list[dict]
    unlisted: list[dict]
    authority_key: tuple[str, int | None] | None
    held: dict | None
    revoked: list[int]
    former_name: str | None
    inventory: list[str]
    holders: list[str]
    ask: list[str]
    peers: dict[str, dict[str, float]]
    now: float


def find_revocation_list_problems(settings, unlisted):
    """Return the CAs of which every certificate is refused, because their lists of revoked certificates are missing or not valid.

    :param list[dict] unlisted: ``name`` and ``fault`` of each CA, see :func:`certificates.unlisted`
    :rtype: list[str]
    """
    place = "ambassador_ca_crl" if settings["ca"] else f"{settings['controller_dir']}/ca.crl"
    return [f"{place}: {LIST_PROBLEMS[authority['fault']].format(name=authority['name'])}" for authority in unlisted]


def find_certificate_problems(host, observed, settings, tls):
    """Return the reasons why the certificate of a host cannot be kept or made: a wrong CA, or a missing library on the host.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :param Settings settings: the settings
    :param TlsInputs tls: ``authorities``, ``held`` and ``missing_issuers``
    :rtype: list[str]
    """
    authorities, held, missing = tls["authorities"], tls["held"], tls["missing_issuers"]
    if settings["ca"] and not authorities:
        return ["ambassador_ca_certificate: expected a certificate, PEM, found none in it; correct it."]
    if missing:
        place = "ambassador_ca_certificate" if settings["ca"] else f"{settings['controller_dir']}/ca.pem"
        return [
            f"{place}: the issuer {ca['issuer']} of the CA {ca['name']} is missing. Append the certificate of the issuer to it."
            for ca in missing
        ]
    if held and held["authority"] not in [authority["key"] for authority in authorities]:
        place, remedy = (
            f"in {settings['controller_dir']} on this controller",
            "copy that directory from the controller that made it, or set ambassador_controller_dir",
        )
        if settings["ca"]:
            place, remedy = "in ambassador_ca_certificate", "put that one behind the first, which signs"
        return [
            f"host {host}: expected the CA of its certificate {place}, found {'another one' if authorities else 'none'};"
            f" {remedy} (a CA is not made anew where a host holds a certificate)."
        ]
    if not held and "cryptography" in observed["python"]["missing"]:
        return [
            f"host {host}: expected the Python library cryptography, found none; install the package python3-cryptography on the host,"
            " or set ambassador_tls to false, and what the links carry can be read and changed on its way, and anyone can connect."
        ]
    return []


def find_holders_problems(holders, settings):
    """Return the hosts whose certificates prevent this controller from creating a CA.

    :param list[str] holders: the hosts that hold a certificate
    :rtype: list[str]
    """
    if not holders:
        return []
    return [
        f"hosts {', '.join(holders)}: expected the CA of their certificates in {settings['controller_dir']}"
        " on this controller, found none; copy that directory from the controller that made it, or set ambassador_controller_dir"
        " (a CA is not made anew where a host holds a certificate)."
    ]


def find_authority_key_problems(path, mode):
    """Return why the key of the CA of this controller is not used: other users can read it, so one of them may have it.

    :param str path: the file of the key
    :param int | None mode: its mode; None if there is no such file
    :rtype: list[str]
    """
    if mode is None or not mode & 0o077:
        return []
    return [f"The CA key {path} on this controller is accessible to other users (mode {mode:04o}). Run: chmod 600 {path}"]


class Renewal(NamedTuple):
    """Why a host needs another certificate.

    ``words`` completes the sentence "the certificate of a host is"; ``needs_new_key`` is whether the host has to create another key;
    ``former_name`` is a name of the host that its clients may still verify.
    """

    reason: RenewalReason
    words: str
    needs_new_key: bool = False
    former_name: str | None = None


def find_renewal(host, key, tls):
    """Return why a host needs another certificate, or None.

    It does if it has none, if its certificate is that of another key, name or CA, or is revoked, or also valid for another host of the
    inventory, and when a third of its lifetime is over.

    :param str host: inventory name of the host
    :param str key: whether the host has the key of the certificate (``own``), another one (``other``), or ``none``
    :param TlsInputs tls: ``authorities``, ``held``, ``revoked`` and ``now``; ``former_name`` and ``inventory`` are optional
    :rtype: Renewal | None
    """
    held, now, authorities, former_name = tls["held"], tls["now"], tls["authorities"], tls.get("former_name")
    if not held:
        return Renewal(RenewalReason.MISSING, "made")
    name, days = held["name"], (held["not_after"] - now) / 86400
    is_other = name != certificate_name(host)
    taken = _list_other_hosts(host, held, tls.get("inventory", ()))
    reasons = [
        (held["serial"] in tls["revoked"], RenewalReason.REVOKED, "revoked"),
        # a key without its certificate was created by a run that stopped before it had the certificate
        (key != "own", RenewalReason.OTHER_KEY, "of another key"),
        (is_other and name == former_name, RenewalReason.RENAMED, f"of {former_name}, the former name of the host"),
        (is_other, RenewalReason.OTHER_NAME, f"of {name}"),
        (not authorities or held["authority"] != authorities[0]["key"], RenewalReason.OTHER_AUTHORITY, "of another CA"),
        (taken, RenewalReason.EXTRA_NAME, f"also of {', '.join(taken)}"),
        (is_aged(held, now), RenewalReason.AGED, f"valid for {days:.0f} more days"),
    ]
    for is_due, reason, words in reasons:
        if is_due:
            needs_new_key = reason in NEW_KEY_REASONS and key == "own"
            return Renewal(reason, words, needs_new_key, former_name if reason is RenewalReason.RENAMED else None)
    return None


def _list_other_hosts(host, held, inventory):
    """Return the hosts of the inventory, other than its own, for which a certificate is valid."""
    others = set(held["names"]) - {certificate_name(host)}
    return sorted(others & {certificate_name(other) for other in inventory}) if others else []


def is_aged(held, now):
    """Return whether a third of the lifetime of a certificate is over."""
    return held["not_after"] - now < (held["not_after"] - held["not_before"]) * 2 / 3


def find_identity_warnings(host, held, renewal):
    """Return a warning if a host has the certificate of another one: then both may have one key.

    :param str host: inventory name of the host
    :param dict | None held: the certificate of the host
    :param Renewal | None renewal: see :func:`find_renewal`
    :rtype: list[str]
    """
    if not renewal or renewal.reason is not RenewalReason.OTHER_NAME:
        return []
    return [
        f"Host {host} has the private key of {held['name']}, for example because it is a copy of that machine."
        f" This run creates a new key for {host}."
    ]


def compute_lifetime(settings, authorities, now):
    """Return the lifetime of a certificate that this run issues, as :func:`signing.issue` does.

    :param Settings settings: the settings
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :return: ``not_before`` and ``not_after``
    :rtype: dict[str, float]
    """
    end = now + settings["certificate_days"] * 86400
    return {"not_before": now - BACKDATED_SECONDS, "not_after": min([end, *(authority["not_after"] for authority in authorities[:1])])}


def find_clock_problems(host, observed, settings, tls, renewal):
    """Return why the clock of a host makes it refuse a valid certificate: that of the CA, its own, or that of a host of its links.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :param Settings settings: the settings
    :param TlsInputs tls: ``authorities``, ``held``, ``peers`` and ``now``
    :param Renewal | None renewal: why the host gets another certificate in this run
    :rtype: list[str]
    """
    certificate = compute_lifetime(settings, tls["authorities"], tls["now"]) if renewal else tls["held"]
    lifetimes = [("the CA", authority) for authority in tls["authorities"][:1]] + [(host, certificate), *tls["peers"].items()]
    for name, lifetime in lifetimes:
        reason = clock.invalid_by_clock(name, lifetime, host, observed.get("clock_offset"), tls["now"])
        if reason:
            return [f"Host {host}: {reason}. Set the clock of {host}, for example with chrony."]
    return []


def find_authority_warnings(settings, authorities, now):
    """Return a warning about a CA that ends soon: its certificates end with it.

    :param Settings settings: the settings
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :rtype: list[str]
    """
    days = (authorities[0]["not_after"] - now) / 86400 if authorities else CA_WARNING_DAYS
    if days >= CA_WARNING_DAYS:
        return []
    return [
        f"the CA in {settings['controller_dir']} ends in {days:.0f} days, and with it all certificates of its hosts;"
        " run crosshost.ambassador.rollover, which changes to a new one and breaks no connection."
    ]
