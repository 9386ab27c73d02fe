# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The changes of one side by the last runs, in a file on its host."""

from __future__ import annotations

import json
import os

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import write_file

FILE = "history.json"
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
# version 1.0.0 of the collection wrote only the list of entries
FORMAT = 1
MAX_ENTRIES = 20


def read(path):
    """Return the changes of the last runs, the newest first. Nothing if there is no file, or if it cannot be read.

    :param str path: the state directory of the side
    :return: entries with ``time`` (UTC, ISO 8601), ``lines`` (list[str], the lines of the plan), and ``worked`` (bool, whether all links
        were up)
    :rtype: list[dict]
    """
    try:
        with open(os.path.join(path, FILE), encoding="utf-8") as file:
            content = json.load(file)
        return content if isinstance(content, list) else content["entries"]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def add(path, entry):
    """Add the changes of a run.

    :param str path: the state directory of the side
    :param dict entry: see :func:`read`
    :raises OSError: if the file cannot be written
    """
    content = json.dumps({"format": FORMAT, "entries": [entry, *read(path)][:MAX_ENTRIES]}).encode()
    write_file(os.path.join(path, FILE), content, os.geteuid(), permissions.FILE)
