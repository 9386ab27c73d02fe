"""Writes the reference pages that have a source in the code: docs/keys.md from the schema of a link, docs/variables.md from the roles."""

import json
import re
import sys

import readmes
import yaml

sys.path.insert(0, str(readmes.ROOT / "collections"))
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINE_NAMES, SCHEMA, Kind, Required

MADE = "<!-- made by `make readmes` -->"
LINK = {"port": 6379, "servers": "VM1", "clients": "VM2", "backend": "redis_server:6379"}
# the shared role first, because its variables are of use to all
ROLES = ("ambassador_engine", "ambassador_server", "ambassador_client", "redis_server", "redis_client")
TYPES = {
    Kind.PORT: "port number",
    Kind.PORTS: "list of port numbers, with `/udp` for UDP",
    Kind.HOSTS: "host pattern",
    Kind.BACKEND: "`name:port`, `host:port`, or `address:port`",
    Kind.CHOICE: "",
    Kind.SECONDS: "whole number of seconds",
    Kind.FRACTION: "seconds, with up to three decimals",
    Kind.NUMBER: "whole number",
    Kind.LOCAL: "`address:port`",
    Kind.TARGETS: "list of `address:port` or `name:port`, or one `srv:` name",
    Kind.BOOLEAN: "`true` or `false`",
    Kind.NETWORK: "name of a Docker network",
    Kind.NETWORKS: "list of names of Docker networks",
}
REQUIRED = {
    Required.NEVER: "no",
    Required.ALWAYS: "yes",
    Required.WITH_SERVER_SIDE: "yes, unless the link has `targets`",
}
# values that not all engines support
LIMITED = {
    Kind.PORTS: "; UDP needs `nftables`",
    Kind.TARGETS: "; names need `haproxy`, and several targets need `haproxy` or `nftables`",
}
# key -> what its example changes in other keys, or in the variables of the mesh
OTHERS = {
    "ports": {"port": None, "backend": "dns", "engine": "nftables"},
    "targets": {"servers": None, "backend": None},
    "protocol": {"engine": "nftables"},
}


def example_of(key):
    """Return a map, YAML, with a link that has a key.

    :param Key key: a key of the schema
    """
    others = OTHERS.get(key.name, {})
    link = {name: value for name, value in {**LINK, **others, key.name: key.example}.items() if value is not None and name != "engine"}
    variables = [f"ambassador_engine: {others['engine']}", "ambassador_tls: false"] if "engine" in others else []
    name = "dns" if key.name == "ports" else "redis"
    settings = [f"    {setting}: {format_value(value)}" for setting, value in link.items()]
    return "\n".join([*variables, "ambassador_links:", f"  {name}:", *settings])


def format_value(value):
    """Return a value of a key as YAML.

    :param value: the value
    """
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return json.dumps(value) if isinstance(value, bool) else str(value)


def limits_of(key):
    """Return type and limits of the values of a key, Markdown.

    :param Key key: a key of the schema
    """
    if key.choices:
        return ", ".join(f"`{choice}`" for choice in key.choices)
    return TYPES[key.kind] + (f", from {key.minimum:,} to {key.maximum:,}" if key.maximum and key.kind is not Kind.PORTS else "")


def engines_of(key):
    """Return the engines that support a key, Markdown.

    :param Key key: a key of the schema
    """
    if key.engines_of_choice:
        engines = {choice: key.engines_of_choice.get(choice, ENGINE_NAMES) for choice in key.choices}
        return "; ".join(f"`{choice}`: {format_engines(names)}" for choice, names in engines.items())
    return format_engines(key.engines) + LIMITED.get(key.kind, "")


def format_engines(names):
    """Return names of engines, Markdown.

    :param names: the names
    """
    return "all" if names == ENGINE_NAMES else ", ".join(f"`{name}`" for name in names)


def section_of(key):
    """Return the section of a key, Markdown.

    :param Key key: a key of the schema
    """
    # the explanations are on the page about the map
    meaning = re.sub(r"\]\(#", "](map.md#", key.meaning)
    first = 1 if meaning.startswith("[") else 0
    meaning = meaning[:first] + meaning[first].upper() + meaning[first + 1 :]
    default = key.default_text or ("none" if key.default is None else f"`{json.dumps(key.default).strip(chr(34))}`")
    server, client = (effect.value for effect in key.effects)
    rows = (
        ("type", limits_of(key)),
        ("required", REQUIRED[key.required]),
        ("default", default),
        ("engines", engines_of(key)),
        ("effect of a change", server if server == client else f"server side: {server}; client side: {client}"),
    )
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"## {key.name}\n\n{readmes.sentences(meaning)}.\n\n| property | value |\n|---|---|\n{table}\n\n```yaml\n{example_of(key)}\n```\n"
    )


def keys_page():
    """Return the page about the keys of a link."""
    introduction = """\
This page lists each key of a link in the [map](map.md), with an example.
In the examples, the groups `VM1` and `VM2` contain the server hosts and the client hosts.
[Changes of the map](changes.md#effect-of-each-key-on-containers) explains the effects of a change.
"""
    return "\n".join(["# Keys of a link", "", MADE, "", introduction, *map(section_of, SCHEMA.values())])


def variables_page():
    """Return the page about the variables of all roles."""
    parts = ["# Role variables", "", MADE, ""]
    parts += ["Set these variables in the inventory, for example in `group_vars/all`."]
    parts += ["[Host variables](host-variables.md) describe single hosts, and [playbooks](playbooks.md) have parameters of their own.", ""]
    for role in ROLES:
        spec = yaml.safe_load((readmes.ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
        parts += [f"## {role}", "", f"{spec['short_description']}: [README](../roles/{role}/README.md).", ""]
        for name, option in spec["options"].items():
            # links of a README lead to other READMEs
            _, kind, default, meaning = re.split(r" (?<!\\)\| ", readmes.row(name, option, role).replace("](../", "](../roles/")[2:-2])
            value = default.replace("\\|", "|")
            parts += [f"### {name}", "", readmes.sentences(meaning.replace("\\|", "|")), "", f"- type: {kind}", f"- default: {value}", ""]
    return "\n".join(parts)


PAGES = {"docs/keys.md": keys_page, "docs/variables.md": variables_page}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (readmes.ROOT / page).write_text(make())
