# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The description of a container: its options, its hash, and the notation of sizes and images. Pure Python without Ansible.

A description is a dict: ``name``, ``image`` (as it is pulled), ``user``, ``entrypoint``, ``command``, ``env``, ``volumes``, ``tmpfs``,
``dns``, ``healthcheck``, ``stop_signal``, ``capabilities``, ``sysctls``, ``memory``, ``pids``, ``publish``, ``network``, ``aliases``,
``address``, ``others`` (other networks -> aliases there, None for a network that a user connected it to; None altogether for a container
that joins no others), ``networks`` (all of these, as docker_container takes them), ``temporary`` and ``hash``. The role's
``container.yml`` hands it to Docker, with what all containers have in common.
"""

from __future__ import annotations

import hashlib
import json
import re

# version of the options that all containers share (container.yml): a change recreates the containers
OPTIONS_VERSION = 1
# no upstream behind Docker's DNS (nothing listens at this address): no other DNS server answers for a missing backend
NO_UPSTREAM_DNS = ["::1"]
# directory of the engine's endpoint in a container
ENDPOINT_DIRECTORY = "/run/ambassador"
# options that Docker changes without recreating a container, and the image and the name
OPTIONS_OUTSIDE_HASH = ("image", "memory", "pids", "aliases", "address", "others", "networks", "hash", "name")
# memory of an ambassador without connections, and of a busy connection over TLS (measured: 40 KiB)
IDLE_BYTES, CONNECTION_BYTES = 64 << 20, 40 << 10
SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def describe_container(name, image, **options):
    """Return a description with all defaults, and its hash.

    :param str name: name of the container
    :param str image: image as it is pulled
    :param options: see the documentation of this file
    :rtype: dict
    """
    found = {
        "name": name,
        "image": image,
        "env": {},
        "volumes": [],
        "tmpfs": [],
        "dns": None,
        "healthcheck": None,
        "stop_signal": "SIGTERM",
        "capabilities": None,
        "sysctls": None,
        "publish": [],
        "aliases": [],
        "address": {},
        "others": None,
        "temporary": False,
        **options,
    }
    found["networks"] = [{"name": found["network"], "aliases": found["aliases"], **found["address"]}]
    for name, aliases in (found["others"] or {}).items():
        found["networks"].append({"name": name, **({"aliases": aliases} if aliases else {})})
    asked = {key: value for key, value in found.items() if key not in OPTIONS_OUTSIDE_HASH}
    return {**found, "hash": hashlib.sha256(json.dumps([OPTIONS_VERSION, asked], sort_keys=True).encode()).hexdigest()[:16]}


def format_volume(source, target, writable=False):
    """Return a directory of the host as a volume that containers can read with SELinux. Without SELinux, Docker ignores the label.

    :param str source: the directory on the host
    :param str target: the directory in the container
    :param bool writable: whether the container can write to the directory
    :rtype: str
    :source: Docker's documentation, "Bind mounts", section "Configure the SELinux label"
    """
    return f"{source}:{target}:{'rw' if writable else 'ro'},z"


def parse_size(value):
    """Return a size in bytes, or None if the value is not a size: ``512M`` -> 536870912.

    :param value: a number of bytes, or a number with a unit of 1024, as Docker takes it
    :rtype: int | None
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s*([bkmgtp]?)i?b?", str(value).strip().lower())
    return int(float(match[1]) * SIZE_UNITS[match[2]]) if match else None


def compute_connection_limit(memory):
    """Return the most connections that fit in the memory of an ambassador. A quarter of the memory is for old workers.

    :param memory: its memory limit, as Docker takes it; 0 for none
    :rtype: int
    """
    limit = parse_size(memory)
    return max((limit - IDLE_BYTES) * 3 // 4 // CONNECTION_BYTES, 100) if limit else 32000


def normalize_image(image):
    """Return the name under which Docker lists an image.

    :param str image: the name as it is pulled
    :rtype: str
    :source: Docker's documentation, "docker image pull": docker.io, library and latest are understood; a digest wins over a tag
    """
    name, __, digest = image.partition("@")
    name = re.sub(r"^((index\.)?docker\.io/)?(library/(?=[^/]+$))?", "", name)
    path, __, last = name.rpartition("/")
    if digest:
        last = last.partition(":")[0]
    elif ":" not in last:
        last += ":latest"
    return f"{path}/{last}" * bool(path) + last * (not path) + (f"@{digest}" if digest else "")
