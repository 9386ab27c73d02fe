# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run has to prove of a side, and what a rollback needs if the proof fails."""

from __future__ import annotations

import ipaddress
from typing import TypedDict

from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest

# version of IP -> loopback address
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class JoinedNetworks(TypedDict):
    """The networks that a run joins with a container, which a rollback leaves, and the ones that the container keeps.

    ``keeps`` is in the form of the option ``networks`` of docker_container. ``line`` says to people that the rollback left the others.
    """

    container: str
    leaves: list
    keeps: list
    line: str


class LocalPort(TypedDict):
    """A port that a link opens on a client host.

    ``listen`` is the port in the container, and ``place`` the number of the container. Clients reach the port at ``addresses``. These are
    the loopback address and the own addresses of the host for a port on all its addresses.
    """

    alias: str
    address: str
    port: int
    protocol: str
    listen: int
    place: int
    addresses: list[str]


def list_joined_networks(wanted, existing):
    """Return the networks that a run joins, container by container.

    :param dict[int, dict] wanted: number -> description of the container
    :param dict[int, dict] existing: number -> the container as it was observed
    :rtype: list[JoinedNetworks]
    """
    joined = []
    for number, container in wanted.items():
        former = existing.get(number, {"networks": {}})["networks"]
        leaves = sorted(set(container["others"]) - set(former))
        if leaves:
            keeps = [{"name": name} for name in (container["network"], *container["others"]) if name not in leaves]
            line = f"{container['name']} left the networks that this run had joined: {', '.join(leaves)}."
            joined.append(JoinedNetworks(container=container["name"], leaves=leaves, keeps=keeps, line=line))
    return joined


def list_local_ports(wiring, observed):
    """Return the ports that links open on a client host, as clients connect to them there (see :func:`proof.unchecked`).

    :param dict wiring: the wiring of its client side, with the place of each link
    :param dict observed: the observation
    :rtype: list[LocalPort]
    """
    places = {link["alias"]: link["place"] for link in wiring["links"]}
    return [
        LocalPort(
            alias=port["alias"],
            address=port["address"],
            port=port["port"],
            protocol=port["protocol"],
            listen=port["container_port"],
            place=places[port["alias"]],
            addresses=_list_dialed_addresses(ipaddress.ip_address(port["address"]), observed["addresses"]),
        )
        for port in wiring["publish"]
    ]


def _list_dialed_addresses(address, host_addresses):
    if not address.is_unspecified:
        return [str(address)]
    candidates = [host_address for host_address in map(ipaddress.ip_address, host_addresses) if host_address.version == address.version]
    # a link-local address needs the name of its interface
    return [LOOPBACK[address.version], *(str(host_address) for host_address in candidates if not host_address.is_link_local)]


def can_roll_back(on_disk, generation, removes_clients=False):
    """Return whether a run may restore the configuration of a side: not if that has authorizations that the new one lacks.

    These are another list of revoked certificates, other CAs, and clients that left. An attacker with one of their keys could make the
    proof fail, and would be authorized again.

    :param dict on_disk: the side as it was observed
    :param dict | None generation: the new configuration
    :param bool removes_clients: whether clients left
    :rtype: bool
    """
    if not generation or removes_clients or on_disk.get("running") == generation["name"]:
        return False
    old = on_disk.get("files", {})
    new = {name: digest(generation["files"][name].encode()) for name in ("ca.pem", "crl.pem") if generation["files"].get(name)}
    # without a CA, the links were plain
    return old.get("crl.pem") == new.get("crl.pem") and old.get("ca.pem") in (None, new.get("ca.pem"))


def get_former_side(on_disk):
    """Return what a proof compares with: the side before the run.

    :param dict on_disk: the side as it was observed
    :rtype: dict
    """
    return {key: on_disk.get(key) for key in ("engine", "running", "links")}


def are_all_proved(links, side, on_disk):
    """Return whether the observation itself proves every link: the health checks of the engine reach its backend.

    :param list[dict] links: the links of the wiring
    :param str side: ``server`` or ``client``
    :param dict on_disk: the side as it was observed
    :rtype: bool
    """
    if side == "server":
        # its backend may be a replica
        return all(link["alias"] in on_disk["links"] for link in links)
    return all(any(target["proved"] for target in on_disk["links"].get(link["alias"], {}).get("targets", [])) for link in links)
