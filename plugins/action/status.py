# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows what the links do: brings together what was found on the hosts of the play, for ``plugin_utils/_status.py`` to judge."""

from __future__ import annotations

import datetime
import json
import pathlib

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _page as page
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _status as status
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED, mapping_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._meshes import meshes

LOOKED = "__ambassador_engine_status"
# what the module meshes told of a host
MESHES = "status_meshes"
# what a line is -> its colour, as the user has set it
COLORS = {
    "up": constants.COLOR_OK,
    "degraded": constants.COLOR_CHANGED,
    "leaving": constants.COLOR_CHANGED,
    "down": constants.COLOR_ERROR,
    "warning": constants.COLOR_WARN,
    "problem": constants.COLOR_ERROR,
}


def for_people(callback):
    """Tell whether what is printed is for people: not where a callback prints JSON.

    :param str callback: name of the callback of standard output
    :rtype: bool
    """
    return not callback.rpartition(".")[2].startswith("json")


def _trusted(variables):
    """Return the variables of a host. If its facts replace variables, return that message as its answer, and no variable."""
    facts = ", ".join(controller.overriding_facts(variables))
    found = f"facts that replace the variables {facts}"
    return {LOOKED: {"unreachable": found}, MESHES: {"msg": found}} if facts else variables


class ActionModule(ActionBase):
    """See ``plugins/modules/status.py``."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Judge, show, and write the page where one is asked for."""
        result = super().run(tmp, task_vars)
        __, arguments = self.validate_argument_spec({"mesh": {"type": "str", "default": mesh_names.DEFAULT}, "page": {"type": "path"}})
        path = arguments["page"] and pathlib.Path(arguments["page"])
        problem = controller.facts_problem(task_vars) or (path and page.problem(path, arguments["mesh"]))
        if problem:
            return {**result, "failed": True, "msg": problem}
        variables = {host: _trusted(task_vars["hostvars"][host]) for host in task_vars["ansible_play_hosts_all"]}
        problem = page.misplaced(self._task.args.get("page"), {host: found.get("status_page") for host, found in variables.items()})
        if problem:
            return {**result, "failed": True, "msg": problem}
        if arguments["mesh"] == mesh_names.ALL:
            told = meshes({host: found.get(MESHES) or {} for host, found in variables.items()})
            return {**result, "lines": self._show([(line, None) for line in told])}
        now = datetime.datetime.now(datetime.UTC)
        answers = {
            host: status.judged(self._answer(found), arguments["mesh"], now, page.render if path else None)
            for host, found in variables.items()
        }
        found = status.status(answers, arguments["mesh"], now)
        if path and not self._task.check_mode:
            page.write(path, found)
        return {**result, "changed": bool(path), "status": found, "lines": self._show(status.lines(found))}

    def _show(self, said):
        """Print lines, and return them: each with what it is."""
        if for_people(constants.DEFAULT_STDOUT_CALLBACK):
            # Ansible may write the name of the task only when it has ended
            for line, what in [("", None), *said]:
                self._display.display(line, color=COLORS.get(what))
        return [line for line, __ in said]

    @staticmethod
    def _answer(variables):
        """Return what was found on a host, of Python's own types alone."""
        observed = mapping_of(variables.get(OBSERVED))
        looked = mapping_of(variables.get(LOOKED)) or {"unreachable": observed.get("msg", "no answer")}
        try:
            # the page is JSON, which has no infinite numbers
            return json.loads(json.dumps({**looked, "observed": observed}, default=str, allow_nan=False))
        except (RecursionError, TypeError, ValueError) as error:
            return {"unreachable": f"an answer that cannot be read ({type(error).__name__})"}
