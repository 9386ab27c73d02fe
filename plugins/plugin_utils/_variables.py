# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of Docker's legacy container links, for ambassadors and consumers. Pure Python without Ansible."""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import endpoint


def variable_prefix(alias):
    """Return the prefix of a link's variables: ``my-cache`` -> ``MY_CACHE``.

    :param str alias: the alias of the link
    :rtype: str
    :source: Docker's legacy container links: the alias in upper case, all but letters and digits as ``_``
    """
    return re.sub(r"[^A-Z0-9]", "_", alias.upper())


def link_variables(name, port, address, target_port, protocol="tcp"):
    """Return the variables that Docker's links set for one target, but ``_NAME``.

    :param str name: prefix of the variables, e.g. ``REDIS`` or, for the first of several targets, ``REDIS_1``
    :param int port: the port that whoever holds the variables listens on or dials on the alias
    :param str address: IPv4 or IPv6 address, or a name
    :param int target_port: port at that address
    :param str protocol: ``tcp`` or ``udp``
    :return: variable -> value, both strings, in the order in which Docker set them
    :rtype: dict[str, str]
    :source: Docker's documentation, "Legacy container links", section "Environment variables"
    """
    url = f"{protocol}://{endpoint(address, target_port)}"
    base = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_PORT": url,
        base: url,
        f"{base}_ADDR": address,
        f"{base}_PORT": str(target_port),
        f"{base}_PROTO": protocol,
    }


def side_variables(link, holder):
    """Return the link variables that are a side's input.

    :param dict link: a link of the side, as :meth:`Wiring.side` returns it
    :param str holder: name of the side's container
    :return: variable -> value, both strings
    :rtype: dict[str, str]
    """
    prefix, found, targets = variable_prefix(link["name"]), {}, link["targets"]
    # the first one also without its number
    for name, target in [(prefix, targets[0]), *((f"{prefix}_{number}", target) for number, target in enumerate(targets, 1))]:
        if len(targets) > 1 or name == prefix:
            found.update(link_variables(name, link["number"], target["address"], target["port"], link["protocol"]))
    return {**found, f"{prefix}_NAME": f"/{holder}/{link['name']}"}


def consumer_variables(alias, port, protocol):
    """Return the link variables of a consumer, which dials the alias.

    :param str alias: the name that it dials
    :param int port: its port
    :param str protocol: ``tcp`` or ``udp``
    :return: variable -> value, both strings
    :rtype: dict[str, str]
    """
    prefix = variable_prefix(alias)
    return {**link_variables(prefix, port, alias, port, protocol), f"{prefix}_NAME": f"/consumer/{alias}"}


def variable_files(links):
    """Return the link variables of the consumers of each link, as ``docker run --env-file`` and Compose's ``env_file`` read them.

    :param list[dict] links: the links of a client side, as :meth:`Wiring.side` returns them
    :return: name of a file -> content
    :rtype: dict[str, str]
    """
    found = {}
    for link in links:
        # of several ports the first is the one without a number
        first = found.get(f"{link['name']}.env", {})
        found[f"{link['name']}.env"] = {**first, **link["consumer"], **first}
    return {file: "".join(f"{name}={value}\n" for name, value in variables.items()) for file, variables in found.items()}
