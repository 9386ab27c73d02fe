"""The commands of Docker that the pages show do what is said of them, on the hosts of the chain."""

import re

from conftest import ROOT, inspect, lab_image


def test_the_commands_of_docker_that_the_pages_show(vm1, vm2):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    shown = [
        line for block in re.findall(r"^```sh\n(.*?)^```$", pages, re.M | re.S) for line in block.splitlines() if line.startswith("docker ")
    ]
    assert len(shown) == 7
    # what a host has that pulled them itself, and somebody's application
    images = [inspect(vm2, name)["Config"]["Image"] for name in ("ambassador_client", "redis_client")]
    named = {image.rpartition("/")[2]: image for image in images} | {"app:1": lab_image(vm2)}
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
