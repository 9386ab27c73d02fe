"""No secret is to be seen, whatever the scenario: not in what a run tells, and not on a host."""

import hashlib
import json
import pathlib
import re

import pytest

STATE = "/var/lib/ambassador"
# all files below a directory: path -> mode, owner, text
FILES = """
import json, os, stat, sys
found = {}
for directory, _, names in os.walk(sys.argv[1]):
    for path in (os.path.join(directory, name) for name in names):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            found[path] = ["%o" % stat.S_IMODE(status.st_mode), status.st_uid, open(path, errors="replace").read()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def secrets(request, hosts, passwords):
    """All secrets there are: Redis' passwords, the CA's key, and the keys of the hosts."""
    keys = [*(pathlib.Path(request.config.option.ansible_inventory) / ".ambassador").glob("ca.key")]
    texts = [key.read_text() for key in keys]
    texts += [
        host.file(f"{STATE}/identity/key.pem").content_string for host in hosts.values() if host.file(f"{STATE}/identity/key.pem").exists
    ]
    # the first line of a key holds what is secret in it, the last ones are in the certificate as well
    found = {*passwords().values(), *(text.splitlines()[1] for text in texts)}
    assert len(found) >= 3
    return found


@pytest.fixture(scope="module")
def hashes(passwords):
    """Hashes against which passwords can be tried: of the passwords, and of their files."""
    return {hashlib.sha256(f"{password}{end}".encode()).hexdigest() for password in passwords().values() for end in ("", "\n")}


def test_a_second_run_changes_nothing_and_tells_no_secret_when_it_tells_all(converged, secrets, hashes):
    run = converged("--diff", "-vvv")
    assert run.returncode == 0, run.stdout[-3000:]
    assert set(re.findall(r" : ok=\d+ +changed=(\d+) ", run.stdout)) == {"0"}, run.stdout[-3000:]
    assert "users.acl" in run.stdout
    assert [secret for secret in (*secrets, *hashes) if secret in run.stdout + run.stderr] == []


def test_no_secret_is_to_be_seen_on_a_host(hosts, secrets):
    for host in hosts.values():
        for command in (
            "docker ps -aq | xargs -r docker inspect",
            "docker ps -q | xargs -r -n 1 docker logs 2>&1",
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'",
        ):
            seen = host.run(command).stdout
            assert [secret for secret in secrets if secret in seen] == [], command


def test_a_file_that_holds_a_secret_is_for_its_container_alone(hosts, secrets):
    holders = []
    for host in hosts.values():
        for path, (mode, owner, text) in json.loads(host.check_output("python3 -c %s %s", FILES, STATE)).items():
            if any(secret in text for secret in secrets):
                holders.append(path)
                assert (mode, owner) in (("600", 99), ("600", 999)), (path, mode, owner)
    assert f"{STATE}/redis_client/app" in holders or f"{STATE}/prober/app" in holders
