"""What all meshes have on a host, as the module tells it and the filter shows it."""

import copy
import json

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.meshes import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from conftest import ROOT, RecordedEngine, run_module

DOCKER = json.loads((ROOT / "tests/unit/answers/docker.json").read_text())
LIST = "/containers/json?all=1"


def show(answers):
    return [" ".join(line.split()) for line in FilterModule().filters()["meshes"](answers)]


@pytest.fixture
def found(docker, tmp_path):
    """A host with the sides of two meshes, and containers of others."""
    path = tmp_path / "ambassador" / "client"
    RecordedEngine(path, "client")
    listed = copy.deepcopy([one for one in DOCKER[LIST] if one["Names"] in (["/ambassador_client"], ["/ambassador_server"], ["/web"])])
    for one in listed:
        asked = f"/containers/{one['Id']}/json"
        if asked in DOCKER:
            docker.answers[asked] = {**DOCKER[asked], "Mounts": []}
        if one["Names"] == ["/ambassador_client"]:
            docker.answers[asked]["Mounts"] = [{"Source": str(path), "Destination": "/etc/ambassador"}]
        if one["Names"] == ["/ambassador_server"]:
            one["Names"], one["State"] = ["/ambassador_blue_server"], "exited"
            one["Labels"][mesh_names.MESH_LABEL] = "blue"
    docker.answers[LIST] = listed
    return run_module("meshes_info", environment=docker.environment)


def test_module_returns_containers_and_links_of_all_meshes(found):
    blue, own = found["containers"]
    assert (blue["name"], blue["mesh"], blue["side"], blue["state"]) == ("ambassador_blue_server", "blue", "server", "exited")
    assert (blue["links"], blue["error"]) == ({}, None)
    assert (own["name"], own["mesh"], own["side"], own["error"]) == ("ambassador_client", "default", "client", None)
    assert list(own["links"]) == ["redis"]
    assert {"name", "address", "up"} <= set(own["links"]["redis"]["targets"][0])
    assert found["changed"] is False


def test_table_has_a_line_for_each_target(found):
    head, blue, *own = show({"vm2": found, "vm3": {"msg": "no route to host"}, "vm4": {}})
    assert head == "host mesh side container state link target up connections"
    assert blue == "vm2 blue server ambassador_blue_server exited - - - -"
    assert own[0] == "vm2 default client ambassador_client running redis vm3 UP 3"
    assert own[-2:] == ["vm3 - - - no route to host - - - -", "vm4 - - - no answer - - - -"]


def test_table_shows_only_the_backend_of_a_server_side():
    targets = [{"name": "redis_server", "address": "a", "up": True}, {"name": "vm3", "address": "b", "up": False}]
    one = {"name": "ambassador_server", "mesh": "default", "side": "server", "state": "running", "error": None}
    lines = show({"vm1": {"containers": [{**one, "links": {"redis": {"connections": 2, "targets": targets}}}]}})
    assert lines[1:] == ["vm1 default server ambassador_server running redis redis_server UP 2"]


def test_docker_engine_that_does_not_answer_is_an_error():
    result = run_module("meshes_info", environment={"DOCKER_HOST": "unix:///nowhere"})
    assert result["failed"]
    assert result["msg"].startswith("The Docker Engine does not answer. unix:///nowhere: ")


def test_answer_of_a_host_changes_neither_the_terminal_nor_the_rows_of_others():
    one = {"name": "ambassador_client", "mesh": "default", "side": "client", "state": "up\n\x1b[2J\x9b1mvm9", "error": None, "links": {}}
    lines = show({"vm1": {"containers": [one]}, "vm2": {"containers": [{"name": 1}]}, "vm3": {"containers": 7}})
    assert lines[1:] == [
        "vm1 default client ambassador_client up??[2J?1mvm9 - - - -",
        "vm2 - - - an answer that cannot be read - - - -",
        "vm3 - - - an answer that cannot be read - - - -",
    ]
