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

import ipaddress
import re
from typing import NamedTuple, TypedDict

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint, is_address, is_own, overlap
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation import digest, variables_digest
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import targets_of, unchecked
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certified
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import HOST
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import variable_files
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import names_of, networks

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
# the most stand-ins of earlier runs that may have connections: each takes its memory
STANDINS = 5
# files of Redis' directory that the server need not be told of
LOADED = "loaded"

# before the end of a CA people have this time to change to another one
AUTHORITY_DAYS = 365
# signing.py backdates the certificates of hosts by this time
BACKDATED_SECONDS = 3600
# why a host needs another certificate
MISSING, REVOKED, OTHER_KEY, RENAMED, OTHER_NAME = "missing", "revoked", "other_key", "renamed", "other_name"
OTHER_AUTHORITY, EXTRA_NAME, AGED = "other_authority", "extra_name", "aged"
# another host, or an attacker, may have the key as well
NEW_KEY = (REVOKED, OTHER_NAME)
# bytes that a run may need on disk: two generations of a few hundred links, certificates, passwords
ROOM = 4 << 20

# version of IP -> the address of the host that only its own programs reach
LOOPBACK = {4: "127.0.0.1", 6: "::1"}

REMEDIES = {
    "publish": "set ambassador_bind for this host to one of its own addresses, or correct ambassador_address",
    "local": "correct the link's local to one of this host's own addresses",
    "metrics": "set ambassador_metrics to a port, or to one of this host's own addresses and a port",
}


# key -> how to publish on IPv4
IPV4_REMEDIES = {
    "publish": "Set ambassador_bind of this host to an IPv4 address",
    "local": "Set local to an IPv4 address, for example 127.0.0.1",
    "metrics": "Set ambassador_metrics to a port, or to an IPv4 address and a port",
}


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


def unseen(part, host):
    """Plan nothing yet, for what was observed of the host is what another mesh sees.

    :param str part: the part
    :param str host: inventory name of the host
    :rtype: Plan
    """
    plan = Plan(part, host)
    plan.ask = {"observation": [host]}
    return plan


# -- what can be wrong with a host ------------------------------------------------------------------------------------


# the first version of Docker Engine that drops what a neighbor of the host sends to a container
CLOSED_SINCE = 28
# kind of the Docker Engine -> what was expected of it, what was found, what to do
UNFIT = {
    "userns": "whose containers have the users of the host, for keys and passwords are files of these, found userns-remap;"
    " take it out of the engine's daemon.json.",
    "rootless": "whose containers have the users of the host, for keys and passwords are files of these, found a rootless one;"
    " install or start one that root runs, or point the play to it (DOCKER_HOST).",
    "podman": "with a DNS of its own at 127.0.0.11, where ambassadors look containers up, found Podman;"
    " install Docker on the host, or point the play to it (DOCKER_HOST).",
}


def engine_problem(host, docker):
    """Return why the roles cannot use the Docker Engine of a host, or None.

    :param str host: inventory name of the host
    :param dict docker: ``docker`` of the observation
    :rtype: str | None
    """
    if docker.get("kind"):
        return f"host {host}: expected a Docker Engine {UNFIT[docker['kind']]}"
    if not docker["error"]:
        return None
    if docker.get("fault") == "settings":
        return f"Host {host}: the connection settings of the Docker Engine are wrong. {docker['error']}"
    return (
        f"Host {host}: the Docker Engine does not answer. {docker['error']}."
        " Install or start it on the host (this collection does not install it), or allow the user of this play to use it."
    )


def open_port_warnings(host, versions):
    """Warn of Docker Engines that forward packets of neighbors to ports of containers. The first of their hosts warns for all.

    :param str host: inventory name of the host
    :param dict[str, str] versions: host -> version of its Docker Engine, empty if it is not known
    :rtype: list[str]
    :source: Docker's documentation, "Docker Engine v28 release notes", 28.0.0: direct access to ports of containers is blocked
    """
    majors = {name: re.match(r"[0-9]{1,4}", version) for name, version in versions.items()}
    old = [name for name, major in majors.items() if major and int(major[0]) < CLOSED_SINCE]
    if not old or host != old[0]:
        return []
    return [
        f"Docker Engine before version {CLOSED_SINCE} on {', '.join(old)}: hosts on the same network can connect to all ports of"
        f" containers, not only to published ports. Upgrade Docker Engine to version {CLOSED_SINCE} or later."
    ]


def host_problems(host, observed):
    """Tell why a host cannot run containers at all.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :rtype: list[str]
    """
    if "requests" in observed["python"]["missing"]:
        return [
            f"host {host}: expected the Python library requests for {observed['python']['executable']}, found none;"
            " install the package python3-requests on the host."
        ]
    problem = engine_problem(host, observed["docker"])
    return [problem] if problem else []


def tls_problems(part, host, observed):
    """Return why the Redis roles cannot use the connection to the Docker Engine.

    :param str part: ``redis_server`` or ``redis_client``
    :param str host: inventory name of the host
    :param dict observed: the observation
    :rtype: list[str]
    :source: ``shutdown_writing`` in community.docker: it cannot end the standard input of a command over TLS, and then the task hangs
    """
    if not observed["docker"].get("tls"):
        return []
    return [
        f"Host {host}: the role {part} cannot use the Docker Engine over TLS, because community.docker cannot pass standard input to a"
        " container over TLS. Set docker_host of this host to a Unix socket."
    ]


def network_problems(host, observed, settings):
    """Tell why a network that is there does not do: Docker cannot give it IPv6, only make it anew, and cut off all on it.

    :rtype: list[str]
    :source: Docker's documentation, "Networking", sections "Bridge network driver" (no names on the default one) and "Internal"
    """
    network, name = observed["networks"].get(settings["network"]), settings["network"]
    where = f"host {host}, ambassador_network: expected a network"
    if name in ("bridge", "host", "none"):
        return [
            f"{where} on which containers have names, found {name}, which Docker made; name another, which is made where it is missing."
        ]
    if network and network.get("internal"):
        return [f"{where} that leads to other hosts, found {name} to be internal; name another, or make it anew without --internal."]
    if not settings["ipv6"] or network is None or network["ipv6"]:
        return []
    return [
        f"host {host}, ambassador_ipv6: expected the network {settings['network']} to have IPv6, found it made without;"
        " remove it (the roles' state absent does, once nothing else is attached), or set ambassador_network to another name."
    ]


def memory_problems(part, host, settings):
    """Tell whether the memory limit of a part is a size.

    :rtype: list[str]
    """
    if containers.size(settings["memory"]) is not None:
        return []
    variable = "ambassador_memory" if part in SIDES else f"{part}_memory"
    found = f"{settings['memory']!r} is not a size"
    return [f"Host {host}, {variable}: {found}. Use a number and a unit, for example 512M or 2G, or 0 for no limit."]


def name_problems(host, name, observed):
    """Tell whether a container's name is somebody else's.

    :rtype: list[str]
    """
    found = observed["containers"].get(name)
    if found is None or found["ours"] is not None:
        return []
    whose = f"one of mesh {found['mesh']}" if found["mesh"] else "another one"
    return [
        f"host {host}: expected no container {name}, or one that this mesh made, found {whose} (image {found['image']});"
        " rename or remove that one."
    ]


def state_problems(host, observed, settings):
    """Tell whether the state directory is another mesh's: a run would take its sides for those of this one.

    :rtype: list[str]
    """
    directory = settings["state_dir"]
    meshes = {
        found["mesh"]
        for found in observed["containers"].values()
        if found["mesh"] not in (None, observed["mesh"]) and (found.get("directory") or "").rpartition("/")[0] == directory
    }
    return [
        f"host {host}, ambassador_state_dir: expected a directory of mesh {observed['mesh']} alone, found {directory}, which is that of"
        f" mesh {mesh}; set it to another one."
        for mesh in sorted(meshes)
    ]


def named(container, found):
    """Return a container in words, with the mesh that made it.

    :param str container: its name
    :param dict found: the container as it was observed
    :rtype: str
    """
    return f"container {container}" + (f" of mesh {found['mesh']}" if found["mesh"] else "")


def alias_problems(host, wiring, observed, network):
    """Tell what else answers to an alias on the network: Docker gives the addresses of both, so that connections go now here, now there.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side
    :param dict observed: the observation
    :param str network: the network of the ambassadors
    :rtype: list[str]
    """
    mesh, aliases = observed["mesh"], networks(wiring["links"], "client")
    aliases[network] = names_of(wiring["links"])
    sides = _all_names("client", observed)
    # network, name in lower case -> containers that answer to it, each as a sentence names it
    others = {}
    for container, found in observed["containers"].items():
        own = found["ours"] in sides or names.standin_number(found["ours"] or "", mesh)
        for place in found["networks"] if not own and found["state"] not in ("created", "exited", "dead") else ():
            for name in found["networks"][place].get("names", []):
                others.setdefault((place, name.lower()), []).append(f"{named(container, found)} (image {found['image']})")
    return [
        f"link {alias}: expected {wiring['holder']} alone to answer to this name on the network {place} of host"
        f" {host}, found {other} to answer as well, and to take its share of the connections;"
        " rename that container or its alias, put it on another network, or rename the link."
        for place in sorted(aliases, key=lambda name: name != network)
        for alias in aliases[place]
        for other in others.get((place, alias.lower()), [])
    ]


def joined_problems(host, side, wiring, observed, network):
    """Tell which Docker networks of links are missing.

    :param str host: inventory name of the host
    :param str side: ``server`` or ``client``
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param str network: the network of the ambassadors, which the run creates
    :rtype: list[str]
    """
    key = {"server": "network", "client": "networks"}[side]
    return [
        f"link {link['alias']}, {key}: expected a Docker network {name} on host {host}, found none;"
        " start what makes it (docker compose up), or correct the name."
        for link in wiring["links"]
        for name in link.get("networks", [])
        if name not in (network, *observed["networks"])
    ]


# why a network does not work as the default route, after "the network X of host Y"
ROUTE_FAULTS = {
    containers.RouteFault.PARENT_DRIVER: "has the driver {driver}, with which the host forwards nothing for its containers",
    containers.RouteFault.NO_HOST_ADDRESS: "has no gateway on the host (inhibit_ipv4)",
    containers.RouteFault.NOT_NAT: "does not translate addresses (gateway_mode)",
    containers.RouteFault.NO_MASQUERADE: "does not lead to other hosts (enable_ip_masquerade is false)",
}


def dials_other_hosts(side, links):
    """Return whether a side connects to other hosts, and not only to containers of its own host.

    A client side does, unless its own host alone serves its links. A server side does for a backend that is an address, and for the other
    hosts that serve a link.

    :param str side: ``server`` or ``client``
    :param list[dict] links: the links of the side
    :rtype: bool
    """
    if side == "client":
        return any(not target["on_this_host"] for link in links for target in link["targets"])
    return any(
        len(link["targets"]) > 1 or (link["targets"][0]["name"] != HOST and is_address(link["targets"][0]["address"])) for link in links
    )


def default_route_problems(host, side, links, asked, observed, settings):
    """Return the joined networks that become the default route of a container and do not work as one.

    The network of the ambassadors is not checked: its user decides how it reaches other hosts.

    :param str host: inventory name of the host
    :param str side: ``server`` or ``client``
    :param list[dict] links: the links of the side
    :param asked: descriptions of the containers of the side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    # network -> problem: several containers of a side have the same networks
    problems, own, dials = {}, settings["network"], dials_other_hosts(side, links)
    for container in asked:
        name = containers.default_route([own, *container["others"]], observed, settings)
        if name in (None, own, *problems):
            continue
        network = observed["networks"][name]
        fault = containers.route_fault(network, dials, bool(container["publish"]), settings["ipv6"])
        if fault:
            alias = next((link["alias"] for link in links if name in link.get("networks", [])), None)
            key = {"server": "network", "client": "networks"}[side]
            where = f"Link {alias}, key {key}: the network {name} of host {host}" if alias else f"Host {host}: the network {name}"
            reason = ROUTE_FAULTS[fault].format(driver=network.get("driver"))
            remedy = _route_remedy(name, container["name"], alias, observed, own)
            problems[name] = f"{where} becomes the default route of {container['name']}, but it {reason}. {remedy}"
    return list(problems.values())


def _route_remedy(name, container, alias, observed, own):
    network, other = observed["networks"][name], observed["networks"].get(own, {"ipv6": False})
    ways = [] if alias else [f"disconnect {container} from it"]
    create = [] if network.get("driver") in containers.PARENT_DRIVERS else ["with --internal"]
    # a network with IPv6 comes before one without, whatever their names
    later = ["without IPv6"] if network["ipv6"] and not other["ipv6"] else []
    later += [f"with a name that sorts after {own}"] if name < own else []
    create.append(" and ".join(later))
    ways.append(f"create it again {' or '.join(create)}")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def shared_listener_problems(host, wiring, settings):
    """Return the links whose ``networks`` differ, for the engine socat: it answers on all networks of its container.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side, with the place of each link
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if settings["engine"] != "socat":
        return []
    problems, first = [], {}
    for link in wiring["links"]:
        other = first.setdefault(link["place"], link)
        if set(link["networks"]) - {settings["network"]} != set(other["networks"]) - {settings["network"]}:
            problems.append(
                f"link {link['alias']}, networks: the networks of link {other['alias']} on host {host} are different, and the engine socat"
                " answers for every link on all networks of its container. Give both links the same networks, or set ambassador_engine to"
                " haproxy or nftables."
            )
    return problems


def ipv6_alias_problems(host, wiring, observed, settings):
    """Return the links whose alias has an IPv6 address that the engine nftables cannot serve: the kernel does not translate to IPv4.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its client side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if settings["engine"] != "nftables":
        return []
    has_ipv6 = {settings["network"]: settings["ipv6"], **{name: network["ipv6"] for name, network in observed["networks"].items()}}
    return [
        f"link {link['alias']}: the network {name} of host {host} has IPv6, and the engine nftables cannot forward IPv6 to targets that"
        " have only IPv4 addresses. Set ambassador_engine to haproxy, or use a network without IPv6."
        for link in wiring["links"]
        for name in dict.fromkeys([settings["network"], *link["networks"]])
        if has_ipv6.get(name) and not any("ip6" in target["families"] for target in link["targets"])
    ]


def loopback_problems(host, wiring, observed, network):
    """Tell which backends on the host itself no container reaches.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of its server side
    :param dict observed: the observation
    :param str network: the network of the ambassadors
    :rtype: list[str]
    """
    problems = []
    for link in wiring["links"]:
        backend = link["targets"][0]
        if backend["name"] != HOST:
            continue
        at = (link["protocol"], backend["port"])
        listeners = sorted({address for protocol, address, port in observed["listening"] if (protocol, port) == at})
        if listeners and all(ipaddress.ip_address(address).is_loopback for address in listeners):
            problems.append(
                f"link {link['alias']}, backend: expected what listens on port {backend['port']} of host {host} to listen where containers"
                f" reach it, found it on {', '.join(listeners)} alone; let it listen on all, or on the address that the host has on the"
                f" network {network}."
            )
    return problems


def nameserver_problems(host, wiring, observed, settings):
    """Tell why nobody can be asked for the DNS names that a side dials.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    asked = sorted({target["address"] for link in wiring["links"] for target in link["targets"] if target["dns"]})
    wrong = [one for one in settings["nameservers"] if not is_address(one)]
    if wrong:
        return [f"ambassador_nameservers: expected IP addresses, found {', '.join(map(repr, wrong))}; correct it."]
    if not asked or settings["nameservers"] or observed["nameservers"]:
        return []
    return [
        f"host {host}, ambassador_nameservers: expected a name server that containers reach, for {', '.join(asked[:3])}, found none"
        " in the host's own configuration (what listens on its loopback is reached by the host alone); set ambassador_nameservers."
    ]


def volume_problems(host, part, volume, observed):
    """Tell whether a volume of data is another mesh's.

    :rtype: list[str]
    """
    found = observed["volumes"].get(volume, {})
    if found.get("mesh") in (None, observed["mesh"]):
        return []
    return [
        f"host {host}, {part}_volume: expected a volume of mesh {observed['mesh']} alone, found {volume}, which is that of mesh"
        f" {found['mesh']}; set it to another one."
    ]


def disk_problems(plan, observed, settings):
    """Tell why nothing can be written, where a step of a plan would write.

    :param Plan plan: the plan
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    disk = observed["disk"]
    if not {"certificate", "directory", "configuration"} & set(plan.why):
        return []
    where = f"host {plan.host}: expected to write in {settings['state_dir']}, found its file system"
    if not disk["writable"]:
        return [f"{where} mounted read-only; mount it writable (`findmnt -T {settings['state_dir']}` names it)."]
    if disk["free"] < ROOM:
        return [f"{where} full ({disk['free']} bytes are free); make room (`df {settings['state_dir']}` names it)."]
    return []


def account_warnings(plan, observed):
    """Warn of an account of the host that can read what a plan writes for a container alone.

    :param Plan plan: the plan
    :param dict observed: the observation
    :rtype: list[str]
    """
    warnings = []
    readable = {
        "certificate": (permissions.HAPROXY_UID, "the key of its certificate"),
        "directory": (permissions.REDIS_UID, "passwords of Redis"),
    }
    for step, (uid, what) in readable.items():
        name = observed["accounts"].get(str(uid))
        if step in plan.why and name:
            warnings.append(
                f"host {plan.host}: the account {name} has the user ID {uid}, as a container of ours has, and can read {what};"
                " give it another one if that is nobody you trust."
            )
    return warnings


def directory_problems(part, name):
    """Tell whether a container's name is that of an ambassador's directory.

    :rtype: list[str]
    """
    if name not in (*SIDES, "identity", names.LINKS):
        return []
    return [f"{part}_name: expected another name than those of the ambassadors' directories, found {name}; choose another."]


def _names(side, observed, numbers):
    """Return the names of containers of a side."""
    return [names.ambassador(side, observed["mesh"], number) for number in numbers]


def _all_names(side, observed):
    """Return the names of all containers of a side that there may be."""
    return _names(side, observed, {1, *containers.numbered(side, observed)}) + containers.left_over(side, observed)


def port_problems(wiring, own, observed):
    """Tell which ports cannot be published, before a container is made for them.

    :param dict wiring: the wiring of the side
    :param list[str] own: names of the side's containers, whose own ports are free for their successors
    :param dict observed: the observation
    :return: a sentence each
    :rtype: list[str]
    """
    problems, held, others = [], [], {}
    for name, found in observed["containers"].items():
        ports = [containers.listener(port) for port in found["publishes"]]
        if name in own:
            held += ports
        else:
            others[name] = ports
    for want in wiring["publish"]:
        at = (want["address"], want["port"])
        if any(protocol == want["protocol"] and overlap(at, one) for protocol, one in held):
            continue
        where = f"{want.get('where') or 'link ' + want['alias']}: expected to publish port {want['port']} on {want['address']}"
        if not is_own(want["address"], observed["addresses"]):
            problems.append(f"{where}, found that this host has no such address (NAT?); {REMEDIES[want['key']]}.")
            continue
        holders = [name for name, ports in others.items() if any(p == want["protocol"] and overlap(at, one) for p, one in ports)]
        taken = any(protocol == want["protocol"] and overlap(at, (found, port)) for protocol, found, port in observed["listening"])
        if holders or taken:
            who = named(holders[0], observed["containers"][holders[0]]) if holders else "another program or container"
            problems.append(
                f"{where}, found it taken by {who} (`ss -l{want['protocol'][0]}np` and `docker ps` name it);"
                f" stop that, or {'set it to another port' if want['key'] == 'metrics' else 'change ' + want['key'] + ' of the link'}."
            )
    return problems


def ipv6_port_problems(host, publish, observed, has_ipv6):
    """Return the IPv6 addresses on which the Docker Engine of a host publishes nothing, because it runs without its userland proxy.

    Then only rules of the kernel forward to a container. The kernel has no rule for IPv6 loopback, and none from IPv6 to IPv4.

    :param str host: inventory name of the host
    :param list[dict] publish: the published ports, as :func:`port_problems` takes them
    :param dict observed: the observation
    :param bool has_ipv6: whether the containers that publish the ports have IPv6 addresses and listen there
    :rtype: list[str]
    :source: measured on Docker Engine 26.1; ip-sysctl of the kernel has ``route_localnet`` for IPv4 only
    """
    if observed["docker"].get("userland_proxy") is not False:
        return []
    problems = []
    for port in publish:
        address = ipaddress.ip_address(port["address"])
        if address.version == 4 or (has_ipv6 and not address.is_loopback):
            continue
        where = f"Link {port['alias']}, key {port['key']}: host" if "alias" in port else "Variable ambassador_metrics: host"
        reason, remedy = "", "run the engine with userland-proxy: true"
        if not address.is_loopback:
            reason, remedy = " and the ambassadors have no IPv6", "set ambassador_ipv6 to true"
        problems.append(
            f"{where} {host} cannot publish port {port['port']} on {address}, because its Docker Engine has userland-proxy: false{reason}."
            f" {IPV4_REMEDIES[port['key']]}, or {remedy}."
        )
    return problems


def metrics_problems(host, wiring, observed, settings):
    """Tell why metrics cannot be told where they are asked for.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of a side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if not settings["metrics"]:
        return []
    at, where = containers.metrics_at(settings["metrics"]), f"host {host}, ambassador_metrics: expected"
    if at is None:
        return [f"{where} a port, or address:port, found {settings['metrics']!r}; correct it, or set it to '' for no metrics."]
    if settings["engine"] != "haproxy":
        return [
            f"{where} the engine haproxy, which alone tells metrics, found {settings['engine']}; set ambassador_metrics to '',"
            " or ambassador_engine to haproxy."
        ]
    publishes = [
        f"{port['key']} of link {port['alias']}"
        for port in wiring["publish"]
        if port["protocol"] == "tcp" and overlap(at, (port["address"], port["port"]))
    ]
    if publishes:
        return [f"{where} a port that no link has, found {endpoint(*at)} to be {publishes[0]} as well; set one of them to another port."]
    name = names.metrics(observed["mesh"])
    want = {"where": f"host {host}, ambassador_metrics", "key": "metrics", "address": at[0], "port": at[1], "protocol": "tcp"}
    problems = name_problems(host, name, observed) or port_problems({"publish": [want]}, [name], observed)
    return problems + ipv6_port_problems(host, [want], observed, settings["ipv6"])


# -- certificates -----------------------------------------------------------------------------------------------------


# why HAProxy refuses all certificates of a CA -> what is wrong with its list of revoked certificates, and what to do
LIST_PROBLEMS = {
    "missing": "the list of revoked certificates of the CA {name} is missing. Append it. With any list, HAProxy requires one of each CA.",
    "ended": "the list of revoked certificates of the CA {name} has ended. Replace it with the present list of this CA.",
    "cannot_sign": "the list of the CA {name} is not valid. Issue the certificate of the CA with the key usage cRLSign.",
}


def list_problems(settings, unlisted):
    """Return the CAs of which every certificate is refused, because their lists of revoked certificates are missing or not valid.

    :param list[dict] unlisted: ``name`` and ``fault`` (a key of LIST_PROBLEMS) of each CA
    :rtype: list[str]
    """
    place = "ambassador_ca_crl" if settings["ca"] else f"{settings['controller_dir']}/ca.crl"
    return [f"{place}: {LIST_PROBLEMS[one['fault']].format(name=one['name'])}" for one in unlisted]


def certificate_problems(host, observed, settings, authorities, held, missing=()):
    """Return the reasons why the certificate of a host cannot be kept or made: a wrong CA, or a missing library on the host.

    :param dict observed: the observation
    :param list[dict] authorities: the CAs of this controller, see the plugin util ``certificates``
    :param dict | None held: the certificate of the host
    :param missing: ``name`` and ``issuer`` of the CAs whose issuer is not in the file of the CA
    :rtype: list[str]
    """
    if settings["ca"] and not authorities:
        return ["ambassador_ca_certificate: expected a certificate, PEM, found none in it; correct it."]
    if missing:
        place = "ambassador_ca_certificate" if settings["ca"] else f"{settings['controller_dir']}/ca.pem"
        return [
            f"{place}: the issuer {one['issuer']} of the CA {one['name']} is missing. Append the certificate of the issuer to it."
            for one in missing
        ]
    if held and held["authority"] not in [authority["key"] for authority in authorities]:
        place, remedy = (
            f"in {settings['controller_dir']} on this controller",
            "copy that directory from the controller that made it, or set ambassador_controller_dir",
        )
        if settings["ca"]:
            place, remedy = "in ambassador_ca_certificate", "put that one behind the first, which signs"
        return [
            f"host {host}: expected the CA of its certificate {place}, found {'another one' if authorities else 'none'};"
            f" {remedy} (a CA is not made anew where a host holds a certificate)."
        ]
    if not held and "cryptography" in observed["python"]["missing"]:
        return [
            f"host {host}: expected the Python library cryptography, found none; install the package python3-cryptography on the host,"
            " or set ambassador_tls to false, and what the links carry can be read and changed on its way, and anyone can connect."
        ]
    return []


def holders_problems(holders, settings):
    """Tell which hosts keep this controller from making a CA.

    :param list[str] holders: the hosts that hold a certificate
    :rtype: list[str]
    """
    if not holders:
        return []
    return [
        f"hosts {', '.join(holders)}: expected the CA of their certificates in {settings['controller_dir']}"
        " on this controller, found none; copy that directory from the controller that made it, or set ambassador_controller_dir"
        " (a CA is not made anew where a host holds a certificate)."
    ]


def authority_key_problems(path, mode):
    """Return why the key of the CA of this controller is not used: other users can read it, so one of them may have it.

    :param str path: the file of the key
    :param int | None mode: its mode; None if there is no such file
    :rtype: list[str]
    """
    if mode is None or not mode & 0o077:
        return []
    return [f"The CA key {path} on this controller is accessible to other users (mode {mode:04o}). Run: chmod 600 {path}"]


class Renewal(NamedTuple):
    """Why a host needs another certificate.

    ``reason`` is one of the constants above; ``words`` says it to people; ``needs_new_key`` is whether the host has to create another key;
    ``former_name`` is a name of the host that its clients may still verify.
    """

    reason: str
    words: str
    needs_new_key: bool = False
    former_name: str | None = None


def certificate_due(host, key, authorities, held, revoked, now, former_name=None, inventory=()):
    """Return why a host needs another certificate, or None.

    It is due if there is none, if it is another key's, name's or CA's, or revoked, if it is also valid for another host of the inventory,
    and when a third of its time is over.

    :param str host: inventory name of the host
    :param str key: whether the key beside it is its ``own``, an ``other``, or there is ``none``
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param dict | None held: the certificate of the host
    :param list[int] revoked: serial numbers of the certificates that are revoked
    :param float now: seconds since the epoch
    :param str | None former_name: the name in its certificate, if the host was renamed
    :param inventory: names of all hosts of the inventory
    :rtype: Renewal | None
    """
    if not held:
        return Renewal(MISSING, "made")
    others = set(held["names"]) - {certified(host)}
    taken = sorted(others & {certified(one) for one in inventory}) if others else []
    is_other = held["name"] != certified(host)
    reasons = [
        (held["serial"] in revoked, REVOKED, "revoked"),
        (key != "own", OTHER_KEY, "of another key"),
        (is_other and held["name"] == former_name, RENAMED, f"of {former_name}, the former name of the host"),
        (is_other, OTHER_NAME, f"of {held['name']}"),
        (not authorities or held["authority"] != authorities[0]["key"], OTHER_AUTHORITY, "of another CA"),
        (taken, EXTRA_NAME, f"also of {', '.join(taken)}"),
        (
            held["not_after"] - now < (held["not_after"] - held["not_before"]) * 2 / 3,
            AGED,
            f"valid for {(held['not_after'] - now) / 86400:.0f} more days",
        ),
    ]
    # a key without its certificate was created by a run that stopped before it had the certificate
    for is_due, reason, words in reasons:
        if is_due:
            return Renewal(reason, words, reason in NEW_KEY and key == "own", former_name if reason == RENAMED else None)
    return None


def identity_warnings(host, held, due):
    """Return a warning if a host has the certificate of another one: then both may have one key.

    :param str host: inventory name of the host
    :param dict | None held: the certificate of the host
    :param Renewal | None due: see :func:`certificate_due`
    :rtype: list[str]
    """
    if not due or due.reason != OTHER_NAME:
        return []
    return [
        f"Host {host} has the private key of {held['name']}, for example because it is a copy of that machine."
        f" This run creates a new key for {host}."
    ]


def issued_now(settings, authorities, now):
    """Return the lifetime of a certificate that this run issues, as :func:`signing.issue` does.

    :param dict settings: see the documentation of this file
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :return: ``not_before`` and ``not_after``
    :rtype: dict[str, float]
    """
    end = now + settings["certificate_days"] * 86400
    return {"not_before": now - BACKDATED_SECONDS, "not_after": min([end, *(one["not_after"] for one in authorities[:1])])}


def clock_problems(host, observed, settings, tls, due):
    """Return why the clock of a host makes it refuse a valid certificate: that of the CA, its own, or that of a host of its links.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param dict tls: see :func:`ambassador`
    :param Renewal | None due: why the host gets another certificate in this run
    :rtype: list[str]
    """
    own = issued_now(settings, tls["authorities"], tls["now"]) if due else tls["held"]
    lifetimes = [("the CA", one) for one in tls["authorities"][:1]] + [(host, own), *tls["peers"].items()]
    for name, lifetime in lifetimes:
        reason = clock.invalid_by_clock(name, lifetime, host, observed.get("clock_offset"), tls["now"])
        if reason:
            return [f"Host {host}: {reason}. Set the clock of {host}, for example with chrony."]
    return []


def authority_warnings(settings, authorities, now):
    """Warn of a CA that ends: no certificate outlives it.

    :param dict settings: see the documentation of this file
    :param list[dict] authorities: the CAs of this controller; the first one signs
    :param float now: seconds since the epoch
    :rtype: list[str]
    """
    left = (authorities[0]["not_after"] - now) / 86400 if authorities else AUTHORITY_DAYS
    if left >= AUTHORITY_DAYS:
        return []
    return [
        f"the CA in {settings['controller_dir']} ends in {left:.0f} days, and with it all certificates of its hosts;"
        " run crosshost.ambassador.rollover, which changes to a new one and breaks no connection."
    ]


# -- the ambassadors --------------------------------------------------------------------------------------------------


def ambassador(side, host, wiring, observed, settings, places, generation, tls=None, served=None, coming=(), removes_clients=False):
    """Plan a side.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param dict | None places: what is asked of the containers that have names, see :func:`containers.of_places`
    :param dict | None generation: ``name`` and ``files`` (name -> content on disk); None for an engine that keeps nothing on disk
    :param dict | None tls: ``authorities``, ``held``, ``revoked``, ``former_name``, ``inventory`` (see :func:`certificate_due`),
        ``missing_issuers`` (see :func:`certificate_problems`), ``unlisted`` (see :func:`list_problems`),
        ``authority_key`` (path and mode of the CA's key; None if it is given),
        ``holders`` (hosts that keep this controller from making a CA), ``ask`` (hosts that are still to be asked for a certificate),
        ``peers`` (host at the other end of a link ->
        ``not_before`` and ``not_after`` of its certificate, as far as they are known) and ``now``; None without TLS
    :param dict | None served: the wiring that container and generation are made of, where a server side goes on serving what the map asks
        for no more (:mod:`handover`)
    :param coming: names of hosts whose server sides this run has still to reach: a link that leads to these alone is proved later
    :param bool removes_clients: whether the side loses authorized clients
    :rtype: Plan
    """
    plan, name = Plan(side, host), wiring["holder"]
    served = served or wiring
    plan.contracts = (served["links"], served["publish"]) != (wiring["links"], wiring["publish"])
    plan.problems = list(wiring["problems"])
    plan.ask = {"facts": wiring["unknown"]} if wiring["unknown"] else {}
    found, on_disk = observed["containers"].get(name), observed["sides"].get(side, {})
    there = containers.numbered(side, observed)
    if not wiring["links"]:
        # nothing to do, and then nothing of this host is of interest
        has_unused_key = _has_unused_key(host, wiring, observed)
        if not plan.problems and (on_disk or there or has_unused_key):
            plan.problems = host_problems(host, observed)
            _remove(plan, _all_names(side, observed), directories_of(side), observed, settings)
            plan.lines, plan.warnings = removed_lines(side, host, wiring, on_disk), removal_warnings(side, host, wiring, on_disk)
            if has_unused_key:
                plan.lines += [f"- directory {path} on {host}" for path in plan.inputs["remove"]["paths"]]
            _metrics_of_the_other(plan, side, observed, settings)
        return plan

    plan.problems += memory_problems(side, host, settings) + host_problems(host, observed)
    if plan.problems:
        return plan
    plan.problems += network_problems(host, observed, settings) + state_problems(host, observed, settings)
    plan.problems += joined_problems(host, side, wiring, observed, settings["network"])
    plan.problems += nameserver_problems(host, wiring, observed, settings)
    if side == "server":
        plan.problems += loopback_problems(host, wiring, observed, settings["network"])
    if not there.get(1) and (side == "client" or not there or wiring["serves_itself"]):
        plan.problems += name_problems(host, name, observed)
    asked, idle = containers.of_side(side, places, settings["engine"], observed, wiring["serves_itself"])
    first = min(asked)
    container, found = asked[first], there.get(first)
    plan.problems += default_route_problems(host, side, served["links"], asked.values(), observed, settings)
    if tls:
        plan.problems += certificate_problems(host, observed, settings, tls["authorities"], tls["held"], tls["missing_issuers"])
        plan.problems += list_problems(settings, tls["unlisted"])
        plan.problems += authority_key_problems(*tls["authority_key"]) if tls["authority_key"] else []
        if not tls["authorities"]:
            plan.problems += holders_problems(tls["holders"], settings) if not plan.problems else []
            plan.ask |= {"certificates": tls["ask"]} if tls["ask"] else {}
    if side == "client":
        plan.problems += alias_problems(host, wiring, observed, settings["network"])
        plan.problems += shared_listener_problems(host, wiring, settings)
        plan.problems += ipv6_alias_problems(host, wiring, observed, settings)
    plan.problems += port_problems(served, _names(side, observed, there), observed)
    plan.problems += ipv6_port_problems(host, wiring["publish"], observed, publishes_ipv6(side, observed, settings))
    plan.problems += metrics_problems(host, served, observed, settings)

    _image(plan, observed, settings, [there.get(number) for number in asked])
    _network(plan, observed, settings)
    known = [tls[name] for name in ("authorities", "held", "revoked", "now", "former_name", "inventory")] if tls else []
    due = certificate_due(host, observed["identity"]["key"], *known) if tls else None
    if due:
        plan.step("certificate", f"the certificate of {host} is {due.words}")
        plan.inputs |= {"new_key": due.needs_new_key, "former_name": due.former_name}
    if tls and not plan.problems:
        plan.problems += clock_problems(host, observed, settings, tls, due)
    # until then a controller does without, as a host that pulls its own configuration should
    if due and settings["ca"] and not settings["ca_key"] and not plan.problems:
        plan.problems.append(
            f"host {host}, ambassador_ca_key: expected the key of ambassador_ca_certificate, which has to sign for the host,"
            " found none; set it, from a vault or a store of secrets."
        )
    runs = [names.run(number) for number in sorted([*asked, *(number for number, same in idle.items() if same)])]
    _configuration(plan, side, observed, generation, container, runs)
    plan.problems += disk_problems(plan, observed, settings)
    changed, gone = [], []
    for number, one in asked.items():
        differences = containers.differences(one, there.get(number), observed["images"])
        if differences:
            plan.step("container", f"{one['name']}: {', '.join(differences)}")
            changed.append(one)
    standins = containers.standins(observed) if side == "client" else []
    away = [
        place for place in places if side == "client" and asked[place] in changed and _stands_in(settings, on_disk, observed, asked[place])
    ]
    away = dict(zip(containers.free_standins(observed, STANDINS - len(standins)), away, strict=False))
    if away:
        plan.step("standin", "new connections are served while the client side is away")
    left_over = containers.left_over(side, observed)
    if idle or left_over:
        paths = [f"{settings['state_dir']}/{side}/{names.run(number)}" for number in idle]
        spare = _names(side, observed, idle)
        plan.step("remove", f"nobody needs {', '.join(spare + left_over)}")
        gone = [f"- container {one} on {host}, which no link needs any more" for one in spare]
        plan.inputs["remove"] = {"containers": spare + left_over, "paths": paths, "network": None, "volume": None}
    # they may have the names still, which are taken back when the configuration is loaded
    if standins:
        plan.step("container", f"{', '.join(standins)} {'is' if len(standins) == 1 else 'are'} left of an earlier run")
        changed = changed or [container]
    if tls and settings["cut"]:
        plan.step("cut", f"the connections of {settings['cut']} end")
        plan.inputs["cut"] = sorted({settings["cut"], certified(settings["cut"])})
    # one that is made where nothing was reads what is there, and is waited for by its verification
    fresh = not there and not on_disk and settings["prove"]
    if generation and not fresh and (plan.why or on_disk.get("running") != generation["name"]):
        plan.step("load", "what is on disk is what runs")
    late = [link for link in served["links"] if side == "client" and link["servers"] and set(link["servers"]) <= set(coming)]
    now = [link for link in served["links"] if link not in late]
    plan.always["late"] = late if generation and settings["prove"] else []
    dialled = unchecked({"links": now}, settings["engine"]) if side == "client" and generation else []
    local = local_ports(wiring, observed) if side == "client" and settings["prove"] else []
    if local or (generation and settings["prove"] and (plan.why or dialled or not all_proved(now, side, on_disk))):
        plan.step("verify", "the links are verified")
    variables = variable_files(wiring["links"]) if side == "client" else {}
    digests = {name: digest(content.encode()) for name, content in variables.items()}
    if side == "client" and observed["variables"] != variables_digest(digests):
        plan.step("variables", "the link variables of consumers change")
    # an engine that keeps nothing on disk takes no step that repairs it
    if side == "client" and generation is None and permissions.STATE_DIR in observed["wrong_permissions"]:
        plan.step("variables", "the owner or mode of the state directory is wrong")
    plan.warnings = removal_warnings(side, host, wiring, on_disk)
    plan.warnings += [
        f"host {host}: {name} lets host {client} in to no link ({', '.join(aliases)}), for its address is not known;"
        f" set ambassador_address for {client}, or run again when it answers."
        for client, aliases in wiring["left_out"].items()
    ]
    plan.warnings += account_warnings(plan, observed)
    if tls:
        plan.warnings += authority_warnings(settings, tls["authorities"], tls["now"]) + identity_warnings(host, tls["held"], due)
        plan.warnings += clock.warnings(host, observed.get("clock_offset"))
    # an engine that tells nothing of its links has them in what was asked of its container
    same = generation is None and found is not None and found.get("hash") == container["hash"]
    plan.lines = [] if same else link_lines(side, host, wiring, on_disk)
    for number, one in asked.items():
        if there and number not in there:
            shared = [link["name"] for link in wiring["links"] if side == "client" and number in places and link["place"] == number]
            what = (
                f"for {', '.join(dict.fromkeys(shared))}, whose port another link has"
                if shared
                else f"to publish {', '.join(one['publish'])}"
                if one["publish"]
                else f"for the client side of {host}"
            )
            plan.lines.append(f"+ container {one['name']} on {host}, {what}")
        plan.lines += joined_lines(host, one, there.get(number), observed, settings)
        plan.lines += remade_lines(host, one, there.get(number), observed, on_disk.get("connections", {}).get(names.run(number)))
    plan.lines += gone
    if "cut" in plan.why:
        plan.lines.append(
            f"- connections of {settings['cut']}: the {side} side of {host} closes all of its connections if it knows that host"
        )
    plan.lines += [
        f"= {link['alias']} {host} -> {', '.join(link['servers'])}: proved when this run has reached its server hosts"
        for link in plan.always["late"]
    ]
    # after what is decided for a side's own container: no link is loaded or verified for its sake
    changed += _metrics(plan, side, list(asked), observed, settings)
    state = f"{settings['state_dir']}/client"
    plan.inputs |= {
        "side": side,
        "certified": certified(host),
        # an engine that keeps nothing on disk reports nothing of its links
        "wiring": {"links": handover.with_servers_of_map(now, wiring) if generation else [], "addresses": served["addresses"]},
        "container": container,
        "containers": changed,
        "runs": runs,
        # all that were just made have read what is on disk
        "anew": all(
            there.get(number) is None or containers.made_anew(one, there[number], observed["images"]) for number, one in asked.items()
        ),
        "generation": generation,
        # containers that run and stay say what is wrong when they load it, and keep what they run
        "check": containers.check(container, generation["name"]) if generation and "container" in plan.why else None,
        "standin": [
            {
                "directory": containers.standin_directory(name, state),
                "nameless": containers.standin(asked[place], name, state, False),
                "named": containers.standin(asked[place], name, state, True),
                "links": [link for link in now if link["place"] == place],
            }
            for name, place in away.items()
        ],
        "standins": [*standins, *away],
        "before": before(on_disk) if can_roll_back(on_disk, generation, removes_clients) else {},
        "joined": joined_networks(asked, there),
        "running": on_disk.get("running"),
        "unchecked": dialled,
        "local": local,
        "variables": variables if "variables" in plan.why else {},
        # seconds: the first checks of many links take their time
        "patience": 5 + len(served["links"]) // 25,
    }
    return plan


class JoinedNetworks(TypedDict):
    """The networks that a run joins with a container, which a rollback leaves, and the ones that the container keeps.

    ``keeps`` is in the form of the option ``networks`` of docker_container. ``line`` says to people that the rollback left the others.
    """

    container: str
    leaves: list
    keeps: list
    line: str


def joined_networks(asked, there):
    """Return the networks that a run joins, container by container.

    :param dict[int, dict] asked: number -> what is asked of the container
    :param dict[int, dict] there: number -> the container as it was observed
    :rtype: list[JoinedNetworks]
    """
    joined = []
    for number, container in asked.items():
        former = there.get(number, {"networks": {}})["networks"]
        leaves = sorted(set(container["others"]) - set(former))
        if leaves:
            keeps = [{"name": name} for name in (container["network"], *container["others"]) if name not in leaves]
            line = f"{container['name']} left the networks that this run had joined: {', '.join(leaves)}."
            joined.append(JoinedNetworks(container=container["name"], leaves=leaves, keeps=keeps, line=line))
    return joined


def kept(host, name, waiting):
    """Plan that a server side gives up nothing yet.

    :param str host: inventory name of the host
    :param str name: name of its ambassador
    :param dict[str, str] waiting: host -> why it may still dial what the map asks for no more
    :rtype: Plan
    """
    plan = Plan("server", host)
    told = ", ".join(f"{client}, which {why}" for client, why in waiting.items())
    plan.lines = [f"= host {host}: {name} serves what it served, until the next run that reaches {told}"]
    return plan


def publishes_ipv6(side, observed, settings):
    """Return whether the containers of a side that publish ports have IPv6 addresses and listen there.

    On the client side these containers are on the network of the ambassadors alone.

    :param str side: ``server`` or ``client``
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: bool
    """
    network = observed["networks"].get(settings["network"], {})
    return settings["ipv6"] or (side == "client" and bool(network.get("ipv6")))


def local_ports(wiring, observed):
    """Return the ports that links open on a client host, as they are dialed there.

    :param dict wiring: the wiring of its client side, with the place of each link
    :param dict observed: the observation
    :return: ``alias``, ``address``, ``port``, ``protocol``, ``listen`` and ``place`` of each (see :func:`proof.unchecked`), and
        ``addresses``, at which a client reaches the port: for all addresses of the host its loopback address and its own ones
    :rtype: list[dict]
    """
    places, found = {link["alias"]: link["place"] for link in wiring["links"]}, []
    for port in wiring["publish"]:
        address = ipaddress.ip_address(port["address"])
        addresses = [str(address)]
        if address.is_unspecified:
            own = [one for one in map(ipaddress.ip_address, observed["addresses"]) if one.version == address.version]
            # a link-local address needs the name of its interface
            addresses = [LOOPBACK[address.version], *(str(one) for one in own if not one.is_link_local)]
        keys = ("alias", "address", "port", "protocol")
        found.append(
            {
                **{key: port[key] for key in keys},
                "listen": port["container_port"],
                "place": places[port["alias"]],
                "addresses": addresses,
            }
        )
    return found


def can_roll_back(on_disk, generation, removes_clients=False):
    """Return whether a run may put back the configuration of a side: not if that has authorizations which the new one lacks.

    These are another list of revoked certificates, other CAs, and clients that left. An attacker with one of their keys could make the
    proof fail, and would be authorized again.

    :param dict on_disk: the side as it was observed
    :param dict | None generation: the new configuration
    :param bool removes_clients: whether clients left
    :rtype: bool
    """
    if not generation or removes_clients or on_disk.get("running") == generation["name"]:
        return False
    old = on_disk.get("files", {})
    new = {name: digest(generation["files"][name].encode()) for name in ("ca.pem", "crl.pem") if generation["files"].get(name)}
    # without a CA, the links were plain
    return old.get("crl.pem") == new.get("crl.pem") and old.get("ca.pem") in (None, new.get("ca.pem"))


def before(on_disk):
    """Return what a proof has to know of a side as it was.

    :param dict on_disk: the side as it was observed
    :rtype: dict
    """
    return {key: on_disk.get(key) for key in ("engine", "running", "links")}


def all_proved(links, side, on_disk):
    """Tell whether the observation itself proves every link: its engine's checks go through to the backend.

    :param list[dict] links: the links of the wiring
    :param str side: ``server`` or ``client``
    :param dict on_disk: the side as it was observed
    :rtype: bool
    """
    if side == "server":
        # its backend may be a replica
        return all(link["alias"] in on_disk["links"] for link in links)
    return all(any(target["proved"] for target in on_disk["links"].get(link["alias"], {}).get("targets", [])) for link in links)


def directories_of(side):
    """Return the directories of a side in the state directory.

    :param str side: ``server`` or ``client``
    :rtype: list[str]
    """
    return [side, names.LINKS] if side == "client" else [side]


def _image(plan, observed, settings, there):
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


def _network(plan, observed, settings):
    # one that is there is left as it is, whoever made it: Docker changes a network by making it anew
    if settings["network"] not in observed["networks"]:
        plan.step("network", f"the network {settings['network']} is missing")


def _configuration(plan, side, observed, generation, container, runs):
    on_disk, wrong = observed["sides"].get(side, {}), permissions.of_side(observed["wrong_permissions"], side)
    if generation is None:
        if on_disk.get("current") or on_disk.get("engine"):
            # socat's state is its container's environment; another engine's would only mislead
            plan.step("configuration", "another engine's configuration goes")
        return
    wanted = {name: digest(content.encode()) for name, content in generation["files"].items()}
    run = {"owner": int(container["user"].partition(":")[0]), "mode": "0700"}
    if "certificate" in plan.why or on_disk.get("current") != generation["name"] or on_disk.get("files") != wanted:
        plan.step("configuration", "the configuration changes")
    elif on_disk.get("runs") != dict.fromkeys(runs, run):
        plan.step("configuration", "the directories of its sockets")
    elif wrong:
        plan.step("configuration", f"the owner or mode of {', '.join(wrong)} is wrong")


def _stands_in(settings, on_disk, observed, container):
    """Tell whether a second HAProxy has to have the names of a client side's container: a new alias is a reconnect, another image another
    container. Only where it comes back at its address.
    """
    found = observed["containers"].get(container["name"])
    if settings["engine"] != "haproxy" or on_disk.get("engine") != "haproxy" or not container["address"] or found is None:
        return False
    wanted = {**container["others"], container["network"]: container["aliases"]}
    lacking = any(containers.lacks(found, network, aliases) for network, aliases in wanted.items())
    return lacking or containers.made_anew(container, found, observed["images"])


def _metrics(plan, side, numbers, observed, settings):
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


def _metrics_of_the_other(plan, side, observed, settings):
    """Have the metrics of the other side alone told, for this one goes.

    :param str side: the side that goes
    """
    changed = _metrics(plan, side, [], observed, settings)
    # what takes a step of a side asks for these
    plan.inputs |= {"side": side, "generation": None, "standin": [], "containers": changed}


def _has_unused_key(host, wiring, observed):
    """Return whether a host outside the map has a key and no side: a run stopped between its certificate and its configuration.

    A host of the map gets a side later, and the side uses the key.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of one of its sides, without problems
    :param dict observed: the observation
    :rtype: bool
    """
    return not wiring["is_in_map"] and "identity" in observed["entries"] and not set(SIDES) & set(observed["entries"])


def _remove(plan, made, directories, observed, settings, volume=None):
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


def absent(part, host, name, observed, settings, volume=None):
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
    made = _all_names(part, observed) if part in SIDES else [name]
    _remove(plan, made, directories_of(part) if part in SIDES else [name], observed, settings, volume if found.get("ours") else None)
    remove = plan.inputs["remove"]
    if part in SIDES:
        _metrics_of_the_other(plan, part, observed, settings)
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


# -- what people are told ---------------------------------------------------------------------------------------------


def _places(targets):
    return ", ".join(f"{target['name']} {endpoint(target['address'], target['port'])}" for target in targets)


def link_lines(side, host, wiring, on_disk):
    """Tell which links are added, removed and re-pointed.

    :param str side: ``server`` or ``client``
    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict on_disk: the side as it was observed
    :return: a line each: ``+ redis vm2 -> vm1 (198.18.0.11:6379)``
    :rtype: list[str]
    """
    lines, were = [], on_disk.get("links") or {}
    for link in wiring["links"]:
        alias, targets, was = link["alias"], targets_of(link, side), targets_of(were.get(link["alias"], {}), side)
        if side == "server":
            # where its backend is, Docker says
            now, then = [target["name"] for target in targets], [target["name"] for target in was]
            told = f"{alias} {host}: {link['backend']}"
        else:
            now = [endpoint(target["address"], target["port"]) for target in targets]
            then = [target["address"] for target in was]
            told = f"{alias} {host} -> " + ", ".join(f"{target['name']} ({place})" for target, place in zip(targets, now, strict=False))
        if alias not in were:
            lines.append(f"+ {told}")
        elif not _same_places(targets, now, was, then):
            names = ", ".join(target["name"] for target in was)
            lines.append(f"~ {alias} {host}: {names} {', '.join(filter(None, then))} -> {_places(targets)}, live")
    return lines + removed_lines(side, host, wiring, on_disk)


def _same_places(targets, now, was, then):
    """Tell whether a link leads to the same targets as before: the address behind a name can change without a run."""
    if len(now) != len(then):
        return False
    return all(
        place == other or ((target["dns"] or target["on_this_host"]) and target["name"] == before["name"])
        for target, place, before, other in zip(targets, now, was, then, strict=False)
    )


def removed_lines(side, host, wiring, on_disk):
    """Tell which links are removed, and what they did.

    :return: a line each: ``- pg vm2 -> vm1, up, 3 connections``
    :rtype: list[str]
    """
    lines, wanted = [], {link["alias"] for link in wiring["links"]}
    for alias, link in (on_disk.get("links") or {}).items():
        if alias in wanted:
            continue
        targets = targets_of(link, side)
        names = ", ".join(target["name"] for target in targets)
        up = "up" if any(target["up"] for target in targets) else "down"
        arrow = " ->" if side == "client" else ":"
        lines.append(f"- {alias} {host}{arrow} {names}, {up}, {counted(link['connections'])}")
    return lines


def removal_warnings(side, host, wiring, on_disk):
    """Warn of a run that removes the last link of a side, or more than half of them: that may be a mistake in the map.

    :rtype: list[str]
    """
    were, wanted = list(on_disk.get("links") or {}), {link["alias"] for link in wiring["links"]}
    gone = [alias for alias in were if alias not in wanted]
    if not gone or (wanted and len(gone) * 2 <= len(were)):
        return []
    return [f"host {host}: this run removes {len(gone)} of the {len(were)} links of its {side} side ({', '.join(sorted(gone))})."]


def counted(connections):
    """Return a number of connections in words: ``1 connection``, ``3 connections``.

    :param int connections: the number
    :rtype: str
    """
    return f"{connections} connection{'' if connections == 1 else 's'}"


def joined_lines(host, container, found, observed, settings):
    """Return which Docker networks a container joins and leaves, and whether that breaks its connections.

    Docker publishes the ports of a container on the network that is its default route. With another one, connections through it break.

    :param str host: inventory name of the host
    :param dict container: what is asked of it
    :param dict | None found: the container as it was observed
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :rtype: list[str]
    """
    if not found:
        return []
    there, wanted = set(found["networks"]), {container["network"], *container["others"]}
    joins, leaves = sorted(set(container["others"]) - there), sorted(there - wanted)
    was, will_be = (containers.default_route(places, observed, settings) for places in (there, wanted))
    routes = {was: "was", will_be: "becomes"} if was and was != will_be else {}
    lines = []
    for verb, places in (("joins", joins), ("leaves", leaves)):
        for network in places:
            more = f", which {routes[network]} its default route, so that connections through it break once" if network in routes else ""
            lines.append(f"~ host {host}: {container['name']} {verb} the network {network}{more}")
    return lines


def remade_lines(host, container, found, observed, connections):
    """Tell whether a container is made anew, and what that breaks.

    :param str host: inventory name of the host
    :param dict container: what is asked of it
    :param dict | None found: the container as it was observed
    :param dict observed: the observation
    :param int | None connections: how many it has; None for an engine that does not tell
    :rtype: list[str]
    """
    lines, name = [], container["name"]
    if found is None:
        return lines
    if found["state"] == "running" and containers.made_anew(container, found, observed["images"]):
        breaks = counted(connections or 0)
        if sorted(found["publishes"]) != sorted(container["publish"]):
            why = f", to publish {', '.join(container['publish']) or 'nothing'} instead of {', '.join(found['publishes']) or 'nothing'}"
        else:
            why = f" ({', '.join(containers.differences(container, found, observed['images']))})"
        lines.append(f"~ host {host}: {name} is made anew{why}; connections through it break once. There are {breaks} now.")
    return lines


# -- Redis ------------------------------------------------------------------------------------------------------------


def redis(part, host, observed, settings, container, directory, problems, volume=None, loaded=None):
    """Plan a container of Redis.

    :param str part: ``redis_server`` or ``redis_client``
    :param str host: inventory name of the host
    :param dict observed: the observation
    :param dict settings: see the documentation of this file
    :param dict container: what is asked of the container
    :param dict directory: ``owner`` (numeric user ID) and ``files``, name -> SHA-256 of the content, None where that is still to be made;
        empty for a
        container that has no directory
    :param list[str] problems: what is wrong with its inputs
    :param str | None volume: name of the volume of its data
    :param str | None loaded: SHA-256 of the file that says what the server runs with
    :rtype: Plan
    """
    plan, name = Plan(part, host), container["name"]
    plan.problems = directory_problems(part, name) + memory_problems(part, host, settings) + problems
    if not plan.problems:
        plan.problems = host_problems(host, observed) or (
            tls_problems(part, host, observed)
            + network_problems(host, observed, settings)
            + state_problems(host, observed, settings)
            + name_problems(host, name, observed)
            + volume_problems(host, part, volume, observed)
        )
    found = observed["containers"].get(name)
    _image(plan, observed, settings, [found])
    _network(plan, observed, settings)
    if volume:
        data = observed["volumes"].get(volume, {})
        if (data.get("owner"), data.get("mode")) != (directory["owner"], "0700"):
            plan.step("data", f"the volume {volume}")
    there, password_lines = observed["directories"].get(name), []
    if directory["files"]:
        _directory(plan, name, there, directory, loaded)
        if "directory" in plan.why:
            # the file has a password as well, but that is also in the others
            words = "memory limits" if there and _different(there, directory) == {"redis.conf"} else "passwords"
            password_lines.append(f"~ {words} of {name} on {host}")
        if permissions.STATE_DIR in observed["wrong_permissions"]:
            plan.step("directory", "the owner or mode of the state directory is wrong")
    elif there:
        plan.inputs["remove"] = {"containers": [], "paths": [f"{settings['state_dir']}/{name}"], "network": None, "volume": None}
        plan.step("remove", f"{name} needs no password any more")
    differences = containers.differences(container, found, observed["images"])
    if differences:
        plan.step("container", f"{name}: {', '.join(differences)}")
    plan.problems += disk_problems(plan, observed, settings)
    plan.warnings += account_warnings(plan, observed)
    if part == "redis_server" and (plan.why or found.get("health") != "healthy"):
        plan.step("verify", "the server answers")
    if part == "redis_client" and plan.why:
        plan.step("verify", "the link is verified")
    if found is None:
        plan.lines.append(f"+ container {name} on {host}")
    elif differences:
        remade = containers.made_anew(container, found, observed["images"])
        plan.lines.append(f"~ container {name} on {host} {'is made anew' if remade else 'changes'}: {', '.join(differences)}")
    plan.lines += password_lines
    plan.always = {"makes_passwords": None in directory["files"].values()}
    plan.inputs |= {"container": container, "running": bool(found and found["state"] == "running"), "volume": volume}
    # a change of the memory limit does not restart it
    plan.inputs["restarts"] = containers.made_anew(container, found, observed["images"])
    return plan


def _different(there, directory):
    """Return the names of the files that are not as they should be."""
    wanted = {file: {"owner": directory["owner"], "mode": "0600", "sha256": sha256} for file, sha256 in directory["files"].items()}
    files = {file: found for file, found in there["files"].items() if file != LOADED}
    return {file for file in {*wanted, *files} if files.get(file) != wanted.get(file)}


def _directory(plan, name, there, directory, loaded):
    whole = there and (there["owner"], there["mode"]) == (directory["owner"], "0700")
    if not whole or _different(there, directory) or (loaded and there["files"].get(LOADED, {}).get("sha256") != loaded):
        plan.step("directory", f"the passwords of {name}")
