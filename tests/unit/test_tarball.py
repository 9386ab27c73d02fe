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
