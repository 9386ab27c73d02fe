# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a host needs another certificate, and what is wrong with its certificate, its clock or its CA."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import certified

# before the end of a CA people have this time to change to another one
AUTHORITY_DAYS = 365
# signing.py backdates the certificates of hosts by this time
BACKDATED_SECONDS = 3600
# why a host needs another certificate
MISSING, REVOKED, OTHER_KEY, RENAMED, OTHER_NAME = "missing", "revoked", "other_key", "renamed", "other_name"
OTHER_AUTHORITY, EXTRA_NAME, AGED = "other_authority", "extra_name", "aged"
# another host, or an attacker, may have the key as well
NEW_KEY = (REVOKED, OTHER_NAME)
# why HAProxy refuses all certificates of a CA -> what is wrong with its list of revoked certificates, and what to do
LIST_PROBLEMS = {
    "missing": "the list of revoked certificates of the CA {name} is missing. Append it. With any list, HAProxy requires one of each CA.",
    "ended": "the list of revoked certificates of the CA {name} has ended. Replace it with the present list of this CA.",
    "cannot_sign": "the list of the CA {name} is not valid. Issue the certificate of the CA with the key usage cRLSign.",
}


def list_problems(settings, unlisted):
    """Return the CAs of which every certificate is refused, because their lists of revoked certificates are missing or not valid.

    :param list[dict] unlisted: ``name`` and ``fault`` (a key of LIST_PROBLEMS) of each CA
    :rtype: list[str]
    """
    place = "ambassador_ca_crl" if settings["ca"] else f"{settings['controller_dir']}/ca.crl"
    return [f"{place}: {LIST_PROBLEMS[one['fault']].format(name=one['name'])}" for one in unlisted]


def certificate_problems(host, observed, settings, authorities, held, missing=()):
    """Return the reasons why the certificate of a host cannot be kept or made: a wrong CA, or a missing library on the host.

    :param dict observed: the observation
    :param list[dict] authorities: the CAs of this controller, see the plugin util ``certificates``
    :param dict | None held: the certificate of the host
    :param missing: ``name`` and ``issuer`` of the CAs whose issuer is not in the file of the CA
    :rtype: list[str]
    """
    if settings["ca"] and not authorities:
        return ["ambassador_ca_certificate: expected a certificate, PEM, found none in it; correct it."]
    if missing:
        place = "ambassador_ca_certificate" if settings["ca"] else f"{settings['controller_dir']}/ca.pem"
        return [
            f"{place}: the issuer {one['issuer']} of the CA {one['name']} is missing. Append the certificate of the issuer to it."
            for one in missing
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


def holders_problems(holders, settings):
    """Tell which hosts keep this controller from making a CA.

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


def authority_key_problems(path, mode):
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

    ``reason`` is one of the constants above; ``words`` says it to people; ``needs_new_key`` is whether the host has to create another key;
    ``former_name`` is a name of the host that its clients may still verify.
    """

    reason: str
    words: str
    needs_new_key: bool = False
    former_name: str | None = None


def certificate_due(host, key, authorities, held, revoked, now, former_name=None, inventory=()):
    """Return why a host needs another certificate, or None.

    It is due if there is none, if it is another key's, name's or CA's, or revoked, if it is also valid for another host of the inventory,
    and when a third of its time is over.

    :param str host: inventory name of the host
    :param str key: whether the key beside it is its ``own``, an ``other``, or there is ``none``
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param dict | None held: the certificate of the host
    :param list[int] revoked: serial numbers of the certificates that are revoked
    :param float now: seconds since the epoch
    :param str | None former_name: the name in its certificate, if the host was renamed
    :param inventory: names of all hosts of the inventory
    :rtype: Renewal | None
    """
    if not held:
        return Renewal(MISSING, "made")
    others = set(held["names"]) - {certified(host)}
    taken = sorted(others & {certified(one) for one in inventory}) if others else []
    is_other = held["name"] != certified(host)
    reasons = [
        (held["serial"] in revoked, REVOKED, "revoked"),
        (key != "own", OTHER_KEY, "of another key"),
        (is_other and held["name"] == former_name, RENAMED, f"of {former_name}, the former name of the host"),
        (is_other, OTHER_NAME, f"of {held['name']}"),
        (not authorities or held["authority"] != authorities[0]["key"], OTHER_AUTHORITY, "of another CA"),
        (taken, EXTRA_NAME, f"also of {', '.join(taken)}"),
        (
            held["not_after"] - now < (held["not_after"] - held["not_before"]) * 2 / 3,
            AGED,
            f"valid for {(held['not_after'] - now) / 86400:.0f} more days",
        ),
    ]
    # a key without its certificate was created by a run that stopped before it had the certificate
    for is_due, reason, words in reasons:
        if is_due:
            return Renewal(reason, words, reason in NEW_KEY and key == "own", former_name if reason == RENAMED else None)
    return None


def identity_warnings(host, held, due):
    """Return a warning if a host has the certificate of another one: then both may have one key.

    :param str host: inventory name of the host
    :param dict | None held: the certificate of the host
    :param Renewal | None due: see :func:`certificate_due`
    :rtype: list[str]
    """
    if not due or due.reason != OTHER_NAME:
        return []
    return [
        f"Host {host} has the private key of {held['name']}, for example because it is a copy of that machine."
        f" This run creates a new key for {host}."
    ]


def issued_now(settings, authorities, now):
    """Return the lifetime of a certificate that this run issues, as :func:`signing.issue` does.

    :param dict settings: see the documentation of this file
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :return: ``not_before`` and ``not_after``
    :rtype: dict[str, float]
    """
    end = now + settings["certificate_days"] * 86400
    return {"not_before": now - BACKDATED_SECONDS, "not_after": min([end, *(one["not_after"] for one in authorities[:1])])}


def clock_problems(host, observed, settings, tls, due):
    """Return why the clock of a host makes it refuse a valid certificate: that of the CA, its own, or that of a host of its links.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param dict tls: see :func:`plan_side`
    :param Renewal | None due: why the host gets another certificate in this run
    :rtype: list[str]
    """
    own = issued_now(settings, tls["authorities"], tls["now"]) if due else tls["held"]
    lifetimes = [("the CA", one) for one in tls["authorities"][:1]] + [(host, own), *tls["peers"].items()]
    for name, lifetime in lifetimes:
        reason = clock.invalid_by_clock(name, lifetime, host, observed.get("clock_offset"), tls["now"])
        if reason:
            return [f"Host {host}: {reason}. Set the clock of {host}, for example with chrony."]
    return []


def authority_warnings(settings, authorities, now):
    """Warn of a CA that ends: no certificate outlives it.

    :param dict settings: see the documentation of this file
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :rtype: list[str]
    """
    left = (authorities[0]["not_after"] - now) / 86400 if authorities else AUTHORITY_DAYS
    if left >= AUTHORITY_DAYS:
        return []
    return [
        f"the CA in {settings['controller_dir']} ends in {left:.0f} days, and with it all certificates of its hosts;"
        " run crosshost.ambassador.rollover, which changes to a new one and breaks no connection."
    ]
