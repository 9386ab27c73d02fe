"""The dashboard that the collection ships: what Grafana reads of it. Its queries are asked in the scenario anywhere."""

import json
import re

from conftest import ROOT
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARD = json.loads((ROOT / "roles/ambassador_engine/files/monitoring/dashboard.json").read_text())
PANELS = DASHBOARD["panels"]


def unknown(said, read, where=""):
    """Return the places of what was said, and was not read."""
    if isinstance(said, dict) and isinstance(read, dict):
        return [place for key, value in said.items() for place in unknown(value, read.get(key), f"{where}.{key}")]
    if isinstance(said, list) and isinstance(read, list) and len(said) == len(read):
        return [place for number, pair in enumerate(zip(said, read, strict=True)) for place in unknown(*pair, f"{where}[{number}]")]
    return [] if said == read else [where]


def test_grafana_knows_every_word_of_it():
    register_default_plugins()
    assert unknown(DASHBOARD, json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))) == []


def test_panels_do_not_overlap_and_know_their_variables():
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) == known
    cells = []
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        assert panel["title"]
        assert panel["targets"]
        cells += [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_a_state_has_the_colour_of_its_threshold():
    # a state timeline that does not say so is coloured along a scale, on which the most is red
    coloured = [panel for panel in PANELS if panel["type"] in ("state-timeline", "stat")]
    assert [panel["fieldConfig"]["defaults"]["color"] for panel in coloured] == [{"mode": "thresholds"}] * 4
