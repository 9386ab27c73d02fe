# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a part of a host: its problems, or the steps of a run.

The planner decides from the wiring, the observation of the host, and the settings. It is pure Python without Ansible, so every decision is
tested without a host. The parts are the sides ``server`` and ``client``, and the containers ``redis_server`` and ``redis_client``.
A step belongs to a phase of the run over all hosts: *expand* (server sides add), *turn* (client sides change), *contract* (server sides
remove what no client uses). ``Wiring.side`` returns the wiring, and the module ``observation_info`` returns the observation.
"""

from __future__ import annotations

import dataclasses
from typing import TypedDict

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import normalize_image
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._temporary_containers import find_leftover_containers

EXPAND, TURN, CONTRACT = "expand", "turn", "contract"
# part -> phase of its steps, except the step `remove` of a side, which is in the phase `contract`
PHASES = {"server": EXPAND, "client": TURN, "redis_server": EXPAND, "redis_client": TURN}
# the steps in their order
STEPS = (
    "image",
    "network",
    "certificate",
    "data",
    "directory",
    "configuration",
    "standin",
    "container",
    "load",
    "cut",
    "verify",
    "variables",
    "remove",
)
SIDES = ("server", "client")


class Settings(TypedDict, total=False):
    """The settings of a run for a host. A Redis container has no ``engine``, and its ``memory`` and ``pids`` are its own.

    ``ca`` and ``ca_crl`` are PEM, and empty if they are not given. ``ca_key`` is whether the key of that CA is given. ``cut`` is a revoked
    host whose connections are closed, or empty. ``image`` is pulled under this name. ``nameservers`` is empty for the name servers of the
    host. ``metrics`` is ``address:port`` or a port, and empty for no metrics. ``tested`` are images whose program printed its version in
    this run. ``volume`` is the name of the volume of a Redis server.
    """

    mesh: str
    engine: str | None
    network: str
    ipv6: bool
    tls: bool
    state_dir: str
    controller_dir: str
    ca: str
    ca_crl: str
    ca_key: bool
    certificate_days: int
    cut: str
    image: str
    nameservers: list[str]
    memory: str
    pids: int
    prove: bool
    metrics: str | int
    tested: list[str]
    volume: str | None


class Removal(TypedDict):
    """The containers, directories, network and volume that a run removes."""

    containers: list[str]
    paths: list[str]
    network: str | None
    volume: str | None


def make_removal(container_names=(), paths=(), volume=None):
    """Return a removal without a network.

    :rtype: Removal
    """
    return Removal(containers=list(container_names), paths=list(paths), network=None, volume=volume)


@dataclasses.dataclass
class Plan:
    """The changes of one part of a host."""

    #: ``server``, ``client``, ``redis_server`` or ``redis_client``
    part: str
    #: inventory name of the host
    host: str
    #: a sentence for each problem; with one, the run changes nothing
    problems: list[str] = dataclasses.field(default_factory=list)
    #: names of hosts that the plan needs more of: ``observation``, ``facts`` and ``certificates``
    ask: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    #: step -> its reason, in words for people
    why: dict[str, str] = dataclasses.field(default_factory=dict)
    #: a line for each change, which a run prints before its first step
    lines: list[str] = dataclasses.field(default_factory=list)
    #: a sentence for each change that may be a mistake
    warnings: list[str] = dataclasses.field(default_factory=list)
    #: inputs of the steps
    inputs: dict = dataclasses.field(default_factory=dict)
    #: values that are needed even if there are no steps
    always: dict = dataclasses.field(default_factory=dict)
    #: whether a later phase removes parts of the configuration that clients may still use
    contracts: bool = False

    def add_step(self, name, why):
        """Add a step. A step that has a reason keeps it.

        :param str name: one of ``STEPS``
        :param str why: the reason, in words for people
        """
        self.why.setdefault(name, why)

    def result(self):
        """Return the plan as a dict.

        :return: ``part``, ``problems``, ``ask``, ``steps`` (list of str, in order), ``phases`` (phase -> list of str), ``why``,
            ``lines``, ``record`` (list of str: the history of the host gets these; empty if nothing changes, and for an engine that
            keeps nothing on disk); and if there are steps, their inputs
        :rtype: dict
        """
        steps = [] if self.problems else [name for name in STEPS if name in self.why]
        return {
            "part": self.part,
            "problems": [str(problem) for problem in self.problems],
            "ask": self.ask,
            "steps": steps,
            "phases": self._sort_into_phases(steps),
            "why": self.why,
            "lines": [] if self.problems else self.lines,
            "warnings": [] if self.problems else self.warnings,
            "record": self._list_history(steps),
            **self.always,
            **(self.inputs if steps else {}),
        }

    def _sort_into_phases(self, steps):
        phases = {EXPAND: [], TURN: [], CONTRACT: []}
        for name in steps:
            contracts = name == "remove" and self.part in SIDES
            phases[CONTRACT if contracts else PHASES[self.part]].append(name)
        if self.contracts and not self.problems:
            phases[CONTRACT] += ["configuration", "load", "verify"]
        return phases

    def _list_history(self, steps):
        """Return what the history of the host gets."""
        if not self.inputs.get("generation") or not set(steps) - {"verify", "remove"}:
            return []
        return self.lines or [why for name, why in self.why.items() if name != "verify"]


def plan_unseen(part, host):
    """Return a plan without steps, because the observation of the host is that of another mesh.

    :param str part: the part
    :param str host: inventory name of the host
    :rtype: Plan
    """
    return Plan(part, host, ask={"observation": [host]})


def name_containers(side, observed, numbers):
    """Return the names of containers of a side.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param numbers: numbers of the containers
    :rtype: list[str]
    """
    return [names.name_side_container(side, observed["mesh"], number) for number in numbers]


def name_all_containers(side, observed):
    """Return the names of all containers that a side may have.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :rtype: list[str]
    """
    return name_containers(side, observed, {1, *find_side_containers(side, observed)}) + find_leftover_containers(side, observed)


def add_image_step(plan, observed, settings, users):
    """Add the step that pulls the image, and runs its program once, before anything changes.

    :param Plan plan: the plan
    :param dict observed: the observation
    :param Settings settings: the settings
    :param list[dict | None] users: the containers that need the image, as they were observed
    """
    image_id = observed["images"].get(normalize_image(settings["image"]))
    missing = image_id is None
    is_new = missing or all(not container or container["image_id"] != image_id for container in users)
    untested = settings.get("engine") == "haproxy" and is_new and settings["image"] not in settings.get("tested", [])
    if missing or untested:
        plan.add_step("image", f"the image {settings['image']} is {'missing' if missing else 'new here'}")
        plan.inputs["image"] = {"missing": missing, "untested": untested}


def add_network_step(plan, observed, settings):
    """Add the step that creates the network of the ambassadors. An existing network stays, because Docker can only recreate it.

    :param Plan plan: the plan
    :param dict observed: the observation
    :param Settings settings: the settings
    """
    if settings["network"] not in observed["networks"]:
        plan.add_step("network", f"the network {settings['network']} is missing")
