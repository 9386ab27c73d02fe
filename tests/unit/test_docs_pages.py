"""The pages of the documentation: their maps, commands, and parameters hold, and the navigation contains each page."""

import re
import sys

import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.action.plan import known_variables
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._controller import PROTECTED_VARIABLES
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT
from test_docs import PAGES, blocks

sys.path.insert(0, str(ROOT / "docs/site"))
import reference

DOCUMENTS = ["README.md", "SECURITY.md", *PAGES]
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")} - {"hosts"}
SOURCES = "".join(path.read_text() for folder in ("playbooks", "roles") for path in (ROOT / folder).rglob("*.yml"))


def mappings(value):
    """Yield all mappings in what a YAML file holds."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


def maps_of(document):
    """Return the maps that a document shows: settings of the mesh next to the map, and the map."""
    shown = [block for block in blocks(document, "yaml") if "ambassador_links" in block]
    found = [(part, links) for block in shown for part in mappings(yaml.safe_load(block)) for links in part.items()]
    # a lookup merges parts, which are maps as well
    return [(part, links) for part, (name, links) in found if name.startswith("ambassador_links") and isinstance(links, dict)]


def problems_of(settings, links):
    """Return the problems of a map, and of both sides of each of its host patterns, as if each pattern were a host."""
    engine, tls = settings.get("ambassador_engine", "haproxy"), settings.get("ambassador_tls", True)
    mesh = {"mesh": settings["ambassador_mesh"]} if "ambassador_mesh" in settings else {}
    wiring = Wiring(links, lambda pattern: pattern.split(":"), engine, tls=tls, **mesh)
    hosts = sorted({host for link in wiring.links.values() for host in (*link.servers, *link.clients)})
    hostvars = {host: {"ambassador_address": f"198.18.0.{number}"} for number, host in enumerate(hosts, 1)}
    sides = [wiring.side(host, side, hostvars) for host in hosts for side in ("server", "client")]
    return [*wiring.problems, *(problem for side in sides for problem in side["problems"])]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_maps_and_commands_of_a_page_are_accepted(document):
    assert [problems for settings, links in maps_of(document) if (problems := problems_of(settings, links))] == []
    for playbook, options in re.findall(r"ansible-playbook crosshost\.ambassador\.(\w+)([^`\n]*)", (ROOT / document).read_text()):
        assert playbook in PLAYBOOKS, playbook
        for parameter in re.findall(r"(?:-e|--extra-vars)[ =]['\"]?(\w+)=", options):
            assert parameter in known_variables() or re.search(rf"\b{parameter}\b", SOURCES), parameter


def test_maps_are_found_on_many_pages():
    assert len([document for document in DOCUMENTS if maps_of(document)]) > 15


def test_page_of_playbooks_lists_all_playbooks_and_parameters():
    page = (ROOT / "docs/playbooks.md").read_text()
    playbooks, _, parameters = page.partition("## Parameters")
    assert set(re.findall(r"^\| `(\w+)` \|", playbooks, re.M)) == PLAYBOOKS
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", parameters.partition("\n## ")[0], re.M))
    listed = set(rows)
    assert {name for cell in rows.values() for name in re.findall(r"`(\w+)`", cell)} <= PLAYBOOKS
    read = set(re.findall(r"run_variables\.(\w+)", SOURCES))
    assert {"revoke_host", "cut", "separated"} <= PROTECTED_VARIABLES & listed
    assert read <= listed
    assert [name for name in listed if not re.search(rf"\b{name}\b", SOURCES)] == []


@pytest.mark.parametrize("page", reference.PAGES)
def test_reference_page_is_made_from_the_code(page):
    assert (ROOT / page).read_text() == reference.PAGES[page](), "make readmes"


def test_index_and_navigation_contain_each_page_in_the_same_order():
    index = (ROOT / "docs/index.md").read_text()
    listed = re.findall(r"\]\(((?:benchmarks/)?[\w-]+)\.md\)", index.partition("## Project")[0])
    groups = re.findall(r":caption: (.*)\n((?:.+\n)*)```", (ROOT / "docs/site/contents.md").read_text())
    shown = [entry.rpartition("<")[2].rstrip(">") for _, entries in groups for entry in entries.split("\n") if entry]
    pages = [entry.removeprefix("docs/") for entry in shown if entry.startswith("docs/") and entry != "docs/index"]
    about_the_project = ["versions", "hosts"]
    assert [page for page in pages if page not in about_the_project] == listed
    assert sorted(f"docs/{page}.md" for page in [*pages, "index"] if "/" not in page) == PAGES
    assert re.findall(r"^## (.*)$", index, re.M) == [name for name, _ in groups]
    assert "(docs/index.md)" in (ROOT / "README.md").read_text()
