# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the last runs have changed of one side, as its host remembers it."""

from __future__ import annotations

import json
import os

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import write_file

FILE = "history.json"
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
# entries that are kept
KEPT = 20


def read(path):
    """Return what the last runs have changed, the newest first; nothing where no run has, or the file is not ours.

    :param str path: the state directory of the side
    :return: of each ``time`` (UTC, ISO 8601), ``lines`` (what the plan said, list[str]) and ``worked`` (bool: whether the links led
        through)
    :rtype: list[dict]
    """
    try:
        with open(os.path.join(path, FILE), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return []


def add(path, entry):
    """Remember what a run has changed.

    :param str path: the state directory of the side
    :param dict entry: see :func:`read`
    :raises OSError: where it cannot be written
    """
    content = json.dumps([entry, *read(path)][:KEPT]).encode()
    write_file(os.path.join(path, FILE), content, os.geteuid(), permissions.FILE)
