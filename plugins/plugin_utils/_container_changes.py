# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The differences between a container and its description, and whether Docker recreates the container. Pure Python without Ansible."""

from __future__ import annotations

import enum
from typing import NamedTuple

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import normalize_image, parse_size


class Change(enum.Enum):
    """What of a container differs from its description."""

    MISSING = "missing"
    NETWORK = "network"
    EXTRA_NETWORK = "extra_network"
    ALIASES_ON_NETWORK = "aliases_on_network"
    STATE = "state"
    OPTIONS = "options"
    IMAGE = "image"
    PORTS = "ports"
    ALIASES = "aliases"
    ADDRESS = "address"
    RESTART_POLICY = "restart_policy"
    MEMORY_LIMIT = "memory_limit"
    PROCESS_LIMIT = "process_limit"


class Difference(NamedTuple):
    """A difference between a container and its description. ``value`` is the name of a network, or the state of the container."""

    change: Change
    value: str = ""


# changes for which Docker recreates a container
RECREATE_CHANGES = frozenset((Change.OPTIONS, Change.IMAGE, Change.PORTS, Change.PROCESS_LIMIT))
CHANGE_TEXTS = {
    Change.MISSING: "missing",
    Change.NETWORK: "its network {value}",
    Change.EXTRA_NETWORK: "network {value}, which no link names",
    Change.ALIASES_ON_NETWORK: "its aliases on {value}",
    Change.STATE: "it is {value}",
    Change.OPTIONS: "its options",
    Change.IMAGE: "its image",
    Change.PORTS: "what it publishes",
    Change.ALIASES: "its aliases",
    Change.ADDRESS: "its address",
    Change.RESTART_POLICY: "its restart policy",
    Change.MEMORY_LIMIT: "its memory limit",
    Change.PROCESS_LIMIT: "its limit of processes",
}


def find_differences(wanted, container, images):
    """Return the differences between a container and its description, the most important ones first.

    :param dict wanted: the description
    :param dict | None container: the container as it was observed
    :param dict[str, str] images: name -> ID of the images of the host
    :rtype: list[Difference]
    """
    if not container:
        return [Difference(Change.MISSING)]
    network, others = wanted["network"], wanted["others"] or {}
    joined = container["networks"]
    address = joined.get(network, {}).get("said", {})
    checks = [
        *((name not in joined, Change.NETWORK, name) for name in others),
        *((wanted["others"] is not None and name not in (network, *others), Change.EXTRA_NETWORK, name) for name in joined),
        *(
            (name in joined and lacks_aliases(container, name, aliases), Change.ALIASES_ON_NETWORK, name)
            for name, aliases in others.items()
        ),
        (container["state"] != "running", Change.STATE, container["state"]),
        (container.get("hash") != wanted["hash"], Change.OPTIONS, ""),
        (container["image_id"] != images.get(normalize_image(wanted["image"])), Change.IMAGE, ""),
        (sorted(container["publishes"]) != sorted(wanted["publish"]), Change.PORTS, ""),
        (network not in joined, Change.NETWORK, network),
        (network in joined and lacks_aliases(container, network, wanted["aliases"]), Change.ALIASES, ""),
        (network in joined and any(address.get(key) != value for key, value in wanted["address"].items()), Change.ADDRESS, ""),
        (container.get("restart") != ("no" if wanted["temporary"] else "always"), Change.RESTART_POLICY, ""),
        # None is a limit that the kernel does not know
        (container.get("memory") not in (None, parse_size(wanted["memory"])), Change.MEMORY_LIMIT, ""),
        (container.get("pids") not in (None, int(wanted["pids"])), Change.PROCESS_LIMIT, ""),
    ]
    return [Difference(change, value) for is_different, change, value in checks if is_different]


def format_differences(differences):
    """Return differences in words: ``its image, its aliases on acme``.

    :param list[Difference] differences: see :func:`find_differences`
    :rtype: str
    """
    return ", ".join(CHANGE_TEXTS[change].format(value=value) for change, value in differences)


def needs_recreate(differences):
    """Return whether Docker has to recreate a container because of its differences, which breaks its connections.

    :param list[Difference] differences: see :func:`find_differences`
    :rtype: bool
    """
    return any(difference.change in RECREATE_CHANGES for difference in differences)


def lacks_aliases(container, network, aliases):
    """Return whether a container lacks an alias on a network.

    :param dict container: the container as it was observed
    :param str network: the network
    :param list[str] | None aliases: the aliases that it needs
    :rtype: bool
    """
    return not set(aliases or ()) <= set(container["networks"].get(network, {}).get("aliases", []))
