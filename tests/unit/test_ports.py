"""What can be published: told from what Docker publishes and from who listens, as this machine's kernel says it of its loopback."""

import socket

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_kernel import sockets
from ansible_collections.crosshost.ambassador.plugins.modules.observation_info import LISTENERS, read
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_ports import find_ipv6_port_problems, find_port_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring

NAME = "ambassador_server"


def want(address, port, **changes):
    published = {"alias": "redis", "key": "publish", "address": address, "port": port, "container_port": 6379, "protocol": "tcp"}
    return published | changes


def problems(*wanted, own=(), others=(), addresses=("198.18.0.11",), listening=None, mesh=None):
    """Return what is said where containers publish this, and whoever listens on this machine does."""
    if listening is None:
        listening = [one for protocol, name in LISTENERS for one in sockets(read(f"/proc/net/{name}"), protocol)]
    containers = {NAME: {"publishes": list(own), "mesh": "default"}, "web": {"publishes": list(others), "mesh": mesh}}
    observed = {"containers": containers, "addresses": list(addresses), "listening": listening}
    return find_port_problems({"publish": list(wanted)}, [NAME], observed)


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
    assert problems(want("127.0.0.1", free)) == []
    assert problems(want("198.18.0.11", free)) == []


def test_a_taken_port_is_named_with_its_link_and_key(taken):
    (problem,) = problems(want("127.0.0.1", taken))
    assert problem.startswith(f"link redis: expected to publish port {taken} on 127.0.0.1, found it taken by another program or container")
    assert "`ss -ltnp` and `docker ps` name it" in problem
    assert "change publish of the link" in problem
    assert "change local of the link" in problems(want("127.0.0.1", taken, key="local"))[0]


def test_a_container_that_publishes_a_port_is_named(free):
    (problem,) = problems(want("127.0.0.1", free), others=[f"0.0.0.0:{free}:80"])
    assert f"port {free} on 127.0.0.1, found it taken by container web (" in problem
    (problem,) = problems(want("2001:db8::1", free), others=[f"[2001:db8::1]:{free}:80"], addresses=["2001:db8::1"])
    assert "taken by container web" in problem
    # another mesh's is told as that, whether it runs or not
    for protocol in ("tcp", "udp"):
        port = f"127.0.0.1:{free}:6379{'/udp' if protocol == 'udp' else ''}"
        (problem,) = problems(want("127.0.0.1", free, protocol=protocol, key="local"), others=[port], mesh="blue")
        assert f"expected to publish port {free} on 127.0.0.1, found it taken by container web of mesh blue (" in problem
        assert "change local of the link" in problem
    assert problems(want("127.0.0.1", free), others=[f"198.18.0.11:{free}:80", f"127.0.0.1:{free + 1}:80"]) == []


def test_what_the_own_container_holds_is_free_for_its_successor(taken):
    assert problems(want("127.0.0.1", taken), own=[f"127.0.0.1:{taken}:6379"]) == []
    # and what it holds beside that is no help
    assert len(problems(want("127.0.0.1", taken), own=[f"127.0.0.1:{taken + 1}:6379"])) == 1


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_the_own_container_may_go_from_one_address_to_all_and_back(before, after):
    with socket.create_server((before, 0)) as server:
        port = server.getsockname()[1]
        assert problems(want(after, port), own=[f"{before}:{port}:6379"]) == []
        assert problems(want(after, port)) != []


@pytest.mark.parametrize(("key", "remedy"), [("publish", "set ambassador_bind for this host"), ("local", "correct the link's local")])
def test_an_address_of_another_host_says_what_to_set(key, remedy):
    (problem,) = problems(want("192.0.2.1", 6379, key=key))
    assert "this host has no such address" in problem
    assert remedy in problem


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", "0.0.0.0", "::"])
def test_loopback_and_all_addresses_are_every_host_s_own(address, free):
    assert problems(want(address, free), addresses=[]) == []


def test_two_that_cannot_be_had_together(free):
    link = {"port": free, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}
    links = {"redis": link | {"local": f"127.0.0.1:{free}"}, "other": link | {"port": free + 1, "local": f"0.0.0.0:{free}"}}
    # no host is needed to find this problem
    (problem,) = Wiring(links, lambda pattern: [pattern], tls=True).problems
    assert (problem.message, problem.place) == (MapMessage.LOCAL_CONFLICT, Place(link="other", key="local"))


def test_all_problems_are_told_at_once(taken):
    assert len(problems(want("127.0.0.1", taken), want("192.0.2.1", 1))) == 2


def test_what_listens_for_udp_does_not_take_a_port_of_tcp(free):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", free))
        assert problems(want("127.0.0.1", free)) == []
        (problem,) = problems(want("127.0.0.1", free, protocol="udp"))
        assert "`ss -lunp`" in problem
        assert problems(want("127.0.0.1", free, protocol="udp"), own=[f"127.0.0.1:{free}:53/udp"]) == []
        # the same number of the other protocol is not its own
        assert len(problems(want("127.0.0.1", free, protocol="udp"), own=[f"127.0.0.1:{free}:53"])) == 1
    assert problems(want("127.0.0.1", free), others=[f"127.0.0.1:{free}:53/udp"]) == []


def test_a_port_that_listens_is_found_on_all_addresses_and_on_each(free):
    for listens, wanted in (("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "0.0.0.0")):
        assert len(problems(want(wanted, free), listening=[["tcp", listens, free]])) == 1
    assert problems(want("127.0.0.1", free), listening=[["tcp", "198.18.0.11", free], ["tcp", "127.0.0.1", free + 1]]) == []


def refused(*wanted, has_ipv6, userland_proxy=False):
    """Return the messages about ports of a host whose Docker Engine has or lacks the userland proxy."""
    docker = {} if userland_proxy == "not observed" else {"userland_proxy": userland_proxy}
    return find_ipv6_port_problems("vm2", wanted, {"docker": docker}, has_ipv6)


# on the lab's Docker Engine 26.1.5 without the proxy: does a published address answer, for containers without and with IPv6
@pytest.mark.parametrize(
    ("address", "works"),
    [
        ("127.0.0.1", (True, True)),
        ("198.18.0.12", (True, True)),
        ("0.0.0.0", (True, True)),
        ("::1", (False, False)),
        ("2001:db8::2", (False, True)),
        ("::", (False, True)),
    ],
)
@pytest.mark.parametrize("key", ["local", "publish"])
def test_refuses_addresses_that_an_engine_without_userland_proxy_cannot_publish(address, works, key):
    wanted = want(address, 6379, key=key)
    assert tuple(not refused(wanted, has_ipv6=has_ipv6) for has_ipv6 in (False, True)) == works
    for known in (True, None, "not observed"):
        assert refused(wanted, has_ipv6=False, userland_proxy=known) == []


def test_refusal_names_link_key_host_and_remedy():
    assert refused(want("::1", 6379, key="local"), has_ipv6=True) == [
        "Link redis, key local: host vm2 cannot publish port 6379 on ::1, because its Docker Engine has userland-proxy: false."
        " Set local to an IPv4 address, for example 127.0.0.1, or run the engine with userland-proxy: true."
    ]
    assert refused(want("2001:db8::2", 6379), has_ipv6=False) == [
        "Link redis, key publish: host vm2 cannot publish port 6379 on 2001:db8::2, because its Docker Engine has userland-proxy: false and"
        " the ambassadors have no IPv6. Set ambassador_bind of this host to an IPv4 address, or set ambassador_ipv6 to true."
    ]
