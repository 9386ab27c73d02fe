"""A password is never made anew where a host holds one, and a given one may always differ."""

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis import digest

HELD = {"vm1": {"app": digest("one")}, "vm3": {}}


def judge(given, kept, held=HELD):
    return redis.judge({"app": given}, {"app": kept}, held, "/srv/dir")


@pytest.mark.parametrize(
    ("given", "kept", "held"),
    [
        ("", None, {"vm1": {}, "vm3": {}}),
        ("", "one", {"vm1": {}}),
        ("", "one", HELD),
        ("two", None, HELD),
        ("two", "three", HELD),
        ("two", "three\nlines", HELD),
        ("", None, {"vm1": {"somebody": digest("one")}}),
    ],
    ids=["to be made", "kept", "kept and held", "given", "given and another kept", "given and nonsense kept", "another user"],
)
def test_what_may_be(given, kept, held):
    assert judge(given, kept, held) == []


@pytest.mark.parametrize(("kept", "found"), [(None, "no redis_app.password"), ("two", "another one in redis_app.password")])
def test_what_a_host_holds_is_not_made_anew_and_the_sentence_names_host_directory_and_remedy(kept, found):
    (sentence,) = judge("", kept)
    for part in ("host vm1:", "/srv/dir on the controller", found, "copy that directory", "set ambassador_controller_dir"):
        assert part in sentence
    assert "one in" not in sentence.replace("another one in", "")


def test_one_sentence_for_all_users_of_a_host():
    users = {"app": "", "proof": "", "operator": "given"}
    held = {"vm1": dict.fromkeys(users, digest("one"))}
    (sentence,) = redis.judge(users, dict.fromkeys(users), held, "/srv/dir")
    assert "found no redis_app.password, no redis_proof.password;" in sentence


def test_what_follows_a_password_in_a_file_is_part_of_what_was_hashed():
    held = {"vm2": {"app": digest("one\n")}}
    assert redis.judge({"app": ""}, {"app": "one"}, held, "/srv/dir", end="\n") == []
    assert len(redis.judge({"app": ""}, {"app": "two"}, held, "/srv/dir", end="\n")) == 1
    assert len(redis.judge({"app": ""}, {"app": "one"}, held, "/srv/dir")) == 1


@pytest.mark.parametrize(("given", "kept"), [("two\nlines", None), ("a\ttab", None), ({"a": "b"}, None), ("", "two\nlines"), ("", "")])
def test_a_password_is_one_line(given, kept):
    (sentence,) = judge(given, kept, {"vm1": {}})
    assert "password of Redis' user app" in sentence
    assert "two" not in sentence


@pytest.mark.parametrize("user", ["../app", "an app", ""])
def test_a_user_is_a_file_name(user):
    assert "rename it" in redis.judge({user: "given"}, {user: None}, {}, "/srv/dir")[0]


def test_the_file_of_another_mesh_is_named_as_it_is():
    (sentence,) = redis.judge({"app": ""}, {"app": None}, HELD, "/srv/dir", "blue")
    assert "found no redis_blue_app.password; copy that directory" in sentence
