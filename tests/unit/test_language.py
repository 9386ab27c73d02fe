"""The linter of the language, tests/language: each rule finds its fault, and passes a correct text."""

import importlib.machinery
import importlib.util
import sys
import types

import pytest
from conftest import ROOT

MESSAGES = "ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages"
LONG = "The host runs " + "a container and " * 8 + "a volume."
SPEC = "argument_specs:\n  main:\n    options:\n      description:\n        description: {}\n        default: anew\n"
MODULE = '"""Returns links."""\n\nDOCUMENTATION = r"""\nmodule: example\noptions:\n  path:\n    description: {}\n"""\n'
ENUM = "from " + MESSAGES + ' import Message\n\n\nclass Example(Message):\n    FIRST = "{{value}} is wrong.", "{}"\n'


def load_linter():
    """Return the linter as a module. Its file has no suffix."""
    loader = importlib.machinery.SourceFileLoader("language", str(ROOT / "tests/language"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("language", loader))
    loader.exec_module(module)
    return module


language = load_linter()


def find_problems(path, source):
    """Return the problems of a file, with their lines."""
    return [f"{text.line}: {problem}" for text in language.texts_of(path, source) for problem in language.problems_of(text)]


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("a.md", "The container is made anew.\n", '1: "anew": write again'),
        ("a.md", "# The link\n\nNobody reads it.\n", '3: "Nobody": write no client'),
        ("a.md", "- The link is used no more.\n", '1: "no more": write no longer'),
        ("a.md", "| what | why |\n|---|---|\n| link | the server gives it up |\n", '3: "gives it up": write removes'),
        ("a.md", "The link leads to a server.\n", '1: "link leads to": write link forwards to'),
        ("a.py", 'def run():\n    """Return a link that\n    gives\n    up."""\n', '2: "gives up": write removes'),
        ("a.md", f"{LONG}\n", "1: a sentence has 29 words"),
        ("a.md", f"| a |\n|---|\n| {LONG} |\n", "3: a sentence has 29 words"),
        ("a.md", "It is up. It runs.\n", "1: not one sentence per line"),
        ("a.md", "- The host\n  is up.\n", "1: not one sentence per line"),
        ("a.md", "## Rotate the Keys\n", "1: a heading is in sentence case, unlike Keys"),
        ("roles/a/meta/argument_specs.yml", SPEC.format("Told by the server."), '5: "Told": write reports'),
        ("roles/a/meta/argument_specs.yml", SPEC.format(LONG), "5: a sentence has 29 words"),
        ("plugins/modules/a.py", MODULE.format("Whoever reads it."), '7: "Whoever": write the client'),
        ("changelogs/fragments/a.yml", f"bugfixes:\n  - {LONG}\n", "2: a sentence has 29 words"),
        ("changelogs/fragments/a.yml", "bugfixes:\n  - key ``a`` - a fault is mended.\n", '2: "mended": write fix'),
        ("roles/a/tasks/main.yml", "- name: Make the container anew\n  debug:\n", '1: "anew": write again'),
        ("playbooks/a.yml", "- hosts: all\n  tasks:\n    - block:\n        - name: Ask nobody\n", '4: "nobody": write no client'),
        ("examples/a/site.yml", "- name: Make it anew\n  hosts: all\n", '1: "anew": write again'),
        ("a.py", "# lest it\n# fails\n", '1: "lest": write if'),
        ("a.py", "# a container of\n# ours\n", '1: "of ours": write our'),
        ("a.py", 'def run():\n    """Return the stand-in."""\n', '2: "stand-in": write temporary container'),
        ("a.py", "def test_nobody_connects():\n    pass\n", '1: "nobody": write no client'),
        ("a.yml", "---\na: 1  # for want of a name\n", '2: "for want of": write because'),
        ("a.sh", "# somebody else's file\n", '1: "somebody else": write a user'),
        ("a", "#!/usr/bin/env bash\ntrue # dials it\n", '2: "dials": write connect to'),
    ],
)
def test_linter_reports_fault_with_its_line(path, source, expected):
    (problem,) = find_problems(path, source)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.md", "# Link Docker with `Anew`\n\nThe page `nobody` lists:\n- one host,\n- no more than two hosts.\n\nSee [it](anew.md).\n"),
        ("a.md", "<!-- a link\nanew -->\n\n```sh\nanew # nobody. Anew\n```\n\nIt is up.\nIt runs.\n"),
        ("a.md", "| `anew` | It is up. It runs. |\n"),
        ("a.md", "## TLS: Use a CA\n"),
        ("roles/a/meta/argument_specs.yml", SPEC.format("The value V(anew). It sets O(nobody).")),
        ("plugins/modules/a.py", MODULE.format("Directory of the links.")),
        ("changelogs/fragments/a.yml", f"bugfixes:\n  - key ``anew`` of a link - {LONG.replace('a container and ', '', 2)}\n"),
        ("roles/a/tasks/main.yml", "- name: Reload HAProxy\n  debug:\n    msg: anew\n"),
        ("a.py", "# the mender\nanew = 'nobody'\n"),
        ("a.sh", "echo nobody#anew\n"),
        ("a.txt", "anew\n"),
    ],
)
def test_linter_accepts_correct_text(path, source):
    assert find_problems(path, source) == []


def find_problems_of_messages(monkeypatch, remedy):
    """Return the problems of a file of messages with one remedy."""
    name = f"{MESSAGES}_example"
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    source = ENUM.format(remedy)
    exec(compile(source, name, "exec"), vars(module))
    return find_problems("plugins/plugin_utils/_messages_example.py", source)


def test_linter_reports_fault_of_message(monkeypatch):
    assert find_problems_of_messages(monkeypatch, "Make it anew.") == ['5: "anew": write again, or recreated']
    (problem,) = find_problems_of_messages(monkeypatch, LONG)
    assert problem.startswith("5: a sentence has 29 words")


def test_linter_accepts_correct_message(monkeypatch):
    assert find_problems_of_messages(monkeypatch, "Start the service on {{nobody}}.") == []


def test_linter_fails_and_prints_each_problem_with_its_place(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(language, "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("It is up.\n")
    assert language.main(["a.md", "missing.md"]) == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "a.md").write_text("It is up.\nIt begins anew.\n")
    assert language.main(["a.md"]) == 1
    assert capsys.readouterr().out == 'a.md:2: "anew": write again, or recreated\n'


def test_linter_skips_past_releases_and_unchecked_files_only(monkeypatch, tmp_path):
    monkeypatch.setattr(language, "ROOT", tmp_path)
    monkeypatch.setitem(language.CONFIGURATION, "unchecked", {"comment": ["old/*"]})
    paths = ("CHANGELOG.md", "new/a.py", "old/a.py", "old/a.md")
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("# anew\n")
    assert {path for path in paths if list(language.problems_in(path))} == {"new/a.py", "old/a.md"}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "The program asks for it.",
            "It is told.",
            "For want of space.",
            "It is made anew.",
            "It is no more.",
            "It is not used any more.",
        ),
        *(
            "It is not used any more.",
            "Whoever dials it.",
            "Somebody connects.",
            "The role gives it back.",
            "The file is to go.",
            "A container stands in for it.",
        ),
        *(
            "Somebody connects.",
            "It fails, lest it breaks.",
            "It is meant to fail.",
            "The wish to remove it.",
            "It was mended.",
            "A volume of yours.",
        ),
        *(
            "A volume of yours.",
            "The server lets in all.",
            "The host is let in.",
            "Links lead to it.",
            "The link carries data.",
            "A container beside it.",
        ),
        *("It turned to the server.", "A run shows what consumers saw.", "See what a run costs."),
    ],
)
def test_word_list_has_words_of_style_guide(text):
    assert find_problems("a.md", f"{text}\n")


def test_each_word_has_replacement():
    assert all(isinstance(replacement, str) and replacement for replacement in language.CONFIGURATION["words"].values())
