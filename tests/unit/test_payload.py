"""The size of the code that Ansible sends to each host in each run."""

import ast

from conftest import ROOT

MODULE_UTILS = "ansible_collections.crosshost.ambassador.plugins.module_utils"
MAX_LINES = 1600


def imported_files(path):
    """Return the files of the collection that a module or module utility imports."""
    files = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(MODULE_UTILS):
            name = node.module.removeprefix(MODULE_UTILS).lstrip(".")
            files |= {ROOT / f"plugins/module_utils/{each}.py" for each in ([name] if name else [alias.name for alias in node.names])}
    return files


def shipped_files(path):
    """Return a module and all files that Ansible sends with it."""
    files, pending = set(), {path}
    while pending:
        files |= pending
        pending = {imported for each in pending for imported in imported_files(each)} - files
    return files


def test_observation_sends_little_code_to_a_host():
    files = shipped_files(ROOT / "plugins/modules/observation_info.py")
    assert ROOT / "plugins/module_utils/_haproxy.py" in files
    lines = {path.name: len(path.read_text().splitlines()) for path in files}
    assert sum(lines.values()) <= MAX_LINES, lines
