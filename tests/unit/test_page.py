"""The page of a status: what it shows, and that nothing in it is more than data."""

import html.parser
import json
import pathlib
import re
import stat
import time

import jsonschema
import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _page as page
from conftest import ROOT
from fleet import big, small, some

SCHEMA = json.loads((ROOT / "docs/status.schema.json").read_text())
EVIL = "<script>alert('x')</script>\"'&"


class Seen(html.parser.HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.scripts, self.within = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))
        self.within = tag == "script"

    def handle_endtag(self, tag):
        """Leave a script."""
        self.within = False

    def handle_data(self, data):
        """Keep a text."""
        (self.scripts if self.within else self.text).append(data)

    def of_class(self, name):
        """Return the attributes of the elements of a class."""
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


def saying(word):
    """Return a status in which everything that a host or a map says is one word."""
    found = small()
    found["problems"] = found["warnings"] = [word]
    found["verdict"] = found["mesh"] = found["links"][0]["alias"] = found["targets"][0]["link"] = word
    found["links"][0]["clients"] = [word]
    for key in ("host", "target", "address", "state", "check"):
        found["targets"][0][key] = word
    found["hosts"][0].update(name=word, engine=word)
    found["hosts"][0]["sides"][0]["generation"] = word
    found["history"][0].update(host=word, lines=[word])
    return found


def test_what_hosts_and_maps_say_is_escaped():
    plain, seen = (Seen(page.render(saying(word))) for word in ("word", EVIL))
    assert [(tag, sorted(attributes)) for tag, attributes in seen.elements] == [
        (tag, sorted(attributes)) for tag, attributes in plain.elements
    ]
    assert seen.scripts == plain.scripts
    assert "".join(seen.text).count(EVIL) > 15
    assert seen.of_class("link")[0]["data-names"].startswith(EVIL)


@pytest.mark.parametrize("status", [small, some, big])
def test_what_is_drawn_here_is_a_status(status):
    jsonschema.validate(status(), SCHEMA, jsonschema.Draft202012Validator)


def test_it_needs_no_other_file_and_runs_no_other_script():
    text = page.render(small())
    seen = Seen(text)
    assert [attributes for _, attributes in seen.elements if {"src", "action"} & set(attributes)] == []
    assert [attributes["href"] for _, attributes in seen.elements if "href" in attributes] == ["data:,"]
    assert re.findall(r"url\(|@import", text) == []
    (policy,) = (attributes["content"] for _, attributes in seen.elements if attributes.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    (script,) = seen.scripts
    assert f"script-src 'sha256-{page.sha256(script)}'" in policy


def test_a_link_is_drawn_with_what_it_does():
    text = page.render(small())
    seen = Seen(text)
    words = [word.strip() for word in seen.text if word.strip()]
    assert {"redis", "vm1", "vm2", "3 connections", "UP 1m30s", "85 days", "+ redis vm2 -> vm1 (198.18.0.11:6379)"} <= set(words)
    (link,) = seen.of_class("link")
    assert (link["data-link"], link["data-health"], link["data-names"]) == ("redis", "up", "redis vm2 vm1")
    # the picture of all would be that of the one
    assert seen.of_class("map") == []


def test_many_hosts_and_links_are_drawn_in_time_and_the_worst_come_first():
    found, begin = big(), time.monotonic()
    text = page.render(found)
    assert time.monotonic() - begin < 10
    assert len(text) < 2_000_000
    seen = Seen(text)
    links = seen.of_class("link")
    assert {link["data-link"] for link in links} == {link["alias"] for link in found["links"]}
    assert len(links) == 200
    assert [link["data-health"] for link in links[:6]] == ["down"] * 3 + ["degraded"] * 3
    edges = seen.of_class("join")
    pairs = {(target["host"], target["target"]) for target in found["targets"]}
    assert len(edges) == len(pairs)
    # drawn last, on top
    assert [edge["data-health"] for edge in edges][-1] == "down"


def test_of_many_clients_that_are_alike_the_first_are_drawn_and_the_others_counted():
    found = small(clients=[f"vm{number}" for number in range(2, 32)])
    found["targets"][20].update(health="down", state="DOWN")
    one = page.card(found["links"][0], found["targets"])
    assert [end["name"] for end in one["left"]] == ["vm22", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7", "23 more"]
    assert sum(end["connections"] for end in one["left"]) == one["connections"] == 90
    # one is not counted, but drawn
    few = small(clients=[f"vm{number}" for number in range(2, 9)])
    assert [end["name"] for end in page.card(few["links"][0], few["targets"])["left"]][-1] == "vm8"


def test_a_link_of_which_no_client_was_asked_shows_its_backends():
    found = small()
    found["links"][0]["clients"] = []
    backend = {**found["targets"][0], "host": "vm1", "side": "server", "target": "redis_server"}
    one = page.card(found["links"][0], [backend, {**backend, "target": "vm3", "health": "down"}])
    assert one["left"] == []
    assert [(end["name"], end["health"]) for end in one["right"]] == [("vm1", "up")]
    # what is no target any more is not drawn
    one = page.card(found["links"][0], [{**backend, "health": "leaving"}])
    assert [(end["name"], end["health"]) for end in one["right"]] == [("vm1", "unknown")]


def test_a_link_of_which_nothing_is_known_is_drawn():
    found = small()
    found["targets"] = []
    found["links"][0]["health"] = "unknown"
    one = page.card(found["links"][0], [])
    assert [(end["name"], end["health"]) for end in one["left"] + one["right"]] == [("vm2", "unknown"), ("vm1", "unknown")]
    assert Seen(page.render(found)).of_class("link")[0]["data-health"] == "unknown"


def test_page_and_json_are_written_whole_and_readable(tmp_path):
    path = tmp_path / "status.html"
    path.write_text("before")
    page.write(path, small())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["status.html", "status.json"]
    assert path.read_text() == page.render(small())
    assert json.loads((tmp_path / "status.json").read_text()) == small()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o644}


def test_a_host_with_another_page_than_the_run_is_refused():
    assert page.misplaced("a.html", {"vm1": None, "vm2": "a.html"}) is None
    assert page.misplaced(None, {"vm1": None}) is None
    assert page.misplaced(None, {"vm1": None, "vm2": "b.html"}).startswith("Host vm2: status_page is b.html, but this run writes no page.")
    assert "but this run writes a.html. Set status_page with -e" in page.misplaced("a.html", {"vm1": "b.html"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("status.txt", "expected the name of a file that ends in .html, found {}"),
        ("gone/status.html", "expected a directory {0.parent} on the controller, found none"),
    ],
)
def test_a_page_that_cannot_be_written_is_told(tmp_path, name, said):
    path = pathlib.Path(tmp_path / name)
    assert page.problem(path).startswith("status_page: " + said.format(path))
    assert page.problem(tmp_path / "status.html") is None
    assert page.problem(tmp_path / "status.html", "all").startswith("status_page: expected one mesh, of which there is a page,")
