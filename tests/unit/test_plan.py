"""The plan: what is changed, what is refused, and what is told, on hosts that do what a plan says (simulation.py)."""

import copy

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils._engines import proved
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._certificates import ListFault
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import find_default_route
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._metrics import describe_metrics_container
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import STEPS, Plan
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import (
    RenewalReason,
    find_renewal,
    find_revocation_list_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_lines import format_link_lines
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import can_roll_back
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_redis import RedisInputs, plan_redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_removal import plan_removal
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis_containers import describe_redis_server
from hypothesis import event, given
from hypothesis import strategies as st
from simulation import DAY, IMAGES, NOW, SETTINGS, Fleet, Host, KilledError, Redis

REDIS = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379", "check": "redis"}
PLAIN = {key: value for key, value in REDIS.items() if key != "check"}
ADDRESSES = {"vm1": "198.18.0.11", "vm2": "198.18.0.12", "vm3": "198.18.0.13"}
SIDES = [("vm1", "server"), ("vm2", "client")]
PASSWORDS = {"app": "one", "proof": "two", "operator": "three"}
THEIRS = {
    "id": "0" * 64,
    "ours": None,
    "mesh": None,
    "image": "nginx",
    "image_id": "sha256:0",
    "state": "running",
    "publishes": [],
    "networks": {},
}


def a_fleet(links=None, **changes):
    """Hosts on which nothing is, and a map of one link."""
    hosts = {name: Host(name, [address]) for name, address in ADDRESSES.items()}
    hostvars = {name: {"ambassador_address": address} for name, address in ADDRESSES.items()}
    link = REDIS if changes.get("engine", "haproxy") == "haproxy" else PLAIN
    return Fleet({"redis": link} if links is None else links, hosts, hostvars, **changes)


@pytest.fixture
def fleet():
    """Hosts that carry one link over TLS."""
    found = a_fleet(tls=True)
    found.deploy()
    return found


def observed(fleet, host="vm2"):
    return fleet.hosts[host].observed


def container(fleet, host="vm2", side="client"):
    return observed(fleet, host)["containers"][f"ambassador_{side}"]


def on_disk(fleet, host="vm2", side="client"):
    return observed(fleet, host)["sides"][side]


def changes(found):
    """Return the steps that change something."""
    return [step for step in found["steps"] if step != "verify"]


# -- what is there is left alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("engine", IMAGES)
def test_what_a_plan_made_needs_no_other(engine, tls):
    fleet = a_fleet(engine=engine, tls=tls)
    plans = fleet.deploy()
    if tls and engine != "haproxy":
        assert all(plans[key]["problems"] and not plans[key]["steps"] for key in SIDES)
        return
    for key in SIDES:
        assert "container" in plans[key]["steps"]
        again = fleet.plan(*key)
        assert (again["problems"], changes(again), again["lines"], again["warnings"], again["ask"]) == ([], [], [], [], {})
        # the kernel checks nothing: its links are dialled by every run
        assert again["steps"] == (["verify"] if (engine, key[1]) == ("nftables", "client") else [])


@pytest.mark.parametrize("key", [("vm1", "client"), ("vm2", "server"), ("vm3", "server"), ("vm3", "client")])
def test_a_side_without_links_is_nobody_s_business(fleet, key):
    lacking = observed(fleet, key[0])
    lacking["docker"] = {"version": None, "error": "unix:///var/run/docker.sock: No such file or directory"}
    lacking["python"]["missing"] = ["requests", "cryptography"]
    said = fleet.plan(*key)
    assert (said["problems"], said["steps"], said["lines"]) == ([], [], [])


def test_links_that_nobody_checks_are_dialled_by_every_run_and_nothing_else_is_done():
    fleet = a_fleet({"redis": {**REDIS, "check": "none"}})
    fleet.deploy()
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], ["verify"]]
    assert fleet.run("vm2", "client")["unchecked"] == [
        {"alias": "redis", "listen": 6379, "protocol": "tcp", "servers": ["vm1"], "place": 1}
    ]


def test_without_proof_nothing_is_verified_and_what_is_made_is_loaded():
    fleet = a_fleet(prove=False)
    plans = fleet.deploy()
    assert [plans[key]["steps"][-1] for key in SIDES] == ["load", "variables"]
    assert all("verify" not in plans[key]["steps"] for key in SIDES)
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]


def test_a_link_that_no_check_proves_is_verified_and_nothing_is_changed(fleet):
    target = on_disk(fleet)["links"]["redis"]["targets"][0]
    target["proved"] = proved({"up": True, "check_status": "INI"})
    assert fleet.plan("vm2", "client")["steps"] == ["verify"]
    # the backend of a server side may be a replica
    on_disk(fleet, "vm1", "server")["links"]["redis"]["targets"][0].update(proved=False, up=False)
    assert fleet.plan("vm1", "server")["steps"] == []
    on_disk(fleet, "vm1", "server")["links"] = {}
    assert fleet.plan("vm1", "server")["steps"] == ["verify"]


# -- the order ----------------------------------------------------------------------------------------------------


def test_steps_come_in_their_order_whatever_they_were_planned_in():
    made = Plan("client", "vm2")
    for step in reversed(STEPS):
        made.add_step(step, "because")
    assert made.result()["steps"] == list(STEPS)
    assert made.result()["part"] == "client"


def test_the_first_reason_of_a_step_is_the_one_that_is_told():
    made = Plan("client", "vm2")
    made.add_step("container", "one")
    made.add_step("container", "two")
    assert made.result()["why"] == {"container": "one"}


def test_the_plan_of_hosts_on_which_nothing_is():
    plans = a_fleet(tls=True).deploy()
    # what is made where nothing was reads what is there, and is waited for by its verification
    for key, phase in zip(SIDES, ("expand", "turn"), strict=True):
        more = ["variables"] if phase == "turn" else []
        assert plans[key]["steps"] == ["image", "network", "certificate", "configuration", "container", "verify", *more]
        assert plans[key]["phases"] == {"expand": [], "turn": [], "contract": [], phase: plans[key]["steps"]}
    assert plans["vm3", "server"]["steps"] == plans["vm3", "client"]["steps"] == []


def test_a_change_is_taken_by_server_sides_before_client_sides_turn(fleet):
    fleet.links = {"redis": {**REDIS, "drain": 1}}
    assert [fleet.plan(*key)["phases"] for key in SIDES] == [
        {"expand": ["configuration", "load", "verify"], "turn": [], "contract": []},
        {"expand": [], "turn": ["configuration", "load", "verify"], "contract": []},
    ]
    assert fleet.plan("vm2", "client")["why"] == {
        "configuration": "the configuration changes",
        "load": "what is on disk is what runs",
        "verify": "the links are verified",
    }


def test_what_is_remembered_of_a_run_is_what_people_were_told_or_else_why(fleet):
    assert fleet.plan("vm2", "client")["record"] == []
    observed(fleet)["sides"]["client"]["files"] = {}
    assert fleet.plan("vm2", "client")["record"] == ["the configuration changes", "what is on disk is what runs"]
    fleet.links = {"redis": {**REDIS, "servers": "vm3"}}
    found = fleet.plan("vm2", "client")
    assert found["record"] == found["lines"] == ["~ redis vm2: vm1 198.18.0.11:6379 -> vm3 198.18.0.13:6379, live"]
    # a side of it that goes, and an engine that keeps nothing on the host, remember nothing
    assert fleet.plan("vm1", "server")["steps"] == ["remove"]
    assert fleet.plan("vm1", "server")["record"] == []
    assert a_fleet(engine="socat").deploy()["vm2", "client"]["record"] == []


def test_a_side_is_given_up_when_nobody_dials_it_any_more(fleet):
    fleet.links = {"redis": {**REDIS, "servers": "vm3"}}
    assert fleet.plan("vm3", "server")["phases"]["expand"][-1] == "verify"
    assert fleet.plan("vm2", "client")["phases"]["turn"] == ["configuration", "load", "verify"]
    assert fleet.plan("vm1", "server")["phases"] == {"expand": [], "turn": [], "contract": ["remove"]}
    fleet.links = {}
    assert fleet.plan("vm2", "client")["phases"] == {"expand": [], "turn": [], "contract": ["remove"]}


def test_redis_servers_come_before_client_sides_and_redis_clients_with_them():
    host = Host("vm1")
    assert Redis(host, "redis_server", PASSWORDS).plan()["phases"]["expand"] == [
        *("image", "network", "data", "directory", "container", "verify")
    ]
    assert Redis(host, "redis_client", {"app": "one"}).plan()["phases"]["turn"] == [
        *("image", "network", "directory", "container", "verify")
    ]


# -- what is refused ----------------------------------------------------------------------------------------------


def refused(found):
    """Return the sentences of a plan that does nothing."""
    assert found["problems"]
    assert (found["steps"], found["lines"], found["warnings"]) == ([], [], [])
    assert found["phases"] == {"expand": [], "turn": [], "contract": []}
    assert not {"container", "generation", "remove"} & set(found)
    return found["problems"]


@pytest.mark.parametrize("key", SIDES)
def test_a_host_without_docker_is_told_with_its_words(key):
    fleet = a_fleet()
    error = "unix:///var/run/docker.sock: Connection refused"
    observed(fleet, key[0])["docker"] = {"version": None, "error": error}
    assert refused(fleet.plan(*key)) == [
        f"Host {key[0]}: the Docker Engine does not answer. {error}."
        " Install or start it on the host (this collection does not install it), or allow the user of this play to use it."
    ]


def test_a_host_without_requests_is_told_with_its_python():
    fleet = a_fleet()
    observed(fleet)["python"]["missing"] = ["requests"]
    assert refused(fleet.plan("vm2", "client")) == [
        "host vm2: expected the Python library requests for /usr/bin/python3, found none; install the package python3-requests on the host."
    ]


def test_a_host_that_cannot_make_a_key_is_told_where_it_has_no_certificate_yet(fleet):
    fresh = a_fleet(tls=True)
    observed(fresh)["python"]["missing"] = ["cryptography"]
    (sentence,) = refused(fresh.plan("vm2", "client"))
    assert sentence.startswith("host vm2: expected the Python library cryptography, found none; install the package python3-cryptography")
    assert "set ambassador_tls to false, and what the links carry can be read and changed on its way" in sentence
    observed(fleet)["python"]["missing"] = ["cryptography"]
    assert fleet.plan("vm2", "client")["problems"] == []
    fresh = a_fleet()
    observed(fresh)["python"]["missing"] = ["cryptography"]
    assert fresh.plan("vm2", "client")["problems"] == []


def test_a_container_of_somebody_else_s_is_left_alone():
    fleet = a_fleet()
    observed(fleet)["containers"]["ambassador_client"] = THEIRS
    assert refused(fleet.plan("vm2", "client")) == [
        "host vm2: expected no container ambassador_client, or one that this mesh made, found another one (image nginx);"
        " rename or remove that one."
    ]
    # nor is it removed
    fleet.links = {}
    said = fleet.plan("vm2", "client")
    assert (said["problems"], said["steps"]) == ([], [])
    assert plan_removal("client", "vm2", "ambassador_client", observed(fleet), SETTINGS).result()["steps"] == []


@pytest.mark.parametrize(
    ("kind", "error", "found"),
    [
        ("userns", None, "whose containers have the users of the host, for keys and passwords are files of these, found userns-remap;"),
        ("rootless", None, "whose containers have the users of the host, for keys and passwords are files of these, found a rootless one"),
        ("rootless", "unix:///var/run/docker.sock: No such file or directory", "found a rootless one; install or start one that root"),
        ("podman", None, "with a DNS of its own at 127.0.0.11, where ambassadors look containers up, found Podman;"),
    ],
)
@pytest.mark.parametrize("key", SIDES)
def test_an_engine_of_another_kind_is_refused(fleet, key, kind, error, found):
    observed(fleet, key[0])["docker"].update(kind=kind, error=error)
    (problem,) = fleet.plan(*key)["problems"]
    assert problem.startswith(f"host {key[0]}: expected a Docker Engine ")
    assert found in problem


def test_a_network_on_which_no_ambassador_works_is_refused(fleet):
    observed(fleet)["networks"]["ambassador"]["internal"] = True
    (problem,) = fleet.plan("vm2", "client")["problems"]
    assert "expected a network that leads to other hosts, found ambassador to be internal;" in problem
    fleet.settings["network"] = "bridge"
    (problem,) = fleet.plan("vm2", "client")["problems"]
    assert "expected a network on which containers have names, found bridge, which Docker made;" in problem


def test_a_limit_that_the_kernel_does_not_know_is_no_reason_to_change_anything(fleet):
    container(fleet).update(memory=None, pids=None)
    assert fleet.plan("vm2", "client")["steps"] == []


def test_a_network_without_ipv6_cannot_be_given_it():
    fleet = a_fleet()
    fleet.deploy()
    fleet.settings["ipv6"] = True
    (sentence,) = refused(fleet.plan("vm2", "client"))
    assert sentence.startswith("host vm2, ambassador_ipv6: expected the network ambassador to have IPv6, found it made without; remove it")
    assert "set ambassador_network to another name" in sentence
    fleet.settings["network"] = "another"
    assert fleet.plan("vm2", "client")["problems"] == []


def test_a_network_with_ipv6_does_for_those_who_do_not_ask_for_it():
    fleet = a_fleet(ipv6=True)
    fleet.deploy()
    fleet.settings["ipv6"] = False
    assert fleet.plan("vm2", "client")["problems"] == []


def test_what_another_ca_certified_is_not_certified_anew(fleet):
    for authorities, found in (([], "none"), ([{"key": "ca2", "not_after": NOW + 3650 * DAY}], "another one")):
        fleet.authority.authorities = authorities
        (sentence,) = refused(fleet.plan("vm2", "client"))
        assert sentence == (
            f"host vm2: expected the CA of its certificate in /srv/ambassador on this controller, found {found}; copy that directory from"
            " the controller that made it, or set ambassador_controller_dir (a CA is not made anew where a host holds a certificate)."
        )


def test_no_ca_is_made_where_another_host_holds_a_certificate():
    fleet = a_fleet(tls=True)
    (sentence,) = refused(fleet.plan("vm2", "client", holders=["vm1", "vm9"]))
    assert sentence.startswith("hosts vm1, vm9: expected the CA of their certificates in /srv/ambassador on this controller, found none;")
    assert "a CA is not made anew where a host holds a certificate" in sentence
    fleet.authority.sign("vm1")
    assert fleet.plan("vm2", "client", holders=["vm1"])["problems"] == []


def test_hosts_outside_the_run_are_asked_for_a_certificate_before_a_ca_is_made():
    fleet = a_fleet(tls=True)
    assert fleet.plan("vm2", "client", ask=["vm1"])["ask"] == {"certificates": ["vm1"]}
    assert fleet.plan("vm2", "client")["ask"] == {}
    fleet.authority.sign("vm1")
    assert fleet.plan("vm2", "client", ask=["vm1"])["ask"] == {}


def test_hosts_without_an_address_are_asked_for_their_facts():
    fleet = a_fleet()
    fleet.hostvars["vm1"] = {}
    said = fleet.plan("vm2", "client")
    assert said["ask"] == {"facts": ["vm1"]}
    assert "Set ambassador_address for vm1" in refused(said)[0]


def test_a_client_host_that_is_not_let_in_is_told(fleet):
    fleet.hostvars["vm2"], fleet.settings["tls"] = {}, False
    found = fleet.plan("vm1", "server")
    assert (found["problems"], found["ask"]) == ([], {"facts": ["vm2"]})
    (warning,) = found["warnings"]
    assert warning.startswith("host vm1: ambassador_server lets host vm2 in to no link (redis), for its address is not known;")


def test_what_is_wrong_with_the_map_is_told_on_every_host_it_names_and_alone():
    fleet = a_fleet({"redis": {**REDIS, "port": "none"}})
    observed(fleet)["docker"]["error"] = "no answer"
    (sentence,) = refused(fleet.plan("vm2", "client"))
    assert sentence.startswith("Link redis, key port: ")


def test_a_port_that_is_taken_is_told_before_a_container_is_made_for_it(fleet):
    fresh = a_fleet()
    observed(fresh, "vm1")["listening"] = [["tcp", "0.0.0.0", 6379]]
    (sentence,) = refused(fresh.plan("vm1", "server"))
    assert "found it taken by another program or container" in sentence
    observed(fresh, "vm1")["addresses"] = []
    assert "this host has no such address" in refused(fresh.plan("vm1", "server"))[0]
    # what is published already needs no second look
    observed(fleet, "vm1")["addresses"] = []
    assert fleet.plan("vm1", "server")["problems"] == []


def test_all_that_is_wrong_with_a_host_is_told_at_once():
    fleet = a_fleet(tls=True, ipv6=True)
    fleet.authority.sign("vm9")
    theirs = observed(fleet, "vm1")
    theirs["containers"]["ambassador_server"] = THEIRS
    theirs["networks"]["ambassador"] = {"ours": False, "ipv6": False, "pools": []}
    theirs["python"]["missing"] = ["cryptography"]
    theirs["listening"] = [["tcp", "198.18.0.11", 6379]]
    found = [sentence.split(", found")[0] for sentence in refused(fleet.plan("vm1", "server"))]
    assert [sentence.split("expected ")[1] for sentence in found] == [
        "the network ambassador to have IPv6",
        "no container ambassador_server, or one that this mesh made",
        "the Python library cryptography",
        "to publish port 6379 on 198.18.0.11",
    ]


@pytest.mark.parametrize("part", ["redis_server", "redis_client"])
@pytest.mark.parametrize("name", ["server", "client", "identity"])
def test_a_container_of_redis_has_a_directory_of_its_own(part, name):
    assert refused(Redis(Host("vm1"), part, PASSWORDS, name=name).plan()) == [
        f"{part}_name: expected another name than those of the ambassadors' directories, found {name}; choose another."
    ]


@pytest.mark.parametrize("name", ["server", "client", "identity"])
def test_no_directory_of_an_ambassador_is_removed_as_that_of_a_redis(fleet, name):
    said = plan_removal("redis_client", "vm2", name, observed(fleet), SETTINGS).result()
    assert refused(said)[0].startswith("redis_client_name: expected another name than those of the ambassadors' directories")


@pytest.mark.parametrize("part", ["redis_server", "redis_client"])
def test_refuses_redis_roles_over_tls(part):
    host = Host("vm1")
    host.observed["docker"]["tls"] = True
    (problem,) = refused(Redis(host, part, PASSWORDS).plan())
    assert problem == (
        f"Host vm1: the role {part} cannot use the Docker Engine over TLS, because community.docker cannot pass standard input to a"
        " container over TLS. Set docker_host of this host to a Unix socket."
    )


@pytest.mark.parametrize("key", SIDES)
def test_plans_ambassadors_over_tls(fleet, key):
    observed(fleet, key[0])["docker"]["tls"] = True
    assert fleet.plan(*key)["problems"] == []


def test_a_redis_is_refused_as_a_side_is():
    host = Host("vm1")
    host.observed["containers"]["redis_server"] = THEIRS
    assert "found another one (image nginx)" in refused(Redis(host, "redis_server", PASSWORDS).plan())[0]
    assert refused(Redis(Host("vm1"), "redis_client", PASSWORDS).plan(["a password"])) == ["a password"]
    host.observed["networks"]["ambassador"] = {"ours": False, "ipv6": False, "pools": []}
    assert len(refused(Redis(host, "redis_server", PASSWORDS, ipv6=True).plan())) == 2
    host.observed["docker"]["tls"] = True
    assert len(refused(Redis(host, "redis_server", PASSWORDS, ipv6=True).plan())) == 3
    host.observed["docker"]["error"] = "no answer"
    (sentence,) = refused(Redis(host, "redis_server", PASSWORDS).plan())
    assert "does not answer. no answer." in sentence
    host.observed["python"]["missing"] = ["requests"]
    assert "python3-requests" in refused(plan_removal("redis_server", "vm1", "redis_server", host.observed, SETTINGS).result())[0]


# -- what is not as it should be is mended, and nothing else -------------------------------------------------------


def drifts():  # noqa: C901 one entry for each change by hand
    """Return what can be done to a client side by hand, and the steps that mend it."""

    def of_container(**changed):
        return lambda fleet: container(fleet).update(changed)

    def gone(fleet):
        del observed(fleet)["containers"]["ambassador_client"]

    def without_alias(fleet):
        container(fleet)["networks"]["ambassador"]["aliases"] = ["0123456789ab"]

    def off_the_network(fleet):
        container(fleet)["networks"] = {"bridge": {"addresses": ["172.17.0.2"], "aliases": [], "said": {}}}

    def at_another_address(fleet):
        container(fleet)["networks"]["ambassador"]["said"] = {"ipv4_address": "198.19.0.200"}

    def without_network(fleet):
        off_the_network(fleet)
        del observed(fleet)["networks"]["ambassador"]

    def without_image(fleet):
        observed(fleet)["images"].clear()

    def by_hand(fleet):
        on_disk(fleet)["files"]["haproxy.cfg"] = "0" * 64

    def another_file(fleet):
        on_disk(fleet)["files"]["notes"] = "0" * 64

    def another_current(fleet):
        on_disk(fleet)["current"] = "0" * 12

    def another_runs(fleet):
        on_disk(fleet)["running"] = "0" * 12

    def silent(fleet):
        on_disk(fleet).update(engine=None, running=None, links={}, error="timed out")

    def of_run(**changed):
        return lambda fleet: on_disk(fleet)["runs"].update(run={**on_disk(fleet)["runs"]["run"], **changed})

    def without_run(fleet):
        on_disk(fleet)["runs"] = {}

    def variables_by_hand(fleet):
        observed(fleet)["variables"] = "0" * 64

    def wrong_permissions(*paths):
        return lambda fleet: observed(fleet)["wrong_permissions"].extend(paths)

    def run_of_another(fleet):
        on_disk(fleet)["runs"]["run-2"] = on_disk(fleet)["runs"]["run"]

    return {
        "another restart policy": (of_container(restart="no"), ["container", "load", "verify"], "its restart policy"),
        "another memory limit": (of_container(memory=1 << 20), ["container", "load", "verify"], "its memory limit"),
        "no memory limit": (of_container(memory=0), ["container", "load", "verify"], "its memory limit"),
        "another limit of processes": (of_container(pids=1), ["standin", "container", "load", "verify"], "its limit of processes"),
        "another hash": (of_container(hash="0" * 16), ["standin", "container", "load", "verify"], "its options"),
        "no hash": (of_container(hash=None), ["standin", "container", "load", "verify"], "its options"),
        "stopped": (of_container(state="exited", publishes=[]), ["container", "load", "verify"], "it is exited"),
        "paused": (of_container(state="paused"), ["container", "load", "verify"], "it is paused"),
        "gone": (gone, ["image", "container", "load", "verify"], "missing"),
        "without its alias": (without_alias, ["standin", "container", "load", "verify"], "its aliases"),
        "off its network": (off_the_network, ["standin", "container", "load", "verify"], "its network ambassador"),
        "at another address": (at_another_address, ["container", "load", "verify"], "its address"),
        "without the network": (without_network, ["network", "configuration", "container", "load", "verify"], "its network ambassador"),
        "without the image": (without_image, ["image", "configuration", "standin", "container", "load", "verify"], "its image"),
        "a file changed by hand": (by_hand, ["configuration", "load", "verify"], None),
        "a file too many": (another_file, ["configuration", "load", "verify"], None),
        "another generation on disk": (another_current, ["configuration", "load", "verify"], None),
        "another generation runs": (another_runs, ["load", "verify"], None),
        "its engine is silent": (silent, ["load", "verify"], None),
        "somebody else's run directory": (of_run(owner=0), ["configuration", "load", "verify"], None),
        "an open run directory": (of_run(mode="0755"), ["configuration", "load", "verify"], None),
        "no run directory": (without_run, ["configuration", "load", "verify"], None),
        "the link variables changed by hand": (variables_by_hand, ["variables"], None),
        "a closed generation": (
            wrong_permissions("client/generations/0"),
            ["configuration", "load", "verify"],
            None,
        ),
        "an open state directory": (wrong_permissions("."), ["configuration", "load", "verify"], None),
        "an open key": (wrong_permissions("identity/key.pem"), ["configuration", "load", "verify"], None),
        "a run directory of a container that is gone": (run_of_another, ["configuration", "load", "verify"], None),
    }


@pytest.mark.parametrize("drift", drifts())
def test_what_is_not_as_it_should_be_is_mended_and_then_all_is_well(fleet, drift):
    harm, steps, why = drifts()[drift]
    before = copy.deepcopy(fleet.hosts["vm2"].observed)
    harm(fleet)
    said = fleet.plan("vm2", "client")
    assert said["steps"] == steps
    # one that runs and stays says what is wrong with a configuration when it loads it
    assert (said["check"] is None) == ("container" not in steps)
    if why:
        assert said["why"]["container"] == f"ambassador_client: {why}"
    if "run directory" in drift:
        assert said["why"]["configuration"] == "the directories of its sockets"
    fleet.run("vm2", "client")
    again = fleet.plan("vm2", "client")
    assert (again["problems"], again["steps"]) == ([], [])
    assert on_disk(fleet)["files"] == before["sides"]["client"]["files"] or drift == "without the image"
    assert fleet.plan("vm1", "server")["steps"] == []


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_mended_memory_limit_breaks_no_connection_and_is_no_line(fleet, side):
    host = {"server": "vm1", "client": "vm2"}[side]
    container(fleet, host, side)["memory"] = 1
    assert fleet.plan(host, side)["lines"] == []


def test_wrong_permissions_of_the_other_side_change_nothing(fleet):
    observed(fleet)["wrong_permissions"] = ["server", "server/generations/0"]
    assert fleet.plan("vm2", "client")["steps"] == []


def test_an_engine_without_files_repairs_the_state_directory_with_the_link_variables():
    fleet = a_fleet(engine="socat")
    fleet.deploy()
    observed(fleet)["wrong_permissions"] = ["."]
    assert fleet.plan("vm2", "client")["steps"] == ["variables"]
    fleet.run("vm2", "client")
    assert fleet.plan("vm2", "client")["steps"] == []


def test_the_number_of_processes_of_socat_is_its_own_container_s():
    fleet = a_fleet(engine="socat")
    fleet.deploy()
    fleet.settings["pids"] = 1000
    assert fleet.plan("vm2", "client")["steps"] == ["container"]
    assert fleet.plan("vm2", "client")["container"]["env"]["AMBASSADOR_CHILDREN"] == "990"


@pytest.mark.parametrize("changed", ["haproxy", "socat", "nftables"])
@pytest.mark.parametrize("engine", IMAGES)
def test_another_engine_takes_over_and_leaves_nothing_of_the_one_before(engine, changed):
    fleet = a_fleet({"redis": PLAIN}, engine=engine)
    fleet.deploy()
    fleet.settings |= {"engine": changed, "image": IMAGES[changed]}
    plans = fleet.deploy()
    for host, side in SIDES:
        assert ("configuration" in plans[host, side]["steps"]) == (engine != changed)
        assert changes(fleet.plan(host, side)) == []
        there = observed(fleet, host)["sides"]
        assert ({found["engine"] for found in there.values()} or {"socat"}) == {changed}


def test_what_another_engine_left_goes_though_it_does_not_answer(fleet):
    on_disk(fleet).update(engine=None, running=None, links={})
    fleet.links = {"redis": PLAIN}
    fleet.settings |= {"engine": "socat", "image": IMAGES["socat"], "tls": False}
    assert fleet.plan("vm2", "client")["why"]["configuration"] == "another engine's configuration goes"


def test_what_ran_before_is_told_where_another_generation_is_loaded(fleet):
    was = on_disk(fleet)
    was["links"]["redis"]["connections"] = 3
    fleet.links = {"redis": {**REDIS, "drain": 1}}
    said = fleet.plan("vm2", "client")
    assert said["before"] == {"engine": "haproxy", "running": was["current"], "links": was["links"]}
    assert said["running"] == was["current"]
    # what is only mended has nothing to go back to
    fleet.links = {"redis": REDIS}
    container(fleet)["memory"] = 1
    assert fleet.plan("vm2", "client")["before"] == {}
    assert a_fleet(engine="socat").plan("vm2", "client")["before"] == {}


def test_a_new_image_under_the_same_name_is_asked_for_its_version_and_once_a_run(fleet):
    fleet.hosts["vm2"].pull("haproxy:3.2.26")
    said = fleet.plan("vm2", "client")
    assert said["image"] == {"missing": False, "untested": True}
    assert said["why"]["image"] == "the image haproxy:3.2.26 is new here"
    fleet.settings["tested"] = ["haproxy:3.2.26"]
    said = fleet.plan("vm2", "client")
    assert "image" not in said["steps"]
    assert said["why"]["container"] == "ambassador_client: its image"
    # the configuration was found valid by another one
    assert "configuration" in said["steps"]


def test_an_image_that_has_no_haproxy_is_not_asked_for_its_version():
    for engine in ("socat", "nftables"):
        assert a_fleet(engine=engine).plan("vm2", "client")["image"] == {"missing": True, "untested": False}
    assert Redis(Host("vm1"), "redis_server", PASSWORDS).plan()["image"] == {"missing": True, "untested": False}


def test_a_network_that_somebody_else_made_is_used_as_it_is_and_gives_no_address():
    fleet = a_fleet()
    pools = [{"Subnet": "198.19.7.0/24", "IPRange": "198.19.7.128/25", "Gateway": "198.19.7.1"}]
    for host in fleet.hosts.values():
        host.observed["networks"]["ambassador"] = {"ours": False, "ipv6": False, "pools": pools}
    plans = fleet.deploy()
    assert "network" not in plans["vm2", "client"]["steps"]
    assert plans["vm2", "client"]["container"]["address"] == {}
    assert fleet.plan("vm2", "client")["steps"] == []


# -- certificates -------------------------------------------------------------------------------------------------

CA = [{"key": "ca1"}]
HELD = {"name": "vm1", "names": ["vm1"], "serial": 7, "authority": "ca1", "not_before": NOW - 30 * DAY, "not_after": NOW + 60 * DAY}


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({}, None),
        ({"held": None}, (RenewalReason.MISSING, "made", False)),
        ({"revoked": [6, 7]}, (RenewalReason.REVOKED, "revoked", True)),
        ({"key": "other"}, (RenewalReason.OTHER_KEY, "of another key", False)),
        ({"key": "none"}, (RenewalReason.OTHER_KEY, "of another key", False)),
        ({"held": HELD | {"name": "revoked"}}, (RenewalReason.OTHER_NAME, "of revoked", True)),
        # a run that created the key stopped before it had the certificate
        ({"held": HELD | {"name": "vm9"}, "key": "other"}, (RenewalReason.OTHER_KEY, "of another key", False)),
        ({"authorities": []}, (RenewalReason.OTHER_AUTHORITY, "of another CA", False)),
        # the first one signs, all are trusted
        ({"authorities": [{"key": "ca2"}, *CA]}, (RenewalReason.OTHER_AUTHORITY, "of another CA", False)),
        ({"authorities": [*CA, {"key": "ca2"}]}, None),
        ({"now": NOW + 1}, (RenewalReason.AGED, "valid for 60 more days", False)),
        ({"now": NOW + 70 * DAY}, (RenewalReason.AGED, "valid for -10 more days", False)),
        ({"revoked": [7], "key": "other", "now": NOW + DAY}, (RenewalReason.REVOKED, "revoked", False)),
    ],
)
def test_a_certificate_is_due_for_a_reason(given, due):
    asked = {"authorities": CA, "held": HELD, "revoked": [6], "now": NOW} | given
    key = asked.pop("key", "own")
    assert find_renewal("vm1", key, asked) == (due and (*due, None))


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({"former_name": "vm9"}, (RenewalReason.RENAMED, "of vm9, the former name of the host", False, "vm9")),
        ({"former_name": None}, (RenewalReason.OTHER_NAME, "of vm9", True, None)),
        # neither a key in other hands nor one that is not certified proves the former name
        ({"former_name": "vm9", "revoked": [7]}, (RenewalReason.REVOKED, "revoked", True, None)),
        ({"former_name": "vm9", "key": "other"}, (RenewalReason.OTHER_KEY, "of another key", False, None)),
    ],
)
def test_a_renamed_host_keeps_its_key_and_its_former_name(given, due):
    asked = {"authorities": CA, "held": HELD | {"name": "vm9", "names": ["vm9"]}, "revoked": [], "now": NOW} | given
    key = asked.pop("key", "own")
    assert find_renewal("vm1", key, asked) == due


def test_a_certificate_is_due_once_its_former_name_is_that_of_another_host():
    asked = {"authorities": CA, "held": HELD | {"names": ["vm1", "vm9"]}, "revoked": [], "now": NOW}
    assert find_renewal("vm1", "own", asked | {"inventory": ["vm1", "vm2"]}) is None
    assert find_renewal("vm1", "own", asked | {"inventory": ["vm1", "vm9"]}) == (RenewalReason.EXTRA_NAME, "also of vm9", False, None)


def test_a_copied_machine_gets_a_new_key(fleet):
    fleet.hosts["vm2"].observed["identity"] = {"certificate": fleet.authority.sign("vm1"), "key": "own"}
    found = fleet.plan("vm2", "client")
    assert (found["steps"][0], found["new_key"]) == ("certificate", True)
    assert found["warnings"] == [
        "Host vm2 has the private key of vm1, for example because it is a copy of that machine. This run creates a new key for vm2."
    ]
    # a renewal keeps the key, whatever the host is called
    fleet.hosts["vm2"].observed["identity"]["certificate"] = fleet.authority.sign("vm2")
    assert fleet.plan("vm2", "client", now=NOW + 40 * DAY)["new_key"] is False


@pytest.mark.parametrize("days", [30, 31, 89, 100])
def test_when_a_third_of_its_time_is_over_a_certificate_is_renewed_and_loaded(fleet, days):
    later = NOW + days * DAY
    assert fleet.plan("vm2", "client", now=NOW + 29 * DAY)["steps"] == []
    said = fleet.plan("vm2", "client", now=later + 1)
    assert said["steps"] == ["certificate", "configuration", "load", "verify"]
    assert said["why"]["certificate"] == f"the certificate of vm2 is valid for {90 - days} more days"
    fleet.hosts["vm2"].apply(said, fleet.settings, fleet.authority, ["certificate"])
    fleet.run("vm2", "client")
    assert fleet.plan("vm2", "client")["steps"] == []


@pytest.mark.parametrize(
    ("offset", "words"), [(-7200, "2 hours behind"), (61, "61 seconds ahead of"), (60, None), (-60, None), (None, None)]
)
def test_warns_of_a_wrong_clock(fleet, offset, words):
    fleet.hosts["vm2"].observed["clock_offset"] = offset
    found = fleet.plan("vm2", "client", now=NOW + DAY)
    sentence = f"The clock of host vm2 is {words} the clock of the controller. Set the clock of vm2, for example with chrony."
    assert found["warnings"] == ([sentence] if words else [])
    assert (found["problems"], found["steps"]) == ([], [])


@pytest.mark.parametrize(
    ("now", "offset", "reason"),
    [
        # the certificate that is there, from its first second on
        (NOW + 7200, -7200, None),
        (NOW + 7199, -7200, "vm2 is not valid before 2033-05-18T03:33:20Z, and the clock of vm2 is 2 hours behind"),
        (NOW + 20 * DAY, 70 * DAY, "vm2 expires 2033-08-16T03:33:20Z, and the clock of vm2 is 70 days ahead of"),
        # one that this run issues is valid an hour before
        (NOW + 40 * DAY, -3600, None),
        (
            NOW + 40 * DAY,
            -3601,
            "vm2 is not valid before 2033-06-27T02:33:20Z, and the clock of vm2 is 60 minutes behind",
        ),
        (NOW + 40 * DAY, 730 * DAY, "vm2 expires 2035-06-27T03:33:20Z, and the clock of vm2 is 730 days ahead of"),
        (
            NOW,
            -20000 * DAY,
            "the CA is not valid before 2033-05-17T03:33:20Z, and the clock of vm2 is 20000 days behind",
        ),
    ],
)
def test_refuses_a_clock_by_which_a_certificate_is_not_valid(fleet, now, offset, reason):
    fleet.hosts["vm2"].observed["clock_offset"] = offset
    sentence = f"Host vm2: the certificate of {reason} the clock of the controller. Set the clock of vm2, for example with chrony."
    assert fleet.plan("vm2", "client", now=now)["problems"] == ([sentence] if reason else [])
    assert fleet.plan("vm1", "server", now=now)["problems"] == []


def test_refuses_a_clock_by_which_the_certificate_of_a_peer_is_not_valid(fleet):
    fleet.hosts["vm1"].observed["clock_offset"] = -7200
    peers = {"vm2": {"not_before": NOW + 10 * DAY - 3600, "not_after": NOW + 90 * DAY}}
    (problem,) = fleet.plan("vm1", "server", now=NOW + 10 * DAY, peers=peers)["problems"]
    assert problem.startswith(
        "Host vm1: the certificate of vm2 is not valid before 2033-05-28T02:33:20Z, and the clock of vm1 is 2 hours behind"
    )


@pytest.mark.parametrize(("left", "warned"), [(365, False), (364, True), (-1, True)])
def test_a_ca_that_ends_is_told_a_year_before(fleet, left, warned):
    fleet.authority.authorities[0]["not_after"] = NOW + left * DAY
    said = fleet.plan("vm2", "client")
    sentence = f"the CA in /srv/ambassador ends in {left} days, and with it all certificates of its hosts;"
    assert [warning.startswith(sentence) for warning in said["warnings"]] == [True] * warned
    assert said["steps"] == []


def test_both_sides_of_a_host_have_one_certificate():
    fleet = a_fleet({"redis": REDIS, "pg": {**REDIS, "port": 5432, "servers": "vm2", "clients": "vm1"}}, tls=True)
    plans = fleet.deploy()
    assert [key for key, found in plans.items() if "certificate" in found["steps"]] == [("vm1", "server"), ("vm2", "server")]
    assert all(fleet.plan(host, side)["steps"] == [] for host in ("vm1", "vm2") for side in ("server", "client"))
    # a new one is loaded by both
    fleet.authority.revoked = [fleet.authority.read(observed(fleet)["identity"]["certificate"])["serial"]]
    assert [fleet.run("vm2", side)["steps"] for side in ("server", "client")] == [
        ["certificate", "configuration", "load", "verify"],
        ["configuration", "load", "verify"],
    ]


def test_connections_of_a_revoked_host_are_closed_on_each_side_once_the_list_is_loaded():
    fleet = a_fleet(tls=True)
    fleet.deploy()
    # whatever else has to be done: nothing, on these hosts
    fleet.settings["cut"] = long = "vm9." + "x" * 70
    for host, side in (("vm1", "server"), ("vm2", "client")):
        found = fleet.plan(host, side)
        assert found["steps"] == ["load", "cut", "verify"]
        # certificates shorten long names, and targets do not
        assert found["cut"] == sorted([long, certificate_name(long)])
        assert found["lines"] == [f"- connections of {long}: the {side} side of {host} closes all of its connections if it knows that host"]


def test_a_configuration_with_another_list_of_revoked_certificates_is_not_put_back(fleet):
    """A revoked host that serves a link would undo its revocation."""
    listed = {"name": "b" * 12, "files": {"haproxy.cfg": "", "crl.pem": "one"}}
    disk = {"engine": "haproxy", "running": "a" * 12, "links": {"redis": {}}, "files": {"crl.pem": digest(b"one")}}
    for crl, can in (("one", True), ("two", False), (None, False)):
        files = {"haproxy.cfg": "", **({"crl.pem": crl} if crl else {})}
        assert can_roll_back(disk, {**listed, "files": files}) is can
    assert not can_roll_back({**disk, "files": {}}, listed)
    assert can_roll_back({**disk, "files": {}}, {**listed, "files": {"haproxy.cfg": ""}})
    assert not can_roll_back({**disk, "running": "b" * 12}, listed)
    assert not can_roll_back({}, None)
    assert not can_roll_back(disk, listed, removes_clients=True)
    fleet.links = {"redis": {**REDIS, "wait": 7}}
    assert fleet.plan("vm2", "client")["before"] != {}
    on_disk(fleet)["files"]["crl.pem"] = digest(b"one")
    assert fleet.plan("vm2", "client")["before"] == {}


def test_a_configuration_with_another_ca_is_not_put_back():
    """A host with a certificate of the former CA would undo the change of the CA."""
    new = {"name": "b" * 12, "files": {"ca.pem": "new"}}
    for ca, can in ((b"new", True), (b"both", False)):
        assert can_roll_back({"running": "a" * 12, "files": {"ca.pem": digest(ca)}}, new) is can
    # from plain links to TLS
    assert can_roll_back({"running": "a" * 12, "files": {}}, new)


def test_a_configuration_with_a_client_that_left_is_not_put_back():
    fleet = a_fleet({"redis": {**REDIS, "clients": "vm2:vm3"}})
    fleet.deploy()
    fleet.links = {"redis": {**REDIS, "wait": 7, "clients": "vm2:vm3"}}
    assert fleet.plan("vm1", "server")["before"] != {}
    fleet.links = {"redis": REDIS}
    assert fleet.plan("vm1", "server")["before"] == {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ListFault.MISSING, "the list of revoked certificates of the CA CN=root is missing. Append it."),
        (ListFault.ENDED, "the list of revoked certificates of the CA CN=root has ended. Replace it"),
        (ListFault.CANNOT_SIGN, "the list of the CA CN=root is not valid. Issue"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_refuses_lists_of_revoked_certificates_with_which_every_certificate_is_refused(fault, words):
    unlisted = [{"name": "CN=root", "fault": fault}]
    fleet = a_fleet(tls=True)
    fleet.deploy()
    (problem,) = fleet.plan("vm2", "client", unlisted=unlisted)["problems"]
    assert problem.startswith(f"/srv/ambassador/ca.crl: {words}")
    (problem,) = find_revocation_list_problems({"ca": "given"}, unlisted)
    assert problem.startswith(f"ambassador_ca_crl: {words}")


def test_without_tls_there_is_no_certificate():
    fleet = a_fleet()
    assert "certificate" not in fleet.plan("vm2", "client")["steps"]
    assert "cert.pem" not in fleet.plan("vm2", "client")["generation"]["files"]


# -- what people are told -----------------------------------------------------------------------------------------


def lines(fleet):
    return {key: found["lines"] for key, found in fleet.deploy().items() if found["lines"]}


def test_a_new_link_is_a_line_on_both_sides():
    assert lines(a_fleet()) == {
        ("vm1", "server"): ["+ redis vm1: redis_server:6379"],
        ("vm2", "client"): ["+ redis vm2 -> vm1 (198.18.0.11:6379)"],
    }
    links = {"redis": {**REDIS, "servers": "vm1:vm3"}}
    assert lines(a_fleet(links))["vm2", "client"] == ["+ redis vm2 -> vm1 (198.18.0.11:6379), vm3 (198.18.0.13:6379)"]


def test_a_link_that_leads_elsewhere_says_from_where_to_where(fleet):
    fleet.links = {"redis": {**REDIS, "servers": "vm3"}}
    assert lines(fleet) == {
        ("vm2", "client"): ["~ redis vm2: vm1 198.18.0.11:6379 -> vm3 198.18.0.13:6379, live"],
        ("vm3", "server"): ["+ redis vm3: redis_server:6379"],
        ("vm1", "server"): ["- redis vm1: redis_server, up, 0 connections"],
    }


def test_a_backend_of_another_name_says_from_where_to_where(fleet):
    fleet.links = {"redis": {**REDIS, "backend": "valkey:6379"}}
    assert lines(fleet)["vm1", "server"] == ["~ redis vm1: redis_server redis_server -> valkey valkey:6379, live"]


def test_a_target_that_has_no_address_yet_is_told_without():
    wiring = a_fleet().plan("vm2", "client")["wiring"]
    there = {"links": {"redis": {"connections": 0, "targets": [{"name": "vm1", "address": None, "up": False}]}}}
    assert format_link_lines("client", "vm2", wiring, there) == ["~ redis vm2: vm1  -> vm1 198.18.0.11:6379, live"]


@pytest.mark.parametrize(("connections", "words"), [(0, "0 connections"), (1, "1 connection"), (3, "3 connections")])
@pytest.mark.parametrize("up", [True, False])
def test_a_link_that_goes_says_what_it_did(fleet, connections, words, up):
    for host, side in SIDES:
        link = on_disk(fleet, host, side)["links"]["redis"]
        link["connections"] = connections
        link["targets"][0]["up"] = up
    fleet.links = {"pg": {**REDIS, "port": 5432, "backend": "postgres:5432"}}
    said = {key: fleet.plan(*key)["lines"] for key in SIDES}
    state = "up" if up else "down"
    assert f"- redis vm1: redis_server, {state}, {words}" in said["vm1", "server"]
    assert said["vm2", "client"] == ["+ pg vm2 -> vm1 (198.18.0.11:5432)", f"- redis vm2 -> vm1, {state}, {words}"]
    fleet.links = {}
    assert fleet.plan("vm2", "client")["lines"] == [f"- redis vm2 -> vm1, {state}, {words}"]


def test_a_link_that_goes_leaves_its_port_to_the_container_that_others_live_in(fleet):
    fleet.links = {"redis": REDIS, "pg": {**REDIS, "port": 5432, "local": "127.0.0.1:5432"}}
    fleet.deploy()
    fleet.links = {"redis": REDIS}
    for key in SIDES:
        found = fleet.plan(*key)
        assert "configuration" in found["steps"]
        assert not [line for line in found["lines"] if "is made anew" in line]
    containers_before = [container(fleet, *key)["id"] for key in SIDES]
    fleet.deploy()
    assert [container(fleet, *key)["id"] for key in SIDES] == containers_before
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]


def test_a_new_port_gets_a_container_of_its_own_and_none_is_made_anew(fleet):
    fleet.links = {"redis": {**REDIS, "publish": 7000}}
    found = fleet.plan("vm1", "server", leaving=handover.KEEP)
    assert "+ container ambassador_server_2 on vm1, to publish 198.18.0.11:7000:7000" in found["lines"]
    assert ([one["name"] for one in found["containers"]], found["runs"], found["anew"]) == (
        ["ambassador_server_2"],
        ["run", "run-2"],
        False,
    )
    fleet.deploy()
    # the old port's container is given up when nobody dials it any more
    assert list(find_side_containers("server", observed(fleet, "vm1"))) == [2]
    assert list(on_disk(fleet, "vm1", "server")["runs"]) == ["run-2"]
    fleet.links = {"redis": REDIS}
    fleet.deploy()
    assert list(find_side_containers("server", observed(fleet, "vm1"))) == [1]
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]
    fleet.links = {}
    fleet.deploy()
    assert observed(fleet, "vm1")["containers"] == {}


def test_a_port_on_the_client_host_comes_and_goes_beside_the_container_that_has_the_names(fleet):
    before = container(fleet)["id"]
    fleet.links = {"redis": {**REDIS, "local": "127.0.0.1:6379"}}
    assert "+ container ambassador_client_2 on vm2, to publish 127.0.0.1:6379:6379" in fleet.plan("vm2", "client")["lines"]
    fleet.deploy()
    assert list(find_side_containers("client", observed(fleet))) == [1, 2]
    fleet.links = {"redis": REDIS}
    assert "- container ambassador_client_2 on vm2, which no link needs any more" in fleet.plan("vm2", "client")["lines"]
    fleet.deploy()
    assert (list(find_side_containers("client", observed(fleet))), container(fleet)["id"]) == ([1], before)


@pytest.mark.parametrize("engine", IMAGES)
def test_local_is_dialed_by_every_run_with_every_engine(engine):
    link = {**PLAIN, "local": "127.0.0.1:7000"}
    fleet = a_fleet({"redis": link}, engine=engine)
    fleet.deploy()
    said = fleet.plan("vm2", "client")
    assert (said["steps"], changes(said)) == (["verify"], [])
    assert said["local"] == [
        {
            "alias": "redis",
            "address": "127.0.0.1",
            "port": 7000,
            "protocol": "tcp",
            "listen": 6379,
            "place": 1,
            "addresses": ["127.0.0.1"],
        }
    ]
    # socat reports nothing of its links
    assert [one["alias"] for one in said["wiring"]["links"]] == ([] if engine == "socat" else ["redis"])
    assert fleet.plan("vm1", "server")["steps"] == []
    fleet.settings["prove"] = False
    assert fleet.plan("vm2", "client")["steps"] == []


@pytest.mark.parametrize(
    ("address", "addresses"),
    [
        ("198.18.0.12", ["198.18.0.12"]),
        ("0.0.0.0", ["127.0.0.1", "198.18.0.12", "198.18.1.12"]),
        ("[::]", ["::1", "2001:db8::2"]),
        ("[2001:db8:0::2]", ["2001:db8::2"]),
    ],
)
def test_local_on_all_addresses_is_dialed_at_loopback_and_at_own_addresses(address, addresses):
    fleet = a_fleet({"redis": {**REDIS, "local": f"{address}:7000"}})
    observed(fleet)["addresses"] = ["198.18.0.12", "2001:db8::2", "fe80::1", "198.18.1.12"]
    assert [one["addresses"] for one in fleet.plan("vm2", "client")["local"]] == [addresses]


@pytest.mark.parametrize(
    ("link", "variables", "changed", "network_has_ipv6", "key", "problem"),
    [
        ("[::1]:7000", {}, {}, False, ("vm2", "client"), "Link redis, key local: host vm2 cannot publish port 7000 on ::1,"),
        ("[::1]:7000", {}, {"ipv6": True}, True, ("vm2", "client"), "Link redis, key local: host vm2 cannot publish port 7000 on ::1,"),
        ("[::]:7000", {}, {}, False, ("vm2", "client"), "and the ambassadors have no IPv6. Set local to an IPv4 address"),
        # the client side listens on IPv6 if its network has IPv6
        ("[::]:7000", {}, {}, True, ("vm2", "client"), None),
        ("[::]:7000", {}, {"ipv6": True}, True, ("vm2", "client"), None),
        ("127.0.0.1:7000", {}, {}, False, ("vm2", "client"), None),
        # and a server side if ambassador_ipv6 is true
        (None, {"ambassador_bind": "::"}, {}, True, ("vm1", "server"), "Link redis, key publish: host vm1 cannot publish port 6379 on ::,"),
        (None, {"ambassador_bind": "::"}, {"ipv6": True}, True, ("vm1", "server"), None),
        (None, {"ambassador_bind": "::1"}, {"ipv6": True}, True, ("vm1", "server"), "on ::1, because its Docker Engine has userland-proxy"),
        (None, {}, {}, False, ("vm1", "server"), None),
    ],
)
def test_refuses_ipv6_addresses_without_userland_proxy(link, variables, changed, network_has_ipv6, key, problem):
    fleet = a_fleet({"redis": REDIS | ({"local": link} if link else {})}, **changed)
    fleet.hostvars["vm1"] |= variables
    for host in ("vm1", "vm2"):
        observed(fleet, host)["networks"]["ambassador"] = {"ours": True, "ipv6": network_has_ipv6, "pools": []}
    assert fleet.plan(*key)["problems"] == []
    observed(fleet, key[0])["docker"]["userland_proxy"] = False
    found = fleet.plan(*key)["problems"]
    assert len(found) == (1 if problem else 0), found
    assert not problem or problem in found[0]


def test_leaves_an_address_that_the_engine_cannot_publish(fleet):
    fleet.hostvars["vm1"]["ambassador_bind"] = "::1"
    fleet.deploy()
    observed(fleet, "vm1")["docker"]["userland_proxy"] = False
    assert len(fleet.plan("vm1", "server")["problems"]) == 1
    fleet.hostvars["vm1"]["ambassador_bind"] = "127.0.0.1"
    # the old address is kept until all client sides have switched
    assert fleet.plan("vm1", "server", leaving=handover.KEEP)["problems"] == []


def places(fleet, host="vm2"):
    """Return the names that each container of the client side has, and its ID."""
    found = {}
    for number, one in find_side_containers("client", observed(fleet, host)).items():
        aliases = [alias for alias in one["networks"]["ambassador"]["aliases"] if alias in fleet.links]
        found[number] = (aliases, one["id"]) if aliases else None
    return {number: one for number, one in found.items() if one}


def test_two_links_with_one_port_have_a_container_each_and_stay_where_they_are(fleet):
    before = container(fleet)["id"]
    fleet.links = {"cache": {**REDIS, "publish": 7000}, "redis": REDIS, "pg": {**REDIS, "port": 5432}}
    assert "+ container ambassador_client_2 on vm2, for cache, whose port another link has" in fleet.plan("vm2", "client")["lines"]
    fleet.deploy()
    # the one that was there stays, whatever comes first in the map
    assert {number: aliases for number, (aliases, _) in places(fleet).items()} == {1: ["pg", "redis"], 2: ["cache"]}
    assert container(fleet)["id"] == before
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]
    addresses = [one["networks"]["ambassador"]["said"]["ipv4_address"] for one in find_side_containers("client", observed(fleet)).values()]
    assert len(set(addresses)) == 2
    # and the other one stays, though the port is free again
    there = places(fleet)
    fleet.links = {"pg": {**REDIS, "port": 5432}, "cache": {**REDIS, "publish": 7000}}
    fleet.deploy()
    assert {number: one[1] for number, one in places(fleet).items()} == {number: one[1] for number, one in there.items()}
    # without a link the first one goes
    fleet.links = {"cache": {**REDIS, "publish": 7000}}
    assert "- container ambassador_client on vm2, which no link needs any more" in fleet.plan("vm2", "client")["lines"]
    fleet.deploy()
    assert places(fleet) == {2: there[2]}
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]
    fleet.links = {"redis": {**REDIS, "local": "127.0.0.1:1"}, "cache": {**REDIS, "publish": 7000, "local": "127.0.0.1:2"}}
    fleet.deploy()
    assert {number: aliases for number, (aliases, _) in places(fleet).items()} == {1: ["redis"], 2: ["cache"]}
    # what either opens on the host leads to its own
    opened = {tuple(one["publishes"]) for one in find_side_containers("client", observed(fleet)).values() if one["publishes"]}
    assert opened == {("127.0.0.1:1:6379",), ("127.0.0.1:2:6379",)}
    fleet.links = {}
    fleet.deploy()
    assert observed(fleet)["containers"] == {}


def test_each_client_side_that_is_away_has_a_stand_in_of_its_own(fleet):
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "publish": 7000}}
    fleet.deploy()
    fleet.settings["pids"] = 4000
    said = fleet.plan("vm2", "client")
    assert (
        [one["named"]["name"] for one in said["standin"]]
        == said["standins"]
        == ["ambassador_client_standin", "ambassador_client_standin_2"]
    )
    assert [one["named"]["aliases"][0] for one in said["standin"]] == ["redis", "cache"]
    assert [one["nameless"]["env"] for one in said["standin"]] == [{}, {"AMBASSADOR_PLACE": "2"}]
    assert [[link["alias"] for link in one["links"]] for one in said["standin"]] == [["redis"], ["cache"]]
    fleet.deploy()
    assert fleet.plan("vm2", "client")["steps"] == []


def test_a_name_with_several_ports_is_in_one_container(fleet):
    fleet.links = {"redis": REDIS, "web": {"ports": [80, 6379], "servers": "vm1", "clients": "vm2", "backend": "web", "publish": 7000}}
    fleet.deploy()
    assert {number: aliases for number, (aliases, _) in places(fleet).items()} == {1: ["redis"], 2: ["web"]}
    assert [fleet.plan(*key)["steps"] for key in SIDES] == [[], []]


def test_all_containers_of_a_side_go_with_it(fleet):
    fleet.links = {"redis": REDIS, "pg": {**REDIS, "port": 5432, "local": "127.0.0.1:5432"}}
    fleet.deploy()
    for host, side in SIDES:
        names = [f"ambassador_{side}", f"ambassador_{side}_2"]
        said = plan_removal(side, host, f"ambassador_{side}", observed(fleet, host), SETTINGS).result()
        assert said["remove"]["containers"] == names


def test_what_a_killed_run_has_left_behind_goes_with_the_next_one(fleet):
    left = {"ours": "check", "mesh": "default", "state": "exited", "image": "haproxy:3.2.26", "networks": {}, "publishes": []}
    there = observed(fleet)["containers"]
    there["ambassador_client_check_4711"] = left
    # another run's, which is at it now, and somebody else's
    there["ambassador_client_check_4712"] = {**left, "state": "running"}
    there["ambassador_client_version_1"] = {**left, "ours": None}
    found = fleet.plan("vm2", "client")
    assert found["remove"]["containers"] == ["ambassador_client_check_4711"]
    fleet.deploy()
    assert "ambassador_client_check_4711" not in observed(fleet)["containers"]
    assert "remove" not in fleet.plan("vm2", "client")["steps"]


def test_a_container_that_is_made_anew_says_why_and_what_that_breaks(fleet):
    on_disk(fleet, "vm1", "server")["connections"] = {"run": 3, "run-2": 4}
    fleet.settings["pids"] = 4000
    (line,) = fleet.plan("vm1", "server")["lines"]
    assert line.startswith("~ host vm1: ambassador_server is made anew (its limit of processes); connections through it break once.")
    assert line.endswith(" There are 3 connections now.")
    fleet.settings["pids"] = 4096
    container(fleet, "vm1", "server")["publishes"] = ["198.18.1.11:6379:6379"]
    fleet.hosts["vm1"].listen()
    (line,) = fleet.plan("vm1", "server")["lines"]
    assert "is made anew, to publish 198.18.0.11:6379:6379 instead of 198.18.1.11:6379:6379; connections through it break once." in line
    container(fleet, "vm1", "server")["state"] = "exited"
    # what does not run has no connections to break
    assert fleet.plan("vm1", "server")["lines"] == []


def test_links_of_socat_that_are_there_are_no_lines_whatever_else_is_changed():
    fleet = a_fleet(engine="socat")
    fleet.deploy()
    fleet.settings["memory"] = "1G"
    said = fleet.plan("vm2", "client")
    assert (said["steps"], said["lines"]) == (["container"], [])
    fleet.links = {"redis": PLAIN, "pg": {**PLAIN, "port": 5432}}
    assert "+ pg vm2 -> vm1 (198.18.0.11:5432)" in fleet.plan("vm2", "client")["lines"]


def test_a_container_that_was_not_there_breaks_nothing():
    (line,) = a_fleet().plan("vm1", "server")["lines"]
    assert line.startswith("+ ")


def test_a_run_that_removes_most_links_of_a_side_may_be_a_mistake():
    links = {f"link{number}": {**REDIS, "port": 7000 + number} for number in range(4)}
    fleet = a_fleet(links)
    fleet.deploy()
    fleet.links = {name: links[name] for name in ("link0", "link1")}
    assert fleet.plan("vm2", "client")["warnings"] == []
    fleet.links = {"link0": links["link0"], "link9": links["link0"] | {"port": 9000}}
    warning = "host vm2: this run removes 3 of the 4 links of its client side (link1, link2, link3)."
    assert fleet.plan("vm2", "client")["warnings"] == [warning]
    fleet.links = {}
    said = fleet.plan("vm1", "server")
    assert said["warnings"] == ["host vm1: this run removes 4 of the 4 links of its server side (link0, link1, link2, link3)."]
    assert said["steps"] == ["remove"]


# -- the stand-in -------------------------------------------------------------------------------------------------


def test_a_stand_in_serves_while_the_client_side_gets_another_alias_or_is_made_anew(fleet):
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "port": 6380}}
    said = fleet.plan("vm2", "client")
    assert said["steps"] == ["configuration", "standin", "container", "load", "verify", "variables"]
    assert said["why"]["container"] == "ambassador_client: its aliases"
    (away,) = said["standin"]
    nameless, named = away["nameless"], away["named"]
    assert (nameless["aliases"], named["aliases"][:2]) == ([], ["redis", "cache"])
    assert away["directory"] == "/var/lib/ambassador/client/standin"
    for one in (nameless, named):
        assert (one["name"], one["publish"], one["address"], one["temporary"]) == ("ambassador_client_standin", [], {}, True)
        assert "/var/lib/ambassador/client/standin/run:/run/ambassador:rw,z" in one["volumes"]
        assert "/var/lib/ambassador/client:/etc/ambassador:ro,z" in one["volumes"]
    # the same container but for its names
    assert nameless["hash"] == named["hash"] != said["container"]["hash"]


def harmed(fleet, how):
    """Give the client side an alias more, and what keeps a stand-in from it."""
    fleet.links = {"redis": PLAIN, "cache": {**PLAIN, "port": 6380}}
    {
        "it has no address of its own": lambda: observed(fleet)["networks"]["ambassador"].update(ours=False),
        "too many others have connections": lambda: observed(fleet)["containers"].update(
            {name: {**THEIRS, "ours": name} for name in (f"ambassador_client_standin_{number}" for number in range(2, 7))}
        ),
        "it was not there": lambda: observed(fleet)["containers"].pop("ambassador_client"),
        "its engine is silent": lambda: on_disk(fleet).update(engine=None, running=None),
        "its engine was another": lambda: on_disk(fleet).update(engine="nftables"),
        "it is to have another engine": lambda: fleet.settings.update(engine="nftables", image=IMAGES["nftables"], tls=False),
        "nothing": lambda: None,
    }[how]()
    return fleet.plan("vm2", "client")


@pytest.mark.parametrize(
    "how",
    [
        "it has no address of its own",
        "too many others have connections",
        "it was not there",
        "its engine is silent",
        "its engine was another",
        "it is to have another engine",
    ],
)
def test_there_is_no_stand_in_where(fleet, how):
    said = harmed(fleet, how)
    assert "container" in said["steps"]
    assert "standin" not in said["steps"]


def test_there_is_one_where_nothing_of_that_is_so(fleet):
    assert "standin" in harmed(fleet, "nothing")["steps"]


def test_a_stand_in_that_an_interrupted_run_left_gives_the_names_back(fleet):
    # the client side is as it should be again, and the names were not taken back yet
    left = {**container(fleet), "ours": "ambassador_client_standin", "restart": "no", "networks": {}}
    observed(fleet)["containers"]["ambassador_client_standin"] = left
    said = fleet.plan("vm2", "client")
    assert said["standins"] == ["ambassador_client_standin"]
    # the names are taken back when the configuration is loaded
    assert said["steps"] == ["container", "load", "verify"]
    assert said["why"]["container"] == "ambassador_client_standin is left of an earlier run"
    assert said["lines"] == []
    fleet.run("vm2", "client")
    assert fleet.plan("vm2", "client")["steps"] == []
    observed(fleet)["containers"]["ambassador_client_standin"] = THEIRS
    assert fleet.plan("vm2", "client")["steps"] == []


def test_a_server_side_has_no_stand_in_and_an_alias_that_goes_is_given_back_as_one_that_comes_is_taken(fleet):
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "port": 6380}}
    assert fleet.plan("vm1", "server")["steps"] == ["configuration", "container", "load", "verify"]
    fleet.deploy()
    fleet.links = {"redis": REDIS}
    said = fleet.plan("vm2", "client")
    # Docker leaves it to its container, until that joins the network anew
    assert said["steps"] == ["configuration", "standin", "container", "load", "verify", "variables"]
    assert said["lines"] == ["- cache vm2 -> vm1, up, 0 connections"]
    fleet.run("vm2", "client")
    assert "cache" not in container(fleet)["networks"]["ambassador"]["aliases"]


def test_while_a_stand_in_has_connections_another_one_serves(fleet):
    # and one name is somebody else's
    observed(fleet)["containers"]["ambassador_client_standin"] = {**THEIRS, "ours": "ambassador_client_standin", "mesh": "default"}
    observed(fleet)["containers"]["ambassador_client_standin_2"] = THEIRS
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "port": 6380}}
    said = fleet.plan("vm2", "client")
    assert said["steps"] == ["configuration", "standin", "container", "load", "verify", "variables"]
    (away,) = said["standin"]
    assert [away[key]["name"] for key in ("nameless", "named")] == ["ambassador_client_standin_3"] * 2
    assert "/var/lib/ambassador/client/standin_3/run:/run/ambassador:rw,z" in away["nameless"]["volumes"]
    # both give the names back, and end with their last connections
    assert said["standins"] == ["ambassador_client_standin", "ambassador_client_standin_3"]


def test_where_a_client_side_would_lose_its_address_an_alias_that_goes_is_left_to_it(fleet):
    observed(fleet)["networks"]["ambassador"].update(ours=False)
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "port": 6380}}
    fleet.deploy()
    fleet.links = {"redis": REDIS}
    assert fleet.plan("vm2", "client")["steps"] == ["configuration", "load", "verify", "variables"]


def neighbour(names, **changes):
    """Return a container of somebody else on the network of the ambassadors."""
    networks = {"ambassador": {"addresses": ["198.19.0.140"], "names": names}}
    return {**THEIRS, "image": "theirs:1", "state": "running", "networks": networks, **changes}


# -- where services and consumers are -----------------------------------------------------------------------------


def with_networks(fleet, *names):
    for host in fleet.hosts.values():
        for name in names:
            pools = [{"Subnet": "198.19.7.0/24", "IPRange": None, "Gateway": "198.19.7.1"}]
            host.observed["networks"][name] = {"ours": False, "ipv6": False, "pools": pools}
    return fleet


def on(fleet, host, name):
    """Return the networks of a container, each with the aliases that people know of."""
    found = observed(fleet, host)["containers"][name]["networks"]
    return {
        network: [alias for alias in one["aliases"] if not alias.startswith("ambassador-") and alias.isalpha()]
        for network, one in found.items()
    }


def test_both_sides_join_the_networks_of_links_and_leave_them_again(fleet):
    with_networks(fleet, "shop", "web")
    ids = [container(fleet, host, side)["id"] for host, side in SIDES]
    fleet.links = {"redis": {**REDIS, "network": "shop", "networks": ["web"]}}
    for (host, side), network in zip(SIDES, ("shop", "web"), strict=True):
        said = fleet.plan(host, side)
        assert f"~ host {host}: ambassador_{side} joins the network {network}" in said["lines"]
        assert f"its network {network}" in said["why"]["container"]
        assert ("standin" in said["steps"]) == (side == "client")
    fleet.deploy()
    assert [fleet.plan(*each)["steps"] for each in SIDES] == [[], []]
    assert on(fleet, "vm1", "ambassador_server") == {"ambassador": [], "shop": []}
    assert on(fleet, "vm2", "ambassador_client") == {"ambassador": ["redis"], "web": ["redis"]}
    # another one that answers there is told
    observed(fleet)["containers"]["theirs"] = {**THEIRS, "networks": {"web": {"addresses": [], "names": ["redis"]}}}
    (problem,) = refused(fleet.plan("vm2", "client"))
    assert "to answer to this name on the network web of host vm2, found container theirs" in problem
    del observed(fleet)["containers"]["theirs"]
    # where it was put by somebody else it stays
    for host, side in SIDES:
        container(fleet, host, side)["networks"]["by_hand"] = {"aliases": ["x"], "names": ["x"], "addresses": []}
    fleet.links = {"redis": REDIS}
    assert "~ host vm1: ambassador_server leaves the network shop" in fleet.plan("vm1", "server")["lines"]
    fleet.deploy()
    assert list(on(fleet, "vm1", "ambassador_server")) == ["ambassador", "by_hand"]
    assert on(fleet, "vm2", "ambassador_client") == {"ambassador": ["redis"], "by_hand": ["x"]}
    assert [fleet.plan(*each)["steps"] for each in SIDES] == [[], []]
    # and nothing was made anew for all that
    assert [container(fleet, host, side)["id"] for host, side in SIDES] == ids


def test_a_network_whose_name_comes_first_breaks_connections_and_that_is_told(fleet):
    with_networks(fleet, "acme", "shop")
    fleet.links = {"redis": {**REDIS, "network": "acme"}, "other": {**REDIS, "port": 1, "publish": 6379, "network": "shop"}}
    told = "its default route, so that connections through it break once"
    assert [line for line in fleet.plan("vm1", "server")["lines"] if "network" in line] == [
        f"~ host vm1: ambassador_server joins the network acme, which becomes {told}",
        "~ host vm1: ambassador_server joins the network shop",
    ]
    fleet.deploy()
    fleet.links = {"redis": REDIS, "other": {**REDIS, "port": 1, "publish": 6379}}
    assert [line for line in fleet.plan("vm1", "server")["lines"] if "network" in line] == [
        f"~ host vm1: ambassador_server leaves the network acme, which was {told}",
        "~ host vm1: ambassador_server leaves the network shop",
    ]
    # one that is made with it has no connection yet
    virgin = with_networks(a_fleet({"redis": {**REDIS, "network": "acme"}}), "acme")
    assert [line for line in virgin.plan("vm1", "server")["lines"] if "network" in line] == []


def with_route(fleet, name, pools=("198.19.7.0/24",), driver="bridge", internal=False, **options):
    """Give all hosts a third-party network."""
    for host in fleet.hosts.values():
        host.observed["networks"][name] = {
            "ours": False,
            "ipv6": any(":" in pool for pool in pools),
            "internal": internal,
            "driver": driver,
            "options": options,
            "pools": [{"Subnet": pool, "IPRange": None, "Gateway": None} for pool in pools],
        }
    return fleet


BOTH = ("198.19.7.0/24", "2001:db8:7::/64")


# as Docker Engine 26.1 and 28.5 were measured to choose, beside `ambassador` without IPv6
@pytest.mark.parametrize(
    ("name", "made", "is_route"),
    [
        *((name, {}, True) for name in ("Zed", "9net", "Ambassador2", "amb-x", "amb_x", "ambassado")),
        *((name, {}, False) for name in ("app", "ambassador.1", "zoo")),
        ("acme", {"internal": True}, False),
        ("acme", {"internal": True, "pools": BOTH}, False),
        ("acme", {"driver": "macvlan"}, True),
        ("acme", {"driver": "ipvlan"}, True),
        ("acme", {"driver": "macvlan", "internal": True}, False),
        ("acme", {"driver": "overlay"}, False),
        ("acme", {"pools": BOTH[1:]}, False),
        # addresses of both families come before any name
        ("zoo", {"pools": BOTH}, True),
    ],
)
def test_default_route_is_the_network_that_docker_chooses(fleet, name, made, is_route):
    with_route(fleet, name, **made)
    route = find_default_route(["ambassador", name], observed(fleet), fleet.settings)
    assert route == (name if is_route else "ambassador")


def test_default_route_counts_the_families_of_a_network_that_is_still_to_be_created(fleet):
    with_route(fleet, "acme")
    del observed(fleet)["networks"]["ambassador"]
    assert find_default_route(["ambassador", "acme"], observed(fleet), {**fleet.settings, "ipv6": True}) == "ambassador"
    assert find_default_route(["ambassador", "acme"], observed(fleet), fleet.settings) == "acme"


NO_WAY_OUT = {
    "macvlan": {"driver": "macvlan"},
    "ipvlan": {"driver": "ipvlan"},
    "inhibit_ipv4": {"inhibit_ipv4": "true"},
    "gateway_mode": {"gateway_mode_ipv4": "routed"},
    "enable_ip_masquerade": {"enable_ip_masquerade": "false"},
}


@pytest.mark.parametrize("fault", NO_WAY_OUT)
def test_network_without_a_way_out_is_refused_as_the_default_route_of_a_client_side(fleet, fault):
    with_route(fleet, "acme", **NO_WAY_OUT[fault])
    fleet.links = {"redis": {**REDIS, "networks": ["acme"]}}
    (problem,) = refused(fleet.plan("vm2", "client"))
    assert problem.startswith(
        "Link redis, key networks: the network acme of host vm2 becomes the default route of ambassador_client, but it "
    )
    assert fault in problem
    assert problem.endswith("with a name that sorts after ambassador.")
    # another one that comes before and has a way out is the default route
    with_route(fleet, "aaa", enable_ip_masquerade="1", inhibit_ipv4="false", gateway_mode_ipv4="nat-unprotected")
    fleet.links["redis"]["networks"] = ["acme", "aaa"]
    assert fleet.plan("vm2", "client")["problems"] == []
    # and so is the network of the ambassadors if the name sorts after it
    with_route(fleet, "zoo", **NO_WAY_OUT[fault])
    fleet.links["redis"]["networks"] = ["zoo"]
    assert fleet.plan("vm2", "client")["problems"] == []
    with_route(fleet, "zoo", BOTH, **NO_WAY_OUT[fault])
    (problem,) = refused(fleet.plan("vm2", "client"))
    assert problem.endswith("without IPv6.")


def test_network_without_a_way_out_that_a_user_connected_is_refused(fleet):
    with_route(fleet, "acme", enable_ip_masquerade="false")
    container(fleet)["networks"]["acme"] = {"aliases": ["x"], "names": ["x"], "addresses": []}
    assert refused(fleet.plan("vm2", "client")) == [
        "Host vm2: the network acme becomes the default route of ambassador_client, but it does not lead to other hosts"
        " (enable_ip_masquerade is false). Disconnect ambassador_client from it, or create it again with --internal or with a name that"
        " sorts after ambassador."
    ]


def test_server_side_needs_a_way_out_for_what_it_connects_to_and_publishes(fleet):
    with_route(fleet, "acme", enable_ip_masquerade="false")
    fleet.links = {"redis": {**REDIS, "network": "acme"}}
    # answers to clients do not need masquerading
    assert fleet.plan("vm1", "server")["problems"] == []
    for more in ({"backend": "198.18.0.99:6379"}, {"servers": "vm1:vm3"}):
        fleet.links["other"] = {**REDIS, "port": 1, "publish": 7000, **more}
        (problem,) = refused(fleet.plan("vm1", "server"))
        assert problem.startswith("Link redis, key network: the network acme of host vm1 becomes the default route of ambassador_server,")
    del fleet.links["other"]
    for fault in NO_WAY_OUT.keys() - {"enable_ip_masquerade"}:
        with_route(fleet, "acme", **NO_WAY_OUT[fault])
        assert fault in refused(fleet.plan("vm1", "server"))[0]


def test_client_side_of_its_own_host_needs_no_way_out(fleet):
    with_route(fleet, "acme", enable_ip_masquerade="false")
    fleet.links = {"redis": {**REDIS, "clients": "vm1", "networks": ["acme"]}}
    assert fleet.plan("vm1", "client")["problems"] == []
    fleet.links["other"] = {**REDIS, "port": 1, "servers": "vm3", "clients": "vm1"}
    assert len(refused(fleet.plan("vm1", "client"))) == 1


def test_rollback_leaves_what_a_run_joins_and_nothing_else(fleet):
    with_networks(fleet, "shop", "web")
    assert fleet.plan("vm2", "client").get("joined", []) == []
    fleet.links = {"redis": {**REDIS, "networks": ["shop"]}}
    fleet.deploy()
    container(fleet)["networks"]["by_hand"] = {"aliases": ["x"], "names": ["x"], "addresses": []}
    fleet.links = {"redis": {**REDIS, "networks": ["shop", "web"]}}
    assert fleet.plan("vm2", "client")["joined"] == [
        {
            "container": "ambassador_client",
            "leaves": ["web"],
            "keeps": [{"name": "ambassador"}, {"name": "shop"}, {"name": "by_hand"}],
            "line": "ambassador_client left the networks that this run had joined: web.",
        }
    ]
    # a change of the same networks joins none
    fleet.deploy()
    fleet.links["redis"]["servers"] = "vm3"
    assert fleet.plan("vm2", "client")["joined"] == []


def with_subnets(fleet, **subnets):
    """Give vm2 third-party networks with these subnets."""
    for name, subnet in subnets.items():
        pools = [{"Subnet": one, "IPRange": None, "Gateway": None} for one in subnet.split()]
        observed(fleet)["networks"][name] = {"ours": False, "ipv6": ":" in subnet, "internal": False, "pools": pools}
    return fleet


def listener(plan, alias):
    """Return the lines of the section of haproxy.cfg in which consumers of a link connect."""
    config = plan["generation"]["files"]["haproxy.cfg"]
    return [line.strip() for line in config.partition(f"\nlisten {alias}\n")[2].partition("\n\n")[0].splitlines()]


def offered_subnets(plan, alias):
    """Return the subnets on which HAProxy answers for a link, None if it does not check them."""
    lines = listener(plan, alias)
    if "tcp-request connection reject unless is_offered" not in lines:
        return None
    return [subnet for line in lines if line.startswith("acl is_offered dst ") for subnet in line.split()[3:]]


def test_link_answers_only_on_its_own_networks():
    with_subnets(fleet := a_fleet(), ambassador="198.19.0.0/24", web="198.19.7.0/24 2001:db8:7::/64", shop="198.19.8.0/24")
    fleet.links = {
        "redis": {**REDIS, "networks": ["web"]},
        "cache": {**REDIS, "port": 1, "networks": ["shop"]},
        "seen": {**REDIS, "port": 2, "send_proxy": True, "local": "198.18.0.12:2"},
    }
    plan, always = fleet.plan("vm2", "client"), ["127.0.0.0/8", "::1/128", "198.19.0.0/24"]
    assert offered_subnets(plan, "redis") == [*always, "198.19.7.0/24", "2001:db8:7::/64"]
    assert offered_subnets(plan, "cache") == [*always, "198.19.8.0/24"]
    # consumers connect to this section; the section of the link has an internal listener
    assert offered_subnets(plan, "seen.consumers") == always
    assert offered_subnets(plan, "seen") is None
    # a user connected the container to a network
    fleet.deploy()
    with_subnets(fleet, hand="198.19.9.0/24")
    container(fleet, "vm2", "client")["networks"]["hand"] = {"aliases": ["x"], "names": ["x"], "addresses": []}
    assert offered_subnets(fleet.plan("vm2", "client"), "seen.consumers") == [*always, "198.19.9.0/24"]


def test_side_that_joins_no_network_checks_no_subnet():
    with_subnets(fleet := a_fleet(), ambassador="198.19.0.0/24")
    fleet.links = {"redis": REDIS, "cache": {**REDIS, "port": 1, "networks": ["ambassador"]}}
    assert offered_subnets(fleet.plan("vm2", "client"), "redis") is None
    # the server side joins the networks of backends, where no alias answers
    with_networks(fleet, "shop")
    fleet.links["redis"] = {**REDIS, "network": "shop"}
    assert "is_offered" not in fleet.plan("vm1", "server")["generation"]["files"]["haproxy.cfg"]


def served_sources(plan, alias):
    """Return the subnets from which HAProxy accepts clients of a link, None if it accepts all."""
    lines = listener(plan, alias)
    if "tcp-request connection reject unless is_served" not in lines:
        return None
    return [subnet for line in lines if line.startswith("acl is_served src ") for subnet in line.split()[3:]]


def test_link_accepts_clients_from_its_own_networks_only():
    with_subnets(fleet := a_fleet(), ambassador="198.19.0.0/24", web="198.19.7.0/24 2001:db8:7::/64", shop="198.19.8.0/24")
    fleet.links = {
        "redis": {**REDIS, "networks": ["web"]},
        "cache": {**REDIS, "port": 1},
        # from the loopback of the host, a connection arrives from its address on the network
        "own": {**REDIS, "port": 2, "local": "127.0.0.1:2"},
        "open": {**REDIS, "port": 3, "local": "198.18.0.12:3"},
        "wide": {**REDIS, "port": 4, "send_proxy": True, "local": "0.0.0.0:4"},
    }
    plan, always = fleet.plan("vm2", "client"), ["127.0.0.0/8", "::1/128", "198.19.0.0/24"]
    assert served_sources(plan, "redis") == [*always, "198.19.7.0/24", "2001:db8:7::/64"]
    assert served_sources(plan, "cache") == served_sources(plan, "own") == always
    assert served_sources(plan, "open") is served_sources(plan, "wide.consumers") is None
    # a side that joins no other network
    fleet.links = {"seen": {**REDIS, "send_proxy": True}}
    assert served_sources(fleet.plan("vm2", "client"), "seen.consumers") == always
    assert served_sources(fleet.plan("vm2", "client"), "seen") is None
    # before the network is created, its subnets are not known
    del observed(fleet)["networks"]["ambassador"]
    assert served_sources(fleet.plan("vm2", "client"), "seen.consumers") is None
    assert "is_served" not in fleet.plan("vm1", "server")["generation"]["files"]["haproxy.cfg"]


def test_kernel_forwards_only_what_comes_from_networks_of_the_link():
    with_subnets(fleet := a_fleet(engine="nftables"), ambassador="198.19.0.0/24", web="198.19.7.0/24")
    fleet.links = {"redis": PLAIN, "open": {**PLAIN, "port": 1, "local": "198.18.0.12:1"}}

    def rules():
        ruleset = fleet.plan("vm2", "client")["generation"]["files"]["ambassador.nft"]
        return {alias: next(line for line in ruleset.splitlines() if f'comment "{alias} ' in line) for alias in fleet.links}

    assert " tcp dport 6379 ip saddr { 198.19.0.0/24 } tcp flags " in rules()["redis"]
    assert " tcp dport 1 tcp flags " in rules()["open"]
    fleet.links["redis"] = {**PLAIN, "networks": ["web"]}
    subnets = "{ 198.19.0.0/24, 198.19.7.0/24 }"
    assert f" tcp dport 6379 ip daddr {subnets} ip saddr {subnets} tcp flags " in rules()["redis"]
    assert " tcp dport 1 ip daddr { 198.19.0.0/24 } tcp flags " in rules()["open"]


def test_socat_accepts_clients_from_one_subnet():
    with_subnets(fleet := a_fleet(engine="socat"), ambassador="198.19.0.0/24", web="198.19.7.0/24")

    def environment(**links):
        fleet.links = links
        return fleet.plan("vm2", "client")["container"]["env"].get("AMBASSADOR_RANGE")

    assert environment(redis=PLAIN, cache={**PLAIN, "port": 1, "local": "127.0.0.1:1"}) == "198.19.0.0/24"
    # socat compares with one subnet, for all links of a container
    assert environment(redis=PLAIN, cache={**PLAIN, "port": 1, "local": "198.18.0.12:1"}) is None
    assert environment(redis={**PLAIN, "networks": ["web"]}) is None
    assert "AMBASSADOR_RANGE" not in fleet.plan("vm1", "server")["container"]["env"]
    with_subnets(fleet, ambassador="198.19.0.0/24 2001:db8:1::/64")
    assert environment(redis=PLAIN) is None


def test_kernel_forwards_only_what_arrives_on_networks_of_the_link():
    with_subnets(fleet := a_fleet(engine="nftables"), ambassador="198.19.0.0/24", web="198.19.7.0/24")
    fleet.links = {"redis": {**PLAIN, "networks": ["web"]}, "cache": {**PLAIN, "port": 1}}
    ruleset = fleet.plan("vm2", "client")["generation"]["files"]["ambassador.nft"]
    rules = {alias: next(line for line in ruleset.splitlines() if f'comment "{alias} ' in line) for alias in fleet.links}
    assert " tcp dport 6379 ip daddr { 198.19.0.0/24, 198.19.7.0/24 } " in rules["redis"]
    assert " tcp dport 1 ip daddr { 198.19.0.0/24 } " in rules["cache"]
    fleet.links["redis"] = PLAIN
    assert "daddr {" not in fleet.plan("vm2", "client")["generation"]["files"]["ambassador.nft"]


def test_socat_refuses_links_with_different_networks():
    with_subnets(fleet := a_fleet(engine="socat"), ambassador="198.19.0.0/24", web="198.19.7.0/24")
    fleet.links = {"redis": {**PLAIN, "networks": ["web"]}, "cache": {**PLAIN, "port": 1}}
    assert refused(fleet.plan("vm2", "client")) == [
        "link cache, networks: the networks of link redis on host vm2 are different, and the engine socat answers for every link on all"
        " networks of its container. Give both links the same networks, or set ambassador_engine to haproxy or nftables."
    ]
    fleet.links["cache"]["networks"] = ["web", "ambassador"]
    assert fleet.plan("vm2", "client")["problems"] == []
    # a link with the same port has a container of its own
    fleet.links["cache"] = {**PLAIN, "publish": 7000}
    assert fleet.plan("vm2", "client")["problems"] == []


@pytest.mark.parametrize("network", ["ambassador", "web", "hand"])
def test_client_side_listens_on_ipv6_if_a_network_has_it(network):
    pools = {"ambassador": "198.19.0.0/24", "web": "198.19.7.0/24", "hand": "198.19.9.0/24"}
    fleet = with_subnets(a_fleet({"redis": {**REDIS, "networks": ["web"]}}), **pools)
    fleet.deploy()
    container(fleet, "vm2", "client")["networks"]["hand"] = {"aliases": ["x"], "names": ["x"], "addresses": []}
    assert "bind :6379" in listener(fleet.plan("vm2", "client"), "redis")
    with_subnets(fleet, **{network: f"{pools[network]} 2001:db8:7::/64"})
    plan = fleet.plan("vm2", "client")
    assert "bind :::6379 v4v6" in listener(plan, "redis")
    # live, and the server side, which has no alias, is the same
    assert (plan["steps"], fleet.plan("vm1", "server")["steps"]) == (["configuration", "load", "verify"], [])
    fleet.deploy()
    assert fleet.plan("vm2", "client")["steps"] == []


def test_socat_listens_on_ipv6_if_a_network_has_it():
    fleet = with_subnets(a_fleet({"redis": {**PLAIN, "networks": ["web"]}}, engine="socat"), web="198.19.7.0/24")
    assert fleet.plan("vm2", "client")["container"]["env"]["AMBASSADOR_IPV6"] == ""
    with_subnets(fleet, web="198.19.7.0/24 2001:db8:7::/64")
    assert fleet.plan("vm2", "client")["container"]["env"]["AMBASSADOR_IPV6"] == "1"
    assert fleet.plan("vm1", "server")["container"]["env"]["AMBASSADOR_IPV6"] == ""


def test_nftables_refuses_alias_with_ipv6_address_and_ipv4_targets():
    fleet = with_subnets(a_fleet({"redis": {**PLAIN, "networks": ["web"]}}, engine="nftables"), web="198.19.7.0/24 2001:db8:7::/64")
    refusal = (
        "link redis: the network {} of host vm2 has IPv6, and the engine nftables cannot forward IPv6 to targets that have only IPv4"
        " addresses. Set ambassador_engine to haproxy, or use a network without IPv6."
    )
    assert refused(fleet.plan("vm2", "client")) == [refusal.format("web")]
    fleet.links = {"redis": PLAIN}
    assert fleet.plan("vm2", "client")["problems"] == []
    with_subnets(fleet, ambassador="198.19.0.0/24 2001:db8:1::/64")
    assert refused(fleet.plan("vm2", "client")) == [refusal.format("ambassador")]
    # before the network is created, its setting decides
    del observed(fleet)["networks"]["ambassador"]
    fleet.settings["ipv6"] = True
    assert refused(fleet.plan("vm2", "client")) == [refusal.format("ambassador")]
    fleet.hostvars["vm1"]["ambassador_address"] = "2001:db8::11"
    assert fleet.plan("vm2", "client")["problems"] == []


def test_an_alias_that_leaves_a_network_is_given_back_there(fleet):
    with_networks(fleet, "web")
    fleet.links = {"redis": {**REDIS, "networks": ["web"]}, "cache": {**REDIS, "port": 1, "networks": ["web"]}}
    fleet.deploy()
    assert on(fleet, "vm2", "ambassador_client")["web"] == ["cache", "redis"]
    fleet.links["cache"] = {**REDIS, "port": 1}
    assert "its aliases on web" in fleet.plan("vm2", "client")["why"]["container"]
    fleet.deploy()
    assert on(fleet, "vm2", "ambassador_client")["web"] == ["redis"]


def test_refuses_a_missing_network_that_would_be_the_default_route(fleet):
    fleet.links = {"redis": {**REDIS, "networks": ["Web"]}}
    (problem,) = refused(fleet.plan("vm2", "client"))
    assert problem.startswith("link redis, networks: expected a Docker network Web on host vm2, found none;")


@pytest.mark.parametrize("changes", [{"network": "ambassador"}, {"networks": ["ambassador"]}])
def test_the_network_that_a_run_creates_may_be_missing(changes):
    fleet = a_fleet({"redis": {**REDIS, **changes}})
    plans = fleet.deploy()
    assert [(plans[key]["problems"], plans[key]["steps"][:2]) for key in SIDES] == [([], ["image", "network"])] * 2
    assert [step for key in SIDES for step in fleet.plan(*key)["steps"] if step != "verify"] == []


def test_a_network_that_is_missing_is_told_and_one_that_went_with_its_link_is_not(fleet):
    fleet.links = {"redis": {**REDIS, "network": "shop", "networks": ["web"]}}
    for (host, side), (key, network) in zip(SIDES, (("network", "shop"), ("networks", "web")), strict=True):
        assert refused(fleet.plan(host, side)) == [
            f"link redis, {key}: expected a Docker network {network} on host {host}, found none;"
            " start what makes it (docker compose up), or correct the name."
        ]
    with_networks(fleet, "shop", "web")
    fleet.deploy()
    fleet.links = {"redis": {**REDIS, "servers": "vm3"}, "other": {**REDIS, "port": 7000}}
    # it serves on what leaves it; but what is gone is joined no more
    del observed(fleet, "vm1")["networks"]["shop"]
    said = fleet.plan("vm1", "server", leaving="keep")
    assert said["problems"] == []
    assert all("shop" not in one["others"] for one in said["containers"])


def test_a_name_needs_somebody_to_be_asked(fleet):
    fleet.hostvars["vm1"]["ambassador_address"] = "vm1.example.com"
    observed(fleet)["nameservers"] = []
    said = fleet.plan("vm2", "client")
    assert refused(said)[0].startswith(
        "host vm2, ambassador_nameservers: expected a name server that containers reach, for vm1.example.com,"
    )
    fleet.settings["nameservers"] = ["dns.example.com"]
    assert refused(fleet.plan("vm2", "client"))[0].startswith("ambassador_nameservers: expected IP addresses, found 'dns.example.com';")
    fleet.settings["nameservers"] = ["198.18.0.53"]
    fleet.deploy()
    # where the name leads to is no change
    on_disk(fleet)["links"]["redis"]["targets"][0]["address"] = "198.18.0.99:6379"
    assert (fleet.plan("vm2", "client")["steps"], fleet.plan("vm2", "client")["lines"]) == ([], [])
    fleet.hostvars["vm1"]["ambassador_address"] = "198.18.0.11"
    assert [line[:11] for line in fleet.plan("vm2", "client")["lines"]] == ["~ redis vm2"]


def test_a_backend_on_the_host_is_refused_where_no_container_reaches_it():
    fleet = a_fleet({"db": {**PLAIN, "backend": "host:5432"}})
    host = fleet.hosts["vm1"]
    for address in ("127.0.0.1", "::1"):
        host.observed["listening"].append(["tcp", address, 5432])
    (problem,) = fleet.plan("vm1", "server")["problems"]
    assert problem.startswith("link db, backend: expected what listens on port 5432 of host vm1 to listen where containers reach it,")
    assert (
        "found it on 127.0.0.1, ::1 alone; let it listen on all, or on the address that the host has on the network ambassador." in problem
    )
    for more in (["tcp", "198.19.0.1", 5432], ["tcp", "0.0.0.0", 5432]):
        host.observed["listening"].append(more)
        assert fleet.plan("vm1", "server")["problems"] == []
        host.observed["listening"].remove(more)
    # one that does not run yet is for the proof to tell; and that of UDP is another one
    host.observed["listening"] = [["udp", "127.0.0.1", 5432]]
    assert fleet.plan("vm1", "server")["problems"] == []


# -- several meshes on one host -----------------------------------------------------------------------------------


def blue(fleet, links, **changes):
    """The hosts as the mesh blue sees them, and a map of its own."""
    hosts = {}
    for name, host in fleet.hosts.items():
        hosts[name] = Host(name, list(host.observed["addresses"]))
        hosts[name].observed = host.seen_by("blue")
    changes = {"state_dir": "/var/lib/ambassador-blue", "network": "ambassador-blue", **changes}
    return Fleet(links, hosts, fleet.hostvars, **changes)


OTHER = {**REDIS, "port": 6390, "publish": 6390}


def test_a_mesh_has_things_of_its_own(fleet):
    fleet.deploy()
    theirs = blue(fleet, {"redis": OTHER})
    theirs.deploy()
    for host, side in (("vm1", "server"), ("vm2", "client")):
        assert theirs.plan(host, side)["steps"] == []
        (own,) = (set(observed(theirs, host)["containers"]) - set(observed(fleet, host)["containers"]),)
        assert own == {f"ambassador_blue_{side}"}
        one = observed(theirs, host)["containers"][f"ambassador_blue_{side}"]
        assert (one["mesh"], list(one["networks"])) == ("blue", ["ambassador-blue"])
        asked = theirs.plan(host, side, managed="anew")["container"]
        assert all(volume.startswith(f"/var/lib/ambassador-blue/{side}") for volume in asked["volumes"])
        assert asked["volumes"]
    # what belongs to the other one is neither removed nor missed
    theirs.links = {}
    for host, side in (("vm1", "server"), ("vm2", "client")):
        assert theirs.plan(host, side)["remove"]["containers"] == [f"ambassador_blue_{side}"]
        assert absent(theirs, host, side)["remove"]["containers"] == [f"ambassador_blue_{side}"]


def test_what_meshes_share_goes_with_the_last_one(fleet):
    fleet.deploy()
    theirs = blue(fleet, {"other": OTHER}, network="ambassador")
    theirs.deploy()
    host = theirs.hosts["vm2"]
    # the first one gave the network its range, and took the first address
    assert host.observed["containers"]["ambassador_blue_client"]["networks"]["ambassador"]["said"] == {"ipv4_address": "198.19.0.3"}
    both = {name: {**found, "ours": None} for name, found in host.observed["containers"].items()}
    observed(fleet)["containers"] |= {name: found for name, found in both.items() if found["mesh"] == "blue"}
    assert fleet.plan("vm2", "client")["steps"] == []
    assert absent(fleet, "vm2", "client")["remove"]["network"] is None
    del host.observed["containers"]["ambassador_client"]
    assert absent(theirs, "vm2", "client")["remove"]["network"] == "ambassador"


@pytest.mark.parametrize(
    ("part", "links", "changes", "sentence"),
    [
        (
            ("vm1", "server"),
            {"other": REDIS},
            {},
            "link other: expected to publish port 6379 on 198.18.0.11, found it taken by container ambassador_server of mesh default"
            " (`ss -ltnp` and `docker ps` name it); stop that, or change publish of the link.",
        ),
        (
            ("vm2", "client"),
            {"other": {**OTHER, "local": "0.0.0.0:7000"}},
            {},
            "link other: expected to publish port 7000 on 0.0.0.0, found it taken by container ambassador_client_2 of mesh default",
        ),
        (
            ("vm2", "client"),
            {"redis": OTHER},
            {"network": "ambassador"},
            "link redis: expected ambassador_blue_client alone to answer to this name on the network ambassador of host vm2, found"
            " container ambassador_client of mesh default (image haproxy:3.2.26) to answer as well",
        ),
        (
            ("vm1", "server"),
            {"other": OTHER},
            {"state_dir": "/var/lib/ambassador"},
            "host vm1, ambassador_state_dir: expected a directory of mesh blue alone, found /var/lib/ambassador, which is that of mesh"
            " default; set it to another one.",
        ),
    ],
    ids=["publish", "local", "alias", "state directory"],
)
def test_what_another_mesh_holds_is_told(part, links, changes, sentence):
    fleet = a_fleet({"redis": {**REDIS, "local": "127.0.0.1:7000"}})
    fleet.deploy()
    problems = blue(fleet, links, **changes).plan(*part)["problems"]
    assert [problem for problem in problems if problem.startswith(sentence)], problems
    assert len(problems) == 1


def test_a_port_of_the_kernel_engine_is_another_mesh_s_by_its_protocol():
    udp = {**PLAIN, "protocol": "udp"}
    fleet = a_fleet({"redis": udp}, engine="nftables")
    fleet.deploy()
    (problem,) = blue(fleet, {"other": udp}, engine="nftables").plan("vm1", "server")["problems"]
    assert "found it taken by container ambassador_server of mesh default (`ss -lunp`" in problem
    assert blue(fleet, {"other": PLAIN}, engine="nftables").plan("vm1", "server")["problems"] == []


def test_a_redis_of_another_mesh_is_none_of_this_one(fleet):
    theirs = {**THEIRS, "image": "redis:8.0.2", "mesh": "default", "directory": "/var/lib/ambassador/redis_server"}
    observed(fleet)["containers"]["redis_server"] = theirs
    observed(fleet)["volumes"]["redis_server"] = {"ours": True, "mesh": "default", "path": "/data"}
    seen = blue(fleet, {}).hosts["vm2"].observed
    told = {**fleet.settings, "volume": "redis_server", "image": "redis:8.0.2"}
    asked = describe_redis_server("redis_server", {**told, "state_dir": "/var/lib/ambassador-blue"})
    owned = {"owner": 999, "files": {}}
    inputs = RedisInputs(
        "redis_server", "vm2", seen, {**told, "state_dir": "/var/lib/ambassador-blue"}, asked, **owned, problems=[], volume="redis_server"
    )
    said = plan_redis(inputs)
    assert said.problems == [
        "host vm2: expected no container redis_server, or one that this mesh made, found one of mesh default (image redis:8.0.2);"
        " rename or remove that one.",
        "host vm2, redis_server_volume: expected a volume of mesh blue alone, found redis_server, which is that of mesh default;"
        " set it to another one.",
    ]
    assert plan_removal("redis_server", "vm2", "redis_server", seen, told, "redis_server").result()["steps"] == []


@pytest.mark.parametrize("names", [["web", "redis"], ["Redis"]])
def test_whatever_else_answers_to_an_alias_is_named(fleet, names):
    observed(fleet)["containers"]["web"] = neighbour(names)
    (sentence,) = fleet.plan("vm2", "client")["problems"]
    assert sentence.startswith(
        "link redis: expected ambassador_client alone to answer to this name on the network ambassador of host vm2,"
        " found container web (image theirs:1) to answer as well,"
    )


@pytest.mark.parametrize(
    "harmless",
    [
        neighbour(["web"]),
        # its names are its own again when it starts
        neighbour(["redis"], state="exited"),
        neighbour([], networks={"other": {"addresses": [], "names": ["redis"]}}),
        neighbour(["redis"], ours="ambassador_client_standin"),
        # one that this collection made, and that answers to its own name, is asked as any other
        neighbour(["redis_client"], ours="redis_client"),
    ],
)
def test_what_answers_elsewhere_or_not_at_all_is_nobody_s_business(fleet, harmless):
    observed(fleet)["containers"]["web"] = harmless
    assert fleet.plan("vm2", "client")["problems"] == []


@pytest.mark.parametrize(
    ("disk", "found"),
    [
        ({"free": 4096, "writable": True}, "full (4096 bytes are free); make room (`df /var/lib/ambassador` names it)."),
        ({"free": 1 << 30, "writable": False}, "mounted read-only; mount it writable (`findmnt -T /var/lib/ambassador` names it)."),
    ],
)
def test_a_disk_on_which_nothing_can_be_written_is_told_before_anything_is_changed(fleet, disk, found):
    observed(fleet)["disk"] = disk
    # a run that writes nothing needs no room
    assert fleet.plan("vm2", "client")["problems"] == []
    fleet.links = {"redis": {**REDIS, "wait": 5}}
    (sentence,) = fleet.plan("vm2", "client")["problems"]
    assert sentence == f"host vm2: expected to write in /var/lib/ambassador, found its file system {found}"


def test_an_account_that_can_read_what_is_written_is_told_when_it_is_written():
    fleet = a_fleet(tls=True)
    client = Redis(fleet.hosts["vm2"], "redis_client", PASSWORDS)
    observed(fleet)["accounts"] = {"99": "somebody", "999": "nobody-yet"}
    (key,), (passwords,) = fleet.plan("vm2", "client")["warnings"], client.plan()["warnings"]
    assert key.startswith("host vm2: the account somebody has the user ID 99, as a container of ours has, and can read the key of its")
    assert passwords.startswith("host vm2: the account nobody-yet has the user ID 999, as a container of ours has, and can read passwords")
    fleet.deploy()
    client.run()
    assert fleet.plan("vm2", "client")["warnings"] == client.plan()["warnings"] == []


# -- metrics ------------------------------------------------------------------------------------------------------


def told_by(fleet, host="vm2"):
    """Return the containers whose metrics are told on a host; None where nothing tells any."""
    found = observed(fleet, host)["containers"].get("ambassador_metrics")
    shown = [(side, number) for side in ("client", "server") for number in find_side_containers(side, observed(fleet, host))]
    if not found:
        return None
    assert found["hash"] == describe_metrics_container(host, shown, fleet.settings, observed(fleet, host))["hash"]
    return shown


def test_metrics_come_and_go_and_no_link_notices(fleet):
    ids = {host: {name: one["id"] for name, one in observed(fleet, host)["containers"].items()} for host in ("vm1", "vm2")}
    fleet.settings["metrics"] = 9105
    plans = fleet.deploy()
    assert plans["vm2", "client"]["lines"] == ["+ container ambassador_metrics on vm2, to tell metrics at 127.0.0.1:9105"]
    assert [told_by(fleet, host) for host in ("vm1", "vm2", "vm3")] == [[("server", 1)], [("client", 1)], None]
    assert {"127.0.0.1:9105:8404"} == set(observed(fleet)["containers"]["ambassador_metrics"]["publishes"])
    at_rest(fleet)
    fleet.settings["metrics"] = "198.18.0.12:9105"
    said = fleet.plan("vm2", "client")
    assert said["lines"] == ["~ container ambassador_metrics on vm2: its options, what it publishes"]
    fleet.settings["metrics"] = ""
    plans = fleet.deploy()
    assert plans["vm2", "client"]["lines"] == ["- container ambassador_metrics on vm2"]
    assert {host: {name: one["id"] for name, one in observed(fleet, host)["containers"].items()} for host in ids} == ids
    at_rest(fleet)


def test_what_tells_metrics_is_mended_and_nothing_else_is_done(fleet):
    fleet.settings["metrics"] = 9105
    fleet.deploy()
    observed(fleet)["containers"]["ambassador_metrics"]["state"] = "exited"
    said = fleet.run("vm2", "client")
    assert (changes(said), said["lines"]) == (["container"], ["~ container ambassador_metrics on vm2: it is exited"])
    at_rest(fleet)


def test_metrics_are_told_of_all_containers_of_both_sides(both):
    both.settings["metrics"] = 9105
    both.deploy()
    assert told_by(both, "vm1") == [("client", 1), ("server", 1)]
    both.links["queue"] = {**REDIS, "port": 5672}
    both.deploy()
    assert told_by(both, "vm1") == [("client", 1), ("server", 1), ("server", 2)]
    at_rest(both)
    del both.links["pg"]
    both.deploy()
    assert told_by(both, "vm1") == [("server", 1), ("server", 2)]
    at_rest(both)
    both.links = {}
    both.deploy()
    assert observed(both, "vm1")["containers"] == {}


def test_metrics_go_with_the_last_side_that_is_removed(both):
    both.settings["metrics"] = 9105
    both.deploy()
    said = absent(both, "vm1", "client")
    assert "~ container ambassador_metrics on vm1: its options" in said["lines"]
    assert (said["steps"], said["generation"], said["standin"]) == (["container", "remove"], None, [])
    assert told_by(both, "vm1") == [("server", 1)]
    said = absent(both, "vm1", "server")
    assert said["lines"].count("- container ambassador_metrics on vm1") == 1
    # nothing is left that would keep it
    assert (observed(both, "vm1")["containers"], observed(both, "vm1")["networks"]) == ({}, {})


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("vm2:9105", "host vm2, ambassador_metrics: expected a port, or address:port, found 'vm2:9105'; correct it, or set it to ''"),
        (7002, "found 127.0.0.1:7002 to be local of link redis as well; set one of them to another port."),
        ("0.0.0.0:7002", "found 0.0.0.0:7002 to be local of link redis as well;"),
        ("198.18.0.9:9105", "found that this host has no such address (NAT?); set ambassador_metrics to a port, or to one of this host's"),
        (22, "expected to publish port 22 on 127.0.0.1, found it taken by another program or container"),
        (
            "[::1]:9105",
            "Variable ambassador_metrics: host vm2 cannot publish port 9105 on ::1, because its Docker Engine has userland-proxy:",
        ),
    ],
)
def test_metrics_that_cannot_be_told_there_are_refused(said, sentence):
    fleet = a_fleet({"redis": {**REDIS, "local": "127.0.0.1:7002"}}, metrics=said)
    observed(fleet)["listening"] = [["tcp", "0.0.0.0", 22]]
    observed(fleet)["docker"]["userland_proxy"] = False
    (found,) = refused(fleet.plan("vm2", "client"))
    assert sentence in found
    assert "correct it" in found or "set " in found.lower()


def test_only_an_engine_that_tells_metrics_is_asked_for_them():
    (found,) = refused(a_fleet(engine="nftables", metrics=9105).plan("vm2", "client"))
    assert "expected the engine haproxy, which alone tells metrics, found nftables; set ambassador_metrics to ''" in found


def test_what_tells_metrics_is_not_somebody_else_s(fleet):
    fleet.settings["metrics"] = 9105
    observed(fleet)["containers"]["ambassador_metrics"] = THEIRS
    assert "expected no container ambassador_metrics, or one that this mesh made" in refused(fleet.plan("vm2", "client"))[0]
    observed(fleet)["containers"] |= {"ambassador_metrics": THEIRS | {"name": "x"}}
    fleet.settings["metrics"] = ""
    assert fleet.plan("vm2", "client")["steps"] == []


def test_two_meshes_tell_their_metrics_at_two_ports(fleet):
    fleet.settings["metrics"] = 9105
    fleet.deploy()
    theirs = a_fleet({"pg": {**REDIS, "port": 5432}}, metrics=9105, state_dir="/var/lib/ambassador-blue", network="ambassador-blue")
    for name, host in theirs.hosts.items():
        host.observed = fleet.hosts[name].seen_by("blue")
    (found,) = refused(theirs.plan("vm2", "client"))
    assert (
        "host vm2, ambassador_metrics: expected to publish port 9105 on 127.0.0.1, found it taken by container ambassador_metrics of"
        in found
    )
    assert "or set it to another port." in found


# -- removal ------------------------------------------------------------------------------------------------------


def absent(fleet, host, side, volume=None):
    """Remove a side; return the plan."""
    one = fleet.hosts[host]
    said = plan_removal(side, host, f"ambassador_{side}", one.look(), fleet.settings, volume).result()
    one.apply(said, fleet.settings)
    return said


@pytest.fixture
def both():
    """A fleet whose vm1 has both sides."""
    found = a_fleet({"redis": REDIS, "pg": {**REDIS, "port": 5432, "servers": "vm2", "clients": "vm1"}}, tls=True)
    found.deploy()
    return found


def test_a_side_of_which_only_the_container_or_only_the_directory_is_left_goes_as_well(fleet):
    for links in ({}, None):
        for host, side in SIDES:
            one = a_fleet(engine="socat")
            one.deploy()
            if links is None:
                said = absent(one, host, side)
            else:
                one.links = links
                said = one.plan(host, side)
            # of a client side the link variables
            paths = ["/var/lib/ambassador"] if side == "client" else []
            assert (said["steps"], said["remove"]["containers"], said["remove"]["paths"]) == (["remove"], [f"ambassador_{side}"], paths)
    del observed(fleet)["containers"]["ambassador_client"]
    fleet.links = {}
    said = fleet.plan("vm2", "client")
    assert (said["steps"], said["remove"]["containers"], said["remove"]["paths"]) == (["remove"], [], ["/var/lib/ambassador"])


def test_a_redis_leaves_the_key_of_the_ambassadors(fleet):
    for path in ("redis_server", "identity"):
        fleet.hosts["vm3"].observed["entries"].append(path)
    said = plan_removal("redis_server", "vm3", "redis_server", observed(fleet, "vm3"), SETTINGS).result()
    assert said["remove"]["paths"] == ["/var/lib/ambassador/redis_server"]


def test_one_side_leaves_what_is_the_other_s(both):
    said = absent(both, "vm1", "client")
    paths = ["/var/lib/ambassador/client", "/var/lib/ambassador/links"]
    assert said["remove"] == {"containers": ["ambassador_client"], "paths": paths, "network": None, "volume": None}
    assert said["lines"] == ["- container ambassador_client on vm1", *(f"- directory {path} on vm1" for path in paths)]
    assert observed(both, "vm1")["entries"] == ["identity", "server"]
    assert both.plan("vm1", "server")["steps"] == []


def test_the_last_side_takes_the_key_the_directory_and_the_network_with_it(both):
    # one that is on another network is no reason to keep this one
    observed(both, "vm1")["containers"]["web"] = THEIRS | {"networks": {"bridge": {"addresses": []}}}
    absent(both, "vm1", "client")
    said = absent(both, "vm1", "server")
    assert said["remove"] == {
        "containers": ["ambassador_server"],
        "paths": ["/var/lib/ambassador"],
        "network": "ambassador",
        "volume": None,
    }
    assert said["lines"][-1] == "- network ambassador on vm1"
    left = observed(both, "vm1")
    assert (list(left["containers"]), left["networks"], left["entries"], left["identity"]["key"]) == (["web"], {}, [], "none")
    again = absent(both, "vm1", "server")
    assert (again["steps"], again["lines"]) == ([], [])


def test_a_side_that_no_link_wants_any_more_takes_the_key_with_it_and_leaves_the_network(fleet):
    fleet.links = {}
    assert fleet.plan("vm1", "server")["remove"]["paths"] == ["/var/lib/ambassador"]
    fleet.deploy()
    assert (observed(fleet, "vm1")["entries"], list(observed(fleet, "vm1")["networks"])) == ([], ["ambassador"])
    assert fleet.plan("vm1", "server")["steps"] == []


@pytest.mark.parametrize("tool", ["map", "server", "client"])
@pytest.mark.parametrize("side", ["server", "client"])
def test_removes_a_key_without_a_side_from_a_host_outside_the_map(side, tool):
    fleet = a_fleet({"redis": {**REDIS, f"{side}s": "vm3"}}, tls=True)
    fleet.run("vm3", side, ("image", "network"))
    # it is killed after its certificate step
    assert observed(fleet, "vm3")["entries"] == ["identity"]
    # the other side of a host of the map does not remove the key
    assert fleet.plan("vm3", "client" if side == "server" else "server")["steps"] == []
    if tool == "map":
        fleet.links = {"redis": REDIS}
        assert fleet.plan("vm3", side)["lines"] == ["- directory /var/lib/ambassador on vm3"]
        fleet.deploy()
    else:
        absent(fleet, "vm3", tool)
    assert (observed(fleet, "vm3")["entries"], observed(fleet, "vm3")["identity"]["key"]) == ([], "none")


def test_what_is_in_the_directory_and_is_not_its_own_stays(fleet):
    Redis(fleet.hosts["vm1"], "redis_server", PASSWORDS).run()
    observed(fleet, "vm1")["entries"].append("notes.txt")
    said = absent(fleet, "vm1", "server")
    assert said["remove"]["paths"] == ["/var/lib/ambassador/server", "/var/lib/ambassador/identity"]
    assert observed(fleet, "vm1")["entries"] == ["redis_server", "notes.txt"]
    # and a container that is attached keeps its network
    assert said["remove"]["network"] is None


def test_a_network_that_is_left_goes_with_any_part():
    host = Host("vm9")
    host.observed["networks"]["ambassador"] = {"ours": True, "ipv6": False, "pools": []}
    said = plan_removal("server", "vm9", "ambassador_server", host.look(), SETTINGS).result()
    assert (said["steps"], said["why"]["remove"], said["lines"]) == (["remove"], "ambassador", ["- network ambassador on vm9"])
    host.observed["volumes"]["data"] = {"ours": True}
    host.observed["networks"].clear()
    said = plan_removal("redis_server", "vm9", "redis_server", host.look(), SETTINGS, "data").result()
    assert (said["steps"], said["why"]["remove"], said["lines"]) == (["remove"], "data", ["- volume data on vm9"])


def test_neither_a_network_nor_a_container_of_somebody_else_s_is_removed(fleet):
    observed(fleet, "vm1")["networks"]["ambassador"]["ours"] = False
    assert absent(fleet, "vm1", "server")["remove"]["network"] is None
    observed(fleet)["containers"]["web"] = THEIRS | {"networks": {"ambassador": {"addresses": []}}}
    said = absent(fleet, "vm2", "client")
    assert (said["remove"]["network"], list(observed(fleet)["containers"])) == (None, ["web"])


def test_a_stand_in_that_still_has_connections_goes_with_its_side(fleet):
    observed(fleet)["containers"]["ambassador_client_standin"] = {**THEIRS, "ours": "ambassador_client_standin", "mesh": "default"}
    assert absent(fleet, "vm2", "client")["remove"]["containers"] == ["ambassador_client", "ambassador_client_standin"]
    observed(fleet)["containers"]["ambassador_client_standin"] = THEIRS
    assert absent(fleet, "vm2", "client")["steps"] == []


def test_a_removal_needs_a_docker_engine(fleet):
    observed(fleet)["docker"]["error"] = "no answer"
    assert "does not answer. no answer." in refused(absent(fleet, "vm2", "client"))[0]
    fleet.links = {}
    assert "does not answer. no answer." in refused(fleet.plan("vm2", "client"))[0]


@pytest.mark.parametrize(("volume", "ours", "gone"), [("redis_server", True, True), ("redis_server", False, False), (None, True, False)])
def test_data_goes_where_it_was_asked_for_and_is_the_collection_s(volume, ours, gone):
    host = Host("vm1")
    Redis(host, "redis_server", PASSWORDS).run()
    host.observed["volumes"]["redis_server"]["ours"] = ours
    said = plan_removal("redis_server", "vm1", "redis_server", host.look(), SETTINGS, volume).result()
    assert said["phases"]["expand"] == ["remove"]
    assert (said["remove"]["volume"] == "redis_server") == gone
    assert ("- volume redis_server on vm1" in said["lines"]) == gone


# -- Redis --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["redis_server", "redis_client"])
def test_a_redis_that_is_as_it_should_be_is_left_alone(part):
    one = Redis(Host("vm1"), part, PASSWORDS)
    first = one.run()
    assert first["steps"][-1] == "verify"
    assert first["lines"] == [f"+ container {part} on vm1", f"~ passwords of {part} on vm1"]
    again = one.plan()
    assert (again["problems"], again["steps"], again["lines"]) == ([], [], [])


def redis_drifts():
    """Return what can be done to a Redis server by hand, and the steps that mend it."""

    def there(host):
        return host.observed["directories"]["redis_server"]

    return {
        "another password": (lambda host: there(host)["files"]["operator"].update(sha256="0" * 64), ["directory", "verify"]),
        "an open file": (lambda host: there(host)["files"]["users.acl"].update(mode="0644"), ["directory", "verify"]),
        "somebody else's file": (lambda host: there(host)["files"]["users.acl"].update(owner=0), ["directory", "verify"]),
        "a file gone": (lambda host: there(host)["files"].pop("redis.conf"), ["directory", "verify"]),
        "an open directory": (lambda host: there(host).update(mode="0755"), ["directory", "verify"]),
        "no directory": (lambda host: host.observed["directories"].clear(), ["directory", "verify"]),
        "an open state directory": (lambda host: host.observed["wrong_permissions"].append("."), ["directory", "verify"]),
        "not loaded": (lambda host: there(host)["files"].pop("loaded"), ["directory", "verify"]),
        "others loaded": (lambda host: there(host)["files"]["loaded"].update(sha256="0" * 64), ["directory", "verify"]),
        "open data": (lambda host: host.observed["volumes"]["redis_server"].update(mode="0755"), ["data", "verify"]),
        "somebody else's data": (lambda host: host.observed["volumes"]["redis_server"].update(owner=0), ["data", "verify"]),
        "unwell": (lambda host: host.observed["containers"]["redis_server"].update(health="unhealthy"), ["verify"]),
        "stopped": (lambda host: host.observed["containers"]["redis_server"].update(state="exited"), ["container", "verify"]),
    }


@pytest.mark.parametrize("drift", redis_drifts())
def test_what_is_not_as_it_should_be_of_a_redis_server_is_mended(drift):
    host = Host("vm1")
    one = Redis(host, "redis_server", PASSWORDS)
    one.run()
    harm, steps = redis_drifts()[drift]
    harm(host)
    assert one.plan()["steps"] == steps
    one.run()
    host.observed["containers"]["redis_server"]["health"] = "healthy"
    assert one.plan()["steps"] == []


def test_a_redis_that_is_told_another_password_is_not_made_anew():
    one = Redis(Host("vm1"), "redis_server", PASSWORDS)
    one.run()
    one.passwords = PASSWORDS | {"app": "another"}
    said = one.plan()
    assert (said["steps"], said["lines"]) == (["directory", "verify"], ["~ passwords of redis_server on vm1"])
    assert (said["running"], said["makes_passwords"]) == (True, False)
    one.host.observed["containers"]["redis_server"]["state"] = "exited"
    assert one.plan()["running"] is False


@pytest.mark.parametrize("memory", ["1..2g", ".", "abc", "", "5X"])
def test_a_memory_limit_that_is_no_size_is_a_problem_of_its_variable(fleet, memory):
    fleet.settings["memory"] = memory
    for side, host in (("server", "vm1"), ("client", "vm2")):
        (problem,) = fleet.plan(host, side)["problems"]
        assert problem.startswith(f"Host {host}, ambassador_memory: {memory!r} is not a size. Use a number and a unit, for example 512M")
    one = Redis(Host("vm1"), "redis_server", PASSWORDS)
    one.settings["memory"] = memory
    (problem,) = one.plan()["problems"]
    assert problem.startswith(f"Host vm1, redis_server_memory: {memory!r} is not a size.")


def test_a_redis_with_another_image_is_made_anew_and_that_is_told():
    one = Redis(Host("vm1"), "redis_server", PASSWORDS)
    one.run()
    one.settings |= {"image": "redis:8.0.3"}
    said = one.plan()
    assert said["steps"] == ["image", "container", "verify"]
    assert said["lines"] == ["~ container redis_server on vm1 is made anew: its image"]
    assert said["restarts"] is True
    one.run()
    one.settings["memory"] = "1G"
    said = one.plan()
    assert said["lines"] == ["~ container redis_server on vm1 changes: its memory limit", "~ memory limits of redis_server on vm1"]
    # the server goes on
    assert (said["steps"], said["running"], said["restarts"]) == (["directory", "container", "verify"], True, False)


def test_a_redis_that_asks_for_no_password_has_no_directory():
    host = Host("vm1")
    one = Redis(host, "redis_client", {"app": "one"})
    one.run()
    one.passwords = {}
    said = one.plan()
    assert said["steps"] == ["container", "verify", "remove"]
    assert said["why"]["remove"] == "redis_client needs no password any more"
    assert said["remove"]["paths"] == ["/var/lib/ambassador/redis_client"]
    one.run()
    assert (host.observed["entries"], one.plan()["steps"]) == ([], [])


def test_passwords_that_are_still_to_be_made_are_planned_without_their_hashes():
    host = Host("vm1")
    one = describe_redis_server("redis_server", {**SETTINGS, "image": "redis:8.0.2", "volume": "redis_server"})
    given = {"owner": 999, "files": {"operator": None}}
    settings = {**SETTINGS, "engine": None, "image": "redis:8.0.2"}
    said = plan_redis(RedisInputs("redis_server", "vm1", host.look(), settings, one, **given, problems=[], volume="data")).result()
    assert said["makes_passwords"]
    assert "directory" in said["steps"]


# -- whatever the map ---------------------------------------------------------------------------------------------

HOSTS = ("vm1", "vm2", "vm3")
GROUP = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True).map(":".join)
# most of these are wrong
ANY_LINK = st.fixed_dictionaries(
    {
        "port": st.sampled_from([5432, 6379]),
        "servers": GROUP,
        "clients": GROUP,
        "backend": st.sampled_from(["db:1", "pg:2", "[2001:db8::9]:3"]),
    },
    optional={
        "publish": st.sampled_from([7000, 7001, 6379]),
        "local": st.sampled_from(["127.0.0.1:9000", "0.0.0.0:9000", "127.0.0.1:6379", "198.18.0.2:7000"]),
        "check": st.sampled_from(["tcp", "redis", "none"]),
        "protocol": st.sampled_from(["tcp", "udp"]),
        "balance": st.sampled_from(["first", "roundrobin", "source"]),
        "targets": st.sampled_from([["198.18.0.20:1"], ["198.18.0.20:1", "198.18.0.21:1"]]),
    },
)
ANY_MAP = st.dictionaries(st.sampled_from(["redis", "pg", "my-cache"]), ANY_LINK, min_size=1, max_size=3)
RUN = st.fixed_dictionaries(
    {
        "engine": st.sampled_from(list(IMAGES)),
        "tls": st.booleans(),
        "prove": st.booleans(),
        "memory": st.sampled_from(["512M", "1g", "1073741824"]),
        "pids": st.sampled_from([64, "4096"]),
        "metrics": st.sampled_from(["", 9105, "0.0.0.0:9106", "198.18.0.2:9105"]),
    }
)
ADDRESSED = st.sampled_from([("198.18.0.{}", False), ("198.18.0.{}", True), ("2001:DB8:0::{}", True)])


@st.composite
def maps_and_runs(draw, addressed, engines=tuple(IMAGES), least=0):
    """Return a valid map, and settings with an engine that supports it."""
    address, ipv6 = addressed
    # on a network with IPv6 the kernel needs targets with IPv6 addresses
    needs_ipv6_targets = ipv6 and ":" not in address
    changed = draw(RUN) | {"engine": draw(st.sampled_from([one for one in engines if one != "nftables" or not needs_ipv6_targets]))}
    haproxy, socat = changed["engine"] == "haproxy", changed["engine"] == "socat"
    changed["tls"] = changed["tls"] and haproxy
    # one address that all hosts have
    changed["metrics"] = changed["metrics"] if haproxy and changed["metrics"] != "198.18.0.2:9105" else ""
    links = {}
    for number, alias in enumerate(
        draw(st.lists(st.sampled_from(["redis", "pg", "my-cache", "a1"]), unique=True, min_size=least, max_size=4))
    ):
        link = {
            "port": draw(st.sampled_from([6000, 6000 + number])),
            "publish": 6000 + number,
            "clients": draw(GROUP),
            "backend": draw(st.sampled_from([f"db{number}:1", f"db{number}:2"])),
        }
        link["servers"] = draw(st.sampled_from(HOSTS)) if socat else draw(GROUP)
        if ":" in link["servers"] and not haproxy:
            link["balance"] = draw(st.sampled_from(["roundrobin", "source"]))
        for key, values, possible in (
            ("publish", [7000 + number, 7100 + number], True),
            ("local", [f"127.0.0.1:{8000 + number}", f"0.0.0.0:{8000 + number}", f"[0::1]:{8100 + number}"], True),
            ("check", ["tcp", "redis", "none"], haproxy),
            ("balance", ["first", "roundrobin", "leastconn", "source"], haproxy),
            ("wait", [0, 5], haproxy),
            ("connect", [0.2, 5], haproxy),
            ("check_interval", [1, "2.5"], haproxy),
            ("max_connections", [1, "5000"], haproxy),
            ("drain", [0, 5], not socat),
            ("protocol", ["tcp", "udp"], changed["engine"] == "nftables"),
            (
                "targets",
                [*([] if ipv6 and changed["engine"] == "nftables" else [["198.18.0.20:1"]]), *([["[2001:DB8::20]:1"]] if ipv6 else [])],
                not changed["tls"],
            ),
        ):
            if possible and draw(st.booleans()):
                link[key] = draw(st.sampled_from(values))
        links[alias] = link
    return links, changed


def world(address, ipv6):
    """Hosts on which nothing is, with addresses of one kind."""
    hostvars = {name: {"ambassador_address": address.format(number)} for number, name in enumerate(HOSTS, 1)}
    own = ["198.18.0.{}", "2001:db8::{}"]
    hosts = {name: Host(name, [one.format(number) for one in own]) for number, name in enumerate(HOSTS, 1)}
    return Fleet({}, hosts, hostvars, ipv6=ipv6)


def run(fleet, links, changed):
    """Bring a map to all hosts; return the sentences of those that were refused."""
    fleet.links = links
    fleet.settings |= {**changed, "image": IMAGES[changed["engine"]]}
    problems = []
    for found in fleet.deploy().values():
        if found["problems"]:
            assert refused(found)
        problems += found["problems"]
    return problems


def at_rest(fleet):
    """Nothing is to be changed on any host; what nobody checks is dialled, and the rest is proved."""
    for host in HOSTS:
        for side in ("server", "client"):
            found = fleet.plan(host, side)
            assert found["problems"] == [], (host, side)
            assert changes(found) == [], (host, side, found["why"])
            assert found["lines"] == found["warnings"] == [], (host, side)
            assert ("verify" in found["steps"]) == bool(found.get("unchecked") or found.get("local")), (host, side)


@given(st.lists(st.tuples(ANY_MAP, RUN), min_size=1, max_size=3), ADDRESSED)
def test_whatever_the_map_what_is_wrong_is_told_and_then_nothing_is_done(runs, addressed):
    fleet = world(*addressed)
    for links, changed in runs:
        before = {name: host.look() for name, host in fleet.hosts.items()}
        problems = run(fleet, links, changed)
        event("refused" if problems else "deployed")
        if not problems:
            at_rest(fleet)
        # what is wrong with the map is so on all hosts, and none of them is touched
        wiring = fleet.wiring()
        if wiring.problems:
            assert {name: host.look() for name, host in fleet.hosts.items()} == before


@given(st.data(), ADDRESSED)
def test_whatever_the_maps_a_run_is_followed_by_one_that_changes_nothing(data, addressed):
    fleet = world(*addressed)
    for _ in range(3):
        links, changed = data.draw(maps_and_runs(addressed))
        event(changed["engine"] + (" over TLS" if changed["tls"] else ""))
        assert run(fleet, links, changed) == []
        at_rest(fleet)
    run(fleet, {}, changed)
    for host in fleet.hosts.values():
        assert (host.observed["containers"], host.observed["entries"], host.observed["listening"]) == ({}, [], [])


@given(st.data(), ADDRESSED, st.sampled_from(list(drifts())))
def test_whatever_is_done_to_a_client_side_by_hand_is_mended_by_one_run(data, addressed, drift):
    fleet = world(*addressed)
    # socat keeps nothing on disk
    links, changed = data.draw(maps_and_runs(addressed, ("haproxy", "nftables"), 1))
    run(fleet, links, changed)
    host = data.draw(st.sampled_from([name for name, host in fleet.hosts.items() if "client" in host.observed["sides"]]))
    # the drifts are those of vm2
    drifts()[drift][0](Fleet(links, {"vm2": fleet.hosts[host]}, {}))
    fleet.hosts[host].listen()
    event(f"{changed['engine']}: {drift}")
    assert run(fleet, links, changed) == []
    at_rest(fleet)


# -- what is served while links change --------------------------------------------------------------------------------

PORTS = {"redis": 6379, "pg": 5432, "queue": 5672}


@st.composite
def maps_in_turn(draw, shared):
    """Return maps of the same aliases, each on ports of its own, or, as TLS allows, on any.

    The map of a link has ``port`` or ``ports``, so that a change adds and removes ports, and gives a port another alias.
    """
    maps = []
    for _ in range(draw(st.integers(2, 4))):
        links = {}
        for alias in draw(st.lists(st.sampled_from(list(PORTS)), unique=True, min_size=1)):
            port = PORTS[alias]
            link = {"servers": draw(GROUP), "clients": draw(GROUP), "backend": draw(st.sampled_from(["db", "store"]))}
            if draw(st.booleans()):
                link["ports"] = draw(st.sampled_from([[port], [port + 1], [port, port + 1]]))
                publish = [None, 7000, 7001] if shared else [None]
            else:
                link |= {"port": port, "backend": f"{link['backend']}:1"}
                # without TLS each port is used for one service
                publish = [7000, 7001] if shared else [port, port + 10]
            link |= {key: value for key, value in [("publish", draw(st.sampled_from(publish)))] if value}
            links[alias] = link
        maps.append(links)
    return maps


@given(st.data(), st.booleans(), st.booleans())
def test_no_client_side_is_left_dialling_what_is_not_served(data, tls, shared):
    fleet, seen, departed = world("198.18.0.{}", False), [], set()
    changed = {"engine": "haproxy", "tls": tls, "prove": True}
    addresses = {host: [f"198.18.0.{number}", f"198.18.1.{number}"] for number, host in enumerate(HOSTS, 1)}

    def see():
        # a client host that left a link while it was away is refused: no server side waits for it
        seen.extend(one for one in fleet.unserved() if (one[0], one[1].partition(":")[0]) not in departed)

    for name, host in fleet.hosts.items():
        host.observed["addresses"] = addresses[name]
    for links in data.draw(maps_in_turn(tls and shared)):
        fleet.links = links
        for host in HOSTS:
            fleet.hostvars[host] = {"ambassador_address": data.draw(st.sampled_from(addresses[host]), label=f"address of {host}")}
        fleet.settings |= changed
        # a client host may be away; without a server host there is no proof, and nothing turns to it
        serving = {host for link in links.values() for host in link["servers"].split(":")}
        away = data.draw(st.sets(st.sampled_from([*HOSTS])), label="away") - serving
        # the first run over TLS makes the CA with all of them
        fleet.away = away if fleet.authority.authorities or not tls else set()
        event(f"{len(fleet.away)} away")
        away_from = {(host, alias) for host in fleet.away for alias in links}
        departed |= {(host, alias) for host, alias in away_from if host not in links[alias]["clients"].split(":")}
        plans = fleet.deploy(see)
        # a client host that comes back is refused until its client side is deployed, also if it is a client again
        departed = {(host, alias) for host, alias in departed if host in fleet.away}
        assert [found["problems"] for found in plans.values() if found["problems"]] == []
        assert seen == []
    fleet.away = set()
    fleet.deploy(see)
    assert seen == []
    # those that were away have turned, and what was kept for them is given up
    fleet.deploy()
    at_rest(fleet)


@given(st.data(), st.booleans(), st.booleans())
def test_a_run_that_is_killed_at_any_step_leaves_every_link_served(data, tls, shared):
    fleet, seen = world("198.18.0.{}", False), []
    fleet.settings |= {"engine": "haproxy", "tls": tls, "prove": True}
    first, *others = data.draw(maps_in_turn(tls and shared))
    fleet.links = first
    fleet.deploy()
    for links in others:
        fleet.links = links
        fleet.steps_left = data.draw(st.integers(0, 30), label="steps before it is killed")
        try:
            fleet.deploy()
        except KilledError:
            event("killed")
        assert fleet.unserved() == []
    # the next one ends it
    fleet.steps_left = None
    plans = fleet.deploy(lambda: seen.append(fleet.unserved()))
    assert [found["problems"] for found in plans.values() if found["problems"]] == []
    assert [one for one in seen if one] == []
    at_rest(fleet)
    # hosts outside the map keep nothing, and without links no host does
    for links, gone in ((fleet.links, {*HOSTS} - {*fleet.wiring().hosts}), ({}, {*HOSTS})):
        fleet.links = links
        fleet.deploy()
        assert {host: fleet.hosts[host].observed["entries"] for host in gone} == {host: [] for host in gone}
