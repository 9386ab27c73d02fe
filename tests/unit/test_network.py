"""The ambassador network: Docker gives addresses of one half, the client side has a fixed one in the other."""

import ipaddress

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.ranged import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils.containers import fixed, gateways, ranged

SUBNETS = {"ipv4_address": "192.0.2.0/24", "ipv6_address": "2001:db8::/64"}


@pytest.mark.parametrize("option", SUBNETS)
def test_the_fixed_address_is_none_that_docker_gives(option):
    (pool,) = ranged([{"Subnet": SUBNETS[option], "Gateway": "unused"}])
    address = fixed([{"Subnet": pool["subnet"], "IPRange": pool["iprange"]}])
    assert list(address) == [option]
    assert pool["subnet"] == SUBNETS[option]
    assert ipaddress.ip_address(address[option]) in ipaddress.ip_network(pool["subnet"])
    assert ipaddress.ip_address(address[option]) not in ipaddress.ip_network(pool["iprange"])
    # the first one is a gateway's by custom
    assert ipaddress.ip_address(address[option]) == ipaddress.ip_network(pool["subnet"])[2]


def test_a_network_of_somebody_else_has_no_fixed_address():
    assert fixed([{"Subnet": "192.0.2.0/24", "Gateway": "192.0.2.1"}]) == {}
    assert fixed([{"Subnet": "192.0.2.0/24", "IPRange": None}, {"Subnet": "2001:db8::/64", "IPRange": ""}]) == {}
    assert fixed([]) == {}


def test_a_range_of_ipv6_is_one_that_docker_counts_through():
    (pool,) = ranged([{"Subnet": "2001:db8::/64"}])
    assert ipaddress.ip_network(pool["iprange"]).prefixlen == 112
    (pool,) = ranged([{"Subnet": "192.0.2.0/24"}])
    assert pool["iprange"] == "192.0.2.128/25"


def test_the_filter_gives_what_docker_network_takes():
    assert FilterModule().filters()["ranged"]([{"Subnet": "192.0.2.0/24"}]) == [{"subnet": "192.0.2.0/24", "iprange": "192.0.2.128/25"}]


def test_what_comes_from_the_host_comes_from_its_own_addresses_on_the_network():
    pools = [{"Subnet": SUBNETS[option]} for option in SUBNETS]
    own = ["192.0.2.1", "198.18.0.11", "2001:db8::1", "2001:db8:1::1"]
    assert gateways(pools, own) == ["192.0.2.1", "2001:db8::1"]
    assert gateways([], own) == []
