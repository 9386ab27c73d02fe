"""Hosts that do what a plan says, as far as an observation tells: Docker, the disk and the engines, without any of them.

Each step does to the observation what the role's tasks do to a host. The containers and generations are the real ones; so are the plans.
"""

import copy
import dataclasses
import functools
import ipaddress

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _packing as packing
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest, variables_digest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _render as render
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import lacks_aliases
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import normalize_image, parse_size
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import add_ranges
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._pipeline import ResolvedSide, plan_resolved_side
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import STEPS
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_redis import RedisInputs, plan_redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis_containers import describe_redis_client, describe_redis_server
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT

# compiling the templates is most of the time of a plan, and here there are thousands
render.environment = functools.cache(render.environment)
ROLE = str(ROOT / "roles" / "ambassador_engine")
SCRIPTS = {name: (ROOT / "roles/ambassador_engine/files" / name).read_text().rstrip() for name in ("socat.sh", "nftables.sh")}
DAY = 86400
NOW = 2_000_000_000
SETTINGS = {
    "mesh": mesh_names.DEFAULT,
    "engine": "haproxy",
    "network": "ambassador",
    "ipv6": False,
    "nameservers": [],
    "tls": False,
    "state_dir": "/var/lib/ambassador",
    "controller_dir": "/srv/ambassador",
    "ca": "",
    "ca_key": False,
    "ca_crl": "",
    "certificate_days": 730,
    "cut": "",
    "image": "haproxy:3.2.26",
    "memory": "512M",
    "pids": 4096,
    "prove": True,
    "metrics": "",
}
IMAGES = {"haproxy": "haproxy:3.2.26", "socat": "alpine/socat:1.8.0.3", "nftables": "registry.test:5000/ambassador-nftables:1.1.3"}
# the steps after which a role plans the rest with what was made
MADE = ("image", "network", "certificate")


def settings(**changes):
    """Return settings with changes, with the image of the engine."""
    found = {**SETTINGS, **changes}
    image = changes.get("image") or IMAGES.get(found["engine"], "")
    return {**found, "image": image}


def nothing(mesh=mesh_names.DEFAULT):
    """Return the observation of a host that has a Docker Engine and nothing else."""
    return {
        "mesh": mesh,
        "docker": {"version": "28.5.2", "error": None},
        "python": {"executable": "/usr/bin/python3", "missing": []},
        "root": True,
        **{name: {} for name in ("containers", "networks", "images", "volumes", "sides", "directories", "users", "loaded_users")},
        "addresses": [],
        "nameservers": ["198.18.0.53"],
        "listening": [],
        "entries": [],
        "variables": None,
        "wrong_permissions": [],
        "identity": {"certificate": "", "key": "none"},
        "disk": {"free": 1 << 30, "writable": True},
        "accounts": {},
    }


class Authority:
    """The controller: its CAs, the certificates that it signed, and those that it revoked."""

    def __init__(self):
        self.authorities, self.revoked, self.signed = [], [], {}

    def sign(self, host, days=90, former_name=None):
        """Return a certificate for a host: a text, of which :meth:`read` knows more."""
        if not self.authorities:
            self.authorities.append({"key": "ca1", "not_before": NOW - DAY, "not_after": NOW + 3650 * DAY})
        serial = len(self.signed) + 1
        text = f"certificate {serial}\n"
        self.signed[text] = {
            "name": host,
            "names": [host, *filter(None, [former_name])],
            "serial": serial,
            "key": f"key of {host}",
            "authority": self.authorities[0]["key"],
            "not_before": NOW,
            "not_after": NOW + days * DAY,
        }
        return text

    def read(self, text):
        """Return what a certificate says, None where there is none."""
        return self.signed.get(text)

    def tls(self, observed, now=NOW, **changes):
        """Return what a plan is told."""
        return {
            "ca": " ".join(one["key"] for one in self.authorities),
            "authorities": self.authorities,
            "missing_issuers": [],
            "unlisted": [],
            "authority_key": None,
            "former_name": None,
            "inventory": [],
            "peers": {},
            "held": self.read(observed["identity"]["certificate"]),
            "revoked": self.revoked,
            "holders": [],
            "ask": [],
            "now": now,
            **changes,
        }


class KilledError(Exception):
    """The controller is gone, between two steps."""


class Host:
    """A host: its observation, and what the steps of a plan do to it.

    :param str name: inventory name of the host
    :param list[str] addresses: its addresses
    """

    def __init__(self, name, addresses=("198.18.0.11",)):
        self.name = name
        self.observed = {**nothing(), "addresses": list(addresses)}
        # name of a generation -> what an engine carries that runs it
        self._carried = {}
        self._number = 0

    def look(self):
        """Return the observation, as a run gets it."""
        return copy.deepcopy(self.observed)

    def seen_by(self, mesh):
        """Return the observation that another mesh has of this host, of which it has made nothing."""
        there = self.look()
        for found in there["containers"].values():
            found["ours"] = None
        shared = ("docker", "python", "containers", "networks", "images", "addresses", "listening", "disk")
        volumes = {name: {**found, "ours": False} for name, found in there["volumes"].items()}
        return {**nothing(mesh), **{name: there[name] for name in shared}, "volumes": volumes}

    def apply(self, found, told, authority=None, only=STEPS, begin=lambda: None):
        """Take the steps of a plan, in their order.

        :param dict found: the plan
        :param dict told: the settings that it was made with
        :param Authority | None authority: who signs
        :param only: names of the steps that are taken
        :param begin: called before each of them
        """
        for step in found["steps"]:
            if step in only:
                begin()
                getattr(self, f"_{step}")(found, told, authority)
        self.listen()

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _image(self, found, told, authority):
        if found["image"]["missing"]:
            self.pull(told["image"])

    def pull(self, image):
        """Have an image that no other host has."""
        self._number += 1
        self.observed["images"][normalize_image(image)] = f"sha256:{self._number:064x}"

    def _network(self, found, told, authority):
        subnets = ["198.19.0.0/24"] + (["2001:db8:1::/64"] if told["ipv6"] else [])
        pools = add_ranges([{"Subnet": subnet} for subnet in subnets])
        self.observed["networks"][told["network"]] = {
            "ours": True,
            "ipv6": told["ipv6"],
            "pools": [{"Subnet": pool["subnet"], "IPRange": pool["iprange"], "Gateway": None} for pool in pools],
        }

    def _certificate(self, found, told, authority):
        self.observed["identity"] = {"certificate": authority.sign(self.name, former_name=found["former_name"]), "key": "own"}
        self._enter("identity")

    def _data(self, found, told, authority):
        self.observed["volumes"][found["volume"]] = {
            "ours": True,
            "mesh": self.observed["mesh"],
            "path": "/data",
            "owner": permissions.REDIS_UID,
            "mode": "0700",
        }

    def _directory(self, found, told, authority):
        name, owner = found["container"]["name"], permissions.REDIS_UID
        files = {file: {"owner": owner, "mode": "0600", "sha256": sha256} for file, sha256 in told["files"].items()}
        self.observed["directories"][name] = {"owner": owner, "mode": "0700", "files": files}
        self._repair([permissions.STATE_DIR])
        self._enter(name)

    def _configuration(self, found, told, authority):
        side, generation = found["side"], found["generation"]
        if generation is None:
            del self.observed["sides"][side]
            self.observed["entries"].remove(side)
            return
        self._carried[generation["name"]] = found["wiring"]["links"]
        owner = int(found["container"]["user"].partition(":")[0])
        before = self.observed["sides"].get(side) or {
            "engine": None,
            "running": None,
            "certificate": None,
            "connections": {},
            "links": {},
            "error": None,
        }
        self.observed["sides"][side] = {
            **before,
            "current": generation["name"],
            "files": {name: digest(content.encode()) for name, content in generation["files"].items()},
            "wiring": packing.packed(generation["files"][packing.FILE].encode()) if packing.FILE in generation["files"] else None,
            "runs": {run: {"owner": owner, "mode": "0711" if told["metrics"] else "0700"} for run in found["runs"]},
        }
        self._repair(permissions.of_side(self.observed["wrong_permissions"], side))
        self._enter(side)

    def _standin(self, found, told, authority):
        # it ends with its last connection, and here it has none
        made = [one["named"]["name"] for one in found["standin"]]
        assert made == [one["nameless"]["name"] for one in found["standin"]] == found["standins"][-len(made) :]

    def _container(self, found, told, authority):
        for asked in found["containers"] if "side" in found else [found["container"]]:
            self._run_container(asked, found, told)

    def _run_container(self, asked, found, told):
        there = self.observed["containers"].get(asked["name"])
        if there is None or self._needs_another(asked, there):
            self._number += 1
            there = {"id": f"{self._number:064x}", "image": asked["image"], "networks": {}, "publishes": [], "state": "created"}
            there |= {"image_id": self.observed["images"][normalize_image(asked["image"])], "hash": asked["hash"]}
            there |= {"mesh": self.observed["mesh"], "directory": f"{told['state_dir']}/{found['side']}" if "side" in found else None}
            there |= {"ours": asked["name"], "pids": int(asked["pids"]), "health": "healthy" if asked["healthcheck"] else None}
        started = there["state"] != "running"
        there |= {"state": "running", "publishes": sorted(asked["publish"]), "memory": parse_size(asked["memory"])}
        there["restart"] = "no" if asked["temporary"] else "always"
        self._connect(asked, there)
        self.observed["containers"][asked["name"]] = there
        published = [port for one in self.observed["containers"].values() for port in one["publishes"]]
        assert len(published) == len(set(published)), f"Docker publishes no port twice: {published}"
        if started and names.AMBASSADOR.fullmatch(asked["name"]) and "generation" in found:
            self._run(found)
        for name in found.get("standins", []):
            self.observed["containers"].pop(name, None)

    def _needs_another(self, asked, there):
        """Docker cannot change these while a container lives; that a label differs is one of them."""
        image = self.observed["images"][normalize_image(asked["image"])]
        return (there["hash"], there["pids"], there["image_id"]) != (asked["hash"], int(asked["pids"]), image)

    def _connect(self, asked, there):
        for name, aliases in (asked["others"] or {}).items():
            if aliases and lacks_aliases(there, name, aliases):
                there["networks"][name] = {"aliases": sorted(aliases), "names": sorted(aliases), "said": {}, "addresses": ["198.19.9.9"]}
        if asked["others"] is not None:
            there["networks"] = {name: one for name, one in there["networks"].items() if name in (asked["network"], *asked["others"])}
        network = there["networks"].get(asked["network"])
        # an alias that is not wanted any more goes unnoticed
        if network and set(asked["aliases"]) <= set(network["aliases"]) and asked["address"].items() <= network["said"].items():
            return
        aliases = sorted([*asked["aliases"], there["id"][:12]])
        addresses = list(asked["address"].values()) or ["198.19.0.130"]
        there["networks"][asked["network"]] = {"aliases": aliases, "names": aliases, "said": dict(asked["address"]), "addresses": addresses}

    def _load(self, found, told, authority):
        self._run(found)

    def _verify(self, found, told, authority):
        pass

    def _variables(self, found, told, authority):
        self.observed["variables"] = variables_digest({name: digest(content.encode()) for name, content in found["variables"].items()})
        self._repair([permissions.STATE_DIR])
        self._enter(mesh_names.LINKS)

    def _remove(self, found, told, authority):
        remove = found["remove"]
        for name in remove["containers"]:
            del self.observed["containers"][name]
        for path in remove["paths"]:
            name = path.removeprefix(told["state_dir"]).lstrip("/")
            side, _, run = name.partition("/")
            if run:
                self.observed["sides"].get(side, {"runs": {}})["runs"].pop(run, None)
                continue
            for entry in [name] if name else list(self.observed["entries"]):
                self._forget(entry)
        if remove["network"]:
            del self.observed["networks"][remove["network"]]
        if remove["volume"]:
            del self.observed["volumes"][remove["volume"]]

    def _repair(self, paths):
        self.observed["wrong_permissions"] = [path for path in self.observed["wrong_permissions"] if path not in paths]

    # -- what follows from them ---------------------------------------------------------------------------------------

    def _enter(self, name):
        self.observed["entries"] = sorted({*self.observed["entries"], name})

    def _forget(self, name):
        self.observed["entries"].remove(name)
        self.observed["sides"].pop(name, None)
        self.observed["directories"].pop(name, None)
        if name == mesh_names.LINKS:
            self.observed["variables"] = None
        if name == "identity":
            self.observed["identity"] = {"certificate": "", "key": "none"}

    def _run(self, found):
        """Have the engine of a side carry what is on disk."""
        on_disk, generation = self.observed["sides"].get(found["side"]), found["generation"]
        if on_disk is None or generation is None:
            return
        on_disk |= {"engine": "haproxy" if "haproxy.cfg" in generation["files"] else "nftables", "running": on_disk["current"]}
        on_disk["links"] = {link["alias"]: self._link(link) for link in self._carried[on_disk["current"]]}

    @staticmethod
    def _link(link):
        targets = []
        for target in link["targets"]:
            address = str(ipaddress.ip_address(target["address"])) if is_address(target["address"]) else "198.19.0.131"
            targets.append({"name": target["name"], "address": endpoint(address, target["port"]), "up": True, "proved": True})
        return {"connections": 0, "targets": targets}

    def carried(self, side):
        """Return the links that the engine of a side carries, as the wiring has them."""
        return self._carried.get(self.observed["sides"].get(side, {}).get("running"), [])

    def listen(self):
        """Have the kernel listen for what containers publish."""
        self.observed["listening"] = []
        for found in self.observed["containers"].values():
            for port in found["publishes"] if found["state"] == "running" else ():
                address, _, number = port.rpartition(":")[0].rpartition(":")
                protocol = "udp" if port.endswith("/udp") else "tcp"
                self.observed["listening"].append([protocol, address.strip("[]"), int(number)])


class Fleet:
    """Hosts, and the map that a run brings to them.

    :param dict links: the map
    :param dict[str, Host] hosts: name -> host
    :param dict[str, dict] hostvars: name -> its variables
    :param Authority | None authority: the controller, for TLS
    """

    def __init__(self, links, hosts, hostvars, authority=None, **changes):
        self.links, self.hosts, self.hostvars = links, hosts, hostvars
        self.authority, self.settings = authority or Authority(), settings(**changes)
        # names of hosts that a run does not reach
        self.away = set()
        # how many steps a run takes before its controller is killed; None for all
        self.steps_left = None

    def wiring(self):
        """Return the map with all hosts."""
        told = self.settings
        return Wiring(
            self.links, self._hosts_of, told["engine"], told["ipv6"], told["tls"], next(iter(self.hosts.values())).observed["mesh"]
        )

    def _hosts_of(self, pattern):
        return [one for one in pattern.split(":") if one in self.hosts]

    def plan(self, host, side, managed="Ansible managed", leaving=handover.DROP, failed=(), **tls):
        """Plan a side of a host, as the action plugin does."""
        told, observed = self.settings, self.hosts[host].look()
        wiring = self.wiring().side(host, side, self.hostvars)
        held, waiting = handover.former(observed["sides"].get("server", {}), told), {}
        if side == "server" and leaving == handover.TURNED:
            seen = {name: one.look() for name, one in self.hosts.items() if name not in self.away}
            waiting = handover.waiting(wiring, held, host, seen, list(self.hosts), failed)
        inputs = ResolvedSide(
            side,
            host,
            wiring,
            observed,
            told,
            role=ROLE,
            managed=managed,
            leaving=leaving,
            inventory=list(self.hosts),
            waiting=waiting,
            tls=self.authority.tls(observed, **tls) if told["tls"] else None,
        )
        return plan_resolved_side(inputs).result()

    def _begin(self):
        if self.steps_left is not None:
            if not self.steps_left:
                raise KilledError
            self.steps_left -= 1

    def run(self, host, side, only=STEPS, leaving=handover.DROP):
        """Plan a side and take its steps, as its role does; return the plan that it began with."""
        first = self.plan(host, side, leaving=leaving)
        found = first
        if set(first["steps"]) & set(MADE):
            self.hosts[host].apply(first, self.settings, self.authority, MADE, self._begin)
            found = self.plan(host, side, leaving=leaving)
        self.hosts[host].apply(found, self.settings, self.authority, [step for step in only if step not in MADE], self._begin)
        return first

    def unserved(self):
        """Return the links of which a client host dials nothing that is served, as host and alias."""
        found = []
        for client, host in self.hosts.items():
            for link in host.carried("client"):
                if not any(self._serves(target, link, client) for target in link["targets"]):
                    found.append((client, link["alias"]))
        return found

    def _serves(self, target, dialed, client):
        # without TLS the server side does not learn the alias; a link with `ports` has one for each of its ports
        key = "alias" if self.settings["tls"] else "name"
        server, port = target["name"], target["port"]
        there = find_side_containers("server", self.hosts[server].observed)
        publishes = [place for found in there.values() for place in found["publishes"]]
        known = (client, *self.hosts[client].observed["addresses"], "gateway" if client == server else "")
        if target["on_this_host"]:
            is_reached = target["address"] in self.hosts[server].observed["containers"]
        else:
            is_reached = f"{endpoint(target['address'], port)}:{port}" in publishes
        return is_reached and any(
            link[key] == dialed[key] and port in [link["listen"], *link["also"]] and set(known) & set(link["admitted"])
            for link in self.hosts[server].carried("server")
        )

    def deploy(self, seen=lambda: None):
        """Run all hosts as site.yml does: server sides take what is new, client sides turn, server sides give up what is left.

        :param seen: called whenever a side of a host was changed
        :return: (host, side) -> the plan that it began with
        """
        plans = {}
        here = [host for host in self.hosts if host not in self.away]
        for side in ("server", "client"):
            for host in here:
                only = [step for step in STEPS if side == "client" or step != "remove"]
                plans[host, side] = self.run(host, side, only, handover.KEEP)
                seen()
        for host in here:
            if plans[host, "server"]["phases"]["contract"]:
                self.run(host, "server", leaving=handover.TURNED)
                seen()
        return plans


class Redis:
    """A container of Redis on a host.

    :param Host host: the host
    :param str part: ``redis_server`` or ``redis_client``
    :param dict passwords: user -> password
    """

    VOLUME = "redis_server"

    def __init__(self, host, part, passwords, **changes):
        self.host, self.part, self.passwords = host, part, passwords
        told = {"engine": None, "image": "redis:8.0.2", "memory": "64M", "pids": 64, "volume": self.VOLUME}
        self.settings = {**SETTINGS, **told, **changes}
        self.name = changes.get("name", part)

    def plan(self, problems=()):
        """Plan it, as the action plugin does."""
        given, loaded, volume = self.passwords, None, None
        if self.part == "redis_server":
            container, files = (
                describe_redis_server(self.name, self.settings),
                redis.render_server_files(given, [], self.settings["memory"]),
            )
            loaded, volume = digest(redis.render_loaded(given, [], self.settings["memory"]).encode()), self.VOLUME
        else:
            variables = {"REDIS_NAME": "/consumer/redis"}
            container, files = describe_redis_client(self.name, self.settings, variables, bool(given)), redis.render_client_files(given)
        owned = {"owner": permissions.REDIS_UID, "files": {name: digest(content.encode()) for name, content in files.items()}}
        self.settings["files"] = owned["files"] | ({"loaded": loaded} if loaded else {})
        observed = self.host.look()
        inputs = RedisInputs(self.part, self.host.name, observed, self.settings, container, **owned, problems=list(problems))
        return plan_redis(dataclasses.replace(inputs, volume=volume, loaded=loaded)).result()

    def run(self):
        """Plan it and take the steps; return the plan that it began with."""
        first = self.plan()
        self.host.apply(first, self.settings, None, MADE)
        self.host.apply(self.plan(), self.settings, None, [step for step in STEPS if step not in MADE])
        return first
