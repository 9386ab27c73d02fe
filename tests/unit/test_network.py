"""The ambassador network: Docker gives addresses of one half, the client side has a fixed one in the other."""

import ipaddress

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.network import network

SUBNETS = {"ipv4_address": "192.0.2.0/24", "ipv6_address": "2001:db8::/64"}


@pytest.mark.parametrize("option", SUBNETS)
def test_the_fixed_address_is_none_that_docker_gives(option):
    (ranged,) = network([{"Subnet": SUBNETS[option], "Gateway": "unused"}])["ranged"]
    fixed = network([{"Subnet": ranged["subnet"], "IPRange": ranged["iprange"]}])["fixed"]
    assert ranged["subnet"] == SUBNETS[option]
    assert ipaddress.ip_address(fixed[option]) in ipaddress.ip_network(ranged["subnet"])
    assert ipaddress.ip_address(fixed[option]) not in ipaddress.ip_network(ranged["iprange"])


def test_a_network_of_somebody_else_has_no_fixed_address():
    assert network([{"Subnet": "192.0.2.0/24", "Gateway": "192.0.2.1"}])["fixed"] == {}
