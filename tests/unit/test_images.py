"""The default images: supported lines with all known security fixes, see requirements/images.yml."""

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
FLOORS = yaml.safe_load((ROOT / "requirements/images.yml").read_text())


def default_images():
    """Return ``FILE: VARIABLE`` -> image, of all defaults of the roles and of their documentation."""
    found = {}
    for path in (ROOT / "roles").glob("*/defaults/main.yml"):
        found |= {f"{path}: {name}": value for name, value in yaml.safe_load(path.read_text()).items()}
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        found |= {f"{path}: {name}": option.get("default") for name, option in options.items()}
    return {name.removeprefix(f"{ROOT}/roles/"): value for name, value in found.items() if name.endswith("_image")}


def numbers(version):
    return [int(number) for number in version.split(".")]


def problem(image):
    """Return what is wrong with a default image, or None."""
    match = re.fullmatch(r"(.+):([0-9]+(?:\.[0-9]+)+)", image)
    if not match or match[1] not in FLOORS:
        return f"{image}: requirements/images.yml has no floor for it"
    floors = FLOORS[match[1]]["lines"]
    line = next((line for line in floors if numbers(match[2])[: len(numbers(line))] == numbers(line)), None)
    if line is None:
        return f"{image}: its line has no security fixes; use one of {', '.join(floors)}"
    return f"{image}: older than {floors[line]}" if numbers(match[2]) < numbers(floors[line]) else None


@pytest.mark.parametrize(("name", "image"), default_images().items())
def test_default_image_has_all_known_security_fixes(name, image):
    assert problem(image) is None


def test_all_images_of_the_roles_are_compared():
    assert len(default_images()) == 10
    assert all(set(floor) == {"lines", "reason", "source", "date"} for floor in FLOORS.values())
    assert all(isinstance(line, str) for floor in FLOORS.values() for line in floor["lines"])


@pytest.mark.parametrize(
    ("image", "is_refused"),
    [
        *((f"redis:{version}", True) for version in ("8.0.2", "8.0.99", "7.4.11", "8.2.8", "8.10.0", "8.1.99", "9.0.0", "8", "latest")),
        *((f"redis:{version}", False) for version in ("8.2.9", "8.2.10", "8.8.3", "8.10.2")),
        ("haproxy:3.2.3", True),
        ("haproxy:3.20.26", True),
        ("unknown:1.0.0", True),
    ],
)
def test_versions_are_compared_as_numbers_within_their_line(image, is_refused):
    assert bool(problem(image)) == is_refused


def test_inventories_of_the_lab_name_one_redis():
    paths = [ROOT / "inventory/hosts.yml", *(ROOT / "molecule").glob("*/inventory/hosts.yml")]
    variables = [yaml.safe_load(path.read_text()).get("all", {}).get("vars", {}) for path in paths]
    names = {value for found in variables for name, value in found.items() if name in ("redis_server_image", "redis_client_image")}
    assert names == {"redis:8.0.2-debian"}
