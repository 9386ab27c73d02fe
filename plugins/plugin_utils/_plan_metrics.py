# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The container that publishes the metrics of both sides of a host."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import overlap
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import find_differences, format_differences
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._metrics import describe_metrics_container, parse_metrics_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import SIDES, make_removal
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_ports import find_ipv6_port_problems, find_port_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_container_name_problems


def find_metrics_problems(host, wiring, observed, settings):
    """Return why a host cannot publish its metrics.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of a side
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    if not settings["metrics"]:
        return []
    at, place = parse_metrics_address(settings["metrics"]), f"host {host}, ambassador_metrics: expected"
    if at is None:
        return [f"{place} a port, or address:port, found {settings['metrics']!r}; correct it, or set it to '' for no metrics."]
    if settings["engine"] != "haproxy":
        return [
            f"{place} the engine haproxy, which alone tells metrics, found {settings['engine']}; set ambassador_metrics to '',"
            " or ambassador_engine to haproxy."
        ]
    publishers = [
        f"{port['key']} of link {port['alias']}"
        for port in wiring["publish"]
        if port["protocol"] == "tcp" and overlap(at, (port["address"], port["port"]))
    ]
    if publishers:
        return [f"{place} a port that no link has, found {endpoint(*at)} to be {publishers[0]} as well; set one of them to another port."]
    name = names.name_metrics_container(observed["mesh"])
    port = {"where": f"host {host}, ambassador_metrics", "key": "metrics", "address": at[0], "port": at[1], "protocol": "tcp"}
    problems = find_container_name_problems(host, name, observed) or find_port_problems({"publish": [port]}, [name], observed)
    return problems + find_ipv6_port_problems(host, [port], observed, settings["ipv6"])


def add_metrics(plan, side, numbers, observed, settings):
    """Add what changes of the container that publishes the metrics of both sides. It is removed with the last container that has metrics.

    :param Plan plan: the plan
    :param str side: the side that is planned
    :param list[int] numbers: numbers of its containers
    :param dict observed: the observation
    :param Settings settings: the settings
    :return: the description of the container if it changes
    :rtype: list[dict]
    """
    name, other = names.name_metrics_container(observed["mesh"]), SIDES[1 - SIDES.index(side)]
    container = observed["containers"].get(name)
    shown = [(side, number) for number in numbers] + [(other, number) for number in find_side_containers(other, observed)]
    is_on = settings["engine"] == "haproxy" and parse_metrics_address(settings["metrics"])
    if is_on and shown and (numbers or container):
        return _add_change(plan, container, describe_metrics_container(plan.host, sorted(shown), settings, observed), observed, settings)
    if container and container["ours"]:
        plan.add_step("remove", name)
        plan.inputs.setdefault("remove", make_removal())["containers"].append(name)
        plan.lines.append(f"- container {name} on {plan.host}")
    return []


def _add_change(plan, container, wanted, observed, settings):
    differences = find_differences(wanted, container, observed["images"])
    if not differences:
        return []
    name, text = wanted["name"], format_differences(differences)
    plan.add_step("container", f"{name}: {text}")
    if container:
        plan.lines.append(f"~ container {name} on {plan.host}: {text}")
    else:
        plan.lines.append(f"+ container {name} on {plan.host}, to tell metrics at {endpoint(*parse_metrics_address(settings['metrics']))}")
    return [wanted]


def add_metrics_of_other_side(plan, side, observed, settings):
    """Add what changes of the container that publishes metrics when a side is removed, with the inputs that the steps of a side need.

    :param Plan plan: the plan
    :param str side: the side that is removed
    :param dict observed: the observation
    :param Settings settings: the settings
    """
    changed = add_metrics(plan, side, [], observed, settings)
    plan.inputs |= {"side": side, "generation": None, "standin": [], "containers": changed}
