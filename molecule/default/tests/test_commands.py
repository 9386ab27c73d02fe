"""The commands for hosts that the pages show do what is said of them, on the hosts of the chain."""

import re

import pytest
import yaml
from conftest import ROOT, inspect, lab_image

CONNECT = "import socket, sys; socket.create_connection((sys.argv[2], 6379), 2, (sys.argv[1], 0))"


def test_the_commands_of_docker_that_the_pages_show(vm1, vm2):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    shown = [
        line for block in re.findall(r"^```sh\n(.*?)^```$", pages, re.M | re.S) for line in block.splitlines() if line.startswith("docker ")
    ]
    assert len(shown) == 7
    # what a host has that pulled them itself, and somebody's application
    images = [inspect(vm2, name)["Config"]["Image"] for name in ("ambassador_client", "redis_client")]
    in_lab = {image.rpartition("/")[2].partition(":")[0]: image for image in images}
    # under the names of the pages
    archived = re.search(r"^docker save --output \S+ (.*)$", pages, re.M)[1].split()
    named = {name: in_lab[name.partition(":")[0]] for name in archived} | {"app:1": lab_image(vm2)}
    vm2.check_output("docker pull --quiet %s", named["app:1"])
    for name, image in named.items():
        vm2.check_output("docker tag %s %s", image, name)
    try:
        for command in shown:
            (vm1 if "ambassador_server" in command else vm2).check_output(f"cd /var/tmp && {command}")
        assert "REDIS_PORT_6379_TCP=tcp://redis:6379" in vm2.check_output("docker exec app env").splitlines()
        assert vm2.check_output("docker exec app redis-cli -h redis ping") == "PONG"
        saved = vm2.check_output("tar --extract --to-stdout --file /var/tmp/ambassador.tar manifest.json")
        assert all(f'"{image}"' in saved for image in named if image != "app:1")
    finally:
        vm2.check_output(f"docker rm --force app; rm -f /var/tmp/ambassador.tar; docker image rm {' '.join(named)}")


@pytest.fixture
def reached(vm2):
    """Returns whether vm1 accepts connections from the address of vm2, and from an address that is no client."""
    client, stranger = "198.18.0.12", "198.18.0.200"
    vm2.check_output(f"ip address add {stranger}/24 dev eth0")
    yield lambda: tuple(vm2.run("python3 -c %s %s 198.18.0.11", CONNECT, source).rc == 0 for source in (client, stranger))
    vm2.check_output(f"ip address del {stranger}/24 dev eth0")


def test_firewall_of_the_pages_accepts_client_hosts_alone(vm1, vm2, reached):
    script, listing, removal, table = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/firewall.md").read_text(), re.M | re.S)
    image = yaml.safe_load((ROOT / "roles/ambassador_engine/defaults/main.yml").read_text())["ambassador_nftables_image"]
    registry = inspect(vm1, "ambassador_server")["Config"]["Image"].rpartition("/")[0]
    # the hosts of the lab have no nft
    nft = f"docker run --rm -i --network host --cap-drop ALL --cap-add NET_ADMIN --entrypoint nft {registry}/{image}"
    assert reached() == (True, True)
    try:
        # the second time it replaces its rules
        for _ in range(2):
            vm1.check_output("sh -c %s", script)
            assert reached() == (True, False)
        for command in listing.splitlines():
            assert "ctorigdstport 6379" in vm1.check_output(command)
        assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
    finally:
        left = [command for command in removal.splitlines() if vm1.run(command).rc != 0]
    assert left == []
    assert reached() == (True, True)
    try:
        for _ in range(2):
            vm1.check_output(f"{nft} -f - <<'END'\n{table}\nEND")
            assert reached() == (True, False)
    finally:
        vm1.check_output(f"{nft} delete table inet published_ports")
    assert reached() == (True, True)
