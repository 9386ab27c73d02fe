# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a side of the ambassadors."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._handover import with_servers_of_map
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import (
    Plan,
    add_image_step,
    add_network_step,
    name_containers,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import (
    find_authority_key_problems,
    find_authority_warnings,
    find_certificate_problems,
    find_holders_problems,
    find_identity_warnings,
    find_revocation_list_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_inputs import Standin, StepInputs, find_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_lines import (
    find_removal_warnings,
    format_joined_networks,
    format_link_lines,
    format_recreation,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_metrics import add_metrics, find_metrics_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_network import (
    find_alias_problems,
    find_default_route_problems,
    find_ipv6_alias_problems,
    find_loopback_problems,
    find_missing_networks,
    find_shared_listener_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_ports import (
    find_ipv6_port_problems,
    find_port_problems,
    publishes_on_ipv6,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import (
    find_account_warnings,
    find_container_name_problems,
    find_disk_problems,
    find_host_problems,
    find_memory_problems,
    find_nameserver_problems,
    find_network_problems,
    find_state_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import can_roll_back, get_former_side, list_joined_networks
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_removal import add_side_without_links
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_steps import (
    add_certificate_step,
    add_configuration_step,
    add_container_steps,
    add_cut_step,
    add_load_step,
    add_variables_step,
    add_verify_step,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._temporary_containers import (
    describe_check,
    describe_temporary_container,
    name_temporary_directory,
)


def plan_side(inputs):
    """Plan a side.

    :param SideInputs inputs: the inputs
    :rtype: Plan
    """
    side, host, wiring, observed, settings = inputs.side, inputs.host, inputs.wiring, inputs.observed, inputs.settings
    plan, served = Plan(side, host), inputs.served
    plan.contracts = (served["links"], served["publish"]) != (wiring["links"], wiring["publish"])
    plan.problems = list(wiring["problems"])
    plan.ask = {"facts": wiring["unknown"]} if wiring["unknown"] else {}
    if not wiring["links"]:
        # the host has nothing to do, and then its problems do not matter
        add_side_without_links(plan, wiring, observed, settings)
        return plan
    plan.problems += find_memory_problems(side, host, settings) + find_host_problems(host, observed)
    if plan.problems:
        return plan
    side_containers = find_containers(inputs)
    _add_problems(plan, inputs, side_containers)
    add_image_step(plan, observed, settings, [inputs.existing.get(number) for number in side_containers.wanted])
    add_network_step(plan, observed, settings)
    renewal = add_certificate_step(plan, inputs)
    add_configuration_step(plan, inputs, side_containers)
    plan.problems += find_disk_problems(plan, observed, settings)
    add_container_steps(plan, inputs, side_containers)
    add_cut_step(plan, inputs)
    add_load_step(plan, inputs)
    add_verify_step(plan, inputs)
    add_variables_step(plan, inputs)
    plan.always["late"] = inputs.late_links if inputs.generation and settings["prove"] else []
    plan.warnings = _list_warnings(plan, inputs, renewal)
    plan.lines = _list_lines(plan, inputs, side_containers)
    # after the decisions for the containers of the side: no link is loaded or verified because of metrics
    metrics = add_metrics(plan, side, list(side_containers.wanted), observed, settings)
    plan.inputs |= _make_step_inputs(plan, inputs, side_containers, metrics)
    return plan


def plan_kept_side(host, name, waiting):
    """Plan that a server side removes nothing yet.

    :param str host: inventory name of the host
    :param str name: name of its ambassador
    :param dict[str, str] waiting: host -> why it may still use what the map no longer has
    :rtype: Plan
    """
    clients = ", ".join(f"{client}, which {reason}" for client, reason in waiting.items())
    return Plan("server", host, lines=[f"= host {host}: {name} serves what it served, until the next run that reaches {clients}"])


def _add_problems(plan, inputs, side_containers):
    side, host, wiring, observed, settings = inputs.side, inputs.host, inputs.wiring, inputs.observed, inputs.settings
    network = settings["network"]
    plan.problems += find_network_problems(host, observed, settings) + find_state_problems(host, observed, settings)
    plan.problems += find_missing_networks(host, side, wiring, observed, network)
    plan.problems += find_nameserver_problems(host, wiring, observed, settings)
    if side == "server":
        plan.problems += find_loopback_problems(host, wiring, observed, network)
    if not inputs.existing.get(1) and (side == "client" or not inputs.existing or wiring["serves_itself"]):
        plan.problems += find_container_name_problems(host, wiring["holder"], observed)
    plan.problems += find_default_route_problems(host, side, inputs.served["links"], side_containers.wanted.values(), observed, settings)
    if inputs.tls:
        _add_authority_problems(plan, inputs)
    if side == "client":
        plan.problems += find_alias_problems(host, wiring, observed, network)
        plan.problems += find_shared_listener_problems(host, wiring, settings)
        plan.problems += find_ipv6_alias_problems(host, wiring, observed, settings)
    plan.problems += find_port_problems(inputs.served, name_containers(side, observed, inputs.existing), observed)
    plan.problems += find_ipv6_port_problems(host, wiring["publish"], observed, publishes_on_ipv6(side, observed, settings))
    plan.problems += find_metrics_problems(host, inputs.served, observed, settings)


def _add_authority_problems(plan, inputs):
    host, settings, tls = inputs.host, inputs.settings, inputs.tls
    plan.problems += find_certificate_problems(host, inputs.observed, settings, tls)
    plan.problems += find_revocation_list_problems(settings, tls["unlisted"])
    plan.problems += find_authority_key_problems(*tls["authority_key"]) if tls["authority_key"] else []
    if not tls["authorities"]:
        plan.problems += find_holders_problems(tls["holders"], settings) if not plan.problems else []
        plan.ask |= {"certificates": tls["ask"]} if tls["ask"] else {}


def _list_warnings(plan, inputs, renewal):
    host, wiring, tls = inputs.host, inputs.wiring, inputs.tls
    warnings = find_removal_warnings(inputs.side, host, wiring, inputs.on_disk)
    warnings += [
        f"host {host}: {wiring['holder']} lets host {client} in to no link ({', '.join(aliases)}), for its address is not known;"
        f" set ambassador_address for {client}, or run again when it answers."
        for client, aliases in wiring["left_out"].items()
    ]
    warnings += find_account_warnings(plan, inputs.observed)
    if tls:
        warnings += find_authority_warnings(inputs.settings, tls["authorities"], tls["now"]) + find_identity_warnings(
            host, tls["held"], renewal
        )
        warnings += clock.warnings(host, inputs.observed.get("clock_offset"))
    return warnings


def _list_lines(plan, inputs, side_containers):
    side, host, existing = inputs.side, inputs.host, inputs.existing
    container = side_containers.first_existing
    # the description of a container has the links of an engine that reports nothing of them
    is_same = inputs.generation is None and container is not None and container.get("hash") == side_containers.first["hash"]
    lines = [] if is_same else format_link_lines(side, host, inputs.wiring, inputs.on_disk)
    for number, wanted in side_containers.wanted.items():
        container, differences = existing.get(number), side_containers.differences[number]
        if existing and not container:
            lines.append(f"+ container {wanted['name']} on {host}, {_format_purpose(inputs, number, wanted)}")
        connections = inputs.on_disk.get("connections", {}).get(names.name_run_directory(number))
        lines += format_joined_networks(host, wanted, container, inputs.observed, inputs.settings)
        lines += format_recreation(host, wanted, container, differences, connections)
    idle = name_containers(side, inputs.observed, side_containers.idle)
    lines += [f"- container {name} on {host}, which no link needs any more" for name in idle]
    if "cut" in plan.why:
        revoked = inputs.settings["cut"]
        lines.append(f"- connections of {revoked}: the {side} side of {host} closes all of its connections if it knows that host")
    lines += [
        f"= {link['alias']} {host} -> {', '.join(link['servers'])}: proved when this run has reached its server hosts"
        for link in plan.always["late"]
    ]
    return lines


def _format_purpose(inputs, number, wanted):
    """Return why a side needs a further container."""
    if inputs.side == "client" and number in inputs.places:
        link_names = dict.fromkeys(link["name"] for link in inputs.wiring["links"] if link["place"] == number)
        if link_names:
            return f"for {', '.join(link_names)}, whose port another link has"
    return f"to publish {', '.join(wanted['publish'])}" if wanted["publish"] else f"for the client side of {inputs.host}"


def _make_step_inputs(plan, inputs, side_containers, metrics):
    """Return the inputs that several steps share.

    :param Plan plan: the plan, with its steps
    :param SideInputs inputs: the inputs
    :param SideContainers side_containers: the containers of the side
    :param list[dict] metrics: the description of the container that publishes metrics if it changes
    :rtype: StepInputs
    """
    generation, on_disk, container = inputs.generation, inputs.on_disk, side_containers.first
    # containers that are not recreated find the problems of a generation when they load it, and keep the old one
    is_checked = generation and "container" in plan.why
    links = with_servers_of_map(inputs.early_links, inputs.wiring)
    return StepInputs(
        side=inputs.side,
        certified=certificate_name(inputs.host),
        # an engine that keeps nothing on disk reports nothing of its links
        wiring={"links": links if generation else [], "addresses": inputs.served["addresses"]},
        container=container,
        containers=side_containers.changed + metrics,
        anew=side_containers.are_all_new,
        generation=generation,
        check=describe_check(container, generation["name"]) if is_checked else None,
        standin=_list_standins(inputs, side_containers),
        standins=[*side_containers.standins, *side_containers.new_standins],
        before=get_former_side(on_disk) if can_roll_back(on_disk, generation, inputs.removes_clients) else {},
        joined=list_joined_networks(side_containers.wanted, inputs.existing),
        running=on_disk.get("running"),
        # the first health checks of many links take time
        patience=5 + len(inputs.served["links"]) // 25,
    )


def _list_standins(inputs, side_containers):
    directory = f"{inputs.settings['state_dir']}/client"
    return [
        Standin(
            directory=name_temporary_directory(name, directory),
            nameless=describe_temporary_container(side_containers.wanted[number], name, directory, False),
            named=describe_temporary_container(side_containers.wanted[number], name, directory, True),
            links=[link for link in inputs.early_links if link["place"] == number],
        )
        for name, number in side_containers.new_standins.items()
    ]
