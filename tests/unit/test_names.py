"""The names of what a mesh makes on a host: no two of them are one, and those of the mesh `default` are without it."""

import itertools

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.in_mesh import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names


@pytest.mark.parametrize("mesh", ["default", "a", "blue", "team-7", "server", "client", "standin", "a" * 30])
def test_a_mesh_has_such_a_name(mesh):
    assert names.problem(mesh) is None


@pytest.mark.parametrize("mesh", ["", "Blue", "7", "-a", "a_b", "a b", "a" * 31, "a/b", "../a", "a\n", None, 7, True])
def test_a_name_that_no_mesh_can_have_is_told(mesh):
    expected = "ambassador_mesh: expected a name of a letter, then letters, digits and hyphens, in lower case, at most 30, found"
    assert names.problem(mesh) == f"{expected} {mesh!r}; correct it."


def test_all_is_the_word_of_status_for_all_meshes():
    assert "and not all, with which the playbook status shows all" in names.problem("all")


def test_the_names_of_the_default_mesh_are_without_it():
    told = [names.in_mesh(name, "default") for name in ("ambassador", "/var/lib/ambassador", "ambassador_server")]
    assert told == ["ambassador", "/var/lib/ambassador", "ambassador_server"]
    assert names.name_side_container("client", number=2) == "ambassador_client_2"
    assert (names.standin(), names.standin(number=3)) == ("ambassador_client_standin", "ambassador_client_standin_3")


def test_another_mesh_stands_behind_the_first_word():
    in_mesh = FilterModule().filters()["in_mesh"]
    told = [in_mesh(name, "blue") for name in ("ambassador", "/var/lib/ambassador", "redis_server")]
    assert told == ["ambassador-blue", "/var/lib/ambassador-blue", "redis_blue_server"]
    assert names.name_side_container("client", "blue", 2) == "ambassador_blue_client_2"
    assert names.standin("blue", 3) == "ambassador_blue_client_standin_3"
    assert (names.metrics(), names.metrics("blue")) == ("ambassador_metrics", "ambassador_blue_metrics")


def test_what_is_named_is_told_apart():
    meshes, numbers, sides = ("default", "server", "client", "standin", "metrics", "a-2"), (1, 2, 11), ("server", "client")
    made = {names.name_side_container(*each): each for each in itertools.product(sides, meshes, numbers)}
    standins = {names.standin(*each): each for each in itertools.product(meshes, numbers)}
    checks = {f"{name}_{kind}_7" for name in made for kind in ("check", "version")}
    metrics = {names.metrics(mesh) for mesh in meshes}
    assert len({*made, *standins, *checks, *metrics}) == 6 * 3 * 2 + 6 * 3 + 6 * 3 * 2 * 2 + 6
    for name, (side, mesh, number) in made.items():
        found = names.AMBASSADOR.fullmatch(name)
        assert (found[1] or "default", found[2], int(found[3] or 1)) == (mesh, side, number)
        assert [one for one in meshes if names.standin_number(name, one)] == []
    for name, (mesh, number) in standins.items():
        assert [(one, names.standin_number(name, one)) for one in meshes if names.standin_number(name, one)] == [(mesh, number)]
    for name in [
        *standins,
        *checks,
        *metrics,
        "ambassador",
        "ambassador_proxy",
        "redis_server",
        "ambassador_server_1",
        "ambassador_A_server",
    ]:
        assert names.AMBASSADOR.fullmatch(name) is None, name


def test_a_name_is_short_enough_for_a_host():
    assert max(len(names.standin("a" * 30, 99)), len(names.name_side_container("server", "a" * 30, 999))) <= 63
