"""The modules connect to the Docker Engine as the modules of community.docker do."""

import contextlib
import datetime
import importlib.util
import ipaddress
import re
import shutil
import socket
import ssl
import threading
import types

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible_collections.crosshost.ambassador.plugins.action.plan import known_variables
from ansible_collections.crosshost.ambassador.plugins.doc_fragments import _docker as own_fragment
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import ARGUMENTS, DockerEngine, SettingsError
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_engine_problem
from conftest import ROOT, FakeDockerOverTCP, run_module
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GROUP = "crosshost.ambassador.docker"
FRAGMENT = "- crosshost.ambassador._docker"
VARIABLES = ("HOST", "TLS_HOSTNAME", "API_VERSION", "TIMEOUT", "CERT_PATH", "TLS", "TLS_VERIFY")


class Authority:
    """A CA that writes certificates and keys into a directory."""

    def __init__(self, directory, name):
        self.directory, self.key = directory, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        (directory / "ca.pem").write_bytes(self._sign(self.name, self.key, x509.BasicConstraints(True, None)))

    def _sign(self, subject, key, extension):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1)).add_extension(extension, True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name, *names, password=None):
        """Write the certificate and the key of a name, and return their paths."""
        key, cert, path = ec.generate_private_key(ec.SECP256R1()), self.directory / f"{name}.pem", self.directory / f"{name}-key.pem"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert.write_bytes(self._sign(subject, key, x509.SubjectAlternativeName(list(names) or [x509.DNSName(name)])))
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
        return str(cert), str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The paths of certificates and keys: of the engine, of a client, and of another CA."""
    directory, other = tmp_path_factory.mktemp("certificates"), tmp_path_factory.mktemp("other")
    authority, stranger = Authority(directory, "CA of the engine"), Authority(other, "another CA")
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    client = authority.issue("client")
    # the names that Docker expects in DOCKER_CERT_PATH
    for path, name in zip(client, ("cert.pem", "key.pem"), strict=True):
        shutil.copy(path, directory / name)
    return types.SimpleNamespace(
        directory=directory,
        ca=str(directory / "ca.pem"),
        server=authority.issue("server", loopback),
        named=authority.issue("engine.example"),
        client=client,
        encrypted=authority.issue("encrypted", password=b"secret"),
        other_ca=str(other / "ca.pem"),
        other_client=stranger.issue("client"),
    )


@contextlib.contextmanager
def engine_over_tls(files, certificate=None, verify=True):
    """Run an engine like dockerd with --tlsverify, or with --tls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(certificate or files.server))
    if verify:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    with FakeDockerOverTCP(context) as engine:
        yield engine
        engine.shutdown()


@pytest.fixture(scope="module")
def tls_engine(files):
    """An engine that verifies its clients."""
    with engine_over_tls(files) as engine:
        yield engine


@pytest.fixture(scope="module")
def tcp_engine():
    """An engine without TLS."""
    with FakeDockerOverTCP() as engine:
        yield engine
        engine.shutdown()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """The variables of the user who runs the tests do not count."""
    for name in VARIABLES:
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)


def api_version(**settings):
    """Return the version of the API that an engine reports."""
    return DockerEngine(**settings).get("/version")["ApiVersion"]


def refusal(**settings):
    """Return why a connection is refused."""
    with pytest.raises(SettingsError) as caught:
        api_version(**settings)
    return str(caught.value)


def verified(files, **more):
    """Return the settings of a client that verifies the engine and has a certificate."""
    return {"validate_certs": True, "ca_path": files.ca, "client_cert": files.client[0], "client_key": files.client[1], **more}


# -- connections --------------------------------------------------------------------------------------------------


def test_connects_to_unix_socket(docker):
    for url in (f"unix://{docker.path}", f"http+unix://{docker.path}", f"unix:/{docker.path}"):
        assert api_version(docker_host=url) == "1.45"


def test_connects_over_tcp(tcp_engine):
    address = tcp_engine.url[len("tcp://") :]
    for url in (tcp_engine.url, f"http://{address}", address, f" {tcp_engine.url}/ "):
        assert api_version(docker_host=url) == "1.45"


def test_connects_over_tls_with_client_certificate(files, tls_engine):
    for url in (tls_engine.url, tls_engine.url.replace("tcp://", "https://")):
        assert api_version(docker_host=url, **verified(files)) == "1.45"
        # without verification the engine still verifies its client
        assert api_version(docker_host=url, tls=True, client_cert=files.client[0], client_key=files.client[1]) == "1.45"


def test_connects_over_tls_without_verification(files):
    with engine_over_tls(files, files.named, verify=False) as engine:
        assert api_version(docker_host=engine.url, tls=True) == "1.45"
        # verification takes precedence
        assert "is not trusted" in refusal(docker_host=engine.url, tls=True, validate_certs=True, ca_path=files.other_ca)


def test_https_alone_verifies_with_the_cas_of_the_host(files, tls_engine):
    assert "is not trusted by the CAs of the host" in refusal(docker_host=tls_engine.url.replace("tcp://", "https://"))


def test_tls_hostname_replaces_the_host_of_the_url(files):
    with engine_over_tls(files, files.named) as engine:
        settings = verified(files, docker_host=engine.url)
        assert api_version(**settings, tls_hostname="engine.example") == "1.45"
        assert refusal(**settings) == (
            f"The certificate of the Docker Engine at {engine.url} is not valid for the name 127.0.0.1."
            " Set tls_hostname (DOCKER_TLS_HOSTNAME) to a name that the certificate has."
        )
        assert "is not valid for the name another.example." in refusal(**settings, tls_hostname="another.example")
        assert "Correct docker_host (DOCKER_HOST) or tls_hostname." in refusal(**settings, tls_hostname=".example")


def test_api_version_is_part_of_the_path(tcp_engine, docker):
    docker.answers["/v1.44/version"] = {"ApiVersion": "1.44"}
    assert api_version(docker_host=f"unix://{docker.path}", api_version="1.44") == "1.44"
    assert api_version(docker_host=f"unix://{docker.path}", api_version="AUTO") == "1.45"
    tcp_engine.answers["/proxy/v1.44/version"] = {"ApiVersion": "1.44"}
    assert api_version(docker_host=f"{tcp_engine.url}/proxy", api_version="1.44") == "1.44"


def test_url_without_port_uses_the_port_of_community_docker():
    assert DockerEngine("tcp://127.0.0.1")._connection.port == 2376
    assert DockerEngine("tcp://127.0.0.1", tls=True)._connection.port == 2375
    assert DockerEngine("tcp://[::1]:2377")._connection.host == "::1"
    assert DockerEngine("").url == DockerEngine("unix://").url == "unix:///var/run/docker.sock"


# -- refusals -----------------------------------------------------------------------------------------------------


def test_refuses_engine_of_another_ca(files, tls_engine):
    message = refusal(docker_host=tls_engine.url, **verified(files, ca_path=files.other_ca))
    # between them is the reason of OpenSSL, which depends on the chain that the engine sends
    assert message.startswith(f"The certificate of the Docker Engine at {tls_engine.url} is not trusted by {files.other_ca}: ")
    assert message.endswith(". Set ca_path (DOCKER_CERT_PATH) to the CA of the engine.")


@pytest.mark.parametrize("kind", ["none", "of another CA"])
def test_reports_refused_client_certificate(files, tls_engine, kind):
    cert, key = files.other_client if kind == "of another CA" else (None, None)
    message = refusal(docker_host=tls_engine.url, **verified(files, client_cert=cert, client_key=key))
    assert message.startswith(f"The TLS connection to the Docker Engine at {tls_engine.url} failed: ")
    assert "that the engine trusts the certificate of client_cert (DOCKER_CERT_PATH)." in message


def test_reports_port_without_tls(files, tcp_engine):
    assert "Check that the port uses TLS" in refusal(docker_host=tcp_engine.url, **verified(files))


@pytest.mark.parametrize("option", ["ca_path", "client_cert", "client_key"])
def test_reports_missing_and_wrong_files(files, option, tmp_path):
    settings = verified(files, docker_host="tcp://127.0.0.1:1")
    assert refusal(**{**settings, option: "/nowhere/file.pem"}) == (
        f"The file /nowhere/file.pem of option {option} is not readable: No such file or directory."
        f" Correct {option}, or the variable DOCKER_CERT_PATH."
    )
    (tmp_path / "file.pem").write_text("nothing")
    assert re.search(r"file\.pem .*hold.* no C?A? ?certificate in PEM format", refusal(**{**settings, option: str(tmp_path / "file.pem")}))


def test_refuses_encrypted_key_without_a_prompt(files):
    cert, key = files.encrypted
    assert "its unencrypted key" in refusal(docker_host="tcp://127.0.0.1:1", **verified(files, client_cert=cert, client_key=key))


def test_reports_connection_that_ends_later(files):
    """An engine that stops between two answers is no problem of the settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.server)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_once():
            connection, __ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                tls.recv(4096)

        threading.Thread(target=answer_once, daemon=True).start()
        engine = DockerEngine(f"tcp://127.0.0.1:{listener.getsockname()[1]}", tls=True)
        assert engine.get("/version") == {}
        with pytest.raises(OSError, match="tcp:") as caught:
            engine.get("/info")
    assert not isinstance(caught.value, SettingsError)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ssh://vm1", "The URL ssh://vm1 of the Docker Engine is not supported. Set docker_host (DOCKER_HOST) to unix://… or tcp://…."),
        ("tcp://", "The URL tcp:// of the Docker Engine has no host. Correct docker_host (DOCKER_HOST)."),
        ("tcp://127.0.0.1:http", "The URL tcp://127.0.0.1:http of the Docker Engine is not valid: "),
    ],
)
def test_refuses_other_urls(url, message):
    assert refusal(docker_host=url).startswith(message)


# -- the modules --------------------------------------------------------------------------------------------------


def observe(environment=None, **options):
    """Return ``docker`` of an observation."""
    answer = run_module("observation_info", state_dir="/nowhere", environment=environment, **options)
    assert not answer.get("failed"), answer
    return answer["docker"]


def test_observes_over_tls_as_environment_or_options_say(files, tls_engine):
    expected = {"version": "26.1.5+dfsg1", "error": None, "fault": None, "kind": None, "tls": True, "userland_proxy": None}
    environment = {"DOCKER_HOST": tls_engine.url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files.directory)}
    assert observe(environment) == expected
    # options take precedence; these are aliases
    options = {"docker_url": tls_engine.url, "tls_verify": True, "cacert_path": files.ca}
    options |= {"cert_path": files.client[0], "key_path": files.client[1]}
    assert observe({"DOCKER_HOST": "unix:///nowhere", "DOCKER_CERT_PATH": "/nowhere"}, **options) == expected


def test_observation_reports_wrong_settings(files, tls_engine):
    environment = {"DOCKER_HOST": tls_engine.url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"}
    found = observe(environment)
    assert (found["version"], found["fault"], found["kind"]) == (None, "settings", None)
    assert find_engine_problem("vm1", found) == (
        "Host vm1: the connection settings of the Docker Engine are wrong."
        " The file /nowhere/ca.pem of option ca_path is not readable: No such file or directory."
        " Correct ca_path, or the variable DOCKER_CERT_PATH."
    )


def test_other_modules_connect_over_tls_and_report_wrong_settings(files, tls_engine, tmp_path):
    environment = {"DOCKER_HOST": tls_engine.url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files.directory)}
    assert run_module("meshes_info", environment=environment)["containers"]
    link = {"alias": "queue", "listen": 1, "protocol": "tcp", "place": 1}
    given = {"path": str(tmp_path), "side": "client", "host": "vm2", "links": [], "dial": [link], "network": "ambassador", "patience": 0}
    assert run_module("verify_links", environment=environment, **given)["dialled"] == {"queue": "no address"}
    settings = {"ca_path": files.other_ca}
    assert "is not trusted by" in run_module("meshes_info", environment=environment, **settings)["msg"]
    message = run_module("verify_links", environment=environment, **given, **settings)["msg"]
    assert message.startswith("Host vm2: the connection settings of the Docker Engine are wrong. The certificate of the Docker Engine at ")


def test_options_are_those_of_community_docker():
    # private since version 5
    names = ("_docker", "docker")
    fragments = "ansible_collections.community.docker.plugins.doc_fragments"
    (name,) = [name for name in names if importlib.util.find_spec(f"{fragments}.{name}")]
    theirs = yaml.safe_load(importlib.import_module(f"{fragments}.{name}").ModuleDocFragment.API_DOCUMENTATION)["options"]
    own = yaml.safe_load(own_fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(theirs) - set(own) == {"use_ssh_client", "debug"}
    for name, option in own.items():
        for key in ("type", "default", "aliases"):
            assert option.get(key) == theirs[name].get(key) == ARGUMENTS[name].get(key), (name, key)
    named = {variable for option in own.values() for variable in re.findall(r"E\((\w+)\)", str(option))}
    assert named == {f"DOCKER_{name}" for name in VARIABLES}


def test_action_group_has_the_modules_of_both_collections():
    play = Play.load({"hosts": "all", "tasks": [], "module_defaults": {f"group/{GROUP}": {"timeout": 5}}}, loader=DataLoader())
    actions = set(play._group_actions[GROUP])
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.*") if FRAGMENT in path.read_text()}
    assert modules == {"meshes_info", "observation_info", "verify_links"}
    assert {action for action in actions if action.startswith("crosshost.")} == {f"crosshost.ambassador.{name}" for name in modules}
    used = {name for path in ROOT.glob("[rp]*/**/*.yml") for name in re.findall(r"community\.docker\.docker_\w+(?=:)", path.read_text())}
    assert len(used) > 5
    assert used - actions == set()


def test_playbooks_pass_the_settings_of_each_host_to_all_modules():
    default = {f"group/{GROUP}": "{{ ambassador_docker | default({}) }}"}
    for name in ("site", "status", "teardown", "move"):
        for play in yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text()):
            # these connect to no engine
            unconnected = ("Check that the run has hosts", "Check the move")
            assert play.get("module_defaults", {}) == default or play["name"] in unconnected, play["name"]
    assert "ambassador_docker" in known_variables()


def tasks_of(value):
    """Return all tasks in a file of tasks or plays, with those in blocks."""
    if isinstance(value, list):
        return [task for one in value for task in tasks_of(one)]
    if not isinstance(value, dict):
        return []
    inner = [value.get(key) for key in ("tasks", "pre_tasks", "block", "rescue", "always")]
    return [value, *tasks_of([one for one in inner if one])]


def test_delegated_tasks_use_the_settings_of_the_host_that_runs_them():
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")]
    delegated = [task for path in files for task in tasks_of(yaml.safe_load(path.read_text())) if "delegate_to" in task]
    # verify_links connects to the engine only to dial, which no delegated task does
    delegated = [
        task for task in delegated if any(name.startswith("community.docker.") or name.endswith(".observation_info") for name in task)
    ]
    assert len(delegated) == 3
    for task in delegated:
        host = task["delegate_to"].strip("{ }")
        assert task["vars"]["ambassador_docker"] == f"{{{{ hostvars[{host}].ambassador_docker | default({{}}) }}}}", task["name"]
