"""The wiring: the sides that a map and an inventory resolve to, and the problems of a wrong map."""

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.link_variables import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import parse_endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import (
    OBSERVED,
    certificate_name,
    find_host_address,
    list_host_addresses,
    list_other_addresses,
    list_source_addresses,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import link_variables, variable_files, variable_prefix
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring, networks, resolve_host_backend
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


def has_values(problem, **values):
    """Return whether a problem has these values, and maybe others."""
    return values.items() <= dict(problem.values).items()


def side(links, host, which, hostvars=HOSTVARS, engine="haproxy", ipv6=False, tls=False):
    return Wiring(links, hosts_of, engine, ipv6, tls).side(host, which, {**HOSTVARS, **hostvars})


@pytest.mark.parametrize(
    "names",
    [
        ["vm1", "VM1"],
        # the second one is the shortened name of the first one in its certificate
        ["a" * 70, certificate_name("a" * 70)],
        ["a" * 70, certificate_name("a" * 70).upper()],
    ],
    ids=["case", "shortened", "shortened, case"],
)
def test_refuses_hosts_with_the_same_name_in_certificates(names):
    def find_problems(tls):
        links = {"redis": a_link(servers="servers", clients="db")}
        return Wiring(links, {"servers": names, "db": ["db1"]}.get, tls=tls).problems

    (problem,) = find_problems(True)
    assert problem.message is MapMessage.CERTIFICATE_NAME_CONFLICT
    assert has_values(problem, hosts=", ".join(names))
    assert find_problems(False) == []


# -- sides of a map without problems ------------------------------------------------------------------------------


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


def test_wiring_has_the_normal_form_of_an_address():
    written, normal = "2001:DB8:0::1", "2001:db8::1"
    links = {"redis": a_link(local=f"[{written}]:7000"), "pg": a_link(port=5432, targets=[f"[{written}]:5432"])}
    hostvars = {"vm1": {"ambassador_address": written}}
    for variables in (hostvars, {"vm1": {"ambassador_address": "198.18.0.1", "ambassador_bind": written}}):
        assert side(links, "vm1", "server", variables, ipv6=True)["publish"][0]["address"] == normal
    client = side(links, "vm2", "client", hostvars, ipv6=True)
    assert client["publish"][0]["address"] == normal
    assert [target["address"] for link in client["links"] for target in link["targets"]] == [normal] * 2
    assert client["variables"]["REDIS_PORT_6379_TCP_ADDR"] == normal
    # HAProxy compares the addresses of clients letter by letter
    hostvars = {"vm2": {"ambassador_address": written}}
    assert side(links, "vm1", "server", hostvars, ipv6=True)["links"][0]["admitted"] == [normal]
    links = {"redis": a_link(clients="VM1", local=f"[{written}]:6379")}
    (problem,) = side(links, "vm1", "client", {"vm1": {"ambassador_address": written}}, ipv6=True)["problems"]
    assert problem.message is MapMessage.LOCAL_PUBLISHED
    assert has_values(problem, host="vm1", other="redis", local=f"[{normal}]:6379")
    (problem,) = problems({"redis": a_link(local=f"[{written}]:9"), "pg": a_link(port=5432, local=f"[{normal}]:9")})
    assert problem.message is MapMessage.LOCAL_CONFLICT


def test_consumer_dials_the_alias():
    consumer = side({"my-cache": a_link()}, "vm2", "client")["links"][0]["consumer"]
    assert consumer["MY_CACHE_PORT_6379_TCP"] == "tcp://my-cache:6379"
    assert consumer["MY_CACHE_PORT_6379_TCP_ADDR"] == "my-cache"


def test_wiring_is_empty_for_a_host_outside_of_the_link():
    for host, which in (("vm1", "client"), ("vm2", "server"), ("web1", "client")):
        resolved = side({"redis": a_link()}, host, which)
        assert (resolved["links"], resolved["variables"], resolved["publish"], resolved["problems"]) == ([], {}, [], [])


def test_server_side_forwards_to_its_backend_then_to_other_server_hosts():
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
    for value, seconds in ((None, default), (0, 0), ("7", 7)):
        assert side({"redis": a_link(**{key: value})}, "vm2", "client")["links"][0][key] == seconds


@pytest.mark.parametrize("key", ["wait", "drain"])
@pytest.mark.parametrize("seconds", [-1, 1.5, True, "3s", "", 10000])
def test_refuses_seconds_that_are_not_whole_or_beyond_the_limits(key, seconds):
    (problem,) = problems({"redis": a_link(**{key: seconds})})
    values = {"value": repr(seconds), "minimum": "0", "maximum": "9999"}
    assert problem == MapMessage.SECONDS_INVALID.at(Place(link="redis", key=key), **values)


def test_refuses_a_removed_key_with_the_reason():
    reason = "Connections on a dead path end within 15 seconds without it."
    for engine in ("haproxy", "socat", "nftables"):
        refusal = MapMessage.KEY_REMOVED.at(Place(link="redis", key="user_timeout"), reason=reason)
        assert problems({"redis": a_link(user_timeout=30)}, engine=engine) == [refusal]


def test_link_sends_the_address_of_the_consumer_if_send_proxy_is_true():
    for value, is_sent in ((None, False), (True, True), (False, False)):
        assert side({"redis": a_link(send_proxy=value)}, "vm2", "client")["links"][0]["send_proxy"] is is_sent
    for value in ("yes", 1, "true"):
        refusal = MapMessage.BOOLEAN_INVALID.at(Place(link="redis", key="send_proxy"), value=repr(value))
        assert problems({"redis": a_link(send_proxy=value)}) == [refusal]
    for engine in ("socat", "nftables"):
        assert problems({"redis": a_link(send_proxy=False)}, engine=engine) == []
        (problem,) = problems({"redis": a_link(send_proxy=True)}, engine=engine)
        assert problem.message is MapMessage.FEATURE_UNSUPPORTED
        assert has_values(problem, feature="send_proxy", engines="haproxy")


# -- where services and consumers are ------------------------------------------------------------------------------


def test_backend_on_another_network_is_dialed_by_its_name_on_that_network():
    link = a_link(backend="db:5432", network="shop_default", networks=["web", "jobs"])
    server, client = side({"db": link}, "vm1", "server"), side({"db": link}, "vm2", "client")
    # Docker's own form, because a container of another network may have the same name
    assert server["links"][0]["targets"][0]["address"] == "db.shop_default"
    assert server["variables"]["DB_PORT_6379_TCP_ADDR"] == "db.shop_default"
    assert (server["links"][0]["networks"], client["links"][0]["networks"]) == (["shop_default"], ["web", "jobs"])
    links = [*client["links"], {**client["links"][0], "alias": "other", "name": "other", "networks": ["web"]}]
    assert networks(links, "client") == {"jobs": ["db"], "web": ["db", "other"]}
    assert networks(server["links"], "server") == {"shop_default": []}
    assert networks([{"alias": "held by version 0.1.0"}], "server") == {}
    for backend in ("10.0.0.5:5432", "host:5432"):
        target = side({"db": a_link(backend=backend, network="shop_default")}, "vm1", "server")["links"][0]["targets"][0]
        assert target["address"] == backend.partition(":")[0]


def test_backend_host_is_dialed_at_the_address_of_the_host_for_containers():
    links = {"db": a_link(backend="host:5432", servers="both"), "host": a_link(port=1, backend="other:1")}
    assert problems(links) == []
    server = resolve_host_backend(side(links, "vm1", "server"), "198.19.0.1")
    backend, peer = server["links"][0]["targets"]
    assert ((backend["name"], backend["address"]), peer["address"]) == (("host", "198.19.0.1"), HOSTVARS["vm2"]["ambassador_address"])
    assert server["variables"]["DB_1_PORT_6379_TCP"] == "tcp://198.19.0.1:5432"
    assert server["variables"]["HOST_PORT_1_TCP_ADDR"] == "other"


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


def test_explicit_targets_are_dialed_even_on_their_own_host():
    links = {"redis": a_link(clients="VM1", targets=["198.18.0.11:7000"])}
    (target,) = side(links, "vm1", "client")["links"][0]["targets"]
    assert (target["address"], target["on_this_host"]) == ("198.18.0.11", False)
    assert not side(links, "vm1", "server")["serves_itself"]


@pytest.mark.parametrize("name", ["bridge", "host", "none", "", "-a", "a b", 7, None, "a/b"])
def test_refuses_a_network_on_which_containers_have_no_names(name):
    values = {"value": "an empty value" if name is None else repr(name), "nameless": "bridge, host, none"}
    if name is not None:
        refusal = MapMessage.NETWORK_INVALID.at(Place(link="redis", key="network"), **values)
        assert problems({"redis": a_link(network=name)}) == [refusal]
    assert problems({"redis": a_link(networks=["web", name])}) == [
        MapMessage.NETWORK_INVALID.at(Place(link="redis", key="networks"), **values)
    ]
    (problem,) = problems({"redis": a_link(networks="web")})
    assert problem == MapMessage.NETWORKS_INVALID.at(Place(link="redis", key="networks"), value="'web'")


@pytest.mark.parametrize("key", ["connect", "check_interval"])
def test_parts_of_a_second_have_no_default_and_limits(key):
    for value, milliseconds in ((None, None), (2, 2000), ("0.5", 500), (99.25, 99250), (0.05, 50)):
        assert side({"redis": a_link(**{key: value})}, "vm2", "client")["links"][0][key] == milliseconds
    for value in (0, -1, 0.01, True, "3s", "", 100, "1.2345"):
        values = {"value": repr(value), "minimum": "0.05", "maximum": "99"}
        refusal = MapMessage.FRACTION_INVALID.at(Place(link="redis", key=key), **values)
        assert problems({"redis": a_link(**{key: value})}) == [refusal]


@pytest.mark.parametrize("number", [0, -1, "many", True, 1.5, 12345678])
def test_refuses_an_invalid_number_of_connections(number):
    values = {"value": repr(number), "minimum": "1", "maximum": "9999999"}
    refusal = MapMessage.NUMBER_INVALID.at(Place(link="redis", key="max_connections"), **values)
    assert problems({"redis": a_link(max_connections=number)}) == [refusal]


def test_several_servers_are_numbered_in_the_order_of_the_inventory():
    client = side({"db": a_link(port=5432, servers="db", clients="web")}, "web2", "client")
    addresses = [HOSTVARS[host]["ambassador_address"] for host in GROUPS["db"]]
    assert client["variables"]["DB_1_PORT_5432_TCP_ADDR"] == addresses[0]
    assert client["variables"]["DB_2_PORT_5432_TCP_ADDR"] == addresses[1]
    assert client["variables"]["DB_PORT_5432_TCP_ADDR"] == addresses[0]
    assert [target["variable"] for target in client["links"][0]["targets"]] == ["DB_1_PORT_5432_TCP", "DB_2_PORT_5432_TCP"]


def test_host_serves_one_link_and_consumes_another():
    links = {"redis": a_link(), "db": a_link(port=5432, servers="VM2", clients="VM1", backend="postgres:5432")}
    assert [link["alias"] for link in side(links, "vm1", "server")["links"]] == ["redis"]
    assert [link["alias"] for link in side(links, "vm1", "client")["links"]] == ["db"]


def test_explicit_targets_replace_hosts_of_the_inventory():
    client = side({"redis": a_link(servers=None, backend=None, targets=["198.18.0.99:1", "[2001:2::1]:2"])}, "vm2", "client", {}, ipv6=True)
    assert client["problems"] == []
    assert client["variables"]["REDIS_1_PORT_6379_TCP"] == "tcp://198.18.0.99:1"
    assert client["variables"]["REDIS_2_PORT_6379_TCP"] == "tcp://[2001:2::1]:2"
    assert client["variables"]["REDIS_2_PORT_6379_TCP_ADDR"] == "2001:2::1"


def test_refuses_a_server_with_an_ipv6_address_if_the_network_has_no_ipv6():
    hostvars = {"vm1": {"ambassador_address": "2001:2::11"}}
    assert side({"redis": a_link()}, "vm2", "client", hostvars, ipv6=True)["problems"] == []
    (problem,) = side({"redis": a_link()}, "vm2", "client", hostvars)["problems"]
    assert problem == MapMessage.SERVER_NEEDS_IPV6.at(Place(link="redis"), target="[2001:2::11]:6379", host="vm1")


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
        # the observation of this run is newer than gathered or cached facts
        ({"__ambassador_engine_observed": {"facts": FACTS}, "ansible_facts": {"default_ipv4": {"address": "198.18.0.99"}}}, "198.18.0.11"),
        ({"__ambassador_engine_observed": {"unreachable": True}, "ansible_facts": FACTS}, "198.18.0.11"),
        ({"ansible_host": "192.0.2.9", "ansible_facts": {}}, None),
        ({"ambassador_interface": "eth9", "ansible_facts": FACTS}, None),
        ({}, None),
    ],
)
def test_address_of_a_host_comes_from_the_first_source_that_has_one(variables, address):
    assert find_host_address(variables)[0] == address


def test_sources_of_a_host_are_the_addresses_from_which_it_connects():
    variables = {"ambassador_address": "192.0.2.1", "ansible_facts": FACTS}
    assert list_source_addresses(variables) == ["192.0.2.1", "198.18.0.11", "2001:2::11"]
    assert list_source_addresses({"ambassador_address": "host.example"}) == []


def test_server_side_knows_the_sources_of_its_clients_and_peers():
    links = {"redis": a_link(clients="both"), "db": a_link(port=5432, servers="both", clients="VM2")}
    assert side(links, "vm1", "server", tls=True)["sources"] == {"vm2": [HOSTVARS["vm2"]["ambassador_address"]]}
    assert side(links, "vm2", "client", tls=True)["sources"] == {}
    assert side({"redis": a_link()}, "vm1", "server", engine="nftables")["sources"] == {}


def test_refuses_a_server_host_without_an_address():
    client = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ansible_host": "192.0.2.9"}})
    assert client["unknown"] == ["vm1"]
    (problem,) = client["problems"]
    assert (problem.message, problem.place) == (MapMessage.ADDRESS_MISSING, Place(link="redis", host="vm1"))
    assert client["unknown_problems"] == [problem]


NAMED = {**HOSTVARS, "vm1": {"ambassador_address": "vm1.example.com"}}


def test_address_that_is_a_name_is_resolved_and_its_host_publishes_on_all_addresses():
    links = {"redis": a_link(local="127.0.0.1:6379")}
    client, server = side(links, "vm2", "client", NAMED, tls=True), side(links, "vm1", "server", NAMED, tls=True)
    (target,) = client["links"][0]["targets"]
    # the name that TLS verifies stays the name in the inventory
    assert (target["address"], target["dns"], target["verify"], client["problems"]) == ("vm1.example.com", "A", "vm1", [])
    assert client["variables"]["REDIS_PORT_6379_TCP"] == "tcp://vm1.example.com:6379"
    assert ([port["address"] for port in server["publish"]], server["links"][0]["targets"][0]["dns"]) == (["0.0.0.0"], None)
    bound = {**NAMED, "vm1": {**NAMED["vm1"], "ambassador_bind": "10.0.0.1"}}
    assert [port["address"] for port in side(links, "vm1", "server", bound, tls=True)["publish"]] == ["10.0.0.1"]
    clash = {"redis": a_link(servers="both", local="127.0.0.1:6379")}
    named = {**NAMED, "vm2": {"ambassador_address": "vm2.example.com"}}
    problem = side(clash, "vm2", "client", named, tls=True)["problems"][0]
    assert problem.message is MapMessage.LOCAL_PUBLISHED
    assert has_values(problem, host="vm2", other="redis")


@pytest.mark.parametrize("address", ["vm1", "198.18.0", "-a.example"])
def test_refuses_an_address_that_is_neither_an_ip_address_nor_a_name_of_several_labels(address):
    (problem,) = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ambassador_address": address}}, tls=True)["problems"]
    assert problem == MapMessage.ADDRESS_INVALID.at(Place(link="redis", host="vm1"), address=repr(address), origin="ambassador_address")


def test_refuses_the_name_of_a_client_host_without_tls_and_engines_without_dns_refuse_all_names():
    named = {**HOSTVARS, "vm2": {"ambassador_address": "vm2.example.com"}}
    (problem,) = side({"redis": a_link()}, "vm1", "server", named)["problems"]
    assert problem == MapMessage.ADDRESS_NEEDS_TLS.at(Place(link="redis", host="vm2"), address="vm2.example.com")
    for engine in ("socat", "nftables"):
        (problem,) = side({"redis": a_link()}, "vm2", "client", NAMED, engine=engine)["problems"]
        assert (problem.message, problem.place) == (MapMessage.ADDRESS_NEEDS_DNS, Place(link="redis", host="vm1"))
        assert has_values(problem, engine=engine, address="vm1.example.com")
        (problem,) = problems({"redis": a_link(targets=["db.example.com:1"])}, engine)
        assert problem.message is MapMessage.FEATURE_UNSUPPORTED
        assert has_values(problem, engine=engine, feature="a DNS name", engines="haproxy")


def test_targets_are_names_or_those_of_an_srv_record():
    client = side({"redis": a_link(targets=["db.example.com:1", "198.18.0.9:2"])}, "vm2", "client")
    assert [(target["address"], target["port"], target["dns"]) for target in client["links"][0]["targets"]] == [
        ("db.example.com", 1, "A"),
        ("198.18.0.9", 2, None),
    ]
    client = side({"redis": a_link(targets="srv:_redis._tcp.example.com")}, "vm2", "client")
    assert [(target["address"], target["dns"]) for target in client["links"][0]["targets"]] == [("_redis._tcp.example.com", "SRV")]
    assert client["problems"] == []


# -- problems of a wrong map --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message", "key", "values"),
    [
        ({"prot": 1}, MapMessage.KEY_MISSPELLED, "", {"key": "'prot'", "suggestion": "port"}),
        ({"port": 0}, MapMessage.PORT_INVALID, "port", {"value": "0", "minimum": "1", "maximum": "65535"}),
        ({"port": 65536}, MapMessage.PORT_INVALID, "port", {"value": "65536"}),
        ({"port": "six"}, MapMessage.PORT_INVALID, "port", {"value": "'six'"}),
        ({"port": True}, MapMessage.PORT_INVALID, "port", {"value": "True"}),
        ({"port": 6379.5}, MapMessage.PORT_INVALID, "port", {"value": "6379.5"}),
        ({"publish": -1}, MapMessage.PORT_INVALID, "publish", {"value": "-1"}),
        ({"port": None}, MapMessage.KEY_MISSING, "", {"key": "port"}),
        ({"servers": None}, MapMessage.KEY_MISSING, "", {"key": "servers"}),
        ({"servers": "vm9"}, MapMessage.PATTERN_WITHOUT_HOSTS, "servers", {"value": "'vm9'"}),
        ({"clients": "vm9"}, MapMessage.PATTERN_WITHOUT_HOSTS, "clients", {"value": "'vm9'"}),
        ({"clients": ["VM2"]}, MapMessage.PATTERN_INVALID, "clients", {"value": "['VM2']"}),
        ({"backend": "redis_server"}, MapMessage.BACKEND_INVALID, "backend", {"value": "'redis_server'"}),
        ({"backend": "a b:1"}, MapMessage.BACKEND_INVALID, "backend", {"value": "'a b:1'"}),
        ({"backend": "redis:70000"}, MapMessage.BACKEND_INVALID, "backend", {"value": "'redis:70000'"}),
        ({"backend": "$(id):1"}, MapMessage.BACKEND_INVALID, "backend", {"value": "'$(id):1'"}),
        (
            {"check": "ping"},
            MapMessage.CHOICE_INVALID,
            "check",
            {"value": "'ping'", "choices": "tcp, redis, postgresql, mysql, http, smtp, or none"},
        ),
        ({"balance": "source", "send_proxy": True}, MapMessage.BALANCE_WITH_SEND_PROXY, "balance", {"value": "'source'"}),
        ({"balance": "random"}, MapMessage.CHOICE_INVALID, "balance", {"choices": "first, roundrobin, leastconn, or source"}),
        ({"local": "6379"}, MapMessage.LOCAL_INVALID, "local", {"value": "'6379'", "example": "127.0.0.1:6379"}),
        ({"targets": []}, MapMessage.TARGETS_INVALID, "targets", {"value": "[]"}),
        ({"targets": ["vm1:6379"]}, MapMessage.TARGET_INVALID, "targets", {"value": "'vm1:6379'"}),
    ],
)
def test_refuses_a_wrong_value_with_link_key_and_value(changes, message, key, values):
    refusals = [problem for problem in problems({"redis": a_link(**changes)}) if problem.message is message]
    assert [problem.place for problem in refusals] == [Place(link="redis", key=key)]
    assert has_values(refusals[0], **values)


@pytest.mark.parametrize("alias", ["-redis", "redis_1", "1redis", "r" * 64, 6379])
def test_refuses_an_alias_that_is_not_a_dns_label(alias):
    assert MapMessage.ALIAS_INVALID.at(Place(link=str(alias)), alias=repr(alias)) in problems({alias: a_link()})


@pytest.mark.parametrize("alias", ["localhost", "H2", "ambassador", "ambassador-drain"])
def test_refuses_a_reserved_alias(alias):
    assert MapMessage.ALIAS_RESERVED.at(Place(link=alias), alias=repr(alias)) in problems({alias: a_link()})


def test_refuses_a_key_that_is_like_no_other_key_with_all_keys():
    (problem,) = problems({"redis": a_link(xyzzy=1)})
    assert (problem.message, problem.place) == (MapMessage.KEY_UNKNOWN, Place(link="redis"))
    assert all(key in dict(problem.values)["keys"] for key in SCHEMA)


def test_all_problems_of_all_links_are_returned():
    places = [problem.place.link for problem in problems({"redis": a_link(port=0, clients="vm9"), "-": a_link(backend="x"), "db": None})]
    assert [places.count(alias) for alias in ("redis", "-", "db")] == [2, 2, 1]


@pytest.mark.parametrize(
    ("links", "kind"),
    [(None, "empty"), ([], "a list"), ("redis", "a string"), (1, "a number"), (True, "a boolean"), (object(), "of another type")],
)
def test_refuses_links_that_are_no_map(links, kind):
    assert problems(links) == [MapMessage.MAP_INVALID.at(Place(variable="ambassador_links"), kind=kind)]
    assert problems({"redis": links}) == [MapMessage.LINK_INVALID.at(Place(link="redis"), kind=kind)]


def test_refuses_aliases_with_the_same_variables():
    (problem,) = problems({"my-cache": a_link(port=1), "MY-CACHE": a_link(port=2)})
    assert problem == MapMessage.VARIABLE_CONFLICT.at(Place(link="MY-CACHE"), other="my-cache", variable="MY_CACHE_PORT")


def test_refuses_an_alias_with_the_variables_of_a_port_of_another():
    rabbit = {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "rabbit"}
    (problem,) = problems({"rabbit": rabbit, "rabbit-5672": a_link(port=1)})
    values = {"other": "rabbit", "variable": "AMBASSADOR_DRAIN_RABBIT_5672"}
    assert problem == MapMessage.VARIABLE_CONFLICT.at(Place(link="rabbit-5672"), **values)


def test_refuses_an_alias_with_the_variables_of_a_number_of_another():
    links = {"db": a_link(port=5432, servers="db"), "db-1": a_link(port=5433)}
    problem = problems(links)[0]
    assert (problem.message, problem.place) == (MapMessage.VARIABLE_CONFLICT, Place(link="db-1"))
    assert has_values(problem, other="db")
    assert dict(problem.values)["variable"].startswith("DB_1_PORT")
    assert problems({"db": a_link(port=5432), "db-1": a_link(port=5433)}) == []


@pytest.mark.parametrize(
    ("second", "message", "place", "values"),
    [
        (
            {"port": 7000, "publish": 6379},
            MapMessage.PORT_CONFLICT,
            Place(link="redis", key="publish"),
            {"others": "link other", "port": 6379, "hosts": "vm1"},
        ),
        (
            {"port": 7000, "local": "127.0.0.1:9"},
            MapMessage.LOCAL_CONFLICT,
            Place(link="other", key="local"),
            {"local": "127.0.0.1:9", "other": "redis", "other_local": "127.0.0.1:9", "hosts": "vm2"},
        ),
    ],
)
def test_refuses_two_links_on_one_listening_port(second, message, place, values):
    refusals = problems({"redis": a_link(local="127.0.0.1:9"), "other": a_link(**second)})
    assert refusals == [message.at(place, **values)]


def test_port_conflict_names_all_links_and_the_first_hosts():
    links = {alias: a_link(servers="servers") for alias in ("a", "b", "c")}
    hosts = ["vm1", "vm2", "vm3", "vm4", "vm5"]
    (problem,) = Wiring(links, lambda pattern: hosts if pattern == "servers" else ["web1"]).problems
    assert problem.place == Place(link="a", key="port")
    assert has_values(problem, others="links b, c", hosts="vm1, vm2, vm3 and 2 more")


def test_two_links_share_a_port_for_consumers():
    assert problems({"redis": a_link(), "other": a_link(publish=7000)}) == []


def test_name_with_several_ports_has_a_link_for_each():
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
    assert [(port["address"], port["port"], port["container_port"], port["protocol"]) for port in client["publish"]][:2] == [
        ("127.0.0.1", 53, 53, "tcp"),
        ("127.0.0.1", 53, 53, "udp"),
    ]
    # as with Docker's links, the first port has the variables without a number
    assert client["variables"]["RABBIT_PORT"] == "tcp://198.18.0.8:53"
    assert client["variables"]["RABBIT_PORT_53_UDP"] == "udp://198.18.0.8:53"
    (content,) = variable_files(client["links"]).values()
    assert content.splitlines()[0] == "RABBIT_PORT=tcp://rabbit:53"
    assert {"RABBIT_PORT_53_UDP=udp://rabbit:53", "RABBIT_PORT_15672_TCP_PORT=15672"} < set(content.splitlines())
    assert FilterModule().filters()["link_variables"](links, "rabbit") == dict(line.split("=") for line in content.splitlines())
    # over TLS they may share a port of the server host
    tls = {"rabbit": {**rabbit, "ports": [5672, 15672], "publish": 7000, "targets": ["198.18.0.20"]}}
    client = side(tls, "vm2", "client", tls=True)
    assert ([link["targets"][0]["port"] for link in client["links"]], client["problems"]) == ([5672, 15672], [])
    server = side(tls, "vm1", "server", tls=True)
    assert [port["port"] for port in server["publish"]] == [7000]
    assert [link["targets"][0]["variable"] for link in server["links"]] == ["RABBIT_PORT_5672_TCP", "RABBIT_PORT_15672_TCP"]
    assert server["variables"]["RABBIT_PORT_15672_TCP"] == "tcp://rabbit:15672"


@pytest.mark.parametrize(
    ("changes", "message", "key", "values"),
    [
        ({"ports": 5672}, MapMessage.PORTS_INVALID, "ports", {"value": "5672"}),
        ({"ports": []}, MapMessage.PORTS_INVALID, "ports", {"value": "[]"}),
        ({"ports": None}, MapMessage.PORTS_INVALID, "ports", {"value": "an empty value"}),
        ({"ports": ["53/sctp"]}, MapMessage.PORTS_INVALID, "ports", {"value": "['53/sctp']"}),
        ({"ports": [1, "1/tcp"]}, MapMessage.PORTS_DUPLICATE, "ports", {"value": "[1, '1/tcp']"}),
        ({"port": 1}, MapMessage.PORTS_CONFLICT, "ports", {"key": "port", "value": "1"}),
        ({"backend": "db:1"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "backend", {"value": "'db:1'"}),
        ({"local": "127.0.0.1:9"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "local", {"value": "'127.0.0.1:9'"}),
        ({"local": "here"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "local", {"value": "'here'"}),
        ({"clients": "nobody"}, MapMessage.PATTERN_WITHOUT_HOSTS, "clients", {"value": "'nobody'"}),
    ],
)
def test_problem_of_several_ports_is_returned_once(changes, message, key, values):
    refusals = problems({"redis": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "db", **changes}})
    assert message.at(Place(link="redis", key=key), **values) in refusals
    assert len(refusals) == len(set(refusals))


@pytest.mark.parametrize("local", ["0.0.0.0:9", "127.0.0.1:9"])
def test_local_on_all_addresses_conflicts_with_every_local_at_the_port(local):
    links = {"redis": a_link(local=local), "other": a_link(port=1, publish=1, local="0.0.0.0:9")}
    assert len(problems(links)) == 1


def test_refuses_a_local_at_a_port_that_the_same_host_publishes():
    links = {"redis": a_link(servers="both", clients="VM2", local=f"{HOSTVARS['vm2']['ambassador_address']}:6379")}
    (problem,) = side(links, "vm2", "client")["problems"]
    assert (problem.message, problem.place) == (MapMessage.LOCAL_PUBLISHED, Place(link="redis", key="local"))
    links["redis"]["local"] = "127.0.0.1:6379"
    assert side(links, "vm2", "client")["problems"] == []


def test_setting_of_a_link_is_in_the_wiring_of_its_sides():
    link = a_link(publish=16379, check="redis", balance="leastconn")
    for host, which, listening_port in (("vm1", "server", 16379), ("vm2", "client", 6379)):
        (resolved,) = side({"redis": link}, host, which)["links"]
        assert (resolved["listen"], resolved["check"], resolved["balance"]) == (listening_port, "redis", "leastconn")
        assert (resolved["backend"], resolved["servers"]) == ("redis_server:6379", ["vm1"])


def test_host_without_an_address_is_unknown_once():
    links = {"redis": a_link(), "db": a_link(port=5432)}
    assert side(links, "vm2", "client", {"vm1": {}})["unknown"] == ["vm1"]


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "fe80::1", "::1", "2001:2::1%eth0"])
def test_refuses_an_address_that_no_other_host_can_dial(address):
    (problem,) = side({"redis": a_link()}, "vm2", "client", {"vm1": {"ambassador_address": address}}, ipv6=True)["problems"]
    assert (problem.message, problem.place) == (MapMessage.ADDRESS_INVALID, Place(link="redis", host="vm1"))
    assert has_values(problem, address=repr(address))


def test_refuses_a_bind_address_that_is_none():
    hostvars = {"vm1": {"ambassador_address": "198.18.0.1", "ambassador_bind": "eth0"}}
    (problem,) = side({"redis": a_link()}, "vm1", "server", hostvars)["problems"]
    assert problem == MapMessage.BIND_INVALID.at(Place(link="redis", host="vm1"), address="'eth0'")


def test_links_share_a_port_on_different_hosts():
    assert problems({"redis": a_link(), "other": a_link(servers="db", clients="web")}) == []


def test_refuses_a_backend_that_is_the_alias_of_the_link_on_the_same_host():
    (problem,) = problems({"redis": a_link(servers="both", clients="both", backend="redis:6379")})
    assert (problem.message, problem.place) == (MapMessage.BACKEND_IS_ALIAS, Place(link="redis", key="backend"))
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
def test_refuses_a_backend_that_no_container_dials_and_names_the_backend_for_a_program_on_the_host(name):
    message, place = MapMessage.BACKEND_IS_ITSELF if name in ITSELF else MapMessage.BACKEND_NOT_REACHABLE, Place("redis", key="backend")
    assert problems({"redis": a_link(backend=f"{name}:6379")}) == [message.at(place, backend=f"'{name}:6379'", service="host:6379")]
    # as the user wrote it, once for all ports
    several = a_link(port=None, ports=[1, 2], backend=name.strip("[]"))
    assert problems({"redis": several}) == [message.at(place, backend=repr(name.strip("[]")), service="host")]


@pytest.mark.parametrize("name", NO_NAMES)
def test_refuses_a_backend_that_a_resolver_parses_as_an_address(name):
    (problem,) = problems({"redis": a_link(backend=f"{name}:6379")})
    assert problem.message is MapMessage.BACKEND_NOT_RESOLVABLE
    assert has_values(problem, backend=f"'{name}:6379'")
    # Docker's DNS resolves a container name of digits on a network
    assert problems({"redis": a_link(backend=f"{name}:6379", network="shop")}) == []


@pytest.mark.parametrize("name", ["a..b", "example.com.", "a" * 64, f"{'a.' * 126}aa", "-a", "_a"])
@pytest.mark.parametrize("network", [None, "shop"])
def test_refuses_a_backend_that_dns_cannot_hold(name, network):
    (problem,) = problems({"redis": a_link(backend=f"{name}:1", network=network)})
    assert (problem.message, problem.place) == (MapMessage.BACKEND_INVALID, Place(link="redis", key="backend"))


@pytest.mark.parametrize("network", ["n..x.", "n" * 64, "x."])
def test_refuses_a_network_in_which_dns_cannot_resolve_the_backend(network):
    (problem,) = problems({"redis": a_link(backend="db:1", network=network)})
    assert problem == MapMessage.NETWORK_NOT_RESOLVABLE.at(Place(link="redis", key="network"), name=f"db.{network}")
    # a host or an address is not resolved there, and an alias has no name of the network
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
    assert problem == MapMessage.BACKEND_IS_AMBASSADOR.at(Place(link="redis", key="backend"), name=name)


@pytest.mark.parametrize(
    ("backend", "variables"),
    [
        ("198.18.0.1:6379", {}),
        ("[::ffff:198.18.0.1]:6379", {}),
        ("203.0.113.7:6379", {"ambassador_address": "203.0.113.7", "ambassador_bind": "198.18.0.1"}),
        ("198.18.0.1:6379", {"ambassador_address": "203.0.113.7", "ambassador_bind": "198.18.0.1"}),
        # the host publishes on all addresses
        ("198.18.0.1:6379", {"ambassador_address": "vm1.example.com", "ansible_facts": {"all_ipv4_addresses": ["198.18.0.1"]}}),
    ],
)
def test_refuses_a_backend_that_its_own_host_publishes(backend, variables):
    link = a_link(backend=backend)
    values = {"backend": repr(backend), "host": "vm1", "service": "host:6379"}
    assert side({"redis": link}, "vm1", "server", {"vm1": {**ADDRESSED["vm1"], **variables}}, tls=True)["problems"] == [
        MapMessage.BACKEND_PUBLISHED.at(Place(link="redis", key="backend"), **values)
    ]
    # another port, and the same address and port of another host, are services
    for changes in ({"publish": 7000}, {"servers": "db", "clients": "VM1"}):
        host = "db1" if "servers" in changes else "vm1"
        assert side({"redis": link | changes}, host, "server", {"vm1": {**ADDRESSED["vm1"], **variables}}, tls=True)["problems"] == []


def test_refuses_a_backend_on_the_host_if_the_ambassador_publishes_that_port_on_all_addresses():
    for variables in ({"ambassador_address": "vm1.example.com"}, {"ambassador_bind": "::", **ADDRESSED["vm1"]}):
        hostvars = {"vm1": variables}
        links = {"redis": a_link(publish=7000, backend="host:6379"), "pg": a_link(port=6379)}
        (problem,) = side(links, "vm1", "server", hostvars, tls=True)["problems"]
        place = Place(link="redis", key="backend")
        assert problem == MapMessage.BACKEND_PUBLISHED_EVERYWHERE.at(place, backend="'host:6379'", host="vm1")
        assert side({"redis": links["redis"]}, "vm1", "server", hostvars, tls=True)["problems"] == []
    assert side({"redis": a_link(backend="host:6379")}, "vm1", "server")["problems"] == []


def test_client_side_with_local_on_all_addresses_needs_no_address_of_its_host():
    links = {"redis": a_link(servers="VM1", clients="VM1", local="0.0.0.0:7000")}
    assert side(links, "vm1", "client", {"vm1": {}})["problems"] == []
    (problem,) = side(links, "vm1", "server", {"vm1": {}})["problems"]
    values = {"origin": "facts default_ipv4 and default_ipv6", "host": "vm1"}
    assert problem == MapMessage.ADDRESS_MISSING.at(Place(link="redis", host="vm1"), **values)


@pytest.mark.parametrize(("local", "target"), [("198.18.0.2:6379", "198.18.0.2:6379"), ("0.0.0.0:6379", "198.18.0.2:6379")])
def test_refuses_targets_that_return_to_the_link(local, target):
    links = {"redis": a_link(servers=None, backend=None, targets=["198.18.0.99:1", target], local=local)}
    (problem,) = side(links, "vm2", "client", ADDRESSED)["problems"]
    values = {"value": repr(target), "local": local, "host": "vm2", "key": "targets"}
    assert problem == MapMessage.LINK_CYCLE.at(Place(link="redis", key="targets"), **values)
    # by way of another link
    links["other"] = {**links["redis"], "port": 1, "targets": ["198.18.0.2:7000"]}
    links["redis"]["local"] = "198.18.0.2:7000"
    refusals = side(links, "vm2", "client", ADDRESSED)["problems"]
    assert [problem.message for problem in refusals] == [MapMessage.LINK_CYCLE] * 2
    assert [problem.place for problem in refusals] == [Place(link="redis", key="targets"), Place(link="other", key="targets")]
    links["other"]["targets"] = ["198.18.0.99:7000"]
    assert side(links, "vm2", "client", ADDRESSED)["problems"] == []


@pytest.mark.parametrize(
    ("backend", "local"), [("host:7000", "0.0.0.0:7000"), ("198.18.0.1:7000", "198.18.0.1:7000"), ("198.18.0.1:7000", "0.0.0.0:7000")]
)
def test_refuses_a_backend_that_returns_to_the_link_through_local(backend, local):
    links = {"redis": a_link(clients="VM1", backend=backend, local=local)}
    (problem,) = side(links, "vm1", "server", ADDRESSED)["problems"]
    values = {"value": repr(backend), "local": local, "host": "vm1", "key": "backend"}
    assert problem == MapMessage.LINK_CYCLE.at(Place(link="redis", key="backend"), **values)
    assert side({"redis": links["redis"] | {"local": "127.0.0.1:7000"}}, "vm1", "server", ADDRESSED)["problems"] == []
    assert side({"redis": links["redis"] | {"clients": "VM2"}}, "vm1", "server", ADDRESSED)["problems"] == []


@pytest.mark.parametrize("backend", ["redis:6379", "REDIS:6379", "redis.ambassador:6379", "Redis.ambassador:6379"])
def test_refuses_every_name_of_the_alias_that_docker_resolves_as_a_backend(backend):
    (problem,) = problems({"Redis": a_link(servers="both", clients="both", backend=backend)})
    assert problem.message is MapMessage.BACKEND_IS_ALIAS
    assert has_values(problem, name=repr(backend.partition(":")[0]))
    assert dict(problem.values)["host"] in ("vm1", "vm2")


def test_accepts_a_backend_with_the_name_of_the_alias_on_another_network():
    link = a_link(servers="VM1", clients="both", backend="db:5432", network="shop_default")
    assert problems({"db": link}) == []
    assert problems({"db": a_link(clients="both", backend="db.shop_default:5432")}) == []
    for changes in (
        {"networks": ["shop_default"]},
        {"network": "ambassador"},
        {"backend": "db.shop_default:1", "network": None, "networks": ["shop_default"]},
    ):
        changed = {key: value for key, value in {**link, **changes}.items() if value is not None}
        assert problems({"db": changed})[0].message is MapMessage.BACKEND_IS_ALIAS
    # the network of the ambassadors is named by the user, or after the mesh
    named = a_link(clients="both", backend="redis.own:6379")
    assert Wiring({"redis": named}, hosts_of, network="own").problems[0].message is MapMessage.BACKEND_IS_ALIAS
    named["backend"] = "redis.ambassador-blue:6379"
    assert Wiring({"redis": named}, hosts_of, mesh="blue").problems[0].message is MapMessage.BACKEND_IS_ALIAS


@pytest.mark.parametrize(
    ("names", "backend", "message", "key", "values"),
    [
        (["vm1", "vm3"], "vm3:1", MapMessage.BACKEND_NAME_CONFLICT, "backend", {"backend": "'vm3:1'", "host": "vm3", "service": "host:1"}),
        (["vm@1", "vm_1"], "db:1", MapMessage.SERVER_NAME_CONFLICT, "servers", {"name": "vm_1", "hosts": "vm@1, vm_1"}),
        ([".held"], "db:1", MapMessage.SERVER_NAME_RESERVED, "servers", {"host": ".held"}),
        (["vm1.replica2"], "db:1", MapMessage.SERVER_NAME_RESERVED, "servers", {"host": "vm1.replica2"}),
        (["vm1"], "db.replica2:1", MapMessage.BACKEND_NAME_RESERVED, "backend", {"name": "db.replica2"}),
    ],
)
def test_refuses_names_that_are_one_name_in_haproxy(names, backend, message, key, values):
    def find_problems(**changes):
        return Wiring({"redis": a_link(servers="servers", backend=backend)}, {"servers": names, "VM2": ["vm2"]}.get, **changes).problems

    assert find_problems() == [message.at(Place(link="redis", key=key), **values)]
    assert not any(problem.message is message or problem.place.key == "backend" for problem in find_problems(engine="nftables"))


def test_accepts_a_backend_with_the_name_of_the_only_server_host():
    assert problems({"redis": a_link(backend="vm1:6379")}) == []


@pytest.mark.parametrize(("key", "value"), [("backend", "redis_server:6379"), ("publish", 7000), ("network", "shop")])
def test_refuses_keys_of_a_server_side_in_a_link_with_targets_and_without_servers(key, value):
    link = a_link(servers=None, backend=None, targets=["198.18.0.99:6379"])
    assert problems({"redis": link}) == []
    assert problems({"redis": link | {key: value}}) == [MapMessage.KEY_UNUSED.at(Place(link="redis", key=key), key=key)]
    assert problems({"redis": a_link(targets=["198.18.0.99:6379"], **{key: value})}) == []
    refusal = MapMessage.KEY_MISSING.at(Place(link="redis"), key="backend")
    assert problems({"redis": a_link(targets=["198.18.0.99:6379"], backend=None)}) == [refusal]
    # the service that messages name
    assert side({"redis": link}, "vm2", "client")["links"][0]["backend"] == "198.18.0.99:6379"


def test_refuses_an_underscore_before_a_name_that_has_addresses():
    (problem,) = problems({"db": a_link(targets=["_db.example.com:5432"])})
    assert problem == MapMessage.TARGET_IS_RECORD.at(Place(link="db", key="targets"), name="_db.example.com")
    (problem,) = problems({"db": a_link(targets="srv:db.example.com")})
    assert problem == MapMessage.TARGETS_INVALID.at(Place(link="db", key="targets"), value="'srv:db.example.com'")
    variables = {"vm1": {"ambassador_address": "_x.example.com"}}
    (problem,) = side({"db": a_link(servers="both")}, "vm2", "client", variables, tls=True)["problems"]
    assert problem == MapMessage.ADDRESS_IS_RECORD.at(Place(host="vm1"), address="_x.example.com", origin="ambassador_address")


def test_refuses_a_cycle_of_links():
    links = {
        "one": a_link(port=1, servers="both", clients="both", backend="two:2"),
        "two": a_link(port=2, servers="both", clients="both", backend="one:1"),
    }
    assert [problem.message for problem in problems(links)] == [MapMessage.BACKEND_IS_ALIAS] * 2


def test_accepts_a_link_through_a_host_to_the_next():
    links = {"redis": a_link(), "relay": a_link(port=7000, servers="VM2", clients="web", backend="redis:6379")}
    assert problems(links) == []


@pytest.mark.parametrize(
    "changes", [{"servers": "db"}, {"check": "redis"}, {"balance": "first"}, {"targets": ["198.18.0.1:1", "198.18.0.2:1"]}]
)
def test_refuses_features_that_the_engine_does_not_support_and_names_an_engine_that_does(changes):
    links = {"redis": a_link(**changes)}
    assert problems(links) == []
    (problem,) = problems(links, "socat")
    assert (problem.message, problem.place) == (MapMessage.FEATURE_UNSUPPORTED, Place(link="redis"))
    assert has_values(problem, engine="socat")
    assert "haproxy" in dict(problem.values)["engines"]


def test_socat_accepts_a_link_without_a_check():
    assert problems({"redis": a_link(check="none")}, "socat") == []


def test_refuses_an_unknown_engine():
    values = {"engine": "'envoy'", "engines": "haproxy, socat, or nftables"}
    assert problems({"redis": a_link()}, "envoy") == [MapMessage.ENGINE_UNKNOWN.at(Place(variable="ambassador_engine"), **values)]


# -- UDP, and the kernel ------------------------------------------------------------------------------------------


def test_link_of_udp_has_the_protocol_in_its_variables_and_published_ports():
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
    ("engine", "changes", "message", "values"),
    [
        ("haproxy", {"protocol": "udp"}, MapMessage.FEATURE_UNSUPPORTED, {"feature": "protocol udp", "engines": "nftables"}),
        ("socat", {"protocol": "udp"}, MapMessage.FEATURE_UNSUPPORTED, {"feature": "protocol udp", "engines": "nftables"}),
        ("nftables", {"check": "redis"}, MapMessage.FEATURE_UNSUPPORTED, {"feature": "check", "engines": "haproxy"}),
        ("nftables", {"wait": 5}, MapMessage.FEATURE_UNSUPPORTED, {"feature": "wait", "engines": "haproxy"}),
        ("nftables", {"balance": "first"}, MapMessage.FEATURE_UNSUPPORTED, {"feature": "balance first", "engines": "haproxy"}),
        (
            "nftables",
            {"servers": "db"},
            MapMessage.BALANCE_UNSUPPORTED,
            {"feature": "balance first", "engines": "haproxy", "balances": "balance roundrobin or balance source"},
        ),
        (
            "nftables",
            {"servers": "db", "balance": "leastconn"},
            MapMessage.BALANCE_UNSUPPORTED,
            {"feature": "balance leastconn", "engines": "haproxy", "balances": "balance roundrobin or balance source"},
        ),
    ],
)
def test_refuses_a_feature_that_the_engine_does_not_support_with_its_remedy(engine, changes, message, values):
    assert problems({"redis": a_link(**changes)}, engine) == [message.at(Place(link="redis"), engine=engine, **values)]


def test_nftables_accepts_the_features_that_it_supports():
    links = {"redis": a_link(check="none", drain=0, protocol="tcp"), "web": a_link(port=80, servers="web", balance="roundrobin")}
    links["pg"] = a_link(port=81, servers="web", balance="source")
    assert problems(links, "nftables") == []
    (problem,) = problems(links, "nftables", tls=True)
    assert problem.message is MapMessage.ENGINE_WITHOUT_TLS


def test_target_has_its_address_family_and_a_name_has_those_of_the_network():
    links = {"redis": a_link(targets=["198.18.0.1:1", "[2001:2::1]:1"], servers=None, backend=None)}
    targets = side(links, "vm2", "client", ipv6=True)["links"][0]["targets"]
    assert [target["families"] for target in targets] == [["ip"], ["ip6"]]
    for ipv6, families in ((True, ["ip", "ip6"]), (False, ["ip"])):
        assert side({"redis": a_link()}, "vm1", "server", ipv6=ipv6)["links"][0]["targets"][0]["families"] == families


def test_wiring_raises_for_an_unknown_side():
    with pytest.raises(ValueError, match="'middle' is not a side: server, client"):
        side({}, "vm1", "middle")


# -- properties ---------------------------------------------------------------------------------------------------

ALIASES = st.from_regex(r"[A-Za-z]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
PORTS = st.integers(1, 65535)
ADDRESSES = st.ip_addresses().map(str).filter(lambda address: not address.lower().startswith("fe8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(ADDRESSES, PORTS)
def test_endpoint_is_parsed_as_it_was_formatted(address, port):
    assert parse_endpoint(endpoint(address, port)) == (address, port)


@given(ALIASES)
def test_prefix_is_the_name_of_an_environment_variable(alias):
    assert variable_prefix(alias).isidentifier()
    assert variable_prefix(alias) == variable_prefix(alias).upper()


@given(ALIASES, PORTS, ADDRESSES, PORTS)
def test_variables_agree_with_each_other(alias, port, address, target_port):
    prefix = variable_prefix(alias)
    variables = link_variables(prefix, port, address, target_port)
    base = f"{prefix}_PORT_{port}_TCP"
    assert parse_endpoint(variables[base].removeprefix("tcp://")) == (variables[f"{base}_ADDR"], int(variables[f"{base}_PORT"]))


@given(JSON)
def test_parser_returns_problems_for_any_map(links):
    wiring = Wiring(links, hosts_of)
    assert all(isinstance(problem, Problem) and str(problem) for problem in wiring.problems)
    assert wiring.problems or links == {}


@given(
    st.dictionaries(
        st.sampled_from(["redis", "db"]),
        st.dictionaries(st.sampled_from(["port", "servers", "clients", "backend", "targets", "local"]), JSON),
    )
)
def test_parser_returns_problems_for_any_link(links):
    assert all(isinstance(problem, Problem) and str(problem) for problem in Wiring(links, hosts_of).problems)


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


def test_client_side_verifies_the_name_of_each_server_host_with_tls():
    client = side({"redis": a_link(servers="db")}, "vm2", "client", tls=True)
    assert [(target["name"], target["verify"]) for target in client["links"][0]["targets"]] == [("db1", "db1"), ("db2", "db2")]


def test_server_side_verifies_its_peers_and_not_its_backend_with_tls():
    server = side({"redis": a_link(servers="db")}, "db2", "server", tls=True)
    assert [target["verify"] for target in server["links"][0]["targets"]] == [None, "db1"]


@pytest.mark.parametrize(
    ("changes", "verified"),
    [({"servers": "VM1"}, ["vm1", "vm1"]), ({"servers": "db"}, ["db1", "db2"]), ({"servers": None, "backend": None}, [None, None])],
)
def test_explicit_targets_are_verified_as_the_servers_or_not_at_all_with_tls(changes, verified):
    client = side({"redis": a_link(targets=["198.18.0.1:1", "198.18.0.2:2"], **changes)}, "vm2", "client", tls=True)
    assert client["problems"] == []
    assert [target["verify"] for target in client["links"][0]["targets"]] == verified


def test_refuses_targets_that_are_not_one_for_each_server_with_tls():
    (problem,) = problems({"redis": a_link(servers="web", targets=["198.18.0.1:1", "198.18.0.2:2"])}, tls=True)
    assert problem == MapMessage.TARGETS_NOT_PER_SERVER.at(Place(link="redis", key="targets"), count=2, servers="web1, web2, web3")
    assert side({"redis": a_link(servers="web", targets=["198.18.0.1:1", "198.18.0.2:2"])}, "vm2", "client", tls=True)["problems"]


def test_server_side_authorizes_clients_and_peers_by_name_with_tls_and_by_address_without():
    links = {"redis": a_link(servers="db", clients="both")}
    assert side(links, "db1", "server", tls=True)["links"][0]["admitted"] == ["vm1", "vm2", "db2"]
    assert side(links, "db1", "server")["links"][0]["admitted"] == [HOSTVARS[host]["ambassador_address"] for host in ("vm1", "vm2", "db2")]
    assert side({"redis": a_link(clients="both")}, "vm1", "server")["links"][0]["admitted"][-1] == "gateway"
    assert side({"redis": a_link()}, "vm1", "server", engine="socat")["links"][0]["admitted"] == []


def test_links_share_a_port_that_is_published_once_with_tls():
    links = {"redis": a_link(publish=7000), "queue": a_link(port=7001, publish=7000)}
    server = side(links, "vm1", "server", tls=True)
    assert server["problems"] == []
    assert [(entry["alias"], entry["port"]) for entry in server["publish"]] == [("redis", 7000)]
    assert [link["listen"] for link in server["links"]] == [7000, 7000]
    (problem,) = problems(links)
    assert problem.message is MapMessage.PORT_CONFLICT
    assert has_values(problem, port=7000)


def test_refuses_an_engine_that_cannot_encrypt_and_names_one_that_can():
    (problem,) = problems({"redis": a_link()}, "socat", tls=True)
    place = Place(variable="ambassador_engine")
    assert problem == MapMessage.ENGINE_WITHOUT_TLS.at(place, engine="socat", engines="haproxy")


def test_refuses_a_name_that_no_certificate_holds():
    odd = "a b"
    wiring = Wiring({"redis": a_link()}, lambda pattern: [odd] if pattern == "VM2" else [pattern], tls=True)
    assert wiring.problems == [MapMessage.CERTIFICATE_NAME_INVALID.at(Place(link="redis"), host=repr(odd))]


def test_name_that_is_too_long_for_a_certificate_is_shortened_there():
    names = {"VM1": "a" * 64, "VM2": "b" * 200 + ".example.com"}
    wiring = Wiring({"redis": a_link()}, lambda pattern: [names[pattern]], tls=True)
    hostvars = {name: {"ambassador_address": "198.18.0.11"} for name in names.values()}
    (served,), (dialed,) = (wiring.side(names[group], side, hostvars)["links"] for group, side in (("VM1", "server"), ("VM2", "client")))
    assert dialed["targets"][0]["verify"] == names["VM1"]
    assert (served["admitted"], served["clients"]) == ([certificate_name(names["VM2"])], [names["VM2"]])
    assert certificate_name(names["VM2"]).startswith("b" * 46 + "-")
    assert len(certificate_name(names["VM2"])) == 63
    assert certificate_name(names["VM2"]) != certificate_name(names["VM2"] + ".")


def test_client_host_without_an_address_is_left_out_if_addresses_are_authorized():
    hostvars = {**HOSTVARS, "web1": {}}
    links = {"db": a_link(port=5432, servers="VM1", clients="web")}
    served = side(links, "vm1", "server", hostvars)
    assert (served["problems"], served["unknown"], served["left_out"]) == ([], ["web1"], {"web1": ["db"]})
    assert served["links"][0]["admitted"] == [HOSTVARS[host]["ambassador_address"] for host in ("web2", "web3")]
    # with TLS, names are authorized
    named = Wiring(links, lambda pattern: GROUPS.get(pattern, []), tls=True).side("vm1", "server", hostvars)
    assert (named["problems"], named["left_out"], named["links"][0]["admitted"]) == ([], {}, ["web1", "web2", "web3"])
    # a server host needs an address
    problem = side({"db": a_link(port=5432, servers="web")}, "web2", "server", hostvars)["problems"][0]
    assert (problem.message, problem.place) == (MapMessage.ADDRESS_MISSING, Place(link="db", host="web1"))


# -- values of other types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", ["all_ipv4_addresses", "default_ipv4", "interfaces", "machine", "dns", "odd"])
def test_host_has_no_address_if_the_interface_is_another_fact(fact):
    facts = {"all_ipv4_addresses": ["198.18.0.1"], "default_ipv4": {"address": "198.18.0.1"}, "interfaces": ["eth0"], "machine": "x86_64"}
    facts |= {"dns": {"nameservers": ["198.18.0.1"]}, "odd": {"ipv4": ["198.18.0.1"], "ipv6": "::1"}}
    assert find_host_address({"ambassador_interface": fact, "ansible_facts": facts})[0] is None


@pytest.mark.parametrize("garbage", [7, "x", [7, {}], {"address": []}, {"address": "198.18.0.1", "interface": "eth0\033[2J"}])
@pytest.mark.parametrize("fact", [*FACTS, "all_ipv4_addresses"])
def test_facts_that_are_garbage_have_no_addresses_and_no_names(fact, garbage):
    for variables in ({OBSERVED: {"facts": {fact: garbage}}}, {OBSERVED: {"facts": garbage}}, {OBSERVED: garbage}):
        address, source = find_host_address(variables)
        assert (address in (None, "198.18.0.1"), "\033" in source) == (True, False)
        assert list_host_addresses(variables) | {*list_source_addresses(variables), *list_other_addresses(variables, "")} <= {"198.18.0.1"}
        assert find_host_address({**variables, "ambassador_interface": fact})[0] is None


def test_refuses_targets_that_are_no_list():
    (problem,) = problems({"redis": a_link(targets={"198.18.0.9:1": "x"})})
    assert problem == MapMessage.TARGETS_INVALID.at(Place(link="redis", key="targets"), value="{'198.18.0.9:1': 'x'}")


@pytest.mark.parametrize("local", ["[::1]", "::1"])
def test_ports_of_a_link_are_added_to_an_address_with_and_without_brackets(local):
    link = {"ports": [80, 81], "servers": "VM1", "clients": "VM2", "backend": "web", "local": local}
    publish = side({"web": link}, "vm2", "client")["publish"]
    assert [(port["address"], port["port"]) for port in publish] == [("::1", 80), ("::1", 81)]


@pytest.mark.parametrize(
    ("address", "other", "is_conflict"),
    [
        ("0.0.0.0", "::1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "::1", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_local_conflicts_with_addresses_of_its_family(address, other, is_conflict):
    links = {"redis": a_link(local=endpoint(address, 9)), "other": a_link(port=7000, local=endpoint(other, 9))}
    assert bool(problems(links)) is bool(problems(dict(reversed(links.items())))) is is_conflict


def test_refuses_a_backend_with_an_ipv6_address_if_the_network_has_no_ipv6():
    links = {"redis": a_link(backend="[2001:2::1]:6379")}
    refusal = MapMessage.BACKEND_NEEDS_IPV6.at(Place(link="redis", key="backend"), backend="[2001:2::1]:6379")
    assert problems(links) == [refusal]
    assert Wiring(links, hosts_of, ipv6=True).problems == []
    assert problems({"redis": a_link(backend="[2001:2::1]:6379", network="shop")}) == []


@pytest.mark.parametrize("alias", ["re\ndis", "re\x1b[31mdis", "re\u202edis"])
@pytest.mark.parametrize("settings", [{}, {"port": 1, "user_timeout": 1}, {"ports": [1], "port": 1}, None])
def test_problems_quote_an_alias_with_control_characters(alias, settings):
    refusals = problems({alias: settings})
    assert refusals
    assert all(str(problem).isprintable() for problem in refusals)


# -- values and remedies of problems ------------------------------------------------------------------------------


def test_udp_with_tls_has_no_engine():
    links = {"dns": a_link(protocol="udp")}
    (problem,) = problems(links, "haproxy", tls=True)
    values = {"engine": "haproxy", "feature": "protocol udp", "engines": "nftables"}
    assert problem == MapMessage.FEATURE_UNSUPPORTED_WITH_TLS.at(Place(link="dns"), **values)
    (problem,) = problems(links, "nftables", tls=True)
    values = {"engine": "nftables", "others": "haproxy does not support protocol udp"}
    assert problem == MapMessage.NO_ENGINE_WITH_TLS.at(Place(variable="ambassador_engine"), **values)
    assert problems(links, "nftables") == []


def test_two_links_that_need_different_engines_get_no_engine_as_a_remedy():
    links = {"dns": a_link(protocol="udp"), "redis": a_link(port=6380, check="redis")}
    values = {"engine": "haproxy", "feature": "protocol udp", "others": "nftables does not support check"}
    assert problems(links) == [MapMessage.FEATURES_CONFLICT.at(Place(link="dns"), **values)]


def test_balance_that_the_engine_does_not_support_has_other_balances_as_a_remedy():
    links = {"dns": a_link(protocol="udp", balance="roundrobin"), "db": a_link(port=6380, servers="db")}
    values = {"engine": "nftables", "feature": "balance first", "others": "haproxy does not support protocol udp"}
    assert problems(links, "nftables") == [
        MapMessage.BALANCES_CONFLICT.at(Place(link="db"), **values, balances="balance roundrobin or balance source")
    ]


@pytest.mark.parametrize(
    ("changes", "message", "key", "value"),
    [
        ({"targets": "srv:_a._tcp.example.com"}, MapMessage.TARGETS_RECORD_WITH_PORTS, "targets", "'srv:_a._tcp.example.com'"),
        ({"targets": "db"}, MapMessage.TARGETS_INVALID_WITH_PORTS, "targets", "'db'"),
        ({"backend": "a b"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "backend", "'a b'"),
        ({"backend": "db:1"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "backend", "'db:1'"),
        ({"local": "here"}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "local", "'here'"),
        ({"targets": ["127.0.0.1"]}, MapMessage.ADDRESS_INVALID_WITH_PORTS, "targets", "'127.0.0.1'"),
    ],
)
def test_problem_of_several_ports_has_the_value_as_it_was_written(changes, message, key, value):
    (problem,) = problems({"redis": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "db", **changes}})
    assert problem == message.at(Place(link="redis", key=key), value=value)


def test_refuses_a_publish_that_all_ports_of_a_link_share_without_tls():
    links = {"rabbit": {"ports": [5672, 15672], "servers": "VM1", "clients": "VM2", "backend": "rabbit", "publish": 7000}}
    assert problems(links) == [MapMessage.PORT_CONFLICT_OF_PORTS.at(Place(link="rabbit", key="publish"), port=7000)]
    assert problems(links, tls=True) == []


def test_port_conflict_is_about_publish_if_a_link_has_it():
    (problem,) = problems({"redis": a_link(), "other": a_link()})
    assert problem.place == Place(link="redis", key="port")
    (problem,) = problems({"redis": a_link(), "other": a_link(port=7000, publish=6379)})
    assert problem.place == Place(link="redis", key="publish")


def test_problem_of_ipv6_names_the_address_to_change():
    hostvars = {"vm1": {"ambassador_address": "2001:2::1"}}
    (problem,) = side({"redis": a_link()}, "vm2", "client", hostvars)["problems"]
    assert problem.message is MapMessage.SERVER_NEEDS_IPV6
    assert has_values(problem, host="vm1")
    (problem,) = side({"redis": a_link(targets=["[2001:2::1]:1"])}, "vm2", "client")["problems"]
    assert problem == MapMessage.TARGET_NEEDS_IPV6.at(Place(link="redis"), target="[2001:2::1]:1")


@pytest.mark.parametrize("key", ["port", "backend", "check", "wait", "local", "targets", "networks", "servers", "max_connections"])
def test_refuses_a_key_without_a_value(key):
    assert problems({"redis": {**a_link(), key: None}}) == [MapMessage.VALUE_MISSING.at(Place(link="redis", key=key))]


# types that YAML has for a value
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
def test_problems_are_printable_and_without_none_for_any_map(links, tls, engine):
    whole = {alias: {**a_link(), **link} if isinstance(link, dict) else link for alias, link in links.items()}
    for each in (links, whole):
        for problem in problems(each, engine, tls):
            assert "None" not in dict(problem.values).values()
            assert str(problem).isprintable(), problem
