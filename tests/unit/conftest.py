"""The collection is importable by its full name from a plain clone, and its modules run as Ansible runs them."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))


def run_module(name, check=False, **arguments):
    """Run a module of the collection in a process of its own; return what it says."""
    run = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.crosshost.ambassador.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(run.stdout)


def named(files):
    """Return name and files of a generation: the name says the content, and stands in it."""
    name = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    return {"generation": name, "files": {file: content.replace("@generation@", name) for file, content in files.items()}}
