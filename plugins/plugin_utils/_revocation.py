# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists of revoked certificates, on the controller: one of each CA that hosts trust, because HAProxy requires all of them."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _signing as signing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import BACKDATED_SECONDS

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the plan reports it when a certificate has to be read
    x509 = None  # type: ignore[assignment]  # nothing below is called without the library

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

# hosts get a new list in a run, not at a date: after this date a list refuses all certificates
LIST_DAYS = 3650


class Gap(NamedTuple):
    """A CA whose list this controller cannot complete, because it does not have the key of the CA.

    ``fault`` is None if the list is valid and lacks only ``serials``.
    """

    name: str
    fault: certificates.ListFault | None
    serials: list[int]


class GapError(Exception):
    """Lists of revoked certificates are incomplete, because of ``gaps``."""

    def __init__(self, gaps: list[Gap]):
        super().__init__(str(gaps))
        self.gaps = gaps


def _compute_key_identifier(authority: x509.Certificate) -> bytes:
    """Return the identifier of the key of a CA, as :func:`signing.issue_certificate` writes it into certificates."""
    extension = certificates.get_extension(authority, x509.SubjectKeyIdentifier)
    return (extension or x509.SubjectKeyIdentifier.from_public_key(authority.public_key())).digest


def list_key_identifiers(ca: str) -> list[str]:
    """Return the identifiers of the keys of CAs, in hexadecimal digits.

    :param ca: the certificates of the CAs, PEM
    """
    authorities = [x509.load_pem_x509_certificate(block.encode()) for block in certificates.find_blocks(ca, "CERTIFICATE")]
    return [_compute_key_identifier(authority).hex() for authority in authorities]


def _sign(
    authority: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    former: x509.CertificateRevocationList | None,
    serials: Iterable[int],
    now: float,
) -> x509.CertificateRevocationList:
    """Return the next list of a CA: the entries of the former one, and serial numbers that are revoked from now on."""
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    entries = {entry.serial_number: entry for entry in former or ()}
    number = certificates.get_extension(former, x509.CRLNumber) if former is not None else None
    # clocks of hosts differ, and a list that begins later refuses all certificates
    begin = moment - datetime.timedelta(seconds=BACKDATED_SECONDS)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(begin)
        .next_update(moment + datetime.timedelta(days=LIST_DAYS))
        .add_extension(x509.CRLNumber(number.crl_number + 1 if number else 1), critical=False)
        # two CAs of one day have the same name
        .add_extension(x509.AuthorityKeyIdentifier(_compute_key_identifier(authority), None, None), critical=False)
    )
    for serial in serials:
        if serial not in entries:
            entries[serial] = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
    for entry in entries.values():
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, signing.choose_hash(key))


def complete_lists(
    ca: str, lists: str, keys: Iterable[CertificateIssuerPrivateKeyTypes], issued: Collection[tuple[int, str]], now: float
) -> str:
    """Return the lists of revoked certificates of all CAs, one of each, PEM.

    A list that is complete stays as it is. The others are signed again if the key of the CA is here.

    :param ca: the certificates of the CAs, PEM
    :param lists: the present lists, PEM; those of other CAs are left out
    :param keys: the private keys of CAs that this controller has
    :param issued: certificates to revoke: serial number, and identifier of the key of the CA, or an empty string if it is not known. Those
        of other CAs are left out
    :param now: seconds since the epoch
    :raises GapError: if this controller cannot complete a list
    """
    signers = {certificates.encode_public_key(key.public_key()): key for key in keys}
    complete: dict[str, None] = {}
    gaps: list[Gap] = []
    for block in certificates.find_blocks(ca, "CERTIFICATE"):
        authority = x509.load_pem_x509_certificate(block.encode())
        crl, key = certificates.find_list(authority, lists), signers.get(certificates.encode_public_key(authority.public_key()))
        fault = certificates.find_list_fault(authority, crl, now)
        identifier = _compute_key_identifier(authority).hex()
        due = [serial for serial, signer in sorted(issued) if signer == identifier or (not signer and key)]
        missing = [serial for serial in due if crl is None or crl.get_revoked_certificate_by_serial_number(serial) is None]
        if fault or missing:
            if fault is certificates.ListFault.CANNOT_SIGN or key is None:
                gaps.append(Gap(authority.subject.rfc4514_string(), fault, missing))
            else:
                crl = _sign(authority, key, crl, due, now)
        if crl is not None:
            complete[crl.public_bytes(serialization.Encoding.PEM).decode()] = None
    if gaps:
        raise GapError(gaps)
    return "".join(complete)
