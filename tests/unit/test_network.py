"""The ambassador network: Docker gives addresses of one half, the client side has a fixed one in the other."""

import ipaddress

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.ranged import FilterModule
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import add_ranges, choose_addresses, find_gateways

SUBNETS = {"ipv4_address": "192.0.2.0/24", "ipv6_address": "2001:db8::/64"}


def held(address, asked=True):
    """A container with an address on the network."""
    return {"networks": {"ambassador": {"addresses": [address], "said": {"ipv4_address": address} if asked else {}}}}


def on(pools, containers=None, ours=True):
    """The fixed address of the client side on a network."""
    observed = {"networks": {"ambassador": {"ours": ours, "pools": pools}}, "containers": containers or {}}
    return choose_addresses("ambassador_client", "ambassador", observed)


@pytest.mark.parametrize("option", SUBNETS)
def test_the_fixed_address_is_none_that_docker_gives(option):
    (pool,) = add_ranges([{"Subnet": SUBNETS[option], "Gateway": "unused"}])
    address = on([{"Subnet": pool["subnet"], "IPRange": pool["iprange"]}])
    assert list(address) == [option]
    assert pool["subnet"] == SUBNETS[option]
    assert ipaddress.ip_address(address[option]) in ipaddress.ip_network(pool["subnet"])
    assert ipaddress.ip_address(address[option]) not in ipaddress.ip_network(pool["iprange"])
    # the first one is a gateway's by custom
    assert ipaddress.ip_address(address[option]) == ipaddress.ip_network(pool["subnet"])[2]


def test_a_network_of_somebody_else_has_no_fixed_address():
    assert on([{"Subnet": "192.0.2.0/24", "Gateway": "192.0.2.1"}]) == {}
    assert on([{"Subnet": "192.0.2.0/24", "IPRange": None}, {"Subnet": "2001:db8::/64", "IPRange": ""}]) == {}
    assert on([]) == {}
    assert on([{"Subnet": "192.0.2.0/24", "IPRange": "192.0.2.128/25"}], ours=False) == {}
    assert choose_addresses("ambassador_client", "ambassador", {"networks": {}, "containers": {}}) == {}


def test_a_container_has_the_fixed_address_that_no_other_one_has_and_keeps_it():
    pools = [{"Subnet": "192.0.2.0/24", "IPRange": "192.0.2.128/25"}]
    others = {"ambassador_blue_client": held("192.0.2.2"), "web": held("192.0.2.4", asked=False), "elsewhere": {"networks": {}}}
    assert on(pools, others) == {"ipv4_address": "192.0.2.3"}
    own = {"ambassador_client": held("192.0.2.3")}
    # a lower one that is free is no reason to move
    assert on(pools, own) == {"ipv4_address": "192.0.2.3"}
    assert on(pools, others | own) == {"ipv4_address": "192.0.2.3"}
    # one that Docker gives, or that lies elsewhere, is left
    for wrong in ("192.0.2.200", "198.51.100.3"):
        assert on(pools, others | {"ambassador_client": held(wrong)}) == {"ipv4_address": "192.0.2.3"}


def test_a_range_of_ipv6_is_one_that_docker_counts_through():
    (pool,) = add_ranges([{"Subnet": "2001:db8::/64"}])
    assert ipaddress.ip_network(pool["iprange"]).prefixlen == 112
    (pool,) = add_ranges([{"Subnet": "192.0.2.0/24"}])
    assert pool["iprange"] == "192.0.2.128/25"


def test_the_filter_gives_what_docker_network_takes():
    assert FilterModule().filters()["ranged"]([{"Subnet": "192.0.2.0/24"}]) == [{"subnet": "192.0.2.0/24", "iprange": "192.0.2.128/25"}]


def test_what_comes_from_the_host_comes_from_its_own_addresses_on_the_network():
    pools = [{"Subnet": SUBNETS[option]} for option in SUBNETS]
    own = ["192.0.2.1", "198.18.0.11", "2001:db8::1", "2001:db8:1::1"]
    assert find_gateways(pools, own) == ["192.0.2.1", "2001:db8::1"]
    assert find_gateways([], own) == []
