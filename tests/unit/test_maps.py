"""The map as the hosts of a run see it: missing, different, merged from pieces."""

import json
import os
import subprocess

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _maps as maps
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from conftest import ROOT

OBSERVED = {"sides": {"client": {"links": {"pg": {}, "redis": {}}}}, "containers": {"ambassador_client": {"ours": "ambassador_client"}}}
NOTHING = {"sides": {}, "containers": {"theirs": {"ours": None}}}
LINK = {"port": 6379, "servers": "vm1", "clients": "vm2"}


def named(settings):
    return [settings["servers"], settings["clients"]] if settings else []


def test_an_undefined_map_on_a_host_with_links_is_a_sentence_that_names_what_looks_like_it():
    said = maps.undefined("vm1", OBSERVED, ["ambassador_link", "inventory_hostname"])
    for part in ("host vm1", "(did you mean ambassador_link?)", "links pg, redis", "{} to remove all"):
        assert part in said


def test_an_undefined_map_on_a_host_without_links_is_nothing():
    assert maps.undefined("vm1", NOTHING, ["ambassador_link"]) is None


def test_a_variable_that_nobody_reads_is_told_where_it_looks_like_one_that_is_read():
    known = ["ambassador_engine", "ambassador_links", "redis_server_image"]
    told = maps.misspelt(["ambassador_enigne", "ambasador_links", "ambassador_link", "ambassador_engine"], known)
    assert [sentence.partition(":")[0] for sentence in told] == ["ambasador_links", "ambassador_enigne", "ambassador_link"]
    assert told[1].endswith("found that none has this name; did you mean ambassador_engine?")
    # names of others, and what goes on from one of ours
    assert (
        maps.misspelt(["ambassador_links__web", "ambassador_engine_own", "redis_server_image_tag", "ambience", "inventory_dir"], known)
        == []
    )


def test_a_side_that_does_not_answer_is_no_empty_one():
    assert "ambassador_server of an earlier run" in maps.undefined(
        "vm1", {"sides": {}, "containers": {"ambassador_server": {"ours": "ambassador_server"}}}, []
    )


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (
            {"redis": {**LINK, "port": 6380}},
            "link redis: expected the same map on all hosts that its links name, found port 6379 on vm2 and 6380 on vm1;",
        ),
        ({"redis": {**LINK, "check": "redis"}}, 'found check none on vm2 and "redis" on vm1;'),
        ({}, "found the link on vm2 and none on vm1;"),
        (
            {"redis": LINK, "pg": LINK},
            "link pg: expected the same map on all hosts that its links name, found the link on vm1 and none on vm2;",
        ),
        (None, "found one on vm2 and none on vm1;"),
    ],
)
def test_a_difference_names_the_link_the_key_both_hosts_and_both_values(theirs, found):
    (sentence,) = maps.differences("vm2", {"redis": LINK}, "vm1", theirs, named)
    assert found in sentence


def test_links_of_other_hosts_may_differ():
    others = {**LINK, "servers": "vm7", "clients": "vm8"}
    assert maps.differences("vm2", {"redis": LINK}, "vm1", {"redis": LINK, "theirs": others}, named) == []


def test_an_alias_in_two_pieces_names_both():
    pieces = {"ambassador_links__web": {"redis": {}}, "ambassador_links__data": {"redis": {}, "pg": {}}}
    assert maps.unresolved("vm1", "words", pieces) == [
        "link redis: expected one piece of the map to define it, found it in ambassador_links__data and ambassador_links__web;"
        " rename one, or remove it."
    ]


def test_a_map_that_cannot_be_resolved_is_told_in_the_words_of_ansible():
    assert "found one that cannot be resolved: 'x' is undefined; correct it." in maps.unresolved("vm1", "'x' is undefined", {})[0]


def test_pieces_of_groups_make_one_map_for_every_host(tmp_path):
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


def test_two_controllers_are_named_with_their_hosts_and_the_variable():
    (sentence,) = maps.two_controllers("vm2", "/b/.ambassador", "vm1", "/a/.ambassador")
    assert "found /a/.ambassador for vm1 and /b/.ambassador for vm2" in sentence
    assert "set ambassador_controller_dir to one of them for all hosts." in sentence
