# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The messages about a map of links. Pure Python without Ansible."""

from __future__ import annotations

import enum

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message

_DEFINE_ONCE = "Define the map once for both hosts, usually in group_vars/all next to the inventory."
_WITHOUT_TLS = "Without TLS, anyone can connect, and read or change the data."


@enum.unique
class MapMessage(Message):
    """Problems of a map, and warnings about it."""

    # -- the map as the hosts of a run have it -----------------------------------------------------------------------

    MAP_INVALID = (
        "the value is {kind}, and not a map from aliases to settings.",
        "See the example in the README. On the command line, write -e '{{\"ambassador_links\": {{…}}}}'.",
    )
    MAP_UNDEFINED = (
        "the variable ambassador_links is not defined, but the host has {deployed}.",
        "Define ambassador_links for this host, usually in group_vars/all next to the inventory, or set it to {{}} to remove all links.",
    )
    MAP_MISSPELLED = (
        "the variable ambassador_links is not defined, but the host has {deployed}.",
        "Rename the variable {similar} to ambassador_links, or set ambassador_links to {{}} to remove all links.",
    )
    MAP_UNRESOLVED = "Ansible cannot resolve the value: {error}.", "Correct the value."
    MAP_MISSING_ON_HOST = "host {host} has the map, and host {other} has none.", _DEFINE_ONCE
    LINK_MISSING_ON_HOST = "the map has the link on host {host}, but not on host {other}.", _DEFINE_ONCE
    LINK_DIFFERS = "the value is {value} on host {host}, and {other_value} on host {other}.", _DEFINE_ONCE
    LINK_DEFINED_TWICE = "the variables {variables} define the same link.", "Rename the link, or remove it, in all but one of them."
    VARIABLE_MISSPELLED = "this collection has no variable with this name.", "Did you mean {suggestion}?"
    CONTROLLER_DIRECTORIES_DIFFER = (
        "the directory is {other_directory} for host {other}, and {directory} for host {host}, each next to its own inventory.",
        "Set ambassador_controller_dir to one of them for all hosts.",
    )
    MESHES_DIFFER = (
        "the mesh is {other_mesh} for host {other}, and {mesh} for host {host}.",
        "Set one mesh for all hosts of a run, usually in group_vars/all next to the inventory.",
    )

    # -- one link ----------------------------------------------------------------------------------------------------

    LINK_INVALID = "the value is {kind}, and not a map of settings.", "See the example in the README."
    LINK_UNKNOWN = "The map has no link {alias}.", "Correct the alias in the filter link_variables. The links are {aliases}."
    ALIAS_INVALID = (
        "{alias} is not a valid alias.",
        "Rename the link. An alias has at most 63 letters, digits, and hyphens, begins with a letter, and does not end with a hyphen.",
    )
    ALIAS_RESERVED = (
        "{alias} is a reserved alias.",
        "Rename the link. Reserved are localhost, h2, ambassador, and aliases that begin with ambassador-.",
    )
    KEY_UNKNOWN = "{key} is not a key of a link.", "Remove it, or use one of the keys {keys}."
    KEY_MISSPELLED = "{key} is not a key of a link.", "Did you mean {suggestion}?"
    KEY_REMOVED = "the key is no longer supported. {reason}", "Remove the key."
    KEY_MISSING = "the key {key} is missing.", "Add {key} to the link."
    KEY_UNUSED = (
        "the key is not used, because a link with targets and without servers has no server side.",
        "Remove {key}, or add servers.",
    )
    VALUE_MISSING = "the key has no value.", "Set a value, or remove the key."

    # -- values of keys ----------------------------------------------------------------------------------------------

    PORT_INVALID = "{value} is not a valid port.", "Use a number from {minimum} to {maximum}."
    CHOICE_INVALID = "{value} is not supported.", "Use {choices}."
    SECONDS_INVALID = "{value} is not a valid number of seconds.", "Use a whole number from {minimum} to {maximum}."
    FRACTION_INVALID = (
        "{value} is not a valid number of seconds.",
        "Use a number from {minimum} to {maximum}, with at most three decimals.",
    )
    NUMBER_INVALID = "{value} is not a valid number.", "Use a whole number from {minimum} to {maximum}."
    BOOLEAN_INVALID = "{value} is not a boolean.", "Use true or false."
    PATTERN_INVALID = "{value} is not a group or a host pattern.", "Name a group of the inventory."
    PATTERN_WITHOUT_HOSTS = "no host of the inventory matches {value}.", "Add the group, or correct the name."
    LOCAL_INVALID = "{value} is not an address of the client host with a port.", "Use address:port, for example {example}."
    ADDRESS_INVALID_WITH_PORTS = (
        "{value} is not a name or an address without a port.",
        "Remove the port, or correct the value. The link forwards each of its ports to the same port there.",
    )
    NETWORK_INVALID = (
        "{value} is not the name of a Docker network on which containers have names.",
        "Use the name of a network other than {nameless}.",
    )
    NETWORKS_INVALID = "{value} is not a list.", "List the names of Docker networks of the client hosts."
    PORTS_CONFLICT = (
        "the link also has the key {key} with the value {value}.",
        "Remove {key}, because ports has each port with its protocol, for example [53, 53/udp].",
    )
    PORTS_INVALID = "{value} is not a list of ports.", "Use numbers from 1 to 65535, with /udp after a port of UDP."
    PORTS_DUPLICATE = "{value} has the same port twice.", "Remove one of them."
    BALANCE_WITH_SEND_PROXY = "{value} is not supported with send_proxy.", "Use first, roundrobin, or leastconn, or remove send_proxy."
    TARGETS_INVALID = (
        "{value} is not a list of targets.",
        "Use a list of address:port, use srv: and the name of an SRV record, or remove the key.",
    )
    TARGETS_INVALID_WITH_PORTS = "{value} is not a list.", "Use a list of addresses or DNS names without ports."
    TARGETS_RECORD_WITH_PORTS = "{value} is an SRV record, which gives the port.", "Use port instead of ports with an SRV record."
    TARGET_INVALID = (
        "{value} is not the address and port of one host.",
        "Use address:port, with the IP address or the DNS name of one host.",
    )
    TARGET_IS_RECORD = (
        "{name} is the name of an SRV record, and not the name of one host.",
        "Use targets: srv:{name} for all targets and ports of the record, or use the name of a host.",
    )
    TARGETS_NOT_PER_SERVER = (
        "the number of targets is {count}, and the servers are {servers}. TLS verifies the name of one server for each target.",
        "Use one target for each server.",
    )

    # -- the backend -------------------------------------------------------------------------------------------------

    BACKEND_INVALID = (
        "{value} is not a name or an address with a port.",
        "Use name:port, as containers on the server host reach the service.",
    )
    BACKEND_IS_ITSELF = (
        "{backend} is the ambassador itself, which has an address of its own.",
        "Use {service} for a program on the server host.",
    )
    BACKEND_IS_AMBASSADOR = "{name} is a container of an ambassador, and not a service.", "Name the service."
    BACKEND_NOT_REACHABLE = (
        "{backend} is not an address of one host that a container reaches.",
        "Use {service} for a program on the server host.",
    )
    BACKEND_NOT_RESOLVABLE = (
        "{backend} is neither a complete IP address nor a name that DNS resolves.",
        "Write the whole address, or rename the container.",
    )
    BACKEND_NEEDS_IPV6 = (
        "{backend} has an IPv6 address, but the network of the ambassadors has no IPv6.",
        "Set ambassador_ipv6 to true, or name the container.",
    )
    BACKEND_PUBLISHED = (
        "{backend} is the ambassador itself, which publishes this port on this address of host {host}.",
        "Use {service} for a program on the host.",
    )
    BACKEND_PUBLISHED_EVERYWHERE = (
        "{backend} is the ambassador itself, which publishes this port on all addresses of host {host}.",
        "Set publish to another port, or ambassador_bind of {host} to one of its addresses.",
    )
    BACKEND_IS_ALIAS = (
        "{name} is the alias of the link itself on host {host}, so connections would return to the link.",
        "Give the container another name.",
    )
    LINK_CYCLE = (
        "{value} returns to the link, because the link opens {local} on host {host} (key local).",
        "Set {key} to the service, or local to another port.",
    )
    NETWORK_NOT_RESOLVABLE = (
        "Docker's DNS cannot resolve {name}.",
        "Rename the network. Use 1 to 63 characters between two dots, no dot at the end, and at most 253 characters in all.",
    )

    # -- conflicts between links, and between hosts ------------------------------------------------------------------

    VARIABLE_CONFLICT = "link {other} sets the same variable {variable}.", "Rename one of the links."
    PORT_CONFLICT = (
        "this link and {others} publish the same port {port} on the server side of {hosts}.",
        "Set publish of all but one link to another port.",
    )
    PORT_CONFLICT_OF_PORTS = (
        "the ports of the link cannot share port {port} without TLS.",
        "Remove publish, or set ambassador_tls to true.",
    )
    LOCAL_CONFLICT = "{local} conflicts with {other_local} of link {other} on the client side of {hosts}.", "Change one of them."
    LOCAL_PUBLISHED = (
        "the server side of host {host} publishes link {other} at {local}.",
        "Change local, or set publish of link {other} to another port.",
    )
    SERVER_NAME_CONFLICT = (
        "HAProxy has one name, {name}, for the hosts {hosts}.",
        "Rename all but one of them in the inventory.",
    )
    SERVER_NAME_RESERVED = (
        "HAProxy uses names like {host} for servers of its own.",
        "Rename the host in the inventory. Its name must not begin with a dot, or end with .replica and a number.",
    )
    BACKEND_NAME_RESERVED = (
        "HAProxy uses names like {name} for servers of its own.",
        "Rename the container. Its name must not end with .replica and a number.",
    )
    BACKEND_NAME_CONFLICT = (
        "{backend} has the name of the server host {host}. A backend is a container of each server host.",
        "Use another name for the container, or {service} for a program on the server host.",
    )
    CERTIFICATE_NAME_CONFLICT = (
        "The certificates of hosts {hosts} would have the same name {name}.",
        "Rename all but one of them in the inventory.",
    )
    CERTIFICATE_NAME_INVALID = (
        "no certificate can hold the name of host {host}.",
        "Rename the host with letters, digits, and _.:-, or set ambassador_tls to false.",
    )

    # -- engines -----------------------------------------------------------------------------------------------------

    ENGINE_UNKNOWN = "{engine} is not an engine.", "Use {engines}."
    ENGINE_WITHOUT_TLS = (
        "{engine} does not encrypt, but ambassador_tls is true.",
        f"Set ambassador_engine to {{engines}}, or ambassador_tls to false. {_WITHOUT_TLS}",
    )
    NO_ENGINE_WITH_TLS = (
        "{engine} does not encrypt, and {others}.",
        f"Set ambassador_tls to false. {_WITHOUT_TLS}",
    )
    FEATURE_UNSUPPORTED = "engine {engine} does not support {feature}.", "Set ambassador_engine to {engines}, or remove {feature}."
    FEATURE_UNSUPPORTED_WITH_TLS = (
        "engine {engine} does not support {feature}.",
        f"Remove {{feature}}, or set ambassador_engine to {{engines}} and ambassador_tls to false. {_WITHOUT_TLS}",
    )
    FEATURES_CONFLICT = (
        "engine {engine} does not support {feature}, and {others}.",
        "Remove {feature}, or the keys that the other engine does not support.",
    )
    BALANCE_UNSUPPORTED = "engine {engine} does not support {feature}.", "Set ambassador_engine to {engines}, or use {balances}."
    BALANCES_CONFLICT = "engine {engine} does not support {feature}, and {others}.", "Use {balances}."

    # -- addresses of hosts ------------------------------------------------------------------------------------------

    ADDRESS_MISSING = "the host has no address in {origin}.", "Set ambassador_address for {host}, or gather its facts."
    ADDRESS_INVALID = (
        "{address} in {origin} is neither an IP address that other hosts reach nor a DNS name of several labels.",
        "Correct it.",
    )
    ADDRESS_IS_RECORD = (
        "{address} in {origin} begins with an underscore, as only names of SRV records do.",
        "Use an IP address, or a DNS name that has addresses.",
    )
    ADDRESS_NEEDS_DNS = (
        "engine {engine} does not resolve DNS names, and {address} in {origin} is one.",
        "Set ambassador_engine to haproxy, or use an IP address.",
    )
    ADDRESS_NEEDS_TLS = (
        "without TLS, the link authorizes clients by IP address, and {address} is a name.",
        "Set ambassador_tls to true, or set ambassador_address to an IP address.",
    )
    BIND_INVALID = "{address} in ambassador_bind is not an IP address.", "Use an IP address of the host."
    SERVER_NEEDS_IPV6 = (
        "{target} has an IPv6 address, but the network of the ambassadors has no IPv6.",
        "Set ambassador_ipv6 to true, or set ambassador_address of {host} to an IPv4 address.",
    )
    TARGET_NEEDS_IPV6 = (
        "{target} has an IPv6 address, but the network of the ambassadors has no IPv6.",
        "Set ambassador_ipv6 to true, or use an IPv4 address in targets.",
    )
