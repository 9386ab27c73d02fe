"""The commands that the documents show run; those that change hosts are only checked as far as that goes without any."""

import ast
import json
import os
import re
import shutil
import subprocess
import textwrap

import jinja2
import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.action.plan import known_variables
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import SCHEMA
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT
from simulation import Fleet, Host

PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))


def blocks(document, language):
    """Return the blocks of a document in a language; with an empty one those without any."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", (ROOT / document).read_text(), re.M | re.S)
    return [textwrap.dedent(block) for _, name, block in found if name == language]


def commands(*documents):
    """Return the lines of the documents' sh blocks, without comments; a block that is a script is none."""
    shown = [block for document in documents for block in blocks(document, "sh") if not block.startswith("#!")]
    return [line.split("#")[0].strip() for block in shown for line in block.splitlines()]


def run(command, cwd):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE", "MAKE", "MFLAGS"))}
    return subprocess.run(
        command, shell=True, cwd=cwd, env={**environment, "HOME": str(cwd.parent)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_knows_its_targets(document):
    shown = [command for command in commands(document) if command.startswith("make ")]
    assert shown
    for command in shown:
        assert run(f"{command} --dry-run", ROOT).returncode == 0, command


def test_the_other_commands_of_the_documents(clone):
    # the scenario default runs those of Docker and of a firewall, anywhere that of ansible-pull
    elsewhere = ("make ", "docker ", "iptables ", "ip6tables ", "ansible-pull ")
    shown = [command for command in dict.fromkeys(commands("README.md", "SECURITY.md", *PAGES)) if not command.startswith(elsewhere)]
    assert len(shown) > 10
    for git in ("init --quiet", "add .", "-c user.name=ann -c user.email=ann@example.com commit --quiet --message=release"):
        subprocess.run(["git", *git.split()], cwd=clone, check=True)
    collections = clone.parent / ".ansible/collections"
    for command in shown:
        assert command.startswith(("ansible-playbook ", "ansible-galaxy ")), command
        # no SSH to example.com: with its collections, inventory and all, as far as the syntax
        checked = command.replace("/tmp", str(clone.parent)) + (" --syntax-check" if command.startswith("ansible-playbook") else "")
        checked = checked.replace("https://github.com/crosshost/ambassador.git", f"file://{clone}")
        result = run(checked, clone)
        assert result.returncode == 0, f"{checked}\n{result.stdout}{result.stderr}"
        assert "ERROR" not in result.stderr, result.stderr
        if "galaxy collection install" in command:
            # a clone contains the collection, so an installation can have nothing to do
            assert (collections / "ansible_collections/crosshost/ambassador/MANIFEST.json").exists(), result.stdout
            shutil.rmtree(collections)


def test_host_pulls_signed_commits_only(tmp_path):
    repository, checkout = tmp_path / "repository", tmp_path / "srv"
    gitconfig, signers, unit = re.findall(
        r"^```\w*\n(.*?)^```$", (ROOT / "docs/pull.md").read_text().partition("only signed")[2], re.M | re.S
    )
    for name in ("key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    signer = re.search(r"^\S+@\S+", signers, re.M)[0]
    (tmp_path / "signers").write_text(f"{signer} {(tmp_path / 'key.pub').read_text()}")
    (tmp_path / ".gitconfig").write_text(gitconfig.replace("/etc/ambassador/allowed_signers", str(tmp_path / "signers")))
    settings = (
        ("/root", tmp_path),
        ("https://git.example.com/ambassador.git", repository),
        ("/srv/ambassador", checkout),
        ("%H", "localhost"),
    )
    for old, new in settings:
        unit = unit.replace(old, str(new))
    shims = re.compile(r"[^:]*/shims:?")
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": shims.sub("", os.environ["PATH"])}
    # systemd gives a service only what the unit sets
    of_unit = dict(line.split("=", 1) for line in re.findall("^Environment=(.*)$", unit, re.M))
    of_service = {"PATH": environment["PATH"], **of_unit}

    def git(*command):
        identity = ["-c", "user.name=ann", "-c", f"user.email={signer}"]
        subprocess.run(["git", "-C", str(repository), *identity, *command], env=environment, capture_output=True, check=True)

    def commit(key):
        git("add", ".")
        git("-c", f"user.signingkey={tmp_path / key}", "commit", "--gpg-sign", "--message=links")

    def pull():
        for command in re.findall(r"^ExecStart(?:Pre)?=(.*)$", unit, re.M):
            done = subprocess.run(command, shell=True, cwd=tmp_path, env=of_service, capture_output=True, text=True, check=False)
        return done.returncode, "was played" in done.stdout, (tmp_path / "ran").exists()

    (repository / "inventory").mkdir(parents=True)
    git("init")
    (repository / "inventory/hosts").write_text("localhost ansible_connection=local\n")
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "was played"}}]}
    (repository / "links.yml").write_text(yaml.safe_dump([play]))
    commit("key")
    assert pull() == (0, True, False)
    # a program, as an inventory can have
    program = repository / "inventory/program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho '{{}}'\n")
    program.chmod(0o755)
    commit("other")
    assert pull() == (2, False, False)
    assert pull() == (2, False, False)
    program.write_text(program.read_text() + "\n")
    commit("key")
    assert pull() == (0, True, True)


def test_the_ssh_example_has_the_three_lines_to_edit():
    text = (ROOT / "inventory_ssh/hosts.yml").read_text()
    assert re.findall(r"# (\d):", text) == ["1", "2", "3"]


@pytest.mark.parametrize("document", ["README.md", "docs/map.md"])
@pytest.mark.parametrize("inventory", ["inventory", "inventory_ssh"])
def test_first_map_of_a_document_is_that_of_the_inventory(document, inventory):
    links = (ROOT / inventory / "group_vars/all/ambassador.yml").read_text()
    assert yaml.safe_load(blocks(document, "yaml")[0]) == yaml.safe_load(links)


def test_what_is_shown_of_two_teams_is_what_is_tested():
    shown = blocks("docs/meshes.md", "yaml")
    tested = [(ROOT / "molecule/meshes" / name).read_text() for name in ("inventory/group_vars/all/ambassador.yml", "blue.yml")]
    assert [yaml.safe_load(text) for text in shown] == [yaml.safe_load(text) for text in tested]


def test_what_is_shown_of_a_redis_that_elects_its_own_primary_is_what_is_tested():
    scenario, page = ROOT / "molecule/sentinel", (ROOT / "docs/sentinel.md").read_text()
    links, *shown = re.findall(r"^```\w*\n(.*?)^```", page, re.M | re.S)
    assert yaml.safe_load(links) == yaml.safe_load((scenario / "inventory/group_vars/all/ambassador.yml").read_text())
    # as Ansible renders them for vm2
    tested = [(scenario / name).read_text() for name in ("store.conf", "sentinel.conf", "start.sh")]
    assert shown == [jinja2.Template(text, trim_blocks=True, keep_trailing_newline=True).render(number=2) for text in tested]


def test_what_is_shown_of_metrics_is_what_is_tested():
    inventory = yaml.safe_load((ROOT / "molecule/anywhere/inventory/hosts.yml").read_text())
    # the other one is what the scenario runs Prometheus with
    assert yaml.safe_load(blocks("docs/metrics.md", "yaml")[0]) == inventory["VM2"]["hosts"]["vm2"]
    rules = yaml.safe_load((ROOT / "roles/ambassador_engine/files/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    alerts = re.findall(r"^\| `(Ambassador\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert alerts == [rule["alert"] for rule in rules]


def test_the_tutorial_shows_the_example_that_is_tested():
    shown = [block.partition("\n") for block in blocks("docs/tutorial.md", "yaml")]
    assert len(shown) == 7
    for head, _, text in shown:
        assert (ROOT / head.removeprefix("# ")).read_text().removeprefix("---\n") == text, head


def test_map_of_compose_projects_is_that_of_the_tutorial():
    example = yaml.safe_load((ROOT / "examples/shop/inventory/group_vars/all/ambassador.yml").read_text())
    assert yaml.safe_load(blocks("docs/map.md", "yaml")[1]) == example


@pytest.mark.parametrize("page", PAGES)
def test_every_map_of_a_page_is_a_right_one(page):
    for block in blocks(page, "yaml"):
        # a lookup merges pieces, which are maps as well
        for name, links in (yaml.safe_load(block) or {}).items() if "ambassador_links" in block else ():
            if name.startswith("ambassador_links") and isinstance(links, dict):
                assert Wiring(links, lambda pattern: [pattern], "haproxy", tls=True).problems == [], block


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_that_a_page_names_is_one(page):
    named = set(re.findall(r"(?<![\w/])`?((?:ambassador|redis_server|redis_client)_\w+)(?=:|`)", (ROOT / page).read_text()))
    # what begins alike and is none: containers, pieces of a map, and metrics
    alike = r"ambassador_(\w+_)?(server|client)(_\d|_standin)?|ambassador_links__\w+|ambassador_\w+_(info|seconds)"
    named = {name for name in named if not re.fullmatch(alike, name)}
    assert named - known_variables() == set()


def strings(value):
    """Return all strings in what a YAML file holds."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings(one)]


def sentences():
    """Return what the sources can say, as regular expressions: whatever is filled in is anything."""
    # of each the parts that are said as they stand, and None for what is filled in
    found = []
    for path in (ROOT / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append([part.value if isinstance(part, ast.Constant) else None for part in node.values])
    for path in [*(ROOT / "roles").rglob("tasks/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]:
        for text in strings(yaml.safe_load(path.read_text())):
            # what Jinja says itself stands in quotes
            for said in [" ".join(text.split()), *re.findall(r"undef\('(.*?)'", text)]:
                found.append([None if part.startswith("{{") else part for part in re.split(r"({{.*?}})", said)])
    # a message follows its place
    for message in (*ControllerMessage, *StatusMessage, *RedisMessage):
        first, *others = re.split(r"\{\w+\}", f"{message.cause} {message.remedy}".strip())
        found.append([None, first, *(part for text in others for part in (None, text))])
    # one that says little by itself is any sentence
    telling = [parts for parts in found if len("".join(filter(None, parts))) > 40]
    return ["".join(".*" if part is None else re.escape(part) for part in parts) for parts in telling]


def test_every_message_of_the_pages_is_one_that_the_sources_say():
    said = [re.compile(pattern) for pattern in sentences()]
    shown = [
        line for page in ("docs/troubleshooting.md", "docs/certificates.md") for block in blocks(page, "") for line in block.splitlines()
    ]
    assert len(shown) > 15
    assert [line for line in shown if not any(pattern.fullmatch(line) for pattern in said)] == []


def test_the_images_that_are_named_are_those_of_the_roles():
    told = re.findall(r"`(\w+_image)`", (ROOT / "docs/offline.md").read_text())
    named = dict(re.findall(r"^\| `(\S+)` \(`(\w+_image)`", (ROOT / "docs/offline.md").read_text(), re.M))
    defaults = {}
    for path in (ROOT / "roles").glob("*/defaults/main.yml"):
        defaults |= {name: value for name, value in yaml.safe_load(path.read_text()).items() if name.endswith("_image")}
    assert set(told) == set(defaults)
    assert {defaults[variable]: variable for variable in named.values()} == named


def test_every_page_is_reached_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [page for page in PAGES if f"({page})" not in readme] == []


# key of a link -> another value, if the example of the schema has other hosts or does not differ
CHANGED = {
    "port": 6380,
    "ports": [6379, 7000],
    "servers": "vm1:vm3",
    "clients": "vm2:vm3",
    "backend": "other:1",
}


def costs():
    """Return what is said of each change: its name -> (server side, client side), what becomes of its containers."""
    table = (
        (ROOT / "docs/changes.md").read_text().partition("| change | server side | client side |\n|---|---|---|\n")[2].partition("\n\n")[0]
    )
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return {change.strip("`"): (server, client) for changes, server, client in rows for change in changes.split(", ")}


@pytest.mark.parametrize("key", [*SCHEMA, "a removed link", "a new link"])
def test_it_is_told_what_every_change_of_the_map_costs(key):
    kernel = key == "protocol"
    link = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}
    other = {**link, "port": 5432}
    if key == "ports":
        link = {**link, "ports": [6379], "backend": "redis_server"}
        del link["port"]
    hostvars = {f"vm{number}": {"ambassador_address": f"198.18.0.1{number}"} for number in (1, 2, 3)}
    hosts = {name: Host(name, [found["ambassador_address"]]) for name, found in hostvars.items()}
    before = {"redis": link, "other": other} if key != "a new link" else {"other": other}
    after = {"redis": link | ({key: CHANGED.get(key, SCHEMA[key].example)} if key in SCHEMA else {}), "other": other}
    after = {"other": other} if key == "a removed link" else after
    fleet = Fleet(before, hosts, hostvars, engine="nftables" if kernel else "haproxy")
    for host in hosts.values():
        host.observed["networks"]["shop_default"] = {"ours": False, "ipv6": False, "pools": []}
    fleet.deploy()
    ids = {name: {one: found["id"] for one, found in host.observed["containers"].items()} for name, host in hosts.items()}
    fleet.links = after
    plans = fleet.deploy()
    assert plans["vm2", "client"]["problems"] == []
    said = costs()[key]
    for name, side, told in (("vm1", "server", said[0]), ("vm2", "client", said[1])):
        there = {
            names.name_side_container(side, names.DEFAULT, number): found["id"]
            for number, found in find_side_containers(side, hosts[name].observed).items()
        }
        # nothing is made anew, whatever the change
        assert [one for one in there if one in ids[name] and ids[name][one] != there[one]] == []
        assert (len(there) > 1) == told.startswith(("additional container", "as `publish`")), (side, told)
        changed = [one["name"] for one in plans[name, side].get("containers", [])]
        assert (f"ambassador_{side}" in changed) == told.startswith("joins"), (side, told)


def test_workflow_runs_each_supported_ansible_core():
    job = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]
    matrix = {run["core"]: run["python"] for run in job["strategy"]["matrix"]["include"]}
    assert set(matrix) == {path.stem.removeprefix("core-") for path in (ROOT / "requirements").glob("core-*.txt")}
    assert [step["env"] for step in job["steps"] if step.get("run") == ".ci/run"] == [{"CORE": "${{ matrix.core }}"}]
    supported = re.findall(r"^\| (2\.\d+) \| ([\d.]+) to ", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert set(matrix) == {core for core, _ in supported}
    assert [core for core, oldest in supported if [*map(int, matrix[core].split("."))] < [*map(int, oldest.split("."))]] == []


def test_every_path_that_the_contributors_are_told_exists():
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 20
    around = (ROOT, ROOT / "roles/ambassador_engine")
    made = ("docs/benchmarks",)
    assert [name for name in named if name not in made and not any((place / name).exists() for place in around)] == []


def test_every_test_that_stands_for_security_exists():
    named = set(re.findall(r"\b(test_\w+)(?:\[|`)", (ROOT / "SECURITY.md").read_text()))
    tests = "".join(path.read_text() for folder in ("molecule", "tests/unit") for path in (ROOT / folder).rglob("test_*.py"))
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []


def fields(schema, node, path=""):
    """Return a row for each field of a JSON Schema: its path, what it holds, what it means."""
    for name, said in node.get("properties", {}).items():
        field = {**(schema["$defs"][said["$ref"].rpartition("/")[2]] if "$ref" in said else {}), **said}
        types = field.get("type", "string")
        holds = " or ".join(types if isinstance(types, list) else [types])
        words = [f"`{json.dumps(value)}`" for value in field.get("enum", [field["const"]] if "const" in field else [])]
        at = f"{path}{name}" + ("[]" if types == "array" else "")
        yield f"| `{at}` | {', '.join(words) or holds} | {field['description']} |"
        yield from fields(schema, field.get("items", field), f"{at}.")


def test_the_table_of_the_status_is_that_of_its_schema():
    schema = json.loads((ROOT / "docs/status.schema.json").read_text())
    table = "\n".join(["| field | holds | means |", "|---|---|---|", *fields(schema, schema)])
    assert (ROOT / "docs/status.md").read_text().partition("the field `format`.\n\n")[2] == f"{table}\n"
