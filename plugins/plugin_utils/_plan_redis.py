# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a Redis container."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import Plan, add_image_step, add_network_step
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import (
    account_warnings,
    directory_problems,
    disk_problems,
    host_problems,
    memory_problems,
    name_problems,
    network_problems,
    state_problems,
    tls_problems,
    volume_problems,
)

# files of Redis' directory that the server need not be told of
LOADED = "loaded"


def plan_redis(part, host, observed, settings, container, directory, problems, volume=None, loaded=None):
    """Plan a container of Redis.

    :param str part: ``redis_server`` or ``redis_client``
    :param str host: inventory name of the host
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param dict container: what is asked of the container
    :param dict directory: ``owner`` (numeric user ID) and ``files``, name -> SHA-256 of the content, None where that is still to be made;
        empty for a
        container that has no directory
    :param list[str] problems: what is wrong with its inputs
    :param str | None volume: name of the volume of its data
    :param str | None loaded: SHA-256 of the file that says what the server runs with
    :rtype: Plan
    """
    plan, name = Plan(part, host), container["name"]
    plan.problems = directory_problems(part, name) + memory_problems(part, host, settings) + problems
    if not plan.problems:
        plan.problems = host_problems(host, observed) or (
            tls_problems(part, host, observed)
            + network_problems(host, observed, settings)
            + state_problems(host, observed, settings)
            + name_problems(host, name, observed)
            + volume_problems(host, part, volume, observed)
        )
    found = observed["containers"].get(name)
    add_image_step(plan, observed, settings, [found])
    add_network_step(plan, observed, settings)
    if volume:
        data = observed["volumes"].get(volume, {})
        if (data.get("owner"), data.get("mode")) != (directory["owner"], "0700"):
            plan.step("data", f"the volume {volume}")
    there, password_lines = observed["directories"].get(name), []
    if directory["files"]:
        _directory(plan, name, there, directory, loaded)
        if "directory" in plan.why:
            # the file has a password as well, but that is also in the others
            words = "memory limits" if there and _different(there, directory) == {"redis.conf"} else "passwords"
            password_lines.append(f"~ {words} of {name} on {host}")
        if permissions.STATE_DIR in observed["wrong_permissions"]:
            plan.step("directory", "the owner or mode of the state directory is wrong")
    elif there:
        plan.inputs["remove"] = {"containers": [], "paths": [f"{settings['state_dir']}/{name}"], "network": None, "volume": None}
        plan.step("remove", f"{name} needs no password any more")
    differences = containers.differences(container, found, observed["images"])
    if differences:
        plan.step("container", f"{name}: {', '.join(differences)}")
    plan.problems += disk_problems(plan, observed, settings)
    plan.warnings += account_warnings(plan, observed)
    if part == "redis_server" and (plan.why or found.get("health") != "healthy"):
        plan.step("verify", "the server answers")
    if part == "redis_client" and plan.why:
        plan.step("verify", "the link is verified")
    if found is None:
        plan.lines.append(f"+ container {name} on {host}")
    elif differences:
        remade = containers.made_anew(container, found, observed["images"])
        plan.lines.append(f"~ container {name} on {host} {'is made anew' if remade else 'changes'}: {', '.join(differences)}")
    plan.lines += password_lines
    plan.always = {"makes_passwords": None in directory["files"].values()}
    plan.inputs |= {"container": container, "running": bool(found and found["state"] == "running"), "volume": volume}
    # a change of the memory limit does not restart it
    plan.inputs["restarts"] = containers.made_anew(container, found, observed["images"])
    return plan


def _different(there, directory):
    """Return the names of the files that are not as they should be."""
    wanted = {file: {"owner": directory["owner"], "mode": "0600", "sha256": sha256} for file, sha256 in directory["files"].items()}
    files = {file: found for file, found in there["files"].items() if file != LOADED}
    return {file for file in {*wanted, *files} if files.get(file) != wanted.get(file)}


def _directory(plan, name, there, directory, loaded):
    whole = there and (there["owner"], there["mode"]) == (directory["owner"], "0700")
    if not whole or _different(there, directory) or (loaded and there["files"].get(LOADED, {}).get("sha256") != loaded):
        plan.step("directory", f"the passwords of {name}")
