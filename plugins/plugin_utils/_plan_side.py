# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan of a side of the ambassadors: its steps, in which order, and what they need."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation import digest, variables_digest
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import unchecked
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _containers as containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import (
    Plan,
    add_image_step,
    add_network_step,
    all_container_names,
    container_names,
    directories_of,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_certificates import (
    authority_key_problems,
    authority_warnings,
    certificate_due,
    certificate_problems,
    clock_problems,
    holders_problems,
    identity_warnings,
    list_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_lines import (
    joined_lines,
    link_lines,
    remade_lines,
    removal_warnings,
    removed_lines,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_network import (
    alias_problems,
    default_route_problems,
    ipv6_alias_problems,
    joined_problems,
    loopback_problems,
    shared_listener_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_ports import (
    ipv6_port_problems,
    metrics_problems,
    port_problems,
    publishes_ipv6,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import (
    account_warnings,
    disk_problems,
    host_problems,
    memory_problems,
    name_problems,
    nameserver_problems,
    network_problems,
    state_problems,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import (
    all_proved,
    before,
    can_roll_back,
    joined_networks,
    local_ports,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_removal import (
    add_metrics,
    add_metrics_of_other_side,
    add_removal,
    has_unused_key,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import certified, variable_files

# the most stand-ins of earlier runs that may have connections: each takes its memory
STANDINS = 5


def plan_side(side, host, wiring, observed, settings, places, generation, tls=None, served=None, coming=(), removes_clients=False):
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
        unused_key = has_unused_key(host, wiring, observed)
        if not plan.problems and (on_disk or there or unused_key):
            plan.problems = host_problems(host, observed)
            add_removal(plan, all_container_names(side, observed), directories_of(side), observed, settings)
            plan.lines, plan.warnings = removed_lines(side, host, wiring, on_disk), removal_warnings(side, host, wiring, on_disk)
            if unused_key:
                plan.lines += [f"- directory {path} on {host}" for path in plan.inputs["remove"]["paths"]]
            add_metrics_of_other_side(plan, side, observed, settings)
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
    plan.problems += port_problems(served, container_names(side, observed, there), observed)
    plan.problems += ipv6_port_problems(host, wiring["publish"], observed, publishes_ipv6(side, observed, settings))
    plan.problems += metrics_problems(host, served, observed, settings)

    add_image_step(plan, observed, settings, [there.get(number) for number in asked])
    add_network_step(plan, observed, settings)
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
        spare = container_names(side, observed, idle)
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
    changed += add_metrics(plan, side, list(asked), observed, settings)
    state = f"{settings['state_dir']}/client"
    plan.inputs |= {
        "side": side,
        "certified": certified(host),
        # an engine that keeps nothing on disk reports nothing of its links
        "wiring": {"links": now if generation else [], "addresses": served["addresses"]},
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


def plan_kept_side(host, name, waiting):
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
