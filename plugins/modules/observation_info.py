#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks at a host once, for all roles of the collection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: observation_info
short_description: Looks at a host, for the plan of a run
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    Returns in one go all that the roles need to know of a host before they change it - what its Docker Engine has, what the state directory
    holds, what the engines of both sides run, and who listens where.
  - Secrets stay on the host. The module returns keyed hashes of passwords, and of files with one.
  - It does not fail where the host lacks something, for that is for the plan to say. It changes nothing.
options:
  mesh:
    description: The mesh. What another one has made on the host is somebody else's.
    type: str
    default: default
  state_dir:
    description: >-
      The state directory of the mesh on the host. By default C(/var/lib/ambassador), with C(-) and its name behind it for any other mesh
      than V(default).
    type: path
  network:
    description: >-
      The Docker network of the ambassadors. Of all containers on it the names are told. By default C(ambassador), with C(-) and its name
      behind it for any other mesh than V(default).
    type: str
  controller_time:
    description: The time of the controller when the task starts, in seconds since the epoch. Without it the clocks are not compared.
    type: float
  hash_key:
    description: >-
      The key of the hashes of passwords. Only its owner can compare them with passwords.
      By default a random key, so no controller can compare them. See
      P(crosshost.ambassador.hash_key#lookup).
    type: str
extends_documentation_fragment:
  - crosshost.ambassador._docker
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, for it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Observe the host
  crosshost.ambassador.observation_info:
  register: observed

- name: Show which generation the client side runs
  ansible.builtin.debug:
    msg: "{{ observed.sides.client.running | default('none') }}"
"""

RETURN = r"""
mesh:
  description: The mesh.
  returned: success
  type: str
docker:
  description:
    - C(version) of the Docker Engine.
    - C(error), why the module cannot use it, and C(fault), V(settings) if the connection settings are wrong, or V(answer) if it does not
      answer.
    - C(kind), V(userns) or V(rootless) if the containers have other users than the host. It is V(rootless) as well if no Docker Engine
      answers but a user runs one, and V(podman) if Podman answers.
    - C(tls), whether the connection uses TLS.
    - >-
      C(userland_proxy), whether the engine runs with its userland proxy. None if this cannot be known, for example if the connection to
      the engine is no Unix socket.
  returned: success
  type: dict
  sample: {"version": "26.1.5", "error": null, "fault": null, "kind": null, "tls": false, "userland_proxy": true}
python:
  description: C(executable), and C(missing), a list of the libraries that the collection needs and this Python does not have.
  returned: success
  type: dict
  sample: {"executable": "/usr/bin/python3", "missing": []}
clock_offset:
  description: >-
    By how many seconds the clock of the host is ahead of O(controller_time), negative if it is behind. None without O(controller_time).
  returned: success
  type: int
  sample: 0
root:
  description: Whether the module ran as root.
  returned: success
  type: bool
accounts:
  description: The accounts of the host that have the user IDs of our containers, 99 and 999 - user ID to name.
  returned: success
  type: dict
  sample: {"999": "backup"}
containers:
  description:
    - >-
      All containers by their names - C(id), C(ours) (the label of this collection, none for somebody else's), C(mesh) (which made it, none
      for what no mesh did), C(image), C(image_id), C(state),
      C(publishes) (a list of C(address:port:port of the container), with C(/udp)), and C(networks), name to C(addresses) and C(names), to
      which it answers there, as far as Docker's list tells.
    - >-
      Of those of any mesh, and of all on the network of the ambassadors, of each network all C(names), C(aliases) and C(said) (the
      addresses that were asked for, as options of M(community.docker.docker_container)). Of those of any mesh C(directory), which they
      read on the host.
    - Of the own ones also C(hash) (of all that was asked of it), C(restart) (policy), C(memory) (bytes), C(pids) and C(health).
  returned: success
  type: dict
networks:
  description: >-
    All Docker networks by their names - C(ours) (made by any mesh), C(ipv6), C(internal), C(driver), C(options) (which decide whether the
    gateway of a bridge leads out of the host, without C(com.docker.network.bridge.)), and C(pools), a list of C(Subnet), C(IPRange) and
    C(Gateway).
  returned: success
  type: dict
images:
  description: The IDs of all images, by each of their tags and digests.
  returned: success
  type: dict
volumes:
  description: All Docker volumes by their names - C(ours), C(mesh), C(path), and of the mesh's own C(owner) and C(mode) of that path.
  returned: success
  type: dict
addresses:
  description: All addresses of the host, but those of loopback.
  returned: success
  type: list
  elements: str
facts:
  description:
    - The network facts that the map is read with, in the shape of M(ansible.builtin.setup) and a small part of it - C(default_ipv4),
      C(default_ipv6), C(all_ipv4_addresses), C(all_ipv6_addresses), and by interface C(ipv4) and C(ipv6).
  returned: success
  type: dict
  sample: {"default_ipv4": {"address": "192.0.2.7", "interface": "eth0"}, "eth0": {"ipv4": {"address": "192.0.2.7"}}}
listening:
  description: Who listens, a list of protocol, address and port.
  returned: success
  type: list
  elements: list
nameservers:
  description: The name servers of the host that its containers reach as well.
  returned: success
  type: list
  elements: str
disk:
  description: Of the file system that holds the state directory C(free), bytes, and C(writable).
  returned: success
  type: dict
  sample: {"free": 1073741824, "writable": true}
entries:
  description: All names in the state directory.
  returned: success
  type: list
  elements: str
sides:
  description:
    - >-
      Both sides, as far as they are there - C(current) (name of the generation on disk), C(files) (the SHA-256 of each of its files),
      C(runs) (the directories of the endpoints of its containers, name to C(owner) and C(mode)), C(engine) and C(running) (which engine
      answers, and the generation that it runs), C(error) (why it does not answer), C(certificate) and C(connections) (see
      M(crosshost.ambassador.ambassador_info)), C(wiring) (what a server side serves, packed).
    - >-
      C(links), packed - alias to C(connections) and C(targets), a list of C(name), C(address), C(up) and C(proved) (whether a check has
      said that it is up).
  returned: success
  type: dict
identity:
  description: C(certificate) of the host, PEM, and C(key), V(own) where the key beside it is that of the certificate, V(other) or V(none).
  returned: success
  type: dict
directories:
  description: >-
    What else is in the state directory - C(owner), C(mode), and C(files), name to C(owner), C(mode) and C(sha256), a hash with O(hash_key).
  returned: success
  type: dict
variables:
  description: The digest of the files of link variables, none if there are none, or if one has a wrong owner or mode.
  returned: success
  type: str
wrong_permissions:
  description:
    - Paths in the state directory that have a wrong owner or mode, relative to it. V(.) is the state directory itself.
    - >-
      It lists the directories of both sides, their generations and history, and the directory C(identity), its key, and its certificate.
      The other directories are in RV(sides), RV(directories), and RV(variables).
  returned: success
  type: list
  elements: str
  sample: ["server/generations/c12964c32605"]
users:
  description: By directory, the users of a Redis and the hashes of their passwords, with O(hash_key).
  returned: success
  type: dict
loaded_users:
  description: The same of the users with which the server runs.
  returned: success
  type: dict
"""

import contextlib
import errno
import fcntl
import glob
import importlib.util
import os
import pwd
import socket
import stat
import struct
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation as observation
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import (
    ARGUMENTS,
    DEFAULT,
    REQUIRED_TOGETHER,
    DockerEngine,
    SettingsError,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID, REDIS_UID

# who lists the name servers; the second one where the first names the stub of systemd-resolved alone
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
# where the engines of users are
ROOTLESS = "/run/user/*/docker.sock"
PROC = "/proc"
# a dockerd in other namespaces than this module is the engine of a container or of a user
NAMESPACES = ("pid", "user")
MAX_CONFIG_BYTES = 1 << 20
LIBRARIES = ("requests", "cryptography")
# what setup asks the way to, for its facts default_ipv4 and default_ipv6
OUTSIDE = {4: (socket.AF_INET, "8.8.8.8"), 6: (socket.AF_INET6, "2404:6800:400a:800::1012")}
SIOCGIFADDR = 0x8915
KERNEL = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}


def read(path):
    """Return what a file holds, nothing where there is none.

    :param str path: the file
    :rtype: str
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_proc(name):
    """Return what a file below ``/proc/net`` holds, nothing where the kernel has none.

    :param str name: the file
    :rtype: str
    """
    return read(f"/proc/net/{name}")


def outside():
    """Return the addresses that this host speaks with to the outside, by the version of IP. Nothing is sent.

    :rtype: dict[int, str]
    :source: udp(7): connect() of a datagram socket asks for the route alone
    """
    found = {}
    for version, (family, address) in OUTSIDE.items():
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, 53))
            found[version] = asked.getsockname()[0]
    return found


def interfaces():
    """Return the first IPv4 address of each interface that has one.

    :rtype: dict[str, str]
    :source: netdevice(7), SIOCGIFADDR
    """
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for __, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()))
                found[name] = socket.inet_ntoa(answer[20:24])
    return found


def accounts():
    """Return the accounts of this host that have the numbers of our containers' users: number, as a word -> name.

    :rtype: dict[str, str]
    """
    found = {}
    for uid in (HAPROXY_UID, REDIS_UID):
        with contextlib.suppress(KeyError):
            found[str(uid)] = pwd.getpwuid(uid).pw_name
    return found


def volume(said, mesh):
    """Return what is known of a Docker volume.

    :param dict said: the volume as Docker lists it
    :param str mesh: the mesh that is looked at
    :rtype: dict
    """
    path, owner = said.get("Mountpoint"), observation.mesh_of(said.get("Labels"))
    found = {"ours": owner == mesh, "mesh": owner, "path": path}
    # one without a label may have been there before, with data of the user's; what lies on another machine may not answer
    here = owner == mesh or (owner is None and said.get("Driver") == "local" and not said.get("Options"))
    if here and path and os.path.isdir(path):
        status = os.stat(path)
        found.update(owner=status.st_uid, mode=f"{stat.S_IMODE(status.st_mode):04o}")
    return found


def read_config(path):
    """Return the text of a configuration file.

    :param str path: the file, or a symbolic link to it
    :raises OSError: if it cannot be read, is not a regular file, or is too long
    :rtype: str
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        content = file.read(MAX_CONFIG_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    if content is None or len(content) > MAX_CONFIG_BYTES:
        raise OSError(errno.EINVAL, "is not a configuration file", path)
    return content.decode(errors="replace")


def userland_proxy():
    """Return whether the Docker Engine of this host runs with its userland proxy, or None if it cannot be known.

    :rtype: bool | None
    """
    found = set()
    for process in glob.glob(f"{PROC}/[0-9]*"):
        arguments = read(f"{process}/cmdline").split("\0")[:-1]
        if not arguments or os.path.basename(arguments[0]) != "dockerd":
            continue
        try:
            # any user can start a process with this name
            if os.stat(process).st_uid not in (0, os.geteuid()):
                continue
            is_of_host = all(os.path.samefile(f"{process}/ns/{name}", f"{PROC}/self/ns/{name}") for name in NAMESPACES)
        except OSError:
            return None
        if is_of_host:
            found.add(observation.userland_proxy(arguments, read_config))
    # several engines with different settings: the process does not tell which of them answers on the socket
    return found.pop() if len(found) == 1 else None


def docker(settings, network, mesh):
    """Return what the Docker Engine has: see the documentation of the module.

    :param dict settings: the connection options of the module
    :param str network: the network of the ambassadors
    :param str mesh: the mesh that is looked at
    :rtype: dict
    """
    found = {"containers": {}, "networks": {}, "images": {}, "volumes": {}}
    found["docker"] = {"version": None, "error": None, "fault": None, "kind": None, "tls": False, "userland_proxy": None}
    try:
        engine = DockerEngine.of_module(settings)
        found["docker"]["tls"] = engine.is_tls
        version = engine.get("/version")
        if version is None:
            raise OSError(f"{engine.url}: no Docker Engine")
        info = engine.get("/info")
        found["docker"].update(version=version["Version"], kind=observation.kind_of(version, info))
        if engine.url.startswith("unix://") and found["docker"]["kind"] is None:
            found["docker"]["userland_proxy"] = userland_proxy()
        for listed in engine.get("/containers/json?all=1"):
            made = observation.mesh_of(listed.get("Labels")) is not None
            neighbour = network in ((listed.get("NetworkSettings") or {}).get("Networks") or {})
            # one that has just gone has no names, or is not found
            inspected = engine.get(f"/containers/{listed['Id']}/json") if made or neighbour else None
            for name in listed.get("Names") or []:
                found["containers"][name[1:]] = observation.container(listed, inspected, info, mesh)
        found["networks"] = {said["Name"]: observation.network(said) for said in engine.get("/networks")}
        found["images"] = observation.images(engine.get("/images/json"))
        found["volumes"] = {said["Name"]: volume(said, mesh) for said in engine.get("/volumes")["Volumes"] or []}
    except SettingsError as error:
        found["docker"].update(error=str(error), fault="settings")
    except OSError as error:
        is_rootless = settings["docker_host"] in ("", DEFAULT) and glob.glob(ROOTLESS)
        found["docker"].update(error=str(error), fault="answer", kind="rootless" if is_rootless else None)
    return found


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "mesh": {"type": "str", "default": names.DEFAULT},
            "state_dir": {"type": "path"},
            "network": {"type": "str"},
            "controller_time": {"type": "float"},
            "hash_key": {"type": "str", "no_log": True},
            **ARGUMENTS,
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    mesh, controller_time = module.params["mesh"], module.params["controller_time"]
    clock_offset = None if controller_time is None else round(time.time() - controller_time)
    problem = names.problem(mesh)
    if problem:
        module.fail_json(msg=problem)
    state_dir = module.params["state_dir"] or names.in_mesh(names.STATE_DIR, mesh)
    root = os.geteuid() == 0
    try:
        state = observation.state(state_dir, module.params["hash_key"] or os.urandom(32).hex())
    except PermissionError as error:
        module.fail_json(msg=f"expected to be root on this host, found: {error}; set become: true for it.")
    if_inet6 = read_proc("if_inet6")
    addresses = observation.own_addresses(read_proc("fib_trie"), if_inet6)
    module.exit_json(
        changed=False,
        mesh=mesh,
        clock_offset=clock_offset,
        root=root,
        accounts=accounts(),
        python={"executable": sys.executable, "missing": [name for name in LIBRARIES if importlib.util.find_spec(name) is None]},
        addresses=addresses,
        facts=observation.facts(interfaces(), if_inet6, outside(), addresses),
        listening=[
            listener for protocol, files in KERNEL.items() for name in files for listener in observation.sockets(read_proc(name), protocol)
        ],
        nameservers=next(filter(None, map(observation.nameservers, map(read, RESOLVERS))), []),
        disk=observation.disk(state_dir),
        **docker(module.params, module.params["network"] or names.in_mesh(names.NETWORK, mesh), mesh),
        **observation.light(state),
    )


if __name__ == "__main__":
    main()
