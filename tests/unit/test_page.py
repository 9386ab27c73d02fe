"""The page of a status: its contents, and that it escapes all values."""

import html.parser
import json
import pathlib
import re
import stat
import time

import jsonschema
import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _page as page
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage
from conftest import ROOT
from fleet import big, small, some

SCHEMA = json.loads((ROOT / "docs/status.schema.json").read_text())
EVIL = "<script>alert('x')</script>\"'&"


class ParsedPage(html.parser.HTMLParser):
    """The elements and texts of a page, as a browser reads them."""

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


def fill_report(word):
    """Return a status in which each value of a host or a map is one word."""
    report = small()
    report["problems"] = report["warnings"] = [word]
    report["verdict"] = report["mesh"] = report["links"][0]["alias"] = report["targets"][0]["link"] = word
    report["links"][0]["clients"] = [word]
    for key in ("host", "target", "address", "state", "check"):
        report["targets"][0][key] = word
    report["hosts"][0].update(name=word, engine=word)
    report["hosts"][0]["sides"][0]["generation"] = word
    report["history"][0].update(host=word, lines=[word])
    return report


def test_values_of_hosts_and_maps_are_escaped():
    plain, parsed = (ParsedPage(page.render_page(fill_report(word))) for word in ("word", EVIL))
    assert [(tag, sorted(attributes)) for tag, attributes in parsed.elements] == [
        (tag, sorted(attributes)) for tag, attributes in plain.elements
    ]
    assert parsed.scripts == plain.scripts
    assert "".join(parsed.text).count(EVIL) > 15
    assert parsed.of_class("link")[0]["data-names"].startswith(EVIL)


@pytest.mark.parametrize("status", [small, some, big])
def test_reports_of_these_tests_have_the_form_of_the_schema(status):
    jsonschema.validate(status(), SCHEMA, jsonschema.Draft202012Validator)


def test_page_needs_no_other_file_and_runs_no_other_script():
    text = page.render_page(small())
    parsed = ParsedPage(text)
    assert [attributes for _, attributes in parsed.elements if {"src", "action"} & set(attributes)] == []
    assert [attributes["href"] for _, attributes in parsed.elements if "href" in attributes] == ["data:,"]
    assert re.findall(r"url\(|@import", text) == []
    (policy,) = (attributes["content"] for _, attributes in parsed.elements if attributes.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    (script,) = parsed.scripts
    assert f"script-src 'sha256-{page.hash_script(script)}'" in policy


def test_card_shows_hosts_states_and_connections():
    text = page.render_page(small())
    parsed = ParsedPage(text)
    words = [word.strip() for word in parsed.text if word.strip()]
    assert {"redis", "vm1", "vm2", "3 connections", "UP 1m30s", "85 days", "+ redis vm2 -> vm1 (198.18.0.11:6379)"} <= set(words)
    (link,) = parsed.of_class("link")
    assert (link["data-link"], link["data-health"], link["data-names"]) == ("redis", "up", "redis vm2 vm1")
    # the picture of all would be that of the one
    assert parsed.of_class("map") == []


def test_many_links_are_drawn_in_time_with_the_worst_first():
    report, begin = big(), time.monotonic()
    text = page.render_page(report)
    assert time.monotonic() - begin < 10
    assert len(text) < 2_000_000
    parsed = ParsedPage(text)
    links = parsed.of_class("link")
    assert {link["data-link"] for link in links} == {link["alias"] for link in report["links"]}
    assert len(links) == 200
    assert [link["data-health"] for link in links[:6]] == ["down"] * 3 + ["degraded"] * 3
    edges = parsed.of_class("join")
    pairs = {(target["host"], target["target"]) for target in report["targets"]}
    assert len(edges) == len(pairs)
    # drawn last, on top
    assert [edge["data-health"] for edge in edges][-1] == "down"


def test_clients_with_the_same_health_are_counted_if_there_are_many():
    report = small(clients=[f"vm{number}" for number in range(2, 32)])
    report["targets"][20].update(health="down", state="DOWN")
    card = page.draw_card(report["links"][0], report["targets"])
    assert [end["name"] for end in card["left"]] == ["vm22", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7", "23 more"]
    assert sum(end["connections"] for end in card["left"]) == card["connections"] == 90
    # one is not counted, but drawn
    few = small(clients=[f"vm{number}" for number in range(2, 9)])
    assert [end["name"] for end in page.draw_card(few["links"][0], few["targets"])["left"]][-1] == "vm8"


def test_card_shows_backends_if_no_client_is_in_the_run():
    report = small()
    report["links"][0]["clients"] = []
    backend = {**report["targets"][0], "host": "vm1", "side": "server", "target": "redis_server"}
    card = page.draw_card(report["links"][0], [backend, {**backend, "target": "vm3", "health": "down"}])
    assert card["left"] == []
    assert [(end["name"], end["health"]) for end in card["right"]] == [("vm1", "up")]
    # what is no target any more is not drawn
    card = page.draw_card(report["links"][0], [{**backend, "health": "leaving"}])
    assert [(end["name"], end["health"]) for end in card["right"]] == [("vm1", "unknown")]


def test_link_is_drawn_if_no_target_is_known():
    report = small()
    report["targets"] = []
    report["links"][0]["health"] = "unknown"
    card = page.draw_card(report["links"][0], [])
    assert [(end["name"], end["health"]) for end in card["left"] + card["right"]] == [("vm2", "unknown"), ("vm1", "unknown")]
    assert ParsedPage(page.render_page(report)).of_class("link")[0]["data-health"] == "unknown"


def test_page_and_json_are_replaced_and_readable_for_all(tmp_path):
    path = tmp_path / "status.html"
    path.write_text("before")
    page.write_page(path, small())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["status.html", "status.json"]
    assert path.read_text() == page.render_page(small())
    assert json.loads((tmp_path / "status.json").read_text()) == small()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o644}


def test_host_with_another_page_than_the_run_is_refused():
    assert page.find_differing_page("a.html", {"vm1": None, "vm2": "a.html"}) is None
    assert page.find_differing_page(None, {"vm1": None}) is None
    differing = StatusMessage.PAGE_DIFFERS
    assert page.find_differing_page(None, {"vm1": None, "vm2": "b.html"}) == differing.at(
        Place(host="vm2"), page="b.html", page_of_run="no page"
    )
    assert page.find_differing_page("a.html", {"vm1": "b.html"}) == differing.at(Place(host="vm1"), page="b.html", page_of_run="a.html")


@pytest.mark.parametrize(
    ("name", "message"),
    [("status.txt", StatusMessage.PAGE_NOT_HTML), ("gone/status.html", StatusMessage.PAGE_DIRECTORY_MISSING)],
)
def test_page_that_cannot_be_written_is_refused(tmp_path, name, message):
    path = pathlib.Path(tmp_path / name)
    problem = page.find_page_problem(path)
    assert (problem.message, problem.place.variable) == (message, "status_page")
    assert str(path if message is StatusMessage.PAGE_NOT_HTML else path.parent) in str(problem)
    assert page.find_page_problem(tmp_path / "status.html") is None
    assert page.find_page_problem(tmp_path / "status.html", "all").message is StatusMessage.PAGE_OF_ALL_MESHES
