# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run has to prove of a side, and how a run goes back if the proof fails."""

from __future__ import annotations

import ipaddress
from typing import TypedDict

from ansible_collections.crosshost.ambassador.plugins.module_utils._observation import digest

# version of IP -> the address of the host that only its own programs reach
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class JoinedNetworks(TypedDict):
    """The networks that a run joins with a container, which a rollback leaves, and the ones that the container keeps.

    ``keeps`` is in the form of the option ``networks`` of docker_container. ``line`` says to people that the rollback left the others.
    """

    container: str
    leaves: list
    keeps: list
    line: str


def joined_networks(asked, there):
    """Return the networks that a run joins, container by container.

    :param dict[int, dict] asked: number -> what is asked of the container
    :param dict[int, dict] there: number -> the container as it was observed
    :rtype: list[JoinedNetworks]
    """
    joined = []
    for number, container in asked.items():
        former = there.get(number, {"networks": {}})["networks"]
        leaves = sorted(set(container["others"]) - set(former))
        if leaves:
            keeps = [{"name": name} for name in (container["network"], *container["others"]) if name not in leaves]
            line = f"{container['name']} left the networks that this run had joined: {', '.join(leaves)}."
            joined.append(JoinedNetworks(container=container["name"], leaves=leaves, keeps=keeps, line=line))
    return joined


def local_ports(wiring, observed):
    """Return the ports that links open on a client host, as they are dialed there.

    :param dict wiring: the wiring of its client side, with the place of each link
    :param dict observed: the observation
    :return: ``alias``, ``address``, ``port``, ``protocol``, ``listen`` and ``place`` of each (see :func:`proof.unchecked`), and
        ``addresses``, at which a client reaches the port: for all addresses of the host its loopback address and its own ones
    :rtype: list[dict]
    """
    places, found = {link["alias"]: link["place"] for link in wiring["links"]}, []
    for port in wiring["publish"]:
        address = ipaddress.ip_address(port["address"])
        addresses = [str(address)]
        if address.is_unspecified:
            own = [one for one in map(ipaddress.ip_address, observed["addresses"]) if one.version == address.version]
            # a link-local address needs the name of its interface
            addresses = [LOOPBACK[address.version], *(str(one) for one in own if not one.is_link_local)]
        keys = ("alias", "address", "port", "protocol")
        found.append(
            {
                **{key: port[key] for key in keys},
                "listen": port["container_port"],
                "place": places[port["alias"]],
                "addresses": addresses,
            }
        )
    return found


def can_roll_back(on_disk, generation, removes_clients=False):
    """Return whether a run may put back the configuration of a side: not if that has authorizations which the new one lacks.

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


def before(on_disk):
    """Return what a proof has to know of a side as it was.

    :param dict on_disk: the side as it was observed
    :rtype: dict
    """
    return {key: on_disk.get(key) for key in ("engine", "running", "links")}


def all_proved(links, side, on_disk):
    """Tell whether the observation itself proves every link: its engine's checks go through to the backend.

    :param list[dict] links: the links of the wiring
    :param str side: ``server`` or ``client``
    :param dict on_disk: the side as it was observed
    :rtype: bool
    """
    if side == "server":
        # its backend may be a replica
        return all(link["alias"] in on_disk["links"] for link in links)
    return all(any(target["proved"] for target in on_disk["links"].get(link["alias"], {}).get("targets", [])) for link in links)
