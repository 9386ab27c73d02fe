# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The map as the hosts of a run have it: whether it is defined, and whether all hosts have the same one. Pure Python without Ansible."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._names import AMBASSADOR
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import format_name

NAME = "ambassador_links"


def find_undefined_map(host: str, observed: dict[str, Any], variables: Iterable[str]) -> Problem | None:
    """Return the problem of a map that is not defined for a host that has links, because a mistake must not remove them.

    :param host: inventory name of the host
    :param observed: the observation
    :param variables: names of all variables of the host
    """
    links = sorted({alias for side in observed["sides"].values() for alias in side["links"]})
    containers = [name for name, container in observed["containers"].items() if AMBASSADOR.fullmatch(container["ours"] or "")]
    if not links and not observed["sides"] and not containers:
        return None
    deployed = f"links {', '.join(links)}" if links else f"{', '.join(sorted(containers)) or 'an ambassador'} of an earlier run"
    similar = [name for name in difflib.get_close_matches(NAME, variables, 3, 0.85) if name != NAME]
    if similar:
        return MapMessage.MAP_MISSPELLED.at(Place(host=host), deployed=deployed, similar=similar[0])
    return MapMessage.MAP_UNDEFINED.at(Place(host=host), deployed=deployed)


def find_misspelled_variables(variables: Iterable[str], known: Collection[str]) -> list[Problem]:
    """Return a warning for each variable that looks like a variable of this collection and is none. Ansible ignores such variables.

    :param variables: names of all variables of a host
    :param known: names of the variables that the collection reads
    """
    # variables of other software begin otherwise: there are hundreds
    unknown = sorted(name for name in variables if name.startswith(("amb", "redis_")) and name not in known)
    problems = []
    for name in unknown:
        # a longer name can be a variable of the user
        similar = [match for match in difflib.get_close_matches(name, known, 1, 0.9) if not name.startswith(f"{match}_")]
        if similar:
            problems.append(MapMessage.VARIABLE_MISSPELLED.at(Place(variable=name), suggestion=similar[0]))
    return problems


def compare_maps(
    host: str, links: Mapping[str, Any], other: str, other_links: Mapping[str, Any] | None, list_hosts: Callable[[Any], Iterable[str]]
) -> list[Problem]:
    """Return the links that differ between the maps of two hosts, as far as they name one of the hosts.

    :param host: inventory name of the host
    :param links: its map
    :param other: inventory name of the other host
    :param other_links: the map of the other host, None if it has none
    :param list_hosts: settings of a link -> names of the hosts that the link names
    """
    if other_links is None:
        return [MapMessage.MAP_MISSING_ON_HOST.at(Place(variable=NAME), host=host, other=other)]
    problems = []
    for alias in dict.fromkeys([*links, *other_links]):
        settings, other_settings = links.get(alias), other_links.get(alias)
        if settings == other_settings or not {host, other} & {*list_hosts(settings), *list_hosts(other_settings)}:
            continue
        place = Place(link=format_name(alias))
        if settings is None or other_settings is None:
            with_link, without_link = (host, other) if other_settings is None else (other, host)
            problems.append(MapMessage.LINK_MISSING_ON_HOST.at(place, host=with_link, other=without_link))
            continue
        value, other_value = settings, other_settings
        if isinstance(settings, dict) and isinstance(other_settings, dict):
            key = next(key for key in dict.fromkeys([*settings, *other_settings]) if settings.get(key) != other_settings.get(key))
            place = Place(link=format_name(alias), key=format_name(key))
            value, other_value = settings.get(key), other_settings.get(key)
        values = {"value": _format_json(value), "other_value": _format_json(other_value)}
        problems.append(MapMessage.LINK_DIFFERS.at(place, host=host, other=other, **values))
    return problems


def _format_json(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


def explain_unresolved_map(host: str, error: str, pieces: Mapping[str, Any]) -> list[Problem]:
    """Return why Ansible cannot resolve a map.

    :param host: inventory name of the host
    :param error: the error of Ansible
    :param pieces: variable -> piece of the map, of all hosts, if the map is merged from pieces
    """
    variables: dict[str, list[str]] = {}
    for name in sorted(pieces):
        for alias in pieces[name] if hasattr(pieces[name], "items") else ():
            variables.setdefault(str(alias), []).append(name)
    problems = [
        MapMessage.LINK_DEFINED_TWICE.at(Place(link=format_name(alias)), variables=" and ".join(names))
        for alias, names in variables.items()
        if len(names) > 1
    ]
    return problems or [MapMessage.MAP_UNRESOLVED.at(Place(host=host, variable=NAME), error=error.rstrip("."))]


def refuse_two_controllers(host: str, directory: str, other: str, other_directory: str) -> list[Problem]:
    """Return the problem that two hosts of a run have different directories on the controller, because each would get its own CA."""
    place, directories = Place(variable="ambassador_controller_dir"), {"directory": directory, "other_directory": other_directory}
    return [MapMessage.CONTROLLER_DIRECTORIES_DIFFER.at(place, host=host, other=other, **directories)]


def refuse_two_meshes(host: str, mesh: str, other: str, other_mesh: str) -> list[Problem]:
    """Return the problem that two hosts of a map are in different meshes. Each mesh refuses the containers of the other."""
    return [MapMessage.MESHES_DIFFER.at(Place(variable="ambassador_mesh"), host=host, mesh=mesh, other=other, other_mesh=other_mesh)]
