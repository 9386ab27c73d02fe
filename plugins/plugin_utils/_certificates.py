# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certificates and lists of revoked ones say, on the controller: read with `cryptography`, as community.crypto does there."""

from __future__ import annotations

import enum

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID
except ImportError:  # said by the plan, where a certificate has to be read
    x509 = None

# a thousand lists and certificates of CAs fit
MAX_PEM_CHARACTERS = 4 << 20
# the certificate of a host
MAX_CERTIFICATE_CHARACTERS = 64 << 10
# an issued certificate is valid since this time before it was signed, because clocks differ
BACKDATED_SECONDS = 3600


def blocks(text, kind):
    """Return the PEM blocks of a kind in a text.

    :param str text: any text
    :param str kind: ``CERTIFICATE`` or ``X509 CRL``
    :rtype: list[str]
    """
    found, end, mark = [], 0, f"-----END {kind}-----"
    # the text may come from a host, so the search passes it once, also if no block ends
    while len(text) <= MAX_PEM_CHARACTERS and (begin := text.find(f"-----BEGIN {kind}-----", end)) >= 0 <= (end := text.find(mark, begin)):
        end += len(mark)
        found.append(text[begin:end])
    return found


def certificate(text):
    """Return what a certificate says.

    :param str text: PEM; the first certificate in it counts
    :return: ``name`` (common name), ``names`` (all DNS names), ``serial`` (int), ``issuer`` (its name, as RFC 4514 writes it),
        ``key`` and ``authority`` (identifiers of its key and of its CA's, hexadecimal digits),
        ``not_before`` and ``not_after`` (seconds since the epoch); None where there is no certificate
    :rtype: dict | None
    :raises ValueError: where it cannot be read
    :source: RFC 5280, sections 4.2.1.1 and 4.2.1.2
    """
    found = blocks(text, "CERTIFICATE")
    if not found:
        return None
    read = x509.load_pem_x509_certificate(found[0].encode())
    names = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return {
        # messages contain it
        "name": names[0].value if names and names[0].value.isprintable() else "",
        "names": _dns_names(read),
        "serial": read.serial_number,
        "issuer": read.issuer.rfc4514_string(),
        "key": _identifier(read, x509.SubjectKeyIdentifier, "digest"),
        "authority": _identifier(read, x509.AuthorityKeyIdentifier, "key_identifier"),
        "not_before": read.not_valid_before_utc.timestamp(),
        "not_after": read.not_valid_after_utc.timestamp(),
    }


def readable(text):
    """Return what a certificate of another host says: see :func:`certificate`. None if it cannot be read.

    :param text: anything
    :rtype: dict | None
    """
    try:
        return certificate(text) if isinstance(text, str) and len(text) <= MAX_CERTIFICATE_CHARACTERS else None
    # the parser raises many errors for a forged one
    except Exception:
        return None


def extension_value(read, extension):
    """Return the value of an extension of a certificate or a request, or None if it is missing.

    :param read: the certificate or the request
    :param extension: the class of the value, such as :class:`x509.KeyUsage`
    """
    try:
        return read.extensions.get_extension_for_class(extension).value
    except x509.ExtensionNotFound:
        return None


def der(public_key):
    """Return a public key in DER format.

    :rtype: bytes
    """
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _dns_names(read):
    names = extension_value(read, x509.SubjectAlternativeName)
    return names.get_values_for_type(x509.DNSName) if names is not None else []


def _identifier(read, extension, attribute):
    value = getattr(extension_value(read, extension), attribute, None)
    return value.hex() if value else None


def certificates(text):
    """Return what all certificates of a text say: see :func:`certificate`.

    :param str text: PEM
    :return: empty where one of them is none
    :rtype: list[dict]
    """
    try:
        return [certificate(block) for block in blocks(text, "CERTIFICATE")]
    except ValueError:
        return []


def is_issued_by(issued, issuer, is_trusted=False):
    """Return whether one certificate signed another.

    :param x509.Certificate issued: the certificate that may have been signed
    :param x509.Certificate issuer: the certificate whose key may have signed it
    :param bool is_trusted: whether the certificate comes from the administrator. Then matching names and identifiers are enough for a
        signature of an algorithm that this library does not know
    :rtype: bool
    :source: RFC 5280, section 6.1.3, (a) (1) and (4), and section 4.2.1.1
    """
    named = _identifier(issued, x509.AuthorityKeyIdentifier, "key_identifier")
    key = _identifier(issuer, x509.SubjectKeyIdentifier, "digest")
    if issued.issuer != issuer.subject or (named and key and named != key):
        return False
    try:
        issued.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    except (TypeError, UnsupportedAlgorithm):
        return bool(is_trusted and named and key)
    return True


def is_signed(text, ca):
    """Tell whether one of the CAs signed a certificate.

    :param str text: PEM; the first certificate in it counts
    :param str ca: the certificates of the CAs, PEM
    :rtype: bool
    """
    try:
        signed, *authorities = [
            x509.load_pem_x509_certificate(block.encode()) for block in blocks(text, "CERTIFICATE")[:1] + blocks(ca, "CERTIFICATE")
        ]
    except ValueError:
        return False
    return any(is_issued_by(signed, authority) for authority in authorities)


def public_key(text):
    """Return the public key of a certificate, in DER format; None if there is no certificate that can be read.

    :param str text: PEM; the first certificate in it counts
    :rtype: bytes | None
    """
    found = blocks(text, "CERTIFICATE") if len(text) <= MAX_CERTIFICATE_CHARACTERS else []
    try:
        return der(x509.load_pem_x509_certificate(found[0].encode()).public_key()) if found else None
    # see readable
    except Exception:
        return None


def proves_name(text, name, ca, now):
    """Return whether a certificate proves that its key belongs to a host name: a CA of this controller signed it, and it is valid.

    :param str text: PEM; the first certificate in it counts
    :param str name: the common name that it must have, which must be one of its DNS names as well
    :param str ca: the certificates of the CAs, PEM
    :param float now: seconds since the epoch
    :rtype: bool
    """
    try:
        held = certificate(text)
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not held or held["name"] != name or name not in held["names"]:
        return False
    return held["not_before"] <= now < held["not_after"] and is_signed(text, ca)


def missing_issuers(text):
    """Return the CA certificates of a text whose issuer is not in it: OpenSSL trusts only chains that end in a self-signed certificate.

    :param str text: PEM
    :return: ``name`` and ``issuer`` of each, as RFC 4514 writes them; empty if a certificate cannot be read
    :rtype: list[dict[str, str]]
    :source: OpenSSL's documentation, openssl-verification-options, -partial_chain
    """
    try:
        known = [x509.load_pem_x509_certificate(block.encode()) for block in blocks(text, "CERTIFICATE")]
    except ValueError:
        return []
    return [
        {"name": one.subject.rfc4514_string(), "issuer": one.issuer.rfc4514_string()}
        for one in known
        if not any(is_issued_by(one, issuer, is_trusted=True) for issuer in known)
    ]


class ListFault(enum.Enum):
    """Why the list of revoked certificates of a CA makes HAProxy refuse all certificates of the CA."""

    MISSING = "missing"
    ENDED = "ended"
    CANNOT_SIGN = "cannot_sign"


def _lists(text):
    return [x509.load_pem_x509_crl(block.encode()) for block in blocks(text, "X509 CRL")]


def list_of(authority, text):
    """Return the newest list of revoked certificates that a CA signed, or None.

    :param x509.Certificate authority: the CA
    :param str text: PEM, any number of lists of any CAs
    :rtype: x509.CertificateRevocationList | None
    :raises ValueError: if one of them cannot be read
    """

    def is_signed_by_authority(crl):
        try:
            return crl.issuer == authority.subject and crl.is_signature_valid(authority.public_key())
        except (TypeError, ValueError, UnsupportedAlgorithm):
            return False

    return max(filter(is_signed_by_authority, _lists(text)), key=lambda crl: crl.last_update_utc, default=None)


def list_fault(authority, crl, now):
    """Return why HAProxy refuses all certificates of a CA with its list, or None.

    :param x509.Certificate authority: the CA
    :param x509.CertificateRevocationList | None crl: its list
    :param float now: seconds since the epoch
    :rtype: ListFault | None
    :source: RFC 5280, section 6.3.3, (f); OpenSSL's crypto/x509/x509_vfy.c, check_crl
    """
    usages = extension_value(authority, x509.KeyUsage)
    if usages is not None and not usages.crl_sign:
        return ListFault.CANNOT_SIGN
    if crl is None:
        return ListFault.MISSING
    return ListFault.ENDED if crl.next_update_utc and crl.next_update_utc.timestamp() <= now else None


def unlisted(ca, crl, now):
    """Return the CAs without a list of revoked certificates: with any list, HAProxy requires one of each CA, the root included.

    :param str ca: the certificates of the CAs, PEM
    :param str crl: the lists, PEM; without any list, HAProxy requires none
    :param float now: seconds since the epoch
    :return: ``name`` (as RFC 4514 writes it) and ``fault`` of each
    :rtype: list[dict]
    :source: HAProxy Configuration Manual, section 5.1, "crl-file"; OpenSSL's X509_V_FLAG_CRL_CHECK_ALL
    """
    if not crl.strip():
        return []
    try:
        authorities = [x509.load_pem_x509_certificate(block.encode()) for block in blocks(ca, "CERTIFICATE")]
    except ValueError:
        return []
    faults = [(one.subject.rfc4514_string(), list_fault(one, list_of(one, crl), now)) for one in authorities]
    return [{"name": name, "fault": fault} for name, fault in faults if fault]


def revoked(text):
    """Return the certificates that lists of a text revoke.

    :param str text: PEM, any number of lists
    :return: ``serial`` (int), ``issuer`` (as RFC 4514 writes it), and ``since`` (``YYYYMMDDhhmmssZ``) of each
    :rtype: list[dict]
    """
    return [
        {
            "serial": entry.serial_number,
            "issuer": crl.issuer.rfc4514_string(),
            "since": entry.revocation_date_utc.strftime("%Y%m%d%H%M%SZ"),
        }
        for crl in _lists(text)
        for entry in crl
    ]


def revoked_serials(held, entries):
    """Return the serial numbers that the issuer of a certificate revoked: another CA may use the same numbers.

    :param dict | None held: the certificate, see :func:`certificate`
    :param list[dict] entries: see :func:`revoked`
    :rtype: list[int]
    """
    return [entry["serial"] for entry in entries if held and entry["issuer"] == held["issuer"]]
