# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plans a part of a host: gathers the inputs from the inventory, the controller and the host, and calls the planner."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import re

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest, keyed
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _maps as maps
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _passwords as passwords
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._inventory import AllVariables, make_host_matcher, make_pattern_resolver
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import client_side, text_of, whole
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._pipeline import ResolvedSide, plan_resolved_side
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import SIDES, plan_unseen
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_redis import RedisInputs, plan_redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_removal import plan_removal
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._play import SERVER_PLANNED, Play
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis_containers import describe_redis_client, describe_redis_server
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._tls_inputs import TlsReader
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring

# the templates and files of the engines, beside the plugins wherever the collection is
ROLE = str(pathlib.Path(__file__).parents[2] / "roles" / "ambassador_engine")
PLANNED = "__redis_server_plan"
# variables that are read by playbooks, or of hosts, and are in no role's specification
UNSPECIFIED = (
    "ambassador_hosts",
    "ambassador_address",
    "ambassador_bind",
    "ambassador_docker",
    "ambassador_interface",
)
# what begins a template, or changes what begins one
TEMPLATE = re.compile(r"\{\{|\{%|\{#|#jinja2")
IMAGES = {"haproxy": "haproxy_image", "socat": "socat_image", "nftables": "nftables_image"}


def plain(value):
    """Return a copy of what Ansible hands over, of Python's own types alone: reading those is many times faster.

    :param value: dicts, lists, and what JSON knows
    """
    return json.loads(json.dumps(value, default=str))


def known_variables():
    """Return the names of the variables that the collection reads.

    :rtype: set[str]
    """
    specifications = pathlib.Path(ROLE).parent.glob("*/meta/argument_specs.yml")
    # to parse them costs a second for each hundred hosts
    return {*UNSPECIFIED, *re.findall(r"^      (\w+):$", "".join(path.read_text(encoding="utf-8") for path in specifications), re.M)}


def origin(value):
    """Return where a value was written, ``FILE:LINE``, or nothing where Ansible does not say.

    :param value: as Ansible hands it over
    :rtype: str
    """
    try:
        from ansible._internal._datatag._tags import Origin

        found = Origin.get_tag(value)
    except (ImportError, AttributeError):
        return ""
    return str(found) if found else ""


class ActionModule(ActionBase):
    """See ``plugins/modules/plan.py``."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset(("part", "state", "settings", "observed", "redis", "asked", "gathered", "tested", "said", "leaving"))

    def run(self, tmp=None, task_vars=None):
        """Plan the part, and say why nothing is changed where something is wrong."""
        result = super().run(tmp, task_vars)
        problem = controller.find_facts_problem(task_vars)
        if problem:
            remedy = "If your playbook sets them with cacheable facts, set them in the inventory."
            return {**result, "failed": True, "msg": f"{problem} {remedy}"}
        problem = controller.find_unread_variable(task_vars, self._templar.template)
        if problem:
            return {**result, "failed": True, "msg": str(problem)}
        arguments = plain(self._task.args)
        self.host, self.variables = task_vars["inventory_hostname"], task_vars
        self.part, self.observed = arguments["part"], whole(arguments["observed"])
        # of another one, where a play runs the roles for one mesh after the other
        self.mesh = self.observed["mesh"]
        self.settings = {
            **arguments["settings"],
            "controller_dir": os.path.realpath(os.path.expanduser(arguments["settings"]["controller_dir"])),
        }
        for warning in maps.find_misspelled_variables(task_vars, known_variables()):
            self._display.warning(str(warning))
        self.hostvars = AllVariables(task_vars["hostvars"])
        self.play = Play(self.host, self.mesh, task_vars, self.hostvars)
        self.tls = TlsReader(self.host, self.observed, self.settings, self.play)
        self.problems, self.links, self.origin, self.wiring, self.holders = [], None, "", None, None
        self.uses_redis = False
        if self.part != "redis_server" and (arguments.get("state") or "present") == "present":
            self.links = self._map()
        # hosts outside the run that hold a certificate; None where they were not asked yet
        self.asked = arguments.get("asked")
        self.gathered = arguments.get("gathered") or []
        self.settings["tested"] = arguments.get("tested") or []
        self.redis = arguments.get("redis") or {}
        self.hash_key = controller.derive_hash_key()
        self.leaving = arguments.get("leaving") or handover.DROP
        if self.leaving == handover.TURNED:
            # the same run closed them before
            self.settings["cut"] = ""
        found = self._plan(arguments.get("state") or "present").result()
        # one that did not answer will not do so now
        facts = [host for host in found["ask"].pop("facts", []) if host not in self.gathered]
        found["ask"] |= {"facts": facts} if facts else {}
        found["mesh"] = self.mesh
        if self.part in SIDES:
            found["uses_redis"] = self.uses_redis
        lines = [line for line in found["lines"] if line not in (arguments.get("said") or [])]
        if self.holders is not None and self.host == self.play.alive[0]:
            found["holders"] = self.holders
        # a side that is to be gone has read no map
        if self.part == "server" and arguments.get("state") != "absent" and not (self._is_compared and self.host != self.play.alive[0]):
            # a text: Ansible looks at each value of a dict in every task
            found["map"] = self._map_text
            if self.wiring and not self.wiring.problems:
                found |= {"map_settings": self._map_settings, "map_first": self._first}
        if self.part == "client":
            found["late_hosts"] = self.play.list_late_hosts()
        if found["warnings"] and self.origin:
            found["warnings"] = [f"{warning} The map is that of {self.origin}." for warning in found["warnings"]]
        if self.part in SIDES and not found["problems"]:
            found["warnings"] += self.play.list_open_port_warnings()
        result.update(
            found, open=bool(found["problems"] or found["ask"] or found["steps"] or lines), lines=lines, leaving=self.leaving, changed=False
        )
        return result

    def _plan(self, state):
        if self.mesh != self.settings["mesh"]:
            return plan_unseen(self.part, self.host)
        name = self.redis.get("name") or names.name_side_container(self.part, self.mesh)
        if state == "absent":
            self._image(self.settings.get(IMAGES.get(self.settings["engine"])))
            volume = self.redis.get("volume") if self.redis.get("purge") else None
            return plan_removal(self.part, self.host, name, self.observed, self.settings, volume)
        if self.part == "redis_server":
            return self._redis_server(name)
        if self.part == "redis_client":
            return self._redis_client(name)
        return self._side()

    # -- the map ------------------------------------------------------------------------------------------------------

    def _map(self):
        """Return the map as this host sees it, None where it is not defined, or cannot be resolved."""
        self._map_text = "null"
        if maps.NAME not in self.variables:
            return None
        try:
            found = self.variables[maps.NAME]
            # to look for templates in each value takes more time than all else
            self._map_text = json.dumps(found, default=str)
            if TEMPLATE.search(self._map_text):
                found = self._templar.template(found)
                self._map_text = json.dumps(found, default=str)
            self.origin = origin(found)
            return json.loads(self._map_text)
        except AnsibleError as error:
            pieces = {}
            for host in self.variables["groups"]["all"]:
                pieces |= {name: value for name, value in self.play.read_variables(host).items() if name.startswith(f"{maps.NAME}__")}
            self.problems, self._map_text = maps.explain_unresolved_map(self.host, str(error), pieces), "{}"
            return {}

    # -- the ambassadors ----------------------------------------------------------------------------------------------

    def _wiring(self, side):
        """Return the map, resolved for this host and a side; without links, where it is not defined."""
        groups = self.variables["groups"]
        known = make_pattern_resolver(groups, self.variables["hostvars"])
        links = self.links if self.links is not None else {}
        # the first host has parsed the whole map for all
        is_parsed = self._is_compared and self._reference.get("map_settings") == self._map_settings
        own = self.variables.get("group_names")
        own = [name for name, hosts in groups.items() if self.host in hosts] if own is None else own
        is_named = make_host_matcher(self.host, own, groups, self.variables["hostvars"], known)
        self.wiring = Wiring(links, known, *self._map_settings, is_named if is_parsed else None)
        if is_parsed:
            self._first = self._reference.get("map_first")
        wiring = self.wiring.side(self.host, side, self.hostvars)
        resolved = plain(wiring)
        resolved["problems"] = self.problems or self._map_problems(known) or wiring["problems"]
        return resolved

    @property
    def _map_settings(self):
        """Return the settings that decide what is wrong with a map."""
        return [self.settings["engine"], self.settings["ipv6"], self.settings["tls"], self.mesh, self.settings["network"]]

    @functools.cached_property
    def _reference(self):
        """What this run has planned of the server side of the first host, with whose map all others are compared; empty if nothing yet."""
        first = self.play.alive[0]
        # facts that a host returns are no plan of the controller
        return {} if controller.list_overriding_facts(self.play.read_variables(first)) else self.play.read_plan(first, SERVER_PLANNED)

    @property
    def _is_compared(self):
        """Whether this host sees the map that the first host has planned."""
        return self._reference.get("map") == self._map_text

    def _map_problems(self, known):
        """Return what is wrong with the map as this host sees it, beside another host of the run that has planned already."""
        if self.links is None:
            problem = maps.find_undefined_map(self.host, self.observed, list(self.variables))
            return [problem] if problem else []
        if self.part == "server" or not hasattr(self.links, "items") or self._is_compared:
            return []

        def named(settings):
            patterns = [settings.get(key) for key in ("servers", "clients")] if hasattr(settings, "items") else []
            return [host for pattern in patterns if isinstance(pattern, str) for host in known(pattern)]

        for other in self.play.hosts:
            planned = self.play.read_plan(other, SERVER_PLANNED)
            if other == self.host or "map" not in planned:
                continue
            theirs = json.loads(planned["map"])
            if other in self.wiring.hosts or theirs:
                return maps.compare_maps(self.host, self.links, other, theirs, named)
        return []

    def _side(self):
        settings, wiring = self.settings, self._wiring(self.part)
        self.uses_redis = self._links_with_own_redis(wiring["links"]) != []
        waiting = self._waiting(wiring) if self.part == "server" and self.leaving == handover.TURNED else {}
        if wiring["links"]:
            wiring["problems"] = self._several() or wiring["problems"]
        self._image(settings.get(IMAGES.get(settings["engine"])))
        tls = self._tls(wiring) if wiring["links"] and settings["tls"] and settings["engine"] in IMAGES else None
        return plan_resolved_side(
            ResolvedSide(
                self.part,
                self.host,
                wiring,
                self.observed,
                settings,
                role=ROLE,
                managed=self.variables.get("ansible_managed", constants.DEFAULT_MANAGED_STR),
                leaving=self.leaving,
                tls=tls,
                revocation_lists=self.tls.revocation_lists if tls else "",
                inventory=self.variables["groups"]["all"],
                waiting=waiting,
                later_hosts=self.play.list_later_servers(wiring["links"]),
            )
        )

    def _links_with_own_redis(self, links):
        """Return the links of a side whose backend is the container of the role redis_server."""
        return [link for link in links if redis.is_backend(link["backend"], self._redis_name(link["servers"]), self.settings["network"])]

    def _redis_name(self, servers):
        """Return the name of the container of the role redis_server: the first host stands for all, because a link has one backend."""
        variables = self.hostvars[servers[0]] if servers else {}
        return str(variables.get("redis_server_name") or mesh_names.in_mesh("redis_server", self.mesh))

    def _waiting(self, wiring):
        """Return host -> reason, of the hosts that may still connect to links which the map no longer has."""
        held = handover.former(self.observed["sides"].get("server", {}), self.settings)
        # most hosts serve what the map asks for, and need not look at all others
        if held is not None and not handover.left(wiring, held):
            return {}
        seen = {}
        for host, found in self.play.read_observations().items():
            # a host with an answer that cannot be read has given none
            with contextlib.suppress(ValueError):
                seen[host] = client_side(plain(found))
        return handover.waiting(wiring, held, self.host, seen, self.variables["groups"]["all"], self.play.failed)

    def _image(self, name):
        prefix = f"{self.settings['registry']}/" if self.settings["registry"] else ""
        self.settings["image"] = f"{prefix}{name}"

    @functools.cached_property
    def _first(self):
        """The first host of the play that the map names, None if there is none."""
        return next((host for host in self.play.hosts if host in self.wiring.hosts), None)

    def _several(self):
        """Return what is wrong where hosts that the map names, and that this run has observed, differ in what is to be one for all."""
        # once a run, not once a host for each host: the first looks at all, and all at the first
        first = self._first
        others = [host for host in self.play.hosts if host in self.wiring.hosts and host != first] if first == self.host else [first]
        asked = [(self.play.mesh_of, self.mesh, maps.refuse_two_meshes)]
        # a CA that was given is one for all
        if not self.settings["ca"]:
            asked.insert(0, (self.play.controller_directory_of, self.settings["controller_dir"], maps.refuse_two_controllers))
        for of, holds, told in asked:
            own = of(self.host)
            # one that a playbook says for all is not in the host's variables
            if own != holds:
                continue
            for other in others:
                theirs = of(other)
                # one that could not be reached is given nothing
                if theirs != own and "sides" in self.play.read_result(other, OBSERVED):
                    return told(self.host, own, other, theirs)
        return []

    def _tls(self, wiring):
        """Return the inputs of TLS. Without a CA, collect the hosts that have a certificate, because their CA is on another controller."""
        if self.tls.has_ca:
            return self.tls.gather(wiring, [], [])
        # the first host looks at all hosts; with ``serial`` it has not seen those of later batches
        is_seen = self.play.alive[0] in self.play.batch[:1] and self.host != self.play.alive[0]
        known = self._reference.get("holders") if is_seen else None
        self.holders = list(self.play.read_certificates()) if known is None else list(known)
        hosts = frozenset(self.play.hosts)
        unseen = [str(host) for host in self.wiring.hosts if host not in hosts] if self.asked is None else []
        return self.tls.gather(wiring, [*self.holders, *(self.asked or [])], unseen)

    # -- Redis --------------------------------------------------------------------------------------------------------

    def _redis_server(self, name):
        given, directory = self.redis["given"], self.settings["controller_dir"]
        kept = {user: passwords.read_password(directory, user, self.mesh) for user in given}
        held = {
            host: {user: text_of(found, "users", name, user) for user in given} for host, found in self.play.read_observations().items()
        }
        held = {host: {user: sha256 for user, sha256 in users.items() if sha256} for host, users in held.items()}
        rules = plain(self.redis["app_rules"])
        memory = self.redis["memory"]
        problems = [*redis.find_app_rule_problems(rules), *redis.find_memory_problems(memory)]
        problems += redis.find_password_problems(given, kept, held, directory, self.mesh, hash_text=self._hashed)
        self._warn_of_weak_passwords(given, redis.VARIABLES)
        known = {user: given[user] or kept[user] for user in given}
        # one that is still to be made is in no file yet
        ready = all(known.values()) and not problems
        texts = redis.render_server_files(known, rules, memory) if ready else {}
        files = {file: self._hashed(text) for file, text in texts.items()} or dict.fromkeys(("operator",))
        loaded = self._hashed(redis.render_loaded(known, rules, memory)) if ready else None
        container = describe_redis_server(name, self._redis_settings())
        found = plan_redis(
            RedisInputs(
                "redis_server",
                self.host,
                self.observed,
                self.settings,
                container=container,
                owner=permissions.REDIS_UID,
                files=files,
                problems=problems,
                volume=self.redis["volume"],
                loaded=loaded,
            )
        )
        # a run that stopped may have written the users already
        runs_with = self.observed["loaded_users"].get(name) or self.observed["users"].get(name, {})
        found.always["changed_users"] = redis.list_changed_users(known, runs_with, self._hashed) if ready else []
        return found

    def _redis_client(self, name):
        wiring = self._wiring("client")
        problems, given, directory = list(wiring["problems"]), self.redis["given"], self.settings["controller_dir"]
        links = []
        if not problems:
            own = self._links_with_own_redis(wiring["links"])
            choice = redis.choose_link(wiring["links"], self.redis["link"], self.host, self.links is not None, own)
            links, problems = ([], [choice]) if isinstance(choice, Problem) else ([choice], [])
        kept = {user: passwords.read_password(directory, user, self.mesh) for user in given}
        held = {user: file["sha256"] for user, file in self.observed["directories"].get(name, {"files": {}})["files"].items()}
        # here a file holds a password and the end of its line
        problems += redis.find_password_problems(given, kept, {self.host: held}, directory, self.mesh, "\n", self._hashed)
        self._warn_of_weak_passwords(given, dict.fromkeys(given, "redis_client_password") if len(given) == 1 else redis.VARIABLES)
        missing = [user for user, password in given.items() if not password and kept[user] is None]
        made = links and any(self._is_redis_planned(server) for server in links[0]["servers"])
        if missing and not problems and not made:
            problems.append(
                f"host {self.host}: expected passwords of Redis' users {', '.join(missing)}, found none in {directory} on the controller;"
                f" run it for the servers of link {links[0]['alias']} as well, set redis_client_password, or set redis_client_user to ''"
                " for a Redis that asks for no password."
            )
        known = {user: given[user] or kept[user] for user in given}
        ready = all(known.values()) and not problems
        files = {file: self._hashed(text) for file, text in redis.render_client_files(known).items()} if ready else dict.fromkeys(given)
        container = describe_redis_client(name, self._redis_settings(), links[0]["consumer"] if links else {}, bool(given))
        found = plan_redis(
            RedisInputs(
                "redis_client",
                self.host,
                self.observed,
                self.settings,
                container=container,
                owner=permissions.REDIS_UID,
                files=files,
                problems=problems,
            )
        )
        found.ask = {"facts": wiring["unknown"]} if wiring["unknown"] else {}
        found.always["link"] = links[0] if links else None
        return found

    def _is_redis_planned(self, host):
        """Return whether this run deploys the Redis server of a host: a playbook of the collection does, where the map uses it."""
        is_used = controller.PATTERN in self.variables and self.play.read_plan(host, SERVER_PLANNED).get("uses_redis")
        return bool(is_used or self.play.read_plan(host, PLANNED))

    def _hashed(self, text):
        """Return the hash of a text as the module observation_info returns it."""
        return keyed(digest(text.encode()), self.hash_key)

    def _warn_of_weak_passwords(self, given, variables):
        for problem in redis.find_weak_passwords(given, variables):
            self._display.warning(str(problem))

    def _redis_settings(self):
        self._image(self.redis["image"])
        # neither is an engine, and has a version to be asked for
        self.settings |= {"memory": self.redis["memory"], "pids": self.redis["pids"], "engine": None, "volume": self.redis.get("volume")}
        return self.settings
