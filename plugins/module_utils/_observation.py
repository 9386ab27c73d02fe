# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host holds, in the shape in which the plan reads it. Secrets stay on the host: of files with one there are keyed hashes.

The functions take what Docker, the kernel and the disk answer, and return the parts of the observation. The documentation of the module
``observation_info`` describes them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import re
import stat
import struct

from ansible_collections.crosshost.ambassador.plugins.module_utils import (
    _endpoints as endpoints,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils import (
    _engines as engines,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils import (
    _names as names,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils import (
    _permissions as permissions,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint, fact_name
from ansible_collections.crosshost.ambassador.plugins.module_utils._packing import FILE, MAX_PACKED_BYTES, packed, unpacked
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import proved

# the hash of all that was asked of a container
HASH_LABEL = "crosshost.ambassador.hash"
SIDES = ("server", "client")
USERS, LOADED = "users.acl", "loaded"
# the options of a Docker network that decide whether its gateway leads out of the host, and how their names begin
ROUTE_OPTIONS = ("enable_ip_masquerade", "inhibit_ipv4", "gateway_mode_ipv4", "gateway_mode_ipv6")
BRIDGE_OPTION = "com.docker.network.bridge."
# what haproxy.cfg says of the address with which a server with a DNS name begins: none, and the one that it had before
UNKNOWN = re.compile(r"resolvers hosts init-addr none")
KNOWN = re.compile(r"resolvers hosts init-addr [0-9A-Fa-f.:]+,none")
# where dockerd reads its settings, and the option that names another file
DEFAULT_CONFIG, CONFIG_OPTION = "/etc/docker/daemon.json", "--config-file"
# the spellings of Go's strconv.ParseBool, in lower case
BOOLEANS = {**dict.fromkeys(("1", "t", "true"), True), **dict.fromkeys(("0", "f", "false"), False)}


# -- Docker -----------------------------------------------------------------------------------------------------------


def published(ports):
    """Return what a container publishes on its host: ``address:port:port of the container``, and ``/udp`` where it is that.

    :param list[dict] ports: ``Ports`` of a container in Docker's list
    :rtype: list[str]
    """
    found = [port for port in ports or [] if port.get("PublicPort")]
    return sorted(
        f"{endpoint(port.get('IP', ''), port['PublicPort'])}:{port['PrivatePort']}{'/udp' if port['Type'] == 'udp' else ''}"
        for port in found
    )


def bound(bindings):
    """Return what a container publishes when it runs, as :func:`published` does.

    :param dict bindings: ``HostConfig.PortBindings`` of a container: ``port/protocol`` -> list of ``HostIp`` and ``HostPort``
    :rtype: list[str]
    """
    return published(
        {"IP": place.get("HostIp") or "0.0.0.0", "PublicPort": place["HostPort"], "PrivatePort": port, "Type": protocol}
        for port, __, protocol in (key.partition("/") for key in bindings or {})
        for place in bindings[f"{port}/{protocol}"] or []
        if place.get("HostPort")
    )


def mesh_of(labels):
    """Return the mesh whose a thing is, or None for somebody else's.

    :param dict | None labels: its labels
    :rtype: str | None
    """
    return (labels or {}).get(names.MESH_LABEL, names.DEFAULT) if names.LABEL in (labels or {}) else None


def kind_of(version, info):
    """Return what makes it another than a Docker Engine whose containers have the users of the host, or None.

    :param dict version: what it says of its version
    :param dict info: what it says of itself
    :return: ``podman``, ``userns`` or ``rootless``
    :rtype: str | None
    :source: Docker's API, ``SystemVersion``: ``Components``, and ``SystemInfo``: ``SecurityOptions``
    """
    if any(component["Name"] == "Podman Engine" for component in version.get("Components") or []):
        return "podman"
    options = [option.partition(",")[0] for option in info.get("SecurityOptions") or []]
    return next((word for word in ("userns", "rootless") if f"name={word}" in options), None)


def last_option(arguments, name):
    """Return the last value of an option in a command line of dockerd, ``true`` if the option has none, or None without the option.

    :param list[str] arguments: the command line
    :param str name: the option, for example ``--userland-proxy``
    :rtype: str | None
    """
    # an option for true or false cannot have its value in the next argument
    found = None
    for argument, following in zip(arguments[1:], [*arguments[2:], ""]):
        option, separator, value = argument.partition("=")
        if option == name:
            found = value if separator else following if name == CONFIG_OPTION else "true"
    return found


def userland_proxy(arguments, read_config):
    """Return whether a Docker Engine runs with its userland proxy, or None if its settings cannot be read.

    :param list[str] arguments: the command line of dockerd
    :param read_config: returns the text of a configuration file, or raises OSError
    :rtype: bool | None
    :source: ``dockerd --help``: the default is true, and an option that the file has as well is an error
    """
    value = last_option(arguments, "--userland-proxy")
    if value is not None:
        return BOOLEANS.get(value.lower())
    path = last_option(arguments, CONFIG_OPTION)
    try:
        settings = json.loads(read_config(path or DEFAULT_CONFIG).lstrip("\ufeff") or "{}")
    except FileNotFoundError:
        # without the option the file is optional
        return True if path is None else None
    except (OSError, ValueError):
        return None
    found = settings.get("userland-proxy", True) if isinstance(settings, dict) else None
    return found if isinstance(found, bool) else None


def container(listed, inspected=None, info=None, mesh=names.DEFAULT):
    """Return what is known of a container.

    :param dict listed: the container in Docker's list of all
    :param dict | None inspected: what Docker says of it alone; asked of the collection's own ones, and of those on its network
    :param dict | None info: what Docker says of itself: a limit that the kernel does not know is None, whatever was asked for
    :param str mesh: the mesh that is looked at
    :rtype: dict
    """
    labels, networks = listed.get("Labels") or {}, (listed.get("NetworkSettings") or {}).get("Networks") or {}
    found = {
        "id": listed["Id"],
        "ours": labels[names.LABEL] if mesh_of(labels) == mesh else None,
        "mesh": mesh_of(labels),
        "image": listed["Image"],
        "image_id": listed["ImageID"],
        "state": listed["State"],
        "publishes": published(listed.get("Ports")),
        "networks": {name: {"addresses": addresses(network), "names": answers_to(listed, network)} for name, network in networks.items()},
    }
    if not inspected:
        return found
    for name, network in (inspected["NetworkSettings"].get("Networks") or {}).items():
        config = network.get("IPAMConfig") or {}
        said = {"ipv4_address": config.get("IPv4Address"), "ipv6_address": config.get("IPv6Address")}
        found["networks"][name] = {
            "addresses": addresses(network),
            "names": answers_to(listed, network),
            "aliases": sorted(network.get("Aliases") or []),
            "said": {option: address for option, address in said.items() if address},
        }
    if found["mesh"] is not None:
        found["publishes"] = found["publishes"] or bound(inspected["HostConfig"].get("PortBindings"))
        found["directory"] = directory_of(inspected)
    if found["ours"] is not None:
        host, knows = inspected["HostConfig"], info or {}
        found.update(
            {
                "hash": labels.get(HASH_LABEL),
                "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
                "memory": (host.get("Memory") or 0) if knows.get("MemoryLimit", True) else None,
                "pids": (host.get("PidsLimit") or 0) if knows.get("PidsLimit", True) else None,
                "health": ((inspected["State"].get("Health")) or {}).get("Status"),
            }
        )
    return found


def directory_of(inspected):
    """Return the directory of the host that a container of the collection reads, or None.

    :param dict inspected: what Docker says of the container
    :rtype: str | None
    """
    mounts = inspected.get("Mounts") or []
    return next((mount["Source"] for mount in mounts if mount.get("Destination") == "/etc/ambassador"), None)


def answers_to(listed, network):
    """Return the names to which a container answers on a network.

    :param dict listed: the container in Docker's list of all
    :param dict network: an entry of ``NetworkSettings.Networks``, of the container alone
    :rtype: list[str]
    :source: Docker's API, ``EndpointSettings``: ``DNSNames`` since version 1.44; before that the name of the container and its aliases
    """
    own = [name[1:] for name in listed.get("Names") or []]
    # of one that was not asked alone, Compose says it
    service = (listed.get("Labels") or {}).get("com.docker.compose.service")
    return sorted({*own, *([service] if service else []), *(network.get("Aliases") or []), *(network.get("DNSNames") or [])})


def addresses(network):
    """Return the addresses of a container on a network, IPv4 first.

    :param dict network: an entry of ``NetworkSettings.Networks``
    :rtype: list[str]
    """
    return [address for address in (network.get("IPAddress"), network.get("GlobalIPv6Address")) if address]


def network(said):
    """Return what is known of a Docker network.

    :param dict said: the network as Docker lists it
    :rtype: dict
    """
    pools, options = (said.get("IPAM") or {}).get("Config") or [], said.get("Options") or {}
    return {
        "ours": mesh_of(said.get("Labels")) is not None,
        "ipv6": bool(said.get("EnableIPv6")),
        "internal": bool(said.get("Internal")),
        "driver": said.get("Driver"),
        "options": {name: options[BRIDGE_OPTION + name] for name in ROUTE_OPTIONS if BRIDGE_OPTION + name in options},
        "pools": [{"Subnet": pool["Subnet"], "IPRange": pool.get("IPRange"), "Gateway": pool.get("Gateway")} for pool in pools],
    }


def images(listed):
    """Return name -> ID of all images, under each of their tags and digests.

    :param list[dict] listed: Docker's list of images
    :rtype: dict[str, str]
    """
    return {name: image["Id"] for image in listed for name in (image.get("RepoTags") or []) + (image.get("RepoDigests") or [])}


# -- the kernel -------------------------------------------------------------------------------------------------------


def sockets(text, protocol):
    """Return who listens: ``[protocol, address, port]`` of each socket.

    :param str text: what ``/proc/net/tcp`` or one of its siblings holds
    :param str protocol: ``tcp`` or ``udp``
    :rtype: list[list]
    :source: proc(5), ``/proc/net/tcp``: addresses are words in the host's byte order; state 0A is LISTEN, 07 that of an unconnected UDP
        socket
    """
    listens, found = {"tcp": "0A", "udp": "07"}[protocol], []
    for line in text.splitlines()[1:]:
        local, state = line.split()[1:4:2]
        address, __, port = local.partition(":")
        if state == listens:
            words = [struct.pack("=I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
            found.append([protocol, str(ipaddress.ip_address(b"".join(words))), int(port, 16)])
    return found


def own_addresses(fib_trie, if_inet6):
    """Return all addresses of this host but those of loopback.

    :param str fib_trie: what ``/proc/net/fib_trie`` holds
    :param str if_inet6: what ``/proc/net/if_inet6`` holds
    :rtype: list[str]
    :source: proc(5)
    """
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", fib_trie)
    found += [address for address, __ in _inet6(if_inet6)]
    return sorted({address for address in found if not ipaddress.ip_address(address).is_loopback})


def _inet6(text):
    """Return address and interface of each line of ``/proc/net/if_inet6``."""
    rows = [line.split() for line in text.splitlines()]
    return [(str(ipaddress.ip_address(bytes.fromhex(row[0]))), row[5]) for row in rows]


def facts(interfaces, if_inet6, outside, addresses):
    """Return the network facts that the map is read with, a small part of what the module setup returns, under its names.

    :param dict[str, str] interfaces: the first IPv4 address of each interface that has one
    :param str if_inet6: what ``/proc/net/if_inet6`` holds
    :param dict[int, str] outside: by the version of IP, the address that this host speaks with to the outside
    :param list[str] addresses: all addresses of this host
    :return: ``default_ipv4``, ``default_ipv6``, ``all_ipv4_addresses``, ``all_ipv6_addresses``, and by interface ``ipv4`` and ``ipv6``
    :rtype: dict
    :source: proc(5)
    """
    found, holders = {}, {}
    for interface, address in interfaces.items():
        found[fact_name(interface)] = {"ipv4": {"address": address}}
        holders[address] = interface
    for address, interface in _inet6(if_inet6):
        found.setdefault(fact_name(interface), {}).setdefault("ipv6", []).append({"address": address})
        holders[address] = interface
    for version in (4, 6):
        address = outside.get(version)
        found[f"default_ipv{version}"] = {"address": address, "interface": holders.get(address)} if address else {}
        found[f"all_ipv{version}_addresses"] = [one for one in addresses if ipaddress.ip_address(one).version == version]
    return found


def nameservers(text):
    """Return the name servers that containers of this host reach as well: none on its loopback, none of a link of IPv6.

    Clouds have theirs on a link of IPv4, which leads on to it.

    :param str text: what ``/etc/resolv.conf`` holds, or, where that names a stub of this host, the file that lists what it asks
    :rtype: list[str]
    :source: resolv.conf(5)
    """
    found = []
    for match in re.finditer(r"(?m)^[ \t]*nameserver[ \t]+([0-9A-Fa-f.:]+)[ \t]*$", text):
        address = ipaddress.ip_address(match[1])
        if not (address.is_loopback or address.is_unspecified or (address.version == 6 and address.is_link_local)):
            found.append(str(address))
    return list(dict.fromkeys(found))


# -- the disk ---------------------------------------------------------------------------------------------------------


def disk(path):
    """Return what room there is for a directory, which may be still to be made.

    :param str path: the directory
    :return: ``free`` (bytes) and ``writable`` (bool) of its file system
    :rtype: dict
    :source: statvfs(3)
    """
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    found = os.statvfs(path)
    return {"free": found.f_bavail * found.f_frsize, "writable": not found.f_flag & os.ST_RDONLY}


def digest(content):
    """Return the SHA-256 of a file's content, in hexadecimal digits.

    :param bytes content: the content
    :rtype: str
    """
    return hashlib.sha256(content).hexdigest()


def keyed(sha256, key):
    """Return a hash with a key of a hash that is known on both sides: without the key, passwords cannot be tried against it.

    :param str sha256: the SHA-256 of a password, or of a file with a password, in hexadecimal digits
    :param str key: the key
    :rtype: str
    """
    return hmac.new(key.encode(), sha256.encode(), hashlib.sha256).hexdigest()


def with_addresses(content, held):
    """Return a configuration of HAProxy in which the servers with a DNS name begin with the address that they had.

    A new process knows no answer of DNS; where that is away, it goes on with the last one.

    :param str content: the configuration
    :param dict held: proxy and server -> address
    :rtype: str
    :source: HAProxy Configuration Manual, section 5.2, "init-addr"
    """
    lines, proxy = [], ""
    for line in content.splitlines(keepends=True):
        words = line.split()
        if words and not line[0].isspace():
            proxy = words[1] if len(words) > 1 else ""
        # what holds connections has the servers of its link
        address = held.get((proxy.partition(".")[0], words[1])) if words[:1] == ["server"] else None
        lines.append(UNKNOWN.sub(f"resolvers hosts init-addr {address},none", line) if address else line)
    return "".join(lines)


def without_addresses(content):
    """Return a configuration of HAProxy as it was before :func:`with_addresses`, with which it is compared.

    :param str content: the configuration
    :rtype: str
    """
    return KNOWN.sub("resolvers hosts init-addr none", content)


def directory(path):
    """Return owner and mode of a directory, and of each file in it, with the SHA-256 of its content.

    :param str path: the directory
    :rtype: dict
    """
    files = {}
    for entry in os.scandir(path):
        # its user removes and replaces files at any time
        with contextlib.suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False):
                files[entry.name] = {**_ownership(entry.stat(follow_symlinks=False)), "sha256": digest(_comparable(entry.path))}
    return {**_ownership(os.stat(path)), "files": files}


def _comparable(path):
    content = _read(path)
    if not path.endswith("haproxy.cfg"):
        return content
    return without_addresses(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _ownership(found):
    return {"owner": found.st_uid, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}


def _read(path):
    """Return the content of a file, nothing if there is none: a container, or its user, may have put something else in its place."""
    try:
        return endpoints.read_file(path, MAX_PACKED_BYTES)
    except PermissionError:
        raise
    except OSError:
        return b""


def users(text):
    """Return user -> SHA-256 of his password, of those that have one.

    :param str text: Redis' ACL file
    :rtype: dict[str, str]
    :source: Redis' documentation, "ACL", section "ACL rules": #<hash>
    """
    return dict(re.findall(r"(?m)^user (\S+) .*#([0-9a-f]{64})", text))


def side(path):
    """Return what is on disk of one side, and what its engine says.

    :param str path: the state directory of the side
    :rtype: dict
    """
    current = engines.current_generation(path)
    at = engines.current_directory(path)
    found = {
        "current": current,
        "files": {name: file["sha256"] for name, file in directory(at)["files"].items()} if os.path.isdir(at) else {},
        "runs": {run: _ownership(os.stat(os.path.join(path, run))) for run in engines.runs(path) if os.path.isdir(os.path.join(path, run))},
        "engine": None,
        "running": None,
        "certificate": None,
        "connections": {},
        "links": {},
        "error": None,
        "wiring": packed(_read(os.path.join(at, FILE))) if os.path.isfile(os.path.join(at, FILE)) else None,
    }
    try:
        info = engines.read(path)
    except FileNotFoundError:
        return found
    except OSError as error:
        return {**found, "error": str(error)}
    links = {alias: link_of(link) for alias, link in info["links"].items() if link["listen"] != "gone"}
    told = {key: info[key] for key in ("engine", "certificate", "connections")}
    return {**found, **told, "running": info["generation"], "links": links}


def link_of(link):
    """Return what is worth knowing of a link before a change, from what its engine says.

    :param dict link: as the module ``ambassador_info`` returns it
    :rtype: dict
    """
    return {
        "connections": link["connections"],
        "targets": [
            {"name": target["name"], "address": target["address"], "up": target["up"], "proved": proved(target)}
            for target in link["targets"]
        ],
    }


def identity(path):
    """Return the certificate of this host, and whether the key beside it is the one that it was made for.

    A key as the collection makes it (elliptic curve) ends with its public point, which the certificate holds as well.

    :param str path: the directory of both
    :return: ``certificate`` (PEM, empty where there is none) and ``key`` (``own``, ``other`` or ``none``)
    :rtype: dict[str, str]
    :source: RFC 5915, section 3, ECPrivateKey; RFC 5480, section 2.2, the uncompressed point
    """
    certificate, key = (
        _read(os.path.join(path, name)).decode(errors="replace") if os.path.isfile(os.path.join(path, name)) else ""
        for name in ("cert.pem", "key.pem")
    )
    if not key:
        return {"certificate": certificate, "key": "none"}
    point = _der(key)[-64:]
    return {"certificate": certificate, "key": "own" if point and point in _der(certificate) else "other"}


def _der(pem):
    """Return the bytes of the first block of a PEM text; none where there is none."""
    block = re.search(r"-----BEGIN [^-]+-----\s+(.*?)-----END", pem, re.S)
    try:
        return base64.b64decode(block[1]) if block else b""
    except ValueError:
        return b""


def light(found):
    """Return what a host holds with the links of its sides packed.

    :param dict found: with ``sides``
    :rtype: dict
    """
    sides = {name: {**one, "links": packed(json.dumps(one["links"]).encode())} for name, one in found["sides"].items()}
    return {**found, "sides": sides}


def whole(observed):
    """Return an observation with the links of its sides as they are.

    :param dict observed: as the module ``observation_info`` returns it
    :rtype: dict
    :raises ValueError: if the links cannot be unpacked
    """
    sides = observed.get("sides") or {}
    links = {name: json.loads(unpacked(one["links"])) if isinstance(one["links"], str) else one["links"] for name, one in sides.items()}
    return {**observed, "sides": {name: {**one, "links": links[name]} for name, one in sides.items()}}


def client_side(observed):
    """Return the client side of another host, as far as :func:`handover.waiting` reads it: the host may answer anything.

    :param dict observed: what it answered
    :return: ``sides``, with ``client``: its ``certificate``, with ``name``, or None, and its ``links``, with the ``name`` and ``address``
        of their ``targets``
    :rtype: dict
    :raises ValueError: if it is not what the module ``observation_info`` returns
    """
    try:
        # a host that was not reached has none
        if not isinstance(observed["sides"], dict):
            raise TypeError("expected sides")
        client = whole(observed)["sides"].get("client") or {}
        shown, links = client.get("certificate"), client.get("links", {})
        return {
            "sides": {
                "client": {
                    "certificate": {"name": _text(shown["name"])} if shown else None,
                    "links": {
                        alias: {
                            "targets": [
                                {"name": _text(target["name"]), "address": target["address"] and _text(target["address"])}
                                for target in link["targets"]
                            ]
                        }
                        for alias, link in links.items()
                    },
                }
            }
        }
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError("it answers something unknown") from error


def _text(value):
    if not isinstance(value, str):
        raise TypeError("expected a text")
    return value


def text_of(answer, *keys):
    """Return a text of what another host answered, nothing if the answer has no text there.

    :param answer: anything
    :param str keys: the way to it
    :rtype: str
    """
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if isinstance(answer, str) else ""


def variables(path):
    """Return the digest of the files of link variables; None if there are none, or if one has a wrong owner or mode.

    Of all, not of each: there may be a thousand.

    :param str path: their directory
    :rtype: str | None
    """
    if not os.path.isdir(path) or permissions.differs(path, os.geteuid(), permissions.DIRECTORY):
        return None
    found = directory(path)
    paths = [os.path.join(path, name) for name in found["files"]]
    if set(found["files"]) != set(os.listdir(path)) or any(permissions.differs(file, os.geteuid(), permissions.FILE) for file in paths):
        return None
    return variables_digest({name: file["sha256"] for name, file in found["files"].items()})


def variables_digest(files):
    """Return the digest of files of link variables.

    :param dict[str, str] files: name -> SHA-256 of its content
    :rtype: str
    """
    return digest(json.dumps(files, sort_keys=True).encode())


def state(path, key):
    """Return what the state directory holds.

    :param str path: the state directory of the collection on this host
    :param str key: the key of the hashes of passwords, and of files that may have one, see :func:`keyed`
    :return: ``sides`` (side -> see :func:`side`), ``identity``, ``directories`` (name -> see :func:`directory`, of what
        is neither), ``users`` and ``loaded_users`` (directory -> see :func:`users`), ``entries`` (list of str: all names in it),
        ``variables`` (see :func:`variables`), ``wrong_permissions`` (list of str, see :func:`permissions.find_wrong`)
    :rtype: dict
    """
    entries = sorted(os.listdir(path)) if os.path.isdir(path) else []
    others = [name for name in entries if name not in (*SIDES, "identity", names.LINKS) and os.path.isdir(os.path.join(path, name))]
    return {
        "entries": entries,
        "sides": {name: side(os.path.join(path, name)) for name in SIDES if name in entries},
        "identity": identity(os.path.join(path, "identity")),
        "variables": variables(os.path.join(path, names.LINKS)),
        "wrong_permissions": sorted(relative for relative, *__ in permissions.find_wrong(path)),
        "directories": {name: _private(os.path.join(path, name), key) for name in others},
        "users": _users(path, others, USERS, key),
        "loaded_users": _users(path, others, LOADED, key),
    }


def _private(path, key):
    """Return what :func:`directory` does, with keyed hashes."""
    found = directory(path)
    return {**found, "files": {name: {**file, "sha256": keyed(file["sha256"], key)} for name, file in found["files"].items()}}


def _users(path, directories, file, key):
    """Return directory -> user -> keyed hash of the password, of each directory that has the file."""
    paths = {name: os.path.join(path, name, file) for name in directories}
    texts = {name: _read(place).decode(errors="replace") for name, place in paths.items() if os.path.isfile(place)}
    return {name: {user: keyed(sha256, key) for user, sha256 in users(text).items()} for name, text in texts.items()}
