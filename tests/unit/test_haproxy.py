"""Rendered configurations in a real HAProxy on the loopback: the program on the PATH, or the one in the lab's image."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _packing as packing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _render as render
from simulation import ROLE
from test_render import LISTED, generation, variables

IMAGE = "crosshost-lab/haproxy"
OLDEST = (3, 2)
# the connections of an ambassador with 128 MiB
CONNECTIONS = 1228
CLIENT, ATTACKER, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
# Holds half-open handshakes, and begins another one for each that the server side closes, for a limited time and number of attempts.
FLOOD = """\
import select, socket, sys, time
port, count, seconds, sources = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
poll, opened, attempts, end = select.epoll(), {}, 0, time.monotonic() + seconds
while time.monotonic() < end and attempts < 60000:
    for _ in range(min(count - len(opened), 60)):
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((sources[attempts % len(sources)], 0))
        connection.connect_ex(("127.0.0.1", port))
        poll.register(connection, select.EPOLLOUT | select.EPOLLRDHUP)
        opened[connection.fileno()] = connection
        attempts += 1
    print(attempts, flush=True)
    for number, events in poll.poll(0.02):
        try:
            if events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                raise ConnectionError
            opened[number].send(bytes.fromhex("160301020001"))
            poll.modify(number, select.EPOLLRDHUP)
        except OSError:
            poll.unregister(number)
            opened.pop(number).close()
    time.sleep(0.02)
"""


def program():
    """Return how HAProxy is started, None if there is none that is new enough."""
    found = shutil.which("haproxy")
    version = subprocess.run([found, "-v"], capture_output=True, text=True, check=False).stdout if found else ""
    number = re.match(r"HAProxy version (\d+)\.(\d+)", version)
    if number and tuple(map(int, number.groups())) >= OLDEST:
        return [found]
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0:
        return [docker, "run", "--rm", "--network=host", f"--user={os.getuid()}:{os.getgid()}"]
    return None


pytestmark = pytest.mark.skipif(not program(), reason=f"neither HAProxy {'.'.join(map(str, OLDEST))} nor the image {IMAGE}")


def free_port():
    """Return a port that no connection of another process gets: those are from 32768 on."""
    while True:
        port = random.randrange(10240, 32000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Echo(socketserver.ThreadingTCPServer):
    """The backend of all links."""

    daemon_threads, request_queue_size = True, 1024

    def finish_request(self, request, client_address):
        """Return all that a client sends."""
        while data := request.recv(1000):
            request.sendall(data)


def command(directory, made, *options, container=""):
    """Write a generation with the paths of the container moved to a directory; return how HAProxy is started with it.

    :param pathlib.Path directory: a directory of its own
    :param dict made: the generation
    :param str options: further options of HAProxy
    :param str container: name of the container, if HAProxy is in one
    """
    target = directory / "etc/generations" / made["name"]
    for path in (target, directory / "run"):
        path.mkdir(parents=True)
    for file, text in made["files"].items():
        (target / file).write_text(text.replace("/etc/ambassador", f"{directory}/etc").replace("/run/ambassador", f"{directory}/run"))
    found = program()
    if found[1:]:
        found += [f"--volume={directory}:{directory}", f"--name={container}", "--entrypoint=haproxy", IMAGE]
    return [*found, *options, "-f", str(target / "links.cfg"), "-f", str(target / "haproxy.cfg")]


class Side:
    """HAProxy with a rendered configuration.

    :param pathlib.Path directory: a directory of its own
    :param dict made: the generation
    :param int port: a port to wait for
    :param str mode: option of HAProxy, ``-W`` for one that can reload
    """

    def __init__(self, directory, made, port, mode="-db"):
        self.directory = directory
        self._container = f"ambassador_test_{os.getpid()}_{directory.name}"
        self._log = (directory / "log").open("w+")
        started = command(directory, made, "-db", mode, container=self._container)
        self._process = subprocess.Popen(started, stdout=self._log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while not _answers(port):
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self):
        """Return the log so far."""
        return (self.directory / "log").read_text()

    def reload(self):
        """Reload the configuration, and wait for the new worker."""
        loaded = self.log().count("Loading success")
        if "docker" in self._process.args[0]:
            subprocess.run(["docker", "kill", "-s", "USR2", self._container], capture_output=True, check=True)
        else:
            self._process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + 20
        while self.log().count("Loading success") == loaded:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self):
        """Stop HAProxy."""
        if "docker" in self._process.args[0]:
            subprocess.run(["docker", "kill", self._container], capture_output=True, check=False)
        self._process.kill()
        self._process.wait()
        self._log.close()

    def metrics(self, proxy):
        """Return the counters of a frontend: name without its prefix -> value."""
        path, deadline = self.directory / "run/metrics.sock", time.monotonic() + 20
        # HAProxy listens on the ports of links first
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(path))
            link.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: link.recv(1 << 16), b"")).decode()
        return {name: int(value) for name, value in re.findall(rf'^haproxy_frontend_(\w+){{proxy="{proxy}"}} (\d+)$', text, re.M)}


def _answers(port):
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def echo():
    server = Echo(("127.0.0.1", 0), None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A directory with ca.pem, and certificate and key of hosts in one file each."""
    directory = tmp_path_factory.mktemp("certificates")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*new, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"], cwd=directory, capture_output=True, check=True)
    for host in ("vm1", "vm2", "vm4"):
        command = [*new, "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
        command += ["-keyout", f"{host}.key", "-out", f"{host}.pem"]
        subprocess.run(command, cwd=directory, capture_output=True, check=True)
    return directory


def install_key(directory, certificates):
    """Put the key of vm1 where a configuration in a directory reads it."""
    (directory / "etc-identity").mkdir()
    shutil.copy(certificates / "vm1.key", directory / "etc-identity/key.pem")


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("side", ["server", "client"])
def test_configuration_is_valid(tmp_path, certificates, side, tls, ipv6):
    more = {file: (certificates / name).read_text() for file, name in (("cert.pem", "vm1.pem"), ("ca.pem", "ca.pem"))}
    more |= LISTED if side == "server" else {}
    options = {"side": side, "tls": tls, "ipv6": True}
    served = {"subnets": ["127.0.0.0/8", "198.19.0.0/24", "2001:db8::/64"], "sources": ["127.0.0.0/8", "198.19.0.0/24"]}
    links = [{**link, **(served if side == "client" else {})} for link in variables(**options)["links"]]
    made = render.generation("haproxy", ROLE, {**variables(**options), "ipv6": ipv6, "links": links}, more)
    install_key(tmp_path, certificates)
    checked = subprocess.run(
        command(tmp_path, made, "-c", container=f"ambassador_test_{os.getpid()}"), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, "WARNING" in checked.stderr) == (0, False), checked.stderr


@pytest.fixture
def server_side(tmp_path, echo, certificates):
    """Starts a server side that authorizes vm2 for the link echo; returns it and its port."""
    started, port = [], free_port()

    def start(known=(CLIENT,), tls=True, clients="vm2", subnets=(), **options):
        link = {"port": 7, "publish": port, "servers": "vm1", "clients": clients, "backend": f"host:{echo}", "check": "none"}
        more = {**LISTED, **{file: (certificates / name).read_text() for file, name in (("cert.pem", "vm1.pem"), ("ca.pem", "ca.pem"))}}
        # without TLS, the address of vm2 is authorized
        more |= {} if tls else {"admitted.lst": f"echo/{CLIENT}\n"}
        changes = {"ipv6": False, "connections": CONNECTIONS, "metrics": True, "subnets": subnets, "sources": {"vm2": list(known)}}
        made = generation(side="server", tls=tls, map_={"echo": link}, more=more, **changes)
        install_key(tmp_path, certificates)
        started.append(Side(tmp_path, made, port, **options))
        return started[0], port

    yield start
    for side in started:
        side.stop()


@pytest.fixture
def flood():
    """Starts a flood of half-open handshakes; ends it after the test."""
    started = []

    def start(port, *sources, seconds=60):
        command = ["nice", sys.executable, "-c", FLOOD, str(port), "1600", str(seconds), *sources]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        # as many as one address begins at once
        while int(started[-1].stdout.readline()) < 1600:
            pass
        threading.Thread(target=started[-1].stdout.read, daemon=True).start()

    yield start
    for process in started:
        process.kill()
        process.wait()


def context_of(certificate, alpn="echo"):
    """Return the TLS context of a client that has a certificate, or None for no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if certificate:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def request(port, certificate, source=CLIENT, alpn="echo"):
    """Send a request over a new connection; return what comes back, and the seconds."""
    context = context_of(certificate, alpn)
    begin = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), 20, (source, 0)) as connection, context.wrap_socket(connection) as link:
            link.sendall(b"hello")
            return link.recv(99), time.monotonic() - begin
    except OSError:
        return b"", time.monotonic() - begin


def test_a_former_link_keeps_its_backend_beside_a_link_with_the_same_variables(tmp_path, echo, certificates):
    class Other(Echo):
        def finish_request(self, request, client_address):
            request.recv(1000)
            request.sendall(b"other")

    port = free_port()
    with Other(("127.0.0.1", 0), None) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        link = {"publish": port, "servers": "vm1", "clients": "vm2", "check": "none"}
        before = variables("server", tls=True, map_={"echo": {**link, "port": 7, "backend": f"host:{echo}"}})
        number = other.server_address[1]
        now = variables("server", tls=True, map_={"echo": {**link, "ports": [number], "backend": "host"}})
        now |= {"publish": [], "holder": "ambassador_server"}
        told = {"engine": "haproxy", "tls": True}
        held = handover.former({"wiring": packing.packed(handover.text({**before, "publish": []}, told).encode())}, told)
        served = handover.both(now, held, [])
        more = {**LISTED, **{file: (certificates / name).read_text() for file, name in (("cert.pem", "vm1.pem"), ("ca.pem", "ca.pem"))}}
        install_key(tmp_path, certificates)
        side = Side(tmp_path, render.generation("haproxy", ROLE, {**served, "ipv6": False, "subnets": []}, more), port)
        answers = [request(port, certificates / "vm2.pem", alpn=alpn)[0] for alpn in ("echo", f"echo:{number}")]
        side.stop()
        other.shutdown()
    assert answers == [b"hello", b"other"]


def test_server_side_without_tls_refuses_strangers_and_logs_up_to_a_limit(server_side):
    side, port = server_side(tls=False, known=(CLIENT,))

    def ping(source):
        with socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as connection:
            connection.sendall(b"hello")
            try:
                return connection.recv(99)
            except ConnectionError:
                return b""

    assert [ping(ATTACKER) for _ in range(50)] == [b""] * 50
    assert (ping(STRANGER), ping(CLIENT)) == (b"", b"hello")
    for source, count in ((ATTACKER, 20), (STRANGER, 1)):
        lines = lines_of(side, source, count // 2 + 1)
        assert count // 2 < len(lines) <= count
        assert all(f'link=echo peer={source} refused="not a client of the link"' in line for line in lines)


FLOODS = {
    "one address": ([ATTACKER], ()),
    "40 addresses": ([f"127.0.1.{number}" for number in range(1, 41)], ()),
    "an address of another client": ([ATTACKER], (ATTACKER,)),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_authorized_connections_succeed_during_a_flood_of_half_open_handshakes(server_side, flood, certificates, kind):
    sources, known = FLOODS[kind]
    __, port = server_side(known=(CLIENT, *known))
    flood(port, *sources)
    for _ in range(200):
        assert request(port, certificates / "vm2.pem")[0] == b"hello"
        time.sleep(0.02)


def test_authorized_connections_succeed_during_floods_from_containers_of_the_host(server_side, flood, certificates):
    __, port = server_side(subnets=["127.0.1.0/24"])
    flood(port, "127.0.1.1")
    # the client side of the host is not known yet
    assert [request(port, certificates / "vm2.pem", "127.0.1.3")[0] for _ in range(20)] == [b"hello"] * 20
    flood(port, "127.0.1.2")
    times = []
    for _ in range(100):
        for source in (CLIENT, "127.0.1.3"):
            answer, seconds = request(port, certificates / "vm2.pem", source)
            assert answer == b"hello"
            times.append(seconds)
            time.sleep(0.02)
    assert sorted(times)[len(times) // 2] < 1


def test_client_with_an_unknown_address_connects_during_a_flood_from_another_address(server_side, flood, certificates):
    """The address of a client behind NAT is not that of its host: the limit for one source leaves room for it."""
    __, port = server_side(known=())
    flood(port, ATTACKER)
    assert [request(port, certificates / "vm2.pem", STRANGER)[0] for _ in range(20)] == [b"hello"] * 20


def test_open_connections_of_a_client_with_an_unknown_address_do_not_count_as_handshakes(server_side, certificates):
    side, port = server_side(known=())
    context = context_of(certificates / "vm2.pem")
    # more than all strangers may have in a handshake
    opened = [context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5, (STRANGER, 0))) for _ in range(CONNECTIONS // 8 + 50)]
    for connection in opened:
        connection.sendall(b"hello")
        assert connection.recv(9) == b"hello"
        connection.close()
    assert side.metrics(f"publish.{port}")["denied_connections_total"] == 0


def denied(side, port, source, count):
    """Open connections from a source, and return how many of them are denied."""
    before = side.metrics(f"publish.{port}")
    opened = []
    for _ in range(count):
        # a denied connection can end before the client has it
        with contextlib.suppress(ConnectionResetError):
            opened.append(socket.create_connection(("127.0.0.1", port), 5, (source, 0)))
    deadline = time.monotonic() + 20
    while side.metrics(f"publish.{port}")["connections_total"] < before["connections_total"] + count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # the last ones are counted before they are denied
    time.sleep(0.5)
    after = side.metrics(f"publish.{port}")
    for connection in opened:
        connection.close()
    return after["denied_connections_total"] - before["denied_connections_total"]


def test_reload_keeps_the_known_addresses_of_clients(server_side, certificates):
    side, port = server_side(known=(), mode="-W")
    connection = socket.create_connection(("127.0.0.1", port), 5, (STRANGER, 0))
    # an open connection keeps the old workers
    with context_of(certificates / "vm2.pem").wrap_socket(connection) as link:
        link.sendall(b"hello")
        assert link.recv(9) == b"hello"
        for _ in range(3):
            side.reload()
            time.sleep(0.5)
        # more at once than a stranger may have in a handshake
        assert denied(side, port, STRANGER, CONNECTIONS // 16 + 50) == 0
        assert denied(side, port, ATTACKER, CONNECTIONS // 16 + 50) > 0


@pytest.mark.parametrize("clients", ["vm2", "vm2:vm3"], ids=["one client host", "several client hosts"])
def test_one_of_several_client_hosts_leaves_connections_to_the_others(server_side, clients):
    side, port = server_side(known=(CLIENT, ATTACKER), tls=False, clients=clients)
    expected = CONNECTIONS - 20 - CONNECTIONS * 7 // 8 if ":" in clients else 0
    assert denied(side, port, CLIENT, CONNECTIONS - 20) == expected


def lines_of(side, source, expected=1):
    """Return the lines of the log about a source. Wait for the expected number, because they arrive late on a busy machine."""
    deadline = time.monotonic() + 10
    while len(re.findall(f"^{source}:", side.log(), re.M)) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    # further lines would be too many
    time.sleep(0.5)
    return [line for line in side.log().splitlines() if re.match(f"{source}:", line)]


def test_failed_handshakes_of_a_source_are_logged_up_to_a_limit_and_all_are_counted(server_side, certificates):
    side, port = server_side(known=(CLIENT, ATTACKER))
    for _ in range(60):
        request(port, None, ATTACKER)
    request(port, None, STRANGER)
    request(port, certificates / "vm2.pem", ATTACKER)
    assert 15 < len(lines_of(side, ATTACKER, 16)) <= 20
    (line,) = lines_of(side, STRANGER)
    head = rf"{STRANGER}:\d+ \[\d\d/\w{{3}}/\d{{4}}:[\d:]{{8}}\.\d{{3}}\] publish\.{port} "
    assert re.fullmatch(head + 'link=echo peer= refused="[^"]+, .*peer did not return a certificate"', line), line
    found = side.metrics(f"publish.{port}")
    # the check of the port when the test began has failed as well
    assert found["connections_total"] - found["denied_connections_total"] - found["sessions_total"] == 62
    assert found["sessions_total"] == 1


def test_refused_certificates_of_a_source_are_logged_up_to_a_limit_and_all_are_counted(server_side, certificates):
    side, port = server_side(known=(CLIENT, ATTACKER))
    for _ in range(50):
        assert request(port, certificates / "vm4.pem", ATTACKER)[0] == b""
    request(port, certificates / "vm4.pem", STRANGER)
    for source, count in ((ATTACKER, 20), (STRANGER, 1)):
        lines = lines_of(side, source, count // 2 + 1)
        assert count // 2 < len(lines) <= count
        assert all('link=echo peer=vm4 refused="not a client of the link"' in line for line in lines)
    assert side.metrics(f"publish.{port}")["requests_denied_total"] == 51


def test_failed_handshakes_do_not_hide_the_refusal_of_a_certificate(server_side, certificates):
    side, port = server_side(known=(ATTACKER,))
    for _ in range(25):
        request(port, None, ATTACKER)
    request(port, certificates / "vm4.pem", ATTACKER)
    lines = lines_of(side, ATTACKER, 16)
    # rates are estimates
    assert 15 < len(lines) <= 21
    assert [line for line in lines if "peer=vm4" in line] == lines[-1:]


def test_name_in_a_self_signed_certificate_forges_no_line_of_the_log(server_side, certificates, tmp_path):
    side, port = server_side()
    forged = f"a\n{CLIENT}:1 fake link=echo peer=vm2 \x1b[31m"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    new += ["-subj", f"/CN={forged}", "-keyout", "forged.key", "-out", "forged.pem"]
    subprocess.run(new, cwd=tmp_path, capture_output=True, check=True)
    request(port, tmp_path / "forged.pem", STRANGER)
    (line,) = lines_of(side, STRANGER)
    assert " peer=a?127.0.0.1:1?fake?link?echo?peer?vm2???31m refused=" in line
    assert "fake" not in side.log().replace(line, "")


@pytest.mark.parametrize("subnets", [[], ["127.0.2.0/24"]], ids=["other hosts", "containers of the host"])
def test_failed_handshakes_of_many_strangers_are_logged_up_to_a_limit(server_side, subnets):
    side, port = server_side(known=(CLIENT, STRANGER), subnets=subnets)

    def fail(source):
        with socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as connection:
            connection.sendall(b"no handshake\r\n")
            connection.recv(99)

    for number in range(1, 31):
        # a stranger that fails more often takes no more of the limit for all
        for _ in range(40 if number == 1 else 12):
            fail(f"127.0.2.{number}")
    # a known address has a limit of its own, and strangers have another one than containers
    fail(STRANGER)
    fail(ATTACKER)
    assert 15 < len(lines_of(side, "127.0.2.1", 16)) <= 20
    assert 150 < len(lines_of(side, "127.0.2.[0-9]+", 151)) <= 200
    assert (len(lines_of(side, STRANGER)), len(lines_of(side, ATTACKER))) == (1, 1 if subnets else 0)
