"""A directory that one container alone may read: who may what in it, and that nothing of it is told."""

import json
import os
import stat

import pytest
from conftest import run_module

OWNER = os.getuid()
FILES = {"app": "a secret\n", "redis.conf": 'masterauth "another secret"\n'}
SECRETS = ("a secret", "another secret", "an old secret")
as_root = pytest.mark.skipif(OWNER != 0, reason="only root gives files away")
pytestmark = pytest.mark.skipif(os.getuid() != os.getgid(), reason="the group has the number of the user")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ambassador" / "redis_client"


def write(path, files=FILES, check=False, owner=OWNER):
    """Run the module; return what it says."""
    said = run_module("private_directory", check=check, path=str(path), owner=owner, files=files)
    assert not said.get("failed"), said
    assert not [secret for secret in SECRETS if secret in json.dumps(said)]
    return said


def found(path):
    """Return owner, group and mode of the directory and of each file in it, and what the files hold."""
    paths = [path, *sorted(path.iterdir())] if path.exists() else []
    ownership = {one.name: (one.lstat().st_uid, one.lstat().st_gid, stat.S_IMODE(one.lstat().st_mode)) for one in paths}
    return ownership, {one.name: one.read_text() for one in paths[1:]}


def as_it_is(path):
    """Return all that a change would show in."""
    return {one: (one.lstat().st_ino, one.lstat().st_mtime_ns, one.lstat().st_mode) for one in sorted(path.parent.rglob("*"))}


def as_wanted(owner=OWNER):
    return {"redis_client": (owner, owner, 0o700), "app": (owner, owner, 0o600), "redis.conf": (owner, owner, 0o600)}


def test_the_directory_and_its_files_are_made_for_one_user(path):
    said = write(path)
    assert (said["changed"], said["written"]) == (True, ["app", "redis.conf"])
    assert found(path) == (as_wanted(), FILES)
    again = write(path)
    assert (again["changed"], again["written"]) == (False, [])


@as_root
def test_they_are_made_for_a_user_that_the_host_does_not_know(path):
    write(path, owner=64999)
    assert found(path) == (as_wanted(64999), FILES)
    assert not write(path, owner=64999)["changed"]
    assert write(path)["changed"]
    assert found(path)[0] == as_wanted()


@as_root
def test_user_can_read_but_not_replace_files_if_only_root_writes(path):
    write(path, owner=64999)
    for changed in (True, False):
        result = run_module("private_directory", path=str(path), owner=64999, files=FILES, owner_writes=False)
        assert result["changed"] is changed
        assert found(path) == ({**as_wanted(64999), "redis_client": (0, 64999, 0o750)}, FILES)


def test_replaces_a_file_of_any_length_without_reading_it(path):
    write(path)
    os.truncate(path / "app", 1 << 40)
    assert write(path)["written"] == ["app"]
    assert found(path)[1] == FILES


def test_repairs_the_parent_directory_if_asked(path):
    write(path)
    path.parent.chmod(0o750)
    assert not write(path)["changed"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    for check in (True, False):
        said = run_module("private_directory", check=check, path=str(path), owner=OWNER, files=FILES, repair_parent=True)
        assert (said["changed"], said["written"]) == (True, [])
        assert stat.S_IMODE(path.parent.stat().st_mode) == (0o750 if check else 0o755)
    assert not run_module("private_directory", path=str(path), owner=OWNER, files=FILES, repair_parent=True)["changed"]


def harm(path, how):
    """Do something to the directory by hand."""
    file = path / "app"
    {
        "another content": lambda: file.write_text("an old secret\n"),
        "an open file": lambda: file.chmod(0o644),
        "a file gone": file.unlink,
        "a link in its place": lambda: (file.rename(path.parent / "elsewhere"), file.symlink_to(path.parent / "elsewhere")),
        "a link to nothing in its place": lambda: (file.unlink(), file.symlink_to("nothing")),
        "an open directory": lambda: path.chmod(0o755),
        "what a crash left": lambda: (file.unlink(), (path / "app.new").symlink_to(path.parent / "elsewhere")),
    }[how]()


def test_a_file_of_somebody_else_goes_where_that_was_asked_for(path):
    write(path)
    left = write(path, files={"app": FILES["app"]})
    assert (left["changed"], found(path)[1]) == (False, FILES)
    for check in (True, False):
        said = run_module("private_directory", check=check, path=str(path), owner=OWNER, files={"app": FILES["app"]}, exclusive=True)
        assert (said["changed"], said["removed"], said["written"]) == (True, ["redis.conf"], [])
        assert found(path)[1] == (FILES if check else {"app": FILES["app"]})
    again = run_module("private_directory", path=str(path), owner=OWNER, files={"app": FILES["app"]}, exclusive=True)
    assert (again["changed"], again["removed"]) == (False, [])


HARM = {
    "another content": ["app"],
    "an open file": ["app"],
    "a file gone": ["app"],
    "a link in its place": ["app"],
    "a link to nothing in its place": ["app"],
    "an open directory": [],
    "what a crash left": ["app"],
}


@pytest.mark.parametrize("how", HARM)
def test_what_is_not_as_it_should_be_is_mended(path, how):
    write(path)
    (path.parent / "elsewhere").write_text("mine")
    harm(path, how)
    elsewhere = (path.parent / "elsewhere").read_text()
    before = as_it_is(path)
    rehearsal = write(path, check=True)
    assert (rehearsal["changed"], rehearsal["written"]) == (True, HARM[how])
    assert as_it_is(path) == before
    said = write(path)
    assert (said["changed"], said["written"]) == (True, HARM[how])
    assert found(path) == (as_wanted(), FILES)
    assert not (path / "app").is_symlink()
    # a link leads nobody to write elsewhere
    assert (path.parent / "elsewhere").read_text() == elsewhere
    assert not write(path)["changed"]


def test_a_rehearsal_makes_nothing(path):
    said = write(path, check=True)
    assert (said["changed"], said["written"]) == (True, ["app", "redis.conf"])
    assert not path.parent.exists()


def test_other_files_are_left_as_they_are(path):
    write(path)
    (path / "loaded").write_text("theirs")
    (path / "loaded").chmod(0o640)
    assert not write(path)["changed"]
    said = write(path, {"app": "an old secret\n"})
    assert said["written"] == ["app"]
    assert stat.S_IMODE((path / "loaded").stat().st_mode) == 0o640
    assert found(path)[1] == {"app": "an old secret\n", "loaded": "theirs", "redis.conf": FILES["redis.conf"]}


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(path):
    write(path)
    before = (path / "app").open()
    write(path, {"app": "an old secret\n"})
    # whoever has it open reads the old one on
    assert before.read() == FILES["app"]
    assert sorted(os.listdir(path)) == ["app", "redis.conf"]


def test_bytes_count_not_letters(path):
    assert write(path, {"app": "pässwörd\n"})["changed"]
    assert (path / "app").read_bytes() == "pässwörd\n".encode()
    assert not write(path, {"app": "pässwörd\n"})["changed"]


def test_what_cannot_be_written_is_told_in_a_sentence(path):
    write(path)
    (path / "app.new").mkdir()
    said = run_module("private_directory", path=str(path), owner=OWNER, files={**FILES, "app": "an old secret"})
    assert said["msg"] == f"Cannot write {path}/app.new: it is a directory. Remove it."
    assert "secret" not in said["msg"]
