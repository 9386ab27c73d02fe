"""Owners and modes of what the modules write, under any umask, and how a wrong one is observed."""

import os
import stat

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as observation
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import make_directory, set_permissions, write_file
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._controller import make_private_directories
from conftest import named, run_module

OWNER = os.getuid()


def modes(path):
    """Return relative path -> mode of all directories and files below a directory."""
    return {str(one.relative_to(path)): f"{stat.S_IMODE(one.stat().st_mode):o}" for one in path.rglob("*") if not one.is_symlink()}


def test_modules_set_modes_under_any_umask(tmp_path, umask):
    state = tmp_path / "srv" / "ambassador"
    generation = named({"haproxy.cfg": "one", "links.cfg": "@generation@"})
    for name, arguments in {
        "generation": {"path": str(state / "client"), "state": "staged", "owner": OWNER, **generation},
        "record": {"path": str(state / "client"), "lines": ["+ redis"], "worked": True},
        "private_directory": {"path": str(state / "redis_client"), "owner": OWNER, "files": {"app": "secret"}},
        "variable_files": {"path": str(state / "links"), "files": {"redis.env": "REDIS_PORT=tcp://redis:6379\n"}},
    }.items():
        said = run_module(name, **arguments)
        assert said.get("changed"), said
    assert modes(tmp_path) == {
        "srv": "755",
        "srv/ambassador": "755",
        "srv/ambassador/client": f"{permissions.side_mode(OWNER):o}",
        "srv/ambassador/client/history.json": "644",
        "srv/ambassador/client/generations": "755",
        f"srv/ambassador/client/generations/{generation['generation']}": "755",
        f"srv/ambassador/client/generations/{generation['generation']}/haproxy.cfg": "644",
        f"srv/ambassador/client/generations/{generation['generation']}/links.cfg": "644",
        "srv/ambassador/client/run": "700",
        "srv/ambassador/redis_client": "700",
        "srv/ambassador/redis_client/app": "600",
        "srv/ambassador/links": "755",
        "srv/ambassador/links/redis.env": "644",
    }
    found = observation.state(str(state), "a key")
    assert found["wrong_permissions"] == []
    assert found["variables"] is not None


@pytest.mark.parametrize("name", ["private_directory", "variable_files"])
def test_modules_make_the_state_directory_under_any_umask(tmp_path, umask, name):
    owner = {"owner": OWNER} if name == "private_directory" else {}
    run_module(name, path=str(tmp_path / "srv/ambassador/a"), files={}, **owner)
    own = {"private_directory": "700", "variable_files": "755"}[name]
    assert modes(tmp_path) == {"srv": "755", "srv/ambassador": "755", "srv/ambassador/a": own}


def test_passwords_of_the_controller_are_private_under_any_umask(tmp_path, umask):
    make_private_directories(str(tmp_path / "a/b"))
    assert modes(tmp_path) == {"a": "700", "a/b": "700"}


@pytest.fixture
def state(tmp_path):
    """A state directory in which all owners and modes are right."""
    path = tmp_path / "ambassador"
    own = os.geteuid()
    for name, owner, mode in (
        ("client/generations/aaaaaaaaaaaa", own, permissions.DIRECTORY),
        ("client/run", own, permissions.PRIVATE_DIRECTORY),
        ("server/generations", own, permissions.DIRECTORY),
        ("server/run", own, permissions.PRIVATE_DIRECTORY),
        ("client", own, permissions.side_mode(OWNER)),
        ("server", own, permissions.side_mode(OWNER)),
    ):
        make_directory(str(path / name), owner, mode)
    make_directory(str(path / "identity"), own, permissions.side_mode(HAPROXY_UID), HAPROXY_UID)
    for name, owner, mode in (
        ("client/generations/aaaaaaaaaaaa/haproxy.cfg", own, permissions.FILE),
        ("client/history.json", own, permissions.FILE),
        ("identity/key.pem", HAPROXY_UID, permissions.PRIVATE_FILE),
        ("identity/cert.pem", own, permissions.FILE),
    ):
        write_file(str(path / name), b"", owner, mode)
    (path / "client/current").symlink_to("generations/aaaaaaaaaaaa")
    return path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_wrong_owners_and_modes_are_found(state):
    assert permissions.find_wrong(str(state)) == []
    everything = [path for path in [state, *state.rglob("*")] if not path.is_symlink() and path.name != "run"]
    for path in everything:
        owner, mode = path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)
        for other_owner, other_mode in ((owner, mode ^ 0o040), (owner, mode ^ 0o022), (98, mode)):
            os.chown(path, other_owner, -1)
            path.chmod(other_mode)
            group = {"server": OWNER, "client": OWNER, "identity": HAPROXY_UID}.get(path.name)
            assert permissions.find_wrong(str(state)) == [(str(path.relative_to(state)), owner, mode, group)]
            os.chown(path, owner, -1)
            path.chmod(mode)
    # only the group of the container gets to its own directory
    for name, owner in (("server", OWNER), ("client", OWNER), ("identity", HAPROXY_UID)):
        os.chown(state / name, -1, 98)
        assert permissions.find_wrong(str(state)) == [(name, os.geteuid(), permissions.side_mode(owner), owner)]
        os.chown(state / name, -1, owner)
    assert permissions.find_wrong(str(state)) == []


def test_hard_link_to_another_file_is_refused(tmp_path):
    """The user of a container can replace a directory in its own directory with such a link."""
    (tmp_path / "other").touch(0o640)
    (tmp_path / "metrics").hardlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="Too many links"):
        set_permissions(str(tmp_path / "metrics"), os.geteuid(), 0o700)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("owner", "mode"), [(HAPROXY_UID, 0o750), (0, 0o700)])
def test_directory_of_a_side_is_for_the_group_of_its_container_unless_that_runs_as_root(tmp_path, owner, mode):
    path = tmp_path / "client"
    run_module("generation", path=str(path), state="staged", owner=owner, generation="a" * 12, files={"haproxy.cfg": ""})
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid, path.stat().st_gid) == (mode, 0, owner)
    path.chmod(mode ^ 0o050)
    assert permissions.find_wrong(str(tmp_path)) == [("client", 0, mode, owner)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_generation_repairs_the_key_and_the_certificate(state):
    for name in ("identity", "identity/key.pem", "identity/cert.pem"):
        os.chown(state / name, 98, 98)
        (state / name).chmod(0o640)
    said = run_module("generation", path=str(state / "client"), state="staged", owner=OWNER, generation="a" * 12, files={"haproxy.cfg": ""})
    assert (said["changed"], said["written"]) == (True, False)
    assert permissions.find_wrong(str(state)) == []


def test_symbolic_links_are_not_followed(state, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (state / "client/run/metrics").symlink_to(elsewhere)
    with pytest.raises(OSError, match="metrics"):
        make_directory(str(state / "client/run/metrics"), os.geteuid(), 0o755)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
