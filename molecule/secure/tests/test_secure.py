"""Nobody gets at a link but its clients; who is refused, and why, is in the log; and the real client never notices."""

import concurrent.futures
import datetime
import json
import pathlib
import re
import shutil
import subprocess
import time

import pytest
import yaml
from conftest import ROOT, engine, everything, inspect, until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONTROLLER = ROOT / "molecule/secure/inventory/.ambassador"
ATTACK = (pathlib.Path(__file__).parent / "attack.py").read_text()
PORT = 7000
PASSPHRASE = "the passphrase of the tests"


class Authority:
    """A CA: the one of this controller, or any other.

    :param pathlib.Path | None directory: where its ``ca.pem`` and ``ca.key`` are; None for one that nobody trusts
    """

    def __init__(self, directory=None):
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        self.key = ec.generate_private_key(ec.SECP256R1())
        if directory:
            self.name = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes()).subject
            self.key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), PASSPHRASE.encode())

    def certify(self, name, begin=-1, end=30, request=None, itself=False):
        """Return a certificate, with its key unless it was asked for by a request, as PEM.

        :param str name: common name
        :param int begin: days from now
        :param int end: days from now
        :param bytes | None request: signing request, PEM
        :param bool itself: signed by its own key
        """
        key = None if request else ec.generate_private_key(ec.SECP256R1())
        public = x509.load_pem_x509_csr(request).public_key() if request else key.public_key()
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if itself else self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begin))
            .not_valid_after(now + datetime.timedelta(days=end))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .sign(key if itself else self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
        secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return (certificate + (key.private_bytes(serialization.Encoding.PEM, *secret) if key else b"")).decode()


@pytest.fixture
def vm3(hosts):
    return hosts["vm3"]


@pytest.fixture
def attack(vm1, vm3):
    """Runs attack.py on vm3 against vm1; returns what it printed, and what the server side logged meanwhile."""

    def run(how, certificate=None, **job):
        if certificate:
            vm3.check_output(f"umask 077; cat > /run/attack.pem <<'END'\n{certificate}\nEND")
            job["certificate"] = "/run/attack.pem"
        logged = "docker logs ambassador_server 2>&1"
        before = int(vm1.check_output(f"{logged} | wc -l"))
        job = {"how": how, "address": address(vm1), "port": PORT, **job}
        said = json.loads(vm3.check_output("python3 -c %s %s", ATTACK, json.dumps(job)))
        return said, vm1.check_output(f"sleep 0.2; {logged} | tail -n +{before + 1} | grep {address(vm3)} || true")

    return run


@pytest.fixture(autouse=True)
def client(vm2):
    """The real client, whose container nothing restarts."""
    before = inspect(vm2, "redis_client")["State"]["StartedAt"]
    pong(vm2)
    yield
    pong(vm2)
    assert inspect(vm2, "redis_client")["State"]["StartedAt"] == before


def pong(vm2):
    assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"


def address(host):
    return host.check_output("ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")


def own_certificate(host):
    """Return certificate and key of a host, as somebody with root on it has them."""
    return host.check_output("cat /var/lib/ambassador/identity/cert.pem /var/lib/ambassador/identity/key.pem")


def ask(host, side):
    """Return what HAProxy of a side says of the certificate that it shows."""
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/lib/ambassador/{side}/run/master.sock'); "
    script += "s.sendall(b'@1 show ssl cert @/host\\n'); s.shutdown(socket.SHUT_WR); print(s.makefile().read())"
    return host.check_output("python3 -c %s", script)


def serials(hosts):
    return {(name, side): re.search("Serial: (.*)", ask(hosts[name], side))[1] for name, side in (("vm1", "server"), ("vm2", "client"))}


def unharmed(load):
    """End a consumer, and tell whether it saw nothing at all."""
    seen = load.stop()["total"]
    assert (seen["failures"], seen["long_dropped"], seen["lost"]) == (0, 0, 0), json.dumps(seen)


# -- who is refused -----------------------------------------------------------------------------------------------


def test_a_client_of_a_link_is_let_in_and_its_sessions_are_resumed(attack, vm3):
    said, _ = attack("encrypted", own_certificate(vm3), alpn=["notes"], times=2)
    assert said == {"said": [["+PONG\r\n", False], ["+PONG\r\n", True]]}


STRANGERS = {
    "no certificate": (lambda _: None, {}, "peer did not return a certificate"),
    "signed by itself": (lambda ca: ca.certify("vm2", itself=True), {}, "peer=vm2 .*certificate verify failed"),
    "another CA": (lambda ca: Authority().certify("vm2"), {}, "peer=vm2 .*certificate verify failed"),
    "not valid yet": (lambda ca: ca.certify("vm2", 1, 9), {}, 'link=redis peer=vm2 refused="certificate not valid before [0-9]{12}Z'),
    "expired": (lambda ca: ca.certify("vm2", -9, -1), {}, 'link=redis peer=vm2 refused="certificate expired [0-9]{12}Z"'),
    "not a client": (None, {}, 'link=redis peer=vm3 refused="not a client of the link"'),
    "TLS 1.2": (lambda ca: ca.certify("vm2"), {"version": "TLSv1_2"}, "unsupported protocol"),
    "no ALPN": (lambda ca: ca.certify("vm2"), {"alpn": None}, 'peer=vm2 refused="no such link"'),
    "no such link": (lambda ca: ca.certify("vm2"), {"alpn": ["money"]}, 'peer=vm2 refused="no such link"'),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_gets_no_byte_and_the_log_says_why(attack, vm3, stranger):
    certify, job, logged = STRANGERS[stranger]
    said, log = attack("encrypted", certify(Authority(CONTROLLER)) if certify else own_certificate(vm3), **{"alpn": ["redis"], **job})
    assert said.get("said") in (None, [["", False]]), said
    assert re.search(logged, log), log


def test_a_certificate_that_expires_lets_nobody_in_any_more_and_what_was_let_in_goes_on(attack):
    seconds = 6
    said, log = attack("expiring", Authority(CONTROLLER).certify("vm2", end=seconds / 86400), alpn=["redis"], seconds=seconds + 2)
    assert said == {"said": ["+PONG\r\n", "+PONG\r\n", "", ""]}
    assert log.count('link=redis peer=vm2 refused="certificate expired') == 2, log


@pytest.mark.parametrize("data", [b"PING\r\n", b"\x00\xff" * 500, b"GET / HTTP/1.0\r\n\r\n"], ids=["redis", "garbage", "http"])
def test_what_is_no_handshake_gets_no_answer_of_the_service(attack, data):
    said, log = attack("plain", data=data.hex())
    assert "PONG" not in said.get("said", "")
    assert 'refused="' in log


def test_a_host_that_routes_to_a_container_of_another_host_reaches_no_link(vm2, vm3):
    container = inspect(vm2, "ambassador_client")["NetworkSettings"]["Networks"]["ambassador"]["IPAddress"]
    vm3.check_output(f"ip route replace {container}/32 via {address(vm2)}")
    dial = "import socket, sys; link = socket.create_connection((sys.argv[1], 6379), 5); link.sendall(b'PING\\r\\n'); print(link.recv(99))"
    try:
        # the packets arrive with the engine of the lab: newer engines drop them
        seen = vm3.run("python3 -c %s %s", dial, container)
    finally:
        vm3.check_output(f"ip route del {container}/32")
    assert "PONG" not in seen.stdout, seen.stdout
    assert "ConnectionResetError" in seen.stderr or "TimeoutError" in seen.stderr, seen.stderr


def test_half_open_handshakes_do_not_hold_up_the_real_client_and_are_closed(attack, load):
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    said, _ = attack("half_open", times=500, patience=20)
    assert said == {"said": [500, 500]}
    unharmed(consumer)


def test_a_client_side_talks_to_nobody_but_the_server_host_it_means(vm2, vm3, playbook):
    links = "/var/lib/ambassador/client/current/links.cfg"
    vm2.check_output(f"sed -i 's/\\(REDIS_PORT_6379_TCP_ADDR\\) .*/\\1 {address(vm3)}/' {links}")
    reload = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/lib/ambassador/client/run/master.sock'); "
    reload += "s.sendall(b'reload\\n'); s.shutdown(socket.SHUT_WR); print(s.makefile().read())"
    assert vm2.check_output("python3 -c %s", reload).startswith("Success=1")
    assert "PONG" not in vm2.run("docker exec redis_client timeout 10 redis-cli -h redis ping").stdout
    # the way to vm3 is open, with the name of vm3
    assert vm2.check_output("docker exec redis_client redis-cli -h elsewhere -p 6381 ping") == "PONG"
    mended = playbook("site.yml", "--limit=vm2")
    assert mended.returncode == 0, mended.stdout


def test_a_host_that_is_no_client_any_more_is_refused_at_once(attack, vm3, playbook, load):
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    run = playbook("site.yml", "-e", "notes=vm2")
    assert run.returncode == 0, run.stdout
    said, log = attack("encrypted", own_certificate(vm3), alpn=["notes"])
    assert said.get("said") in (None, [["", False]]), said
    assert 'link=notes peer=vm3 refused="not a client of the link"' in log
    assert playbook("site.yml").returncode == 0
    unharmed(consumer)


def test_an_independent_checker_has_no_finding(vm1, tmp_path):
    (tmp_path / "client.pem").write_text(Authority(CONTROLLER).certify("vm3"))
    shutil.copy(CONTROLLER / "ca.pem", tmp_path)
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o777)
    # from vm3's own place in the network
    judge = ["docker", "run", "--rm", "--network", "container:vm3", "--volume", f"{tmp_path}:/job", "crosshost-lab/checker"]
    judge += [
        "--mtls",
        "/job/client.pem",
        "--add-ca",
        "/job/ca.pem",
        "--warnings",
        "off",
        "--nodns",
        "none",
        "--jsonfile",
        "/job/found.json",
    ]
    run = subprocess.run(
        [*judge, "--protocols", "--std", "--fs", "--vulnerable", f"{address(vm1)}:{PORT}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = json.loads((tmp_path / "found.json").read_text())
    said = {one["id"]: one["finding"] for one in found}
    assert said["TLS1_3"].startswith("offered"), run.stdout
    assert len(found) > 30
    assert [one for one in found if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")] == []


# -- what the links still do ------------------------------------------------------------------------------------------


def test_a_backend_that_dies_is_noticed_behind_a_port_that_stays_open(vm1, vm2, playbook):
    # both links of the port have this backend: one goes elsewhere, so that the port is not shut
    vm1.check_output("docker stop redis_server")
    try:
        until(vm2, "! docker exec redis_client timeout 1 redis-cli -h redis ping | grep -q PONG")
        status = playbook("playbooks/status.yml")
    finally:
        vm1.check_output("docker start redis_server")
    assert "Link redis, host vm2: the link is down on the client side. vm1" in " ".join(status.stdout.split()), status.stdout
    until(vm2, "docker exec redis_client redis-cli -h redis ping | grep -q PONG")


def test_a_value_of_64_mib_comes_back_as_it_was_sent(vm2):
    script = "import os, redis; value = os.urandom(64 << 20); password = open('/etc/ambassador/app').read().strip(); "
    script += "server = redis.Redis('redis', username='app', password=password); server.set('tests:large', value); "
    script += "print(server.get('tests:large') == value, server.delete('tests:large'))"
    run = "docker run --rm --network ambassador --user 999:999 --volume /var/lib/ambassador/redis_client:/etc/ambassador:ro"
    assert vm2.check_output(f"{run} registry.lab:5000/client:lab python3 -c %s", script) == "True 1"


# -- certificates -------------------------------------------------------------------------------------------------------


def test_keys_stay_on_their_hosts(hosts):
    for host in hosts.values():
        found = host.check_output("find /var/lib/ambassador/identity -printf '%f %m %U:%G\\n' | sort").splitlines()
        assert found == ["cert.pem 644 0:0", "identity 750 0:99", "key.pem 600 99:99"]
    assert sorted(path.name for path in CONTROLLER.iterdir() if "CA" not in path.name and path.suffix == ".key") == ["ca.key"]
    assert (CONTROLLER / "ca.key").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert (CONTROLLER.stat().st_mode & 0o777, (CONTROLLER / "ca.key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_certificate_is_renewed_when_a_third_of_its_time_is_left_and_no_connection_breaks(hosts, playbook, load):
    before = serials(hosts)
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    for name in ("vm1", "vm2"):
        host = hosts[name]
        request = host.check_output("openssl req -new -key /var/lib/ambassador/identity/key.pem -subj /CN=%s", name)
        old = Authority(CONTROLLER).certify(name, -70, 20, request.encode())
        host.check_output("cat > /var/lib/ambassador/identity/cert.pem <<'END'\n" + old + "END")
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout
    after = serials(hosts)
    assert not set(before.values()) & set(after.values())
    unharmed(consumer)


@pytest.fixture
def renamed(request, tmp_path):
    """Writes the scenario's inventory with another name for a host; returns its path."""

    def write(host, name):
        inventory = pathlib.Path(request.config.option.ansible_inventory).resolve()
        groups = yaml.safe_load((inventory / "hosts.yml").read_text())
        for group in groups.values():
            members = group.get("hosts", {}).items()
            group["hosts"] = {name if member == host else member: {"ansible_host": member} | (given or {}) for member, given in members}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(groups, sort_keys=False))
        (tmp_path / "group_vars").symlink_to(inventory / "group_vars")
        return str(tmp_path)

    return write


def test_renaming_a_server_host_and_back_breaks_no_connection(vm1, playbook, load, renamed):
    def identity():
        key = vm1.check_output("sha256sum /var/lib/ambassador/identity/key.pem")
        names = vm1.check_output("openssl x509 -noout -ext subjectAltName -in /var/lib/ambassador/identity/cert.pem")
        return key, re.findall(r"DNS:([^\s,]+)", names)

    (key, _), inventory = identity(), renamed("vm1", "cache1")
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    run = playbook("site.yml", "-e", f"ambassador_controller_dir={CONTROLLER}", inventory=inventory)
    assert run.returncode == 0, run.stdout
    # each name is valid while client sides verify the other one
    assert identity() == (key, ["cache1", "vm1"])
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout
    assert identity() == (key, ["vm1", "cache1"])
    # connections of old workers are cut after `drain`
    consumer.more(40)
    unharmed(consumer)


def a_new_ca(name):
    """Make the CA to which this controller is to change, as a run of another day has that was interrupted; return its certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=3650))
    made = made.add_extension(x509.BasicConstraints(True, 0), True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False).sign(key, hashes.SHA256())
    secret = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(PASSPHRASE.encode())
    (CONTROLLER / "next.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *secret))
    (CONTROLLER / "next.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return (CONTROLLER / "next.pem").read_text().strip()


def test_a_change_of_the_ca_for_some_hosts_is_refused(playbook):
    before = {path.name: path.read_bytes() for path in CONTROLLER.iterdir() if path.is_file()}
    run = playbook("playbooks/rollover.yml", "--limit=vm1")
    assert run.returncode != 0
    assert "rollover: the run is limited to vm1, but the next step cuts off each host" in " ".join(run.stdout.split()), run.stdout
    assert {path.name: path.read_bytes() for path in CONTROLLER.iterdir() if path.is_file()} == before


def test_the_change_to_a_new_ca_breaks_no_connection(hosts, playbook, load):
    before, begun = (CONTROLLER / "ca.pem").read_text(), a_new_ca("crosshost.ambassador 2020-01-01")
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    run = playbook("playbooks/rollover.yml")
    assert run.returncode == 0, run.stdout
    unharmed(consumer)
    after = (CONTROLLER / "ca.pem").read_text()
    assert after.count("BEGIN CERTIFICATE") == 1
    assert after != before
    assert after.strip() == begun
    for name, side in (("vm1", "server"), ("vm2", "client")):
        assert hosts[name].file(f"/var/lib/ambassador/{side}/current/ca.pem").content_string.strip() == after.strip()
    assert sorted(path.name for path in CONTROLLER.iterdir() if path.name.startswith("next")) == []


def test_a_run_that_tells_all_tells_no_secret(hosts, playbook, passwords):
    server = inspect(hosts["vm1"], "redis_server")
    run = playbook("site.yml", "--diff", "-vvv", "-e", "ambassador_certificate_days=91", "-e", "redis_server_memory=2G")
    assert run.returncode == 0, run.stdout
    # more than twice of what it was made with, and it goes on
    after = inspect(hosts["vm1"], "redis_server")
    assert (after["Id"], after["HostConfig"]["Memory"]) == (server["Id"], 2 << 30)
    keys = [
        (CONTROLLER / "ca.key").read_text(),
        *(host.file("/var/lib/ambassador/identity/key.pem").content_string for host in hosts.values()),
    ]
    # the first line of a key holds what is secret in it, the last ones are in the certificate as well
    secrets = [key.splitlines()[1] for key in keys] + list(passwords().values()) + [PASSPHRASE]
    assert len(secrets) == 8
    assert [secret for secret in secrets if secret in run.stdout + run.stderr] == []
    for host in hosts.values():
        seen = host.check_output(
            "docker ps -aq | xargs docker inspect; docker ps -q | xargs -n 1 docker logs 2>&1; cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
        )
        assert [secret for secret in secrets if secret in seen] == []


def test_a_passphrase_that_is_wrong_is_said(hosts, playbook):
    hosts["vm2"].check_output("mv /var/lib/ambassador/identity/cert.pem /run")
    try:
        run = playbook("site.yml", "--limit=vm2", "-e", "ambassador_ca_passphrase=wrong")
    finally:
        hosts["vm2"].check_output("mv /run/cert.pem /var/lib/ambassador/identity")
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    assert f"Host vm2: {CONTROLLER}/ca.key cannot sign for {CONTROLLER}/ca.pem: the key cannot be read with this passphrase." in said, said


def test_another_controller_is_refused_and_makes_no_ca(hosts, playbook, tmp_path):
    before = {name: everything(host) for name, host in hosts.items()}
    run = playbook("site.yml", "--limit=vm2", "-e", f"ambassador_controller_dir={tmp_path}/other")
    said = " ".join(run.stdout.split())
    assert run.returncode != 0
    assert f"expected the CA of its certificate in {tmp_path}/other on this controller, found none; copy that directory" in said, said
    assert not (tmp_path / "other").exists()
    assert {name: everything(host) for name, host in hosts.items()} == before


def test_a_certificate_can_be_signed_elsewhere(hosts, playbook, tmp_path):
    away = tmp_path / "ca.key"
    shutil.move(CONTROLLER / "ca.key", away)
    shutil.copy(CONTROLLER / "ca.pem", tmp_path / "ca.pem")
    try:
        hosts["vm2"].check_output("rm /var/lib/ambassador/identity/*")
        run = playbook("site.yml", "--limit=vm2")
        said = " ".join(run.stdout.split())
        assert f"Host vm2: the certificate {CONTROLLER}/certificates/vm2.pem is missing." in said, said
        request = (CONTROLLER / "requests/vm2.csr").read_bytes()
        (CONTROLLER / "certificates").mkdir(exist_ok=True)
        (CONTROLLER / "certificates/vm2.pem").write_text(Authority(tmp_path).certify("vm2", request=request))
        run = playbook("site.yml", "--limit=vm2")
        assert run.returncode == 0, run.stdout
        # when it is due again, nothing but another one will do
        due = Authority(tmp_path).certify("vm2", -70, 20, request)
        unfit = {due: "is the certificate that has to be replaced", Authority().certify("vm2", request=request): "is not signed by the CA"}
        hosts["vm2"].check_output("cat > /var/lib/ambassador/identity/cert.pem <<'END'\n" + due + "END")
        for given, found in unfit.items():
            (CONTROLLER / "certificates/vm2.pem").write_text(given)
            run = playbook("site.yml", "--limit=vm2")
            assert f"certificates/vm2.pem {found}." in " ".join(run.stdout.split()), run.stdout
        (CONTROLLER / "certificates/vm2.pem").write_text(Authority(tmp_path).certify("vm2", request=request))
        run = playbook("site.yml", "--limit=vm2")
        assert run.returncode == 0, run.stdout
    finally:
        shutil.move(away, CONTROLLER / "ca.key")


def test_a_revoked_certificate_is_refused_and_the_log_says_which(attack, vm3, playbook, load):
    lost = own_certificate(vm3)
    consumer = load("redis://redis:6379", "--readonly --timeout 5")
    run = playbook("playbooks/revoke.yml", "-e", "revoke_host=vm3", "-e", "notes=vm2", "-e", "elsewhere=first")
    assert run.returncode == 0, run.stdout
    said, log = attack("encrypted", lost, alpn=["notes"])
    assert said.get("said") in (None, [["", False]]), said
    serial = f"{x509.load_pem_x509_certificate(lost.encode()).serial_number:X}"
    assert re.search(f'link=notes peer=vm3 refused="certificate 0*{serial} revoked 20[0-9]{{12}}Z"', log), log
    unharmed(consumer)
    # a host that is in the map still, or again, gets another key
    run = playbook("site.yml")
    assert run.returncode == 0, run.stdout
    assert own_certificate(vm3) != lost
    assert attack("encrypted", own_certificate(vm3), alpn=["notes"])[0] == {"said": [["+PONG\r\n", False]]}
    said, log = attack("encrypted", lost, alpn=["notes"])
    assert f"{serial} revoked" in log


def test_a_revoked_host_that_is_in_the_map_gets_another_key_and_its_open_connections_end_in_the_same_run(attack, vm1, vm2, vm3, playbook):
    lost = own_certificate(vm2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        attacker = pool.submit(attack, "cut", lost, alpn=["redis"], seconds=300)
        is_open, deadline = re.compile(rf"src={re.escape(address(vm3))}:\d+ fe=publish\.\d+ be=redis "), time.monotonic() + 30
        while not is_open.search(engine(vm1, "server", "@1 show sess")):
            assert time.monotonic() < deadline, "the attacker has no connection"
        run = playbook("playbooks/revoke.yml", "-e", "revoke_host=vm2", "-e", "cut=true")
        said, log = attacker.result()
    assert run.returncode == 0, run.stdout
    assert own_certificate(vm2) != lost
    assert said == {"said": ["+PONG\r\n", True, ""]}
    serial = x509.load_pem_x509_certificate(lost.encode()).serial_number
    assert f"{serial:X} revoked" in log, log
