"""The texts of problems: their fields, their form, and the page that lists them."""

import ast
import enum
import re
import string
import sys

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Fragment, Message, Place
from conftest import ROOT

sys.path.insert(0, str(ROOT / "docs/site"))
import messages

MAX_WORDS, MAX_SENTENCES = 25, 3
BANNED = re.compile(
    r"\b(?:anew|any more|anybody|beside|lest|lets in|let in|mend|no more|nobody|of ours|of yours|said|says|somebody|stands in|told|whatever"
    r"|who|whoever|whom)\b|expected .*found|;",
    re.I,
)
ENUMS = messages.find_enums()
MEMBERS = [pytest.param(member, id=f"{enum_.__name__}.{member.name}") for enum_ in ENUMS for member in enum_]


def read_plugins():
    """Return path -> text of the files that can use a message."""
    paths = [path for path in (ROOT / "plugins").rglob("*.py") if not path.name.startswith("_messages")]
    return {path.relative_to(ROOT): path.read_text() for path in paths}


def list_fields(message):
    """Return the names of the fields of a message."""
    parsed = [*string.Formatter().parse(message.cause), *string.Formatter().parse(message.remedy)]
    return {name for __, name, __, __ in parsed if name is not None}


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


def test_page_of_messages_is_current():
    assert messages.PAGE.read_text() == messages.format_page(), "make readmes"


def test_every_message_is_used():
    text = "\n".join(read_plugins().values())
    used = set(re.findall(r"\b(\w+)\.([A-Z][A-Z0-9_]+)\b", text))
    assert [param.id for param in MEMBERS if tuple(param.id.split(".")) not in used] == []


@pytest.mark.parametrize("message", [param for param in MEMBERS if not isinstance(param.values[0], Fragment)])
def test_message_has_complete_sentences_of_plain_words(message):
    fields = list_fields(message)
    assert all(name.isidentifier() for name in fields)
    assert str(message.at(**dict.fromkeys(fields, "1")))
    for text in filter(None, (message.cause, message.remedy)):
        assert text.endswith((".", "?", "}"))
        assert text == " ".join(text.split())
        assert not BANNED.search(text)
    assert message.remedy[:1] in "{" or message.remedy[0].isupper()
    split = re.split(r"(?<=[.?!]) ", f"{message.cause} {message.remedy}".strip())
    assert len(split) <= MAX_SENTENCES
    assert max(len(sentence.split()) for sentence in split) <= MAX_WORDS


def test_calls_give_values_for_all_fields_of_a_message():
    codes = {tuple(param.id.split(".")): param.values[0] for param in MEMBERS}
    wrong, count = [], 0

    def name(node):
        return (node.value.id, node.attr) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None

    for path, text in read_plugins().items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            is_direct = isinstance(node.func, ast.Attribute) and node.func.attr == "at"
            message = codes.get(name(node.func.value) if is_direct else next(map(name, node.args), None))
            if message is None:
                continue
            count += 1
            values = {keyword.arg for keyword in node.keywords}
            missing = list_fields(message) - values if None not in values else set()
            # a function that adds the problem of a key adds its value
            if (values - {None}) - list_fields(message) or missing - (set() if is_direct else {"value"}):
                wrong.append(f"{path}:{node.lineno} {message.name}")
    assert wrong == []
    assert count >= len(codes) // 2


def test_problem_without_a_value_for_a_field_raises():
    with pytest.raises(KeyError):
        str(_Example.PORT_INVALID.at())
