"""The texts of problems: their fields, their form, and the page that lists them."""

import enum

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message, Place


@enum.unique
class _Example(Message):
    PORT_INVALID = "{value} is not a valid port.", "Use a number from 1 to 65535."


def test_problem_states_its_place_its_cause_and_its_remedy():
    problem = _Example.PORT_INVALID.at(Place(link="db", key="port"), value=70000)
    assert str(problem) == "Link db, key port: 70000 is not a valid port. Use a number from 1 to 65535."
    assert problem.message is _Example.PORT_INVALID


def test_problem_without_a_place_begins_with_its_cause():
    assert str(_Example.PORT_INVALID.at(value="{x}")) == "{x} is not a valid port. Use a number from 1 to 65535."


def test_equal_problems_are_one():
    problems = [_Example.PORT_INVALID.at(Place(host="vm1", variable="ambassador_image"), value=0) for __ in range(2)]
    assert len(set(problems)) == 1
    assert str(problems[0]).startswith("Host vm1, variable ambassador_image: ")
