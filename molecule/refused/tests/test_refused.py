"""What is refused: every mistake is one clear sentence, before anything on a host is changed."""

import hashlib
import json
import re

import pytest
from conftest import everything

TWO_LINES = "two\nlines"
LINK = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}


@pytest.fixture
def refuse(hosts, playbook):
    """Runs site.yml, which must fail and change nothing; returns what it said, in one line."""

    def run(*arguments, unchanged=True):
        before = {name: everything(host) for name, host in hosts.items()} if unchanged else None
        result = playbook("site.yml", *arguments)
        said = re.sub(r"\s+", " ", result.stdout)
        assert result.returncode != 0, result.stdout
        if unchanged:
            assert {name: everything(host) for name, host in hosts.items()} == before
        return said

    return run


def links(**changes):
    return f"--extra-vars={json.dumps({'ambassador_links': changes})}"


@pytest.mark.parametrize("rehearsal", [[], ["--check"]], ids=["run", "check"])
def test_all_mistakes_of_the_map_at_once(refuse, rehearsal):
    said = refuse(
        links(
            unknown=LINK | {"prot": 6379},
            range=LINK | {"port": 70000},
            number=LINK | {"port": "many"},
            nowhere=LINK | {"servers": "vm9"},
            nobody=LINK | {"clients": "vm9"},
            under_score=LINK,
            redis=LINK,
            twice=LINK,
            several={**LINK, "ports": [1, 2]},
            **{"my-cache": LINK | {"port": 1, "publish": 1}, "MY-CACHE": LINK | {"port": 2, "publish": 2}},
        ),
        # over TLS links may share what they publish
        "--extra-vars=ambassador_tls=false",
        *rehearsal,
    )
    for sentence in (
        "Link unknown: 'prot' is not a key of a link. Did you mean port?",
        "Link range, key port: 70000 is not a valid port. Use a number from 1 to 65535.",
        "Link number, key port: 'many' is not a valid port. Use a number from 1 to 65535.",
        "Link nowhere, key servers: no host of the inventory matches 'vm9'. Add the group, or correct the name.",
        "Link nobody, key clients: no host of the inventory matches 'vm9'. Add the group, or correct the name.",
        "Link under_score: 'under_score' is not a valid alias. Rename the link.",
        "Link redis, key port: this link and link twice publish the same port 6379 on the server side of vm1.",
        "Link several, key ports: the link also has the key port with the value 6379. Remove port,",
        "Link MY-CACHE: link my-cache sets the same variable MY_CACHE_PORT. Rename one of the links.",
    ):
        assert re.sub(r"\s+", " ", sentence) in said, said


def test_an_engine_that_cannot_do_what_is_asked(refuse):
    said = refuse("--extra-vars=ambassador_engine=socat")
    expected = "Variable ambassador_engine: socat does not encrypt, but ambassador_tls is true. Set ambassador_engine to haproxy, or"
    assert expected in said, said
    said = refuse("--extra-vars=ambassador_engine=socat", "--extra-vars=ambassador_tls=false", links(redis=LINK | {"check": "redis"}))
    expected = "Link redis: engine socat does not support check. Set ambassador_engine to haproxy, or remove check."
    assert expected in said, said


def test_a_client_without_its_link(refuse):
    said = refuse("--extra-vars=redis_client_link=cache")
    assert "Host vm2: redis_client_link is cache, but this host does not consume such a link. It consumes: redis." in said


def test_an_address_that_the_host_does_not_have(refuse):
    said = refuse("--extra-vars=ambassador_address=198.18.0.99")
    assert "link redis: expected to publish port 6379 on 198.18.0.99, found that this host has no such address" in said
    assert "set ambassador_bind for this host" in said


def test_a_port_that_is_taken(refuse, vm1):
    vm1.check_output(
        "python3 -c %s",
        "import socket, os; s = socket.create_server(('198.18.0.11', 6379)); os.fork() and os._exit(0); os.setsid(); "
        "[os.close(f) for f in (0, 1, 2)]; open('/run/tests.pid', 'w').write(str(os.getpid())); s.settimeout(300); s.accept()",
    )
    try:
        said = refuse()
        assert "link redis: expected to publish port 6379 on 198.18.0.11, found it taken by another program or container" in said
    finally:
        vm1.check_output("kill $(cat /run/tests.pid)")


@pytest.mark.parametrize("name", ["redis_server", "ambassador_server"])
def test_a_container_of_somebody_else(refuse, vm1, name):
    vm1.check_output("docker run -d --name %s registry.lab:5000/haproxy-debian:lab sleep 600", name)
    try:
        said = refuse()
        assert f"host vm1: expected no container {name}, or one that this mesh made, found another one" in said
        absent = refuse(f"--extra-vars={name}_state=absent", "--extra-vars=redis_client_link=none")
        assert "redis_client_link is none, but this host does not consume such a link." in absent
    finally:
        vm1.check_output("docker rm -fv %s", name)


@pytest.mark.parametrize("image", ["redis_server_image", "redis_client_image", "ambassador_haproxy_image"])
def test_an_image_that_cannot_be_had(refuse, image):
    said = refuse(f"--extra-vars={image}=nothing:1.0.0")
    assert "the image registry.lab:5000/nothing:1.0.0 cannot be pulled. " in said
    assert "set ambassador_registry to a registry that has it" in said


def test_an_haproxy_that_is_too_old(refuse):
    said = refuse("--extra-vars=ambassador_haproxy_image=haproxy-old:lab")
    assert re.search(
        r"the image haproxy-old:lab has HAProxy 3\.0\.[0-9]+, but version 3\.2 or later is required\. Set ambassador_haproxy_image", said
    )


def test_a_host_without_the_python_library(refuse, vm2):
    library = vm2.check_output("python3 -c 'import requests, os; print(os.path.dirname(requests.__file__))'")
    vm2.check_output("mv %s %s.away", library, library)
    try:
        said = refuse()
        assert "host vm2: expected the Python library requests for /usr/bin/python3, found none" in said
        assert "install the package python3-requests on the host." in said
    finally:
        vm2.check_output("mv %s.away %s", library, library)


def test_a_host_without_python(refuse, vm2):
    vm2.check_output("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        said = refuse(unchanged=False)
    finally:
        vm2.check_output("mv /usr/bin/python3.away /usr/bin/python3")
    # vm2 has a shell of another name
    found = r"Host vm2: Python cannot run the module observation_info: /bin/\w+: 1: /usr/bin/python3: not found\. Install"
    assert re.search(found, said), said


def test_a_host_without_a_docker_engine(refuse, vm2):
    vm2.check_output("engine stop")
    try:
        said = refuse(unchanged=False)
        assert "Host vm2: the Docker Engine does not answer." in said
        assert "Install or start it on the host" in said
    finally:
        vm2.check_output("engine start")


@pytest.fixture
def held(vm1):
    """A password on vm1 that another controller made."""
    digest = hashlib.sha256(b"theirs").hexdigest()
    vm1.check_output(
        "mkdir -p /var/lib/ambassador/redis_server && echo %s > /var/lib/ambassador/redis_server/users.acl", f"user app on #{digest} +@all"
    )
    yield
    vm1.check_output("rm -rf /var/lib/ambassador")


@pytest.mark.parametrize("rehearsal", [[], ["--check"]], ids=["run", "check"])
@pytest.mark.parametrize("kept", [None, "ours"], ids=["none", "another"])
def test_a_controller_without_the_passwords_that_a_host_holds(refuse, held, tmp_path, kept, rehearsal):
    directory = tmp_path / "kept"
    if kept:
        directory.mkdir()
        (directory / "redis_app.password").write_text(kept)
    said = refuse(f"--extra-vars=ambassador_controller_dir={directory}", *rehearsal)
    files = f"redis_app.password {'differs' if kept else 'is missing'}"
    expected = f"Host vm1: the directory {directory} on this controller does not have the Redis passwords of this host ({files})."
    expected += " Copy that directory from the controller that created the passwords, set ambassador_controller_dir to its place,"
    assert f"{expected} or set the passwords as variables." in said, said
    assert [file.name for file in tmp_path.rglob("*")] == (["kept", "redis_app.password"] if kept else [])


def test_a_client_whose_passwords_nobody_makes(refuse, tmp_path):
    said = refuse("--limit=vm2", f"--extra-vars=ambassador_controller_dir={tmp_path}/none")
    assert (
        f"host vm2: expected passwords of Redis' users app, proof, found none in {tmp_path}/none on the controller; run it for the" in said
    )
    assert not (tmp_path / "none").exists()


def test_a_password_of_two_lines(refuse):
    said = refuse(f"--extra-vars={json.dumps({'redis_server_password': TWO_LINES})}")
    assert "The password of the Redis user app is not one line of printable characters. Correct the password." in said


@pytest.mark.parametrize("role", ["redis_server", "redis_client"])
def test_a_name_whose_directory_is_an_ambassadors(refuse, role):
    # only a server that is a backend of the map is deployed
    of_map = [links(redis=LINK | {"backend": "client:6379"})] if role == "redis_server" else []
    assert f"{role}_name: expected another name than those of the ambassadors' directories, found client;" in refuse(
        f"-e{role}_name=client", *of_map
    )


def test_a_rehearsal_makes_no_password(playbook, tmp_path):
    run = playbook("site.yml", "--check", "--diff", f"--extra-vars=ambassador_controller_dir={tmp_path}/none")
    assert run.returncode == 0, run.stdout
    assert not (tmp_path / "none").exists()
