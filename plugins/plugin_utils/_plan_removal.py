# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a removal: of a side, or of a Redis container."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import SIDES, Plan, make_removal, name_all_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_lines import find_removal_warnings, format_removed_links
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_metrics import add_metrics_of_other_side
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_directory_problems, find_host_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._temporary_containers import find_temporary_containers


def add_side_without_links(plan, wiring, observed, settings):
    """Add the removal of a side that has no links, if any of it exists on the host.

    :param Plan plan: the plan of the side, with the problems of the map
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param Settings settings: the settings
    """
    side, host, on_disk = plan.part, plan.host, observed["sides"].get(plan.part, {})
    is_key_unused = has_unused_key(wiring, observed)
    if plan.problems or not (on_disk or find_side_containers(side, observed) or is_key_unused):
        return
    plan.problems = find_host_problems(host, observed)
    add_removal(plan, name_all_containers(side, observed), list_directories(side), observed, settings)
    plan.lines, plan.warnings = format_removed_links(side, host, wiring, on_disk), find_removal_warnings(side, host, wiring, on_disk)
    if is_key_unused:
        plan.lines += [f"- directory {path} on {host}" for path in plan.inputs["remove"]["paths"]]
    add_metrics_of_other_side(plan, side, observed, settings)


def has_unused_key(wiring, observed):
    """Return whether a host outside the map has a key and no side: a run stopped between its certificate and its configuration.

    A host of the map gets a side later, and the side uses the key.

    :param dict wiring: the wiring of one of its sides, without problems
    :param dict observed: the observation
    :rtype: bool
    """
    return not wiring["is_in_map"] and "identity" in observed["entries"] and not set(SIDES) & set(observed["entries"])


def list_directories(side):
    """Return the directories of a side in the state directory.

    :param str side: ``server`` or ``client``
    :rtype: list[str]
    """
    return [side, mesh_names.LINKS] if side == "client" else [side]


def add_removal(plan, container_names, directories, observed, settings, volume=None):
    """Add the removal of containers and directories, and of the state directory if it is empty then.

    :param Plan plan: the plan
    :param list[str] container_names: names of the containers; only containers of this mesh are removed
    :param list[str] directories: names in the state directory
    :param dict observed: the observation
    :param Settings settings: the settings
    :param str | None volume: name of the volume
    """
    has_client = names.name_side_container("client", observed["mesh"]) in container_names
    candidates = container_names + (find_temporary_containers(observed) if has_client else [])
    removed = [name for name in candidates if observed["containers"].get(name, {}).get("ours") is not None]
    entries = observed["entries"]
    if set(directories) & set(SIDES) and not (set(entries) - set(directories)) & set(SIDES) and "identity" in entries:
        # the key is removed with the last side
        directories = [*directories, "identity"]
    existing = [name for name in directories if name in entries]
    is_last = existing and set(entries) <= set(directories)
    paths = [settings["state_dir"]] if is_last else [f"{settings['state_dir']}/{name}" for name in existing]
    if removed or paths:
        plan.add_step("remove", ", ".join(removed + paths))
    plan.inputs["remove"] = make_removal(removed, paths, volume)


def plan_removal(part, host, name, observed, settings, volume=None):
    """Plan the removal of a part.

    :param str part: the part
    :param str host: inventory name of the host
    :param str name: name of its container, the first one of a side
    :param dict observed: the observation
    :param Settings settings: the settings
    :param str | None volume: name of the volume to remove as well
    :rtype: Plan
    """
    plan, is_side = Plan(part, host), part in SIDES
    plan.problems = ([] if is_side else find_directory_problems(part, name)) or find_host_problems(host, observed)
    if plan.problems:
        return plan
    container_names, directories = (name_all_containers(part, observed), list_directories(part)) if is_side else ([name], [name])
    is_ours = bool(volume) and observed["volumes"].get(volume, {}).get("ours")
    add_removal(plan, container_names, directories, observed, settings, volume if is_ours else None)
    removal = plan.inputs["remove"]
    lines = [f"- container {container} on {host}" for container in removal["containers"]]
    lines += [f"- directory {path} on {host}" for path in removal["paths"]]
    if is_side:
        add_metrics_of_other_side(plan, part, observed, settings)
    if _is_network_unused(removal, observed, settings):
        removal["network"] = settings["network"]
    others = {kind: removal[kind] for kind in ("network", "volume") if removal[kind]}
    if others:
        plan.add_step("remove", ", ".join(others.values()))
    plan.lines += lines + [f"- {kind} {other} on {host}" for kind, other in others.items()]
    return plan


def _is_network_unused(removal, observed, settings):
    """Return whether the collection created the network of the ambassadors, and all containers on it are removed."""
    name = settings["network"]
    attached = {container_name for container_name, container in observed["containers"].items() if name in container["networks"]}
    return bool(observed["networks"].get(name, {}).get("ours")) and attached <= set(removal["containers"])
