"""Writes docs/messages.md, the table of all messages, from the enums of plugins/plugin_utils/_messages_*.py."""

import importlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/messages.md"
PACKAGE = "ansible_collections.crosshost.ambassador.plugins.plugin_utils"
HEAD = """# Messages

<!-- made by `make readmes` from plugins/plugin_utils/_messages_*.py -->

This page lists the messages of a run by their code.
The words in italics stand for values.
Most messages begin with their place, for example `Link db, key port:` or `Host vm1:`.
[Troubleshooting](troubleshooting.md) explains the most frequent messages.
"""

sys.path.insert(0, str(ROOT / "collections"))


class Fields(dict):
    """The fields of a template: each is its own name, in italics."""

    def __missing__(self, name):
        return f"*{name.replace('_', ' ')}*"


def find_enums():
    """Return all enums of messages, in the order of their files."""
    base = importlib.import_module(f"{PACKAGE}._messages").Message
    enums = []
    for path in sorted((ROOT / "plugins/plugin_utils").glob("_messages_*.py")):
        module = importlib.import_module(f"{PACKAGE}.{path.stem}")
        enums += [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base) and list(value)]
    return list(dict.fromkeys(enums))


def format_cell(template):
    """Return a template as a cell of a table. It begins with a capital letter, or with the name of a variable."""
    # Markdown has no emphasis within a word
    template = re.sub(r"(?<!\w)_|_(?!\w)|[\\*<|]", r"\\\g<0>", template)
    text = template.format_map(Fields())
    # a variable keeps its name
    return text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def format_enum(enum):
    """Return the section of an enum."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", enum.__name__.removesuffix("Message") or enum.__name__)
    rows = [f"| `{member.name}` | {format_cell(member.cause)} | {format_cell(member.remedy)} |" for member in enum]
    heading, text = f"## {name[:1]}{name[1:].lower()}", (enum.__doc__ or "").strip().partition("\n")[0].replace(". ", ".\n")
    return "\n".join([heading, "", text, "", "| code | message | remedy |", "|---|---|---|", *rows, ""])


def format_page():
    """Return the page, Markdown."""
    return "\n".join([HEAD, *map(format_enum, find_enums())])


if __name__ == "__main__":
    PAGE.write_text(format_page(), encoding="utf-8")
