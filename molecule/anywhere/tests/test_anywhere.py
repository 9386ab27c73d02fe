"""Services on networks of Compose projects, on the host itself and on another machine; consumers on a network of their own."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import PATIENT, ROOT, engine, inspect, lab_image, until, untouched

PORT = 7007
SCRIPT = (ROOT / "molecule" / "resources" / "echo.py").read_text()
LINK = {"publish": 6379, "servers": "VM1", "clients": "VM2"}
LINKS = {
    "redis": {**LINK, "port": 6379, "backend": "redis_server:6379"},
    # two projects, each with a service of the same name, and consumers that know its port
    "shop": {**LINK, "port": 7007, "backend": f"db:{PORT}", "network": "shop_default", "networks": ["web_default"]},
    "zoo": {**LINK, "port": 7007, "backend": f"db:{PORT}", "network": "zoo_default"},
    "program": {**LINK, "port": 7009, "backend": f"host:{PORT}"},
    "machine": {**LINK, "ports": [PORT, PORT + 5], "backend": "198.18.0.13"},
    "api": {**LINK, "port": 7013, "backend": f"api:{PORT}", "network": "shop_default"},
    # what an SRV record names is dialled as it is
    "listed": {"port": 7014, "clients": "VM2", "targets": "srv:_echo._tcp.example"},
    "seen": {**LINK, "port": 8080, "backend": "proxied:8080", "send_proxy": True},
}
PROXIED = """\
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend seen
    bind :8080 accept-proxy
    http-request return status 200 content-type text/plain lf-string %[src]
"""
CLIENTS = ("ambassador_client", "ambassador_client_2", "ambassador_client_3")
NAMES = ("shop", "zoo", "program", "machine")
LATER = {"port": 7015, "clients": "VM2", "targets": [f"later.example:{PORT}"]}
# no host of the lab's network has this address
DEAD = "198.18.0.250"


@pytest.fixture(scope="module")
def image(vm2):
    """Returns the name of an image of the lab, as its hosts pull it."""
    return lambda name: lab_image(vm2, name)


@pytest.fixture(scope="module")
def run(playbook):
    """Runs site.yml with these links."""

    def with_links(links=LINKS, *arguments):
        return playbook("site.yml", "-e", json.dumps({"ambassador_links": links}), *arguments)

    return with_links


@pytest.fixture(scope="module", autouse=True)
def projects(hosts, image):
    """What others run, as Docker Compose and systemd would."""
    vm1, vm2, vm3 = (hosts[name] for name in ("vm1", "vm2", "vm3"))
    for project in ("shop", "zoo"):
        vm1.check_output(f"docker network create {project}_default")
        vm1.check_output(
            f"docker run -d --name {project}-db-1 --network {project}_default --network-alias db %s python3 -uc %s serve {project}",
            image("client:lab"),
            SCRIPT,
        )
    for number in (1, 2, 3):
        replica(vm1, image, number)
    vm1.check_output(
        "docker run -d --name proxied --network ambassador --entrypoint sh %s -c %s %s",
        image("haproxy:3.2.26"),
        'echo "$0" > /tmp/seen.cfg; exec haproxy -db -f /tmp/seen.cfg',
        PROXIED,
    )
    for host, name, port in ((vm1, "program", PORT), (vm3, "machine", PORT), (vm3, "further", PORT + 5)):
        script = SCRIPT.replace(f"PORT = {PORT}", f"PORT = {port}")
        host.check_output("setsid python3 -uc %s serve %s > /dev/null 2>&1 & echo $! >> /run/echo", script, name)
    vm2.check_output("docker network create web_default")
    vm2.check_output("docker run -d --name web --network web_default %s sleep infinity", image("client:lab"))
    yield
    for host in (vm1, vm3):
        host.check_output("kill $(cat /run/echo); rm /run/echo")


def replica(host, image, number):
    """Run one more container of a service of a project, as `docker compose up --scale` does."""
    named = f"--name shop-api-{number} --network shop_default --network-alias api --label com.docker.compose.service=api"
    host.check_output(f"docker run -d {named} %s python3 -uc %s serve api-{number}", image("client:lab"), SCRIPT)


def ask(host, image, alias, container=None, port=None, count=1):
    """Return who answers on a link, of several connections who answered each."""
    port = port or LINKS[alias].get("port", PORT)
    words = (
        f"import socket\nfor _ in range({count}):\n  link = socket.create_connection(('{alias}', {port}), timeout=5)\n"
        "  link.sendall(b'hello\\n'); print(link.recv(99).split()[0].decode()); link.close()"
    )
    where = f"docker exec {container}" if container else f"docker run --rm --network ambassador {image('client:lab')}"
    said = host.check_output(f"{where} python3 -c %s", words)
    return said if count == 1 else said.split()


def follow(host, alias, address):
    """Wait until the client side dials an address for a link."""
    deadline = time.monotonic() + 30
    while address not in engine(host, "client", f"@1 show servers conn {alias}"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def job(tmp_path):
    """Runs site.yml from an empty directory in a container that sees this machine read-only and is thrown away; returns what it said."""

    def run(links, secrets):
        (tmp_path / "given.json").write_text(json.dumps({**secrets, "ambassador_links": links}))
        words = f"cd /media && cp -r {ROOT}/molecule/anywhere/inventory . && rm -r inventory/.ambassador && HOME=/media TMPDIR=/media"
        words += f" ansible-playbook {ROOT}/site.yml -i inventory -e @given.json; code=$?; find /media/inventory -type f >&2; exit $code"
        options = ["--network=host", "--volume=/:/machine:ro", "--tmpfs=/machine/dev/shm", "--tmpfs=/machine/media"]
        options += [f"--volume={tmp_path}/given.json:/machine/media/given.json:ro", f"--env=PATH={os.environ['PATH']}"]
        options += [f"--env=ANSIBLE_CONFIG={ROOT}/ansible.cfg", "debian:trixie-slim", "chroot", "/machine", "sh", "-c", words]
        return subprocess.run(["docker", "run", "--rm", *options], capture_output=True, text=True, timeout=600, check=False)

    return run


def networks(host, name):
    return sorted(inspect(host, name)["NetworkSettings"]["Networks"])


def test_both_sides_join_networks_of_others_and_no_connection_notices(vm1, vm2, run, load):
    before = [inspect(host, name)["Id"] for host, name in ((vm1, "ambassador_server"), (vm2, "ambassador_client"))]
    redis = load("redis://redis:6379", PATIENT)
    done = run()
    assert done.returncode == 0, done.stdout
    redis.more(20)
    seen = redis.stop()["total"]
    assert untouched(seen), json.dumps(seen)
    assert [inspect(host, name)["Id"] for host, name in ((vm1, "ambassador_server"), (vm2, "ambassador_client"))] == before
    assert networks(vm1, "ambassador_server") == ["ambassador", "shop_default", "zoo_default"]
    assert networks(vm2, "ambassador_client") == ["ambassador", "web_default"]
    again = run()
    assert again.stdout.count("changed=0") == 2, again.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_reached_where_it_is(vm2, image, name):
    assert ask(vm2, image, name) == name


def test_a_name_with_several_ports_leads_to_the_same_ones_there(vm2, image):
    assert ask(vm2, image, "machine", port=PORT + 5) == "further"


def test_what_an_srv_record_names_is_reached(vm2, image):
    assert ask(vm2, image, "listed") == "further"


def test_a_host_whose_address_changes_is_followed_without_a_run_and_dns_may_be_away(hosts, vm1, vm2, run, load, image):
    names, dropped = hosts["vm3"], "PREROUTING -d 198.18.0.11 -p tcp --dport 6379 -j DROP"
    redis = load("redis://redis:6379", PATIENT)
    try:
        names.check_output("sed -i 's/198.18.0.11/198.18.1.11/' /run/names/hosts; docker kill -s HUP dns")
        follow(vm2, "redis", "198.18.1.11")
        # nothing needs the old one any more, nor the name server: a new process goes on with the last answer
        vm1.check_output(f"iptables -t raw -I {dropped}")
        redis.more(20)
        names.check_output("docker stop dns")
        # what an SRV record named is not kept by a new process
        done = run({**{alias: link for alias, link in LINKS.items() if alias != "listed"}, "later": LATER})
        assert done.returncode == 0, done.stdout
        expected = "link later: expected later.example to resolve, found that no name server of vm2 knows it; enter it into DNS"
        assert expected in " ".join(done.stdout.split())
        redis.more(20)
    finally:
        vm1.run(f"iptables -t raw -D {dropped}")
    seen = redis.stop()["total"]
    # connections to an address that is gone end
    assert (seen["failures"], seen["lost"], seen["repeated"]) == (0, 0, 0), json.dumps(seen)
    names.check_output("echo 198.18.0.13 later.example >> /run/names/hosts; docker start dns")
    follow(vm2, "later", "198.18.0.13")
    LINKS["later"] = LATER
    assert ask(vm2, image, "later") == "machine"


def test_link_is_answered_if_the_first_address_of_its_target_is_dead(hosts, vm2, image):
    def resolve(*addresses):
        lines = "".join(f"{address} later.example\\n" for address in addresses)
        hosts["vm3"].check_output(f"sed -i /later.example/d /run/names/hosts; printf '{lines}' >> /run/names/hosts; docker kill -s HUP dns")
        follow(vm2, "later", addresses[-1])

    # the client side keeps the order in which it learned the addresses
    resolve(DEAD)
    resolve(DEAD, "198.18.0.13")
    assert ask(vm2, image, "later", count=9) == ["machine"] * 9
    assert DEAD in engine(vm2, "client", "@1 show servers conn later")
    resolve("198.18.0.13")


def test_each_container_of_a_scaled_service_takes_its_share(vm1, vm2, image):
    assert sorted(ask(vm2, image, "api", count=9)) == ["api-1"] * 3 + ["api-2"] * 3 + ["api-3"] * 3
    # one more and one less are followed without a run
    replica(vm1, image, 4)
    vm1.check_output("docker rm -f shop-api-1")
    deadline = time.monotonic() + 30
    while (seen := Counter(ask(vm2, image, "api", count=9))) != {"api-2": 3, "api-3": 3, "api-4": 3}:
        assert time.monotonic() < deadline, seen


def test_names_that_share_a_port_have_a_container_each(vm2):
    there = {name: inspect(vm2, name)["NetworkSettings"]["Networks"]["ambassador"]["Aliases"] for name in CLIENTS}
    assert [[alias for alias in aliases if alias in ("shop", "zoo", "machine")] for aliases in there.values()] == [
        ["shop"],
        ["zoo"],
        ["machine"],
    ]


def test_a_consumer_on_a_network_of_its_own_dials_the_alias_there(vm2, image):
    assert ask(vm2, image, "shop", container="web") == "shop"
    # and no other
    assert vm2.run("docker exec web getent ahostsv4 zoo").rc == 2


def test_link_does_not_answer_on_networks_of_other_links(vm2):
    """Names hide the other links there, but their ports are open on the same container."""
    address = inspect(vm2, "ambassador_client")["NetworkSettings"]["Networks"]["web_default"]["IPAddress"]
    words = (
        f"import socket\nfor port in (7007, {LINKS['program']['port']}):\n"
        f"  try:\n    link = socket.create_connection(('{address}', port), timeout=5)\n"
        "    link.sendall(b'hello\\n'); print(len(link.recv(99)) > 0)\n  except ConnectionError: print(False)"
    )
    assert vm2.check_output("docker exec web python3 -c %s", words).split() == ["True", "False"]


def test_a_consumer_that_knows_no_more_than_the_link_variables_dials_by_them(vm2, image):
    words = (
        "import os, socket; at = (os.environ['ZOO_PORT_7007_TCP_ADDR'], int(os.environ['ZOO_PORT_7007_TCP_PORT']))\n"
        "link = socket.create_connection(at, timeout=5); link.sendall(b'hello\\n'); print(link.recv(99).split()[0].decode())"
    )
    given = "--network ambassador --env-file /var/lib/ambassador/links/zoo.env"
    assert vm2.check_output(f"docker run --rm {given} %s python3 -c %s", image("client:lab"), words) == "zoo"


def test_a_service_that_asks_for_it_is_told_who_is_calling(vm2, image):
    words = "import socket; from urllib.request import urlopen; own = socket.gethostbyname(socket.gethostname())\n"
    words += "print(urlopen('http://seen:8080').read().decode(), own)"
    seen, own = vm2.check_output("docker run --rm --network ambassador %s python3 -c %s", image("client:lab"), words).split()
    assert seen == own


def test_a_program_that_no_container_reaches_is_refused(vm1, run):
    vm1.check_output("setsid python3 -m http.server --bind 127.0.0.1 7011 > /dev/null 2>&1 & echo $! > /run/loopback")
    until(vm1, "ss -Hltn 'sport = :7011' | grep -q 127.0.0.1")
    done = run({**LINKS, "program": {**LINKS["program"], "backend": "host:7011"}})
    vm1.check_output("kill $(cat /run/loopback)")
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    expected = "link program, backend: expected what listens on port 7011 of host vm1 to listen where containers reach it,"
    assert f"{expected} found it on 127.0.0.1 alone" in said


def test_a_host_pulls_its_own_configuration_without_the_key_of_the_ca(vm1, vm2, image, tmp_path):
    page, roles = ((ROOT / f"docs/{name}.md").read_text() for name in ("pull", "roles"))
    inventory, repository = ROOT / "molecule/anywhere/inventory", tmp_path / "repository"
    (repository / "inventory/group_vars/all").mkdir(parents=True)
    (repository / "inventory/hosts.yml").write_text((inventory / "hosts.yml").read_text())
    # this machine pulls for vm2
    puller = {"hosts": {platform.node(): {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
    (repository / "inventory/puller.yml").write_text(json.dumps({"puller": puller}))
    (repository / "inventory/ca.pem").write_text((inventory / ".ambassador/ca.pem").read_text())
    (repository / "links.yml").write_text(re.search(r"In your own playbook:\n\n```yaml\n(.*?)```", roles, re.S)[1])
    # of what the page shows all but how this lab reaches its hosts
    shown = re.search(r"```yaml\n# inventory/group_vars/all/pull.yml\nansible_connection:.*?\n(.*?)```", page, re.S)[1]
    (repository / "inventory/group_vars/all/pull.yml").write_text(shown.replace("example.com", "example"))
    pulled = {**LINKS, "pulled": {"port": 7016, "clients": "VM2", "targets": [f"198.18.0.13:{PORT}"]}}
    links = json.dumps({"ambassador_links": pulled})
    (repository / "inventory/group_vars/all/links.yml").write_text(links)
    identity = ["-c", "user.name=host", "-c", "user.email=host@example.com"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message=links"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)

    def shell(command):
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/collections", "ANSIBLE_FORCE_COLOR": "0"}
        environment.pop("ANSIBLE_CONFIG", None)
        return subprocess.run(
            command, shell=True, cwd=tmp_path / "pulled", env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    (tmp_path / "pulled").mkdir()
    command = re.search(r"^ansible-pull .*$", page, re.M)[0].replace('"$(hostname)"', "vm2")
    command = command.replace("https://git.example.com/ambassador.git", str(repository)).replace(
        "/srv/ambassador", str(tmp_path / "pulled")
    )
    first = shell(command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert ask(vm2, image, "pulled", port=7016) == "machine"
    assert "vm1 " not in first.stdout.partition("PLAY RECAP")[2].partition("vm2")[2], first.stdout
    # by the timer, over all hosts; a temporary container that has not ended yet would be a change
    until(vm2, "! docker inspect ambassador_client_standin")
    timer = shell(re.search(r"^ExecStart=(.*)$", page, re.M)[1])
    assert timer.stdout.count("changed=0") == 2, timer.stdout
    # until there is something to sign
    vm2.check_output("mv /var/lib/ambassador/identity /var/lib/ambassador/away")
    said = " ".join(shell(command).stdout.split())
    vm2.check_output("mv /var/lib/ambassador/away /var/lib/ambassador/identity")
    assert "host vm2, ambassador_ca_key: expected the key of ambassador_ca_certificate, which has to sign for the host, found none" in said


def test_a_job_in_a_container_keeps_nothing_and_what_it_makes_anew_has_its_networks(vm1, vm2, image, passwords, job):
    kept = ROOT / "molecule/anywhere/inventory/.ambassador"
    given = {
        "ambassador_ca_certificate": (kept / "ca.pem").read_text(),
        "ambassador_ca_key": (kept / "ca.key").read_text(),
        "ambassador_pids": 4000,
        **{f"redis_server{'' if user == 'app' else '_' + user}_password": password for user, password in passwords().items()},
    }
    before = inspect(vm1, "ambassador_server")["Id"]
    # one that a run has to certify anew
    vm2.check_output("rm /var/lib/ambassador/identity/*.pem")
    first, second = job(LINKS, given), job(LINKS, given)
    assert first.returncode == 0, first.stdout
    assert second.stdout.count("changed=0") == 2, second.stdout
    assert inspect(vm1, "ambassador_server")["Id"] != before
    assert networks(vm1, "ambassador_server") == ["ambassador", "shop_default", "zoo_default"]
    until(vm2, "! docker inspect ambassador_client_standin")
    assert [ask(vm2, image, name) for name in NAMES] == list(NAMES)
    assert ask(vm2, image, "shop", container="web") == "shop"
    own = [f"/media/inventory/{name}" for name in ("group_vars/all/ambassador.yml", "hosts.yml")]
    # only the first one issues a certificate
    written = [sorted(line for line in run.stderr.splitlines() if line.startswith("/media/")) for run in (first, second)]
    assert written == [[f"/media/inventory/.ambassador/{name}" for name in (".gitignore", "issued.jsonl")] + own, own]
    for said in (first, second):
        for secret in [given["ambassador_ca_key"].splitlines()[1], *passwords().values()]:
            assert secret not in said.stdout + said.stderr
    # a key that is another's
    vm2.check_output("rm /var/lib/ambassador/identity/*.pem")
    other = vm2.check_output("openssl ecparam -name prime256v1 -genkey -noout")
    said = " ".join(job(LINKS, {**given, "ambassador_ca_key": other}).stdout.split())
    assert "Host vm2: ambassador_ca_key cannot sign for ambassador_ca_certificate: the key belongs to another CA." in said


def test_what_no_link_names_is_left_again_and_no_connection_notices(vm1, vm2, run, load, image):
    redis, before = load("redis://redis:6379", PATIENT), inspect(vm2, "ambassador_client_2")["Id"]
    done = run({"redis": LINKS["redis"], "zoo": LINKS["zoo"]}, "-e", "ambassador_pids=4000")
    assert done.returncode == 0, done.stdout
    redis.more(20)
    seen = redis.stop()["total"]
    assert untouched(seen), json.dumps(seen)
    assert (networks(vm1, "ambassador_server"), networks(vm2, "ambassador_client")) == (["ambassador", "zoo_default"], ["ambassador"])
    assert vm2.check_output("ls -A /var/lib/ambassador/links").split() == ["redis.env", "zoo.env"]
    # the port is free again, and what has a container of its own stays there
    assert (inspect(vm2, "ambassador_client_2")["Id"], ask(vm2, image, "zoo")) == (before, "zoo")
    assert vm2.run("docker inspect ambassador_client_3").rc == 1
