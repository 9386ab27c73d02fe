# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keeper of the engine nftables: one question, one answer, through a pipe and a file beside it."""

from __future__ import annotations

import json
import os
import time

from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints


def ask(path, command, timeout=60, budget=None):
    """Send a command to the keeper and return the answer.

    :param str path: path of the pipe
    :param str command: ``show`` or ``reload``
    :param float timeout: seconds to wait for the answer
    :param endpoints.Budget | None budget: the limits of all answers of this endpoint
    :rtype: str
    :raises OSError: if no keeper reads the pipe, it does not answer in time, or something else is in the place of the pipe or the answer
    """
    name = f"answer.{os.getpid()}.{time.monotonic_ns()}"
    # without waiting: a pipe without a reader belongs to a keeper that has ended
    endpoints.write_to_pipe(path, f"{command} {name}\n".encode())
    answer = os.path.join(os.path.dirname(path), name)
    budget = budget or endpoints.Budget(timeout)
    while not os.path.lexists(answer):
        time.sleep(min(0.02, budget.seconds_left()))
    try:
        content = endpoints.read_file(answer, budget.max_bytes())
        budget.spend(len(content))
        return content.decode(errors="replace").strip()
    finally:
        os.unlink(answer)


def table_of(answer):
    """Split what the keeper answers to ``show``.

    :param str answer: the answer
    :return: the objects of the table, as libnftables-json(5) has them (a list of dicts), and the flows: protocol, port, address and port
        of where they lead to -> their number
    :rtype: tuple[list[dict], dict[tuple[str, int, str, int], int]]
    :raises OSError: where there is no table; with the words of nft
    """
    if not answer.startswith("{"):
        raise OSError(answer[:200] or "no answer")
    table, *lines = answer.splitlines()
    flows = {}
    for line in lines:
        protocol, port, address, to, count = line.split()
        flows[protocol, endpoints.number(port), address, endpoints.number(to)] = endpoints.number(count)
    numbers = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), endpoints.number)
    return json.loads(table, **numbers)["nftables"], flows


def head_of(table):
    """Return what the table says of itself: its ``handle``, which another load changes, and its ``comment``, the name of the generation.

    :param list[dict] table: the objects of the table, as :func:`table_of` returns them
    :rtype: dict
    """
    return next(entry["table"] for entry in table if "table" in entry)


def generation_of(answer):
    """Return the name of the generation that the kernel has.

    :param str answer: what the keeper answered to ``show``
    :rtype: str
    :raises OSError: where there is no table
    """
    with endpoints.readable("the keeper"):
        return endpoints.generation(head_of(table_of(answer)[0]).get("comment", ""))
