"""What a server side goes on serving until its clients have turned, and who keeps it from giving that up."""

import base64
import json
import zlib

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _packing as packing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import unpacked
from simulation import Fleet, Host

HOSTVARS = {f"vm{number}": {"ambassador_address": f"198.18.0.1{number}"} for number in (1, 2, 3)}
ADDRESSES = ["198.18.0.11"]
SETTINGS = {"engine": "haproxy", "tls": True}
REDIS = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}
PLAIN = {"port": 6380, "publish": 6379, "servers": "vm1", "clients": "vm2:vm3", "backend": "plain:6379"}


# a link with several ports, and the same link with one of them
SEVERAL = {"ports": [6379, 6380], "servers": "vm1", "clients": "vm2", "backend": "redis_server"}
ONE = {**SEVERAL, "ports": [6379]}
PLAINTEXT = {"engine": "haproxy", "tls": False}


def wiring(tls=True, **links):
    """The wiring of the server side of vm1."""
    fleet = Fleet(links, {name: Host(name) for name in HOSTVARS}, HOSTVARS, tls=tls)
    return fleet.wiring().side("vm1", "server", HOSTVARS)


def served(now, before, tls=True):
    """What a side serves that is to change from one map to another."""
    settings = {"engine": "haproxy", "tls": tls}
    held = handover.former({"wiring": packing.packed(handover.text(wiring(tls, **before), settings).encode())}, settings)
    return handover.both(wiring(tls, **now), held, ADDRESSES)


def places(found):
    """Alias -> the ports on which it is served."""
    return {link["alias"]: [link["listen"], *link["also"]] for link in found["links"]}


def backends(found):
    """Alias -> the address and port of its backend that the engine reads."""
    names = {link["alias"]: link["targets"][0]["variable"] for link in found["links"]}
    return {alias: tuple(found["variables"][f"{name}_{key}"] for key in ("ADDR", "PORT")) for alias, name in names.items()}


def held(settings=SETTINGS, **links):
    """What is read of a side that serves links."""
    return handover.former({"wiring": packing.packed(handover.text(wiring(**links), settings).encode())}, SETTINGS)


def aliases(found):
    return [link["alias"] for link in found["links"]]


def test_run_that_does_not_observe_a_client_host_keeps_its_addresses():
    before, now = held(redis=REDIS), wiring(redis={**REDIS, "clients": "vm2:vm3"})
    before["sources"]["vm2"] = ["198.18.0.12", "2001:db8::12"]
    assert now["sources"] == {"vm2": ["198.18.0.12"], "vm3": ["198.18.0.13"]}
    assert handover.with_sources(now, before)["sources"] == {**now["sources"], "vm2": ["198.18.0.12", "2001:db8::12"]}
    # another address
    now["sources"]["vm2"] = ["198.18.0.99"]
    assert handover.with_sources(now, before)["sources"]["vm2"] == ["198.18.0.99"]
    assert handover.with_sources(now, None) == now
    # a client that leaves, but may still connect
    assert handover.both(wiring(redis={**REDIS, "clients": "vm3"}), held(redis=REDIS), ADDRESSES)["sources"] == {
        "vm2": ["198.18.0.12"],
        "vm3": ["198.18.0.13"],
    }


def test_a_link_that_leaves_is_served_beside_what_stays_and_what_comes():
    found = handover.both(wiring(queue={**REDIS, "port": 5672}, redis=REDIS), held(redis=REDIS, plain=PLAIN), ADDRESSES)
    assert aliases(found) == ["queue", "redis", "plain"]
    assert found["variables"]["PLAIN_PORT_6379_TCP_ADDR"] == "plain"
    assert [one["port"] for one in found["publish"]] == [5672, 6379]


def test_the_port_of_a_link_that_leaves_stays_open():
    found = handover.both(wiring(redis=REDIS), held(redis=REDIS, plain={**PLAIN, "publish": 6380}), ADDRESSES)
    assert [(one["port"], one["alias"]) for one in found["publish"]] == [(6379, "redis"), (6380, "plain")]


def test_a_client_that_leaves_a_link_is_let_in():
    found = handover.both(wiring(plain={**PLAIN, "clients": "vm2"}), held(plain=PLAIN), ADDRESSES)
    assert (found["links"][0]["admitted"], found["links"][0]["clients"]) == (["vm2", "vm3"], ["vm2", "vm3"])


def test_a_link_on_another_port_is_served_on_both():
    found = handover.both(wiring(plain={**PLAIN, "publish": 7000}), held(plain=PLAIN), ADDRESSES)
    assert [(link["alias"], link["listen"], link["also"]) for link in found["links"]] == [("plain", 7000, [6379])]
    assert [one["port"] for one in found["publish"]] == [7000, 6379]
    # and on that before as well, where nobody has given it up yet
    again = handover.former({"wiring": packing.packed(handover.text(found, SETTINGS).encode())}, SETTINGS)
    third = handover.both(wiring(plain={**PLAIN, "publish": 7001}), again, ADDRESSES)
    assert [(link["listen"], link["also"]) for link in third["links"]] == [(7001, [7000, 6379])]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("now", [{"queue": {**REDIS, "port": 5672}}, {"queue": {**REDIS, "port": 5672}, "redis": ONE}])
def test_every_port_of_a_link_that_leaves_stays_open(now, tls):
    found = served(now, {"redis": SEVERAL}, tls)
    assert places(found) == {"queue": [5672], "redis:6379": [6379], "redis:6380": [6380]}
    assert sorted(one["port"] for one in found["publish"]) == [5672, 6379, 6380]
    assert backends(found)["redis:6380"] == ("redis_server", "6380")


@pytest.mark.parametrize("backend", ["redis_server", "valkey"])
def test_over_tls_a_port_is_served_under_both_aliases_after_a_change_from_port_to_ports(backend):
    single, several = {"redis": {**REDIS, "clients": "vm2:vm3"}}, {"redis": {**SEVERAL, "backend": backend}}
    found = served(several, single)
    assert places(found) == {"redis:6379": [6379], "redis:6380": [6380], "redis": [6379]}
    # the former link keeps its backend and its clients
    assert (backends(found)["redis"], backends(found)["redis:6379"]) == (("redis_server", "6379"), (backend, "6379"))
    assert [link["admitted"] for link in found["links"]] == [["vm2"], ["vm2"], ["vm2", "vm3"]]
    back = served(single, several)
    assert places(back) == {"redis": [6379], "redis:6379": [6379], "redis:6380": [6380]}
    assert backends(back) == {"redis": ("redis_server", "6379"), "redis:6379": (backend, "6379"), "redis:6380": (backend, "6380")}
    # the next run does not change what is kept
    again = handover.former({"wiring": packing.packed(handover.text(found, SETTINGS).encode())}, SETTINGS)
    assert handover.both(wiring(**several), again, ADDRESSES) == found


def test_without_tls_a_port_admits_former_clients_after_a_change_between_port_and_ports():
    single, several = {"redis": {**REDIS, "clients": "vm3"}}, {"redis": SEVERAL}
    for now, before, ports in ((several, single, {"redis:6379": [6379], "redis:6380": [6380]}), (single, several, None)):
        found = served(now, before, tls=False)
        assert places(found) == (ports or {"redis": [6379], "redis:6380": [6380]})
        assert set(found["links"][0]["clients"]) == {"vm2", "vm3"}
        assert set(found["links"][0]["admitted"]) == {"198.18.0.12", "198.18.0.13"}
    # another port of the name is another service
    other = {**ONE, "ports": [6380], "publish": 6379}
    found = served({"redis": other}, {"redis": {**ONE, "clients": "vm3"}}, tls=False)
    assert [(link["alias"], link["clients"]) for link in found["links"]] == [("redis:6380", ["vm2"])]


def test_without_tls_a_link_keeps_the_ports_that_no_other_link_has_now():
    between = served({"plain": {**PLAIN, "publish": 7000}}, {"plain": PLAIN}, tls=False)
    assert places(between) == {"plain": [7000, 6379]}
    before = handover.former({"wiring": packing.packed(handover.text(between, PLAINTEXT).encode())}, PLAINTEXT)
    found = handover.both(wiring(False, redis={**REDIS, "publish": 7000}), before, ADDRESSES)
    assert (places(found), backends(found)["plain"]) == ({"redis": [7000], "plain": [6379]}, ("plain", "6379"))


def test_reads_the_files_of_earlier_releases():
    """They have no names, numbers, and containers of links, and no addresses of clients."""
    content = json.loads(handover.text(wiring(redis=REDIS, plain=PLAIN), SETTINGS))
    del content["sources"]
    for link in content["links"]:
        for key in ("name", "number", "place"):
            del link[key]
    before = handover.former({"wiring": packing.packed(json.dumps(content).encode())}, SETTINGS)
    found = handover.both(wiring(redis=SEVERAL), before, ADDRESSES)
    assert places(found) == {"redis:6379": [6379], "redis:6380": [6380], "redis": [6379], "plain": [6379]}
    assert backends(found)["plain"] == ("plain", "6379")


def test_without_tls_a_port_that_is_another_links_now_is_that_ones():
    plain, settings = {"plain": {**PLAIN, "publish": 7000}, "redis": {**REDIS, "publish": 6379}}, {"engine": "haproxy", "tls": False}
    before = handover.former({"wiring": packing.packed(handover.text(wiring(plain=PLAIN), settings).encode())}, settings)
    assert [(link["alias"], link["also"]) for link in handover.both(wiring(**plain), before, ADDRESSES)["links"]] == [
        ("plain", []),
        ("redis", []),
    ]


@pytest.mark.parametrize(
    ("addresses", "published"),
    [(["198.18.0.11", "10.0.0.1"], ["10.0.0.1", "198.18.0.11"]), (["10.0.0.1"], ["10.0.0.1"])],
    ids=["it has both", "the old one is gone"],
)
def test_an_address_that_a_host_still_has_is_published_on_as_well(addresses, published):
    now = wiring(plain=PLAIN)
    now["publish"] = [{**one, "address": "10.0.0.1"} for one in now["publish"]]
    assert [one["address"] for one in handover.both(now, held(plain=PLAIN), addresses)["publish"]] == published


def test_all_addresses_hold_the_old_one():
    now = wiring(plain=PLAIN)
    now["publish"] = [{**one, "address": "0.0.0.0"} for one in now["publish"]]
    assert handover.both(now, held(plain=PLAIN), ADDRESSES)["publish"] == now["publish"]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("198.18.0.11:6379", {"vm2": "still dials it", "vm3": "still dials it"}),
        ("198.18.0.11:7000", {}),
        # behind NAT, by the name of the host
        ("192.0.2.1:6379", {"vm2": "still dials it", "vm3": "still dials it"}),
        ("192.0.2.1:7000", {}),
    ],
)
def test_the_old_port_is_given_up_when_nobody_dials_it(place, found):
    observations = {name: seen("plain", address=place) for name in ("vm2", "vm3")}
    now = wiring(plain={**PLAIN, "publish": 7000})
    assert handover.waiting(now, held(plain=PLAIN), "vm1", observations, list(HOSTVARS), []) == found


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({"redis": REDIS}, None),
        ({"redis": REDIS}, {"settings": {"engine": "nftables", "tls": True}, "plain": PLAIN}),
        ({"redis": REDIS}, {"settings": {"engine": "haproxy", "tls": False}, "plain": PLAIN}),
        # its variables are those of another one
        ({"PLAIN": PLAIN}, {"plain": PLAIN}),
        # a side that serves nothing any more is left as it is
        ({}, {"plain": PLAIN}),
    ],
    ids=["nothing known", "another engine", "another way to speak", "another spelling", "nothing left"],
)
def test_what_cannot_be_served_beside_the_new_is_not(now, before):
    asked = wiring(**now)
    assert handover.both(asked, held(**before) if before else None, ADDRESSES) == asked


@pytest.mark.parametrize("content", ["{}", "[]", "1", '"x"', "null", '{"links": 1}', '{"links": [{}]}', '{"engine": "haproxy"}'])
def test_a_file_of_another_form_says_nothing(content):
    assert handover.former({"wiring": packing.packed(content.encode())}, SETTINGS) is None
    held = {"engine": SETTINGS["engine"], "tls": SETTINGS["tls"], "links": [], "publish": []}
    assert handover.former({"wiring": packing.packed(json.dumps(held).encode())}, SETTINGS) == {**held, "sources": {}}
    assert handover.former({"wiring": packing.packed(json.dumps({**held, "format": 1}).encode())}, SETTINGS) == {**held, "sources": {}}
    for changes in (
        {"links": [{"alias": "a", "listen": 1}]},
        {"publish": [{}]},
        {"publish": None},
        {"links": {"a": 1}},
        {"format": 2},
        {"format": "x"},
    ):
        assert handover.former({"wiring": packing.packed(json.dumps({**held, **changes}).encode())}, SETTINGS) is None


@pytest.mark.parametrize("text", ["", "x", base64.b64encode(b"x").decode(), base64.b64encode(zlib.compress(b"{")).decode()])
def test_a_file_that_cannot_be_read_says_nothing(text):
    assert handover.former({"wiring": text}, SETTINGS) is None
    assert handover.former({}, SETTINGS) is None


@pytest.mark.parametrize("settings", [SETTINGS, PLAINTEXT, {"engine": "nftables", "tls": False}])
def test_a_side_loses_a_client_whatever_its_engine_was_and_whether_it_had_tls(settings):
    side = {"running": "a" * 12, "wiring": packing.packed(handover.text(wiring(settings["tls"], redis=REDIS), settings).encode())}
    for tls in (True, False):
        assert not handover.removes_clients(side, wiring(tls, redis=REDIS), tls)
        assert not handover.removes_clients(side, wiring(tls, redis={**REDIS, "clients": "vm2:vm3"}), tls)
        assert handover.removes_clients(side, wiring(tls, redis={**REDIS, "clients": "vm3"}), tls)


def test_a_side_may_lose_clients_if_its_wiring_is_unknown():
    assert handover.removes_clients({"running": "a" * 12, "wiring": "x"}, wiring(redis=REDIS), True)
    assert not handover.removes_clients({}, wiring(redis=REDIS), True)


def seen(alias=None, name="vm1", address="198.18.0.11:6379"):
    """What was observed of a client host, that leads a link to a place."""
    targets = [{"name": name, "address": address}]
    return {"sides": {"client": {"links": {alias: {"targets": targets}}}} if alias else {}}


@pytest.mark.parametrize(
    ("observations", "failed", "found"),
    [
        ({"vm2": seen(), "vm3": seen("plain", "vm3", "198.18.0.13:6379")}, [], {}),
        ({"vm2": seen("plain"), "vm3": seen()}, [], {"vm2": "still dials it"}),
        # by its address, whatever it is called
        ({"vm2": seen("plain", "target1"), "vm3": seen()}, [], {"vm2": "still dials it"}),
        ({"vm2": seen("redis"), "vm3": seen()}, [], {}),
        ({"vm2": seen("plain", address=None), "vm3": seen()}, ["vm2"], {"vm2": "has failed"}),
        ({"vm3": seen()}, [], {"vm2": "is not in this run, or does not answer"}),
    ],
)
def test_nothing_is_given_up_before_every_client_was_seen_to_have_turned(observations, failed, found):
    before = held(redis=REDIS, plain=PLAIN)
    assert handover.waiting(wiring(redis=REDIS), before, "vm1", observations, list(HOSTVARS), failed) == found


@pytest.mark.parametrize(
    ("alias", "address", "found"),
    [
        ("redis", "198.18.0.11:6379", {"vm3": "still dials it"}),
        ("redis:6379", "198.18.0.11:6379", {"vm3": "still dials it"}),
        # of another port of the link, of another link, and of another host
        ("redis:7000", "198.18.0.11:7000", {}),
        ("plain", "198.18.0.11:6379", {}),
        ("redis", "198.18.0.12:6379", {}),
    ],
)
def test_without_tls_a_client_of_a_removed_link_is_waited_for_under_both_aliases(alias, address, found):
    between = served({"redis": ONE}, {"redis": {**REDIS, "clients": "vm3"}}, tls=False)
    before = handover.former({"wiring": packing.packed(handover.text(between, PLAINTEXT).encode())}, PLAINTEXT)
    observations = {"vm2": seen(), "vm3": seen(alias, "vm1" if "0.11:" in address else "vm2", address)}
    now = wiring(False, cache={**REDIS, "port": 7001})
    assert handover.waiting(now, before, "vm1", observations, list(HOSTVARS), []) == found


@pytest.mark.parametrize(("failed", "is_observed"), [([], True), (["vm3"], True), ([], False)])
def test_a_client_that_left_a_link_is_not_waited_for(failed, is_observed):
    """Otherwise it could keep its authorization by its own answer."""
    now, observations = wiring(redis={**REDIS, "clients": "vm2"}), {"vm2": seen("redis")}
    if is_observed:
        observations["vm3"] = seen("redis")
    before = held(redis={**REDIS, "clients": "vm2:vm3"})
    assert handover.waiting(now, before, "vm1", observations, list(HOSTVARS), failed) == {}


def test_a_host_that_is_in_no_inventory_any_more_is_not_waited_for():
    assert handover.waiting(wiring(redis=REDIS), held(redis=REDIS, plain=PLAIN), "vm1", {"vm2": seen()}, ["vm1", "vm2"], []) == {}


@pytest.mark.parametrize(
    ("shown", "failed", "found"),
    [("vm2", ["new"], {"new": "has failed"}), ("vm2", [], {"new": "still dials it"}), ("new", ["new"], {})],
)
def test_a_renamed_client_is_waited_for_until_it_shows_its_new_name(shown, failed, found):
    observed = seen("redis")
    observed["sides"]["client"]["certificate"] = {"name": shown}
    now = wiring(plain=PLAIN)
    assert handover.waiting(now, held(redis=REDIS), "vm1", {"new": observed}, ["vm1", "new"], failed) == found


def test_where_nothing_is_known_of_it_whoever_failed_may_dial_it():
    assert handover.waiting(wiring(redis=REDIS), None, "vm1", {}, list(HOSTVARS), ["vm3"]) == {"vm3": "has failed"}
    assert handover.waiting(wiring(redis=REDIS), None, "vm1", {}, list(HOSTVARS), []) == {}


BOMB = base64.b64encode(zlib.compress(b"[" + b" " * (packing.MAX_PACKED_BYTES + 1) + b"]")).decode()


@pytest.mark.parametrize("text", [BOMB, "eJw=", "AAAA", "no base64", None, 7, ["x"]], ids=range(7))
def test_text_that_cannot_be_unpacked_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)
    assert handover.former({"wiring": text}, SETTINGS) is None


def test_host_that_reports_the_certificate_of_another_one_does_not_answer_for_it():
    before = held(plain=PLAIN)
    forged = {"sides": {"client": {"certificate": {"name": "vm3"}, "links": {}}}}
    observations = {
        "vm2": forged,
        "vm3": {
            "sides": {"client": {"certificate": None, "links": {"plain": {"targets": [{"name": "vm1", "address": "198.18.0.11:6379"}]}}}}
        },
    }
    found = handover.waiting(wiring(redis=REDIS), before, "vm1", observations, list(HOSTVARS), [])
    assert found == {"vm3": "still dials it"}
