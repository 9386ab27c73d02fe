# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: what a run has to change on a host, decided from the wiring, what was observed of the host, and the settings.

Pure Python without Ansible, so that every decision is tested without a host. A plan is for one part of a host: ``server`` or ``client``,
a side
of the ambassadors, ``redis_server`` or ``redis_client``. It says what is wrong (sentences, and then nothing is changed), or which steps to
take, in their order; a step has its place in the order over the fleet: *expand* (server sides take what is new), *turn* (client sides
change over), *contract* (server sides give up what nobody dials any more).

Settings are a dict: ``mesh``, ``engine``, ``network``, ``ipv6`` and ``tls`` (bool), ``state_dir``, ``controller_dir``, ``ca`` and
``ca_crl`` (PEM, empty where none was given), ``ca_key`` (bool, whether one was), ``certificate_days`` (int), ``cut`` (a revoked
host whose connections end, or an empty text), ``image`` (as it is pulled), ``image_name`` (as the user wrote it), ``nameservers`` (list of
str, empty for those of the host), ``memory``, ``pids``, ``prove`` (bool), ``metrics`` (``address:port`` or a port of the metrics, empty for
none), ``tested`` (images whose program printed its version in this run). ``Wiring.side`` returns the wiring, and the module
``observation_info`` the observation.
"""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers

EXPAND, TURN, CONTRACT = "expand", "turn", "contract"
# part -> when its steps are taken, but for `remove` of a side, which is to contract
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


class Plan:
    """What has to change of one part of a host.

    :param str part: ``server``, ``client``, ``redis_server`` or ``redis_client``
    :param str host: inventory name of the host
    """

    def __init__(self, part, host):
        self.part, self.host = part, host
        #: what is wrong, a sentence each; nothing is changed then
        self.problems = []
        #: what is to be known before it can be judged: ``observation``, ``facts`` and ``certificates``, names of hosts each
        self.ask = {}
        #: why, step by step: name of the step -> words for people
        self.why = {}
        #: what people are told before anything is changed, a line each
        self.lines = []
        #: what is done, and may be a mistake, a sentence each
        self.warnings = []
        #: what the steps need
        self.inputs = {}
        #: what is needed whether there are steps or not
        self.always = {}
        #: whether something is served that is to be given up once nobody dials it
        self.contracts = False

    def step(self, name, why):
        """Take a step.

        :param str name: one of ``STEPS``
        :param str why: why, in words for people
        """
        self.why.setdefault(name, why)

    def result(self):
        """Return the plan as a dict.

        :return: ``part``, ``problems``, ``ask``, ``steps`` (list of str, in order), ``phases`` (phase -> list of str), ``why``,
            ``lines``, ``record`` (list of str: what the host is to remember of it; empty where nothing is changed, and for an engine that
            keeps nothing on disk); and where there are steps, what they need
        :rtype: dict
        """
        steps = [] if self.problems else [name for name in STEPS if name in self.why]
        phases = {EXPAND: [], TURN: [], CONTRACT: []}
        for name in steps:
            contracts = name == "remove" and self.part in SIDES
            phases[CONTRACT if contracts else PHASES[self.part]].append(name)
        if self.contracts and not self.problems:
            phases[CONTRACT] += ["configuration", "load", "verify"]
        told = {"part": self.part, "problems": self.problems, "ask": self.ask, "steps": steps, "phases": phases, "why": self.why}
        told |= {"lines": [], "warnings": []} if self.problems else {"lines": self.lines, "warnings": self.warnings}
        changes = self.inputs.get("generation") and set(steps) - {"verify", "remove"}
        told["record"] = (self.lines or [why for name, why in self.why.items() if name != "verify"]) if changes else []
        return {**told, **self.always, **(self.inputs if steps else {})}


def plan_unseen(part, host):
    """Plan nothing yet, for what was observed of the host is what another mesh sees.

    :param str part: the part
    :param str host: inventory name of the host
    :rtype: Plan
    """
    plan = Plan(part, host)
    plan.ask = {"observation": [host]}
    return plan


def container_names(side, observed, numbers):
    """Return the names of containers of a side."""
    return [names.ambassador(side, observed["mesh"], number) for number in numbers]


def all_container_names(side, observed):
    """Return the names of all containers of a side that there may be."""
    return container_names(side, observed, {1, *containers.numbered(side, observed)}) + containers.left_over(side, observed)


def directories_of(side):
    """Return the directories of a side in the state directory.

    :param str side: ``server`` or ``client``
    :rtype: list[str]
    """
    return [side, names.LINKS] if side == "client" else [side]


def add_image_step(plan, observed, settings, there):
    """Get the image before anything is changed, and know the program in it.

    :param list[dict | None] there: the containers that are to have it, as they were observed
    """
    image = observed["images"].get(containers.reference(settings["image"]))
    missing = image is None
    new = missing or all(not found or found["image_id"] != image for found in there)
    untested = settings.get("engine") == "haproxy" and new and settings["image"] not in settings.get("tested", [])
    if missing or untested:
        plan.step("image", f"the image {settings['image']} is {'missing' if missing else 'new here'}")
        plan.inputs["image"] = {"missing": missing, "untested": untested}


def add_network_step(plan, observed, settings):
    # one that is there is left as it is, whoever made it: Docker changes a network by making it anew
    if settings["network"] not in observed["networks"]:
        plan.step("network", f"the network {settings['network']} is missing")
