"""The map as the hosts of a run have it: missing, different, merged from pieces."""

import json
import os
import subprocess

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _maps as maps
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from conftest import ROOT

OBSERVED = {"sides": {"client": {"links": {"pg": {}, "redis": {}}}}, "containers": {"ambassador_client": {"ours": "ambassador_client"}}}
NOTHING = {"sides": {}, "containers": {"theirs": {"ours": None}}}
LINK = {"port": 6379, "servers": "vm1", "clients": "vm2"}


def list_hosts(settings):
    return [settings["servers"], settings["clients"]] if settings else []


def test_undefined_map_of_a_host_with_links_is_a_problem_with_the_similar_variable():
    problem = maps.find_undefined_map("vm1", OBSERVED, ["ambassador_link", "inventory_hostname"])
    assert problem == MapMessage.MAP_MISSPELLED.at(Place(host="vm1"), deployed="links pg, redis", similar="ambassador_link")
    problem = maps.find_undefined_map("vm1", OBSERVED, ["inventory_hostname"])
    assert problem == MapMessage.MAP_UNDEFINED.at(Place(host="vm1"), deployed="links pg, redis")


def test_undefined_map_of_a_host_without_links_is_no_problem():
    assert maps.find_undefined_map("vm1", NOTHING, ["ambassador_link"]) is None


def test_misspelled_variables_have_the_variable_that_they_look_like():
    known = ["ambassador_engine", "ambassador_links", "redis_server_image"]
    names = ["ambassador_enigne", "ambasador_links", "ambassador_link", "ambassador_engine"]
    assert maps.find_misspelled_variables(names, known) == [
        MapMessage.VARIABLE_MISSPELLED.at(Place(variable="ambasador_links"), suggestion="ambassador_links"),
        MapMessage.VARIABLE_MISSPELLED.at(Place(variable="ambassador_enigne"), suggestion="ambassador_engine"),
        MapMessage.VARIABLE_MISSPELLED.at(Place(variable="ambassador_link"), suggestion="ambassador_links"),
    ]
    # variables of other software, and longer names
    names = ["ambassador_links__web", "ambassador_engine_own", "redis_server_image_tag", "ambience", "inventory_dir"]
    assert maps.find_misspelled_variables(names, known) == []


def test_undefined_map_of_a_host_with_a_container_is_a_problem():
    observed = {"sides": {}, "containers": {"ambassador_server": {"ours": "ambassador_server"}}}
    problem = maps.find_undefined_map("vm1", observed, [])
    assert problem == MapMessage.MAP_UNDEFINED.at(Place(host="vm1"), deployed="ambassador_server of an earlier run")


@pytest.mark.parametrize(
    ("other_links", "problem"),
    [
        (
            {"redis": {**LINK, "port": 6380}},
            MapMessage.LINK_DIFFERS.at(Place(link="redis", key="port"), host="vm2", other="vm1", value="6379", other_value="6380"),
        ),
        (
            {"redis": {**LINK, "check": "redis"}},
            MapMessage.LINK_DIFFERS.at(Place(link="redis", key="check"), host="vm2", other="vm1", value="not set", other_value='"redis"'),
        ),
        ({}, MapMessage.LINK_MISSING_ON_HOST.at(Place(link="redis"), host="vm2", other="vm1")),
        ({"redis": LINK, "pg": LINK}, MapMessage.LINK_MISSING_ON_HOST.at(Place(link="pg"), host="vm1", other="vm2")),
        (None, MapMessage.MAP_MISSING_ON_HOST.at(Place(variable="ambassador_links"), host="vm2", other="vm1")),
    ],
)
def test_difference_of_maps_has_the_link_the_key_both_hosts_and_both_values(other_links, problem):
    (difference,) = maps.compare_maps("vm2", {"redis": LINK}, "vm1", other_links, list_hosts)
    assert difference == problem


def test_maps_may_differ_in_links_of_other_hosts():
    others = {**LINK, "servers": "vm7", "clients": "vm8"}
    assert maps.compare_maps("vm2", {"redis": LINK}, "vm1", {"redis": LINK, "theirs": others}, list_hosts) == []


def test_alias_in_two_pieces_is_a_problem_with_both_variables():
    pieces = {"ambassador_links__web": {"redis": {}}, "ambassador_links__data": {"redis": {}, "pg": {}}}
    variables = "ambassador_links__data and ambassador_links__web"
    assert maps.explain_unresolved_map("vm1", "error", pieces) == [
        MapMessage.LINK_DEFINED_TWICE.at(Place(link="redis"), variables=variables)
    ]


def test_unresolved_map_has_the_error_of_ansible():
    place = Place(host="vm1", variable="ambassador_links")
    for error in ("'x' is undefined", "'x' is undefined."):
        assert maps.explain_unresolved_map("vm1", error, {}) == [MapMessage.MAP_UNRESOLVED.at(place, error="'x' is undefined")]


def test_pieces_of_groups_are_one_map_for_every_host(tmp_path):
    example = (ROOT / "docs" / "pieces.md").read_text()
    lookup = next(line for line in example.splitlines() if line.startswith("ambassador_links:"))
    for name, text in {
        "hosts.yml": json.dumps({"web": {"hosts": {"a": {}}}, "data": {"hosts": {"b": {}}}}),
        "group_vars/all/links.yml": lookup,
        "group_vars/web/links.yml": json.dumps({"ambassador_links__web": {"redis": LINK}}),
        "group_vars/data/links.yml": json.dumps({"ambassador_links__data": {"pg": LINK}}),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    run = subprocess.run(
        [
            "ansible",
            "all",
            "-i",
            str(tmp_path / "hosts.yml"),
            "-m",
            "debug",
            "-a",
            "msg={{ ambassador_links | dictsort | map('first') | join(' ') }}",
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("pg redis") == 2, run.stdout


LINKS = [{"alias": "a", "name": "a", "check": "tcp"}, {"alias": "b", "name": "b", "check": "redis"}]
SEVERAL = [{"alias": f"redis:{port}", "name": "redis", "check": "redis"} for port in (6379, 6380)]


@pytest.mark.parametrize(
    ("links", "wanted", "alias"),
    [
        (LINKS, "", "b"),
        (LINKS[:1], "", "a"),
        ([{"alias": "redis", "name": "redis", "check": "none"}, LINKS[0]], "", "redis"),
        ([*LINKS, {"alias": "redis", "name": "redis", "check": "redis"}], "a", "a"),
        (SEVERAL, "redis:6380", "redis:6380"),
        (SEVERAL, "redis", "redis:6379"),
    ],
    ids=["one with check redis", "only one", "named redis", "named by the user", "a port of several", "the first of several"],
)
def test_chooses_the_link_of_a_redis_client(links, wanted, alias):
    assert redis.choose_link(links, wanted, "vm2")["alias"] == alias


@pytest.mark.parametrize(
    ("links", "wanted", "message", "values"),
    [
        (LINKS, "c", RedisMessage.LINK_NOT_CONSUMED, {"link": "c", "consumed": "a, b"}),
        ([], "c", RedisMessage.LINK_NOT_CONSUMED, {"link": "c", "consumed": "none"}),
        ([LINKS[1], {"alias": "c", "name": "c", "check": "redis"}], "", RedisMessage.LINK_AMBIGUOUS, {"links": "b, c"}),
        ([], "", RedisMessage.LINK_MISSING, {}),
    ],
)
def test_problem_of_a_redis_client_names_the_links(links, wanted, message, values):
    assert redis.choose_link(links, wanted, "vm2") == message.at(Place(host="vm2"), **values)
    assert redis.choose_link(links, wanted, "vm2", is_map_defined=False) == RedisMessage.MAP_UNDEFINED.at(Place(host="vm2"))


def test_two_controllers_are_a_problem_with_both_hosts_and_directories():
    (problem,) = maps.refuse_two_controllers("vm2", "/b/.ambassador", "vm1", "/a/.ambassador")
    assert (problem.message, problem.place) == (
        MapMessage.CONTROLLER_DIRECTORIES_DIFFER,
        Place(variable="ambassador_controller_dir"),
    )
    assert dict(problem.values) == {
        "host": "vm2",
        "directory": "/b/.ambassador",
        "other": "vm1",
        "other_directory": "/a/.ambassador",
    }


def test_two_meshes_are_a_problem_with_both_hosts():
    (problem,) = maps.refuse_two_meshes("vm2", "blue", "vm1", "default")
    assert (problem.message, problem.place) == (MapMessage.MESHES_DIFFER, Place(variable="ambassador_mesh"))
    assert dict(problem.values) == {"host": "vm2", "mesh": "blue", "other": "vm1", "other_mesh": "default"}
