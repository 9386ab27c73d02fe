"""What certificates say, which are revoked, and who does not trust a CA yet; the passwords that the controller keeps beside them."""

import base64
import datetime
import hashlib
import os
import stat
import time

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible_collections.crosshost.ambassador.plugins.filter.behind import behind
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _passwords as passwords
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import Renewal, RenewalReason, find_renewal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from signer import NOW, Signer

ONE, OTHER = Signer("one"), Signer("other")


def test_reads_name_issuer_and_lifetime_of_a_certificate():
    certificate = certificates.read_certificate("words before\n" + ONE.certify("vm1", 7) + OTHER.pem)
    (authority,) = certificates.read_certificates(ONE.pem)
    assert (certificate["name"], certificate["serial"], certificate["authority"]) == ("vm1", 7, authority["key"])
    assert certificate["key"] != authority["key"]
    assert (certificate["not_before"], certificate["not_after"]) == (NOW.timestamp(), NOW.timestamp() + 90 * 86400)
    # a CA of ours is its own
    assert (authority["name"], authority["authority"]) == ("one", authority["key"])


@pytest.mark.parametrize("text", ["", "(made by a run)\n", OTHER.revoke(7)])
def test_text_without_a_certificate_has_none(text):
    assert certificates.read_certificate(text) is None
    assert certificates.read_certificates(text) == []


def test_broken_certificate_raises_an_error():
    with pytest.raises(ValueError, match=r"."):
        certificates.read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_reads_a_certificate_without_optional_fields():
    certificate = certificates.read_certificate(ONE.certify("", 7, extended=False))
    assert (certificate["name"], certificate["key"], certificate["authority"]) == ("", None, None)


def test_reads_all_cas_in_their_order():
    assert [certificate["name"] for certificate in certificates.read_certificates(ONE.pem + OTHER.pem)] == ["one", "other"]


def test_finds_missing_issuers_of_intermediate_cas():
    root = Signer("root")
    issuing, namesake = Signer("issuing", root), Signer("root")
    missing = [{"name": "CN=issuing", "issuer": "CN=root"}]
    assert certificates.find_missing_issuers(issuing.pem) == missing
    # the name alone is not enough
    assert certificates.find_missing_issuers(issuing.pem + namesake.pem) == missing
    assert certificates.find_missing_issuers(issuing.pem + root.pem) == certificates.find_missing_issuers(root.pem + issuing.pem) == []
    assert certificates.find_missing_issuers(ONE.pem + OTHER.pem) == certificates.find_missing_issuers("") == []


def test_lists_revoked_certificates_of_all_lists():
    certificate = certificates.list_revoked(ONE.revoke(7, 8) + OTHER.revoke(9))
    assert certificate == [
        {"serial": serial, "issuer": issuer, "since": "20261124120000Z"}
        for serial, issuer in ((7, "CN=one"), (8, "CN=one"), (9, "CN=other"))
    ]
    # numbers of another CA mean nothing
    held = certificates.read_certificate(ONE.certify("vm1", 9))
    assert certificates.select_revoked_serials(held, certificate) == [7, 8]
    assert certificates.select_revoked_serials(None, certificate) == []
    assert certificates.list_revoked(ONE.revoke()) == certificates.list_revoked("") == []


def test_certificate_is_renewed_if_another_ca_signs_and_not_if_one_more_is_trusted():
    held = certificates.read_certificate(ONE.certify("vm1", 7))
    tls = {"held": held, "now": NOW.timestamp()}
    other = Renewal(RenewalReason.OTHER_AUTHORITY, "of another CA", False)
    for pem, due in ((ONE.pem, None), (ONE.pem + OTHER.pem, None), (OTHER.pem + ONE.pem, other), (OTHER.pem, other)):
        assert find_renewal("vm1", "own", {**tls, "authorities": certificates.read_certificates(pem), "revoked": []}) == due
    revoked = [entry["serial"] for entry in certificates.list_revoked(ONE.revoke(7))]
    renewal = find_renewal("vm1", "own", {**tls, "authorities": certificates.read_certificates(ONE.pem), "revoked": revoked})
    assert renewal.reason is RenewalReason.REVOKED


def forged(name, issuer):
    """Return a certificate that says an RSA CA signed it, with a signature of an unknown algorithm."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.name).public_key(key.public_key()).serial_number(5)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=90))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False)
    signed = builder.sign(key, hashes.SHA256(), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 32))
    sha256, unknown = (bytes.fromhex(f"06096086480165030402{last}") for last in ("01", "7f"))
    der = signed.public_bytes(serialization.Encoding.DER).replace(sha256, unknown)
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode()


def test_signature_that_cannot_be_checked_proves_nothing():
    authority = Signer("rsa", key=rsa.generate_private_key(65537, 2048))
    moment = NOW.timestamp() + 1
    assert certificates.proves_name(authority.certify("vm1", 7, names=["vm1"]), "vm1", authority.pem, moment)
    text = forged("VM1", authority)
    assert certificates.read_certificate(text)["authority"] == certificates.read_certificates(authority.pem)[0]["key"]
    assert not certificates.is_signed(text, authority.pem)
    assert not certificates.proves_name(text, "VM1", authority.pem, moment)
    # the administrator's own file is another matter
    assert certificates.find_missing_issuers(authority.pem + text) == []


def test_certificate_proves_its_name_while_it_is_valid():
    text, moment = ONE.certify("vm1", 7, names=["vm1"]), NOW.timestamp() + 1
    assert certificates.proves_name(text, "vm1", ONE.pem, moment)
    for other in (
        ("vm2", ONE.pem, moment),
        ("vm1", OTHER.pem, moment),
        ("vm1", ONE.pem, moment - 2),
        ("vm1", ONE.pem, moment + 91 * 86400),
    ):
        assert not certificates.proves_name(text, *other)
    for unfit in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ONE.certify("vm1", 7, names=["vm2"])):
        assert not certificates.proves_name(unfit, "vm1", ONE.pem, moment)


# -- filters ------------------------------------------------------------------------------------------------------


def test_host_is_behind_if_it_misses_a_ca_or_was_not_reached():
    def host(*texts):
        sides = {f"side{number}": {"files": {"ca.pem": hashlib.sha256(text.encode()).hexdigest()}} for number, text in enumerate(texts)}
        return {"__ambassador_engine_observed": {"sides": sides}}

    hostvars = {
        "both": host("new", "new"),
        "one": host("new", "old"),
        "old": host("old"),
        "away": host("new"),
        "nothing": host(),
        "without TLS": {"__ambassador_engine_observed": {"sides": {"client": {"files": {}}}}},
        "not observed": {},
        "unreadable": {"__ambassador_engine_observed": {"sides": {"client": "x"}}},
    }
    reached = [name for name in hostvars if name != "away"]
    assert behind(list(hostvars), reached, hostvars, "new") == ["one", "old", "away", "unreadable"]


# -- passwords ----------------------------------------------------------------------------------------------------


def look_up(given, directory, loader=None):
    certificate = lookup_loader.get("crosshost.ambassador.redis_passwords", loader=loader or DataLoader())
    (known,) = certificate.run([given], {}, directory=str(directory))
    return known


def test_given_password_replaces_the_stored_one(tmp_path):
    (tmp_path / "redis_app.password").write_text("kept\n")
    assert look_up({"app": "given", "proof": "another"}, tmp_path) == {"app": "given", "proof": "another"}
    assert look_up({"app": ""}, tmp_path) == {"app": "kept"}
    assert os.listdir(tmp_path) == ["redis_app.password"]


def test_missing_password_is_created_and_stored(tmp_path):
    created = look_up({"app": "", "proof": ""}, tmp_path / "new")
    assert all(len(password) == 40 and password.isalnum() for password in created.values())
    assert created["app"] != created["proof"]
    many = "".join(look_up({str(number): "" for number in range(10)}, "").values())
    assert all(any(kind(letter) for letter in many) for kind in (str.isupper, str.islower, str.isdigit))
    assert look_up({"app": "", "proof": ""}, tmp_path / "new") == created
    assert (tmp_path / "new/.gitignore").read_text() == "*\n"
    kept = tmp_path / "new" / "redis_app.password"
    assert kept.read_text() == created["app"] + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert passwords.read_password(str(tmp_path / "new"), "app", "default") == created["app"]


def test_check_mode_stores_no_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(look_up({"app": ""}, "")["app"]) == 40
    assert os.listdir(tmp_path) == []


def test_directory_in_the_home_of_the_user_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    look_up({"app": ""}, "~/kept")
    assert sorted(os.listdir(tmp_path / "kept")) == [".gitignore", "redis_app.password"]


def test_stored_password_is_none_without_a_file_and_empty_in_an_empty_file(tmp_path):
    assert passwords.read_password(str(tmp_path), "app", "default") is None
    (tmp_path / "redis_app.password").write_text("\n")
    assert passwords.read_password(str(tmp_path), "app", "default") == ""


def test_blocks_of_a_long_text_are_found_in_one_pass():
    text = ONE.certify("vm1", 7)
    begin = time.process_time()
    for forged in ("-----BEGIN CERTIFICATE-----\n" * 5_000, "-----BEGIN A-----\n" * 5_000):
        assert certificates.find_blocks(text + forged, "CERTIFICATE") == [text.strip()]
    assert time.process_time() - begin < 1
    assert certificates.find_blocks(f"a{text}b{text}{text.replace('CERTIFICATE', 'X509 CRL')}", "CERTIFICATE") == [text.strip()] * 2


def test_name_in_a_certificate_that_is_not_printable_is_none():
    assert certificates.read_foreign_certificate(ONE.certify("vm1\033[2J", 7))["name"] == ""


def test_forged_certificate_is_not_read():
    (block,) = certificates.find_blocks(ONE.certify("vm1", 7), "CERTIFICATE")
    forged = x509.load_pem_x509_certificate(block.encode()).public_bytes(serialization.Encoding.DER)
    for change in (lambda der: der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"), lambda der: der[:200], lambda der: b""):
        text = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(change(forged)).decode()}\n-----END CERTIFICATE-----\n"
        assert certificates.read_foreign_certificate(text) is None
        assert certificates.read_public_key(text) is None
    assert certificates.read_foreign_certificate(["text"]) is None
    assert certificates.read_foreign_certificate(block)["name"] == "vm1"
