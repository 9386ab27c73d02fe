#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Returns everything that the roles need to know about a host. Its documentation is in observation_info.yml, which no host needs."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import importlib.util
import os
import pwd
import socket
import struct
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _docker_engine as docker_engine
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as disk
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_docker as docker
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_kernel as kernel
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID, REDIS_UID

# files that list the name servers; the second one if the first names only the stub of systemd-resolved
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
# the sockets of the engines of users
ROOTLESS = "/run/user/*/docker.sock"
PROC = "/proc"
# a dockerd in other namespaces than this module is the engine of a container or of a user
NAMESPACES = ("pid", "user")
MAX_CONFIG_BYTES = 1 << 20
LIBRARIES = ("requests", "cryptography")
# the addresses to which setup looks up the route, for its facts default_ipv4 and default_ipv6
OUTSIDE = {4: (socket.AF_INET, "8.8.8.8"), 6: (socket.AF_INET6, "2404:6800:400a:800::1012")}
SIOCGIFADDR = 0x8915
LISTENERS = (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6"))


def read_config(path: str) -> str:
    """Return the text of a regular file of at most 1 MiB. Raise OSError for anything else."""
    return endpoints.read_file(os.path.realpath(path), MAX_CONFIG_BYTES).decode(errors="replace")


def read(path: str) -> str:
    """Return the text of a file, empty if it cannot be read."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


def outside() -> dict[int, str]:
    """Return version of IP -> the address from which this host reaches others. Nothing is sent."""
    addresses = {}
    for version, (family, address) in OUTSIDE.items():
        # udp(7): connect() of a datagram socket only looks up the route
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as client:
            client.connect((address, 53))
            addresses[version] = client.getsockname()[0]
    return addresses


def interfaces() -> dict[str, str]:
    """Return the first IPv4 address of each interface that has one."""
    addresses = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for __, name in socket.if_nameindex():
            # netdevice(7), SIOCGIFADDR
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(client, SIOCGIFADDR, struct.pack("256s", name.encode()))
                addresses[name] = socket.inet_ntoa(answer[20:24])
    return addresses


def accounts() -> dict[str, str]:
    """Return the accounts of this host that have the user IDs of our containers: ID -> name."""
    account_names = {}
    for uid in (HAPROXY_UID, REDIS_UID):
        with contextlib.suppress(KeyError):
            account_names[str(uid)] = pwd.getpwuid(uid).pw_name
    return account_names


def volume(listed: dict, mesh: str) -> dict:
    """Return the observation of a Docker volume."""
    path, owner = listed.get("Mountpoint"), docker.mesh_of(listed.get("Labels"))
    observed = {"ours": owner == mesh, "mesh": owner, "path": path}
    # a volume without a label may hold data of the user; a directory on another machine may not answer
    is_local = owner == mesh or (owner is None and listed.get("Driver") == "local" and not listed.get("Options"))
    if is_local and path and os.path.isdir(path):
        observed.update(owner=os.stat(path).st_uid, mode=f"{os.stat(path).st_mode & 0o7777:04o}")
    return observed


def userland_proxy() -> bool | None:
    """Return whether the Docker Engine of this host runs with its userland proxy, or None if it cannot be known."""
    settings = set()
    for process in glob.glob(f"{PROC}/[0-9]*"):
        program = ""
        # any user can start a process with another name and a command line of any length
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(f"{process}/exe")).partition(" ")[0]
        if program != "dockerd":
            continue
        try:
            is_of_root = os.stat(process).st_uid in (0, os.geteuid())
            is_of_host = is_of_root and all(os.path.samefile(f"{process}/ns/{name}", f"{PROC}/self/ns/{name}") for name in NAMESPACES)
        except OSError:
            return None
        if is_of_host:
            settings.add(docker.userland_proxy(read(f"{process}/cmdline").split("\0")[:-1], read_config))
    # several engines with different settings: the process does not tell which of them answers on the socket
    return settings.pop() if len(settings) == 1 else None


def observe_docker(settings: dict, network: str, mesh: str) -> dict:
    """Return the objects of the Docker Engine that the connection options of the module name, as a mesh with a network sees them."""
    observed = {"containers": {}, "networks": {}, "images": {}, "volumes": {}}
    status = observed["docker"] = dict.fromkeys(("version", "error", "fault", "kind", "tls", "userland_proxy"))
    status["tls"] = False
    try:
        engine = docker_engine.DockerEngine.of_module(settings)
        status["tls"] = engine.is_tls
        version = engine.get("/version")
        if version is None:
            raise OSError(f"{engine.url}: no Docker Engine")
        info = engine.get("/info")
        status.update(version=version["Version"], kind=docker.kind_of(version, info))
        if engine.url.startswith("unix://") and status["kind"] is None:
            status["userland_proxy"] = userland_proxy()
        for listed in engine.get("/containers/json?all=1"):
            is_of_mesh = docker.mesh_of(listed.get("Labels")) is not None
            is_neighbor = network in ((listed.get("NetworkSettings") or {}).get("Networks") or {})
            # a container that has just gone has no names, or no details
            inspected = engine.get(f"/containers/{listed['Id']}/json") if is_of_mesh or is_neighbor else None
            for name in listed.get("Names") or []:
                observed["containers"][name[1:]] = docker.container(listed, inspected, info, mesh)
        observed["networks"] = {listed["Name"]: docker.network(listed) for listed in engine.get("/networks")}
        observed["images"] = docker.images(engine.get("/images/json"))
        observed["volumes"] = {listed["Name"]: volume(listed, mesh) for listed in engine.get("/volumes")["Volumes"] or []}
    except docker_engine.SettingsError as error:
        status.update(error=str(error), fault="settings")
    except OSError as error:
        is_rootless = settings["docker_host"] in ("", docker_engine.DEFAULT) and glob.glob(ROOTLESS)
        status.update(error=str(error), fault="answer", kind="rootless" if is_rootless else None)
    return observed


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "mesh": {"type": "str", "default": mesh_names.DEFAULT},
            "state_dir": {"type": "path"},
            "network": {"type": "str"},
            "controller_time": {"type": "float"},
            "hash_key": {"type": "str", "no_log": True},
            **docker_engine.ARGUMENTS,
        },
        required_together=docker_engine.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    mesh, controller_time = module.params["mesh"], module.params["controller_time"]
    clock_offset = None if controller_time is None else round(time.time() - controller_time)
    if problem := mesh_names.find_mesh_problem(mesh):
        module.fail_json(msg=problem)
    state_dir = module.params["state_dir"] or mesh_names.in_mesh(mesh_names.STATE_DIR, mesh)
    try:
        state = disk.state(state_dir, module.params["hash_key"] or os.urandom(32).hex())
    except PermissionError as error:
        module.fail_json(msg=f"The module requires root: {error}. Set become: true for this host.")
    if_inet6 = read("/proc/net/if_inet6")
    addresses = kernel.own_addresses(read("/proc/net/fib_trie"), if_inet6)
    module.exit_json(
        changed=False,
        mesh=mesh,
        clock_offset=clock_offset,
        root=os.geteuid() == 0,
        accounts=accounts(),
        python={"executable": sys.executable, "missing": [name for name in LIBRARIES if importlib.util.find_spec(name) is None]},
        addresses=addresses,
        facts=kernel.facts(interfaces(), if_inet6, outside(), addresses),
        listening=[listener for protocol, file in LISTENERS for listener in kernel.sockets(read(f"/proc/net/{file}"), protocol)],
        nameservers=next(filter(None, map(kernel.nameservers, map(read, RESOLVERS))), []),
        disk=disk.disk(state_dir),
        **observe_docker(module.params, module.params["network"] or mesh_names.in_mesh(mesh_names.NETWORK, mesh), mesh),
        **disk.light(state),
    )


if __name__ == "__main__":
    main()
