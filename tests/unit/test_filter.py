"""The filter: what it makes of Ansible's groups and host variables before the wiring sees them."""

import pytest
from ansible.errors import AnsibleFilterError, AnsibleUndefinedVariable
from ansible_collections.crosshost.ambassador.plugins.filter.link_variables import link_variables
from ansible_collections.crosshost.ambassador.plugins.filter.said_once import said_once
from ansible_collections.crosshost.ambassador.plugins.filter.wiring import wiring
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _inventory as inventory
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._inventory import hosts_of, names_host
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {"all": ["vm1", "web1", "web2"], "VM1": ["vm1"], "web": ["web1", "web2"]}
LINK = {"port": 6379, "servers": "VM1", "clients": "web", "backend": "redis_server:6379"}


class Untemplatable(dict):
    """Variables of a host whose address is a template over facts that are not there."""

    def get(self, name):
        if name == "ambassador_address":
            raise AnsibleUndefinedVariable("object of type 'dict' has no attribute 'eth1'")
        return super().get(name)


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("web", ["web1", "web2"]),
        ("web:!web2", ["web1"]),
        ("web[0]", ["web1"]),
        ("w*:&all", ["web1", "web2"]),
        ("~(web1|vm).*", ["vm1", "web1"]),
        ("nothing", []),
        ("~(", []),
        ("web[9]", []),
        ("web1,vm1", ["vm1", "web1"]),
        ("!web2:vm1:web:web1", ["vm1", "web1"]),
        ("web:typo", ["web1", "web2"]),
        (f"all[{'9' * 5000}]", []),
    ],
)
def test_a_pattern_means_what_it_means_to_ansible(pattern, hosts):
    assert sorted(hosts_of(GROUPS)(pattern)) == hosts


NAMED = {**GROUPS, "all": [*GROUPS["all"], "odd"], "odd": ["web1", "odd"], "a.b": ["vm1"]}


@given(st.lists(st.sampled_from([*NAMED, *NAMED["all"], "typo", "localhost", "w*", "web[0]", "~.*1"]), min_size=1, max_size=4), st.data())
def test_a_pattern_of_names_means_the_same_as_to_ansible(names, data):
    parts = [data.draw(st.sampled_from(["", "", "!", "&"])) + name for name in names]
    pattern = data.draw(st.sampled_from(":,")).join(parts)
    found, plain = hosts_of(NAMED, dict.fromkeys(NAMED["all"]))(pattern), inventory.PLAIN
    try:
        # a name that no pattern matches
        inventory.PLAIN = inventory.re.compile("(?!)")
        expected = hosts_of(NAMED)(pattern)
    finally:
        inventory.PLAIN = plain
    assert found == expected
    for host in NAMED["all"]:
        groups = [name for name, hosts in NAMED.items() if host in hosts]
        assert names_host(host, groups, NAMED, dict.fromkeys(NAMED["all"]), hosts_of(NAMED))(pattern) == (host in expected), host


def test_the_address_of_a_host_is_found_in_its_variables():
    resolved = wiring({"redis": LINK}, "web1", "client", GROUPS, {"vm1": {"ambassador_address": "198.18.0.11"}})
    assert resolved["problems"] == []
    assert resolved["variables"]["REDIS_PORT_6379_TCP"] == "tcp://198.18.0.11:6379"


def test_an_address_that_waits_for_facts_is_gathered():
    resolved = wiring({"redis": LINK}, "web1", "client", GROUPS, {"vm1": Untemplatable()})
    assert resolved["unknown"] == ["vm1"]


def test_what_is_wrong_with_the_map_is_said_by_the_first_host_alone():
    hostvars = {name: {"plan": {"problems": problems}} for name, problems in {"vm1": ["b"], "vm2": ["a"], "vm3": ["a"]}.items()}
    hostvars |= {"vm0": {}, "vm4": {"plan": {"problems": ["a", "c"]}}}
    said = {
        host: said_once(list(found["plan"]["problems"]), host, list(hostvars), hostvars, "plan")
        for host, found in hostvars.items()
        if found
    }
    assert said == {"vm1": "b", "vm2": "a", "vm3": "Host vm3: the problems are the same as on host vm2.", "vm4": "a\nc"}


# -- the variables of a consumer -----------------------------------------------------------------------------------


def test_a_backend_leads_back_by_the_name_of_the_network_of_the_ambassadors():
    links = {"redis": {**LINK, "servers": "web1", "clients": "web1", "backend": "redis.own:6379"}}
    variables = {"web1": {"ambassador_address": "198.18.0.11"}}
    assert wiring(links, "web1", "client", GROUPS, variables)["problems"] == []
    (problem,) = wiring(links, "web1", "client", GROUPS, variables, network="own")["problems"]
    assert "the traffic would go round" in problem


@pytest.mark.parametrize("protocol", ["sctp", ["tcp"], {"tcp": 1}, None, 1])
def test_a_consumer_gets_no_variables_of_another_protocol(protocol):
    with pytest.raises(AnsibleFilterError, match="link redis, protocol: expected one of tcp, udp, found"):
        link_variables({"redis": {"port": 6379, "protocol": protocol}}, "redis")


def test_a_consumer_gets_the_variables_of_docker_s_links():
    links = {"my-cache": {"port": "6379"}, "dns": {"port": 53, "protocol": "udp"}, "odd": {"port": 0}, "none": None}
    assert link_variables(links, "my-cache") == {
        "MY_CACHE_PORT": "tcp://my-cache:6379",
        "MY_CACHE_PORT_6379_TCP": "tcp://my-cache:6379",
        "MY_CACHE_PORT_6379_TCP_ADDR": "my-cache",
        "MY_CACHE_PORT_6379_TCP_PORT": "6379",
        "MY_CACHE_PORT_6379_TCP_PROTO": "tcp",
        "MY_CACHE_NAME": "/consumer/my-cache",
    }
    assert link_variables(links, "dns")["DNS_PORT_53_UDP"] == "udp://dns:53"
    with pytest.raises(AnsibleFilterError, match=r"expected a link of the map, found 'redis' \(the map has my-cache, dns, odd, none\)"):
        link_variables(links, "redis")
    with pytest.raises(AnsibleFilterError, match=r"found 'redis' \(the map has none\)"):
        link_variables(None, "redis")
    for alias in ("odd", "none"):
        with pytest.raises(AnsibleFilterError, match=f"link {alias}, port: expected a port from 1 to 65535"):
            link_variables(links, alias)


def test_the_wiring_is_made_of_types_that_ansible_knows():
    types = set()

    def collect(value):
        types.add(type(value))
        for one in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []:
            collect(one)

    for host, side in (("vm1", "server"), ("web1", "client")):
        collect(wiring({"redis": LINK}, host, side, GROUPS, {name: {"ambassador_address": "198.18.0.11"} for name in GROUPS["all"]}))
    assert types <= {dict, list, str, int, bool, type(None)}
