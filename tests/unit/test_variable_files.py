"""The files of link variables: all users can read them, each is complete, and the directory has no other files."""

import os

import pytest
from conftest import run_module

FILES = {"redis.env": "REDIS_PORT=tcp://redis:6379\n", "queue.env": "QUEUE_PORT=tcp://queue:5672\n"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "links"


def write_files(path, files=None, check=False):
    return run_module("variable_files", check=check, path=str(path), files=FILES if files is None else files)


def test_files_are_written_once_and_other_files_are_removed(path):
    assert write_files(path)["changed"]
    assert {entry.name: entry.read_text() for entry in path.iterdir()} == FILES
    assert [oct(entry.stat().st_mode & 0o777) for entry in (path, path / "redis.env")] == ["0o755", "0o644"]
    assert not write_files(path)["changed"]
    result = write_files(path, {"redis.env": FILES["redis.env"]})
    assert (result["changed"], result["written"], result["removed"]) == (True, [], ["queue.env"])
    assert [entry.name for entry in path.iterdir()] == ["redis.env"]


def test_check_mode_writes_nothing_and_shows_the_difference(path):
    result = write_files(path, check=True)
    assert (result["changed"], result["diff"][0]["before"], result["diff"][0]["after"]) == (True, "", FILES["queue.env"])
    assert not path.exists()


@pytest.mark.parametrize(
    "harm", ["a link in its place", "a link to a directory in its place", "a directory in its place", "closed", "open", "changed"]
)
def test_damaged_file_is_repaired(path, tmp_path, harm):
    write_files(path)
    file, elsewhere = path / "redis.env", tmp_path / "elsewhere"
    elsewhere.write_text(FILES["redis.env"])
    if harm.endswith("in its place"):
        file.unlink()
        file.symlink_to(tmp_path if "to a directory" in harm else elsewhere) if "link" in harm else file.mkdir()
    elif harm in ("closed", "open"):
        file.chmod({"closed": 0o600, "open": 0o666}[harm])
    else:
        file.write_text("by hand")
    result = write_files(path)
    assert (result["changed"], result["written"]) == (True, ["redis.env"])
    assert (file.read_text(), file.is_symlink(), file.stat().st_mode & 0o777) == (FILES["redis.env"], False, 0o644)
    assert elsewhere.read_text() == FILES["redis.env"]
    assert not write_files(path)["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")
def test_parent_directory_is_repaired_if_required(path):
    write_files(path)
    for owner, mode in ((99, 0o700), (0, 0o777)):
        os.chown(path.parent, owner, owner)
        path.parent.chmod(mode)
        assert not write_files(path)["changed"]
        assert path.parent.stat().st_mode & 0o777 == mode
        assert run_module("variable_files", path=str(path), files=FILES, repair_parent=True)["changed"]
        assert (path.parent.stat().st_uid, path.parent.stat().st_mode & 0o777) == (0, 0o755)


def test_path_that_cannot_be_written_fails_with_a_message(tmp_path):
    (tmp_path / "state").write_text("")
    result = write_files(tmp_path / "state" / "links")
    assert result["msg"] == f"Cannot write {tmp_path}/state: it is a symbolic link or a file, and not a directory. Remove it."
