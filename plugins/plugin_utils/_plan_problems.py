# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stops a run on a host, whatever its links are: its Docker Engine, its disk, and names, networks and volumes of others."""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import parse_size
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan import SIDES

# bytes that a run may need on disk: two generations of a few hundred links, certificates, passwords
MIN_FREE_BYTES = 4 << 20
# the first version of Docker Engine that drops packets of neighbors of the host to a container
CLOSED_SINCE = 28
# kind of the Docker Engine -> what it lacks, what it is, and what to do
UNFIT = {
    "userns": "whose containers have the users of the host, for keys and passwords are files of these, found userns-remap;"
    " take it out of the engine's daemon.json.",
    "rootless": "whose containers have the users of the host, for keys and passwords are files of these, found a rootless one;"
    " install or start one that root runs, or point the play to it (DOCKER_HOST).",
    "podman": "with a DNS of its own at 127.0.0.11, where ambassadors look containers up, found Podman;"
    " install Docker on the host, or point the play to it (DOCKER_HOST).",
}


def find_engine_problem(host, docker):
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


def find_open_port_warnings(host, versions):
    """Return a warning about Docker Engines that forward packets of neighbors to ports of containers. Their first host warns for all.

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


def find_host_problems(host, observed):
    """Return why a host cannot run containers.

    :param str host: inventory name of the host
    :param dict observed: the observation
    :rtype: list[str]
    """
    if "requests" in observed["python"]["missing"]:
        return [
            f"host {host}: expected the Python library requests for {observed['python']['executable']}, found none;"
            " install the package python3-requests on the host."
        ]
    problem = find_engine_problem(host, observed["docker"])
    return [problem] if problem else []


def find_docker_tls_problems(part, host, observed):
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


def find_network_problems(host, observed, settings):
    """Return why the existing network of the ambassadors does not work. Docker cannot add IPv6 to it, only recreate it.

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


def find_memory_problems(part, host, settings):
    """Return whether the memory limit of a part is not a size.

    :rtype: list[str]
    """
    if parse_size(settings["memory"]) is not None:
        return []
    variable = "ambassador_memory" if part in SIDES else f"{part}_memory"
    sentence = f"{settings['memory']!r} is not a size"
    return [f"Host {host}, {variable}: {sentence}. Use a number and a unit, for example 512M or 2G, or 0 for no limit."]


def find_container_name_problems(host, name, observed):
    """Return whether a third-party container, or another mesh, has the name of a container.

    :rtype: list[str]
    """
    container = observed["containers"].get(name)
    if container is None or container["ours"] is not None:
        return []
    owner = f"one of mesh {container['mesh']}" if container["mesh"] else "another one"
    return [
        f"host {host}: expected no container {name}, or one that this mesh made, found {owner} (image {container['image']});"
        " rename or remove that one."
    ]


def find_state_problems(host, observed, settings):
    """Return whether the state directory is that of another mesh: a run would take its sides for its own.

    :rtype: list[str]
    """
    directory = settings["state_dir"]
    meshes = {
        container["mesh"]
        for container in observed["containers"].values()
        if container["mesh"] not in (None, observed["mesh"]) and (container.get("directory") or "").rpartition("/")[0] == directory
    }
    return [
        f"host {host}, ambassador_state_dir: expected a directory of mesh {observed['mesh']} alone, found {directory}, which is that of"
        f" mesh {mesh}; set it to another one."
        for mesh in sorted(meshes)
    ]


def name_container(name, container):
    """Return a container in words, with its mesh.

    :param str name: its name
    :param dict container: the container as it was observed
    :rtype: str
    """
    return f"container {name}" + (f" of mesh {container['mesh']}" if container["mesh"] else "")


def find_nameserver_problems(host, wiring, observed, settings):
    """Return why a side cannot look up the DNS names that it connects to.

    :param str host: inventory name of the host
    :param dict wiring: the wiring of the side
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    dns_names = sorted({target["address"] for link in wiring["links"] for target in link["targets"] if target["dns"]})
    wrong = [nameserver for nameserver in settings["nameservers"] if not is_address(nameserver)]
    if wrong:
        return [f"ambassador_nameservers: expected IP addresses, found {', '.join(map(repr, wrong))}; correct it."]
    if not dns_names or settings["nameservers"] or observed["nameservers"]:
        return []
    return [
        f"host {host}, ambassador_nameservers: expected a name server that containers reach, for {', '.join(dns_names[:3])}, found none"
        " in the host's own configuration (what listens on its loopback is reached by the host alone); set ambassador_nameservers."
    ]


def find_volume_problems(host, part, volume, observed):
    """Return whether a volume is that of another mesh.

    :rtype: list[str]
    """
    mesh = observed["volumes"].get(volume, {}).get("mesh")
    if mesh in (None, observed["mesh"]):
        return []
    return [
        f"host {host}, {part}_volume: expected a volume of mesh {observed['mesh']} alone, found {volume}, which is that of mesh"
        f" {mesh}; set it to another one."
    ]


def find_disk_problems(plan, observed, settings):
    """Return why a step of a plan cannot write to the disk.

    :param Plan plan: the plan
    :param dict observed: the observation
    :param Settings settings: the settings
    :rtype: list[str]
    """
    disk = observed["disk"]
    if not {"certificate", "directory", "configuration"} & set(plan.why):
        return []
    where = f"host {plan.host}: expected to write in {settings['state_dir']}, found its file system"
    if not disk["writable"]:
        return [f"{where} mounted read-only; mount it writable (`findmnt -T {settings['state_dir']}` names it)."]
    if disk["free"] < MIN_FREE_BYTES:
        return [f"{where} full ({disk['free']} bytes are free); make room (`df {settings['state_dir']}` names it)."]
    return []


def find_account_warnings(plan, observed):
    """Return a warning about an account of the host that can read files that a plan writes for a container.

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


def find_directory_problems(part, name):
    """Return whether the name of a Redis container is that of a directory of the ambassadors.

    :rtype: list[str]
    """
    if name not in (*SIDES, "identity", mesh_names.LINKS):
        return []
    return [f"{part}_name: expected another name than those of the ambassadors' directories, found {name}; choose another."]
