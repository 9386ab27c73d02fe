# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of hosts, issued on the controller.

A host is trusted to have its own key and nothing else: of its request, only the public key reaches a certificate.
The names, the usages, and the lifetime come from the controller.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import BACKDATED_SECONDS
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import Fault, KeyFault

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # the plan reports it when a certificate has to be read
    x509 = None  # type: ignore[assignment]  # nothing below is called without the library

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, CertificatePublicKeyTypes

# elliptic curves of TLS 1.3 for a certificate, P-256 or better; RFC 8446, section 4.2.3
CURVES = ("secp256r1", "secp384r1", "secp521r1")
# the attribute of a request that holds its extensions; RFC 2985, section 5.4.2
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
LOG = "issued.jsonl"
KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
)
# usages that a CA may add to a certificate of a TLS server and client
HARMLESS_KEY_USAGES = ("content_commitment", "key_encipherment", "key_agreement")


class SigningError(Exception):
    """A certificate cannot be issued, because of ``fault``. The text of the error follows the name of the request or the certificate."""

    def __init__(self, fault: Fault):
        super().__init__(str(fault.at()))
        self.fault = fault


class AuthorityKeyError(Exception):
    """The key of the CA cannot be used, because of ``fault``. The text of the error has no part of the key."""

    def __init__(self, fault: KeyFault):
        super().__init__(str(fault.at()))
        self.fault = fault


class Issued(NamedTuple):
    """An entry of the log of issued certificates. Times are in UTC, as ISO 8601 writes them.

    ``authority`` is the identifier of the key of its CA (hexadecimal digits), or empty if it is not known.
    """

    time: str
    host: str
    serial: int
    public_key_sha256: str
    not_after: str
    authority: str = ""
    mesh: str = ""


def read_request(text: str, held: str | None = None) -> x509.CertificateSigningRequest:
    """Return the signing request of a host.

    :param text: the request, PEM
    :param held: a certificate whose key the request must have, PEM (see :func:`certificates.proves_name`); None if any key is right
    :raises SigningError: if it does not prove that its sender has the private key, or the key is not one for a host
    """
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key, is_signed = request.public_key(), request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningError(Fault.UNREADABLE) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise SigningError(Fault.WEAK_KEY)
    if not is_signed:
        raise SigningError(Fault.NOT_SIGNED)
    if held is not None and certificates.encode_public_key(key) != certificates.read_public_key(held):
        raise SigningError(Fault.OTHER_KEY)
    return request


def build_subject(names: Sequence[str]) -> x509.Name:
    """Return the subject of the certificate of a host: its name as the common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])


def _has_names(source: x509.Certificate | x509.CertificateSigningRequest, names: Collection[str]) -> bool:
    """Return whether a request or a certificate is for these DNS names, and for nothing else."""
    alternatives = list(certificates.get_extension(source, x509.SubjectAlternativeName) or ())
    return all(isinstance(name, x509.DNSName) for name in alternatives) and {name.value for name in alternatives} == set(names)


def _list_key_usages(source: x509.Certificate | x509.CertificateSigningRequest) -> set[str] | None:
    extension = certificates.get_extension(source, x509.KeyUsage)
    return None if extension is None else {name for name in KEY_USAGES if getattr(extension, name)}


def _is_ca(source: x509.Certificate | x509.CertificateSigningRequest) -> bool:
    constraints = certificates.get_extension(source, x509.BasicConstraints)
    return constraints is not None and (constraints.ca or constraints.path_length is not None)


def check_request(request: x509.CertificateSigningRequest, names: Sequence[str]) -> None:
    """Refuse a request for more than the certificate of its host, because another CA may grant all of it.

    :param request: see :func:`read_request`
    :param names: the DNS names of the host, the present one first
    :raises SigningError: for the first field that differs
    """
    try:
        # programs differ in which of several lists of extensions they read
        if [attribute.oid.dotted_string for attribute in request.attributes] != [EXTENSION_REQUEST]:
            raise SigningError(Fault.ATTRIBUTE)
        extensions = {extension.oid for extension in request.extensions}
        usages, extended = _list_key_usages(request), certificates.get_extension(request, x509.ExtendedKeyUsage)
        faults = (
            (request.subject != build_subject(names), Fault.SUBJECT),
            (not _has_names(request, names), Fault.NAMES),
            (_is_ca(request), Fault.IS_CA),
            (usages != {"digital_signature"}, Fault.KEY_USAGE),
            (set(extended or ()) != {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}, Fault.EXTENDED_KEY_USAGE),
            (
                not extensions
                <= {
                    x509.SubjectAlternativeName.oid,
                    x509.BasicConstraints.oid,
                    x509.KeyUsage.oid,
                    x509.ExtendedKeyUsage.oid,
                    x509.SubjectKeyIdentifier.oid,
                },
                Fault.EXTENSION,
            ),
        )
    except (ValueError, x509.DuplicateExtension) as error:
        raise SigningError(Fault.UNREADABLE) from error
    for is_wrong, fault in faults:
        if is_wrong:
            raise SigningError(fault)


def _read_certificate_or_none(text: str) -> x509.Certificate | None:
    """Return the first certificate of a text, or None."""
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return None


def check_certificate(
    text: str, request: x509.CertificateSigningRequest, names: Sequence[str], authority: str, replaced: str, now: float
) -> str:
    """Return a certificate of another CA alone, PEM. Refuse a certificate that this controller would not issue itself.

    A CA may add what only restricts or describes: further key usages of TLS, and extensions that are not critical.

    :param text: the certificate, PEM; the first one counts
    :param request: the request of the host
    :param names: the DNS names of the host, the present one first
    :param authority: the CA, PEM; the first certificate counts
    :param replaced: the present certificate of the host, PEM, or an empty string
    :param now: seconds since the epoch
    :raises SigningError: for the first difference
    """
    try:
        issued = x509.load_pem_x509_certificate(text.encode())
        issuer = x509.load_pem_x509_certificate(authority.encode())
        names_key = certificates.get_extension(issued, x509.AuthorityKeyIdentifier)
        usages, extended = _list_key_usages(issued), certificates.get_extension(issued, x509.ExtendedKeyUsage)
        common_names = [attribute.value for attribute in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        known = (x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName, x509.BasicConstraints)
        critical = [extension for extension in issued.extensions if extension.critical and not isinstance(extension.value, known)]
        allowed = {"digital_signature", *HARMLESS_KEY_USAGES}
        is_valid = issued.not_valid_before_utc.timestamp() <= now < issued.not_valid_after_utc.timestamp()
        faults = (
            (certificates.encode_public_key(issued.public_key()) != certificates.encode_public_key(request.public_key()), Fault.OTHER_KEY),
            (_read_certificate_or_none(replaced) == issued, Fault.UNCHANGED),
            (not certificates.is_issued_by(issued, issuer), Fault.AUTHORITY),
            (names_key is None or names_key.key_identifier is None, Fault.NO_AUTHORITY_KEY),
            (common_names not in ([], [names[0]]), Fault.SUBJECT),
            (not _has_names(issued, names), Fault.NAMES),
            (_is_ca(issued), Fault.IS_CA),
            (usages is not None and not {"digital_signature"} <= usages <= allowed, Fault.KEY_USAGE),
            (
                extended is not None and set(extended) != {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH},
                Fault.EXTENDED_KEY_USAGE,
            ),
            (bool(critical), Fault.EXTENSION),
            (not is_valid, Fault.LIFETIME),
        )
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise SigningError(Fault.UNREADABLE) from error
    for is_wrong, fault in faults:
        if is_wrong:
            raise SigningError(fault)
    return issued.public_bytes(serialization.Encoding.PEM).decode()


def read_authority_key(text: str, passphrase: str, authority: str | None) -> CertificateIssuerPrivateKeyTypes:
    """Return the private key of a CA.

    :param text: the key, PEM
    :param passphrase: its passphrase; empty if it has none
    :param authority: the CA, PEM; the first certificate counts. None for the key of any CA
    :raises AuthorityKeyError: if it cannot be read, or it is not the key of this CA
    """
    try:
        try:
            key = serialization.load_pem_private_key(text.encode(), passphrase.encode() or None)
        except TypeError:
            if not passphrase:
                raise
            # a key without a passphrase, as before one was set
            key = serialization.load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise AuthorityKeyError(KeyFault.NO_PASSPHRASE) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityKeyError(KeyFault.WRONG_PASSPHRASE) from error
    if authority is not None and certificates.encode_public_key(key.public_key()) != certificates.read_public_key(authority):
        raise AuthorityKeyError(KeyFault.OTHER_CA)
    # a key of another kind belongs to no CA, and signs nothing
    return key  # type: ignore[return-value]  # see above


def choose_hash(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | None:
    """Return the hash of a signature: SHA-256 for ECDSA and RSA; None for a key whose algorithm has its own."""
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def issue_certificate(
    public_key: CertificatePublicKeyTypes,
    names: Sequence[str],
    authority: str,
    authority_key: CertificateIssuerPrivateKeyTypes,
    days: int,
    now: float,
) -> str:
    """Return a certificate for the public key of a host, PEM.

    :param public_key: the key
    :param names: the DNS names of the host, the present one first
    :param authority: the CA, PEM; the first certificate counts
    :param authority_key: the private key of the CA
    :param days: lifetime; the certificate does not outlive its CA
    :param now: seconds since the epoch
    :source: RFC 5280, section 4.2
    """
    issuer = x509.load_pem_x509_certificate(authority.encode())
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    end = min(moment + datetime.timedelta(days=days), issuer.not_valid_after_utc)
    identifier = certificates.get_extension(issuer, x509.SubjectKeyIdentifier)
    authority_identifier = (
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        if identifier is not None
        else x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]  # a CA has a key that signs
    )
    usages = {name: name == "digital_signature" for name in KEY_USAGES}
    builder = (
        x509.CertificateBuilder()
        .subject_name(build_subject(names))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - datetime.timedelta(seconds=BACKDATED_SECONDS))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usages, encipher_only=False, decipher_only=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(authority_identifier, critical=False)
    )
    return builder.sign(authority_key, choose_hash(authority_key)).public_bytes(serialization.Encoding.PEM).decode()


def build_log_entry(host: str, certificate: str, now: float, mesh: str = "") -> Issued:
    """Return the entry of a certificate in the log.

    :param host: inventory name of the host
    :param certificate: PEM
    :param now: seconds since the epoch
    :param mesh: the mesh that the host uses it in
    """
    issued = x509.load_pem_x509_certificate(certificate.encode())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(certificates.encode_public_key(issued.public_key()))
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    end, authority = issued.not_valid_after_utc.isoformat(), certificates.get_authority_identifier(issued) or ""
    return Issued(moment.isoformat(), host, issued.serial_number, digest.finalize().hex(), end, authority, mesh)


def append_to_log(directory: str, entry: Issued) -> None:
    """Append an entry to the log. It is one write in append mode, so several processes can do it at the same time.

    A line that a crash cut takes no other entry with it, because each entry begins a line.

    :param directory: the directory on the controller; it is created if it is missing
    :param entry: the entry
    :raises OSError: if it cannot be written
    """
    controller.make_directory(directory)
    descriptor = os.open(os.path.join(directory, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, permissions.PRIVATE_FILE)
    content = f"\n{json.dumps(entry._asdict())}\n".encode()
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.path.join(directory, LOG))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_log(directory: str) -> list[Issued]:
    """Return the log of issued certificates; empty if there is none. A line that a crash cut is left out.

    :param directory: the directory on the controller
    """
    try:
        with open(os.path.join(directory, LOG), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(Issued(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries


def list_issued_certificates(host: str, directory: str) -> set[tuple[int, str]]:
    """Return the certificates that this controller issued to a host, or accepted from another CA for the host.

    :param host: inventory name of the host
    :param directory: the directory on the controller
    :return: serial number, and identifier of the key of its CA, or an empty string if it is not known, of each
    """
    issued = {(entry.serial, entry.authority) for entry in read_log(directory) if entry.host == host}
    # versions before the log kept a file for each certificate
    for file in pathlib.Path(directory, "certificates", host).glob("*.pem") if host else ():
        if file.stem.isdigit():
            certificate = None
            with contextlib.suppress(ValueError, OSError):
                certificate = certificates.read_certificate(file.read_text(encoding="utf-8"))
            issued.add((int(file.stem), (certificate["authority"] or "") if certificate else ""))
    return issued
