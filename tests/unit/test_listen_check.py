"""What can be listened on, tried on this machine's loopback."""

import socket

import pytest
from conftest import run_module


def want(address, port, **changes):
    return {"alias": "redis", "address": address, "port": port, "container_port": 6379} | changes


@pytest.fixture
def taken():
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_free_port_is_no_problem(free):
    assert not run_module("listen_check", wanted=[want("127.0.0.1", free)]).get("failed")


def test_a_taken_port_is_named_with_its_link_and_key(taken):
    result = run_module("listen_check", wanted=[want("127.0.0.1", taken)], check=True)
    (problem,) = result["problems"]
    assert problem.startswith(f"link redis: expected to publish port {taken} on 127.0.0.1, found it taken by another program or container")
    assert "change publish of the link" in problem
    assert result["msg"] == problem


def test_what_the_own_container_holds_is_free_for_its_successor(taken):
    held = [{"IP": "127.0.0.1", "PrivatePort": 6379, "PublicPort": taken, "Type": "tcp"}, {"PrivatePort": 80, "Type": "tcp"}]
    assert not run_module("listen_check", wanted=[want("127.0.0.1", taken)], held=held).get("failed")


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_the_own_container_may_go_from_one_address_to_all_and_back(before, after):
    with socket.create_server((before, 0)) as server:
        port = server.getsockname()[1]
        held = [{"IP": before, "PrivatePort": 6379, "PublicPort": port, "Type": "tcp"}]
        assert not run_module("listen_check", wanted=[want(after, port)], held=held).get("failed")
        assert run_module("listen_check", wanted=[want(after, port)])["failed"]


@pytest.mark.parametrize(("key", "remedy"), [("publish", "set ambassador_bind for this host"), ("local", "correct the link's local")])
def test_an_address_of_another_host_says_what_to_set(key, remedy):
    (problem,) = run_module("listen_check", wanted=[want("192.0.2.1", 6379, key=key)])["problems"]
    assert "this host has no such address" in problem
    assert remedy in problem


def test_two_that_cannot_be_had_together(free):
    wanted = [want("127.0.0.1", free), want("0.0.0.0", free, alias="other")]
    (problem,) = run_module("listen_check", wanted=wanted)["problems"]
    assert problem.startswith("link other: expected to publish")


def test_all_problems_are_told_at_once(taken):
    assert len(run_module("listen_check", wanted=[want("127.0.0.1", taken), want("192.0.2.1", 1)])["problems"]) == 2


def test_what_listens_for_udp_does_not_take_a_port_of_tcp(free):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", free))
        assert not run_module("listen_check", wanted=[want("127.0.0.1", free)]).get("failed")
        (problem,) = run_module("listen_check", wanted=[want("127.0.0.1", free, protocol="udp")])["problems"]
        assert "`ss -lunp`" in problem
        held = [{"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": free, "Type": "udp"}]
        assert not run_module("listen_check", wanted=[want("127.0.0.1", free, protocol="udp")], held=held).get("failed")
