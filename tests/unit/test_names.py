"""The names of containers and files of a mesh: they are unique, and names of the mesh `default` do not have the mesh."""

import itertools

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.in_mesh import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import find_mesh_problem


@pytest.mark.parametrize("mesh", ["default", "a", "blue", "team-7", "server", "client", "standin", "a" * 30])
def test_accepts_the_name_of_a_mesh(mesh):
    assert find_mesh_problem(mesh) is None


@pytest.mark.parametrize("mesh", ["", "Blue", "7", "-a", "a_b", "a b", "a" * 31, "a/b", "../a", "a\n", None, 7, True])
def test_refuses_an_invalid_name_of_a_mesh(mesh):
    assert find_mesh_problem(mesh) == (
        f"Variable ambassador_mesh: {mesh!r} is not a valid name of a mesh."
        " Use a letter, then letters, digits, and hyphens, in lower case, at most 30 characters."
    )


def test_refuses_all_as_a_mesh_because_status_shows_all_meshes_with_it():
    assert find_mesh_problem("all") == (
        "Variable ambassador_mesh: all is reserved, because the playbook status shows all meshes with it. Use another name."
    )


def test_names_of_the_default_mesh_do_not_have_the_mesh():
    in_default = [mesh_names.in_mesh(name, "default") for name in ("ambassador", "/var/lib/ambassador", "ambassador_server")]
    assert in_default == ["ambassador", "/var/lib/ambassador", "ambassador_server"]
    assert names.name_side_container("client", number=2) == "ambassador_client_2"
    assert (names.name_temporary_container(), names.name_temporary_container(number=3)) == (
        "ambassador_client_standin",
        "ambassador_client_standin_3",
    )


def test_names_of_another_mesh_have_the_mesh_after_the_first_word():
    in_mesh = FilterModule().filters()["in_mesh"]
    in_blue = [in_mesh(name, "blue") for name in ("ambassador", "/var/lib/ambassador", "redis_server")]
    assert in_blue == ["ambassador-blue", "/var/lib/ambassador-blue", "redis_blue_server"]
    assert names.name_side_container("client", "blue", 2) == "ambassador_blue_client_2"
    assert names.name_temporary_container("blue", 3) == "ambassador_blue_client_standin_3"
    assert (names.name_metrics_container(), names.name_metrics_container("blue")) == ("ambassador_metrics", "ambassador_blue_metrics")


def test_names_are_unique_and_parsed():
    meshes, numbers, sides = ("default", "server", "client", "standin", "metrics", "a-2"), (1, 2, 11), ("server", "client")
    side_containers = {names.name_side_container(*each): each for each in itertools.product(sides, meshes, numbers)}
    temporary = {names.name_temporary_container(*each): each for each in itertools.product(meshes, numbers)}
    checks = {f"{name}_{kind}_7" for name in side_containers for kind in ("check", "version")}
    metrics = {names.name_metrics_container(mesh) for mesh in meshes}
    assert len({*side_containers, *temporary, *checks, *metrics}) == 6 * 3 * 2 + 6 * 3 + 6 * 3 * 2 * 2 + 6
    for name, (side, mesh, number) in side_containers.items():
        match = names.AMBASSADOR.fullmatch(name)
        assert (match[1] or "default", match[2], int(match[3] or 1)) == (mesh, side, number)
        assert [each for each in meshes if names.parse_temporary_number(name, each)] == []
    for name, (mesh, number) in temporary.items():
        numbers_by_mesh = {each: names.parse_temporary_number(name, each) for each in meshes}
        assert numbers_by_mesh == {**dict.fromkeys(meshes), mesh: number}
    for name in [
        *temporary,
        *checks,
        *metrics,
        "ambassador",
        "ambassador_proxy",
        "redis_server",
        "ambassador_server_1",
        "ambassador_A_server",
    ]:
        assert names.AMBASSADOR.fullmatch(name) is None, name


def test_names_are_short_enough_for_a_host_name():
    assert max(len(names.name_temporary_container("a" * 30, 99)), len(names.name_side_container("server", "a" * 30, 999))) <= 63
