# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of the plan of a side. A step that changes nothing is not added."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest, variables_digest
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import unchecked
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import format_differences
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import certificate_name
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import make_removal, name_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import find_clock_problems, find_renewal
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import are_all_proved, list_local_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import variable_files


def add_certificate_step(plan, inputs):
    """Add the step that renews the certificate of the host, or the problem that prevents it.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    :return: why the host needs another certificate, None if it does not
    :rtype: Renewal | None
    """
    host, settings, tls = inputs.host, inputs.settings, inputs.tls
    if not tls:
        return None
    renewal = find_renewal(host, inputs.observed["identity"]["key"], tls)
    if renewal:
        plan.add_step("certificate", f"the certificate of {host} is {renewal.words}")
        plan.inputs |= {"new_key": renewal.needs_new_key, "former_name": renewal.former_name}
    if not plan.problems:
        plan.problems += find_clock_problems(host, inputs.observed, settings, tls, renewal)
    # a controller needs the key only to sign, and a host that pulls its own configuration should not have it
    if renewal and settings["ca"] and not settings["ca_key"] and not plan.problems:
        plan.problems.append(
            f"host {host}, ambassador_ca_key: expected the key of ambassador_ca_certificate, which has to sign for the host,"
            " found none; set it, from a vault or a store of secrets."
        )
    return renewal


def list_runs(side_containers):
    """Return the directories of the endpoints of the containers that load the generation.

    :param SideContainers side_containers: the containers of the side
    :rtype: list[str]
    """
    loading = [*side_containers.wanted, *(number for number, is_current in side_containers.idle.items() if is_current)]
    return [names.name_run_directory(number) for number in sorted(loading)]


def add_configuration_step(plan, inputs, side_containers):
    """Add the step that writes the generation, or removes that of another engine.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    :param SideContainers side_containers: the containers of the side
    """
    on_disk, generation, runs = inputs.on_disk, inputs.generation, list_runs(side_containers)
    plan.inputs["runs"] = runs
    if generation is None:
        if on_disk.get("current") or on_disk.get("engine"):
            # the state of socat is the environment of its container; that of another engine would mislead
            plan.add_step("configuration", "another engine's configuration goes")
        return
    wrong = permissions.of_side(inputs.observed["wrong_permissions"], inputs.side)
    files = {name: digest(content.encode()) for name, content in generation["files"].items()}
    run = {"owner": int(side_containers.first["user"].partition(":")[0]), "mode": "0711" if inputs.settings["metrics"] else "0700"}
    if "certificate" in plan.why or on_disk.get("current") != generation["name"] or on_disk.get("files") != files:
        plan.add_step("configuration", "the configuration changes")
    elif on_disk.get("runs") != dict.fromkeys(runs, run):
        plan.add_step("configuration", "the directories of its sockets")
    elif wrong:
        plan.add_step("configuration", f"the owner or mode of {', '.join(wrong)} is wrong")


def add_container_steps(plan, inputs, side_containers):
    """Add the steps that create, change and remove containers.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    :param SideContainers side_containers: the containers of the side
    """
    for number, container in side_containers.wanted.items():
        if side_containers.differences[number]:
            plan.add_step("container", f"{container['name']}: {format_differences(side_containers.differences[number])}")
    if side_containers.new_standins:
        plan.add_step("standin", "new connections are served while the client side is away")
    idle, left_over = side_containers.idle, side_containers.left_over
    if idle or left_over:
        removed = name_containers(inputs.side, inputs.observed, idle) + left_over
        plan.add_step("remove", f"nobody needs {', '.join(removed)}")
        paths = [f"{inputs.settings['state_dir']}/{inputs.side}/{names.name_run_directory(number)}" for number in idle]
        plan.inputs["remove"] = make_removal(removed, paths)
    standins = side_containers.standins
    if standins:
        # they may still have the names, which a run moves back when it loads the configuration
        plan.add_step("container", f"{', '.join(standins)} {'is' if len(standins) == 1 else 'are'} left of an earlier run")


def add_cut_step(plan, inputs):
    """Add the step that closes the connections of a revoked host.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    """
    host = inputs.settings["cut"]
    if inputs.tls and host:
        plan.add_step("cut", f"the connections of {host} end")
        plan.inputs["cut"] = sorted({host, certificate_name(host)})


def add_load_step(plan, inputs):
    """Add the step that loads the generation. A side that is created reads it, and its verification waits for that.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    """
    on_disk, generation = inputs.on_disk, inputs.generation
    is_created = not inputs.existing and not on_disk and inputs.settings["prove"]
    if generation and not is_created and (plan.why or on_disk.get("running") != generation["name"]):
        plan.add_step("load", "what is on disk is what runs")


def add_verify_step(plan, inputs):
    """Add the step that verifies the links.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    """
    proves, is_client, links = inputs.settings["prove"], inputs.side == "client", inputs.early_links
    to_dial = unchecked({"links": links}, inputs.settings["engine"]) if is_client and inputs.generation else []
    local = list_local_ports(inputs.wiring, inputs.observed) if is_client and proves else []
    is_changed = inputs.generation and proves and (plan.why or to_dial or not are_all_proved(links, inputs.side, inputs.on_disk))
    if local or is_changed:
        plan.add_step("verify", "the links are verified")
    plan.inputs |= {"unchecked": to_dial, "local": local}


def add_variables_step(plan, inputs):
    """Add the step that writes the link variables of a client side.

    :param Plan plan: the plan
    :param SideInputs inputs: the inputs
    """
    plan.inputs["variables"] = {}
    if inputs.side != "client":
        return
    files = variable_files(inputs.wiring["links"])
    digests = {name: digest(content.encode()) for name, content in files.items()}
    if inputs.observed["variables"] != variables_digest(digests):
        plan.add_step("variables", "the link variables of consumers change")
    # no other step of an engine that keeps nothing on disk repairs the state directory
    if inputs.generation is None and permissions.STATE_DIR in inputs.observed["wrong_permissions"]:
        plan.add_step("variables", "the owner or mode of the state directory is wrong")
    if "variables" in plan.why:
        plan.inputs["variables"] = files
