"""The texts of the controller, of the status, and of Redis: each is complete, and has the form of a message."""

import re
import string

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage, Fault, KeyFault
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage, format_count

# values that are sentences of others
SENTENCES = {"reason", "target", "targets"}
MAX_WORDS = 25


def format_example(message):
    """Return a message with the name of each field as its value."""
    fields = {name for __, name, *__ in string.Formatter().parse(f"{message.cause} {message.remedy}") if name}
    return str(message.at(Place(host="vm1"), **{name: "Value." if name in SENTENCES else name for name in fields}))


@pytest.mark.parametrize("message", [*ControllerMessage, *StatusMessage, *RedisMessage], ids=lambda message: message.name)
def test_message_is_plain_sentences(message):
    text = format_example(message)
    assert text.startswith("Host vm1: ")
    assert text.endswith(".")
    assert not re.search(r"[{};]|\bfound\b|  ", text), text
    sentences = re.split(r"(?<=[.:]) ", text)
    assert [sentence for sentence in sentences if len(sentence.split()) > MAX_WORDS] == []


@pytest.mark.parametrize("message", [*Fault, *KeyFault], ids=lambda message: message.name)
def test_fault_completes_a_sentence(message):
    text = str(message.at())
    assert text
    assert not re.search(r"[{};]|\.$", text)


def test_no_text_is_that_of_two_messages():
    texts = [(message.cause, message.remedy) for message in (*ControllerMessage, *StatusMessage, *RedisMessage)]
    assert len(set(texts)) == len(texts)


def test_count_has_its_noun():
    assert [format_count(number, "link") for number in (0, 1, 2)] == ["0 links", "1 link", "2 links"]
