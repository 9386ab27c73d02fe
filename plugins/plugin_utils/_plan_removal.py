# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a removal: of a side, of a Redis container, and of the container that publishes metrics."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import SIDES, Plan, all_container_names, directories_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import directory_problems, host_problems


def add_metrics(plan, side, numbers, observed, settings):
    """Have the metrics of a side's containers told, and of those of the other one that are there; with the last of them they go.

    :param str side: the side that is planned
    :param list[int] numbers: its containers
    :return: what is asked of the container that tells them, where it is not that
    :rtype: list[dict]
    """
    name, other = names.metrics(observed["mesh"]), next(one for one in SIDES if one != side)
    found = observed["containers"].get(name)
    shown = [(side, number) for number in numbers] + [(other, number) for number in containers.numbered(other, observed)]
    wanted = settings["engine"] == "haproxy" and containers.metrics_at(settings["metrics"]) and shown and (numbers or found)
    if wanted:
        container = containers.metrics(plan.host, sorted(shown), settings, observed)
        differences = containers.differences(container, found, observed["images"])
        if not differences:
            return []
        plan.step("container", f"{name}: {', '.join(differences)}")
        at = f", to tell metrics at {endpoint(*containers.metrics_at(settings['metrics']))}"
        plan.lines.append(f"{'~' if found else '+'} container {name} on {plan.host}{': ' + ', '.join(differences) if found else at}")
        return [container]
    if found and found["ours"]:
        plan.step("remove", name)
        plan.inputs.setdefault("remove", {"containers": [], "paths": [], "network": None, "volume": None})["containers"].append(name)
        plan.lines.append(f"- container {name} on {plan.host}")
    return []


def add_metrics_of_other_side(plan, side, observed, settings):
    """Have the metrics of the other side alone told, for this one goes.

    :param str side: the side that goes
    """
    changed = add_metrics(plan, side, [], observed, settings)
    # what takes a step of a side asks for these
    plan.inputs |= {"side": side, "generation": None, "standin": [], "containers": changed}


def has_unused_key(host, wiring, observed):
    """Return whether a host outside the map has a key and no side: a run stopped between its certificate and its configuration.

    A host of the map gets a side later, and the side uses the key.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of one of its sides, without problems
    :param dict observed: the observation
    :rtype: bool
    """
    return not wiring["is_in_map"] and "identity" in observed["entries"] and not set(SIDES) & set(observed["entries"])


def add_removal(plan, made, directories, observed, settings, volume=None):
    """Remove what is this collection's: containers, directories, and the network with the last container on it."""
    standins = containers.standins(observed) if names.ambassador("client", observed["mesh"]) in made else []
    gone = [name for name in made + standins if observed["containers"].get(name, {}).get("ours") is not None]
    left = [name for name in observed["entries"] if name not in directories]
    if not set(left) & set(SIDES) and set(directories) & set(SIDES) and "identity" in left:
        # the key goes with the last side
        directories, left = [*directories, "identity"], [name for name in left if name != "identity"]
    there = [name for name in directories if name in observed["entries"]]
    paths = [settings["state_dir"]] if there and not left else [f"{settings['state_dir']}/{name}" for name in there]
    if gone or paths:
        plan.step("remove", f"{', '.join(gone + paths)}")
    plan.inputs["remove"] = {"containers": gone, "paths": paths, "network": None, "volume": volume}


def plan_removal(part, host, name, observed, settings, volume=None):
    """Plan the removal of a part.

    :param str part: the part
    :param str host: inventory name of the host
    :param str name: name of its container, the first one of a side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param str | None volume: name of the volume to remove as well
    :rtype: Plan
    """
    plan = Plan(part, host)
    plan.problems = ([] if part in SIDES else directory_problems(part, name)) or host_problems(host, observed)
    if plan.problems:
        return plan
    found = observed["volumes"].get(volume, {}) if volume else {}
    made = all_container_names(part, observed) if part in SIDES else [name]
    add_removal(plan, made, directories_of(part) if part in SIDES else [name], observed, settings, volume if found.get("ours") else None)
    remove = plan.inputs["remove"]
    if part in SIDES:
        add_metrics_of_other_side(plan, part, observed, settings)
    attached = [name for name, one in observed["containers"].items() if settings["network"] in one["networks"]]
    if observed["networks"].get(settings["network"], {}).get("ours") and set(attached) <= set(remove["containers"]):
        remove["network"] = settings["network"]
    if remove["network"] or remove["volume"]:
        plan.step("remove", ", ".join(filter(None, [remove["network"], remove["volume"]])))
    told = [
        f"- {kind} {one} on {host}" for kind, ones in (("container", remove["containers"]), ("directory", remove["paths"])) for one in ones
    ]
    plan.lines += [line for line in told if line not in plan.lines]
    plan.lines += [f"- {kind} {remove[kind]} on {host}" for kind in ("network", "volume") if remove[kind]]
    return plan
