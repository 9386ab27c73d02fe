"""Writes the README of every role, from its argument_specs.yml."""

import json
import pathlib
import re

import yaml
from antsibull_docs_parser import dom, md, parser
from antsibull_docs_parser.format import LinkProvider

ROOT = pathlib.Path(__file__).parents[2]
COLLECTION = "crosshost.ambassador"
SHARED = "ambassador_engine"


class Links(LinkProvider):
    """A role of this collection is its README."""

    def plugin_link(self, plugin):
        return f"../{plugin.fqcn.rpartition('.')[2]}/README.md" if plugin.type == "role" else None


class Readable(md.MDFormatter):
    """Markdown that is readable as it stands, too: code between backticks, and words without backslashes."""

    def format_text(self, part):
        return part.text.replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")

    def format_code(self, part):
        return f"`{part.text}`"

    def format_option_name(self, part, url):
        return f"`{part.name}`" if part.value is None else f"`{part.name}={part.value}`"

    def format_option_value(self, part):
        return f"`{part.value}`"

    def format_plugin(self, part, url):
        return f"[{part.plugin.fqcn.rpartition('.')[2]}]({url})"


def text(paragraphs, role, separator):
    """Return a description as Markdown.

    :param paragraphs: a string or a list of them, with Ansible's markup
    :param str role: the role whose options it speaks of
    :param str separator: what stands between paragraphs
    :raises ValueError: the markup is wrong
    """
    context = parser.Context(current_plugin=dom.PluginIdentifier(f"{COLLECTION}.{role}", "role"), role_entrypoint="main")
    parsed = parser.parse(paragraphs, context, errors="exception")
    return md.to_md(parsed, formatter=Readable(), link_provider=Links(), par_sep=separator)


def sentences(markdown):
    """Return Markdown with each sentence on a line of its own.

    :param str markdown: paragraphs
    """
    return re.sub(r"(?<=[.!?]) (?=[A-Z`\[])", "\n", markdown)


def row(name, option, role):
    """Return the line of an option in the table.

    :param str name: the option's name
    :param dict option: its specification
    :param str role: the role that it belongs to
    """
    kind = " or ".join(f"`{choice}`" for choice in option["choices"]) if "choices" in option else option["type"]
    value = option.get("default")
    # as YAML has it
    default = f"`{value or json.dumps(value)}`" if isinstance(value, str) else f"`{json.dumps(value)}`" if "default" in option else "none"
    cells = (f"`{name}`", kind, default, text(option["description"], role, " "))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def readme(role):
    """Return the README of a role, Markdown.

    :param str role: its name
    """
    spec = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    return "\n".join(
        [
            f"# {COLLECTION}.{role}",
            "",
            "<!-- made by `make readmes` from meta/argument_specs.yml -->",
            "",
            f"{spec['short_description']}.",
            "",
            sentences(text(spec["description"], role, "\n\n")),
            "",
            "```yaml",
            spec["examples"].rstrip(),
            "```",
            "",
            "## Options",
            "",
            *([] if role == SHARED else [f"The role also has the [options that all roles share](../{SHARED}/README.md#options).", ""]),
            "| option | type | default | meaning |",
            "|---|---|---|---|",
            *(row(name, option, role) for name, option in spec["options"].items()),
            "",
        ]
    )


if __name__ == "__main__":
    for directory in (ROOT / "roles").iterdir():
        (directory / "README.md").write_text(readme(directory.name))
