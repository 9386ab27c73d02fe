"""A CA as the collection makes it, without Ansible."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


class Signer:
    """A CA, as the collection makes it; with an issuer, an intermediate one."""

    def __init__(self, name, issuer=None, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = (issuer or self)._sign(self.name, self.key.public_key(), 1)

    def certify(self, name, serial, extended=True, begin=NOW, authority=None, names=()):
        """Return a certificate for a new key, with DNS names if any are given."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        return self._sign(subject, ec.generate_private_key(ec.SECP256R1()).public_key(), serial, extended, begin, authority, names)

    def _sign(self, subject, key, serial, extended=True, begin=NOW, authority=None, names=()):
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key).serial_number(serial)
        made = made.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=90))
        if extended:
            made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((authority or self).key.public_key()), False)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def revoke(self, *serials):
        """Return a list of revoked ones."""
        made = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW).next_update(NOW + datetime.timedelta(days=1))
        for serial in serials:
            made = made.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build())
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
