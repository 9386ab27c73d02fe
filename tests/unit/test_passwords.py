"""Passwords of Redis: a run never creates one that a host has, and a given one may always differ."""

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis import hash_password

HELD = {"vm1": {"app": hash_password("one")}, "vm3": {}}


def find_problems(given, kept, held=HELD):
    return redis.find_password_problems({"app": given}, {"app": kept}, held, "/srv/dir")


@pytest.mark.parametrize(
    ("given", "kept", "held"),
    [
        ("", None, {"vm1": {}, "vm3": {}}),
        ("", "one", {"vm1": {}}),
        ("", "one", HELD),
        ("two", None, HELD),
        ("two", "three", HELD),
        ("two", "three\nlines", HELD),
        ("", None, {"vm1": {"somebody": hash_password("one")}}),
    ],
    ids=["to be created", "stored", "stored and held", "given", "given and another stored", "given and nonsense stored", "another user"],
)
def test_accepts_a_password_that_no_host_contradicts(given, kept, held):
    assert find_problems(given, kept, held) == []


@pytest.mark.parametrize(("kept", "files"), [(None, "redis_app.password is missing"), ("two", "redis_app.password differs")])
def test_refuses_to_create_a_password_that_a_host_has(kept, files):
    message = RedisMessage.PASSWORDS_OF_ANOTHER_CONTROLLER
    problems = find_problems("", kept)
    assert problems == [message.at(Place(host="vm1"), directory="/srv/dir", files=files)]
    for part in ("/srv/dir on this controller", files, "Copy that directory", "set ambassador_controller_dir"):
        assert part in str(problems[0])
    assert "two" not in str(problems[0])


def test_problem_of_a_host_names_all_its_users():
    users = {"app": "", "proof": "", "operator": "given"}
    held = {"vm1": dict.fromkeys(users, hash_password("one"))}
    (problem,) = redis.find_password_problems(users, dict.fromkeys(users), held, "/srv/dir")
    assert dict(problem.values)["files"] == "redis_app.password is missing, redis_proof.password is missing"


def test_end_of_a_file_is_part_of_the_hash():
    held = {"vm2": {"app": hash_password("one\n")}}
    assert redis.find_password_problems({"app": ""}, {"app": "one"}, held, "/srv/dir", end="\n") == []
    assert len(redis.find_password_problems({"app": ""}, {"app": "two"}, held, "/srv/dir", end="\n")) == 1
    assert len(redis.find_password_problems({"app": ""}, {"app": "one"}, held, "/srv/dir")) == 1


@pytest.mark.parametrize(
    ("given", "kept", "message"),
    [
        ("two\nlines", None, RedisMessage.PASSWORD_INVALID),
        ("a\ttab", None, RedisMessage.PASSWORD_INVALID),
        ({"a": "b"}, None, RedisMessage.PASSWORD_INVALID),
        ("", "two\nlines", RedisMessage.STORED_PASSWORD_INVALID),
        ("", "", RedisMessage.STORED_PASSWORD_EMPTY),
    ],
)
def test_refuses_a_password_that_is_not_one_line(given, kept, message):
    (problem,) = find_problems(given, kept, {"vm1": {}})
    assert problem.message is message
    assert "Redis user app" in str(problem)
    assert "two" not in str(problem)


@pytest.mark.parametrize("user", ["../app", "an app", ""])
def test_refuses_a_user_that_is_no_name_of_a_file(user):
    problems = redis.find_password_problems({user: "given"}, {user: None}, {}, "/srv/dir")
    assert problems == [RedisMessage.USER_INVALID.at(user=repr(user))]


def test_problem_names_the_file_of_its_mesh():
    (problem,) = redis.find_password_problems({"app": ""}, {"app": None}, HELD, "/srv/dir", "blue")
    assert dict(problem.values)["files"] == "redis_blue_app.password is missing"
