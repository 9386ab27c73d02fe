# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of Docker's legacy container links, for ambassadors and consumers. Pure Python without Ansible."""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideLink

Variables = dict[str, str]


def variable_prefix(alias: str) -> str:
    """Return the prefix of a link's variables: ``my-cache`` -> ``MY_CACHE``.

    :source: Docker's legacy container links: the alias in upper case, all but letters and digits as ``_``
    """
    return re.sub(r"[^A-Z0-9]", "_", alias.upper())


def link_variables(prefix: str, port: int, address: str, target_port: int, protocol: str = "tcp") -> Variables:
    """Return the variables that Docker's links set for one target, without ``_NAME``, in the order in which Docker set them.

    :param prefix: prefix of the variables: ``REDIS`` or, for the first of several targets, ``REDIS_1``
    :param port: the port that a side listens on, or that a consumer dials on the alias
    :param address: IPv4 or IPv6 address, or a name
    :param target_port: port at that address
    :param protocol: ``tcp`` or ``udp``
    :source: Docker's documentation, "Legacy container links", section "Environment variables"
    """
    url = f"{protocol}://{endpoint(address, target_port)}"
    base = f"{prefix}_PORT_{port}_{protocol.upper()}"
    return {
        f"{prefix}_PORT": url,
        base: url,
        f"{base}_ADDR": address,
        f"{base}_PORT": str(target_port),
        f"{base}_PROTO": protocol,
    }


def side_variables(link: SideLink, holder: str) -> Variables:
    """Return the link variables that are the input of a side.

    :param link: a link of the side
    :param holder: name of the side's container
    """
    prefix, targets, variables = variable_prefix(link["name"]), link["targets"], {}
    prefixes = [f"{prefix}_{number}" for number in range(1, len(targets) + 1)] if len(targets) > 1 else []
    # the first target also has the variables without a number
    for name, target in zip([prefix, *prefixes], [targets[0], *targets], strict=False):
        variables.update(link_variables(name, link["number"], target["address"], target["port"], link["protocol"]))
    return {**variables, f"{prefix}_NAME": f"/{holder}/{link['name']}"}


def consumer_variables(alias: str, port: int, protocol: str) -> Variables:
    """Return the link variables of a consumer, which dials a port of the alias."""
    prefix = variable_prefix(alias)
    return {**link_variables(prefix, port, alias, port, protocol), f"{prefix}_NAME": f"/consumer/{alias}"}


def variable_files(links: list[SideLink]) -> dict[str, str]:
    """Return file name -> content: the consumers' variables of each link, for ``docker run --env-file`` and Compose's ``env_file``.

    :param links: the links of a client side
    """
    files: dict[str, Variables] = {}
    for link in links:
        # of several ports, the first has the variables without a port
        first = files.get(f"{link['name']}.env", {})
        files[f"{link['name']}.env"] = {**first, **link["consumer"], **first}
    return {file: "".join(f"{name}={value}\n" for name, value in variables.items()) for file, variables in files.items()}
