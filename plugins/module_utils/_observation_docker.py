# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of an observation that the Docker Engine of a host reports. The module ``observation_info`` documents its shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint

# the hash of everything that a container was created from
HASH_LABEL = "crosshost.ambassador.hash"
# the options of a Docker network that decide whether its gateway leads out of the host, and the prefix of their names
ROUTE_OPTIONS = ("enable_ip_masquerade", "inhibit_ipv4", "gateway_mode_ipv4", "gateway_mode_ipv6")
BRIDGE_OPTION = "com.docker.network.bridge."
# the file with the settings of dockerd, and the option that names another file
DEFAULT_CONFIG, CONFIG_OPTION = "/etc/docker/daemon.json", "--config-file"
# the spellings of Go's strconv.ParseBool, in lower case
BOOLEANS = {**dict.fromkeys(("1", "t", "true"), True), **dict.fromkeys(("0", "f", "false"), False)}


def published(ports: Iterable[dict[str, Any]] | None) -> list[str]:
    """Return ``address:port:port of the container`` of each published port, with ``/udp`` for UDP; from ``Ports`` of Docker's list."""
    return sorted(
        f"{endpoint(port.get('IP', ''), port['PublicPort'])}:{port['PrivatePort']}{'/udp' if port['Type'] == 'udp' else ''}"
        for port in ports or []
        if port.get("PublicPort")
    )


def bound(bindings: dict[str, Any] | None) -> list[str]:
    """Return the ports that a container publishes when it runs, as :func:`published` does; from ``HostConfig.PortBindings``."""
    return published(
        {"IP": place.get("HostIp") or "0.0.0.0", "PublicPort": place["HostPort"], "PrivatePort": port, "Type": protocol}
        for port, __, protocol in (key.partition("/") for key in bindings or {})
        for place in bindings[f"{port}/{protocol}"] or []
        if place.get("HostPort")
    )


def mesh_of(labels: dict[str, str] | None) -> str | None:
    """Return the mesh that created an object with these labels, or None if no mesh did."""
    return (labels or {}).get(mesh_names.MESH_LABEL, mesh_names.DEFAULT) if mesh_names.LABEL in (labels or {}) else None


def kind_of(version: dict[str, Any], info: dict[str, Any]) -> str | None:
    """Return ``podman``, ``userns``, or ``rootless`` if the containers do not have the users of the host; otherwise None."""
    # Docker's API, SystemVersion: Components; SystemInfo: SecurityOptions
    if any(component["Name"] == "Podman Engine" for component in version.get("Components") or []):
        return "podman"
    options = [option.partition(",")[0] for option in info.get("SecurityOptions") or []]
    return next((word for word in ("userns", "rootless") if f"name={word}" in options), None)


def last_option(arguments: list[str], name: str) -> str | None:
    """Return the last value of an option in a command line of dockerd: ``true`` for an option without one, None without the option."""
    # an option for true or false cannot have its value in the next argument
    last = None
    for argument, following in zip(arguments[1:], [*arguments[2:], ""]):
        option, separator, value = argument.partition("=")
        if option == name:
            last = value if separator else following if name == CONFIG_OPTION else "true"
    return last


def userland_proxy(arguments: list[str], read_config: Callable[[str], str]) -> bool | None:
    """Return whether a dockerd with this command line runs with its userland proxy, or None if its settings cannot be read."""
    # dockerd --help: the default is true, and an option that the file has as well is an error
    value = last_option(arguments, "--userland-proxy")
    if value is not None:
        return BOOLEANS.get(value.lower())
    path = last_option(arguments, CONFIG_OPTION)
    try:
        settings = json.loads(read_config(path or DEFAULT_CONFIG).lstrip("\ufeff") or "{}")
    except FileNotFoundError:
        # without the option the file is optional
        return True if path is None else None
    except (OSError, ValueError, RecursionError):
        return None
    setting = settings.get("userland-proxy", True) if isinstance(settings, dict) else None
    return setting if isinstance(setting, bool) else None


def container(
    listed: dict[str, Any], inspected: dict[str, Any] | None = None, info: dict[str, Any] | None = None, mesh: str = mesh_names.DEFAULT
) -> dict[str, Any]:
    """Return the observation of a container in Docker's list, with its details if it belongs to a mesh, or to the ambassadors' network."""
    labels, networks = listed.get("Labels") or {}, (listed.get("NetworkSettings") or {}).get("Networks") or {}
    observed = {
        "id": listed["Id"],
        "ours": labels[mesh_names.LABEL] if mesh_of(labels) == mesh else None,
        "mesh": mesh_of(labels),
        "image": listed["Image"],
        "image_id": listed["ImageID"],
        "state": listed["State"],
        "publishes": published(listed.get("Ports")),
        "networks": {name: {"addresses": addresses(network), "names": answers_to(listed, network)} for name, network in networks.items()},
    }
    if not inspected:
        return observed
    for name, network in (inspected["NetworkSettings"].get("Networks") or {}).items():
        config = network.get("IPAMConfig") or {}
        requested = {"ipv4_address": config.get("IPv4Address"), "ipv6_address": config.get("IPv6Address")}
        observed["networks"][name] = {
            "addresses": addresses(network),
            "names": answers_to(listed, network),
            "aliases": sorted(network.get("Aliases") or []),
            "said": {option: address for option, address in requested.items() if address},
        }
    host, system = inspected["HostConfig"] if observed["mesh"] is not None else {}, info or {}
    if observed["mesh"] is not None:
        observed["publishes"] = observed["publishes"] or bound(host.get("PortBindings"))
        mounts = {mount.get("Destination"): mount.get("Source") for mount in inspected.get("Mounts") or []}
        observed["directory"] = mounts.get("/etc/ambassador")
    if observed["ours"] is not None:
        observed["hash"] = labels.get(HASH_LABEL)
        observed["restart"] = (host.get("RestartPolicy") or {}).get("Name") or "no"
        # a limit that the kernel does not support is None, whatever was requested
        observed["memory"] = (host.get("Memory") or 0) if system.get("MemoryLimit", True) else None
        observed["pids"] = (host.get("PidsLimit") or 0) if system.get("PidsLimit", True) else None
        observed["health"] = (inspected["State"].get("Health") or {}).get("Status")
    return observed


def answers_to(listed: dict[str, Any], network: dict[str, Any]) -> list[str]:
    """Return the names of a container on a network, an entry of its ``NetworkSettings.Networks``."""
    container_names = [name[1:] for name in listed.get("Names") or []]
    # the list has no names of a network, but Compose's label of a service
    service = (listed.get("Labels") or {}).get("com.docker.compose.service")
    # Docker's API, EndpointSettings: DNSNames since version 1.44; before that the name of the container and its aliases
    return sorted({*container_names, *([service] if service else []), *(network.get("Aliases") or []), *(network.get("DNSNames") or [])})


def addresses(network: dict[str, Any]) -> list[str]:
    """Return the addresses of a container on a network, IPv4 first; from an entry of ``NetworkSettings.Networks``."""
    return [address for address in (network.get("IPAddress"), network.get("GlobalIPv6Address")) if address]


def network(listed: dict[str, Any]) -> dict[str, Any]:
    """Return the observation of a Docker network."""
    pools, options = (listed.get("IPAM") or {}).get("Config") or [], listed.get("Options") or {}
    return {
        "ours": mesh_of(listed.get("Labels")) is not None,
        "ipv6": bool(listed.get("EnableIPv6")),
        "internal": bool(listed.get("Internal")),
        "driver": listed.get("Driver"),
        "options": {name: options[BRIDGE_OPTION + name] for name in ROUTE_OPTIONS if BRIDGE_OPTION + name in options},
        "pools": [{"Subnet": pool["Subnet"], "IPRange": pool.get("IPRange"), "Gateway": pool.get("Gateway")} for pool in pools],
    }


def images(listed: list[dict[str, Any]]) -> dict[str, str]:
    """Return the ID of each image in Docker's list by each of its tags and digests."""
    return {name: image["Id"] for image in listed for name in (image.get("RepoTags") or []) + (image.get("RepoDigests") or [])}
