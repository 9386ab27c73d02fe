"""What is built for Galaxy holds what runs and the texts, and nothing that lay about in the tree."""

import json
import subprocess
import tarfile

import pytest
import yaml
from conftest import ROOT
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


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
        "CODE_OF_CONDUCT.md",
        "ARCHITECTURE.md",
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


@pytest.fixture(scope="module")
def release(clone):
    """The directory that `make release` writes in a clone, with the environment of these tests."""
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    secret = clone / "roles/vault-password"
    secret.write_text("secret")
    subprocess.run(["make", "--assume-old=venv", "release"], cwd=clone, capture_output=True, check=True)
    secret.unlink()
    return clone / ".cache/release"


def test_release_has_checksums_of_the_tarball_and_the_bill_of_materials(release):
    names = {path.name for path in release.iterdir()}
    (tarball,) = (name for name in names if name.endswith(".tar.gz"))
    assert names == {tarball, tarball.replace(".tar.gz", ".cdx.json"), "SHA256SUMS"}
    verified = subprocess.check_output(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=release, text=True)
    assert verified.count(": OK") == 2


def test_release_holds_only_files_of_git(release):
    (tarball,) = release.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "roles/redis_server/defaults/main.yml" in names
    assert [name for name in names if "vault" in name] == []


def test_bill_of_materials_is_valid_and_lists_what_the_collection_requires(release):
    (bill,) = (path.read_text() for path in release.glob("*.cdx.json"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    found = json.loads(bill)
    info = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert (found["metadata"]["component"]["name"], found["metadata"]["component"]["version"]) == ("crosshost.ambassador", info["version"])
    (tarball,) = release.glob("*.tar.gz")
    (checksum,) = (one["content"] for one in found["metadata"]["component"]["hashes"] if one["alg"] == "SHA-256")
    assert f"{checksum}  {tarball.name}" in (release / "SHA256SUMS").read_text().splitlines()

    components = {one["bom-ref"]: one for one in found["components"]}
    required = {
        ref: [each["value"] for each in one["properties"] if each["name"].endswith(":requirement")]
        for ref, one in components.items()
        if "properties" in one
    }
    libraries = (ROOT / "meta/ee-requirements.txt").read_text().split()
    assert {name: value for name, value in required.items() if value} == {
        "controller/ansible-core": [yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]],
        **{f"controller/{name}": [value] for name, value in info["dependencies"].items()},
        **{f"controller/{line.partition('>')[0]}": [f">{line.partition('>')[2]}"] for line in libraries},
    }
    images = set()
    for path in (ROOT / "roles").glob("*/defaults/main.yml"):
        images |= {value for name, value in yaml.safe_load(path.read_text()).items() if name.endswith("_image")}
    assert {f"{one['name']}:{one['version']}" for one in components.values() if one["type"] == "container"} == images
    by_name = {one["name"]: one for one in components.values()}
    assert by_name["alpine/socat"]["purl"] == f"pkg:docker/alpine/socat@{by_name['alpine/socat']['version']}"
    # it is built, and in no registry
    assert "purl" not in by_name["ambassador-nftables"]
    assert {"host/requests", "host/cryptography"} < set(components)
    depends = {one["ref"]: set(one.get("dependsOn", [])) for one in found["dependencies"]}
    assert depends["crosshost.ambassador"] == set(components)
