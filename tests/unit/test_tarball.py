"""What is built for Galaxy holds what runs and the texts, and nothing that lay about in the tree."""

import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tarball_holds_what_runs_and_the_texts(tmp_path):
    subprocess.run(["ansible-galaxy", "collection", "build", str(ROOT), f"--output-path={tmp_path}"], capture_output=True, check=True)
    (tarball,) = tmp_path.iterdir()
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} == {
        "FILES.json",
        "MANIFEST.json",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "SECURITY.md",
        "changelogs",
        "docs",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }
    # of what is measured the pages and their pictures; of the site nothing
    assert [name for name in names if name.startswith(("docs/site", "docs/benchmarks/")) and not name.endswith((".md", ".svg"))] == []


def test_no_directory_of_a_ca_gets_into_the_tarball(tmp_path):
    tree = tmp_path / "tree"
    for place in ("", "playbooks", "docs/deeper/inventory"):
        (tree / place / ".ambassador").mkdir(parents=True)
        (tree / place / ".ambassador/ca.key").write_text("key")
    (tree / "galaxy.yml").write_text((ROOT / "galaxy.yml").read_text())
    (tree / "README.md").write_text("")
    subprocess.run(["ansible-galaxy", "collection", "build", str(tree), f"--output-path={tmp_path}/built"], capture_output=True, check=True)
    (tarball,) = (tmp_path / "built").iterdir()
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "playbooks" in names
    assert [name for name in names if ".ambassador" in name] == []
