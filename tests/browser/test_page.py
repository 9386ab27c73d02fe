"""The page of a status in Chromium: in the light, in the dark, and on a phone. The pictures lie in .cache/screenshots, to be looked at."""

import base64
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tests/unit")]

from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _page as page
from fleet import big, small, some

IMAGE = "crosshost-lab/browser"
PICTURES = ROOT / ".cache/screenshots"
# expressions that the page evaluates
LINKS = "document.querySelectorAll('.link').length"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """[...document.querySelectorAll("svg text")].filter((text) => {
  const own = text.getBoundingClientRect(), all = text.closest("svg").getBoundingClientRect();
  return own.left < all.left - 1 || own.right > all.right + 1;
}).map((text) => text.textContent)"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
FILTER = """(() => {
  const box = document.getElementById("filter"), trouble = document.getElementById("trouble");
  const shown = () => [...document.querySelectorAll(".link")].filter((link) => link.checkVisibility()).map((link) => link.dataset.link);
  trouble.click();
  const found = [shown()];
  trouble.click();
  for (const words of ["REDIS web01", "no such link", ""]) {
    box.value = words;
    box.dispatchEvent(new Event("input"));
    found.push(shown());
  }
  return found;
})()"""
INTRUDED = "window.intruded === 1"
VIEWS = ("light", "dark", "phone")


@pytest.fixture(scope="module", autouse=True)
def image():
    """Chromium, built where it is not there yet."""
    build = [
        "docker",
        "build",
        "--quiet",
        "--network=host",
        "--label=crosshost.lab=true",
        f"--tag={IMAGE}",
        str(ROOT / "lab/images/browser"),
    ]
    subprocess.run(build, check=True, capture_output=True)


def look(text, *expressions):
    """Return what Chromium makes of a page, without a network."""
    run = ["docker", "run", "--rm", "--interactive", "--network=none", IMAGE, *expressions]
    done = subprocess.run(run, input=text, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("status", [small, some, big])
def test_every_link_is_shown_on_every_screen_and_nothing_is_cut(status):
    found = status()
    seen = look(page.render_page(found), LINKS, OVERFLOW, CUT, BACKGROUND, FILTER)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, view in seen.items():
        (PICTURES / f"{status.__name__}-{name}.png").write_bytes(base64.b64decode(view["picture"]))
    for name in VIEWS:
        assert (seen[name]["errors"], seen[name]["requests"]) == ([], []), name
        links, overflow, cut, _, (trouble, redis, none, everything) = seen[name]["values"]
        assert (links, overflow, cut) == (len(found["links"]), 0, []), name
        assert set(trouble) == {link["alias"] for link in found["links"] if link["health"] != "up"}
        wanted = {link["alias"] for link in found["links"] if "redis" in link["alias"] and "web01.prod.example.com" in link["clients"]}
        assert (set(redis), none, len(everything)) == (wanted, [], len(found["links"]))
    light, dark, phone = (seen[name]["values"][3] for name in VIEWS)
    assert light == phone != dark


def test_a_script_that_got_into_the_page_would_not_run():
    text = page.render_page(small()).replace("</header>", "<script>window.intruded = 1</script></header>")
    seen = look(text, INTRUDED)
    for name in VIEWS:
        assert seen[name]["values"] == [False]
        assert "Content Security Policy" in seen[name]["errors"][0]
