# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates and lists of revoked certificates on the controller, read with the library ``cryptography``."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict, TypeVar

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID
except ImportError:  # the plan reports it when a certificate has to be read
    x509 = None  # type: ignore[assignment]  # nothing below is called without the library

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    ExtensionValue = TypeVar("ExtensionValue", bound=x509.ExtensionType)

# a thousand lists and certificates of CAs fit
MAX_PEM_CHARACTERS = 4 << 20
# the certificate of a host
MAX_CERTIFICATE_CHARACTERS = 64 << 10
# an issued certificate is valid since this time before it was signed, because clocks differ
BACKDATED_SECONDS = 3600


class Certificate(TypedDict):
    """The fields of a certificate."""

    #: the common name
    name: str
    #: all DNS names
    names: list[str]
    serial: int
    #: the name of its CA, as RFC 4514 writes it
    issuer: str
    #: identifiers of its key and of the key of its CA, in hexadecimal digits
    key: str | None
    authority: str | None
    #: in seconds since the epoch
    not_before: float
    not_after: float


class MissingIssuer(TypedDict):
    """A CA certificate whose issuer is missing. Both names are as RFC 4514 writes them."""

    name: str
    issuer: str


class UnlistedAuthority(TypedDict):
    """A CA without a valid list of revoked certificates. The name is as RFC 4514 writes it."""

    name: str
    fault: ListFault


class RevokedCertificate(TypedDict):
    """An entry of a list of revoked certificates."""

    serial: int
    #: as RFC 4514 writes it
    issuer: str
    #: ``YYYYMMDDhhmmssZ``
    since: str


def find_blocks(text: str, kind: str) -> list[str]:
    """Return the PEM blocks of a kind in a text.

    :param text: any text
    :param kind: ``CERTIFICATE`` or ``X509 CRL``
    """
    found, end, mark = [], 0, f"-----END {kind}-----"
    # the text may come from a host, so the search passes it once, also if no block ends
    while len(text) <= MAX_PEM_CHARACTERS and (begin := text.find(f"-----BEGIN {kind}-----", end)) >= 0 <= (end := text.find(mark, begin)):
        end += len(mark)
        found.append(text[begin:end])
    return found


def _load_certificates(text: str) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(block.encode()) for block in find_blocks(text, "CERTIFICATE")]


def _read_fields(loaded: x509.Certificate) -> Certificate:
    common_names = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return {
        # messages contain it
        "name": str(common_names[0].value) if common_names and str(common_names[0].value).isprintable() else "",
        "names": _list_dns_names(loaded),
        "serial": loaded.serial_number,
        "issuer": loaded.issuer.rfc4514_string(),
        "key": get_key_identifier(loaded),
        "authority": get_authority_identifier(loaded),
        "not_before": loaded.not_valid_before_utc.timestamp(),
        "not_after": loaded.not_valid_after_utc.timestamp(),
    }


def read_certificate(text: str) -> Certificate | None:
    """Return the fields of a certificate, or None if there is no certificate.

    :param text: PEM; the first certificate in it counts
    :raises ValueError: if it cannot be read
    :source: RFC 5280, sections 4.2.1.1 and 4.2.1.2
    """
    blocks = find_blocks(text, "CERTIFICATE")
    return _read_fields(x509.load_pem_x509_certificate(blocks[0].encode())) if blocks else None


def read_foreign_certificate(text: object) -> Certificate | None:
    """Return the fields of a certificate of another host, or None if it cannot be read.

    :param text: anything
    """
    try:
        return read_certificate(text) if isinstance(text, str) and len(text) <= MAX_CERTIFICATE_CHARACTERS else None
    # the parser raises many errors for a forged one
    except Exception:
        return None


def get_extension(
    source: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList, extension: type[ExtensionValue]
) -> ExtensionValue | None:
    """Return the value of an extension, or None if it is missing.

    :param source: a certificate, a request, or a list of revoked certificates
    :param extension: the class of the value, such as :class:`x509.KeyUsage`
    """
    try:
        return source.extensions.get_extension_for_class(extension).value
    except x509.ExtensionNotFound:
        return None


def encode_public_key(public_key: PublicKeyTypes) -> bytes:
    """Return a public key in DER format."""
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _list_dns_names(loaded: x509.Certificate) -> list[str]:
    names = get_extension(loaded, x509.SubjectAlternativeName)
    return names.get_values_for_type(x509.DNSName) if names is not None else []


def get_key_identifier(loaded: x509.Certificate) -> str | None:
    """Return the identifier of the key of a certificate in hexadecimal digits, or None if it has none."""
    extension = get_extension(loaded, x509.SubjectKeyIdentifier)
    return extension.digest.hex() if extension is not None and extension.digest else None


def get_authority_identifier(loaded: x509.Certificate) -> str | None:
    """Return the identifier of the key of the CA of a certificate in hexadecimal digits, or None if it has none."""
    extension = get_extension(loaded, x509.AuthorityKeyIdentifier)
    return extension.key_identifier.hex() if extension is not None and extension.key_identifier else None


def read_certificates(text: str) -> list[Certificate]:
    """Return the fields of all certificates of a text, or an empty list if one of them cannot be read.

    :param text: PEM
    """
    try:
        return [_read_fields(loaded) for loaded in _load_certificates(text)]
    except ValueError:
        return []


def is_issued_by(issued: x509.Certificate, issuer: x509.Certificate, is_trusted: bool = False) -> bool:
    """Return whether one certificate signed another.

    :param issued: the certificate that may have been signed
    :param issuer: the certificate whose key may have signed it
    :param is_trusted: whether the certificate comes from the administrator. Then matching names and identifiers are enough for a
        signature of an algorithm that this library does not know
    :source: RFC 5280, section 6.1.3, (a) (1) and (4), and section 4.2.1.1
    """
    authority, key = get_authority_identifier(issued), get_key_identifier(issuer)
    if issued.issuer != issuer.subject or (authority and key and authority != key):
        return False
    try:
        issued.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    except (TypeError, UnsupportedAlgorithm):
        return bool(is_trusted and authority and key)
    return True


def is_signed(text: str, ca: str) -> bool:
    """Return whether one of the CAs signed a certificate.

    :param text: PEM; the first certificate in it counts
    :param ca: the certificates of the CAs, PEM
    """
    try:
        signed, *authorities = [
            x509.load_pem_x509_certificate(block.encode())
            for block in find_blocks(text, "CERTIFICATE")[:1] + find_blocks(ca, "CERTIFICATE")
        ]
    except ValueError:
        return False
    return any(is_issued_by(signed, authority) for authority in authorities)


def read_public_key(text: str) -> bytes | None:
    """Return the public key of a certificate, in DER format; None if there is no certificate that can be read.

    :param text: PEM; the first certificate in it counts
    """
    blocks = find_blocks(text, "CERTIFICATE") if len(text) <= MAX_CERTIFICATE_CHARACTERS else []
    try:
        return encode_public_key(x509.load_pem_x509_certificate(blocks[0].encode()).public_key()) if blocks else None
    # see read_foreign_certificate
    except Exception:
        return None


def proves_name(text: str, name: str, ca: str, now: float) -> bool:
    """Return whether a certificate proves that its key belongs to a host name: a CA of this controller signed it, and it is valid.

    :param text: PEM; the first certificate in it counts
    :param name: the common name that it must have, which must be one of its DNS names as well
    :param ca: the certificates of the CAs, PEM
    :param now: seconds since the epoch
    """
    try:
        certificate = read_certificate(text)
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not certificate or certificate["name"] != name or name not in certificate["names"]:
        return False
    return certificate["not_before"] <= now < certificate["not_after"] and is_signed(text, ca)


def find_missing_issuers(text: str) -> list[MissingIssuer]:
    """Return the CA certificates of a text whose issuer is not in it: OpenSSL trusts only chains that end in a self-signed certificate.

    :param text: PEM
    :return: empty if a certificate cannot be read
    :source: OpenSSL's documentation, openssl-verification-options, -partial_chain
    """
    try:
        authorities = _load_certificates(text)
    except ValueError:
        return []
    return [
        {"name": authority.subject.rfc4514_string(), "issuer": authority.issuer.rfc4514_string()}
        for authority in authorities
        if not any(is_issued_by(authority, issuer, is_trusted=True) for issuer in authorities)
    ]


class ListFault(enum.Enum):
    """Why the list of revoked certificates of a CA makes HAProxy refuse all certificates of the CA."""

    MISSING = "missing"
    ENDED = "ended"
    CANNOT_SIGN = "cannot_sign"


def _load_lists(text: str) -> list[x509.CertificateRevocationList]:
    return [x509.load_pem_x509_crl(block.encode()) for block in find_blocks(text, "X509 CRL")]


def find_list(authority: x509.Certificate, text: str) -> x509.CertificateRevocationList | None:
    """Return the newest list of revoked certificates that a CA signed, or None.

    :param authority: the CA
    :param text: PEM, any number of lists of any CAs
    :raises ValueError: if one of them cannot be read
    """

    def is_signed_by_authority(crl: x509.CertificateRevocationList) -> bool:
        try:
            # a key of another kind raises a TypeError
            return crl.issuer == authority.subject and crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # see above
        except (TypeError, ValueError, UnsupportedAlgorithm):
            return False

    return max(filter(is_signed_by_authority, _load_lists(text)), key=lambda crl: crl.last_update_utc, default=None)


def find_list_fault(authority: x509.Certificate, crl: x509.CertificateRevocationList | None, now: float) -> ListFault | None:
    """Return why HAProxy refuses all certificates of a CA with its list, or None.

    :param authority: the CA
    :param crl: its list
    :param now: seconds since the epoch
    :source: RFC 5280, section 6.3.3, (f); OpenSSL's crypto/x509/x509_vfy.c, check_crl
    """
    usages = get_extension(authority, x509.KeyUsage)
    if usages is not None and not usages.crl_sign:
        return ListFault.CANNOT_SIGN
    if crl is None:
        return ListFault.MISSING
    return ListFault.ENDED if crl.next_update_utc and crl.next_update_utc.timestamp() <= now else None


def find_unlisted_authorities(ca: str, crl: str, now: float) -> list[UnlistedAuthority]:
    """Return the CAs without a list of revoked certificates: with any list, HAProxy requires one of each CA, the root included.

    :param ca: the certificates of the CAs, PEM
    :param crl: the lists, PEM; without any list, HAProxy requires none
    :param now: seconds since the epoch
    :source: HAProxy Configuration Manual, section 5.1, "crl-file"; OpenSSL's X509_V_FLAG_CRL_CHECK_ALL
    """
    if not crl.strip():
        return []
    try:
        authorities = _load_certificates(ca)
    except ValueError:
        return []
    faults = [(authority.subject.rfc4514_string(), find_list_fault(authority, find_list(authority, crl), now)) for authority in authorities]
    return [{"name": name, "fault": fault} for name, fault in faults if fault]


def list_revoked(text: str) -> list[RevokedCertificate]:
    """Return the certificates that lists of a text revoke.

    :param text: PEM, any number of lists
    """
    return [
        {
            "serial": entry.serial_number,
            "issuer": crl.issuer.rfc4514_string(),
            "since": entry.revocation_date_utc.strftime("%Y%m%d%H%M%SZ"),
        }
        for crl in _load_lists(text)
        for entry in crl
    ]


def select_revoked_serials(certificate: Certificate | None, entries: Iterable[RevokedCertificate]) -> list[int]:
    """Return the serial numbers that the issuer of a certificate revoked: another CA may use the same numbers.

    :param certificate: the certificate
    :param entries: see :func:`list_revoked`
    """
    return [entry["serial"] for entry in entries if certificate and entry["issuer"] == certificate["issuer"]]
