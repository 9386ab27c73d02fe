# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of a play, as the plan of one of them sees them: variables, observations, and plans of this run."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED, Hosts, mapping_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import text_of
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_open_port_warnings

# variables that hold the registered plans
SERVER_PLANNED = "__ambassador_server_plan"
CLIENT_PLANNED = "__ambassador_client_plan"


class Play:
    """The hosts of a play.

    :param str host: inventory name of the host that is planned
    :param str mesh: the mesh of its observation
    :param dict variables: the variables of its task
    :param hostvars: host -> its variables with resolved templates
    """

    def __init__(self, host: str, mesh: str, variables: dict[str, Any], hostvars: Mapping[str, Mapping]):
        self.host, self.mesh, self.variables, self.hostvars = host, mesh, variables, hostvars

    @functools.cached_property
    def hosts(self) -> list[str]:
        """All hosts of the play."""
        return self.variables.get("ansible_play_hosts_all") or [self.host]

    @functools.cached_property
    def alive(self) -> list[str]:
        """The hosts at which this run has not failed."""
        return self.variables.get("ansible_play_hosts") or self.hosts

    @functools.cached_property
    def failed(self) -> list[str]:
        """The hosts at which this run has failed."""
        alive = self.variables.get("ansible_play_hosts", self.hosts)
        if len(alive) == len(self.hosts):
            return []
        alive = frozenset(alive)
        return Hosts(host for host in self.hosts if host not in alive)

    @functools.cached_property
    def batch(self) -> list[str]:
        """The hosts that run at the same time, as with ``serial``."""
        return self.variables.get("ansible_play_batch") or self.hosts

    def read_variables(self, host: str) -> dict[str, Any]:
        """Return the variables of a host without resolved templates. Results of tasks have no templates."""
        return self.variables["hostvars"].raw_get(host)

    def read_result(self, host: str, name: str) -> dict[str, Any]:
        """Return what a task registered for a host. A fact with the same name is none."""
        variables = self.read_variables(host)
        return {} if name in (variables.get("ansible_facts") or {}) else mapping_of(variables.get(name))

    def read_plan(self, host: str, name: str) -> dict[str, Any]:
        """Return the plan of this run for a part of a host, empty if there is none, or if another play planned another mesh."""
        planned = self.read_result(host, name)
        return planned if planned.get("mesh") == self.mesh else {}

    def read_observation(self, host: str) -> dict[str, Any]:
        """Return the observation of a host, empty if there is none, or if it is of another mesh."""
        observed = self.read_result(host, OBSERVED)
        return observed if observed.get("mesh") == self.mesh else {}

    def read_observations(self) -> dict[str, dict]:
        """Return host -> observation of all hosts of the play."""
        return {host: self.read_observation(host) for host in self.hosts}

    def read_certificates(self) -> dict[str, str]:
        """Return host -> its certificate, PEM, of the hosts that have one."""
        texts = {host: text_of(observed, "identity", "certificate") for host, observed in self.read_observations().items()}
        return {host: text for host, text in texts.items() if text}

    def mesh_of(self, host: str) -> str:
        """Return the mesh that the variables of a host name."""
        return self.hostvars[host].get("ambassador_mesh") or mesh_names.DEFAULT

    def controller_directory_of(self, host: str) -> str:
        """Return the directory on the controller that the variables of a host name, or the default of the role."""
        variables = self.hostvars[host]
        directory, inventory = variables.get("ambassador_controller_dir"), variables.get("inventory_dir")
        default = f"{inventory if inventory and os.path.isdir(inventory) else '~'}/.ambassador"
        return os.path.realpath(os.path.expanduser(directory or default))

    def list_later_servers(self, links: list[dict]) -> list[str]:
        """Return the server hosts of links whose server sides this run plans later, as with ``serial``."""
        if len(self.batch) == len(self.hosts):
            return []
        servers = dict.fromkeys(server for link in links for server in link["servers"])
        hosts, batch = Hosts(self.hosts), Hosts(self.batch)
        others = [host for host in servers if host in hosts and host not in batch and host not in self.failed]
        return [host for host in others if not self.read_plan(host, SERVER_PLANNED)]

    def list_late_hosts(self) -> list[str]:
        """Return the hosts whose links are still to be proved if this is the last host of the play, otherwise nothing."""
        if self.hosts[-1] != self.host:
            return []
        others = [host for host in self.hosts if host != self.host and host not in self.failed]
        return [host for host in others if self.read_plan(host, CLIENT_PLANNED).get("late")]

    def list_open_port_warnings(self) -> list[str]:
        """Return the warnings about open ports. Only a host that may be the first one to warn looks at others."""
        if not find_open_port_warnings(self.host, self._read_engine_version(self.host)):
            return []
        before = itertools.takewhile(lambda host: host != self.host, self.batch)
        if any(find_open_port_warnings(host, self._read_engine_version(host)) for host in before):
            return []
        versions: dict[str, str] = {}
        for host in self.batch:
            versions |= self._read_engine_version(host)
        return find_open_port_warnings(self.host, versions)

    def _read_engine_version(self, host: str) -> dict[str, str]:
        """Return host -> version of its Docker Engine, empty if it is not known."""
        return {host: text_of(self.read_observation(host), "docker", "version")}
