"""The wiring: what a map and an inventory resolve to, and what is said of a wrong map."""

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.link_variables import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import parse_endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import (
    OBSERVED,
    certified,
    host_address,
    other_addresses,
    own_addresses,
    source_addresses,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import WITHOUT_PORT
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import link_variables, variable_files, variable_prefix
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring, networks, on_host
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {"VM1": ["vm1"], "VM2": ["vm2"], "db": ["db1", "db2"], "web": ["web1", "web2", "web3"], "both": ["vm1", "vm2"]}
HOSTS = [host for hosts in GROUPS.values() for host in hosts]
HOSTVARS = {host: {"ambassador_address": f"198.18.0.{number}"} for number, host in enumerate(HOSTS, 1)}


def hosts_of(pattern):
    return GROUPS.get(pattern, [])


def a_link(**changes):
    link = {"port": 6379, "servers": "VM1", "clients": "VM2", "backend": "redis_server:6379"} | changes
    return {key: value for key, value in link.items() if value is not None}


def problems(links, engine="haproxy", tls=False):
    return Wiring(links, hosts_of, engine, tls=tls).problems


def side(links, host, which, hostvars=HOSTVARS, engine="haproxy", ipv6=False, tls=False):
    return Wiring(links, hosts_of, engine, ipv6, tls).side(host, which, {**HOSTVARS, **hostvars})


@pytest.mark.parametrize(
    "names",
    [
        ["vm1", "VM1"],
        # the second one is the shortened name of the first one in its certificate
        ["a" * 70, certified("a" * 70)],
        ["a" * 70, certified("a" * 70).upper()],
    ],
    ids=["case", "shortened", "shortened, case"],
)
def test_refuses_hosts_that_would_share_a_certificate(names):
    def found(tls):
        links = {"redis": a_link(servers="servers", clients="db")}
        return Wiring(links, {"servers": names, "db": ["db1"]}.get, tls=tls).problems

    (problem,) = found(True)
    assert problem.startswith(f"Hosts {', '.join(names)}: their certificates would be for the same name, ")
    assert found(False) == []


# -- what a right map gives ---------------------------------------------------------------------------------------


def test_client_side_dials_the_address_of_the_server_host():
    client = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ambassador_address": "198.18.0.11"}})
    assert client["problems"] == []
    assert client["variables"] == {
        "REDIS_PORT": "tcp://198.18.0.11:6379",
        "REDIS_PORT_6379_TCP": "tcp://198.18.0.11:6379",
        "REDIS_PORT_6379_TCP_ADDR": "198.18.0.11",
        "REDIS_PORT_6379_TCP_PORT": "6379",
        "REDIS_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_NAME": "/ambassador_client/redis",
    }
    assert client["publish"] == []
    assert client["links"][0]["targets"] == [
        {
            "name": "vm1",
            "address": "198.18.0.11",
            "port": 6379,
            "variable": "REDIS_PORT_6379_TCP",
            "verify": None,
            "dns": None,
            "on_this_host": False,
            "families": ["ip"],
        }
    ]


def test_server_side_publishes_on_its_own_address_and_forwards_to_the_backend():
    server = side({"redis": a_link(publish=16379)}, "vm1", "server", {"vm1": {"ambassador_address": "198.18.0.11"}})
    assert server["publish"] == [
        {"alias": "redis", "key": "publish", "address": "198.18.0.11", "port": 16379, "container_port": 16379, "protocol": "tcp"}
    ]
    assert server["variables"]["REDIS_PORT_16379_TCP"] == "tcp://redis_server:6379"


def test_server_side_behind_nat_publishes_on_ambassador_bind():
    hostvars = {"vm1": {"ambassador_address": "203.0.113.7", "ambassador_bind": "198.18.0.11"}}
    assert side({"redis": a_link()}, "vm1", "server", hostvars)["publish"][0]["address"] == "198.18.0.11"
    assert side({"redis": a_link()}, "vm2", "client", hostvars)["links"][0]["targets"][0]["address"] == "203.0.113.7"


def test_an_address_is_one_however_it_is_spelled():
    said, is_called = "2001:DB8:0::1", "2001:db8::1"
    links = {"redis": a_link(local=f"[{said}]:7000"), "pg": a_link(port=5432, targets=[f"[{said}]:5432"])}
    hostvars = {"vm1": {"ambassador_address": said}}
    for told in (hostvars, {"vm1": {"ambassador_address": "198.18.0.1", "ambassador_bind": said}}):
        assert side(links, "vm1", "server", told, ipv6=True)["publish"][0]["address"] == is_called
    client = side(links, "vm2", "client", hostvars, ipv6=True)
    assert client["publish"][0]["address"] == is_called
    assert [target["address"] for link in client["links"] for target in link["targets"]] == [is_called] * 2
    assert client["variables"]["REDIS_PORT_6379_TCP_ADDR"] == is_called
    # whom HAProxy lets in is compared letter by letter
    hostvars = {"vm2": {"ambassador_address": said}}
    assert side(links, "vm1", "server", hostvars, ipv6=True)["links"][0]["admitted"] == [is_called]
    (problem,) = side(
        {"redis": a_link(clients="VM1", local=f"[{said}]:6379")}, "vm1", "client", {"vm1": {"ambassador_address": said}}, ipv6=True
    )["problems"]
    assert "where the server side of vm1 publishes link redis" in problem
    (problem,) = problems({"redis": a_link(local=f"[{said}]:9"), "pg": a_link(port=5432, local=f"[{is_called}]:9")})
    assert "expected a local of their own" in problem


def test_consumer_dials_the_alias():
    consumer = side({"my-cache": a_link()}, "vm2", "client")["links"][0]["consumer"]
    assert consumer["MY_CACHE_PORT_6379_TCP"] == "tcp://my-cache:6379"
    assert consumer["MY_CACHE_PORT_6379_TCP_ADDR"] == "my-cache"


def test_a_host_outside_a_link_has_nothing():
    for host, which in (("vm1", "client"), ("vm2", "server"), ("web1", "client")):
        resolved = side({"redis": a_link()}, host, which)
        assert (resolved["links"], resolved["variables"], resolved["publish"], resolved["problems"]) == ([], {}, [], [])


def test_a_server_side_forwards_to_its_backend_and_then_to_the_other_hosts_that_serve_the_link():
    link = a_link(servers="both", publish=16379)
    hostvars = {"vm1": {"ambassador_address": "198.18.0.11"}, "vm2": {"ambassador_address": "198.18.0.12"}}
    server = side({"redis": link}, "vm2", "server", hostvars)
    assert [(target["name"], target["address"], target["port"]) for target in server["links"][0]["targets"]] == [
        ("redis_server", "redis_server", 6379),
        ("vm1", "198.18.0.11", 16379),
    ]
    assert server["variables"]["REDIS_2_PORT_16379_TCP"] == "tcp://198.18.0.11:16379"
    assert side({"redis": link}, "vm2", "server", {"vm1": {}, "vm2": hostvars["vm2"]})["unknown"] == ["vm1"]
    explicit = side({"redis": link | {"targets": ["198.18.0.20:6379"]}}, "vm2", "server", hostvars)
    assert len(explicit["links"][0]["targets"]) == 1


@pytest.mark.parametrize(("key", "default"), [("wait", 3), ("drain", 10)])
def test_seconds_have_a_default(key, default):
    for said, seconds in ((None, default), (0, 0), ("7", 7)):
        assert side({"redis": a_link(**{key: said})}, "vm2", "client")["links"][0][key] == seconds


@pytest.mark.parametrize("key", ["wait", "drain"])
@pytest.mark.parametrize("seconds", [-1, 1.5, True, "3s", "", 10000])
def test_seconds_are_whole(key, seconds):
    assert problems({"redis": a_link(**{key: seconds})}) == [
        f"link redis, {key}: expected whole seconds from 0 to 9999, found {seconds!r}; correct it."
    ]


def test_a_removed_key_is_refused_with_its_reason():
    for engine in ("haproxy", "socat", "nftables"):
        assert problems({"redis": a_link(user_timeout=30)}, engine=engine) == [
            "Link redis, key user_timeout: no longer supported."
            " Connections on a dead path end within 15 seconds without it. Remove the key."
        ]


def test_the_consumer_s_address_is_told_where_that_was_asked_for():
    for said, found in ((None, False), (True, True), (False, False)):
        assert side({"redis": a_link(send_proxy=said)}, "vm2", "client")["links"][0]["send_proxy"] is found
    for said in ("yes", 1, "true"):
        assert problems({"redis": a_link(send_proxy=said)}) == [
            f"link redis, send_proxy: expected true or false, found {said!r}; correct it."
        ]
    for engine in ("socat", "nftables"):
        assert problems({"redis": a_link(send_proxy=False)}, engine=engine) == []
        (problem,) = problems({"redis": a_link(send_proxy=True)}, engine=engine)
        assert "found send_proxy, which it cannot; set ambassador_engine to haproxy or remove it." in problem


# -- where services and consumers are ------------------------------------------------------------------------------


def test_a_backend_on_another_network_is_dialled_by_its_name_there():
    link = a_link(backend="db:5432", network="shop_default", networks=["web", "jobs"])
    server, client = side({"db": link}, "vm1", "server"), side({"db": link}, "vm2", "client")
    # Docker's own form, for a container of another network may have the name as well
    assert server["links"][0]["targets"][0]["address"] == "db.shop_default"
    assert server["variables"]["DB_PORT_6379_TCP_ADDR"] == "db.shop_default"
    assert (server["links"][0]["networks"], client["links"][0]["networks"]) == (["shop_default"], ["web", "jobs"])
    links = [*client["links"], {**client["links"][0], "alias": "other", "name": "other", "networks": ["web"]}]
    assert networks(links, "client") == {"jobs": ["db"], "web": ["db", "other"]}
    assert networks(server["links"], "server") == {"shop_default": []}
    assert networks([{"alias": "held by version 0.1.0"}], "server") == {}
    for backend in ("10.0.0.5:5432", "host:5432"):
        found = side({"db": a_link(backend=backend, network="shop_default")}, "vm1", "server")["links"][0]["targets"][0]
        assert found["address"] == backend.partition(":")[0]


def test_the_host_itself_is_dialled_at_the_address_that_it_has_for_containers():
    links = {"db": a_link(backend="host:5432", servers="both"), "host": a_link(port=1, backend="other:1")}
    assert problems(links) == []
    found = on_host(side(links, "vm1", "server"), "198.19.0.1")
    own, other = found["links"][0]["targets"]
    assert ((own["name"], own["address"]), other["address"]) == (("host", "198.19.0.1"), HOSTVARS["vm2"]["ambassador_address"])
    assert found["variables"]["DB_1_PORT_6379_TCP"] == "tcp://198.19.0.1:5432"
    assert found["variables"]["HOST_PORT_1_TCP_ADDR"] == "other"


def test_client_side_connects_to_the_container_of_a_server_side_on_its_own_host():
    links = {"redis": a_link(servers="both", clients="VM1", publish=7000), "db": a_link(port=5432, targets=["198.18.0.11:1"])}
    client = side(links, "vm1", "client")
    targets = [(target["address"], target["port"], target["on_this_host"]) for target in client["links"][0]["targets"]]
    assert targets == [("ambassador_server", 7000, True), (HOSTVARS["vm2"]["ambassador_address"], 7000, False)]
    assert client["variables"]["REDIS_1_PORT_6379_TCP"] == "tcp://ambassador_server:7000"
    # the server side keeps that container, and another host dials the address
    assert [side(links, host, "server")["serves_itself"] for host in ("vm1", "vm2")] == [True, False]
    in_mesh = Wiring(links, hosts_of, mesh="blue").side("vm1", "client", HOSTVARS)["links"][0]["targets"][0]
    assert in_mesh["address"] == "ambassador_blue_server"


def test_explicit_targets_are_dialled_even_on_their_own_host():
    links = {"redis": a_link(clients="VM1", targets=["198.18.0.11:7000"])}
    (target,) = side(links, "vm1", "client")["links"][0]["targets"]
    assert (target["address"], target["on_this_host"]) == ("198.18.0.11", False)
    assert not side(links, "vm1", "server")["serves_itself"]


@pytest.mark.parametrize("name", ["bridge", "host", "none", "", "-a", "a b", 7, None, "a/b"])
def test_a_network_without_names_is_refused(name):
    shown = "nothing" if name is None else repr(name)
    expected = f"expected a Docker network on which containers have names (not bridge, host, none), found {shown}; correct it."
    if name is not None:
        assert problems({"redis": a_link(network=name)}) == [f"link redis, network: {expected}"]
    assert problems({"redis": a_link(networks=["web", name])}) == [f"link redis, networks: {expected}"]
    (problem,) = problems({"redis": a_link(networks="web")})
    assert problem == "link redis, networks: expected a list of Docker networks of the client hosts, found 'web'; correct it."


@pytest.mark.parametrize("key", ["connect", "check_interval"])
def test_parts_of_a_second_have_no_default_of_their_own(key):
    for said, milliseconds in ((None, None), (2, 2000), ("0.5", 500), (99.25, 99250), (0.05, 50)):
        assert side({"redis": a_link(**{key: said})}, "vm2", "client")["links"][0][key] == milliseconds
    for said in (0, -1, 0.01, True, "3s", "", 100, "1.2345"):
        assert problems({"redis": a_link(**{key: said})}) == [
            f"link redis, {key}: expected seconds from 0.05 to 99, found {said!r}; correct it."
        ]


@pytest.mark.parametrize("said", [0, -1, "many", True, 1.5, 12345678])
def test_a_number_of_connections_that_is_none_is_refused(said):
    assert problems({"redis": a_link(max_connections=said)}) == [
        f"link redis, max_connections: expected a number from 1 to 9999999, found {said!r}; correct it."
    ]


def test_several_servers_are_numbered_in_the_order_of_the_inventory():
    client = side({"db": a_link(port=5432, servers="db", clients="web")}, "web2", "client")
    addresses = [HOSTVARS[host]["ambassador_address"] for host in GROUPS["db"]]
    assert client["variables"]["DB_1_PORT_5432_TCP_ADDR"] == addresses[0]
    assert client["variables"]["DB_2_PORT_5432_TCP_ADDR"] == addresses[1]
    assert client["variables"]["DB_PORT_5432_TCP_ADDR"] == addresses[0]
    assert [target["variable"] for target in client["links"][0]["targets"]] == ["DB_1_PORT_5432_TCP", "DB_2_PORT_5432_TCP"]


def test_a_host_can_serve_one_link_and_consume_another():
    links = {"redis": a_link(), "db": a_link(port=5432, servers="VM2", clients="VM1", backend="postgres:5432")}
    assert [link["alias"] for link in side(links, "vm1", "server")["links"]] == ["redis"]
    assert [link["alias"] for link in side(links, "vm1", "client")["links"]] == ["db"]


def test_explicit_targets_win_over_the_inventory():
    client = side({"redis": a_link(servers=None, backend=None, targets=["198.18.0.99:1", "[2001:2::1]:2"])}, "vm2", "client", {}, ipv6=True)
    assert client["problems"] == []
    assert client["variables"]["REDIS_1_PORT_6379_TCP"] == "tcp://198.18.0.99:1"
    assert client["variables"]["REDIS_2_PORT_6379_TCP"] == "tcp://[2001:2::1]:2"
    assert client["variables"]["REDIS_2_PORT_6379_TCP_ADDR"] == "2001:2::1"


def test_an_ipv6_target_needs_a_network_with_ipv6():
    hostvars = {"vm1": {"ambassador_address": "2001:2::11"}}
    assert side({"redis": a_link()}, "vm2", "client", hostvars, ipv6=True)["problems"] == []
    (problem,) = side({"redis": a_link()}, "vm2", "client", hostvars)["problems"]
    assert "found [2001:2::11]:6379 and a network without IPv6; set ambassador_ipv6 to true" in problem


def test_local_is_published_on_the_client_host():
    client = side({"redis": a_link(local="127.0.0.1:7000")}, "vm2", "client")
    assert client["publish"] == [
        {"alias": "redis", "key": "local", "address": "127.0.0.1", "port": 7000, "container_port": 6379, "protocol": "tcp"}
    ]


# -- the address of a host ----------------------------------------------------------------------------------------

FACTS = {
    "default_ipv4": {"address": "198.18.0.11"},
    "default_ipv6": {"address": "2001:2::11"},
    "eth1": {"ipv4": {"address": "198.18.1.11"}},
    "br_lan": {"ipv6": [{"address": "fe80::1"}, {"address": "2001:2::22"}]},
}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ambassador_address": "192.0.2.1", "ambassador_interface": "eth1", "ansible_facts": FACTS}, "192.0.2.1"),
        ({"ambassador_interface": "eth1", "ansible_facts": FACTS}, "198.18.1.11"),
        ({"ambassador_interface": "br-lan", "ansible_facts": FACTS}, "2001:2::22"),
        ({"ansible_facts": FACTS}, "198.18.0.11"),
        ({"ansible_facts": {"default_ipv4": {}, "default_ipv6": FACTS["default_ipv6"]}}, "2001:2::11"),
        # what this run has seen is newer than what was gathered or cached
        ({"__ambassador_engine_observed": {"facts": FACTS}, "ansible_facts": {"default_ipv4": {"address": "198.18.0.99"}}}, "198.18.0.11"),
        ({"__ambassador_engine_observed": {"unreachable": True}, "ansible_facts": FACTS}, "198.18.0.11"),
        ({"ansible_host": "192.0.2.9", "ansible_facts": {}}, None),
        ({"ambassador_interface": "eth9", "ansible_facts": FACTS}, None),
        ({}, None),
    ],
)
def test_address_is_found_in_the_order_of_the_contract(variables, address):
    assert host_address(variables)[0] == address


def test_sources_of_a_host_are_the_addresses_from_which_it_connects():
    variables = {"ambassador_address": "192.0.2.1", "ansible_facts": FACTS}
    assert source_addresses(variables) == ["192.0.2.1", "198.18.0.11", "2001:2::11"]
    assert source_addresses({"ambassador_address": "host.example"}) == []


def test_server_side_knows_the_sources_of_its_clients_and_peers():
    links = {"redis": a_link(clients="both"), "db": a_link(port=5432, servers="both", clients="VM2")}
    assert side(links, "vm1", "server", tls=True)["sources"] == {"vm2": [HOSTVARS["vm2"]["ambassador_address"]]}
    assert side(links, "vm2", "client", tls=True)["sources"] == {}
    assert side({"redis": a_link()}, "vm1", "server", engine="nftables")["sources"] == {}


def test_a_server_host_without_address_is_named_with_link_and_variable():
    client = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ansible_host": "192.0.2.9"}})
    assert client["unknown"] == ["vm1"]
    (problem,) = client["problems"]
    assert "link redis" in problem
    assert "host vm1" in problem
    assert "set ambassador_address for vm1" in problem


NAMED = {**HOSTVARS, "vm1": {"ambassador_address": "vm1.example.com"}}


def test_an_address_that_is_a_name_is_asked_for_and_its_host_publishes_on_all():
    links = {"redis": a_link(local="127.0.0.1:6379")}
    client, server = side(links, "vm2", "client", NAMED, tls=True), side(links, "vm1", "server", NAMED, tls=True)
    (target,) = client["links"][0]["targets"]
    # what is verified stays the name in the inventory
    assert (target["address"], target["dns"], target["verify"], client["problems"]) == ("vm1.example.com", "A", "vm1", [])
    assert client["variables"]["REDIS_PORT_6379_TCP"] == "tcp://vm1.example.com:6379"
    assert ([one["address"] for one in server["publish"]], server["links"][0]["targets"][0]["dns"]) == (["0.0.0.0"], None)
    bound = {**NAMED, "vm1": {**NAMED["vm1"], "ambassador_bind": "10.0.0.1"}}
    assert [one["address"] for one in side(links, "vm1", "server", bound, tls=True)["publish"]] == ["10.0.0.1"]
    clash = {"redis": a_link(servers="both", local="127.0.0.1:6379")}
    named = {**NAMED, "vm2": {"ambassador_address": "vm2.example.com"}}
    assert "where the server side of vm2 publishes link redis" in side(clash, "vm2", "client", named, tls=True)["problems"][0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("vm1", "expected a dialable IP address or a DNS name of host vm1, found 'vm1' in ambassador_address"),
        ("198.18.0", "found '198.18.0'"),
        ("-a.example", "found '-a.example'"),
    ],
)
def test_a_name_of_one_label_or_none_is_refused(address, expected):
    (problem,) = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ambassador_address": address}}, tls=True)["problems"]
    assert expected in problem


def test_without_tls_nobody_is_let_in_by_a_name_and_engines_that_ask_no_dns_say_so():
    named = {**HOSTVARS, "vm2": {"ambassador_address": "vm2.example.com"}}
    (problem,) = side({"redis": a_link()}, "vm1", "server", named)["problems"]
    assert problem.startswith("link redis: expected an IP address of host vm2, by which it is let in without TLS, found vm2.example.com;")
    for engine in ("socat", "nftables"):
        (problem,) = side({"redis": a_link()}, "vm2", "client", NAMED, engine=engine)["problems"]
        assert problem.startswith(f"link redis: expected an IP address of host vm1, for engine {engine} asks no DNS, found vm1.example.com")
        (problem,) = problems({"redis": a_link(targets=["db.example.com:1"])}, engine)
        assert f"expected what engine {engine} can do, found a DNS name, which it cannot; set ambassador_engine to haproxy" in problem


def test_targets_are_names_or_what_an_srv_record_names():
    found = side({"redis": a_link(targets=["db.example.com:1", "198.18.0.9:2"])}, "vm2", "client")
    assert [(one["address"], one["port"], one["dns"]) for one in found["links"][0]["targets"]] == [
        ("db.example.com", 1, "A"),
        ("198.18.0.9", 2, None),
    ]
    found = side({"redis": a_link(targets="srv:_redis._tcp.example.com")}, "vm2", "client")
    assert [(one["address"], one["dns"]) for one in found["links"][0]["targets"]] == [("_redis._tcp.example.com", "SRV")]
    assert found["problems"] == []


# -- what is said of a wrong map ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "changes", "expected"),
    [
        ("redis", {"prot": 1}, "link redis: expected only the keys port, ports, servers,"),
        ("redis", {"prot": 1}, "found 'prot'; did you mean port"),
        ("redis", {"port": 0}, "link redis, port: expected a port from 1 to 65535, found 0; correct it."),
        ("redis", {"port": 65536}, "found 65536"),
        ("redis", {"port": "six"}, "found 'six'"),
        ("redis", {"port": True}, "found True"),
        ("redis", {"port": 6379.5}, "found 6379.5"),
        ("redis", {"publish": -1}, "link redis, publish: expected a port"),
        ("redis", {"port": None}, "link redis: expected the key port, found none; add port to the link."),
        ("redis", {"servers": None}, "expected the key servers"),
        ("redis", {"servers": "vm9"}, "link redis, servers: expected a pattern that matches a host of the inventory, found 'vm9'"),
        ("redis", {"clients": "vm9"}, "link redis, clients: expected a pattern"),
        ("redis", {"clients": ["VM2"]}, "link redis, clients: expected a group or host pattern"),
        ("redis", {"backend": "redis_server"}, "link redis, backend: expected name:port"),
        ("redis", {"backend": "a b:1"}, "link redis, backend: expected name:port"),
        ("redis", {"backend": "redis:70000"}, "link redis, backend: expected name:port"),
        ("redis", {"backend": "$(id):1"}, "link redis, backend: expected name:port"),
        ("redis", {"check": "ping"}, "link redis, check: expected one of tcp, redis, postgresql, mysql, http, smtp, none, found 'ping'"),
        (
            "redis",
            {"balance": "source", "send_proxy": True},
            "link redis, balance: expected first, roundrobin or leastconn with send_proxy, found 'source'",
        ),
        ("redis", {"balance": "random"}, "link redis, balance: expected one of first, roundrobin, leastconn, source"),
        ("redis", {"local": "6379"}, "link redis, local: expected address:port of the client host"),
        ("redis", {"targets": []}, "link redis, targets: expected a list of address:port"),
        ("redis", {"targets": ["vm1:6379"]}, "link redis, targets: expected address:port, with the IP address or the DNS name of one host"),
        ("-redis", {}, "expected a DNS label as alias"),
        ("redis_1", {}, "expected a DNS label as alias"),
        ("1redis", {}, "expected a DNS label as alias"),
        ("r" * 64, {}, "expected a DNS label as alias"),
        (6379, {}, "expected a DNS label as alias"),
        ("localhost", {}, "expected an alias that is not reserved"),
        ("H2", {}, "expected an alias that is not reserved"),
        ("ambassador", {}, "expected an alias that is not reserved"),
        ("ambassador-drain", {}, "expected an alias that is not reserved"),
    ],
)
def test_a_wrong_link_is_named_with_what_was_expected(alias, changes, expected):
    found = problems({alias: a_link(**changes)})
    assert any(expected in problem for problem in found), found


def test_all_problems_are_found_at_once():
    found = problems({"redis": a_link(port=0, clients="vm9"), "-": a_link(backend="x"), "db": None})
    assert [sum(f"link {alias}" in problem for problem in found) for alias in ("redis", "-", "db")] == [2, 2, 1]


@pytest.mark.parametrize("links", [None, [], "redis", 1])
def test_a_map_that_is_none_is_refused(links):
    assert "ambassador_links: expected a map" in problems(links)[0]


def test_two_aliases_with_the_same_variables_are_refused():
    (problem,) = problems({"my-cache": a_link(port=1), "MY-CACHE": a_link(port=2)})
    assert "links my-cache and MY-CACHE" in problem
    assert "MY_CACHE_PORT" in problem


def test_an_alias_that_looks_like_a_port_of_another_is_refused():
    rabbit = {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "rabbit"}
    (problem,) = problems({"rabbit": rabbit, "rabbit-5672": a_link(port=1)})
    assert "links rabbit and rabbit-5672: expected variables of their own, found AMBASSADOR_DRAIN_RABBIT_5672 in both" in problem


def test_an_alias_that_looks_like_the_number_of_another_is_refused():
    links = {"db": a_link(port=5432, servers="db"), "db-1": a_link(port=5433)}
    assert "DB_1_PORT" in problems(links)[0]
    assert problems({"db": a_link(port=5432), "db-1": a_link(port=5433)}) == []


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"port": 7000, "publish": 6379}, "found publish 6379 more than once on the server side of vm1"),
        (
            {"port": 7000, "local": "127.0.0.1:9"},
            "expected a local of their own, found 127.0.0.1:9 and 127.0.0.1:9 on the client side of vm2",
        ),
    ],
)
def test_two_links_on_one_listening_port_are_refused(second, expected):
    found = problems({"redis": a_link(local="127.0.0.1:9"), "other": a_link(**second)})
    assert len(found) == 1
    assert expected in found[0]
    assert "links redis, other" in found[0]


def test_two_links_may_have_one_port_for_consumers():
    assert problems({"redis": a_link(), "other": a_link(publish=7000)}) == []


def test_a_name_with_several_ports_has_a_link_for_each():
    rabbit = {"ports": [15672, "5672/tcp", "53/udp", 53], "servers": "VM1", "clients": "VM2", "backend": "rabbit"}
    links = {"rabbit": {**rabbit, "balance": "roundrobin", "local": "127.0.0.1"}}
    client = side(links, "vm2", "client", engine="nftables")
    assert client["problems"] == []
    assert [(link["alias"], link["name"], link["listen"], link["protocol"], link["backend"]) for link in client["links"]] == [
        ("rabbit:53", "rabbit", 53, "tcp", "rabbit:53"),
        ("rabbit:53-udp", "rabbit", 53, "udp", "rabbit:53"),
        ("rabbit:5672", "rabbit", 5672, "tcp", "rabbit:5672"),
        ("rabbit:15672", "rabbit", 15672, "tcp", "rabbit:15672"),
    ]
    assert [(one["address"], one["port"], one["container_port"], one["protocol"]) for one in client["publish"]][:2] == [
        ("127.0.0.1", 53, 53, "tcp"),
        ("127.0.0.1", 53, 53, "udp"),
    ]
    # as with Docker's links the first port is the one without a number
    assert client["variables"]["RABBIT_PORT"] == "tcp://198.18.0.8:53"
    assert client["variables"]["RABBIT_PORT_53_UDP"] == "udp://198.18.0.8:53"
    (content,) = variable_files(client["links"]).values()
    assert content.splitlines()[0] == "RABBIT_PORT=tcp://rabbit:53"
    assert {"RABBIT_PORT_53_UDP=udp://rabbit:53", "RABBIT_PORT_15672_TCP_PORT=15672"} < set(content.splitlines())
    assert FilterModule().filters()["link_variables"](links, "rabbit") == dict(line.split("=") for line in content.splitlines())
    # over TLS they may share a port of the server host
    tls = {"rabbit": {**rabbit, "ports": [5672, 15672], "publish": 7000, "targets": ["198.18.0.20"]}}
    found = side(tls, "vm2", "client", tls=True)
    assert ([link["targets"][0]["port"] for link in found["links"]], found["problems"]) == ([5672, 15672], [])
    server = side(tls, "vm1", "server", tls=True)
    assert [one["port"] for one in server["publish"]] == [7000]
    assert [link["targets"][0]["variable"] for link in server["links"]] == ["RABBIT_PORT_5672_TCP", "RABBIT_PORT_15672_TCP"]
    assert server["variables"]["RABBIT_PORT_15672_TCP"] == "tcp://rabbit:15672"


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            {"ports": 5672},
            ["link redis, ports: expected a list of ports from 1 to 65535, with /udp behind one of UDP, found 5672; correct it."],
        ),
        (
            {"ports": []},
            ["link redis, ports: expected a list of ports from 1 to 65535, with /udp behind one of UDP, found []; correct it."],
        ),
        ({"ports": ["53/sctp"]}, ["expected a list of ports from 1 to 65535, with /udp behind one of UDP, found ['53/sctp']; correct it."]),
        ({"ports": [1, "1/tcp"]}, ["link redis, ports: expected every port once, found [1, '1/tcp']; remove one."]),
        ({"port": 1}, ["link redis, ports: expected no port beside it, found port 1; remove port (ports: [53, 53/udp] says both)."]),
        (
            {"backend": "db:1"},
            ["backend: expected a name or an address without a port, for each of its ports leads to the same one there, found"],
        ),
        ({"local": "127.0.0.1:9"}, ["link redis, local: expected a name or an address without a port"]),
        (
            {"local": "here"},
            [f"link redis, local: expected {WITHOUT_PORT}, found 'here'"],
        ),
        ({"clients": "nobody"}, ["link redis, clients: expected a pattern that matches a host of the inventory, found 'nobody';"]),
    ],
)
def test_what_is_wrong_with_several_ports_is_told_once(changes, sentences):
    found = problems({"redis": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "db", **changes}})
    for sentence in sentences:
        assert any(sentence in problem for problem in found), found
    assert len(found) == len(set(found))


@pytest.mark.parametrize("local", ["0.0.0.0:9", "127.0.0.1:9"])
def test_a_local_on_all_addresses_takes_every_other(local):
    links = {"redis": a_link(local=local), "other": a_link(port=1, publish=1, local="0.0.0.0:9")}
    assert len(problems(links)) == 1


def test_a_local_where_the_same_host_publishes_is_refused():
    links = {"redis": a_link(servers="both", clients="VM2", local=f"{HOSTVARS['vm2']['ambassador_address']}:6379")}
    (problem,) = side(links, "vm2", "client")["problems"]
    assert "link redis, local: expected an address and port of its own, found" in problem
    links["redis"]["local"] = "127.0.0.1:6379"
    assert side(links, "vm2", "client")["problems"] == []


def test_a_setting_of_a_link_reaches_its_side():
    link = a_link(publish=16379, check="redis", balance="leastconn")
    for host, which, listens in (("vm1", "server", 16379), ("vm2", "client", 6379)):
        (resolved,) = side({"redis": link}, host, which)["links"]
        assert (resolved["listen"], resolved["check"], resolved["balance"]) == (listens, "redis", "leastconn")
        assert (resolved["backend"], resolved["servers"]) == ("redis_server:6379", ["vm1"])


def test_a_host_without_address_is_asked_for_once():
    links = {"redis": a_link(), "db": a_link(port=5432)}
    assert side(links, "vm2", "client", {"vm1": {}})["unknown"] == ["vm1"]


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "fe80::1", "::1", "2001:2::1%eth0"])
def test_an_address_that_no_other_host_can_dial_is_refused(address):
    (problem,) = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ambassador_address": address}}, ipv6=True)["problems"]
    assert f"expected a dialable IP address or a DNS name of host vm1, found {address!r}" in problem


def test_an_address_to_bind_that_is_none_is_refused():
    hostvars = {"vm1": {"ambassador_address": "198.18.0.1", "ambassador_bind": "eth0"}}
    (problem,) = side({"redis": a_link()}, "vm1", "server", hostvars)["problems"]
    assert "found 'eth0' in ambassador_bind" in problem


def test_one_port_on_different_hosts_is_right():
    assert problems({"redis": a_link(), "other": a_link(servers="db", clients="web")}) == []


def test_a_backend_that_leads_back_to_its_link_is_refused():
    (problem,) = problems({"redis": a_link(servers="both", clients="both", backend="redis:6379")})
    assert "link redis, backend" in problem
    assert "the traffic would go round" in problem
    assert problems({"redis": a_link(backend="redis:6379")}) == []


ADDRESSED = {"vm1": {"ambassador_address": "198.18.0.1"}, "vm2": {"ambassador_address": "198.18.0.2"}}
# backends that are the ambassador itself, and other addresses that no container dials
ITSELF = (
    "localhost",
    "LocalHost",
    "a.localhost",
    "ip6-localhost",
    "127.0.0.1",
    "127.9.9.9",
    "[::1]",
    "0.0.0.0",
    "[::]",
    "[::ffff:127.0.0.1]",
)
NOWHERE = ("224.0.0.1", "255.255.255.255", "[ff02::1]", "[fe80::1]", "[::ffff:224.0.0.1]")
NO_NAMES = ("127.1", "2130706433", "0", "0x7f.1", "010.0.0.1")


@pytest.mark.parametrize("name", [*ITSELF, *NOWHERE])
def test_refuses_a_backend_that_no_container_dials_with_the_backend_for_a_program_on_the_host(name):
    reason = (
        "is the ambassador itself, which has an address of its own."
        if name in ITSELF
        else "is not an address of one host that a container reaches."
    )
    sentence = f"Link redis, key backend: '{name}:6379' {reason} Use host:6379 for a program on the server host."
    assert problems({"redis": a_link(backend=f"{name}:6379")}) == [sentence]
    # as the user wrote it, once for all ports
    several = a_link(port=None, ports=[1, 2], backend=name.strip("[]"))
    assert problems({"redis": several}) == [
        f"Link redis, key backend: '{name.strip('[]')}' {reason} Use host for a program on the server host."
    ]


@pytest.mark.parametrize("name", NO_NAMES)
def test_refuses_a_backend_that_a_resolver_takes_for_an_address(name):
    (problem,) = problems({"redis": a_link(backend=f"{name}:6379")})
    assert problem.startswith(f"Link redis, key backend: '{name}:6379' is neither a complete IP address nor a name that DNS resolves.")
    # Docker's DNS resolves a container name of digits on a network
    assert problems({"redis": a_link(backend=f"{name}:6379", network="shop")}) == []


@pytest.mark.parametrize("name", ["a..b", "example.com.", "a" * 64, f"{'a.' * 126}aa", "-a", "_a"])
@pytest.mark.parametrize("network", [None, "shop"])
def test_refuses_a_backend_that_dns_cannot_hold(name, network):
    (problem,) = problems({"redis": a_link(backend=f"{name}:1", network=network)})
    assert problem.startswith("link redis, backend: expected name:port")


@pytest.mark.parametrize("network", ["n..x.", "n" * 64, "x."])
def test_refuses_a_network_in_which_dns_cannot_resolve_the_backend(network):
    (problem,) = problems({"redis": a_link(backend="db:1", network=network)})
    assert problem.startswith(f"Link redis, key network: Docker's DNS cannot resolve db.{network}. Rename the network:")
    # neither the host nor an address is looked up there; and an alias has no name of the network
    for changes in ({"backend": "host:1"}, {"backend": "198.18.0.99:1"}):
        assert side({"redis": a_link(network=network, **changes)}, "vm1", "server")["problems"] == []
    assert problems({"redis": a_link(networks=[network])}) == []


@pytest.mark.parametrize(
    "name",
    [
        "ambassador_server",
        "AMBASSADOR_CLIENT_2",
        "ambassador_client_standin",
        "ambassador_blue_client_standin_3",
        "ambassador_server.ambassador",
    ],
)
def test_refuses_every_ambassador_as_a_backend(name):
    (problem,) = problems({"redis": a_link(backend=f"{name}:6379")})
    assert problem == f"link redis, backend: expected a service, found the ambassador {name}; name the service."


@pytest.mark.parametrize(
    ("backend", "variables"),
    [
        ("198.18.0.1:6379", {}),
        ("[::ffff:198.18.0.1]:6379", {}),
        ("203.0.113.7:6379", {"ambassador_address": "203.0.113.7", "ambassador_bind": "198.18.0.1"}),
        ("198.18.0.1:6379", {"ambassador_address": "203.0.113.7", "ambassador_bind": "198.18.0.1"}),
        # it publishes on all addresses
        ("198.18.0.1:6379", {"ambassador_address": "vm1.example.com", "ansible_facts": {"all_ipv4_addresses": ["198.18.0.1"]}}),
    ],
)
def test_refuses_a_backend_that_is_what_its_own_host_publishes(backend, variables):
    link = a_link(backend=backend)
    assert side({"redis": link}, "vm1", "server", {"vm1": {**ADDRESSED["vm1"], **variables}}, tls=True)["problems"] == [
        f"Link redis, key backend: '{backend}' is the ambassador itself, which publishes this port on this address of host vm1."
        " Use host:6379 for a program on the host."
    ]
    # another port, and the same address and port of another host, are services
    for changes in ({"publish": 7000}, {"servers": "db", "clients": "VM1"}):
        host = "db1" if "servers" in changes else "vm1"
        assert side({"redis": link | changes}, host, "server", {"vm1": {**ADDRESSED["vm1"], **variables}}, tls=True)["problems"] == []


def test_refuses_a_backend_on_the_host_if_the_ambassador_publishes_that_port_on_all_addresses():
    for variables in ({"ambassador_address": "vm1.example.com"}, {"ambassador_bind": "::", **ADDRESSED["vm1"]}):
        told = {"vm1": variables}
        links = {"redis": a_link(publish=7000, backend="host:6379"), "pg": a_link(port=6379)}
        (problem,) = side(links, "vm1", "server", told, tls=True)["problems"]
        assert problem == (
            "Link redis, key backend: 'host:6379' is the ambassador itself, which publishes this port on all addresses of host vm1."
            " Set publish to another port, or ambassador_bind of vm1 to one of its addresses."
        )
        assert side({"redis": links["redis"]}, "vm1", "server", told, tls=True)["problems"] == []
    assert side({"redis": a_link(backend="host:6379")}, "vm1", "server")["problems"] == []


def test_client_side_with_local_on_all_addresses_needs_no_address_of_its_host():
    links = {"redis": a_link(servers="VM1", clients="VM1", local="0.0.0.0:7000")}
    assert side(links, "vm1", "client", {"vm1": {}})["problems"] == []
    (problem,) = side(links, "vm1", "server", {"vm1": {}})["problems"]
    assert problem.startswith("link redis: expected an address of host vm1, found none in facts default_ipv4 and default_ipv6;")


@pytest.mark.parametrize(("local", "target"), [("198.18.0.2:6379", "198.18.0.2:6379"), ("0.0.0.0:6379", "198.18.0.2:6379")])
def test_refuses_targets_that_lead_back_to_the_link(local, target):
    links = {"redis": a_link(servers=None, backend=None, targets=["198.18.0.99:1", target], local=local)}
    (problem,) = side(links, "vm2", "client", ADDRESSED)["problems"]
    assert problem == (
        f"Link redis, key targets: '{target}' leads back to the link, because the link opens {local} on host vm2 (key local)."
        " Set targets to the service, or local to another port."
    )
    # by way of another link
    links["other"] = {**links["redis"], "port": 1, "targets": ["198.18.0.2:7000"]}
    links["redis"]["local"] = "198.18.0.2:7000"
    found = [side(links, "vm2", "client", ADDRESSED)["problems"]]
    assert [[problem.partition(":")[0] for problem in one] for one in found] == [["Link redis, key targets", "Link other, key targets"]]
    links["other"]["targets"] = ["198.18.0.99:7000"]
    assert side(links, "vm2", "client", ADDRESSED)["problems"] == []


@pytest.mark.parametrize(
    ("backend", "local"), [("host:7000", "0.0.0.0:7000"), ("198.18.0.1:7000", "198.18.0.1:7000"), ("198.18.0.1:7000", "0.0.0.0:7000")]
)
def test_refuses_a_backend_that_leads_back_to_the_link_through_local(backend, local):
    links = {"redis": a_link(clients="VM1", backend=backend, local=local)}
    (problem,) = side(links, "vm1", "server", ADDRESSED)["problems"]
    assert problem == (
        f"Link redis, key backend: '{backend}' leads back to the link, because the link opens {local} on host vm1 (key local)."
        " Set backend to the service, or local to another port."
    )
    assert side({"redis": links["redis"] | {"local": "127.0.0.1:7000"}}, "vm1", "server", ADDRESSED)["problems"] == []
    assert side({"redis": links["redis"] | {"clients": "VM2"}}, "vm1", "server", ADDRESSED)["problems"] == []


@pytest.mark.parametrize("backend", ["redis:6379", "REDIS:6379", "redis.ambassador:6379", "Redis.ambassador:6379"])
def test_a_backend_leads_back_by_every_name_that_docker_resolves(backend):
    (problem,) = problems({"Redis": a_link(servers="both", clients="both", backend=backend)})
    assert f"found that {backend.partition(':')[0]!r} is its own alias on vm" in problem


def test_a_backend_on_another_network_than_its_alias_leads_nowhere_back():
    link = a_link(servers="VM1", clients="both", backend="db:5432", network="shop_default")
    assert problems({"db": link}) == []
    assert problems({"db": a_link(clients="both", backend="db.shop_default:5432")}) == []
    for changes in (
        {"networks": ["shop_default"]},
        {"network": "ambassador"},
        {"backend": "db.shop_default:1", "network": None, "networks": ["shop_default"]},
    ):
        changed = {key: value for key, value in {**link, **changes}.items() if value is not None}
        assert "the traffic would go round" in problems({"db": changed})[0]
    # the network of the ambassadors is named by the user, or after the mesh
    own = a_link(clients="both", backend="redis.own:6379")
    assert "the traffic would go round" in Wiring({"redis": own}, hosts_of, network="own").problems[0]
    own["backend"] = "redis.ambassador-blue:6379"
    assert "the traffic would go round" in Wiring({"redis": own}, hosts_of, mesh="blue").problems[0]


@pytest.mark.parametrize(
    ("names", "backend", "sentence"),
    [
        (["vm1", "vm3"], "vm3:1", "Link redis, key backend: 'vm3:1' has the name of the server host vm3."),
        (["vm@1", "vm_1"], "db:1", "Link redis, key servers: HAProxy has one name, vm_1, for the hosts vm@1, vm_1."),
        ([".held"], "db:1", "Link redis, key servers: HAProxy has names like .held for servers of its own."),
        (["vm1.replica2"], "db:1", "Link redis, key servers: HAProxy has names like vm1.replica2 for servers of its own."),
        (["vm1"], "db.replica2:1", "Link redis, key backend: HAProxy has names like db.replica2 for servers of its own."),
    ],
)
def test_refuses_names_that_haproxy_cannot_tell_apart(names, backend, sentence):
    def found(**changes):
        return Wiring({"redis": a_link(servers="servers", backend=backend)}, {"servers": names, "VM2": ["vm2"]}.get, **changes).problems

    (problem,) = found()
    assert problem.startswith(sentence)
    assert not any("HAProxy" in problem or "key backend" in problem for problem in found(engine="nftables"))


def test_a_backend_may_have_the_name_of_the_only_server_host():
    assert problems({"redis": a_link(backend="vm1:6379")}) == []


@pytest.mark.parametrize(("key", "value"), [("backend", "redis_server:6379"), ("publish", 7000), ("network", "shop")])
def test_refuses_keys_of_a_server_side_beside_targets_without_servers(key, value):
    link = a_link(servers=None, backend=None, targets=["198.18.0.99:6379"])
    assert problems({"redis": link}) == []
    sentence = (
        f"Link redis, key {key}: {value!r} is not used, because a link with targets and without servers has no server side."
        f" Remove {key}, or add servers."
    )
    assert problems({"redis": link | {key: value}}) == [sentence]
    assert problems({"redis": a_link(targets=["198.18.0.99:6379"], **{key: value})}) == []
    assert problems({"redis": a_link(targets=["198.18.0.99:6379"], backend=None)}) == [
        "link redis: expected the key backend, found none; add backend to the link."
    ]
    # the service that messages name
    assert side({"redis": link}, "vm2", "client")["links"][0]["backend"] == "198.18.0.99:6379"


def test_refuses_an_underscore_before_a_name_that_has_addresses():
    (problem,) = problems({"db": a_link(targets=["_db.example.com:5432"])})
    assert problem == (
        "link db, targets: expected address:port, with the IP address or the DNS name of one host, found _db.example.com, which is the"
        " name of an SRV record; use targets: srv:_db.example.com for all targets and ports of that record, or the name of a host."
    )
    (problem,) = problems({"db": a_link(targets="srv:db.example.com")})
    assert "expected a list of address:port, or srv: and the name of an SRV record, found 'srv:db.example.com'" in problem
    (problem,) = side({"db": a_link(servers="both")}, "vm2", "client", {"vm1": {"ambassador_address": "_x.example.com"}}, tls=True)[
        "problems"
    ]
    assert problem == (
        "Host vm1, ambassador_address: _x.example.com begins with an underscore, as only names of SRV records do. Use an IP address, or a"
        " DNS name that has addresses."
    )


def test_a_circle_of_links_is_refused():
    links = {
        "one": a_link(port=1, servers="both", clients="both", backend="two:2"),
        "two": a_link(port=2, servers="both", clients="both", backend="one:1"),
    }
    assert len(problems(links)) == 2


def test_a_link_through_a_host_to_the_next_is_right():
    links = {"redis": a_link(), "relay": a_link(port=7000, servers="VM2", clients="web", backend="redis:6379")}
    assert problems(links) == []


def test_an_ambassador_is_no_backend():
    assert "found the ambassador ambassador_server" in problems({"redis": a_link(backend="ambassador_server:6379")})[0]


@pytest.mark.parametrize(
    "changes", [{"servers": "db"}, {"check": "redis"}, {"balance": "first"}, {"targets": ["198.18.0.1:1", "198.18.0.2:1"]}]
)
def test_an_engine_that_cannot_is_refused_with_one_that_can(changes):
    links = {"redis": a_link(**changes)}
    assert problems(links) == []
    (problem,) = problems(links, "socat")
    assert "link redis" in problem
    assert "engine socat" in problem
    assert "haproxy" in problem


def test_socat_does_without_a_check():
    assert problems({"redis": a_link(check="none")}, "socat") == []


def test_an_unknown_engine_is_refused():
    assert problems({"redis": a_link()}, "envoy") == [
        "ambassador_engine: expected one of haproxy, socat, nftables, found 'envoy'; set one of these."
    ]


# -- UDP, and the kernel ------------------------------------------------------------------------------------------


def test_a_link_of_udp_says_so_in_its_variables_and_where_it_is_opened():
    links = {"dns": a_link(port=53, publish=5353, backend="resolver:53", protocol="udp", local="127.0.0.1:53")}
    server, client = side(links, "vm1", "server", engine="nftables"), side(links, "vm2", "client", engine="nftables")
    assert (server["problems"], client["problems"]) == ([], [])
    assert server["variables"]["DNS_PORT_5353_UDP"] == "udp://resolver:53"
    assert client["variables"]["DNS_PORT_53_UDP_PROTO"] == "udp"
    assert client["links"][0]["consumer"]["DNS_PORT"] == "udp://dns:53"
    assert [entry["protocol"] for entry in server["publish"] + client["publish"]] == ["udp", "udp"]
    assert (client["links"][0]["protocol"], client["links"][0]["targets"][0]["variable"]) == ("udp", "DNS_PORT_53_UDP")


def test_tcp_and_udp_share_a_port():
    links = {"dns": a_link(port=53, protocol="udp", local="127.0.0.1:53"), "dns-tcp": a_link(port=53, local="127.0.0.1:53")}
    server = side(links, "vm1", "server", engine="nftables")
    assert (server["problems"], [(entry["port"], entry["protocol"]) for entry in server["publish"]]) == ([], [(53, "udp"), (53, "tcp")])
    links["dns-tcp"]["protocol"] = "udp"
    assert len(problems(links, "nftables")) == 2


@pytest.mark.parametrize(
    ("engine", "changes", "sentence"),
    [
        ("haproxy", {"protocol": "udp"}, "found protocol udp, which it cannot; set ambassador_engine to nftables or remove it."),
        ("socat", {"protocol": "udp"}, "found protocol udp, which it cannot; set ambassador_engine to nftables or remove it."),
        ("nftables", {"check": "redis"}, "found check, which it cannot; set ambassador_engine to haproxy or remove it."),
        ("nftables", {"wait": 5}, "found wait, which it cannot; set ambassador_engine to haproxy or remove it."),
        ("nftables", {"balance": "first"}, "found balance first, which it cannot; set ambassador_engine to haproxy or remove it."),
        (
            "nftables",
            {"servers": "db"},
            "found balance first, which it cannot; set ambassador_engine to haproxy or ask for balance roundrobin or balance source.",
        ),
        (
            "nftables",
            {"servers": "db", "balance": "leastconn"},
            "found balance leastconn, which it cannot; set ambassador_engine to haproxy or ask for balance roundrobin or balance source.",
        ),
    ],
)
def test_what_an_engine_cannot_is_one_sentence_with_a_remedy(engine, changes, sentence):
    assert problems({"redis": a_link(**changes)}, engine) == [f"link redis: expected what engine {engine} can do, {sentence}"]


def test_what_the_kernel_can_is_no_problem():
    links = {"redis": a_link(check="none", drain=0, protocol="tcp"), "web": a_link(port=80, servers="web", balance="roundrobin")}
    links["pg"] = a_link(port=81, servers="web", balance="source")
    assert problems(links, "nftables") == []
    (problem,) = problems(links, "nftables", tls=True)
    assert "expected one that encrypts" in problem


def test_a_target_is_dialled_in_its_family_and_a_name_in_those_of_the_network():
    links = {"redis": a_link(targets=["198.18.0.1:1", "[2001:2::1]:1"], servers=None, backend=None)}
    targets = side(links, "vm2", "client", ipv6=True)["links"][0]["targets"]
    assert [target["families"] for target in targets] == [["ip"], ["ip6"]]
    for ipv6, families in ((True, ["ip", "ip6"]), (False, ["ip"])):
        assert side({"redis": a_link()}, "vm1", "server", ipv6=ipv6)["links"][0]["targets"][0]["families"] == families


def test_an_unknown_side_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="expected one of server, client"):
        side({}, "vm1", "middle")


# -- properties ---------------------------------------------------------------------------------------------------

ALIASES = st.from_regex(r"[A-Za-z]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
PORTS = st.integers(1, 65535)
ADDRESSES = st.ip_addresses().map(str).filter(lambda address: not address.lower().startswith("fe8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(ADDRESSES, PORTS)
def test_an_endpoint_is_read_back(address, port):
    assert parse_endpoint(endpoint(address, port)) == (address, port)


@given(ALIASES)
def test_a_prefix_is_the_name_of_an_environment_variable(alias):
    assert variable_prefix(alias).isidentifier()
    assert variable_prefix(alias) == variable_prefix(alias).upper()


@given(ALIASES, PORTS, ADDRESSES, PORTS)
def test_variables_agree_with_each_other(alias, port, address, target_port):
    prefix = variable_prefix(alias)
    variables = link_variables(prefix, port, address, target_port)
    base = f"{prefix}_PORT_{port}_TCP"
    assert parse_endpoint(variables[base].removeprefix("tcp://")) == (variables[f"{base}_ADDR"], int(variables[f"{base}_PORT"]))


@given(JSON)
def test_no_map_whatsoever_breaks_the_parser(links):
    wiring = Wiring(links, hosts_of)
    assert all(isinstance(problem, str) for problem in wiring.problems)
    assert wiring.problems or links == {}


@given(
    st.dictionaries(
        st.sampled_from(["redis", "db"]),
        st.dictionaries(st.sampled_from(["port", "servers", "clients", "backend", "targets", "local"]), JSON),
    )
)
def test_no_link_whatsoever_breaks_the_parser(links):
    assert all(isinstance(problem, str) for problem in Wiring(links, hosts_of).problems)


@given(st.dictionaries(ALIASES, st.tuples(PORTS, st.sampled_from(list(GROUPS)), st.sampled_from(list(GROUPS))), max_size=8))
def test_every_client_dials_what_a_server_publishes(drawn):
    links = {
        alias: a_link(port=port, servers=servers, clients=clients, backend=f"backend_{number}:{port}")
        for number, (alias, (port, servers, clients)) in enumerate(drawn.items())
    }
    wiring = Wiring(links, hosts_of)
    if wiring.problems:
        return
    sides = {host: wiring.side(host, "server", HOSTVARS) for host in HOSTS}
    for host in HOSTS:
        for link in wiring.side(host, "client", HOSTVARS)["links"]:
            for target in link["targets"]:
                published = sides[target["name"]]["publish"]
                if target["name"] == host:
                    assert (target["address"], target["port"] in [p["port"] for p in published]) == ("ambassador_server", True)
                    continue
                assert (link["alias"], target["address"], target["port"]) in [(p["alias"], p["address"], p["port"]) for p in published]


# -- TLS ----------------------------------------------------------------------------------------------------------


def test_over_tls_a_client_side_verifies_the_name_of_each_server_host():
    client = side({"redis": a_link(servers="db")}, "vm2", "client", tls=True)
    assert [(target["name"], target["verify"]) for target in client["links"][0]["targets"]] == [("db1", "db1"), ("db2", "db2")]


def test_over_tls_a_server_side_verifies_its_peers_and_not_its_backend():
    server = side({"redis": a_link(servers="db")}, "db2", "server", tls=True)
    assert [target["verify"] for target in server["links"][0]["targets"]] == [None, "db1"]


@pytest.mark.parametrize(
    ("changes", "verified"),
    [({"servers": "VM1"}, ["vm1", "vm1"]), ({"servers": "db"}, ["db1", "db2"]), ({"servers": None, "backend": None}, [None, None])],
)
def test_over_tls_explicit_targets_are_the_servers_or_none_of_the_ambassadors(changes, verified):
    client = side({"redis": a_link(targets=["198.18.0.1:1", "198.18.0.2:2"], **changes)}, "vm2", "client", tls=True)
    assert client["problems"] == []
    assert [target["verify"] for target in client["links"][0]["targets"]] == verified


def test_over_tls_targets_that_are_not_one_for_each_server_are_refused():
    (problem,) = problems({"redis": a_link(servers="web", targets=["198.18.0.1:1", "198.18.0.2:2"])}, tls=True)
    assert "link redis, targets: expected one for each of its servers (web1, web2, web3)" in problem
    assert side({"redis": a_link(servers="web", targets=["198.18.0.1:1", "198.18.0.2:2"])}, "vm2", "client", tls=True)["problems"]


def test_a_server_side_admits_its_clients_and_peers_by_name_over_tls_and_by_address_without():
    links = {"redis": a_link(servers="db", clients="both")}
    assert side(links, "db1", "server", tls=True)["links"][0]["admitted"] == ["vm1", "vm2", "db2"]
    assert side(links, "db1", "server")["links"][0]["admitted"] == [HOSTVARS[host]["ambassador_address"] for host in ("vm1", "vm2", "db2")]
    assert side({"redis": a_link(clients="both")}, "vm1", "server")["links"][0]["admitted"][-1] == "gateway"
    assert side({"redis": a_link()}, "vm1", "server", engine="socat")["links"][0]["admitted"] == []


def test_over_tls_links_share_a_port_and_it_is_published_once():
    links = {"redis": a_link(publish=7000), "queue": a_link(port=7001, publish=7000)}
    server = side(links, "vm1", "server", tls=True)
    assert server["problems"] == []
    assert [(entry["alias"], entry["port"]) for entry in server["publish"]] == [("redis", 7000)]
    assert [link["listen"] for link in server["links"]] == [7000, 7000]
    (problem,) = problems(links)
    assert "found publish 7000 more than once" in problem


def test_an_engine_that_cannot_encrypt_is_refused_with_one_that_can():
    (problem,) = problems({"redis": a_link()}, "socat", tls=True)
    assert problem.startswith(
        "ambassador_engine: expected one that encrypts, as ambassador_tls asks for, found socat; set ambassador_engine to haproxy"
    )


def test_a_name_that_no_certificate_holds_is_refused():
    odd = "a b"
    wiring = Wiring({"redis": a_link()}, lambda pattern: [odd] if pattern == "VM2" else [pattern], tls=True)
    (problem,) = wiring.problems
    assert "expected names of hosts that a certificate can hold" in problem
    assert repr(odd) in problem


def test_a_name_that_is_too_long_for_a_certificate_has_another_one_there():
    names = {"VM1": "a" * 64, "VM2": "b" * 200 + ".example.com"}
    wiring = Wiring({"redis": a_link()}, lambda pattern: [names[pattern]], tls=True)
    hostvars = {name: {"ambassador_address": "198.18.0.11"} for name in names.values()}
    (served,), (dialled,) = (wiring.side(names[group], side, hostvars)["links"] for group, side in (("VM1", "server"), ("VM2", "client")))
    assert dialled["targets"][0]["verify"] == names["VM1"]
    assert (served["admitted"], served["clients"]) == ([certified(names["VM2"])], [names["VM2"]])
    assert certified(names["VM2"]).startswith("b" * 46 + "-")
    assert len(certified(names["VM2"])) == 63
    assert certified(names["VM2"]) != certified(names["VM2"] + ".")


def test_a_client_host_without_an_address_does_not_hold_up_the_others_where_addresses_are_let_in():
    hostvars = {**HOSTVARS, "web1": {}}
    links = {"db": a_link(port=5432, servers="VM1", clients="web")}
    served = side(links, "vm1", "server", hostvars)
    assert (served["problems"], served["unknown"], served["left_out"]) == ([], ["web1"], {"web1": ["db"]})
    assert served["links"][0]["admitted"] == [HOSTVARS[host]["ambassador_address"] for host in ("web2", "web3")]
    # names are let in, whatever the address
    named = Wiring(links, lambda pattern: GROUPS.get(pattern, []), tls=True).side("vm1", "server", hostvars)
    assert (named["problems"], named["left_out"], named["links"][0]["admitted"]) == ([], {}, ["web1", "web2", "web3"])
    # and one that serves must have one
    assert "expected an address of host web1" in side({"db": a_link(port=5432, servers="web")}, "web2", "server", hostvars)["problems"][0]


# -- values that nothing can be made of ---------------------------------------------------------------------------


@pytest.mark.parametrize("fact", ["all_ipv4_addresses", "default_ipv4", "interfaces", "machine", "dns", "odd"])
def test_an_interface_that_is_another_fact_has_no_address(fact):
    facts = {"all_ipv4_addresses": ["198.18.0.1"], "default_ipv4": {"address": "198.18.0.1"}, "interfaces": ["eth0"], "machine": "x86_64"}
    facts |= {"dns": {"nameservers": ["198.18.0.1"]}, "odd": {"ipv4": ["198.18.0.1"], "ipv6": "::1"}}
    assert host_address({"ambassador_interface": fact, "ansible_facts": facts})[0] is None


@pytest.mark.parametrize("garbage", [7, "x", [7, {}], {"address": []}, {"address": "198.18.0.1", "interface": "eth0\033[2J"}])
@pytest.mark.parametrize("fact", [*FACTS, "all_ipv4_addresses"])
def test_facts_that_are_garbage_have_no_addresses_and_no_names(fact, garbage):
    for variables in ({OBSERVED: {"facts": {fact: garbage}}}, {OBSERVED: {"facts": garbage}}, {OBSERVED: garbage}):
        address, source = host_address(variables)
        assert (address in (None, "198.18.0.1"), "\033" in source) == (True, False)
        assert own_addresses(variables) | {*source_addresses(variables), *other_addresses(variables, "")} <= {"198.18.0.1"}
        assert host_address({**variables, "ambassador_interface": fact})[0] is None


def test_targets_that_are_no_list_are_refused():
    (problem,) = problems({"redis": a_link(targets={"198.18.0.9:1": "x"})})
    assert "targets: expected a list of address:port, or srv: and the name of an SRV record, found {'198.18.0.9:1': 'x'}" in problem


@pytest.mark.parametrize("local", ["[::1]", "::1"])
def test_the_ports_of_a_link_are_added_to_an_address_with_and_without_brackets(local):
    link = {"ports": [80, 81], "servers": "VM1", "clients": "VM2", "backend": "web", "local": local}
    publish = side({"web": link}, "vm2", "client")["publish"]
    assert [(port["address"], port["port"]) for port in publish] == [("::1", 80), ("::1", 81)]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("0.0.0.0", "::1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "::1", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_an_address_of_one_family_takes_no_port_of_the_other(one, other, both):
    links = {"redis": a_link(local=endpoint(one, 9)), "other": a_link(port=7000, local=endpoint(other, 9))}
    assert bool(problems(links)) is bool(problems(dict(reversed(links.items())))) is both


def test_a_backend_of_ipv6_needs_a_network_with_ipv6():
    links = {"redis": a_link(backend="[2001:2::1]:6379")}
    assert problems(links) == [
        "link redis, backend: expected a service that the network of the ambassadors reaches, found [2001:2::1]:6379 and no IPv6;"
        " set ambassador_ipv6 to true, or name the container."
    ]
    assert Wiring(links, hosts_of, ipv6=True).problems == []
    assert problems({"redis": a_link(backend="[2001:2::1]:6379", network="shop")}) == []


@pytest.mark.parametrize("alias", ["re\ndis", "re\x1b[31mdis", "re\u202edis"])
@pytest.mark.parametrize("settings", [{}, {"port": 1, "user_timeout": 1}, {"ports": [1], "port": 1}, None])
def test_an_alias_that_would_change_the_terminal_is_quoted(alias, settings):
    found = problems({alias: settings})
    assert found
    assert all(problem.isprintable() for problem in found)


# -- messages that show what was written, and what works ----------------------------------------------------------


def test_without_tls_udp_has_one_engine_whichever_is_set():
    links = {"dns": a_link(protocol="udp")}
    (problem,) = problems(links, "haproxy", tls=True)
    assert "found protocol udp, which it cannot; remove it, or set ambassador_engine to nftables and ambassador_tls to false," in problem
    (problem,) = problems(links, "nftables", tls=True)
    assert "found nftables; set ambassador_tls to false, and what" in problem
    assert problem.endswith("(haproxy encrypts, but cannot do protocol udp).")
    assert problems(links, "nftables") == []


def test_two_links_that_need_different_engines_are_not_sent_to_either():
    links = {"dns": a_link(protocol="udp"), "redis": a_link(port=6380, check="redis")}
    assert problems(links) == [
        "link dns: expected what engine haproxy can do, found protocol udp, which it cannot; remove it (nftables can, but not check)."
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"targets": "srv:_a._tcp.example.com"}, "found 'srv:_a._tcp.example.com'; use port for an SRV record, which gives the port."),
        (
            {"backend": "a b"},
            "backend: expected a name or an address without a port, for each of its ports leads to the same one there, found 'a b'",
        ),
        ({"backend": "db:1"}, "without a port, for each of its ports leads to the same one there, found 'db:1'; correct it."),
        ({"local": "here"}, "without a port, for each of its ports leads to the same one there, found 'here'; correct it."),
        ({"targets": ["127.0.0.1"]}, "without a port, for each of its ports leads to the same one there, found '127.0.0.1'; correct it."),
    ],
)
def test_a_wrong_value_of_several_ports_is_shown_once_as_it_was_written(changes, sentence):
    (problem,) = problems({"redis": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "db", **changes}})
    assert sentence in problem


def test_a_publish_that_all_ports_of_a_link_share_is_a_mistake_of_one_link():
    links = {"rabbit": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "rabbit", "publish": 7000}}
    assert problems(links) == [
        "link rabbit, publish: expected a listening port for each of its ports, found 7000 for all of them; remove publish, or set"
        " ambassador_tls to true."
    ]
    assert problems(links, tls=True) == []


def test_a_port_that_two_links_share_is_called_publish_if_one_has_it():
    (problem,) = problems({"redis": a_link(), "other": a_link()})
    assert "found port 6379 more than once on the server side of vm1; set publish of all but one to another port." in problem
    (problem,) = problems({"redis": a_link(), "other": a_link(port=7000, publish=6379)})
    assert "found publish 6379 more than once" in problem


def test_the_address_that_needs_ipv6_is_the_one_to_change():
    hostvars = {"vm1": {"ambassador_address": "2001:2::1"}}
    (problem,) = side({"redis": a_link()}, "vm2", "client", hostvars)["problems"]
    assert problem.endswith("set ambassador_ipv6 to true, or set ambassador_address of vm1 to one of IPv4.")
    (problem,) = side({"redis": a_link(targets=["[2001:2::1]:1"])}, "vm2", "client")["problems"]
    assert problem.endswith("set ambassador_ipv6 to true, or write an IPv4 address in targets.")


@pytest.mark.parametrize("key", ["port", "backend", "check", "wait", "local", "targets", "networks", "servers", "max_connections"])
def test_a_key_without_a_value_has_nothing(key):
    link = {**a_link(), key: None}
    (problem,) = problems({"redis": link})
    assert ", found nothing; " in problem


# what YAML can make of a value
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["[::1]", "::1", "srv:_a._tcp.example.com", "a:1", "[a]:1", "1..2", "é", "vm1\n"]),
    st.lists(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text(), max_size=1)), max_size=2),
    st.dictionaries(st.text(), st.text(), max_size=2),
)


@given(
    st.dictionaries(
        st.one_of(st.text(), st.integers(), st.none(), st.just("redis")),
        st.one_of(
            ODD,
            st.dictionaries(
                st.sampled_from([*SCHEMA, "odd"]),
                ODD,
            ),
        ),
        max_size=3,
    ),
    st.booleans(),
    st.sampled_from(["haproxy", "socat", "nftables"]),
)
def test_no_map_raises_and_no_message_shows_nothing_as_none(links, tls, engine):
    whole = {alias: {**a_link(), **link} if isinstance(link, dict) else link for alias, link in links.items()}
    for each in (links, whole):
        for problem in problems(each, engine, tls):
            assert "found None" not in problem
            assert problem.isprintable(), problem
