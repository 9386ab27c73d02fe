# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Temporary containers: of a client side that is recreated, and those that check a generation. Pure Python without Ansible."""

from __future__ import annotations

import itertools
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import ENDPOINT_DIRECTORY, describe_container

# variable of the container that checks a generation: it checks all places
CHECKED_VARIABLE = "AMBASSADOR_CHECKED"


def describe_check(container, generation):
    """Return the description of the container that checks a generation.

    :param dict container: the description of the side's container
    :param str generation: name of the generation
    :rtype: dict
    """
    at = f"/etc/ambassador/generations/{generation}"
    if container["entrypoint"] == ["haproxy"]:
        command = ["-c", "-f", f"{at}/links.cfg", "-f", f"{at}/haproxy.cfg"]
    else:
        command = [*container["command"], "check", at]
    volumes = [volume for volume in container["volumes"] if f":{ENDPOINT_DIRECTORY}:" not in volume]
    return {**container, "name": f"{container['name']}_check", "command": command, "volumes": volumes, "env": {CHECKED_VARIABLE: "1"}}


def find_leftover_containers(side, observed):
    """Return the names of containers that checked an image or a generation in an interrupted run.

    Each run has its own number for them, because two runs can check at the same time.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :rtype: list[str]
    """
    name = re.compile(rf"{names.name_side_container(side, observed['mesh'])}(_[0-9]+)?_(check|version)_[0-9]+")
    return [one for one, found in observed["containers"].items() if found["ours"] and name.fullmatch(one) and found["state"] == "exited"]


def find_temporary_containers(observed):
    """Return the names of the existing temporary containers of a client side. Each exits with its last connection.

    :param dict observed: the observation
    :rtype: list[str]
    """
    return sorted(
        name
        for name, found in observed["containers"].items()
        if names.parse_temporary_number(name, observed["mesh"]) and found["ours"] == name
    )


def find_free_names(observed, count):
    """Return names that no temporary container has.

    :param dict observed: the observation
    :param int count: how many
    :rtype: list[str]
    """
    possible = (names.name_temporary_container(observed["mesh"], number) for number in itertools.count(1))
    return list(itertools.islice((name for name in possible if name not in observed["containers"]), max(count, 0)))


def name_temporary_directory(name, directory):
    """Return the parent of the directory of a temporary container's endpoint.

    :param str name: name of the temporary container
    :param str directory: the state directory of the client side
    :rtype: str
    """
    return f"{directory}/{name.partition('_client_')[2]}"


def describe_temporary_container(container, name, directory, with_names):
    """Return the description of the temporary container that serves while Docker recreates or reconnects a client side.

    :param dict container: the description of the client side's container
    :param str name: name of the temporary container
    :param str directory: the state directory of the client side
    :param bool with_names: whether it has the aliases; without them it gets no new connections
    :rtype: dict
    """
    own = name_temporary_directory(name, directory)
    volumes = [re.sub(rf"^.*(?=:{ENDPOINT_DIRECTORY}:)", f"{own}/run", volume) for volume in container["volumes"]]
    more = {"publish": [], "address": {}, "aliases": container["aliases"] if with_names else [], "temporary": True, "volumes": volumes}
    more["others"] = {network: aliases for network, aliases in container["others"].items() if with_names and aliases}
    return describe_container(**{**container, "name": name, **more})
