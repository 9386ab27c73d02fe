# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inputs of the plan of a side, and the state of its containers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection
from typing import TypedDict

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import (
    Difference,
    find_differences,
    lacks_aliases,
    needs_recreate,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_ports import distribute_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import Removal, Settings
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import TlsInputs
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import JoinedNetworks, LocalPort
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._temporary_containers import (
    find_free_names,
    find_leftover_containers,
    find_temporary_containers,
)

# the most temporary containers of earlier runs that may have connections: each takes its memory
MAX_STANDINS = 5


class Generation(TypedDict):
    """A configuration of a side: its name, and its files (name -> content)."""

    name: str
    files: dict[str, str]


@dataclasses.dataclass(frozen=True)
class SideInputs:
    """The inputs of the plan of a side."""

    #: ``server`` or ``client``
    side: str
    #: inventory name of the host
    host: str
    #: the wiring of the side
    wiring: dict
    #: the observation
    observed: dict
    settings: Settings
    #: see :func:`ambassadors.describe_ambassadors`; None without links, or with problems of the map
    places: dict[int, dict] | None = None
    #: None for an engine that keeps nothing on disk
    generation: Generation | None = None
    #: None without TLS
    tls: TlsInputs | None = None
    #: the wiring of the containers and the generation, if a server side still serves what the map no longer has (:mod:`handover`)
    kept_wiring: dict | None = None
    #: names of hosts whose server sides this run reaches later: the links that only they serve are proved later
    later_hosts: Collection[str] = ()
    #: whether the side loses authorized clients
    removes_clients: bool = False

    @property
    def served(self):
        """The wiring of the containers and the generation."""
        return self.kept_wiring or self.wiring

    @property
    def on_disk(self):
        """The side as it was observed, empty if it does not exist."""
        return self.observed["sides"].get(self.side, {})

    @functools.cached_property
    def existing(self):
        """Number -> container of the side, as it was observed."""
        return find_side_containers(self.side, self.observed)

    @functools.cached_property
    def late_links(self):
        """The links of a client side that are proved later."""
        later = set(self.later_hosts)
        return [link for link in self.served["links"] if self.side == "client" and link["servers"] and set(link["servers"]) <= later]

    @functools.cached_property
    def early_links(self):
        """The links that this run proves."""
        late = {link["alias"] for link in self.late_links}
        return [link for link in self.served["links"] if link["alias"] not in late]


class Standin(TypedDict):
    """A temporary container, which has the names of a container of a client side while that is away.

    ``directory`` has its endpoint. It starts as ``nameless``, and becomes ``named`` when ``links``, the links of that container, are up.
    """

    directory: str
    nameless: dict
    named: dict
    links: list[dict]


class StepInputs(TypedDict, total=False):
    """The inputs of the steps of a side, which ``roles/ambassador_engine/tasks`` reads. The first five exist only with their step.

    ``image`` is whether the image is missing, and whether its program is untested. ``new_key`` and ``former_name`` are those of
    :class:`Renewal`. ``cut`` are names of a revoked host. ``certified`` is the name in the certificate of the host. ``wiring`` has the
    links that the run proves, and the origin of addresses. ``container`` is the description of the first container, and ``containers``
    are those that change. ``runs`` are the directories of their endpoints. ``anew`` is whether each container is created or recreated,
    and so reads the generation when it starts. ``check`` is the description of a container that checks the generation, None if no
    container changes. ``standin`` are temporary containers that the run creates, and ``standins`` the names of all. ``before`` is the
    side that a rollback restores, empty if the run may not roll back, and ``joined`` are the networks that a rollback leaves.
    ``running`` is the generation that the engine runs. ``unchecked`` are the links that no health check proves, and ``local`` the ports
    that the links open on the host. ``variables`` are the files of the link variables, name -> content. ``patience`` is in seconds.
    """

    image: dict[str, bool]
    new_key: bool
    former_name: str | None
    remove: Removal
    cut: list[str]
    side: str
    certified: str
    wiring: dict
    container: dict
    containers: list[dict]
    runs: list[str]
    anew: bool
    generation: Generation | None
    check: dict | None
    standin: list[Standin]
    standins: list[str]
    before: dict
    joined: list[JoinedNetworks]
    running: str | None
    unchecked: list[dict]
    local: list[LocalPort]
    variables: dict[str, str]
    patience: int


@dataclasses.dataclass(frozen=True)
class SideContainers:
    """The containers of a side: what the run needs, and what exists."""

    #: number -> description
    wanted: dict[int, dict]
    #: number -> container as it was observed
    existing: dict[int, dict]
    #: number of an existing container that no link needs -> whether it can load the generation until it is removed
    idle: dict[int, bool]
    #: names of containers of runs that were killed
    left_over: list[str]
    #: number -> differences between description and container
    differences: dict[int, list[Difference]]
    #: names of temporary containers of earlier runs
    standins: list[str]
    #: name of a temporary container that the run needs -> number of the container that it replaces for a while
    new_standins: dict[str, int]

    @property
    def first(self):
        """The description of the first container."""
        return self.wanted[min(self.wanted)]

    @property
    def first_existing(self):
        """The first container as it was observed, None if it does not exist."""
        return self.existing.get(min(self.wanted))

    @property
    def changed(self):
        """The descriptions of the containers that change; a run of only temporary containers handles the first one too."""
        changed = [container for number, container in self.wanted.items() if self.differences[number]]
        return changed or ([self.first] if self.standins else [])

    @property
    def are_all_new(self):
        """Whether each container is created or recreated, and so reads the generation when it starts."""
        return all(number not in self.existing or self.needs_recreate(number) for number in self.wanted)

    def needs_recreate(self, number):
        """Return whether Docker has to recreate a container."""
        return needs_recreate(self.differences[number])


def find_containers(inputs):
    """Return the containers of a side: what the run needs, and what exists.

    :param SideInputs inputs: the inputs, with the descriptions of the containers that have names
    :rtype: SideContainers
    """
    side, observed, existing = inputs.side, inputs.observed, inputs.existing
    wanted, idle = distribute_ports(side, inputs.places, inputs.settings["engine"], observed, inputs.wiring["serves_itself"])
    differences = {number: find_differences(container, existing.get(number), observed["images"]) for number, container in wanted.items()}
    standins, new_standins = [], {}
    if side == "client":
        standins = find_temporary_containers(observed)
        replaced = [number for number in inputs.places if _needs_standin(inputs, wanted[number], existing.get(number), differences[number])]
        free_names = find_free_names(observed, MAX_STANDINS - len(standins))
        new_standins = dict(zip(free_names, replaced, strict=False))
    return SideContainers(
        wanted=wanted,
        existing=existing,
        idle=idle,
        left_over=find_leftover_containers(side, observed),
        differences=differences,
        standins=standins,
        new_standins=new_standins,
    )


def _needs_standin(inputs, wanted, container, differences):
    """Return whether a temporary container needs the names of a container for a while: a new alias needs a reconnect, and a new image needs
    a new container. Only a container that gets its address again is replaced.
    """
    if not container or not differences or not wanted["address"]:
        return False
    if inputs.settings["engine"] != "haproxy" or inputs.on_disk.get("engine") != "haproxy":
        return False
    networks = {**wanted["others"], wanted["network"]: wanted["aliases"]}
    return needs_recreate(differences) or any(lacks_aliases(container, network, aliases) for network, aliases in networks.items())
