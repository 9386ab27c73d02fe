"""The scan of link variables in the socat ambassador, run by a shell, with a socat that only says what it was told."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from conftest import ROOT

SCRIPT = (ROOT / "roles/ambassador_engine/files/socat.sh").read_text()
ALIVE = "keepalive,keepidle=5,keepintvl=3,keepcnt=3"


def a_socat(listen, target):
    """Return what the socat of one link is told."""
    return f"{listen},fork,reuseaddr,backlog=1024,max-children=1000,{ALIVE} {target},{ALIVE}"


@pytest.fixture
def ambassador(tmp_path):
    """Starts the script with only the given variables; returns the process and what socat is told."""
    told = tmp_path / "told"
    fake = tmp_path / "socat"
    fake.write_text(f'#!/bin/sh\necho "$*" >> {told}\nexec sleep 60\n')
    fake.chmod(0o755)
    started = []

    def start(expected=1, **variables):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **variables}
        process = subprocess.Popen(["sh", "-c", SCRIPT], env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True)
        started.append(process)
        for _ in range(100):
            lines = sorted(told.read_text().splitlines()) if told.exists() else []
            if len(lines) >= expected or process.poll() is not None:
                break
            time.sleep(0.05)
        return process, [line.split(" ", 2)[2] for line in lines]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_link_variable_becomes_a_listener(ambassador):
    _, told = ambassador(REDIS_PORT_6379_TCP="tcp://198.18.0.11:16379", REDIS_PORT="tcp://198.18.0.11:16379", REDIS_PORT_6379_TCP_ADDR="x")
    assert told == [a_socat("TCP4-LISTEN:6379", "TCP4:198.18.0.11:16379")]


def test_a_listener_accepts_clients_of_the_given_subnet_only(ambassador):
    _, told = ambassador(REDIS_PORT_6379_TCP="tcp://198.18.0.11:16379", AMBASSADOR_RANGE="198.19.0.0/24")
    assert told == [a_socat("TCP4-LISTEN:6379,range=198.19.0.0/24", "TCP4:198.18.0.11:16379")]


def test_several_links_each_have_one(ambassador):
    _, told = ambassador(2, REDIS_PORT_6379_TCP="tcp://198.18.0.11:6379", DB_PORT_5432_TCP="tcp://postgres_1:5432")
    assert told == [
        a_socat("TCP4-LISTEN:5432", "TCP4:postgres_1:5432"),
        a_socat("TCP4-LISTEN:6379", "TCP4:198.18.0.11:6379"),
    ]


def test_an_ipv6_target_is_dialled_as_such(ambassador):
    _, told = ambassador(REDIS_PORT_6379_TCP="tcp://[2001:2::11]:6379")
    assert told == [a_socat("TCP4-LISTEN:6379", "TCP6:[2001:2::11]:6379")]


def test_a_network_with_ipv6_is_listened_to_on_both(ambassador):
    _, told = ambassador(REDIS_PORT_6379_TCP="tcp://[2001:2::11]:6379", AMBASSADOR_IPV6="1")
    assert told == [a_socat("TCP6-LISTEN:6379,ipv6only=0", "TCP6:[2001:2::11]:6379")]


def test_what_merely_looks_like_a_link_variable_is_never_executed(ambassador, tmp_path):
    trap = tmp_path / "trap"
    _, told = ambassador(
        REDIS_PORT_6379_TCP="tcp://198.18.0.11:6379",
        NOTES_TCP=f"X_PORT_1_TCP=tcp://a:1\nY_PORT_2_TCP=tcp://b:2 & touch {trap}",
        EVIL_PORT_1_TCP=f"tcp://a:1; touch {trap}",
        EVIL_PORT_2_TCP=f"tcp://$(touch {trap}):2",
        EVIL_PORT_3_TCP="tcp://a:3,exec=x",
        EVIL_PORT_4_TCP="udp://a:4",
    )
    assert told == [a_socat("TCP4-LISTEN:6379", "TCP4:198.18.0.11:6379")]
    assert not trap.exists()


def test_sigterm_stops_it_at_once(ambassador):
    process, _ = ambassador(REDIS_PORT_6379_TCP="tcp://198.18.0.11:6379")
    process.terminate()
    assert process.wait(timeout=5) == 0


def test_a_listener_that_ends_takes_the_container_down(ambassador, tmp_path):
    (tmp_path / "socat").write_text("#!/bin/sh\nexit 1\n")
    process, _ = ambassador(REDIS_PORT_6379_TCP="tcp://198.18.0.11:6379")
    assert process.wait(timeout=5) == 1


def test_no_link_variable_is_said(ambassador):
    process, _ = ambassador(HOME="/")
    assert process.wait(timeout=5) == 1
    assert "no link variable" in process.stderr.read()
