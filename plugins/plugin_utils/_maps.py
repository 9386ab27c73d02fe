# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The map as the hosts of a run see it: whether it is there at all, and whether all see the same one. Pure Python without Ansible."""

from __future__ import annotations

import difflib
import json

from ansible_collections.crosshost.ambassador.plugins.module_utils._names import AMBASSADOR
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._values import format_name

NAME = "ambassador_links"


def undefined(host, observed, names):
    """Tell what is wrong with a map that is not defined: a host that holds links is not to lose them for a mistake.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :param list[str] names: names of all variables of the host
    :return: a sentence, or None where the host holds nothing of this collection's
    :rtype: str | None
    """
    held = sorted({alias for side in observed["sides"].values() for alias in side["links"]})
    ours = sorted(name for name, found in observed["containers"].items() if found["ours"] and AMBASSADOR.fullmatch(found["ours"]))
    if not held and not observed["sides"] and not ours:
        return None
    close = [name for name in difflib.get_close_matches(NAME, names, 3, 0.85) if name != NAME]
    meant = f" (did you mean {close[0]}?)" if close else ""
    holds = f"links {', '.join(held)}" if held else f"{', '.join(ours) or 'an ambassador'} of an earlier run"
    return (
        f"host {host}: expected the map of links in {NAME}, found it undefined{meant}, on a host that holds {holds};"
        f" define {NAME} for this host (group_vars/all beside the inventory is the usual place), or set it to {{}} to remove all links."
    )


def misspelt(names, known):
    """Tell which variables look like one of this collection and are none: Ansible passes over what nobody reads.

    :param names: names of all variables of a host
    :param known: names of the variables that are read
    :return: a sentence for each
    :rtype: list[str]
    """
    # what begins otherwise is somebody else's, and is not looked at: there are hundreds
    ours = sorted(name for name in names if name.startswith(("amb", "redis_")) and name not in known)
    close = {name: [one for one in difflib.get_close_matches(name, known, 1, 0.9) if not name.startswith(f"{one}_")] for name in ours}
    return [
        f"{name}: expected a variable of this collection, found that none has this name; did you mean {found[0]}?"
        for name, found in close.items()
        if found
    ]


def differences(host, mine, other, theirs, named):
    """Tell in which links two hosts see another map.

    :param str host: inventory name of the host
    :param dict mine: the map that it sees
    :param str other: inventory name of the other host
    :param dict | None theirs: the map that that one sees, None where it sees none
    :param named: callable: settings of a link -> names of the hosts that it names
    :return: a sentence for each link that names one of both
    :rtype: list[str]
    """
    if theirs is None:
        return [
            f"{NAME}: expected the same map on all hosts that its links name, found one on {host} and none on {other};"
            " define it for both (group_vars/all beside the inventory is the usual place)."
        ]
    problems = []
    for alias in dict.fromkeys([*mine, *theirs]):
        one, another = mine.get(alias), theirs.get(alias)
        if one == another or not {host, other} & (set(named(one)) | set(named(another))):
            continue
        if one is None or another is None:
            there, lacking = (host, other) if another is None else (other, host)
            what = f"the link on {there} and none on {lacking}"
        elif not isinstance(one, dict) or not isinstance(another, dict):
            what = f"{_shown(one)} on {host} and {_shown(another)} on {other}"
        else:
            key = next(key for key in dict.fromkeys([*one, *another]) if one.get(key) != another.get(key))
            what = f"{key} {_shown(one.get(key))} on {host} and {_shown(another.get(key))} on {other}"
        problems.append(
            f"link {format_name(alias)}: expected the same map on all hosts that its links name, found {what};"
            " define it once for both (group_vars/all beside the inventory is the usual place)."
        )
    return problems


def _shown(value):
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def unresolved(host, error, pieces):
    """Tell why a map cannot be resolved.

    :param str host: inventory name of the host
    :param str error: the words of Ansible
    :param dict[str, dict] pieces: variable -> piece of the map, of all hosts, where the map is merged from pieces
    :rtype: list[str]
    """
    holders = {}
    for name in sorted(pieces):
        for alias in pieces[name] if hasattr(pieces[name], "items") else ():
            holders.setdefault(str(alias), []).append(name)
    twice = {alias: names for alias, names in holders.items() if len(names) > 1}
    if twice:
        return [
            f"link {format_name(alias)}: expected one piece of the map to define it, found it in {' and '.join(names)};"
            " rename one, or remove it."
            for alias, names in twice.items()
        ]
    return [f"host {host}: expected a map of links in {NAME}, found one that cannot be resolved: {error}; correct it."]


def two_controllers(host, own, other, theirs):
    """Return the problem that two hosts of one run have different directories on the controller, because each would get its own CA.

    :param str host: inventory name of the host
    :param str own: its directory
    :param str other: inventory name of the other host
    :param str theirs: the other's directory
    :rtype: list[str]
    """
    return [
        f"ambassador_controller_dir: expected one directory on the controller for all hosts of a run, found {theirs} for {other} and {own}"
        f" for {host} (each beside its own inventory); set ambassador_controller_dir to one of them for all hosts."
    ]


def two_meshes(host, own, other, theirs):
    """Return the problem that two hosts of one map are in different meshes. Each mesh refuses the containers of the other.

    :param str host: inventory name of the host
    :param str own: its mesh
    :param str other: inventory name of the other host
    :param str theirs: the other's mesh
    :rtype: list[str]
    """
    return [
        f"ambassador_mesh: expected one mesh for all hosts of a run, found {theirs} for {other} and {own} for {host}; set it once for all"
        " (group_vars/all beside the inventory is the usual place)."
    ]
