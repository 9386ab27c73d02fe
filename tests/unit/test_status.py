"""The status of links: the wiring is real, and the answers of the engines are derived from real ones."""

import copy
import datetime
import json

import jsonschema
import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _status as judge
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import UNFIT
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status import combine_health, format_age, get_target_health
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import align_rows
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
    """Return the report, which has the form of the schema for all answers."""
    report = judge.build_report(answers, "default", NOW)
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    return report


def problems_of(answers):
    """Return the problems, after a check of the report."""
    status(answers)
    return judge.StatusJudge(answers).problems


def warnings_of(answers):
    """Return the warnings, after a check of the report."""
    status(answers)
    return judge.StatusJudge(answers).warnings


def messages(problems):
    """Return the messages of problems."""
    return [problem.message for problem in problems]


def values(problem):
    """Return the values of the fields of a problem."""
    return dict(problem.values)


def table(report):
    """Return the lines of the targets, with their heading."""
    return [line for line, _ in judge.format_lines(report)][: len(report["targets"]) + 1]


def info_of(wiring):
    """Return the answer of a healthy HAProxy with this wiring."""
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
    """Return the answers of hosts without problems."""
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
            name, has_links = f"ambassador_{side}", bool(resolved["links"])
            if has_links:
                answers[host]["observed"]["containers"][name] = {"ours": name, "mesh": "default", "state": "running", "networks": {}}
            answers[host][side] = {
                "wiring": resolved,
                "environment": environment if engine == "socat" else [],
                "info": info_of(resolved) if engine == "haproxy" and has_links else {"skipped": True},
            }
    return answers


@pytest.fixture
def answers():
    """Return answers without problems: a primary on vm1, and its replica on vm3."""
    answers = find()
    (primary, replica_from_vm1), (replica, primary_from_vm3) = (targets(answers, host, "server") for host in ("vm1", "vm3"))
    names = [target["name"] for target in (primary, replica_from_vm1, replica, primary_from_vm3)]
    assert names == ["redis_server", "vm3", "redis_server", "vm1"]
    replica.update(REPLICA)
    replica_from_vm1.update(REFUSED)
    targets(answers, "vm2", "client")[1].update(REFUSED)
    link(answers, "vm3", "server")["listen"] = "shut"
    return answers


def link(answers, host, side):
    return answers[host][side]["info"]["links"]["redis"]


def targets(answers, host, side):
    return link(answers, host, side)["targets"]


def test_status_without_problems_names_all_targets(answers):
    report = status(answers)
    assert table(report) == [
        "host  side    link   port       target        address           state  check  connections  since",
        "vm1   server  redis  6379       redis_server  198.19.34.2:6379  UP     L7OK   1            1m30s",
        "vm1   server  redis  6379       vm3           198.18.0.13:6379  DOWN   L4CON  1            1m30s",
        "vm2   client  redis  6379       vm1           198.18.0.11:6379  UP     L7OK   1            1m30s",
        "vm2   client  redis  6379       vm3           198.18.0.13:6379  DOWN   L4CON  1            1m30s",
        "vm3   server  redis  6379 shut  redis_server  198.19.34.2:6379  DOWN   L7RSP  1            1m30s",
        "vm3   server  redis  6379 shut  vm1           198.18.0.11:6379  UP     L7OK   1            1m30s",
    ]
    # a replica is down by design
    assert (report["warnings"], report["problems"]) == ([], [])
    assert report["verdict"] == "Link redis on 3 hosts is up."


def test_status_does_not_change_the_answers(answers):
    before = copy.deepcopy(answers)
    status(answers)
    assert answers == before


def test_target_that_is_down_is_a_warning_if_another_is_up(answers):
    targets(answers, "vm3", "server")[0].update(REFUSED)
    assert problems_of(answers) == []
    warnings = warnings_of(answers)
    assert messages(warnings) == [StatusMessage.TARGET_DOWN_SINCE] * 3
    assert warnings[1].place == Place(host="vm2", link="redis")
    assert (values(warnings[1])["side"], values(warnings[1])["age"]) == ("client", "1m30s")
    targets(answers, "vm2", "client")[1]["last_change"] = None
    assert warnings_of(answers)[1].message is StatusMessage.TARGET_DOWN
    assert values(warnings[1])["target"].startswith("vm3 (198.18.0.13:6379) DOWN: L4CON, Layer4 connection problem, Connection refused")


def test_link_without_a_server_is_a_problem_of_each_side(answers):
    targets(answers, "vm1", "server")[0].update(
        {"state": "MAINT (resolution)", "up": False, "address": None, "check_status": None, "last_check": None}
    )
    for host, side, number in (("vm2", "client", 0), ("vm3", "server", 1)):
        targets(answers, host, side)[number].update(REFUSED)
    problems = problems_of(answers)
    assert messages(problems) == [StatusMessage.LINK_DOWN] * 3
    assert [(problem.place.host, values(problem)["side"]) for problem in problems] == [
        ("vm1", "server"),
        ("vm2", "client"),
        ("vm3", "server"),
    ]
    assert "or attach it to that network. vm3 (198.18.0.13:6379) DOWN: L4CON" in values(problems[0])["targets"]
    assert status(answers)["verdict"] == "3 problems in 1 link on 3 hosts."


def test_two_primaries_are_a_problem_that_names_their_hosts(answers):
    targets(answers, "vm3", "server")[0].update({"state": "UP", "up": True, "check_status": "L7OK"})
    assert problems_of(answers) == [StatusMessage.SEVERAL_PRIMARIES.at(Place(link="redis"), hosts="vm1 and vm3")]


@pytest.mark.parametrize("change", [{"check": "tcp"}, {"balance": "roundrobin"}])
def test_two_servers_are_no_problem_if_the_link_has_no_primary(change):
    report = status(find({"redis": {**REDIS, **change}}))
    assert (report["problems"], report["warnings"]) == ([], [])


def test_backend_is_no_primary_before_its_first_check(answers):
    targets(answers, "vm3", "server")[0].update({"state": "UP", "up": True, "check_status": "INI", "last_check": "Initializing"})
    assert status(answers)["problems"] == []


def test_generation_that_does_not_run_is_a_problem(answers):
    answers["vm2"]["client"]["info"]["generation"] = "eed9e6b61e70"
    expected = {"side": "client", "running": "eed9e6b61e70", "current": "c12964c32605"}
    assert problems_of(answers) == [StatusMessage.GENERATION_DIFFERS.at(Place(host="vm2"), **expected)]


def test_container_that_is_stopped_or_missing_is_a_problem(answers):
    containers, place = answers["vm2"]["observed"]["containers"], Place(host="vm2")
    containers["ambassador_client_2"] = {**containers["ambassador_client"], "ours": "ambassador_client_2", "state": "exited"}
    expected = {"side": "client", "container": "ambassador_client_2", "state": "exited"}
    assert problems_of(answers) == [StatusMessage.CONTAINER_STOPPED.at(place, **expected)]
    containers.clear()
    assert problems_of(answers) == [StatusMessage.CONTAINER_MISSING.at(place, side="client", container="ambassador_client")]


def test_engine_that_does_not_answer_is_a_problem(answers):
    answers["vm2"]["client"]["info"] = {"msg": "HAProxy does not answer on /x: timed out."}
    (problem,) = problems_of(answers)
    assert problem.message is StatusMessage.ENGINE_FAILED
    assert str(problem) == ("Host vm2: the engine of the client side does not report its state. HAProxy does not answer on /x: timed out.")
    answers["vm2"]["client"]["info"] = {"skipped": True}
    assert problems_of(answers) == [StatusMessage.ENGINE_NOT_ASKED.at(Place(host="vm2"), side="client")]


def test_docker_engine_that_does_not_answer_is_one_problem(answers):
    answers["vm1"]["observed"] = {"mesh": "default", "docker": {"error": "Connection refused"}, "containers": {}}
    (problem,) = status(answers)["problems"]
    assert problem.startswith("Host vm1: ")
    assert "Connection refused" in problem


@pytest.mark.parametrize("kind", UNFIT)
def test_docker_engine_that_is_not_supported_is_one_problem(answers, kind):
    answers["vm1"]["observed"] = {"mesh": "default", "docker": {"error": "none", "kind": kind}, "containers": {}}
    assert problems_of(answers) == [judge.find_engine_problem("vm1", answers["vm1"]["observed"]["docker"])]


def test_host_that_cannot_be_reached_is_one_problem():
    nameless = {**HOSTVARS, "vm1": {}}
    answers = find(hostvars=nameless)
    answers["vm1"] = {"unreachable": "ssh: no route.\n"}
    (problem,) = problems_of(answers)
    assert problem == StatusMessage.HOST_UNREACHABLE.at(Place(host="vm1"), reason="ssh: no route")
    assert str(problem) == "Host vm1: Ansible cannot connect: ssh: no route. Make the host reachable."


def test_wrong_map_is_one_problem_without_links():
    report = status(find({"redis": {**REDIS, "port": 0}}))
    assert report["problems"] == ["Link redis, key port: 0 is not a valid port. Use a number from 1 to 65535."]
    assert report["verdict"] == "1 problem on 3 hosts."


def test_link_that_is_not_forwarded_is_a_problem_and_a_removed_link_a_warning(answers):
    links = answers["vm2"]["client"]["info"]["links"]
    links["cache"] = links.pop("redis")
    assert problems_of(answers) == [StatusMessage.LINK_NOT_FORWARDED.at(Place(host="vm2", link="redis"), side="client")]
    assert warnings_of(answers) == [StatusMessage.LINK_NOT_IN_MAP.at(Place(host="vm2", link="cache"), side="client")]


def test_container_of_a_side_without_links_is_a_warning(answers):
    answers["vm1"]["observed"]["containers"]["ambassador_client"] = {"ours": "ambassador_client", "state": "running", "networks": {}}
    assert problems_of(answers) == []
    assert warnings_of(answers)[0] == StatusMessage.CONTAINER_UNUSED.at(Place(host="vm1"), container="ambassador_client")


def test_targets_that_are_not_those_of_the_map_are_a_warning(answers):
    targets(answers, "vm2", "client")[0]["address"] = "198.18.0.99:6379"
    expected = "vm1 (198.18.0.11:6379), vm3 (198.18.0.13:6379)"
    running = "vm1 (198.18.0.99:6379), vm3 (198.18.0.13:6379)"
    place = Place(host="vm2", link="redis")
    assert warnings_of(answers) == [StatusMessage.TARGETS_DIFFER.at(place, side="client", expected=expected, running=running)]
    answers["vm2"]["client"]["info"]["links"]["redis"]["targets"] = targets(find(), "vm2", "client")[:1]
    assert values(warnings_of(answers)[0])["running"] == "vm1 (198.18.0.11:6379)"


def test_name_in_dns_is_not_compared(answers):
    for target in answers["vm2"]["client"]["wiring"]["links"][0]["targets"]:
        target.update(address="db.example.com", dns="A")
    assert status(answers)["warnings"] == []


def test_addresses_of_hosts_outside_of_the_run_are_no_problem():
    answers = {"vm2": find(hostvars={**HOSTVARS, "vm1": {}, "vm3": {}})["vm2"]}
    for target in targets(answers, "vm2", "client"):
        target["address"] = "198.18.0.11:6379"
    report = status(answers)
    assert (report["problems"], report["warnings"]) == ([], [])


def test_held_connections_are_a_warning_and_former_targets_a_line(answers):
    link(answers, "vm2", "client")["held"] = 2
    link(answers, "vm2", "client")["leaving"] = [{"name": "vm1", "address": "198.18.0.99:6379", "connections": 3}]
    report = status(answers)
    place = Place(host="vm2", link="redis")
    assert warnings_of(answers) == [StatusMessage.CONNECTIONS_HELD.at(place, side="client", connections="2 connections")]
    assert any(line.split()[4:8] == ["vm1", "198.18.0.99:6379", "leaving", "-"] for line in table(report))


def test_side_with_socat_shows_only_its_variables():
    plain = {"redis": {key: value for key, value in REDIS.items() if key != "check"} | {"servers": "one"}}
    answers = find(plain, "socat")
    report = status(answers)
    assert (report["problems"], report["warnings"]) == ([], [])
    assert [line.split() for line in table(report)[1:]] == [
        ["vm1", "server", "redis", "6379", "redis_server", "redis_server:6379", "not", "checked", "-", "-", "-"],
        ["vm2", "client", "redis", "6379", "vm1", "198.18.0.11:6379", "not", "checked", "-", "-", "-"],
    ]
    answers["vm2"]["client"]["environment"] = []
    expected = {"side": "client", "variable": "REDIS_PORT_6379_TCP"}
    assert problems_of(answers) == [StatusMessage.VARIABLE_MISSING.at(Place(host="vm2", link="redis"), **expected)]


def test_side_with_nftables_shows_targets_and_counts():
    plain = {"redis": {key: value for key, value in REDIS.items() if key != "check"} | {"servers": "servers", "balance": "roundrobin"}}
    answers = find(plain, "nftables")
    for host, side in (("vm1", "server"), ("vm3", "server"), ("vm2", "client")):
        info = info_of(answers[host][side]["wiring"])
        for target in info["links"]["redis"]["targets"]:
            target.update(state="not checked", check_status=None, last_check=None, last_change=None)
        # the peers of a server side are no targets where nothing is checked
        del info["links"]["redis"]["targets"][1 if side == "server" else 2 :]
        answers[host][side]["info"] = info
    report = status(answers)
    assert (report["problems"], report["warnings"]) == ([], [])
    assert [line.split() for line in table(report)[2:4]] == [
        ["vm2", "client", "redis", "6379", "vm1", "198.18.0.11:6379", "not", "checked", "-", "1", "of", "7", "-"],
        ["vm2", "client", "redis", "6379", "vm3", "198.18.0.13:6379", "not", "checked", "-", "1", "of", "7", "-"],
    ]
    targets(answers, "vm2", "client")[0]["address"] = "198.18.0.99:6379"
    assert values(warnings_of(answers)[0])["running"].startswith("vm1 (198.18.0.99:6379), vm3")
    targets(answers, "vm1", "server")[0].update(state="no address", up=False, address=None)
    expected = {"side": "server", "targets": "redis_server no address."}
    assert problems_of(answers) == [StatusMessage.LINK_DOWN.at(Place(host="vm1", link="redis"), **expected)]


def test_empty_map_has_no_lines_and_no_problem():
    report = status(find({}))
    assert (len(table(report)), report["verdict"]) == (1, "The map has no links for 3 hosts.")


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (9, "9s"), (151, "2m31s"), (3661, "1h1m"), (90000, "1d1h")])
def test_age_is_short(seconds, text):
    assert format_age(seconds) == text


def test_container_with_the_name_of_a_link_is_a_problem_on_client_hosts(answers):
    networks = {"ambassador": {"names": ["redis"]}}
    container = {"ours": None, "mesh": None, "state": "running", "image": "theirs:1", "networks": networks}
    for host in ("vm1", "vm2"):
        answers[host]["observed"]["containers"]["theirs"] = container
    # on a host whose containers dial the link, and nowhere else
    (problem,) = status(answers)["problems"]
    assert "theirs" in problem
    assert "vm2" in problem
    assert "vm1" not in problem


@pytest.mark.parametrize(
    ("days", "warning", "problem"),
    [
        (90, None, None),
        (31, None, None),
        (29, StatusMessage.CERTIFICATE_EXPIRES, None),
        (0, None, StatusMessage.CERTIFICATE_EXPIRED),
        (-1, None, StatusMessage.CERTIFICATE_EXPIRED),
    ],
)
def test_certificate_that_was_not_renewed_is_a_warning_and_an_expired_one_a_problem(answers, days, warning, problem):
    answers["vm2"]["client"]["info"]["certificate"] = {
        "not_before": "2026-11-24T00:00:00Z",
        "not_after": "2027-02-22T00:00:00Z",
        "seconds_left": days * 86400,
    }
    place, expected = Place(host="vm2"), {"side": "client", "not_after": "2027-02-22T00:00:00Z"}
    assert warnings_of(answers) == ([warning.at(place, **expected)] if warning else [])
    assert problems_of(answers) == ([problem.at(place, **expected)] if problem else [])


def test_wrong_clock_is_a_warning_and_a_certificate_that_is_not_valid_yet_a_problem(answers):
    answers["vm2"]["observed"]["clock_offset"] = -7200
    certificate = {"not_before": "2026-11-24T00:00:00Z", "not_after": "2027-02-22T00:00:00Z", "seconds_left": 90 * 86400}
    answers["vm2"]["client"]["info"]["certificate"] = certificate
    report = status(answers)
    assert len(report["warnings"]) == 1
    assert "vm2 is 2 hours behind the clock of the controller" in report["warnings"][0]
    assert report["problems"] == []
    assert report["verdict"] == "Link redis on 3 hosts is up, with 1 warning."
    certificate["seconds_left"] += 1
    expected = {"side": "client", "not_before": "2026-11-24T00:00:00Z"}
    assert problems_of(answers) == [StatusMessage.CERTIFICATE_NOT_YET_VALID.at(Place(host="vm2"), **expected)]


def test_addresses_of_a_backend_that_are_down_are_a_warning(answers):
    # for all words of the engine
    targets(answers, "vm1", "server")[0].update(state="UP, in part", replicas_down=1)
    (warning,) = warnings_of(answers)
    assert (warning.message, warning.place) == (StatusMessage.TARGET_ADDRESSES_DOWN, Place(host="vm1", link="redis"))
    assert values(warning)["target"] == "redis_server (198.19.34.2:6379) UP, in part: L7OK, Layer7 check passed, (tcp-check)."
    assert status(answers)["targets"][0]["health"] == "degraded"


@pytest.mark.parametrize(
    ("state", "is_up", "expected"),
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
def test_health_of_a_target_follows_its_state(state, is_up, expected):
    assert get_target_health({"state": state, "up": is_up, "replicas_down": 0}) == expected


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        (["up", "up"], "up"),
        (["up", "standby"], "up"),
        (["standby"], "standby"),
        (["up", "down"], "degraded"),
        (["down", "down"], "down"),
        ([], "unknown"),
    ],
)
def test_health_of_several_is_degraded_if_they_differ(healths, expected):
    assert combine_health(healths) == expected


def test_each_line_has_the_health_of_its_target(answers):
    targets(answers, "vm2", "client")[0].update(REFUSED)
    link(answers, "vm2", "client")["leaving"] = [{"name": "vm1", "address": "198.18.0.99:6379", "connections": 3}]
    lines = judge.format_lines(status(answers))
    # vm3 is a replica, and no problem
    assert [kind for _, kind in lines] == [None, "up", "standby", "down", "standby", "leaving", "standby", "up", "problem", "problem"]
    assert lines[-1][0] == "1 problem in 1 link on 3 hosts."
    assert lines[-2][0].startswith(
        "problem: Link redis, host vm2: the link is down on the client side. vm1 (198.18.0.11:6379) DOWN: L4CON,"
    )


def test_health_of_a_link_is_that_of_its_clients(answers):
    (seen,) = status(answers)["links"]
    assert seen == {"alias": "redis", "health": "up", "servers": ["vm1", "vm3"], "clients": ["vm2"]}
    targets(answers, "vm1", "server")[0].update(REFUSED)
    assert status(answers)["links"][0]["health"] == "up"
    targets(answers, "vm2", "client")[0].update(REFUSED)
    assert status(answers)["links"][0]["health"] == "down"
    # a client whose container is missing reaches no target
    targets(answers, "vm2", "client")[0].update(state="UP", up=True)
    answers["vm4"] = {**copy.deepcopy(answers["vm2"]), "observed": {**answers["vm2"]["observed"], "containers": {}}}
    assert status(answers)["links"][0]["health"] == "degraded"
    # without a client, it is that of its servers
    del answers["vm4"]
    del answers["vm2"]
    assert status(answers)["links"][0]["health"] == "degraded"


def test_report_has_hosts_sides_and_certificates(answers):
    answers["vm2"]["client"]["info"]["certificate"] = {
        "not_before": "2026-11-24T00:00:00Z",
        "not_after": "2027-02-22T00:00:00Z",
        "seconds_left": 85 * 86400 + 86399,
    }
    answers["vm3"] = {"unreachable": "ssh: no route"}
    report = status(answers)
    assert report["time"] == "2026-11-28T12:30:00Z"
    assert report["hosts"] == [
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


def test_report_has_the_history_of_all_sides_with_the_newest_first(answers):
    for host, side, times in (("vm1", "server", (3, 1)), ("vm2", "client", (2,))):
        answers[host][side]["info"]["history"] = [
            {"time": f"2026-11-28T12:0{time}:00Z", "lines": ["+ redis"], "worked": time != 2} for time in times
        ]
    history = status(answers)["history"]
    assert [(entry["host"], entry["side"], entry["time"][15], entry["worked"]) for entry in history] == [
        ("vm1", "server", "3", True),
        ("vm2", "client", "2", False),
        ("vm1", "server", "1", True),
    ]


def test_long_cell_is_cut():
    """A host could fill the memory of the controller: with many links, each line of the table is as long as the longest cell."""
    assert align_rows([("x" * 101, "y\n"), ("x" * 100, "z")]) == ["x" * 97 + "...  y?", "x" * 100 + "  z"]


def test_change_has_the_host_and_the_side_that_report_it(answers):
    entry = {"time": "2026-11-28T12:00:00Z", "lines": ["+ redis"], "worked": True, "host": "vm2", "side": "client"}
    answers["vm1"]["server"]["info"]["history"] = [entry]
    assert [(entry["host"], entry["side"]) for entry in status(answers)["history"]] == [("vm1", "server")]


@pytest.mark.parametrize("garbage", [None, 7, "x", [], ["x"], {"redis": 7}, {"redis": {"listen": "open"}}], ids=range(7))
def test_unreadable_answer_is_a_problem_of_its_host_alone(garbage):
    answers = find({"redis": REDIS})
    good = judge.build_report(answers, "default", NOW)
    for key in ("links", "certificate", "history"):
        forged = copy.deepcopy(answers)
        forged["vm1"]["server"]["info"][key] = garbage
        readable = {host: judge.check_answer(answer, "default", NOW) for host, answer in forged.items()}
        report = status(readable)
        assert [target for target in report["targets"] if target["host"] == "vm2"] == [
            target for target in good["targets"] if target["host"] == "vm2"
        ]
        if "unreadable" in readable["vm1"]:
            assert messages(problems_of(readable))[0] is StatusMessage.ANSWER_UNREADABLE
    assert judge.check_answer(answers["vm1"], "default", NOW) == answers["vm1"]


@pytest.mark.parametrize(
    ("links", "has_warning", "message"),
    [
        ({"redis": REDIS}, False, StatusMessage.LINK_UP),
        ({"redis": REDIS}, True, StatusMessage.LINK_UP_WITH_WARNINGS),
        ({"redis": REDIS, "cache": {**REDIS, "port": 6380}}, False, StatusMessage.LINKS_UP),
        ({"redis": REDIS, "cache": {**REDIS, "port": 6380}}, True, StatusMessage.LINKS_UP_WITH_WARNINGS),
        ({}, False, StatusMessage.NO_LINKS),
        ({}, True, StatusMessage.NO_LINKS_WITH_WARNINGS),
    ],
)
def test_summary_counts_links_hosts_and_warnings(links, has_warning, message):
    links = {alias: {**settings, "check": "tcp"} for alias, settings in links.items()}
    answers = find(links)
    answers["vm1"]["observed"]["clock_offset"] = 7200 if has_warning else 0
    summary = judge.StatusJudge(answers).summarize()
    assert summary.message is message
    assert status(answers)["verdict"] == str(summary)
    assert str(StatusMessage.LINKS_UP.at(links="4 links", hosts="6 hosts")) == "All 4 links on 6 hosts are up."


@pytest.mark.parametrize(("offset", "message"), [(0, StatusMessage.NO_PROBLEM), (7200, StatusMessage.NO_PROBLEM_WITH_WARNINGS)])
def test_summary_does_not_claim_that_links_without_checks_are_up(offset, message):
    plain = {key: value for key, value in REDIS.items() if key != "check"} | {"servers": "one"}
    answers = find({"redis": plain}, "socat")
    answers["vm1"]["observed"]["clock_offset"] = offset
    assert judge.StatusJudge(answers).summarize().message is message
