# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a Redis container."""

from __future__ import annotations

import dataclasses

from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import (
    find_differences,
    format_differences,
    needs_recreate,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import (
    Plan,
    Settings,
    add_image_step,
    add_network_step,
    make_removal,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import (
    find_account_warnings,
    find_container_name_problems,
    find_directory_problems,
    find_disk_problems,
    find_docker_tls_problems,
    find_host_problems,
    find_memory_problems,
    find_network_problems,
    find_state_problems,
    find_volume_problems,
)

# file in the directory of a Redis server with the hash of the configuration that the server runs with
LOADED = "loaded"
# its memory limits; it also has a password, which other files have too
CONFIGURATION = "redis.conf"


@dataclasses.dataclass(frozen=True)
class RedisInputs:
    """The inputs of the plan of a Redis container."""

    #: ``redis_server`` or ``redis_client``
    part: str
    #: inventory name of the host
    host: str
    #: the observation
    observed: dict
    settings: Settings
    #: the description of the container
    container: dict
    #: numeric user ID of the owner of its directory
    owner: int
    #: files of its directory: name -> SHA-256 of the content, None if the content does not exist yet; empty for no directory
    files: dict[str, str | None]
    #: problems of its variables
    problems: list[str]
    #: name of the volume of its data
    volume: str | None = None
    #: SHA-256 of the file that describes the configuration that the server runs with
    loaded: str | None = None


def plan_redis(inputs):
    """Plan a Redis container.

    :param RedisInputs inputs: the inputs
    :rtype: Plan
    """
    plan, observed, settings, wanted = Plan(inputs.part, inputs.host), inputs.observed, inputs.settings, inputs.container
    plan.problems = _find_problems(inputs)
    container = observed["containers"].get(wanted["name"])
    differences = find_differences(wanted, container, observed["images"])
    is_recreated = needs_recreate(differences)
    add_image_step(plan, observed, settings, [container])
    add_network_step(plan, observed, settings)
    _add_volume(plan, inputs)
    password_lines = _add_directory(plan, inputs)
    if differences:
        plan.add_step("container", f"{wanted['name']}: {format_differences(differences)}")
    plan.problems += find_disk_problems(plan, observed, settings)
    plan.warnings += find_account_warnings(plan, observed)
    if inputs.part == "redis_server" and (plan.why or container.get("health") != "healthy"):
        plan.add_step("verify", "the server answers")
    if inputs.part == "redis_client" and plan.why:
        plan.add_step("verify", "the link is verified")
    if container is None:
        plan.lines.append(f"+ container {wanted['name']} on {inputs.host}")
    elif differences:
        verb = "is made anew" if is_recreated else "changes"
        plan.lines.append(f"~ container {wanted['name']} on {inputs.host} {verb}: {format_differences(differences)}")
    plan.lines += password_lines
    plan.always = {"makes_passwords": None in inputs.files.values()}
    plan.inputs |= {"container": wanted, "running": bool(container and container["state"] == "running"), "volume": inputs.volume}
    # a change of the memory limit does not restart it
    plan.inputs["restarts"] = is_recreated
    return plan


def _find_problems(inputs):
    part, host, observed, settings, name = inputs.part, inputs.host, inputs.observed, inputs.settings, inputs.container["name"]
    problems = find_directory_problems(part, name) + find_memory_problems(part, host, settings) + inputs.problems
    return (
        problems
        or find_host_problems(host, observed)
        or (
            find_docker_tls_problems(part, host, observed)
            + find_network_problems(host, observed, settings)
            + find_state_problems(host, observed, settings)
            + find_container_name_problems(host, name, observed)
            + find_volume_problems(host, part, inputs.volume, observed)
        )
    )


def _add_volume(plan, inputs):
    if inputs.volume:
        volume = inputs.observed["volumes"].get(inputs.volume, {})
        if (volume.get("owner"), volume.get("mode")) != (inputs.owner, "0700"):
            plan.add_step("data", f"the volume {inputs.volume}")


def _add_directory(plan, inputs):
    """Add what changes of the directory of passwords, and return its lines."""
    name, lines = inputs.container["name"], []
    directory = inputs.observed["directories"].get(name)
    if inputs.files:
        changed_files = _find_changed_files(inputs, directory) if directory else set(inputs.files)
        if changed_files or not _is_whole(inputs, directory):
            plan.add_step("directory", f"the passwords of {name}")
            words = "memory limits" if directory and changed_files == {CONFIGURATION} else "passwords"
            lines.append(f"~ {words} of {name} on {inputs.host}")
        if permissions.STATE_DIR in inputs.observed["wrong_permissions"]:
            plan.add_step("directory", "the owner or mode of the state directory is wrong")
    elif directory:
        plan.inputs["remove"] = make_removal(paths=[f"{inputs.settings['state_dir']}/{name}"])
        plan.add_step("remove", f"{name} needs no password any more")
    return lines


def _is_whole(inputs, directory):
    """Return whether the directory exists, has its owner and mode, and the server runs with its files."""
    if not directory or (directory["owner"], directory["mode"]) != (inputs.owner, "0700"):
        return False
    return not inputs.loaded or directory["files"].get(LOADED, {}).get("sha256") == inputs.loaded


def _find_changed_files(inputs, directory):
    """Return the names of the files whose content, owner or mode differs."""
    wanted = {name: {"owner": inputs.owner, "mode": "0600", "sha256": sha256} for name, sha256 in inputs.files.items()}
    existing = {name: file for name, file in directory["files"].items() if name != LOADED}
    return {name for name in {*wanted, *existing} if existing.get(name) != wanted.get(name)}
