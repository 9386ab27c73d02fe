"""Certificates of hosts: of a request only the key counts, with our CA, with a given one, and with one elsewhere."""

import datetime
import itertools
import json
import os
import stat
import subprocess

import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _signing as signing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import Fault, KeyFault
from conftest import ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
PASSPHRASE = "a passphrase"
TLS_USAGES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def key_usage(*usages):
    names = [*signing.KEY_USAGES, "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in usages for name in names})


# a field -> what the host asks for instead
FORGED = {
    Fault.SUBJECT: {"subject": "vm1"},
    Fault.NAMES: {"names": [x509.DNSName("vm2"), x509.DNSName("vm1"), x509.DNSName("*.example.com")]},
    Fault.IS_CA: {"constraints": x509.BasicConstraints(ca=True, path_length=3)},
    Fault.KEY_USAGE: {"usage": key_usage("digital_signature", "key_cert_sign", "crl_sign")},
    Fault.EXTENDED_KEY_USAGE: {"extended": [*TLS_USAGES, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]},
    Fault.EXTENSION: {"more": x509.NameConstraints([x509.DNSName("example.com")], None)},
}
EVERYTHING = {name: value for fields in FORGED.values() for name, value in fields.items()}


def fields(builder, names=None, constraints=None, usage=None, extended=TLS_USAGES, more=None):
    """Add extensions to a request or a certificate; by default those that the collection asks for."""
    builder = builder.add_extension(x509.SubjectAlternativeName(names or [x509.DNSName("vm2")]), False)
    builder = builder.add_extension(usage or key_usage("digital_signature"), True)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), False)
    for extension in filter(None, (constraints, more)):
        builder = builder.add_extension(extension, True)
    return builder


def common_name(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(made):
    return made.public_bytes(serialization.Encoding.PEM).decode()


def request(key=KEY, subject="vm2", **forged):
    builder = fields(x509.CertificateSigningRequestBuilder().subject_name(common_name(subject)), **forged)
    return pem(builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()))


class Authority:
    """A CA, with what it issues."""

    def __init__(self, name="CA", days=3650, key=None, identified=True):
        self.key, self.name = key or ec.generate_private_key(ec.SECP256R1()), common_name(name)
        self.end = NOW + datetime.timedelta(days=days)
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW - datetime.timedelta(days=1)).not_valid_after(self.end)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        if identified:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        self.pem = pem(builder.sign(self.key, hashes.SHA256()))

    def certify(self, key=KEY, subject="vm2", begin=-1, end=30, named=True, **others):
        """Return a certificate as a CA elsewhere may sign it."""
        builder = x509.CertificateBuilder().subject_name(common_name(subject)).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW + datetime.timedelta(days=begin))
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=end))
        if named:
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        return pem(fields(builder, **others).sign(self.key, hashes.SHA256()))

    def private(self, passphrase=None):
        encryption = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


AUTHORITY = Authority()


def issued(text, names=("vm2",), authority=AUTHORITY, days=730):
    key = signing.read_request(text).public_key()
    return x509.load_pem_x509_certificate(
        signing.issue_certificate(key, list(names), authority.pem, authority.key, days, NOW.timestamp()).encode()
    )


def holds_what_is_expected(certificate, names=("vm2",), authority=AUTHORITY):
    extensions = {type(extension.value): (extension.value, extension.critical) for extension in certificate.extensions}
    return (
        certificate.subject == common_name(names[0])
        and certificate.issuer == authority.name
        and certificate.public_key() == KEY.public_key()
        and extensions
        == {
            x509.BasicConstraints: (x509.BasicConstraints(False, None), True),
            x509.KeyUsage: (key_usage("digital_signature"), True),
            x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(TLS_USAGES), False),
            x509.SubjectAlternativeName: (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
            x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), False),
            x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
        }
    )


# -- the CA of the controller ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forged", [{}, *FORGED.values(), EVERYTHING], ids=str)
def test_certificate_has_only_the_fields_of_the_controller(forged):
    certificate = issued(request(**forged))
    assert holds_what_is_expected(certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(AUTHORITY.pem.encode()))


def test_former_name_is_in_the_certificate_after_the_present_one():
    assert holds_what_is_expected(issued(request(), ("vm2", "former")), ("vm2", "former"))


def test_certificate_is_valid_for_the_days_and_ends_with_its_ca():
    certificate = issued(request(), days=90)
    assert certificate.not_valid_before_utc == NOW - datetime.timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=90)
    ends = Authority(days=30)
    assert issued(request(), authority=ends).not_valid_after_utc == ends.end


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()], ids=["RSA", "Ed25519"])
def test_ca_with_another_kind_of_key_signs(key):
    if isinstance(key, rsa.RSAPrivateKey):
        authority = Authority(key=key, identified=False)
    else:
        authority = Authority()
        authority.key = key
    certificate = issued(request(), authority=authority)
    if isinstance(key, rsa.RSAPrivateKey):
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))
    else:
        key.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP192R1()),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["RSA", "Ed25519", "P-192", "P-224", "secp256k1"],
)
def test_refuses_a_key_of_another_kind(key):
    with pytest.raises(signing.SigningError) as refused:
        signing.read_request(request(key))
    assert refused.value.fault is Fault.WEAK_KEY


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_accepts_the_curves_of_tls(curve):
    key = ec.generate_private_key(curve)
    assert signing.read_request(request(key)).public_key() == key.public_key()


def test_refuses_a_request_that_its_key_did_not_sign():
    """Its owner never signed the request."""
    original = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
    point = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*point)
    forged = original.replace(KEY.public_key().public_bytes(*point), other)
    assert forged != original
    with pytest.raises(signing.SigningError) as refused:
        signing.read_request(pem(x509.load_der_x509_csr(forged)))
    assert refused.value.fault is Fault.NOT_SIGNED


@pytest.mark.parametrize("text", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"])
def test_refuses_a_text_that_is_no_request(text):
    with pytest.raises(signing.SigningError) as refused:
        signing.read_request(text)
    assert refused.value.fault is Fault.UNREADABLE


def test_former_name_needs_the_key_that_was_certified_for_it():
    held = AUTHORITY.certify(KEY, "former")
    assert signing.read_request(request(), held).public_key() == KEY.public_key()
    with pytest.raises(signing.SigningError) as refused:
        signing.read_request(request(ec.generate_private_key(ec.SECP256R1())), held)
    assert refused.value.fault is Fault.OTHER_KEY


def test_key_of_the_ca_needs_its_passphrase_and_belongs_to_it():
    secret = AUTHORITY.private(PASSPHRASE)
    assert signing.read_authority_key(secret, PASSPHRASE, AUTHORITY.pem).public_key() == AUTHORITY.key.public_key()
    # a passphrase that the key does not have yet
    assert signing.read_authority_key(AUTHORITY.private(), PASSPHRASE, AUTHORITY.pem).public_key() == AUTHORITY.key.public_key()
    for text, passphrase, fault in (
        (secret, "wrong", KeyFault.WRONG_PASSPHRASE),
        (secret, "", KeyFault.NO_PASSPHRASE),
        ("no key", "", KeyFault.WRONG_PASSPHRASE),
        (Authority().private(), "", KeyFault.OTHER_CA),
    ):
        with pytest.raises(signing.AuthorityKeyError) as refused:
            signing.read_authority_key(text, passphrase, AUTHORITY.pem)
        assert refused.value.fault is fault


# -- a CA elsewhere -----------------------------------------------------------------------------------------------


def test_own_request_can_be_exported():
    signing.check_request(signing.read_request(request()), ["vm2"])
    # a BasicConstraints that grants nothing
    signing.check_request(signing.read_request(request(constraints=x509.BasicConstraints(False, None))), ["vm2"])


@pytest.mark.parametrize(("fault", "forged"), FORGED.items(), ids=lambda value: getattr(value, "name", ""))
def test_refuses_to_export_a_forged_request(fault, forged):
    with pytest.raises(signing.SigningError) as refused:
        signing.check_request(signing.read_request(request(**forged)), ["vm2"])
    assert refused.value.fault is fault


@pytest.mark.parametrize("oid", ["1.3.6.1.4.1.311.2.1.14", "1.2.840.113549.1.9.7"], ids=["list of extensions of Microsoft", "password"])
def test_refuses_to_export_a_request_with_another_attribute(oid):
    """OpenSSL reads another list of extensions than cryptography if a request has several."""
    builder = fields(x509.CertificateSigningRequestBuilder().subject_name(common_name("vm2")))
    text = pem(builder.add_attribute(x509.ObjectIdentifier(oid), b"vm1").sign(KEY, hashes.SHA256()))
    with pytest.raises(signing.SigningError) as refused:
        signing.check_request(signing.read_request(text), ["vm2"])
    assert refused.value.fault is Fault.ATTRIBUTE


def check(text, replaced="", authority=AUTHORITY):
    return signing.check_certificate(text, signing.read_request(request()), ["vm2"], authority.pem, replaced, NOW.timestamp())


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"extended": None},
        {"usage": key_usage("digital_signature", "key_encipherment")},
        {"constraints": x509.BasicConstraints(False, None)},
    ],
    ids=str,
)
def test_accepts_harmless_additions_of_another_ca(others):
    text = AUTHORITY.certify(**others)
    # the CA may append its chain
    assert check(text + AUTHORITY.pem) == text


@pytest.mark.parametrize(
    ("fault", "others"),
    [
        *FORGED.items(),
        (Fault.OTHER_KEY, {"key": ec.generate_private_key(ec.SECP256R1())}),
        (Fault.NO_AUTHORITY_KEY, {"named": False}),
        (Fault.LIFETIME, {"begin": 1}),
        (Fault.LIFETIME, {"begin": -2, "end": -1}),
        (Fault.NAMES, {"names": [x509.DNSName("vm1")]}),
        (Fault.NAMES, {"names": [x509.DNSName("vm2"), x509.RFC822Name("vm2@example.com")]}),
        (Fault.KEY_USAGE, {"usage": key_usage("key_encipherment")}),
        (Fault.EXTENDED_KEY_USAGE, {"extended": [ExtendedKeyUsageOID.SERVER_AUTH]}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_refuses_a_certificate_with_other_fields(fault, others):
    with pytest.raises(signing.SigningError) as refused:
        check(AUTHORITY.certify(**others))
    assert refused.value.fault is fault


def test_refuses_a_certificate_of_another_ca_and_an_old_one():
    text, impostor = AUTHORITY.certify(), Authority("CA")
    for given, options, fault in (
        (impostor.certify(), {}, Fault.AUTHORITY),
        (text, {"replaced": text}, Fault.UNCHANGED),
        # a CA may write words before it, or its chain after it
        (f"Certificate:\n    Data:\n{text}{AUTHORITY.pem}", {"replaced": text}, Fault.UNCHANGED),
        ("no certificate", {}, Fault.UNREADABLE),
        ("", {}, Fault.UNREADABLE),
    ):
        with pytest.raises(signing.SigningError) as refused:
            check(given, **options)
        assert refused.value.fault is fault


# -- the log ------------------------------------------------------------------------------------------------------


def test_log_has_all_issued_certificates_for_a_revocation(tmp_path):
    directory = tmp_path / "new"
    assert signing.read_log(directory) == []
    assert signing.list_issued_certificates("vm2", directory) == set()
    texts = [AUTHORITY.certify(), AUTHORITY.certify(), AUTHORITY.certify(subject="vm1")]
    serials = [x509.load_pem_x509_certificate(text.encode()).serial_number for text in texts]
    for host, text in zip(("vm2", "vm2", "vm1"), texts, strict=True):
        signing.append_to_log(directory, signing.build_log_entry(host, text, NOW.timestamp(), "blue"))
    with (directory / signing.LOG).open("a") as file:
        file.write('{"time": "2026-')
    # the next entry is not lost with the one that was cut
    signing.append_to_log(directory, signing.build_log_entry("vm3", texts[2], NOW.timestamp()))
    entry = signing.read_log(directory)[0]
    digest = hashes.Hash(hashes.SHA256())
    digest.update(KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    end = (NOW + datetime.timedelta(days=30)).isoformat()
    authority = x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.key.public_key()).digest.hex()
    assert entry == (NOW.isoformat(), "vm2", serials[0], digest.finalize().hex(), end, authority, "blue")
    # as a version before wrote it
    assert signing.Issued(**dict.fromkeys(entry._fields[:5], "")).authority == ""
    assert [entry.host for entry in signing.read_log(directory)] == ["vm2", "vm2", "vm1", "vm3"]
    assert stat.S_IMODE((directory / signing.LOG).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    # of a version before the log
    (directory / "certificates/vm2").mkdir(parents=True)
    for name in ("17", str(serials[0])):
        (directory / f"certificates/vm2/{name}.pem").write_text(texts[0])
    assert signing.list_issued_certificates("", directory) == signing.list_issued_certificates("*", directory) == set()
    assert signing.list_issued_certificates("vm2", directory) == {(number, authority) for number in (17, *serials[:2])}
    # of another version, or cut
    (directory / "certificates/vm2/18.pem").write_text("")
    assert (18, "") in signing.list_issued_certificates("vm2", directory)


# -- as a task ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sign(tmp_path):
    """Runs the action for vm2; returns its result, and what Ansible printed at the highest verbosity."""
    numbers = itertools.count()

    def run(text, directory, names=("vm2",), held="", facts=None, **variables):
        task = {
            "crosshost.ambassador.sign_certificate": {
                "request": text,
                "names": list(names),
                "held": held,
                "directory": str(directory),
                "days": 90,
            },
            "register": "signed",
            "ignore_errors": True,
        }
        result = tmp_path / f"result{next(numbers)}"
        # as the answer of any module can do it
        forge = {"name": "Return facts", "set_fact": {**(facts or {}), "cacheable": True}}
        before = [forge] if facts else []
        copy = {"copy": {"content": "{{ signed | to_json }}", "dest": str(result)}, "delegate_to": "localhost", "connection": "local"}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "vm2", "gather_facts": False, "tasks": [*before, task, copy]}]))
        (tmp_path / "variables.json").write_text(json.dumps(variables))
        done = subprocess.run(
            ["ansible-playbook", "-vvvv", "-i", "vm2,", "-e", f"@{tmp_path}/variables.json", str(tmp_path / "play.yml")],
            # as users have it who do not set it
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_INJECT_FACT_VARS": "true",
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(result.read_text()), done.stdout + done.stderr

    return run


def test_task_signs_with_the_ca_of_the_controller(sign, tmp_path):
    directory = tmp_path / "ca"
    directory.mkdir()
    (directory / "ca.pem").write_text(AUTHORITY.pem + Authority("further").pem)
    (directory / "ca.key").write_text(AUTHORITY.private(PASSPHRASE))
    signed, printed = sign(request(**EVERYTHING), directory, ambassador_ca_passphrase=PASSPHRASE)
    certificate = x509.load_pem_x509_certificate(signed["certificate"].encode())
    assert holds_what_is_expected(certificate)
    assert signed["changed"]
    assert PASSPHRASE not in printed
    (entry,) = signing.read_log(directory)
    assert (entry.host, entry.serial) == ("vm2", certificate.serial_number)
    refused, printed = sign(request(), directory, ambassador_ca_passphrase="wrong passphrase")
    assert refused["msg"] == (
        f"Host vm2: {directory}/ca.key cannot sign for {directory}/ca.pem: the key cannot be read with this passphrase."
        f" Correct ambassador_ca_passphrase, or use the key of the first certificate in {directory}/ca.pem."
    )
    assert "wrong passphrase" not in printed
    assert "Traceback" not in printed
    refused, __ = sign(request(rsa.generate_private_key(65537, 2048)), directory, ambassador_ca_passphrase=PASSPHRASE)
    assert refused["msg"].startswith("Host vm2: its signing request has a key that is not of the curve P-256, P-384, or P-521,")
    assert len(signing.read_log(directory)) == 1


def test_task_refuses_facts_that_replace_variables_and_a_former_name_without_proof(sign, tmp_path):
    directory = tmp_path / "ca"
    directory.mkdir()
    (directory / "ca.pem").write_text(AUTHORITY.pem)
    (directory / "ca.key").write_text(AUTHORITY.private())
    refused, __ = sign(request(), directory, facts={"ambassador_ca_key": "a", "ambassador_controller_dir": "/b", "harmless": "c"})
    assert refused["msg"].startswith(
        "Host vm2: its facts replace the variables ambassador_ca_key, ambassador_controller_dir, so no certificate is issued."
    )
    # with the name of another host, or the directory of another CA
    names = ["cut", "inventory_dir", "inventory_hostname", "move_to", "revoke_host", "separated"]
    refused, __ = sign(request(), directory, facts=dict.fromkeys(names, "a"))
    assert f": its facts replace the variables {', '.join(names)}, so no certificate is issued." in refused["msg"]
    assert sorted(os.listdir(directory)) == ["ca.key", "ca.pem"]
    # the right key, and a certificate that the host signed itself
    forged = Authority("CA", key=KEY).certify(KEY, "vm9", names=[x509.DNSName("vm9")])
    for held in (forged, "", "no certificate"):
        refused, __ = sign(request(), directory, ("vm2", "vm9"), held)
        assert refused["msg"].startswith("Host vm2: its key is not the key that was certified for vm9."), refused
    held = AUTHORITY.certify(KEY, "vm9", names=[x509.DNSName("vm9")])
    signed, __ = sign(request(), directory, ("vm2", "vm9"), held)
    assert holds_what_is_expected(x509.load_pem_x509_certificate(signed["certificate"].encode()), ("vm2", "vm9"))


@pytest.mark.parametrize("passphrase", ["ends with a line\n", 12345], ids=str)
def test_task_does_not_change_the_passphrase(sign, tmp_path, passphrase):
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    (tmp_path / "ca.key").write_text(AUTHORITY.private(str(passphrase)))
    signed, __ = sign(request(), tmp_path, ambassador_ca_passphrase=passphrase)
    assert holds_what_is_expected(x509.load_pem_x509_certificate(signed["certificate"].encode()))


def test_task_signs_with_a_given_ca(sign, tmp_path):
    given = {"ambassador_ca_certificate": AUTHORITY.pem, "ambassador_ca_key": AUTHORITY.private()}
    directory = tmp_path / "ca"
    signed, printed = sign(request(**EVERYTHING), directory, **given)
    assert holds_what_is_expected(x509.load_pem_x509_certificate(signed["certificate"].encode()))
    assert AUTHORITY.private().splitlines()[2] not in printed
    # a new directory stays out of Git
    assert sorted(os.listdir(directory)) == [".gitignore", signing.LOG]
    assert (directory / ".gitignore").read_text() == "*\n"
    refused, __ = sign(request(), directory, **{**given, "ambassador_ca_key": Authority().private()})
    assert refused["msg"].startswith(
        "Host vm2: ambassador_ca_key cannot sign for ambassador_ca_certificate: the key belongs to another CA."
    )


def test_task_exports_a_request_and_reads_its_certificate(sign, tmp_path):
    directory = tmp_path / "ca"
    directory.mkdir()
    (directory / "ca.pem").write_text(AUTHORITY.pem)
    refused, __ = sign(request(**EVERYTHING), directory)
    assert refused["msg"].startswith("Host vm2: its signing request has another subject, so it is not exported.")
    assert os.listdir(directory) == ["ca.pem"]
    refused, __ = sign(request(), directory)
    place = f"{directory}/certificates/vm2.pem"
    remedy = f" Let the CA of {directory}/ca.pem sign {directory}/requests/vm2.csr for vm2, save the certificate as {place}, and run again."
    assert refused["msg"] == f"Host vm2: the certificate {place} is missing.{remedy}"
    # of a text with two requests, OpenSSL may read the other one
    os.unlink(directory / "requests/vm2.csr")
    assert sign(f"x{request()}{request(**EVERYTHING)}", directory)[0]["failed"]
    exported = (directory / "requests/vm2.csr").read_text()
    assert exported.count("BEGIN") == 1
    # the request of the first run stays: the CA may be at it
    assert sign(request(), directory)[0]["failed"]
    assert (directory / "requests/vm2.csr").read_text() == exported
    (directory / "certificates").mkdir()
    (directory / "certificates/vm2.pem").write_text(AUTHORITY.certify(names=[x509.DNSName("vm1")]))
    assert sign(request(), directory)[0]["msg"] == f"Host vm2: the certificate {place} is for other names.{remedy}"
    text = AUTHORITY.certify()
    (directory / "certificates/vm2.pem").write_text(text)
    signed, __ = sign(request(), directory)
    assert signed["certificate"] == text
    assert [entry.host for entry in signing.read_log(directory)] == ["vm2"]
