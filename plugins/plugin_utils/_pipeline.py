# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way from a wiring and an observation to the plan of a side. Pure Python: it reads only templates and files of the role."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping

from ansible_collections.crosshost.ambassador.plugins.module_utils import _packing as packing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _handover as handover
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _render as render
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._ambassadors import describe_ambassadors
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import compute_connection_limit, normalize_image
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import add_subnets, find_gateways, listens_on_ipv6
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import add_places, add_replicas
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import Plan, Settings
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import TlsInputs
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_inputs import Generation, SideInputs
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_side import plan_kept_side, plan_side
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINE_NAMES, HAPROXY
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import resolve_host_backend

# the programs of containers, in the files of the role
SCRIPTS = ("socat.sh", "nftables.sh")


@dataclasses.dataclass(frozen=True)
class ResolvedSide:
    """A side of a host, as the map and the observation have it."""

    #: ``server`` or ``client``
    side: str
    #: inventory name of the host
    host: str
    #: the result of ``Wiring.side``
    wiring: dict
    #: the observation
    observed: dict
    settings: Settings
    #: path of the role that has the templates and files
    role: str
    #: first line of rendered files
    managed: str
    #: what happens to links that the map no longer has, see :mod:`handover`
    leaving: str = handover.DROP
    #: None without TLS
    tls: TlsInputs | None = None
    #: the lists of revoked certificates, PEM; empty if there are none
    revocation_lists: str = ""
    #: names of all hosts of the inventory
    inventory: Collection[str] = ()
    #: hosts that may still use links that the map no longer has -> reason, see :func:`handover.waiting`
    waiting: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: names of hosts whose server sides this run reaches later
    later_hosts: Collection[str] = ()

    @functools.cached_property
    def on_disk(self):
        """The server side as it was observed, empty if it does not exist."""
        return self.observed["sides"].get("server", {})

    @functools.cached_property
    def stored_wiring(self):
        """The wiring that the server side stores if its engine can go on with it, see :func:`handover.former`."""
        return handover.former(self.on_disk, self.settings)

    @functools.cached_property
    def pools(self):
        """The address pools of the network of the ambassadors, empty before the network is created."""
        network = self.observed["networks"].get(self.settings["network"])
        return network["pools"] if network else []

    @functools.cached_property
    def gateways(self):
        """The addresses of the host in the network of the ambassadors."""
        return find_gateways(self.pools, self.observed["addresses"])


def plan_resolved_side(inputs: ResolvedSide) -> Plan:
    """Return the plan of a side: its containers and its generation, compared with the observation."""
    if inputs.waiting:
        return _plan_waiting_side(inputs)
    return _plan_switched_side(inputs)


def _plan_waiting_side(inputs: ResolvedSide) -> Plan:
    """Return the plan of a server side that still serves former links. A client that left another link loses it nevertheless."""
    kept = plan_kept_side(inputs.host, inputs.wiring["holder"], inputs.waiting)
    if not handover.find_departed(inputs.wiring, inputs.stored_wiring, inputs.inventory):
        return kept
    plan = _plan_switched_side(dataclasses.replace(inputs, leaving=handover.KEEP))
    plan.lines += kept.lines
    return plan


def _plan_switched_side(inputs: ResolvedSide) -> Plan:
    """Return the plan of a side as the map has it, and with ``leaving`` KEEP as the server side serves it as well."""
    if not inputs.wiring["links"] or inputs.settings["engine"] not in ENGINE_NAMES:
        return plan_side(SideInputs(inputs.side, inputs.host, inputs.wiring, inputs.observed, inputs.settings))
    wiring = _complete_wiring(inputs)
    served = wiring
    if inputs.side == "server" and inputs.leaving == handover.KEEP and not wiring["problems"]:
        inventory = inputs.inventory if inputs.waiting else ()
        served = handover.both(wiring, inputs.stored_wiring, inputs.observed["addresses"], inventory)
    has_generation = inputs.settings["engine"] in render.FILES and not wiring["problems"]
    return plan_side(
        SideInputs(
            inputs.side,
            inputs.host,
            wiring,
            inputs.observed,
            inputs.settings,
            places=describe_ambassadors(inputs.side, served, inputs.settings, _read_scripts(inputs.role), inputs.observed),
            generation=_render_generation(inputs, served) if has_generation else None,
            tls=inputs.tls,
            kept_wiring=served,
            later_hosts=inputs.later_hosts,
            removes_clients=inputs.side == "server" and handover.removes_clients(inputs.on_disk, served, inputs.settings["tls"]),
        )
    )


@functools.cache
def _read_scripts(role: str) -> dict[str, str]:
    """Return name -> content of the programs of containers."""
    scripts = {}
    for name in SCRIPTS:
        with open(f"{role}/files/{name}", encoding="utf-8") as file:
            scripts[name] = file.read().rstrip()
    return scripts


def _complete_wiring(inputs: ResolvedSide) -> dict:
    """Return the wiring with what only the observation of the host shows."""
    wiring, settings, observed = inputs.wiring, inputs.settings, inputs.observed
    if inputs.side == "client":
        return add_subnets(add_places(wiring, observed), settings, observed)
    if inputs.gateways:
        # IPv4 first; before the network is created its gateway is unknown, and the side is planned again
        wiring = resolve_host_backend(wiring, min(inputs.gateways, key=lambda address: ":" in address))
    return handover.with_sources(add_replicas(wiring, settings["network"], observed), inputs.stored_wiring)


def _render_generation(inputs: ResolvedSide, wiring: dict) -> Generation:
    """Return the generation of a side."""
    settings, observed, tls, files = inputs.settings, inputs.observed, inputs.tls, {}
    if inputs.side == "server":
        files[packing.FILE] = handover.text(wiring, settings)
    if settings["engine"] == HAPROXY:
        if inputs.side == "server":
            files |= {"admitted.lst": None, "clients.lst": None}
        if tls:
            files |= {"cert.pem": observed["identity"]["certificate"] or "(made by a run)\n", "ca.pem": tls["ca"]}
            files |= {"crl.pem": inputs.revocation_lists, "revoked.lst": None} if inputs.revocation_lists else {}
    variables = {
        "ansible_managed": inputs.managed,
        "side": inputs.side,
        "links": wiring["links"],
        "variables": wiring["variables"],
        "sources": wiring["sources"],
        "gateways": inputs.gateways,
        "subnets": [pool["Subnet"] for pool in inputs.pools],
        "image_id": observed["images"].get(normalize_image(settings["image"]), ""),
        "connections": compute_connection_limit(settings["memory"]),
        "nameservers": settings["nameservers"] or observed["nameservers"],
        "tls": settings["tls"],
        "ipv6": listens_on_ipv6(inputs.side, wiring, settings, observed),
        "revoked": certificates.list_revoked(inputs.revocation_lists) if tls else [],
        "metrics": bool(settings["metrics"]),
        "not_after": tls["held"]["not_after"] if tls and tls["held"] else None,
        "crl": "crl.pem" in files,
    }
    return render.generation(settings["engine"], inputs.role, variables, files)
