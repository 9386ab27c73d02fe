"""The filters of the map, and the hosts and variables that they read from Ansible."""

import re

import pytest
from ansible.errors import AnsibleFilterError, AnsibleUndefinedVariable
from ansible_collections.crosshost.ambassador.plugins.filter.link_variables import link_variables
from ansible_collections.crosshost.ambassador.plugins.filter.said_once import said_once
from ansible_collections.crosshost.ambassador.plugins.filter.wiring import wiring
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _inventory as inventory
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._inventory import make_host_matcher, make_pattern_resolver
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
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
def test_pattern_matches_the_hosts_that_ansible_matches(pattern, hosts):
    assert sorted(make_pattern_resolver(GROUPS)(pattern)) == hosts


NAMED = {**GROUPS, "all": [*GROUPS["all"], "odd"], "odd": ["web1", "odd"], "a.b": ["vm1"]}


@given(st.lists(st.sampled_from([*NAMED, *NAMED["all"], "typo", "localhost", "w*", "web[0]", "~.*1"]), min_size=1, max_size=4), st.data())
def test_pattern_of_names_matches_the_hosts_that_ansible_matches(names, data):
    parts = [data.draw(st.sampled_from(["", "", "!", "&"])) + name for name in names]
    pattern = data.draw(st.sampled_from(":,")).join(parts)
    resolved, plain = make_pattern_resolver(NAMED, dict.fromkeys(NAMED["all"]))(pattern), inventory.PLAIN
    try:
        # a name that no pattern matches
        inventory.PLAIN = inventory.re.compile("(?!)")
        expected = make_pattern_resolver(NAMED)(pattern)
    finally:
        inventory.PLAIN = plain
    assert resolved == expected
    for host in NAMED["all"]:
        groups = [name for name, hosts in NAMED.items() if host in hosts]
        matches = make_host_matcher(host, groups, NAMED, dict.fromkeys(NAMED["all"]), make_pattern_resolver(NAMED))
        assert matches(pattern) == (host in expected), host


def test_wiring_has_the_address_from_the_variables_of_the_host():
    resolved = wiring({"redis": LINK}, "web1", "client", GROUPS, {"vm1": {"ambassador_address": "198.18.0.11"}})
    assert resolved["problems"] == []
    assert resolved["variables"]["REDIS_PORT_6379_TCP"] == "tcp://198.18.0.11:6379"


def test_address_that_needs_missing_facts_is_unknown():
    resolved = wiring({"redis": LINK}, "web1", "client", GROUPS, {"vm1": Untemplatable()})
    assert resolved["unknown"] == ["vm1"]
    (problem,) = resolved["problems"]
    assert problem.startswith("Link redis, host vm1: the host has no address in ")
    assert resolved["unknown_problems"] == [problem]


def test_what_is_wrong_with_the_map_is_said_by_the_first_host_alone():
    hostvars = {name: {"plan": {"problems": problems}} for name, problems in {"vm1": ["b"], "vm2": ["a"], "vm3": ["a"]}.items()}
    hostvars |= {"vm0": {}, "vm4": {"plan": {"problems": ["a", "c"]}}}
    said = {
        host: said_once(list(found["plan"]["problems"]), host, list(hostvars), hostvars, "plan")
        for host, found in hostvars.items()
        if found
    }
    assert said == {"vm1": "b", "vm2": "a", "vm3": "Host vm3: the problems are the same as on host vm2.", "vm4": "a\nc"}


@pytest.mark.parametrize("forged", [{"problems": ["a"]}, "x"])
def test_facts_of_another_host_hide_no_problem(forged):
    hostvars = {"vm1": {"plan": forged, "ansible_facts": {"plan": forged}}, "vm2": {}}
    assert said_once(["a"], "vm2", list(hostvars), hostvars, "plan") == "a"


# -- the variables of a consumer -----------------------------------------------------------------------------------


def test_refuses_a_backend_that_is_the_alias_on_the_network_of_the_ambassadors():
    links = {"redis": {**LINK, "servers": "web1", "clients": "web1", "backend": "redis.own:6379"}}
    variables = {"web1": {"ambassador_address": "198.18.0.11"}}
    assert wiring(links, "web1", "client", GROUPS, variables)["problems"] == []
    (problem,) = wiring(links, "web1", "client", GROUPS, variables, network="own")["problems"]
    values = {"name": "'redis.own'", "host": "web1"}
    assert problem == str(MapMessage.BACKEND_IS_ALIAS.at(Place(link="redis", key="backend"), **values))


@pytest.mark.parametrize("protocol", ["sctp", ["tcp"], {"tcp": 1}, None, 1])
def test_link_variables_refuse_another_protocol(protocol):
    values = {"value": "an empty value" if protocol is None else repr(protocol), "choices": "tcp or udp"}
    refusal = MapMessage.CHOICE_INVALID.at(Place(link="redis", key="protocol"), **values)
    with pytest.raises(AnsibleFilterError, match=f"^{re.escape(str(refusal))}$"):
        link_variables({"redis": {"port": 6379, "protocol": protocol}}, "redis")


def test_link_variables_are_those_of_docker_links():
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
    unknown = [(links, "my-cache, dns, odd, none"), (None, "not defined")]
    refusals = [(map_, "redis", MapMessage.LINK_UNKNOWN.at(alias="'redis'", aliases=aliases)) for map_, aliases in unknown]
    limits = {"minimum": "1", "maximum": "65535"}
    for alias, value in (("odd", "0"), ("none", "an empty value")):
        refusals.append((links, alias, MapMessage.PORT_INVALID.at(Place(link=alias, key="port"), value=value, **limits)))
    ports = {"odd": {"ports": []}}
    refusals.append((ports, "odd", MapMessage.PORTS_INVALID.at(Place(link="odd", key="ports"), value="[]")))
    for map_, alias, refusal in refusals:
        with pytest.raises(AnsibleFilterError, match=f"^{re.escape(str(refusal))}$"):
            link_variables(map_, alias)


def test_wiring_has_types_that_ansible_knows():
    types = set()

    def collect(value):
        types.add(type(value))
        for item in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []:
            collect(item)

    for host, side in (("vm1", "server"), ("web1", "client")):
        for variables in ({"ambassador_address": "198.18.0.11"}, {}):
            collect(wiring({"redis": LINK}, host, side, GROUPS, dict.fromkeys(GROUPS["all"], variables)))
    assert types <= {dict, list, str, int, bool, type(None)}
