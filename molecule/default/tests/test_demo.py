"""The demo, on hosts that already hold the chain: it shows what carried the PONG, and changes nothing."""

import re
import subprocess

from conftest import ROOT


def test_the_demo_shows_the_path_and_changes_nothing(vm1):
    demo = subprocess.run([ROOT / "lab/demo"], capture_output=True, text=True, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    # what Ansible says is in a file, and its plays are the steps that are shown
    log = re.search(r"all that it says is in (\S+)\)", demo.stdout)[1]
    assert len(re.findall(r"changed=0 .*failed=0", (ROOT / log).read_text().partition("PLAY [Check the links")[0])) == 2
    steps, last_play, picture = demo.stdout.partition("   Deploy the links\n")
    assert "TASK" not in demo.stdout
    assert "   Prepare the hosts\n" in steps
    assert last_play
    address = vm1.check_output("ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")
    assert re.search("redis_client.*ambassador_client.*ambassador_server.*redis_server", picture, re.S)
    assert f"REDIS_PORT_6379_TCP=tcp://{address}:6379" in picture
    assert re.search(r"redis_server +PONG", picture)
    # encrypted and authenticated on both sides, as a handshake has shown
    assert re.search(r"TLSv1\.3, TLS_\w+, certificates on both sides:", picture), picture
    assert "CN=vm1 is verified (OK), and lets vm2 in (link redis is up)" in picture
    assert "GET without a password: NOPERM" in picture
    page = (ROOT / re.search(r"Its status: +(\S+)", picture)[1]).read_text()
    assert "Link redis on 2 hosts is up." in page
