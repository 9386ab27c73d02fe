# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows the status of links: collects the answers of the hosts of the play, which ``plugin_utils/_status.py`` judges."""

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
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._meshes import format_meshes

# variable with the sides of a host
SIDES = "__ambassador_engine_status"
# variable with the result of the module meshes_info of a host
MESHES = "status_meshes"
# kind of a line -> its color, as the user has set it
COLORS = {
    "up": constants.COLOR_OK,
    "degraded": constants.COLOR_CHANGED,
    "leaving": constants.COLOR_CHANGED,
    "down": constants.COLOR_ERROR,
    "warning": constants.COLOR_WARN,
    "problem": constants.COLOR_ERROR,
}


def is_for_people(callback):
    """Return whether the output is for people: not if a callback prints JSON.

    :param str callback: name of the callback of standard output
    :rtype: bool
    """
    return not callback.rpartition(".")[2].startswith("json")


def _trusted(variables):
    """Return the variables of a host. If its facts replace variables, return that message as its answer, and no variable."""
    facts = ", ".join(controller.list_overriding_facts(variables))
    reason = f"facts replace the variables {facts}"
    return {SIDES: {"unreadable": reason}, MESHES: {"msg": reason}} if facts else variables


class ActionModule(ActionBase):
    """See ``plugins/modules/status.py``."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Judge and show the links, and write the page if the task has one."""
        result = super().run(tmp, task_vars)
        __, arguments = self.validate_argument_spec({"mesh": {"type": "str", "default": mesh_names.DEFAULT}, "page": {"type": "path"}})
        path = arguments["page"] and pathlib.Path(arguments["page"])
        problem = controller.find_facts_problem(task_vars) or (path and page.find_page_problem(path, arguments["mesh"]))
        if problem:
            return {**result, "failed": True, "msg": str(problem)}
        variables = {host: _trusted(task_vars["hostvars"][host]) for host in task_vars["ansible_play_hosts_all"]}
        pages = {host: host_variables.get("status_page") for host, host_variables in variables.items()}
        problem = page.find_differing_page(self._task.args.get("page"), pages)
        if problem:
            return {**result, "failed": True, "msg": str(problem)}
        if arguments["mesh"] == mesh_names.ALL:
            lines = format_meshes({host: host_variables.get(MESHES) or {} for host, host_variables in variables.items()})
            return {**result, "lines": self._show([(line, None) for line in lines])}
        now = datetime.datetime.now(datetime.UTC)
        answers = {
            host: status.check_answer(self._read_answer(host_variables), arguments["mesh"], now, page.render_page if path else None)
            for host, host_variables in variables.items()
        }
        report = status.build_report(answers, arguments["mesh"], now)
        if path and not self._task.check_mode:
            page.write_page(path, report)
        return {**result, "changed": bool(path), "status": report, "lines": self._show(status.format_lines(report))}

    def _show(self, lines):
        """Print lines, each with its kind, and return their texts."""
        if is_for_people(constants.DEFAULT_STDOUT_CALLBACK):
            # Ansible can print the name of the task only when it has ended
            for line, kind in [("", None), *lines]:
                self._display.display(line, color=COLORS.get(kind))
        return [line for line, __ in lines]

    @staticmethod
    def _read_answer(variables):
        """Return the answer of a host, with only the types of JSON."""
        observed = mapping_of(variables.get(OBSERVED))
        sides = mapping_of(variables.get(SIDES)) or {"unreachable": observed.get("msg", "no answer")}
        try:
            # the page is JSON, which has no infinite numbers
            return json.loads(json.dumps({**sides, "observed": observed}, default=str, allow_nan=False))
        except (RecursionError, TypeError, ValueError) as error:
            return {"unreadable": type(error).__name__}
