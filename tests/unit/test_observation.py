"""What is observed of a host: from answers in the shape of Docker's API 1.45 (26.1), files of a kernel, and directories."""

import contextlib
import copy
import datetime
import json
import os
import pathlib
import socket
import stat
import time

import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.module_utils import _docker_engine as docker_engine
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as disk
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_docker as docker_part
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_kernel as kernel
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import DockerEngine
from ansible_collections.crosshost.ambassador.plugins.modules import observation_info as observe
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _observation as observation
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import whole
from conftest import ROOT, FakeDockerOverTCP, RecordedEngine, run_module
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ANSWERS = ROOT / "tests" / "unit" / "answers"
DOCKER = json.loads((ANSWERS / "docker.json").read_text())
LISTED = {container["Names"][0][1:]: container for container in DOCKER["/containers/json?all=1"] if container["Names"]}
DOCUMENTED = yaml.safe_load((ROOT / "plugins/modules/observation_info.yml").read_text())
APP, OPERATOR = "the password of app", "the password of the operator"
KEY = "the key of the hashes"


def hashed(content):
    """Return the hash of a password, or of a file with one."""
    return disk.keyed(disk.digest(content), KEY)


def inspected(name):
    return DOCKER[f"/containers/{LISTED[name]['Id']}/json"]


def proc(name):
    return (ANSWERS / "proc_net" / name).read_text()


# -- Docker -------------------------------------------------------------------------------------------------------


def test_what_a_container_publishes_is_told_as_docker_is_asked_for_it():
    assert docker_part.published(LISTED["ambassador_server"]["Ports"]) == ["198.18.0.11:6379:6379", "[2001:db8::1]:5353:53/udp"]
    # what is exposed alone is no port of the host
    assert docker_part.published(LISTED["web"]["Ports"]) == ["0.0.0.0:80:80", "[::]:80:80"]
    assert docker_part.published([]) == docker_part.published(None) == []


def test_a_container_of_the_collection_s_own_is_told_with_all_that_was_asked_of_it():
    assert docker_part.container(LISTED["ambassador_client"], inspected("ambassador_client")) == {
        "id": "a1" * 32,
        "ours": "ambassador_client",
        "mesh": "default",
        "directory": "/var/lib/ambassador/client",
        "image": "haproxy:3.2.26",
        "image_id": "sha256:" + "aa" * 32,
        "state": "running",
        "publishes": [],
        "networks": {
            "ambassador": {
                "addresses": ["198.19.0.2", "2001:db8:1::2"],
                "aliases": ["a1a1a1a1a1a1", "ambassador_client", "redis"],
                "names": ["a1a1a1a1a1a1", "ambassador_client", "redis"],
                "said": {"ipv4_address": "198.19.0.2", "ipv6_address": "2001:db8:1::2"},
            }
        },
        "hash": "0123456789abcdef",
        "restart": "always",
        "memory": 536870912,
        "pids": 4096,
        "health": None,
    }


def test_what_docker_leaves_out_is_told_as_none_of_it():
    found = docker_part.container(LISTED["ambassador_server"], inspected("ambassador_server"))
    assert (found["restart"], found["memory"], found["pids"], found["health"]) == ("no", 0, 0, "healthy")
    assert found["networks"]["ambassador"] == {"addresses": ["198.19.0.130"], "aliases": [], "names": ["ambassador_server"], "said": {}}


def test_a_limit_that_the_kernel_does_not_know_is_told_as_none():
    info = {"MemoryLimit": False, "PidsLimit": True}
    found = docker_part.container(LISTED["ambassador_client"], inspected("ambassador_client"), info)
    assert (found["memory"], found["pids"]) == (None, 4096)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["name=seccomp,profile=default"], None),
        (["name=seccomp", "name=userns"], "userns"),
        (["name=rootless,x=y"], "rootless"),
        (None, None),
    ],
)
def test_whose_users_the_containers_have_is_told(options, kind):
    assert docker_part.kind_of({}, {"SecurityOptions": options}) == kind


@pytest.mark.parametrize(("component", "kind"), [("Engine", None), ("Podman Engine", "podman")])
def test_what_only_speaks_like_docker_is_told(component, kind):
    assert docker_part.kind_of({"Components": [{"Name": component}, {"Name": "Conmon"}]}, {"SecurityOptions": None}) == kind


def test_a_container_of_somebody_else_s_is_told_as_far_as_it_can_be_in_the_way():
    found = docker_part.container(LISTED["web"])
    assert (found["ours"], found["image"], found["state"], found["networks"]) == (
        None,
        "nginx",
        "running",
        {"bridge": {"addresses": ["172.17.0.2"], "names": ["web"]}},
    )
    assert "hash" not in found
    # a service of Compose answers to its own name as well, and that is in the list
    service = {**LISTED["web"], "Labels": {"com.docker.compose.service": "shop"}}
    assert docker_part.container(service)["networks"]["bridge"]["names"] == ["shop", "web"]
    assert docker_part.container(LISTED["job"])["networks"] == {"bridge": {"addresses": [], "names": ["job"]}}
    said = docker_part.container({**LISTED["job"], "Labels": None, "NetworkSettings": None, "Ports": None})
    assert (said["ours"], said["networks"], said["publishes"]) == (None, {}, [])


def test_of_a_neighbour_the_names_are_told_to_which_it_answers():
    network = {"IPAddress": "172.17.0.2", "Aliases": ["www"], "DNSNames": None}
    said = {"NetworkSettings": {"Networks": {"bridge": network}}}
    found = docker_part.container(LISTED["web"], said)
    assert found["networks"] == {"bridge": {"addresses": ["172.17.0.2"], "names": ["web", "www"], "aliases": ["www"], "said": {}}}
    assert "hash" not in found
    # since version 1.44 of the API, with the hostname, and what was generated
    network["DNSNames"] = ["web", "www", "0123456789ab", "www.example.com"]
    assert docker_part.container(LISTED["web"], said)["networks"]["bridge"]["names"] == ["0123456789ab", "web", "www", "www.example.com"]


def made_by(mesh, **changes):
    """What Docker lists, and what it says alone, of a container that a mesh has made."""
    labels = {**LISTED["ambassador_client"]["Labels"], **({mesh_names.MESH_LABEL: mesh} if mesh else {})}
    return {**LISTED["ambassador_client"], "Labels": labels, **changes}, copy.deepcopy(inspected("ambassador_client"))


def test_of_another_mesh_s_container_the_mesh_is_told_and_it_is_not_ours():
    mine, said = made_by(None)
    told = docker_part.container(mine, said)
    assert (told["ours"], told["mesh"]) == ("ambassador_client", "default")
    theirs, _ = made_by("blue")
    for listed, mesh in ((mine, "blue"), (theirs, "default")):
        other = docker_part.container(listed, said, mesh=mesh)
        assert (other["ours"], other["mesh"]) == (None, "blue" if mesh == "default" else "default")
        assert "hash" not in other
        # which it has a fixed address of, and names
        assert other["networks"] == told["networks"]
    assert docker_part.container(theirs, said, mesh="blue")["ours"] == "ambassador_client"
    assert docker_part.container(LISTED["web"], None)["mesh"] is None


def test_a_container_that_does_not_run_is_told_with_what_it_will_publish():
    listed, said = made_by(None, State="exited", Ports=[])
    places = [{"HostIp": "198.18.0.12", "HostPort": "6390"}, {"HostIp": "", "HostPort": "6391"}, {"HostIp": "::1", "HostPort": ""}]
    said["HostConfig"]["PortBindings"] = {"6379/tcp": places, "53/udp": [{"HostIp": "::1", "HostPort": "53"}], "80/tcp": None}
    told = docker_part.container(listed, said)["publishes"]
    assert told == ["0.0.0.0:6391:6379", "198.18.0.12:6390:6379", "[::1]:53:53/udp"]
    # in the words in which it is told of one that runs
    assert docker_part.container(*made_by(None))["publishes"] == docker_part.bound(
        inspected("ambassador_client")["HostConfig"]["PortBindings"]
    )


def test_the_directory_that_a_container_reads_is_told():
    listed, said = made_by(None)
    said["Mounts"] = [{"Source": "/data", "Destination": "/data"}, {"Source": "/srv/blue/client", "Destination": "/etc/ambassador"}]
    assert docker_part.container(listed, said)["directory"] == "/srv/blue/client"
    said["Mounts"] = None
    assert docker_part.container(listed, said)["directory"] is None


def test_networks_are_told_with_their_pools():
    bridge, ambassador, host = (docker_part.network(said) for said in DOCKER["/networks"])
    kind = {"ipv6": False, "internal": False, "driver": "bridge", "options": {}}
    assert bridge == {**kind, "ours": False, "pools": [{"Subnet": "172.17.0.0/16", "IPRange": None, "Gateway": "172.17.0.1"}]}
    assert ambassador == {
        "ours": True,
        "ipv6": True,
        "internal": False,
        "driver": "bridge",
        "options": {},
        "pools": [
            {"Subnet": "198.19.0.0/24", "IPRange": "198.19.0.128/25", "Gateway": None},
            {"Subnet": "2001:db8:1::/64", "IPRange": "2001:db8:1::1:0/112", "Gateway": "2001:db8:1::1"},
        ],
    }
    assert host == {**kind, "driver": "host", "ours": False, "pools": []}


def test_network_has_only_the_options_that_decide_on_its_way_out():
    named = {"com.docker.network.bridge.name": "br0", "com.docker.network.bridge.enable_ip_masquerade": "false", "parent": "eth0"}
    assert docker_part.network({**DOCKER["/networks"][0], "Options": named})["options"] == {"enable_ip_masquerade": "false"}
    assert docker_part.network({**DOCKER["/networks"][0], "Options": None})["options"] == {}


def test_an_image_is_told_under_each_of_its_names():
    one = "sha256:" + "aa" * 32
    assert docker_part.images(DOCKER["/images/json"]) == {
        "haproxy:3.2.26": one,
        "registry.test:5000/haproxy:3.2.26": one,
        "haproxy@sha256:" + "ad" * 32: one,
        "nginx:latest": "sha256:" + "bb" * 32,
    }


# -- the kernel ---------------------------------------------------------------------------------------------------


def test_who_listens_is_told_and_who_is_connected_is_not():
    assert kernel.sockets(proc("tcp"), "tcp") == [["tcp", "127.0.0.1", 6379], ["tcp", "0.0.0.0", 8080], ["tcp", "198.18.0.187", 6379]]
    assert kernel.sockets(proc("tcp6"), "tcp") == [["tcp", "::", 8081], ["tcp", "::1", 6380], ["tcp", "2001:db8::1", 6379]]
    assert kernel.sockets(proc("udp"), "udp") == [["udp", "127.0.0.1", 5353]]
    # a kernel without IPv6
    assert kernel.sockets("", "tcp") == []


def test_the_addresses_of_a_host_are_its_own_and_not_those_of_networks_or_loopback():
    found = kernel.own_addresses(proc("fib_trie"), proc("if_inet6"))
    assert found == sorted(["192.0.2.2", "198.18.0.1", "2001:2:0:1::1", "fe80::fc:ff:fe00:1"])
    assert kernel.own_addresses("", "") == []


def test_the_network_facts_are_told_under_the_names_of_setup():
    addresses = ["192.0.2.2", "198.18.0.1", "2001:2:0:1::1", "fe80::fc:ff:fe00:1"]
    interfaces = {"lo": "127.0.0.1", "eth0": "198.18.0.1", "br-0e3efe12bb74": "192.0.2.2"}
    found = kernel.facts(interfaces, proc("if_inet6"), {4: "198.18.0.1", 6: "2001:2:0:1::1"}, addresses)
    assert found == {
        "default_ipv4": {"address": "198.18.0.1", "interface": "eth0"},
        "default_ipv6": {"address": "2001:2:0:1::1", "interface": "br-0e3efe12bb74"},
        "all_ipv4_addresses": ["192.0.2.2", "198.18.0.1"],
        "all_ipv6_addresses": ["2001:2:0:1::1", "fe80::fc:ff:fe00:1"],
        "lo": {"ipv4": {"address": "127.0.0.1"}, "ipv6": [{"address": "::1"}]},
        "eth0": {"ipv4": {"address": "198.18.0.1"}, "ipv6": [{"address": "fe80::fc:ff:fe00:1"}]},
        "br_0e3efe12bb74": {"ipv4": {"address": "192.0.2.2"}, "ipv6": [{"address": "2001:2:0:1::1"}]},
    }
    # a host that knows no way to the outside, and one whose address there is a second one of its interface
    assert kernel.facts({}, "", {}, [])["default_ipv4"] == {}
    assert kernel.facts({}, "", {4: "192.0.2.9"}, [])["default_ipv4"] == {"address": "192.0.2.9", "interface": None}


# -- the disk -----------------------------------------------------------------------------------------------------


def a_key(path, name="key.pem", form=serialization.PrivateFormat.TraditionalOpenSSL):
    """Write a key as the collection makes it; return it."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.mkdir(exist_ok=True)
    (path / name).write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return key


def a_certificate(path, key):
    """Write a certificate for a key; return it as text."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vm1")])
    now = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90)).sign(key, hashes.SHA256())
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    path.mkdir(exist_ok=True)
    (path / "cert.pem").write_text(text)
    return text


def test_a_key_beside_its_certificate_is_its_own(tmp_path):
    text = a_certificate(tmp_path, a_key(tmp_path))
    assert disk.identity(str(tmp_path)) == {"certificate": text, "key": "own"}
    a_certificate(tmp_path, a_key(tmp_path, form=serialization.PrivateFormat.PKCS8))
    assert disk.identity(str(tmp_path))["key"] == "own"


def test_a_key_beside_another_one_s_certificate_is_told(tmp_path):
    a_certificate(tmp_path, a_key(tmp_path))
    a_key(tmp_path)
    assert disk.identity(str(tmp_path))["key"] == "other"


@pytest.mark.parametrize(
    "text", ["nonsense", "-----BEGIN EC PRIVATE KEY-----\n!!\n-----END EC PRIVATE KEY-----\n", "-----BEGIN X-----\n\n-----END X-----"]
)
def test_a_key_that_is_none_is_not_the_certificate_s(tmp_path, text):
    a_certificate(tmp_path, a_key(tmp_path))
    (tmp_path / "key.pem").write_text(text)
    assert disk.identity(str(tmp_path))["key"] == "other"


def test_a_key_without_a_certificate_and_a_certificate_without_a_key(tmp_path):
    assert disk.identity(str(tmp_path / "nothing")) == {"certificate": "", "key": "none"}
    key = a_key(tmp_path)
    assert disk.identity(str(tmp_path)) == {"certificate": "", "key": "other"}
    text = a_certificate(tmp_path, key)
    (tmp_path / "key.pem").unlink()
    assert disk.identity(str(tmp_path)) == {"certificate": text, "key": "none"}


def test_users_are_told_with_the_hashes_of_their_passwords():
    text = f"user default reset on nopass +ping +role\nuser app reset on #{'ab' * 32} ~* &* +@all\nuser proof reset on #{'cd' * 32} +ping\n"
    assert disk.users(text) == {"app": "ab" * 32, "proof": "cd" * 32}
    assert disk.users("") == {}


@pytest.fixture
def state(tmp_path):
    """A state directory with all that can be in one."""
    path = tmp_path / "ambassador"
    path.mkdir()
    RecordedEngine(path / "client", "client")
    (path / "client/run").chmod(0o700)
    generation = path / "client/generations/051901f6ec76"
    generation.mkdir(parents=True)
    (generation / "haproxy.cfg").write_text("global\n")
    (path / "client/current").symlink_to("generations/051901f6ec76")
    (path / "server/generations").mkdir(parents=True)
    a_certificate(path / "identity", a_key(path / "identity"))
    for name in ("redis_server", "redis_client"):
        (path / name).mkdir(mode=0o700)
        (path / name).chmod(0o700)
    acl = f"user app reset on #{disk.digest(APP.encode())} ~*\nuser operator reset on #{disk.digest(OPERATOR.encode())} +ping\n"
    for name, content in (("redis_server/users.acl", acl), ("redis_server/operator", f"{OPERATOR}\n"), ("redis_client/app", f"{APP}\n")):
        (path / name).write_text(content)
        (path / name).chmod(0o600)
    (path / "redis_client/elsewhere").symlink_to("/etc/passwd")
    (path / "redis_client/deeper").mkdir()
    (path / "notes.txt").write_text("notes")
    return path


def test_a_side_is_told_with_what_is_on_disk_and_what_runs(state):
    client, server = (disk.state(str(state), KEY)["sides"][side] for side in ("client", "server"))
    assert client == {
        "current": "051901f6ec76",
        "files": {"haproxy.cfg": disk.digest(b"global\n")},
        "runs": {"run": {"owner": os.getuid(), "mode": "0700"}},
        "engine": "haproxy",
        "running": "051901f6ec76",
        "certificate": None,
        "connections": {"run": 3},
        "links": {"redis": {"connections": 3, "targets": [{"name": "vm3", "address": "198.18.0.13:6379", "up": True, "proved": True}]}},
        "error": None,
        "wiring": None,
    }
    nothing = {
        "current": None,
        "files": {},
        "runs": {},
        "engine": None,
        "running": None,
        "certificate": None,
        "connections": {},
        "links": {},
        "error": None,
        "wiring": None,
    }
    assert server == nothing


def test_a_side_whose_engine_does_not_answer_is_told_with_why(state):
    (state / "client/run/master.sock").unlink()
    assert disk.side(str(state / "client"))["error"] is None
    # nothing listens on it any longer
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(state / "client/run/master.sock"))
    said = disk.side(str(state / "client"))
    assert (said["current"], said["engine"], said["running"], said["links"]) == ("051901f6ec76", None, None, {})
    assert "Connection refused" in said["error"]


def test_a_current_generation_that_is_gone_has_no_files(state):
    (state / "client/current").unlink()
    (state / "client/current").symlink_to("generations/0123456789ab")
    said = disk.side(str(state / "client"))
    assert (said["current"], said["files"]) == ("0123456789ab", {})


def test_a_link_that_only_old_workers_know_is_none(state):
    path = state / "server"
    engine = RecordedEngine(path, "client_after_reloads")
    engine.answers["@!34 show stat"] = engine.answers["@!34 show stat"].replace("redis", "cache")
    found = disk.side(str(path))["links"]
    assert list(found) == ["cache"]
    assert [(target["name"], target["up"], target["proved"]) for target in found["cache"]["targets"]] == [
        ("vm1", True, True),
        ("vm3", False, False),
    ]


def test_a_directory_is_told_with_owner_modes_and_hashes_of_its_own_files(state):
    owned = {"owner": os.getuid(), "mode": "0600"}
    said = disk.state(str(state), KEY)
    assert said["entries"] == ["client", "identity", "notes.txt", "redis_client", "redis_server", "server"]
    assert said["directories"] == {
        "redis_client": {
            "owner": os.getuid(),
            "mode": "0700",
            "files": {"app": {**owned, "sha256": hashed(f"{APP}\n".encode())}},
        },
        "redis_server": {
            "owner": os.getuid(),
            "mode": "0700",
            "files": {
                name: {**owned, "sha256": hashed((state / "redis_server" / name).read_bytes())} for name in ("operator", "users.acl")
            },
        },
    }
    users = {user: hashed(password.encode()) for user, password in (("app", APP), ("operator", OPERATOR))}
    assert said["users"] == {"redis_server": users}
    # a server that runs with other ones
    assert said["loaded_users"] == {}
    (state / "redis_server/loaded").write_text((state / "redis_server/users.acl").read_text().replace("app", "former"))
    assert disk.state(str(state), KEY)["loaded_users"] == {"redis_server": {"former": users["app"], "operator": users["operator"]}}


def test_a_host_without_a_state_directory_holds_nothing(tmp_path):
    assert disk.state(str(tmp_path / "nothing"), KEY) == {
        "entries": [],
        "sides": {},
        "identity": {"certificate": "", "key": "none"},
        "directories": {},
        "users": {},
        "loaded_users": {},
        "variables": None,
        "wrong_permissions": [],
    }


def test_link_variables_are_told_by_one_digest_that_says_whether_all_are_as_written(state):
    files = {"redis.env": "REDIS_PORT=tcp://redis:6379\n", "queue.env": "QUEUE_PORT=tcp://queue:5672\n"}
    said = run_module("variable_files", path=str(state / "links"), files=files)
    assert (said["changed"], said["written"]) == (True, ["queue.env", "redis.env"])
    expected = disk.variables_digest({name: disk.digest(content.encode()) for name, content in files.items()})
    found = disk.state(str(state), KEY)
    assert (found["variables"], "links" in found["directories"]) == (expected, False)
    for harm in (
        lambda: (state / "links/redis.env").write_text("REDIS_PORT=tcp://elsewhere:6379\n"),
        lambda: (state / "links/redis.env").chmod(0o600),
        lambda: (state / "links").chmod(0o700),
        lambda: (state / "links").chmod(0o777),
        lambda: (state / "links/redis.env").chmod(0o666),
        lambda: (state / "links/another.env").touch(),
        lambda: (state / "links/another").mkdir(),
        lambda: (state / "links/queue.env").unlink(),
    ):
        harm()
        assert disk.state(str(state), KEY)["variables"] != expected
        run_module("variable_files", path=str(state / "links"), files=files)
        assert disk.state(str(state), KEY)["variables"] == expected


# -- questions to Docker ------------------------------------------------------------------------------------------


def test_docker_is_asked_over_one_connection(docker):
    engine = DockerEngine(docker.environment["DOCKER_HOST"])
    assert engine.get("/version")["ApiVersion"] == "1.45"
    assert engine.get("/containers/nothing/json") is None
    assert len(engine.get("/networks")) == 3
    assert docker.asked == ["/version", "/containers/nothing/json", "/networks"]
    assert docker.connections == 1


def test_what_is_no_docker_is_told(docker):
    docker.answers["/version"] = b"<html>Welcome to nginx!</html>"
    with pytest.raises(OSError, match=r"unix://.*: expected JSON, found <html>Welcome"):
        DockerEngine(docker.environment["DOCKER_HOST"]).get("/version")
    del docker.answers["/version"]
    said = run_module("observation_info", state_dir="/nowhere", environment=docker.environment)
    error = f"{docker.environment['DOCKER_HOST']}: no Docker Engine"
    assert said["docker"] == {"version": None, "error": error, "fault": "answer", "kind": None, "tls": False, "userland_proxy": None}


def test_a_docker_that_is_frozen_is_told_in_time(tmp_path):
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "docker.sock"))
        frozen.listen()
        with pytest.raises(OSError, match=r"unix://.*: timed out"):
            DockerEngine(f"unix://{tmp_path}/docker.sock", timeout=0.2).get("/version")


def test_what_docker_refuses_is_told_in_its_words(docker):
    docker.failures["/networks"] = 500
    docker.answers["/networks"] = {"message": "the daemon is on fire"}
    with pytest.raises(OSError, match=r"unix://.*: 500 .*the daemon is on fire"):
        DockerEngine(docker.environment["DOCKER_HOST"]).get("/networks")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("unix:///nowhere/docker.sock", "unix:///nowhere/docker.sock: No such file or directory"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1: Connection refused"),
    ],
)
def test_a_docker_that_does_not_answer_is_told_and_fails_nothing(url, words, tmp_path):
    said = run_module("observation_info", state_dir=str(tmp_path), environment={"DOCKER_HOST": url})
    assert not said.get("failed")
    assert said["docker"] == {"version": None, "error": words, "fault": "answer", "kind": None, "tls": False, "userland_proxy": None}
    assert said["containers"] == said["networks"] == said["images"] == said["volumes"] == {}
    # the rest is told all the same
    assert said["addresses"]
    assert said["entries"] == []


def test_reports_rootless_engine_if_no_engine_answers_on_the_default_socket(tmp_path, monkeypatch):
    (tmp_path / "1000").mkdir()
    (tmp_path / "1000/docker.sock").touch()
    monkeypatch.setattr(observe, "ROOTLESS", f"{tmp_path}/*/docker.sock")
    settings = {**dict.fromkeys(docker_engine.ARGUMENTS), "docker_host": "unix:///nowhere", "api_version": "auto"}
    assert observe.observe_docker(settings, "ambassador", "default")["docker"]["kind"] is None
    monkeypatch.setattr(observe.docker_engine, "DEFAULT", "unix:///nowhere")
    assert observe.observe_docker(settings, "ambassador", "default")["docker"]["kind"] == "rootless"


@pytest.mark.parametrize(
    ("options", "files", "expected"),
    [
        ([], {}, True),
        ([], {"/etc/docker/daemon.json": ""}, True),
        ([], {"/etc/docker/daemon.json": "{}"}, True),
        ([], {"/etc/docker/daemon.json": '\ufeff{"userland-proxy": false}'}, False),
        ([], {"/etc/docker/daemon.json": '{"userland-proxy": true}'}, True),
        (["--userland-proxy=false"], {}, False),
        (["-H", "fd://", "--userland-proxy=0", "--debug"], {"/etc/docker/daemon.json": "{}"}, False),
        (["--userland-proxy", "--debug"], {}, True),
        (["--userland-proxy=false", "--userland-proxy=true"], {}, True),
        (["--userland-proxy-path=/usr/bin/docker-proxy"], {}, True),
        (["--config-file=/snap/daemon.json"], {"/snap/daemon.json": '{"userland-proxy": false}'}, False),
        (
            ["--config-file", "/snap/daemon.json"],
            {"/snap/daemon.json": '{"userland-proxy": false}', "/etc/docker/daemon.json": "{}"},
            False,
        ),
        # cannot be known
        (["--userland-proxy=perhaps"], {}, None),
        (["--config-file=/gone.json"], {"/etc/docker/daemon.json": "{}"}, None),
        ([], {"/etc/docker/daemon.json": "{"}, None),
        ([], {"/etc/docker/daemon.json": "[]"}, None),
        ([], {"/etc/docker/daemon.json": '{"userland-proxy": "false"}'}, None),
        ([], {"/etc/docker/daemon.json": None}, None),
    ],
)
def test_reads_userland_proxy_from_command_line_and_configuration_file(options, files, expected):
    def read_config(path):
        if path not in files:
            raise FileNotFoundError(path)
        if files[path] is None:
            raise PermissionError(path)
        return files[path]

    assert docker_part.userland_proxy(["/usr/bin/dockerd", *options], read_config) is expected


@pytest.fixture
def start_process(tmp_path, monkeypatch):
    """Return a function that adds a process to a directory that the module reads instead of ``/proc``."""
    monkeypatch.setattr(observe, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(docker_part, "DEFAULT_CONFIG", str(tmp_path / "daemon.json"))

    def start(pid, *command, namespaces="host", program=None):
        directory = tmp_path / "proc" / str(pid)
        (directory / "ns").mkdir(parents=True)
        (directory / "exe").symlink_to(f"/usr/bin/{os.path.basename(program or (*command, 'kthreadd')[0])}")
        (directory / "cmdline").write_text("".join(f"{argument}\0" for argument in command))
        for name in observe.NAMESPACES:
            path = tmp_path / f"{name}-{namespaces}"
            path.touch()
            (directory / "ns" / name).symlink_to(path)

    start("self", "python3")
    return start


def test_userland_proxy_is_that_of_the_dockerd_of_this_host(start_process, tmp_path):
    assert observe.userland_proxy() is None
    start_process(10, "/usr/bin/dockerd", "-H", "fd://")
    start_process(11, "grep", "dockerd", "--userland-proxy=false")
    start_process(12, "/usr/bin/dockerd", "--userland-proxy=false", namespaces="container")
    start_process(13)
    assert observe.userland_proxy() is True
    (tmp_path / "daemon.json").write_text('{"userland-proxy": false}')
    assert observe.userland_proxy() is False
    # two engines with different settings
    start_process(14, "dockerd", "--userland-proxy=true")
    assert observe.userland_proxy() is None


def test_userland_proxy_ignores_processes_of_other_users(start_process, tmp_path, monkeypatch):
    start_process(10, "dockerd")
    start_process(11, "dockerd", "--userland-proxy=false")
    os.chown(tmp_path / "proc/11", 1234, 1234)
    # a setuid program with another name belongs to root
    start_process(12, "dockerd", "--userland-proxy=false", program="su")
    assert observe.userland_proxy() is True


def test_userland_proxy_reads_no_command_line_of_another_program(start_process, monkeypatch):
    """It can have any length."""
    start_process(10, "dockerd")
    start_process(11, "app")
    monkeypatch.setattr(observe, "read", lambda path, read=observe.read: pytest.fail(path) if "/11/" in path else read(path))
    assert observe.userland_proxy() is True


@pytest.mark.parametrize("kind", ["device", "pipe", "too long", "too deep"])
def test_userland_proxy_is_unknown_if_the_file_is_no_configuration(start_process, tmp_path, kind):
    path = "/dev/zero" if kind == "device" else str(tmp_path / "file")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "too long":
        (tmp_path / "file").write_text(" " * observe.MAX_CONFIG_BYTES + "{}")
    elif kind == "too deep":
        (tmp_path / "file").write_text("[" * 200_000)
    start_process(10, "dockerd", f"--config-file={path}")
    assert observe.userland_proxy() is None


def test_userland_proxy_is_unknown_without_access_to_namespaces(start_process, tmp_path):
    start_process(10, "dockerd", "--userland-proxy=false")
    (tmp_path / "proc/10/ns/user").unlink()
    assert observe.userland_proxy() is None


def test_userland_proxy_is_unknown_if_the_engine_is_reached_over_tcp(start_process, docker):
    start_process(10, "dockerd", "--userland-proxy=false")
    settings = {**dict.fromkeys(docker_engine.ARGUMENTS), "api_version": "auto", "timeout": 60}
    over_socket = observe.observe_docker({**settings, "docker_host": docker.environment["DOCKER_HOST"]}, "ambassador", "default")
    assert over_socket["docker"]["userland_proxy"] is False
    with FakeDockerOverTCP() as remote:
        over_tcp = observe.observe_docker({**settings, "docker_host": remote.url}, "ambassador", "default")
        remote.shutdown()
    assert over_tcp["docker"]["version"]
    assert over_tcp["docker"]["userland_proxy"] is None


# -- the module ---------------------------------------------------------------------------------------------------


@pytest.fixture
def observed(docker, state, tmp_path):
    """What the module says of a host; and what it held."""
    for name in ("redis_server", "theirs"):
        (tmp_path / "volumes" / name).mkdir(parents=True, mode=0o700)
    docker.answers = json.loads(json.dumps(docker.answers).replace("@/volumes", f"{tmp_path}/volumes"))
    return run_module("observation_info", state_dir=str(state), environment=docker.environment)


def test_the_module_tells_all_in_one_go(observed, docker, tmp_path):
    assert observed["changed"] is False
    # that of the engine of this machine, if there is one
    assert observed["docker"].pop("userland_proxy") in (True, False, None)
    assert observed["docker"] == {"version": "26.1.5+dfsg1", "error": None, "fault": None, "kind": None, "tls": False}
    assert observed["root"] == (os.geteuid() == 0)
    assert observed["python"]["missing"] == []
    assert set(observed["containers"]) == {"ambassador_client", "ambassador_server", "ambassador_client_standin", "web", "job"}
    assert observed["containers"]["ambassador_client"] == docker_part.container(LISTED["ambassador_client"], inspected("ambassador_client"))
    # one that has gone since it was listed
    assert observed["containers"]["ambassador_client_standin"]["ours"] == "ambassador_client_standin"
    assert "hash" not in observed["containers"]["ambassador_client_standin"]
    assert (observed["networks"]["ambassador"]["ours"], observed["images"]["nginx:latest"]) == (True, "sha256:" + "bb" * 32)
    mode = f"{stat.S_IMODE(os.stat(tmp_path / 'volumes/redis_server').st_mode):04o}"
    assert observed["volumes"] == {
        "redis_server": {"ours": True, "mesh": "default", "path": f"{tmp_path}/volumes/redis_server", "owner": os.getuid(), "mode": mode},
        # whose it is may be said by nothing but its owner
        "theirs": {"ours": False, "mesh": None, "path": f"{tmp_path}/volumes/theirs", "owner": os.getuid(), "mode": mode},
    }
    assert set(observed["sides"]) == {"client", "server"}
    # packed on their way
    assert isinstance(observed["sides"]["client"]["links"], str)
    assert list(whole(observed)["sides"]["client"]["links"]) == ["redis"]
    assert whole(whole(observed)) == whole(observed)
    assert observed["identity"]["key"] == "own"
    assert set(observed["users"]["redis_server"]) == {"app", "operator"}
    # of somebody else's container there is no second question
    assert [path for path in docker.asked if LISTED["web"]["Id"] in path] == []
    assert docker.connections == 1


def test_only_sides_that_exist_are_unpacked(monkeypatch):
    """Each of them can become several megabytes, and an answer could have any number of them."""
    texts = []
    monkeypatch.setattr(observation, "unpacked", lambda text: (texts.append(text), b"{}")[1])
    sides = {name: {"links": name} for name in ("server", "client", "side1", "side2")}
    assert (list(whole({"sides": sides})["sides"]), texts) == (["server", "client"], ["server", "client"])
    with pytest.raises(ValueError, match="something unknown"):
        observation.client_side({"sides": sides})


def test_who_listens_on_this_machine_is_told(tmp_path):
    families = [("tcp", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"), ("udp", socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1")]
    if os.path.exists("/proc/net/if_inet6") and "00000000000000000000000000000001" in pathlib.Path("/proc/net/if_inet6").read_text():
        families += [("tcp", socket.AF_INET6, socket.SOCK_STREAM, "::1"), ("udp", socket.AF_INET6, socket.SOCK_DGRAM, "::1")]
    with contextlib.ExitStack() as stack:
        expected = []
        for protocol, family, kind, address in families:
            one = stack.enter_context(socket.socket(family, kind))
            one.bind((address, 0))
            if protocol == "tcp":
                one.listen()
            expected.append([protocol, address, one.getsockname()[1]])
        said = run_module("observation_info", state_dir=str(tmp_path), environment={"DOCKER_HOST": "unix:///nowhere"})
    assert [one for one in expected if one not in said["listening"]] == []


def test_clock_offset_is_the_difference_from_the_time_of_the_controller(tmp_path):
    arguments = {"state_dir": str(tmp_path), "environment": {"DOCKER_HOST": "unix:///nowhere"}}
    found = run_module("observation_info", controller_time=time.time() + 7200, **arguments)["clock_offset"]
    # the module takes a moment to start
    assert -7200 <= found < -7100


def test_a_docker_that_has_nothing_says_so(docker, tmp_path):
    docker.answers |= {"/containers/json?all=1": [], "/networks": [], "/images/json": [], "/volumes": {"Volumes": None, "Warnings": None}}
    said = run_module("observation_info", state_dir=str(tmp_path), environment=docker.environment)
    assert said["docker"]["error"] is None
    assert said["containers"] == said["networks"] == said["images"] == said["volumes"] == {}


def test_the_state_directory_is_where_the_roles_have_it():
    documented = DOCUMENTED["DOCUMENTATION"]["options"]
    roles = yaml.safe_load((ROOT / "roles/ambassador_engine/defaults/main.yml").read_text())
    for option, default in (("state_dir", mesh_names.STATE_DIR), ("network", mesh_names.NETWORK)):
        assert f"By default C({default})" in " ".join(documented[option]["description"].split())
        assert roles[f"ambassador_{option}"] == f"{{{{ '{default}' | crosshost.ambassador.in_mesh(ambassador_mesh) }}}}"


def test_what_is_documented_is_what_is_told(observed):
    documented = DOCUMENTED["RETURN"]
    assert set(observed) - {"changed", "invocation"} == set(documented)
    assert all(entry["description"] and entry["returned"] == "success" for entry in documented.values())


def test_no_secret_leaves_the_host(observed, state):
    told = json.dumps(observed)
    key = (state / "identity/key.pem").read_text()
    body = [line for line in key.splitlines() if "-----" not in line]
    assert len(body) > 1
    for secret in (APP, OPERATOR, "a secret of the environment", *body, key):
        assert secret not in told
    # what is public is told
    assert "BEGIN CERTIFICATE" in told


def test_no_hash_of_a_password_leaves_the_host_that_can_be_tried(docker, state):
    def told(**options):
        return run_module("observation_info", state_dir=str(state), environment=docker.environment, **options)

    said = told(hash_key=KEY)
    assert said["users"]["redis_server"]["app"] == hashed(APP.encode())
    texts = [secret + end for secret in (APP, OPERATOR) for end in ("", "\n")]
    texts += [path.read_text() for path in (state / "redis_server").iterdir()]
    hashes = [disk.digest(text.encode()) for text in texts]
    assert not [secret for secret in (KEY, *hashes) if secret in json.dumps(said)]
    # without a key it is another one each time
    first, second = told(), told()
    assert len({found["users"]["redis_server"]["app"] for found in (said, first, second)}) == 3
    assert not [secret for secret in hashes if secret in json.dumps([first, second])]


def test_check_mode_tells_the_same(docker, state):
    options = {"state_dir": str(state), "environment": docker.environment, "hash_key": KEY}
    said = [run_module("observation_info", check=check, **options) for check in (False, True)]
    # room comes and goes
    same = {"invocation": 0, "disk": 0}
    assert {**said[0], **same} == {**said[1], **same}


def test_libraries_that_are_missing_are_told(tmp_path):
    hides = "lambda name, *more: None if name == 'requests' else found(name, *more)"
    (tmp_path / "sitecustomize.py").write_text(f"import importlib.util as util\nfound = util.find_spec\nutil.find_spec = {hides}\n")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}/collections", "DOCKER_HOST": "unix:///nowhere"}
    said = run_module("observation_info", state_dir=str(tmp_path / "state"), environment=environment)
    assert said["python"]["missing"] == ["requests"]
    assert os.access(said["python"]["executable"], os.X_OK)


def test_a_kernel_without_ipv6_is_none_that_fails():
    assert observe.read("/proc/net/nothing_of_the_kind") == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nameserver 198.18.0.53\nsearch example\n nameserver 2001:db8::53 \nnameserver 198.18.0.53\n", ["198.18.0.53", "2001:db8::53"]),
        # a stub, which the host alone reaches; one of a cloud, and one that only its link knows
        ("nameserver 127.0.0.53\nnameserver ::1\n", []),
        ("nameserver 169.254.169.253\nnameserver fe80::1\nnameserver fe80::1%eth0\n# nameserver 198.18.0.1\n", ["169.254.169.253"]),
        ("", []),
    ],
)
def test_name_servers_are_those_that_containers_reach(text, found):
    assert kernel.nameservers(text) == found


def test_nothing_of_a_file_leaves_the_host_to_which_a_link_leads(tmp_path):
    """The directories of identity and of passwords belong to the users of containers."""
    secret = tmp_path / "secret"
    secret.write_text(f"root only #{'a' * 64}\nuser app on #{'b' * 64}\n")
    for number, put in enumerate((lambda path: path.symlink_to(secret), lambda path: os.link(secret, path), os.mkfifo)):
        path = tmp_path / str(number)
        for name in ("identity/cert.pem", "identity/key.pem", "redis_server/users.acl", "redis_server/loaded"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            put(path / name)
        found = disk.state(str(path), KEY)
        assert found["identity"] == {"certificate": "", "key": "none"}
        assert not any([*found["users"].values(), *found["loaded_users"].values()])


def test_file_that_is_removed_meanwhile_is_none(tmp_path, monkeypatch):
    (tmp_path / "one").write_text("one")
    read = disk.endpoints.read_file
    monkeypatch.setattr(disk.endpoints, "read_file", lambda path, size: (os.unlink(path), read(path, size))[1])
    assert disk.directory(str(tmp_path))["files"]["one"]["sha256"] == disk.digest(b"")
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(permissions, "_expected", lambda *_: [("run/removed", 0, 0o700, None)])
    assert permissions.find_wrong(str(tmp_path)) == []
