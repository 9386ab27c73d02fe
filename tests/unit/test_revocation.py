"""Revocation and the change to a new CA on the controller; OpenSSL judges each certificate as HAProxy does, with -crl_check_all."""

import datetime
import itertools
import subprocess
import types

import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.action import change_ca
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _revocation as revocation
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _signing as signing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import ListFault
from conftest import ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
CONNECTION = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="none"))
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA with a key; with an issuer, an intermediate one."""

    def __init__(self, name, issuer=None, signs_lists=True):
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usages = dict.fromkeys((*signing.KEY_USAGES, "encipher_only", "decipher_only"), False)
        usages |= {"key_cert_sign": True, "crl_sign": signs_lists}
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name((issuer or self).name).public_key(self.key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY).not_valid_after(NOW + 90 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(x509.KeyUsage(**usages), True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        self.pem = builder.sign((issuer or self).key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def certify(self, name):
        """Return a certificate as the controller issues it."""
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return signing.issue_certificate(key, [name], self.pem, self.key, 30, NOW.timestamp())

    def list(self, *serials, days=1):
        """Return a list as a CA elsewhere signs it, without a number and without extensions."""
        built = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW - DAY).next_update(NOW + days * DAY)
        if days < 0:
            built = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW - 9 * DAY).next_update(NOW + days * DAY)
        for serial in serials:
            built = built.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build())
        return built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def private(self):
        kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(*kind).decode()


def serial(text):
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def identifier(authority):
    return revocation.list_key_identifiers(authority.pem)[0]


@pytest.fixture
def is_accepted(tmp_path):
    """Tells whether OpenSSL accepts a certificate with CAs and lists."""
    numbers = itertools.count()

    def verify(text, ca, crl):
        paths = {name: tmp_path / f"{name}{next(numbers)}.pem" for name in ("certificate", "ca", "crl")}
        for name, content in (("certificate", text), ("ca", ca), ("crl", crl)):
            paths[name].write_text(content)
        command = ["openssl", "verify", "-crl_check_all", "-CAfile", paths["ca"], "-CRLfile", paths["crl"], paths["certificate"]]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return verify


# -- the lists ----------------------------------------------------------------------------------------------------


def test_revocation_keeps_other_hosts_with_an_intermediate_ca(is_accepted):
    root = Authority("root")
    issuing = Authority("issuing", root)
    ca, lost, kept = issuing.pem + root.pem, issuing.certify("vm3"), issuing.certify("vm1")
    issued = {(serial(lost), identifier(issuing))}
    # the list of one CA alone refuses everybody
    assert not is_accepted(kept, ca, issuing.list(serial(lost)))
    with pytest.raises(revocation.GapError) as refused:
        revocation.complete_lists(ca, "", [issuing.key], issued, NOW.timestamp())
    assert refused.value.gaps == [("CN=root", ListFault.MISSING, [])]
    lists = revocation.complete_lists(ca, root.list(), [issuing.key], issued, NOW.timestamp())
    assert is_accepted(kept, ca, lists)
    assert not is_accepted(lost, ca, lists)
    # as it is, it is complete
    assert revocation.complete_lists(ca, lists, [], issued, NOW.timestamp()) == lists


@pytest.mark.parametrize("names", [("one", "two"), ("same", "same")], ids=str)
def test_revocation_keeps_other_hosts_with_two_cas(is_accepted, names):
    one, two = map(Authority, names)
    ca = one.pem + two.pem
    lost, kept = (one.certify("vm3"), two.certify("vm3")), (one.certify("vm1"), two.certify("vm1"))
    issued = {(serial(lost[0]), identifier(one)), (serial(lost[1]), identifier(two))}
    lists = revocation.complete_lists(ca, "", [two.key, one.key], issued, NOW.timestamp())
    assert [is_accepted(text, ca, lists) for text in (*lost, *kept)] == [False, False, True, True]
    # each CA lists what it issued, and what is revoked stays so
    assert [entry["serial"] for entry in certificates.list_revoked(lists)] == [serial(text) for text in lost]
    more = revocation.complete_lists(ca, lists, [one.key], {(serial(kept[0]), identifier(one))}, NOW.timestamp())
    assert [is_accepted(text, ca, more) for text in (*lost, *kept)] == [False, False, False, True]
    # a list goes with its CA
    assert certificates.find_blocks(revocation.complete_lists(two.pem, more, [], set(), NOW.timestamp()), "X509 CRL") == [
        block
        for block in certificates.find_blocks(more, "X509 CRL")
        if certificates.find_list(x509.load_pem_x509_certificate(two.pem.encode()), block)
    ]


def test_new_list_is_valid_for_a_slow_clock_and_has_the_next_number():
    one = Authority("one")
    first = revocation.complete_lists(one.pem, "", [one.key], {(7, "")}, NOW.timestamp())
    second = revocation.complete_lists(one.pem, first, [one.key], {(8, "")}, NOW.timestamp() + 1)
    lists = [x509.load_pem_x509_crl(text.encode()) for text in (first, second)]
    assert all(crl.last_update_utc <= NOW - datetime.timedelta(minutes=59) for crl in lists)
    assert [certificates.get_extension(crl, x509.CRLNumber).crl_number for crl in lists] == [1, 2]
    assert [entry.serial_number for entry in lists[1]] == [7, 8]
    assert [entry.revocation_date_utc for entry in lists[1]] == [NOW, NOW + datetime.timedelta(seconds=1)]


def test_list_that_has_ended_is_signed_again_or_refused():
    one = Authority("one")
    ended = one.list(7, days=-1)
    lists = revocation.complete_lists(one.pem, ended, [one.key], set(), NOW.timestamp())
    assert [entry["serial"] for entry in certificates.list_revoked(lists)] == [7]
    assert certificates.find_unlisted_authorities(one.pem, lists, NOW.timestamp()) == []
    for crl, issued, gap in (
        (ended, set(), ("CN=one", ListFault.ENDED, [])),
        ("", {(8, identifier(one))}, ("CN=one", ListFault.MISSING, [8])),
        (one.list(7), {(8, identifier(one)), (7, identifier(one))}, ("CN=one", None, [8])),
    ):
        with pytest.raises(revocation.GapError) as refused:
            revocation.complete_lists(one.pem, crl, [], issued, NOW.timestamp())
        assert refused.value.gaps == [gap]


def test_revocation_refuses_a_ca_that_cannot_sign_lists(is_accepted):
    one = Authority("one", signs_lists=False)
    assert not is_accepted(one.certify("vm1"), one.pem, one.list())
    with pytest.raises(revocation.GapError) as refused:
        revocation.complete_lists(one.pem, "", [one.key], {(7, "")}, NOW.timestamp())
    assert refused.value.gaps == [("CN=one", ListFault.CANNOT_SIGN, [7])]


def test_finds_each_ca_without_a_list(is_accepted):
    root, other, forger = Authority("root"), Authority("other"), Authority("root")
    issuing = Authority("issuing", root)
    ca, now, host = issuing.pem + root.pem + other.pem, NOW.timestamp(), issuing.certify("vm1")
    whole = issuing.list() + root.list() + other.list()
    assert certificates.find_unlisted_authorities(ca, "", now) == certificates.find_unlisted_authorities(ca, whole, now) == []
    assert is_accepted(host, ca, whole)
    for crl, expected in (
        (issuing.list() + other.list(), [("CN=root", ListFault.MISSING)]),
        # the name alone is not enough
        (issuing.list() + other.list() + forger.list(), [("CN=root", ListFault.MISSING)]),
        (issuing.list(days=-1) + root.list(), [("CN=issuing", ListFault.ENDED), ("CN=other", ListFault.MISSING)]),
    ):
        assert [(one["name"], one["fault"]) for one in certificates.find_unlisted_authorities(ca, crl, now)] == expected
        assert not is_accepted(host, ca, crl)


# -- as a task ----------------------------------------------------------------------------------------------------


class Controller:
    """A controller with its directory."""

    def __init__(self, directory, authority):
        self.directory, self.variables, self.warnings = directory, {"inventory_hostname": "vm1"}, []
        self.write("ca.pem", authority.pem)
        self.write("ca.key", authority.private())

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def read(self, name):
        return (self.directory / name).read_text()

    def issue(self, authority, host, mesh="default"):
        """Return a certificate, and log it."""
        text = authority.certify(host)
        signing.append_to_log(self.directory, signing.build_log_entry(host, text, NOW.timestamp(), mesh))
        return text

    def files(self):
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}

    def take(self, step, check=False, **options):
        """Take a step; return the result."""
        task = types.SimpleNamespace(
            args={"step": step, "directory": str(self.directory), **options}, async_val=0, check_mode=check, diff=False, environment=None
        )
        templar = types.SimpleNamespace(template=lambda value: value)
        plugin = change_ca.ActionModule(task, CONNECTION, types.SimpleNamespace(), None, templar, None)
        plugin._display = types.SimpleNamespace(warning=self.warnings.append)
        return plugin.run(task_vars=self.variables)


@pytest.fixture
def one():
    return Authority("one")


@pytest.fixture
def controller(tmp_path, one):
    (tmp_path / "ca").mkdir()
    return Controller(tmp_path / "ca", one)


def test_revocation_during_a_rollover_lists_certificates_of_both_cas(controller, one, is_accepted):
    two = Authority("two")
    former = {name: controller.issue(one, name) for name in ("vm1", "vm2", "vm3", "vm4", "vm5")}
    assert controller.take("revoke", host="vm5")["changed"]
    controller.write("next.pem", two.pem)
    controller.write("next.key", two.private())

    def accepted(texts):
        ca, crl = controller.read("ca.pem"), controller.read("ca.crl")
        assert certificates.find_unlisted_authorities(ca, crl, NOW.timestamp()) == []
        return [name for name, text in texts.items() if is_accepted(text, ca, crl)]

    # as a run that was interrupted left it
    assert controller.take("revoke", host="vm4")["changed"]
    assert accepted(former) == ["vm1", "vm2", "vm3"]
    assert controller.take("trust")["changed"]
    assert certificates.find_blocks(controller.read("ca.pem"), "CERTIFICATE") == [text.strip() for text in (one.pem, two.pem)]
    assert accepted(former) == ["vm1", "vm2", "vm3"]
    assert controller.take("revoke", host="vm3")["changed"]
    assert accepted(former) == ["vm1", "vm2"]
    # a crash after the key, and again
    controller.write("previous.key", one.private())
    controller.write("ca.key", two.private())
    assert controller.take("sign")["changed"]
    assert (controller.read("ca.key"), controller.read("previous.key")) == (two.private(), one.private())
    assert certificates.find_blocks(controller.read("ca.pem"), "CERTIFICATE") == [text.strip() for text in (two.pem, one.pem)]
    assert not controller.take("sign")["changed"]
    assert not controller.take("trust")["changed"]
    present = {name: controller.issue(two, name) for name in ("vm1", "vm2", "vm3")}
    assert controller.take("revoke", host="vm2")["changed"]
    # vm3 has another key since
    assert (accepted(former), accepted(present)) == (["vm1"], ["vm1", "vm3"])
    assert controller.take("forget")["changed"]
    assert (accepted(former), accepted(present)) == ([], ["vm1", "vm3"])
    assert sorted(controller.files()) == ["ca.crl", "ca.key", "ca.pem", "issued.jsonl"]


def test_rollover_without_revocations_creates_no_list_and_keeps_issuers(controller, one):
    root = Authority("root")
    issuing, two = Authority("issuing", root), Authority("two")
    controller.write("ca.pem", issuing.pem + root.pem)
    controller.write("ca.key", issuing.private())
    controller.write("next.pem", two.pem)
    controller.write("next.key", two.private())
    for step, expected in (("trust", [issuing, root, two]), ("sign", [two, issuing, root]), ("forget", [two])):
        before = controller.files()
        assert controller.take(step, check=True)["changed"]
        assert controller.files() == before
        assert controller.take(step)["changed"]
        assert certificates.find_blocks(controller.read("ca.pem"), "CERTIFICATE") == [authority.pem.strip() for authority in expected]
    assert sorted(controller.files()) == ["ca.key", "ca.pem"]
    assert (controller.directory / "ca.key").stat().st_mode & 0o777 == 0o600


def test_revocation_changes_nothing_if_the_controller_cannot_complete_it(controller, one, monkeypatch):
    other, lists = Authority("other"), str(controller.directory / "ca.crl")
    lost = controller.issue(one, "vm3")
    controller.write("ca.pem", one.pem + other.pem)
    for kept, key, message in (
        (None, True, f"{lists}: the list of revoked certificates of the CA CN=other is missing. "),
        (other.list(days=-1), True, f"{lists}: the list of revoked certificates of the CA CN=other has ended. "),
        (
            other.list() + one.list(),
            False,
            f"{lists}: the list of the CA CN=one does not revoke the certificates of vm3 with the serial numbers {serial(lost):X}. ",
        ),
        ("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", True, "A certificate or a list of revoked certificates of the CA in "),
    ):
        if kept is not None:
            controller.write("ca.crl", kept)
        if not key:
            (controller.directory / "ca.key").unlink()
        before = controller.files()
        refused = controller.take("revoke", host="vm3")
        assert refused["failed"]
        assert refused["msg"].startswith(message), refused
        assert controller.files() == before
        controller.write("ca.key", one.private())
    # given with variables, the list is verified alone
    (controller.directory / "ca.crl").unlink()
    controller.variables |= {"ambassador_ca_certificate": one.pem, "ambassador_ca_crl": one.list()}
    assert controller.take("revoke", host="vm3")["msg"].startswith("ambassador_ca_crl: the list of the CA CN=one does not revoke ")
    controller.variables["ambassador_ca_crl"] = one.list(serial(lost))
    before = controller.files()
    assert not controller.take("revoke", host="vm3")["changed"]
    assert controller.files() == before


def test_revocation_refuses_a_host_without_certificates(controller, one):
    controller.issue(Authority("gone"), "vm3")
    for host in ("vm3", "vm9", "", "*"):
        refused = controller.take("revoke", host=host)
        assert refused["msg"].startswith(f"revoke_host: {controller.directory} has no certificates of {host or 'the host'}."), refused
    assert "ca.crl" not in controller.files()


def test_rollover_refuses_a_ca_of_other_meshes(controller, one):
    controller.issue(one, "vm1")
    controller.issue(Authority("gone"), "vm1", "green")
    lost = controller.issue(one, "vm3", "blue")
    assert controller.take("revoke", host="vm3")["other_meshes"] == ["blue"]
    # the certificate is good in each mesh
    assert [entry["serial"] for entry in certificates.list_revoked(controller.read("ca.crl"))] == [serial(lost)]
    assert len(controller.warnings) == 1
    controller.write("next.pem", (two := Authority("two")).pem)
    controller.write("next.key", two.private())
    for step in ("trust", "sign", "forget"):
        before = controller.files()
        refused = controller.take(step)
        assert refused["msg"].startswith(f"rollover: the CA of {controller.directory} also signs for mesh blue, whose links would break. ")
        assert controller.files() == before
        assert not controller.take(step, separated=True).get("failed")
    # its new CA is that of one mesh
    assert controller.take("trust")["other_meshes"] == []


def test_rollover_refuses_before_it_creates_a_ca():
    tasks = yaml.safe_load((ROOT / "roles/ambassador_engine/tasks/rollover.yml").read_text())
    kinds = ["refuse" if task.get("check_mode") else "create" if "block" in task else "take" for task in tasks[-3:]]
    assert kinds == ["refuse", "create", "take"]
