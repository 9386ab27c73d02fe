# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The container that serves the metrics of both sides. Pure Python without Ansible."""

from __future__ import annotations

import ipaddress
import json

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, parse_address
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import (
    ENDPOINT_DIRECTORY,
    NO_UPSTREAM_DNS,
    describe_container,
    format_volume,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import find_gateways

# HAProxy's usual port for metrics, in the container
METRICS_PORT = 8404
# another user than that of HAProxy: it reaches only the sockets with metrics in the directories of the endpoints
METRICS_UID = 65534
# pages of each container: from HAProxy, and from its generation
PAGES = ("metrics", "generation")


def parse_metrics_address(said):
    """Return address and port of the metrics.

    :param said: ``ambassador_metrics``: ``address:port``, or a port on the loopback
    :return: None for any other value
    :rtype: tuple[str, int] | None
    """
    found = parse_address(f"127.0.0.1:{said}" if str(said).isdigit() else said)
    return found if found and is_address(found[0]) else None


def describe_metrics_container(host, shown, settings, observed):
    """Return the description of the container that serves the metrics of both sides.

    It publishes the port, so the port recreates no other container, and it forwards each request to the container of its path. It says
    as well which there are, as Prometheus discovers targets. Where the port is on the loopback, other containers are refused.

    :param str host: inventory name of the host
    :param list[tuple[str, int]] shown: side and number of each container that has metrics
    :param dict settings: see :mod:`plan`
    :param dict observed: the observation
    :rtype: dict
    :source: Prometheus' documentation, "Writing HTTP service discovery"
    """
    address, port = parse_metrics_address(settings["metrics"])
    network = observed["networks"].get(settings["network"])
    own = find_gateways(network["pools"], observed["addresses"]) if network and ipaddress.ip_address(address).is_loopback else []
    paths = {names.add_number(side, number): (side, number) for side, number in shown}
    targets, volumes, backends = [], [], []
    for path, (side, number) in paths.items():
        labels = {
            "host": host,
            "mesh": observed["mesh"],
            "side": side,
            "container": names.name_side_container(side, observed["mesh"], number),
        }
        targets += [{"targets": ["@host@"], "labels": {"__metrics_path__": f"/{path}/{page}", **labels, "page": page}} for page in PAGES]
        volumes.append(format_volume(f"{settings['state_dir']}/{side}/{names.name_run_directory(number)}", f"{ENDPOINT_DIRECTORY}/{path}"))
        backends += [
            f"backend {path}",
            "    http-request replace-path /[^/]+(/.*) \\1",
            f"    server {path} unix@{ENDPOINT_DIRECTORY}/{path}/{mesh_names.METRICS}",
        ]
    # in a format of HAProxy, in quotes
    told = json.dumps(targets).replace("%", "%%").replace("'", "\\u0027").replace("@host@", "%[req.hdr(host),json(utf8s)]")
    lines = [
        "global",
        "    log stdout format raw local0",
        "    maxconn 64",
        "    hard-stop-after 1s",
        "defaults",
        "    mode http",
        "    timeout connect 5s",
        "    timeout client 30s",
        "    timeout server 30s",
        "frontend metrics",
        f"    bind {':::' if settings['ipv6'] else ':'}{METRICS_PORT}{' v4v6' if settings['ipv6'] else ''}",
        *([f"    http-request deny unless {{ src {' '.join(own)} }}"] if own else []),
        f"    http-request return content-type application/json lf-string '{told}' if {{ path /targets }}",
        f"    http-request deny deny_status 404 unless {{ path_beg {' '.join(f'/{path}/' for path in paths)} }}",
        "    use_backend %[path,field(2,/)]",
        *backends,
    ]
    return describe_container(
        names.name_metrics_container(observed["mesh"]),
        settings["image"],
        user=f"{METRICS_UID}:{METRICS_UID}",
        entrypoint=["sh", "-c"],
        command=["exec haproxy -db -f /dev/stdin <<'END'\n" + "\n".join(lines) + "\nEND"],
        # as the first process, and without a master, HAProxy ignores SIGTERM
        stop_signal="SIGUSR1",
        volumes=volumes,
        dns=NO_UPSTREAM_DNS,
        memory="64M",
        pids=64,
        publish=[f"{endpoint(address, port)}:{METRICS_PORT}"],
        network=settings["network"],
    )
