"""Each file is in one room of ARCHITECTURE.md, and imports only what that room may import."""

import ast
import fnmatch
import functools
import re

import pytest
from conftest import ROOT

PREFIX = "ansible_collections.crosshost.ambassador.plugins."
FOLDERS = ("modules", "module_utils", "plugin_utils", "action", "filter", "lookup")


@functools.cache
def rooms():
    """Return room -> (patterns of its files, rooms that it imports)."""
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("| room |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: (re.findall(r"`([^`]+)`", files), list(filter(None, re.split(r", *", imports)))) for name, files, imports in rows}


def files():
    return sorted(f"{folder}/{path.stem}" for folder in FOLDERS for path in (ROOT / "plugins" / folder).glob("*.py"))


@functools.cache
def rooms_of(file):
    return [room for room, (patterns, _) in rooms().items() if any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)]


def imports_of(file):
    """Return the files of this collection that a file imports."""
    imported = set()
    for node in ast.walk(ast.parse((ROOT / f"plugins/{file}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
            module = node.module.removeprefix(PREFIX).replace(".", "/")
            imported |= {module} if "/" in module else {f"{module}/{alias.name}" for alias in node.names}
    return imported


def test_each_file_is_in_one_room():
    assert {file: rooms_of(file) for file in files() if len(rooms_of(file)) != 1} == {}


def test_no_file_is_too_long():
    lengths = {file: len((ROOT / f"plugins/{file}.py").read_text().splitlines()) for file in files()}
    assert {file: length for file, length in lengths.items() if length > 450} == {}


def test_each_room_has_files():
    patterns = [pattern for patterns, _ in rooms().values() for pattern in patterns]
    assert [pattern for pattern in patterns if not fnmatch.filter(files(), pattern)] == []


@pytest.mark.parametrize("room", rooms())
def test_room_imports_only_what_it_may(room):
    allowed = {room, *rooms()[room][1]}
    assert allowed <= set(rooms())
    wrong = {
        (file, imported)
        for file in files()
        if rooms_of(file) == [room]
        for imported in imports_of(file)
        if not allowed.issuperset(rooms_of(imported))
    }
    assert wrong == set()


def test_rooms_import_each_other_in_one_direction():
    remaining = {room: set(imports) for room, (_, imports) in rooms().items()}
    while remaining:
        free = [room for room, imports in remaining.items() if not imports & set(remaining)]
        assert free, remaining
        for room in free:
            del remaining[room]
