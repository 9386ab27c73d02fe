"""What the status says of what was found: the wiring is the real one, what the engines say is made up from real answers."""

import copy
import datetime
import json

import jsonschema
import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _status as judge
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import UNFIT
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status import age, health, together
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import aligned
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT

REDIS = {"port": 6379, "servers": "servers", "clients": "clients", "backend": "redis_server:6379", "check": "redis"}
GROUPS = {"servers": ["vm1", "vm3"], "clients": ["vm2"], "one": ["vm1"]}
ADDRESSES = {"vm1": "198.18.0.11", "vm2": "198.18.0.12", "vm3": "198.18.0.13"}
HOSTVARS = {host: {"ambassador_address": address} for host, address in ADDRESSES.items()}
REFUSED = {
    "state": "DOWN",
    "up": False,
    "check_status": "L4CON",
    "last_check": "Layer4 connection problem, Connection refused at step 1 of tcp-check (connect)",
}
REPLICA = {
    "state": "DOWN",
    "up": False,
    "check_status": "L7RSP",
    "last_check": "Layer7 invalid response, TCPCHK did not match content (regex) at step 5",
}


NOW = datetime.datetime(2026, 11, 28, 12, 30, tzinfo=datetime.UTC)


SCHEMA = json.loads((ROOT / "docs/status.schema.json").read_text())


def status(answers):
    """What is found, which is as the schema says whatever was found."""
    found = judge.status(answers, "default", NOW)
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def table(said):
    """The lines of the targets, with their heading."""
    return [line for line, _ in judge.lines(said)][: len(said["targets"]) + 1]


def info_of(wiring):
    """What a healthy HAProxy says that was told this wiring."""
    well = {"state": "UP", "up": True, "check_status": "L7OK", "last_check": "Layer7 check passed, (tcp-check)"}
    links = {}
    for link in wiring["links"]:
        targets = [
            {
                "name": target["name"],
                "address": f"{target['address']}:{target['port']}" if "." in target["address"] else "198.19.34.2:6379",
                "last_change": 90,
                "connections": 1,
                "total": 7,
                "replicas_down": 0,
                **well,
            }
            for target in link["targets"]
        ]
        links[link["alias"]] = {"listen": "open", "held": 0, "targets": targets, "leaving": []}
    return {"generation": "c12964c32605", "current": "c12964c32605", "links": links}


def find(links=None, engine="haproxy", hostvars=HOSTVARS):
    """What is found where all is well."""
    wiring = Wiring({"redis": REDIS} if links is None else links, GROUPS.__getitem__, engine)
    answers = {}
    for host in ("vm1", "vm2", "vm3"):
        answers[host] = {
            "engine": engine,
            "network": "ambassador",
            "observed": {"mesh": "default", "docker": {"error": None}, "containers": {}},
        }
        for side in ("server", "client"):
            resolved = wiring.side(host, side, hostvars)
            resolved |= {key: list(map(str, resolved[key])) for key in ("problems", "unknown_problems")}
            environment = [f"{name}={value}" for name, value in resolved["variables"].items()]
            name, there = f"ambassador_{side}", bool(resolved["links"])
            if there:
                answers[host]["observed"]["containers"][name] = {"ours": name, "mesh": "default", "state": "running", "networks": {}}
            answers[host][side] = {
                "wiring": resolved,
                "environment": environment if engine == "socat" else [],
                "info": info_of(resolved) if engine == "haproxy" and there else {"skipped": True},
            }
    return answers


@pytest.fixture
def found():
    """One primary on vm1, its replica on vm3: all is well."""
    answers = find()
    (own, peer), (peer_own, other) = (targets(answers, host, "server") for host in ("vm1", "vm3"))
    assert (own["name"], peer["name"], peer_own["name"], other["name"]) == ("redis_server", "vm3", "redis_server", "vm1")
    peer_own.update(REPLICA)
    peer.update(REFUSED)
    targets(answers, "vm2", "client")[1].update(REFUSED)
    link(answers, "vm3", "server")["listen"] = "shut"
    return answers


def link(answers, host, side):
    return answers[host][side]["info"]["links"]["redis"]


def targets(answers, host, side):
    return link(answers, host, side)["targets"]


def test_all_is_well(found):
    said = status(found)
    assert table(said) == [
        "host  side    link   port       target        address           state  check  connections  since",
        "vm1   server  redis  6379       redis_server  198.19.34.2:6379  UP     L7OK   1            1m30s",
        "vm1   server  redis  6379       vm3           198.18.0.13:6379  DOWN   L4CON  1            1m30s",
        "vm2   client  redis  6379       vm1           198.18.0.11:6379  UP     L7OK   1            1m30s",
        "vm2   client  redis  6379       vm3           198.18.0.13:6379  DOWN   L4CON  1            1m30s",
        "vm3   server  redis  6379 shut  redis_server  198.19.34.2:6379  DOWN   L7RSP  1            1m30s",
        "vm3   server  redis  6379 shut  vm1           198.18.0.11:6379  UP     L7OK   1            1m30s",
    ]
    # a replica is down by design
    assert (said["warnings"], said["problems"]) == ([], [])
    assert said["verdict"] == "all is well: links redis, 3 sides, warnings 0"


def test_nothing_is_changed_by_looking(found):
    before = copy.deepcopy(found)
    status(found)
    assert found == before


def test_a_target_that_is_down_beside_one_that_is_up_is_a_warning(found):
    targets(found, "vm3", "server")[0].update(REFUSED)
    said = status(found)
    assert said["problems"] == []
    assert len(said["warnings"]) == 3
    assert said["warnings"][1] == (
        "host vm2, client side, link redis: expected all targets up, found vm3 (198.18.0.13:6379) DOWN: L4CON,"
        " Layer4 connection problem, Connection refused at step 1 of tcp-check (connect), for 1m30s."
    )


def test_a_link_without_a_server_is_a_problem_on_each_side_that_sees_it(found):
    targets(found, "vm1", "server")[0].update(
        {"state": "MAINT (resolution)", "up": False, "address": None, "check_status": None, "last_check": None}
    )
    for host, side, number in (("vm2", "client", 0), ("vm3", "server", 1)):
        targets(found, host, side)[number].update(REFUSED)
    said = status(found)
    assert [problem.partition(":")[0] for problem in said["problems"]] == [
        "host vm1, server side, link redis",
        "host vm2, client side, link redis",
        "host vm3, server side, link redis",
    ]
    assert "or attach it to that network; vm3 (198.18.0.13:6379) DOWN: L4CON" in said["problems"][0]
    assert said["verdict"] == "expected no trouble, found 3 problems"


def test_two_primaries_are_named_by_their_hosts(found):
    targets(found, "vm3", "server")[0].update({"state": "UP", "up": True, "check_status": "L7OK"})
    (problem,) = status(found)["problems"]
    assert problem.startswith("link redis: expected one primary, found 2: vm1 and vm3 all answer ROLE master")


@pytest.mark.parametrize("change", [{"check": "tcp"}, {"balance": "roundrobin"}])
def test_two_servers_of_a_link_that_knows_no_primary_are_well(change):
    said = status(find({"redis": {**REDIS, **change}}))
    assert (said["problems"], said["warnings"]) == ([], [])


def test_a_backend_that_was_not_asked_yet_is_no_primary(found):
    targets(found, "vm3", "server")[0].update({"state": "UP", "up": True, "check_status": "INI", "last_check": "Initializing"})
    assert status(found)["problems"] == []


def test_a_generation_that_does_not_run_is_a_problem(found):
    found["vm2"]["client"]["info"]["generation"] = "eed9e6b61e70"
    (problem,) = status(found)["problems"]
    assert problem.startswith("host vm2, client side: expected generation c12964c32605, which is on disk, to run, found eed9e6b61e70;")


def test_a_side_that_is_not_there_is_a_problem(found):
    there = found["vm2"]["observed"]["containers"]
    there["ambassador_client_2"] = {**there["ambassador_client"], "ours": "ambassador_client_2", "state": "exited"}
    assert status(found)["problems"] == [
        "host vm2, client side: expected the container ambassador_client_2 to run, found it exited;"
        " `docker logs ambassador_client_2` on the host says why."
    ]
    there.clear()
    assert status(found)["problems"] == [
        "host vm2, client side: expected the container ambassador_client, found none; run crosshost.ambassador.site."
    ]


def test_an_engine_that_does_not_answer_is_a_problem(found):
    found["vm2"]["client"]["info"] = {"msg": "expected HAProxy to answer on /x, found: timed out."}
    assert status(found)["problems"] == ["host vm2, client side: expected HAProxy to answer on /x, found: timed out."]


def test_a_docker_engine_that_does_not_answer_is_told_once(found):
    found["vm1"]["observed"] = {"mesh": "default", "docker": {"error": "Connection refused"}, "containers": {}}
    assert status(found)["problems"] == [
        "Host vm1: the Docker Engine does not answer. Connection refused."
        " Install or start it on the host (this collection does not install it), or allow the user of this play to use it."
    ]


@pytest.mark.parametrize("kind", UNFIT)
def test_a_docker_engine_that_does_not_do_is_told_as_site_tells_it(found, kind):
    found["vm1"]["observed"] = {"mesh": "default", "docker": {"error": "none", "kind": kind}, "containers": {}}
    assert status(found)["problems"] == [f"host vm1: expected a Docker Engine {UNFIT[kind]}"]


def test_a_host_that_cannot_be_reached_is_told_once():
    nameless = {**HOSTVARS, "vm1": {}}
    answers = find(hostvars=nameless)
    answers["vm1"] = {"unreachable": "ssh: no route"}
    said = status(answers)
    assert said["problems"] == ["host vm1: expected Ansible to reach it, found: ssh: no route; make it reachable."]


def test_a_wrong_map_is_told_once():
    said = status(find({"redis": {**REDIS, "port": 0}}))
    assert said["problems"] == ["Link redis, key port: 0 is not a valid port. Use a number from 1 to 65535."]


def test_a_link_that_is_not_carried_is_a_problem_and_one_that_is_not_wanted_a_warning(found):
    links = found["vm2"]["client"]["info"]["links"]
    links["cache"] = links.pop("redis")
    said = status(found)
    assert said["problems"] == [
        "host vm2, client side, link redis: expected it to be carried, found that its engine does not know it;"
        " run crosshost.ambassador.site."
    ]
    assert said["warnings"] == [
        "host vm2, client side, link cache: expected only links of the map, found this one carried; run crosshost.ambassador.site."
    ]


def test_a_side_that_no_link_wants_is_a_warning(found):
    found["vm1"]["observed"]["containers"]["ambassador_client"] = {"ours": "ambassador_client", "state": "running", "networks": {}}
    said = status(found)
    assert said["problems"] == []
    assert said["warnings"][0].startswith(
        "host vm1, client side: expected no container ambassador_client, for no link wants it, found one;"
    )


def test_targets_that_are_not_those_of_the_map_are_a_warning(found):
    targets(found, "vm2", "client")[0]["address"] = "198.18.0.99:6379"
    assert status(found)["warnings"] == [
        "host vm2, client side, link redis: expected the targets vm1 (198.18.0.11:6379), vm3 (198.18.0.13:6379),"
        " found vm1 (198.18.0.99:6379), vm3 (198.18.0.13:6379); run crosshost.ambassador.site."
    ]
    found["vm2"]["client"]["info"]["links"]["redis"]["targets"] = targets(find(), "vm2", "client")[:1]
    assert "found vm1 (198.18.0.11:6379); run" in status(found)["warnings"][0]


def test_a_name_in_dns_leads_where_it_leads(found):
    for target in found["vm2"]["client"]["wiring"]["links"][0]["targets"]:
        target.update(address="db.example.com", dns="A")
    assert status(found)["warnings"] == []


def test_a_limited_run_does_not_miss_the_addresses_of_the_others():
    answers = {"vm2": find(hostvars={**HOSTVARS, "vm1": {}, "vm3": {}})["vm2"]}
    for target in targets(answers, "vm2", "client"):
        target["address"] = "198.18.0.11:6379"
    said = status(answers)
    assert (said["problems"], said["warnings"]) == ([], [])


def test_what_is_held_and_what_is_left_is_told(found):
    link(found, "vm2", "client")["held"] = 2
    link(found, "vm2", "client")["leaving"] = [{"name": "vm1", "address": "198.18.0.99:6379", "connections": 3}]
    said = status(found)
    assert said["warnings"] == ["host vm2, client side, link redis: 2 connections are held, for want of a target that is up."]
    assert any(line.split()[4:8] == ["vm1", "198.18.0.99:6379", "leaving", "-"] for line in table(said))


def test_of_socat_no_more_is_said_than_docker_knows():
    plain = {"redis": {key: value for key, value in REDIS.items() if key != "check"} | {"servers": "one"}}
    answers = find(plain, "socat")
    said = status(answers)
    assert (said["problems"], said["warnings"]) == ([], [])
    assert [line.split() for line in table(said)[1:]] == [
        ["vm1", "server", "redis", "6379", "redis_server", "redis_server:6379", "not", "checked", "-", "-", "-"],
        ["vm2", "client", "redis", "6379", "vm1", "198.18.0.11:6379", "not", "checked", "-", "-", "-"],
    ]
    answers["vm2"]["client"]["environment"] = []
    (problem,) = status(answers)["problems"]
    assert problem.startswith("host vm2, client side, link redis: expected REDIS_PORT_6379_TCP in the container's environment, found none;")


def test_of_the_kernel_the_target_and_what_has_come_is_said():
    plain = {"redis": {key: value for key, value in REDIS.items() if key != "check"} | {"servers": "servers", "balance": "roundrobin"}}
    answers = find(plain, "nftables")
    for host, side in (("vm1", "server"), ("vm3", "server"), ("vm2", "client")):
        info = info_of(answers[host][side]["wiring"])
        for target in info["links"]["redis"]["targets"]:
            target.update(state="not checked", check_status=None, last_check=None, last_change=None)
        # the peers of a server side are no targets where nothing is checked
        del info["links"]["redis"]["targets"][1 if side == "server" else 2 :]
        answers[host][side]["info"] = info
    said = status(answers)
    assert (said["problems"], said["warnings"]) == ([], [])
    assert [line.split() for line in table(said)[2:4]] == [
        ["vm2", "client", "redis", "6379", "vm1", "198.18.0.11:6379", "not", "checked", "-", "1", "of", "7", "-"],
        ["vm2", "client", "redis", "6379", "vm3", "198.18.0.13:6379", "not", "checked", "-", "1", "of", "7", "-"],
    ]
    targets(answers, "vm2", "client")[0]["address"] = "198.18.0.99:6379"
    assert "found vm1 (198.18.0.99:6379), vm3" in status(answers)["warnings"][0]
    targets(answers, "vm1", "server")[0].update(state="no address", up=False, address=None)
    (problem,) = status(answers)["problems"]
    assert problem.startswith("host vm1, server side, link redis: expected a target that is up, found redis_server no address;")


def test_an_empty_map_is_well():
    said = status(find({}))
    assert (len(table(said)), said["verdict"]) == (1, "all is well: links none, 0 sides, warnings 0")


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (9, "9s"), (151, "2m31s"), (3661, "1h1m"), (90000, "1d1h")])
def test_an_age_is_short(seconds, text):
    assert age(seconds) == text


def test_a_container_that_answers_to_an_alias_is_a_problem(found):
    networks = {"ambassador": {"names": ["redis"]}}
    one = {"ours": None, "mesh": None, "state": "running", "image": "theirs:1", "networks": networks}
    for host in ("vm1", "vm2"):
        found[host]["observed"]["containers"]["theirs"] = one
    # on a host where consumers dial it, and nowhere else
    (problem,) = status(found)["problems"]
    assert problem.startswith("link redis: expected ambassador_client alone to answer to this name on the network ambassador of host vm2,")


@pytest.mark.parametrize(
    ("left", "warned", "wrong"),
    [(90, False, False), (31, False, False), (29, True, False), (0, False, True), (-1, False, True)],
)
def test_a_certificate_that_was_not_renewed_is_told_and_one_that_expired_is_a_problem(found, left, warned, wrong):
    found["vm2"]["client"]["info"]["certificate"] = {
        "not_before": "2026-11-24T00:00:00Z",
        "not_after": "2027-02-22T00:00:00Z",
        "seconds_left": left * 86400,
    }
    said = status(found)
    warning = "host vm2, client side: its certificate expires 2027-02-22T00:00:00Z; run crosshost.ambassador.site, which renews it."
    assert said["warnings"] == ([warning] if warned else [])
    assert len(said["problems"]) == wrong
    if wrong:
        assert "host vm2, client side: expected a valid certificate, found one that expired 2027-02-22T00:00:00Z;" in said["problems"][0]


def test_a_wrong_clock_is_a_warning_and_a_certificate_that_is_not_valid_yet_a_problem(found):
    found["vm2"]["observed"]["clock_offset"] = -7200
    certificate = {"not_before": "2026-11-24T00:00:00Z", "not_after": "2027-02-22T00:00:00Z", "seconds_left": 90 * 86400}
    found["vm2"]["client"]["info"]["certificate"] = certificate
    said = status(found)
    remedy = "Set the clock of vm2, for example with chrony."
    assert said["warnings"] == [f"The clock of host vm2 is 2 hours behind the clock of the controller. {remedy}"]
    assert said["problems"] == []
    certificate["seconds_left"] += 1
    assert status(found)["problems"] == [
        "host vm2, client side: its certificate is not valid before 2026-11-24T00:00:00Z, which is later than the clock of the host says."
        f" {remedy}"
    ]


def test_containers_behind_one_name_that_are_down_are_told_by_their_number(found):
    # whatever the words of the engine
    targets(found, "vm1", "server")[0].update(state="UP, in part", replicas_down=1)
    said = status(found)
    assert said["warnings"] == [
        "host vm1, server side, link redis: expected all addresses of redis_server up, found redis_server (198.19.34.2:6379)"
        " UP, in part: L7OK, Layer7 check passed, (tcp-check)."
    ]
    assert said["targets"][0]["health"] == "degraded"


@pytest.mark.parametrize(
    ("state", "up", "said"),
    [
        ("UP", True, "up"),
        ("UP 1/3", True, "degraded"),
        ("DOWN", False, "down"),
        ("DOWN 1/2", False, "degraded"),
        ("MAINT (resolution)", False, "down"),
        ("no address", False, "down"),
        ("no check", True, "unchecked"),
        ("not checked", True, "unchecked"),
    ],
)
def test_the_health_of_a_target(state, up, said):
    assert health({"state": state, "up": up, "replicas_down": 0}) == said


@pytest.mark.parametrize(
    ("healths", "said"),
    [
        (["up", "up"], "up"),
        (["up", "standby"], "up"),
        (["standby"], "standby"),
        (["up", "down"], "degraded"),
        (["down", "down"], "down"),
        ([], "unknown"),
    ],
)
def test_the_health_of_several(healths, said):
    assert together(healths) == said


def test_each_line_says_how_its_target_is(found):
    targets(found, "vm2", "client")[0].update(REFUSED)
    link(found, "vm2", "client")["leaving"] = [{"name": "vm1", "address": "198.18.0.99:6379", "connections": 3}]
    said = judge.lines(status(found))
    # vm3 is a replica, and no trouble
    assert [what for _, what in said] == [None, "up", "standby", "down", "standby", "leaving", "standby", "up", "problem", "problem"]
    assert said[-1][0] == "expected no trouble, found 1 problem"
    assert said[-2][0].startswith("problem: host vm2, client side, link redis: expected a target that is up,")


def test_a_link_is_as_its_clients_see_it(found):
    (said,) = status(found)["links"]
    assert said == {"alias": "redis", "health": "up", "servers": ["vm1", "vm3"], "clients": ["vm2"]}
    targets(found, "vm1", "server")[0].update(REFUSED)
    assert status(found)["links"][0]["health"] == "up"
    targets(found, "vm2", "client")[0].update(REFUSED)
    assert status(found)["links"][0]["health"] == "down"
    # whose container is gone, it is none that sees it
    targets(found, "vm2", "client")[0].update(state="UP", up=True)
    found["vm4"] = {**copy.deepcopy(found["vm2"]), "observed": {**found["vm2"]["observed"], "containers": {}}}
    assert status(found)["links"][0]["health"] == "degraded"
    # without a client, as its servers do
    del found["vm4"]
    del found["vm2"]
    assert status(found)["links"][0]["health"] == "degraded"


def test_hosts_sides_and_certificates(found):
    found["vm2"]["client"]["info"]["certificate"] = {
        "not_before": "2026-11-24T00:00:00Z",
        "not_after": "2027-02-22T00:00:00Z",
        "seconds_left": 85 * 86400 + 86399,
    }
    found["vm3"] = {"unreachable": "ssh: no route"}
    said = status(found)
    assert said["time"] == "2026-11-28T12:30:00Z"
    assert said["hosts"] == [
        {
            "name": "vm1",
            "reached": True,
            "engine": "haproxy",
            "sides": [{"side": "server", "generation": "c12964c32605", "certificate": None}],
        },
        {
            "name": "vm2",
            "reached": True,
            "engine": "haproxy",
            "sides": [
                {"side": "client", "generation": "c12964c32605", "certificate": {"not_after": "2027-02-22T00:00:00Z", "days": 85}},
            ],
        },
        {"name": "vm3", "reached": False, "engine": None, "sides": []},
    ]


def test_the_last_changes_of_all_sides_are_told_the_newest_first(found):
    for host, side, times in (("vm1", "server", (3, 1)), ("vm2", "client", (2,))):
        found[host][side]["info"]["history"] = [
            {"time": f"2026-11-28T12:0{time}:00Z", "lines": ["+ redis"], "worked": time != 2} for time in times
        ]
    said = status(found)["history"]
    assert [(entry["host"], entry["side"], entry["time"][15], entry["worked"]) for entry in said] == [
        ("vm1", "server", "3", True),
        ("vm2", "client", "2", False),
        ("vm1", "server", "1", True),
    ]


def test_long_cell_is_cut():
    """A host could fill the memory of the controller: with many links, each line of the table is as long as the longest cell."""
    assert aligned([("x" * 101, "y\n"), ("x" * 100, "z")]) == ["x" * 97 + "...  y?", "x" * 100 + "  z"]


def test_change_has_the_host_and_the_side_that_report_it(found):
    entry = {"time": "2026-11-28T12:00:00Z", "lines": ["+ redis"], "worked": True, "host": "vm2", "side": "client"}
    found["vm1"]["server"]["info"]["history"] = [entry]
    assert [(entry["host"], entry["side"]) for entry in status(found)["history"]] == [("vm1", "server")]


@pytest.mark.parametrize("garbage", [None, 7, "x", [], ["x"], {"redis": 7}, {"redis": {"listen": "open"}}], ids=range(7))
def test_host_with_an_answer_that_cannot_be_read_is_told_and_all_others_are_judged(garbage):
    answers = find({"redis": REDIS})
    good = judge.status(answers, "default", NOW)
    for place in ("links", "certificate", "history"):
        forged = copy.deepcopy(answers)
        forged["vm1"]["server"]["info"][place] = garbage
        read = {host: judge.judged(answer, "default", NOW) for host, answer in forged.items()}
        found = judge.status(read, "default", NOW)
        assert [target for target in found["targets"] if target["host"] == "vm2"] == [
            target for target in good["targets"] if target["host"] == "vm2"
        ]
    assert judge.judged(answers["vm1"], "default", NOW) == answers["vm1"]
