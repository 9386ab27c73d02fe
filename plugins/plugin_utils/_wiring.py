# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The wiring: all links of the map resolved against the inventory.

Pure Python without Ansible, so that the roles, the tests and other tools call the same function.
:class:`Wiring` parses and validates a map of links once; :meth:`Wiring.side` resolves it for one host and side.
Mistakes of the user never raise: they are collected as sentences in ``problems``, so that one run shows them all.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import (
    endpoint,
    is_address,
    is_dialable,
    overlap,
    parse_address,
    parse_endpoint,
    spelled,
    unmapped,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import (
    CERTIFIED,
    Hosts,
    certified,
    host_address,
    is_dns_name,
    is_record_name,
    other_addresses,
    own_addresses,
    source_addresses,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import (
    BACKEND_HOST,
    BALANCES,
    CHOICES,
    ENGINES,
    EVERYWHERE,
    FRACTIONS,
    HOST,
    KEYS,
    LABEL,
    LIMIT,
    NAMELESS,
    NETWORK,
    NUMERIC,
    OWN_NAMES,
    PORTLESS,
    PROXY,
    REMOVED,
    REQUIRED,
    RESERVED,
    SECONDS,
    SERVED,
    SERVER_CHARACTERS,
    SERVER_NAME,
    SERVER_ONLY,
    SIDES,
    SRV,
    UNENCRYPTED,
    WILDCARDS,
    WITHOUT_PORT,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._variables import (
    consumer_variables,
    link_variables,
    side_variables,
    variable_prefix,
)


def printed(name):
    """Return a name as a message shows it: quoted if it has characters that change the terminal or the line.

    :param name: what the user wrote as a name
    :rtype: str
    """
    return str(name) if str(name).isprintable() else repr(str(name))


def shown(value):
    """Return a value as a message shows it.

    :param value: what the user wrote
    :rtype: str
    """
    return "nothing" if value is None else repr(value)


def names_of(links):
    """Return the names that consumers dial.

    :param list[dict] links: the links of a client side, as :meth:`Wiring.side` returns them
    :rtype: list[str]
    """
    return list(dict.fromkeys(link["name"] for link in links))


def listens(link):
    """Return the ports on which a side listens for a link.

    :param dict link: a link of the side, as :meth:`Wiring.side` returns it
    :rtype: list[int]
    """
    return [link["listen"], *link["also"]]


def ports(links):
    """Return which links are served on which port.

    :param list[dict] links: the links of a side, as :meth:`Wiring.side` returns them
    :return: port -> aliases, in the order of the ports
    :rtype: dict[int, list[str]]
    """
    found = {}
    for link in links:
        for port in listens(link):
            found.setdefault(port, []).append(link["alias"])
    return dict(sorted(found.items()))


def networks(links, side):
    """Return the Docker networks that a side joins beside the one of the ambassadors.

    :param list[dict] links: the links of the side, as :meth:`Wiring.side` returns them
    :param str side: ``server`` or ``client``
    :return: network -> the aliases to which the side answers there; none on the server side, which nobody dials by name
    :rtype: dict[str, list[str]]
    """
    found = {}
    for link in links:
        for name in link.get("networks", []):
            found.setdefault(name, []).append(link["name"])
    return {name: list(dict.fromkeys(found[name])) if side == "client" else [] for name in sorted(found)}


def on_host(wiring, address):
    """Return the wiring of a server side with the address of the host in the place of the backend ``host``.

    :param dict wiring: the wiring of the side
    :param str address: the address at which containers reach the host
    :rtype: dict
    """
    links, variables = [], dict(wiring["variables"])
    for link in wiring["links"]:
        own, *others = link["targets"]
        if own["name"] == HOST:
            link = {**link, "targets": [{**own, "address": address}, *others]}
            variables.update(side_variables(link, wiring["holder"]))
        links.append(link)
    return {**wiring, "links": links, "variables": variables}


def one_for_each_port(name, settings):
    """Return the settings of a link with `ports` as those of links with one `port` each.

    :param str name: the alias in the map
    :param dict settings: its settings
    :return: alias -> settings, and what is wrong with the keys that this is about, a sentence each. The alias of each has its port
        behind the name, ``rabbit:5672`` or ``dns:53-udp``, and they come in the order in which Docker's links took the first: by port, and
        TCP before UDP
    :rtype: tuple[dict[str, dict], list[str]]
    :source: Docker's documentation, "Legacy container links", section "Environment variables", for the order
    """
    problems, ports = [], settings["ports"]

    def wrong(key, expected, found, remedy):
        problems.append(f"link {printed(name)}, {key}: expected {expected}, found {found}; {remedy}.")

    for key in ("port", "protocol"):
        if key in settings:
            wrong("ports", f"no {key} beside it", f"{key} {settings[key]!r}", f"remove {key} (ports: [53, 53/udp] says both)")
    split = [re.fullmatch(r"([0-9]+)(?:/(tcp|udp))?", str(port)) for port in ports] if isinstance(ports, list) else []
    if not split or not all(match and is_port(match[1]) for match in split):
        wrong("ports", "a list of ports from 1 to 65535, with /udp behind one of UDP", shown(ports), "correct it")
        return {}, problems
    wanted = sorted({(int(match[1]), match[2] or "tcp") for match in split})
    if len(wanted) < len(split):
        wrong("ports", "every port once", shown(ports), "remove one")
    found = {}
    for port, protocol in wanted:
        own = {key: value for key, value in settings.items() if key != "ports"}
        own.update({"port": port, **({"protocol": protocol} if protocol != "tcp" else {})})
        for key in PORTLESS:
            if key in settings:
                own[key] = _with_port(settings[key], port)
        found[f"{name}:{port}" + ("-udp" if protocol == "udp" else "")] = own
    for key in PORTLESS:
        values = settings.get(key)
        for value in values if isinstance(values, list) else [values]:
            if parse_endpoint(value):
                wrong(key, WITHOUT_PORT, shown(value), "correct it")
    return found, problems


def _with_port(value, port):
    """Return what a user said without a port with one: a string, or a list of strings; anything else is for others to refuse."""
    if isinstance(value, list):
        return [_with_port(one, port) for one in value]
    bare = value[1:-1] if isinstance(value, str) and value.startswith("[") and value.endswith("]") else value
    return endpoint(bare, port) if isinstance(value, str) else value


class Wiring:
    """A map of links, parsed, validated and matched with the inventory's hosts.

    :param links: the map as the user wrote it: alias -> settings
    :param hosts_of: callable: host pattern (str) -> names of the hosts it matches (list of str), in the inventory's order
    :param str engine: the engine of the ambassadors
    :param bool ipv6: whether the ambassadors' networks have IPv6
    :param bool tls: whether ambassadors speak TLS with each other
    :param str mesh: the mesh
    :param str | None network: the Docker network of the ambassadors; None for the default of the mesh
    :param only: callable: host pattern -> whether it names the host whose links alone are parsed, of a map that was parsed before without a
        problem; None to parse all links
    """

    def __init__(self, links, hosts_of, engine="haproxy", ipv6=False, tls=False, mesh=names.DEFAULT, network=None, only=None):
        # of all links without a problem, in their order
        self._patterns, self._only = {}, only
        self._hosts_of = functools.lru_cache(maxsize=None)(lambda pattern: Hosts(hosts_of(pattern)))
        self._ipv6, self._tls, self._mesh = ipv6, tls, mesh
        self._network_name = network or names.in_mesh(names.NETWORK, mesh)
        self._engine, self._resolves = engine, "a DNS name" not in ENGINES.get(engine, ())
        self._admits = "admission" not in ENGINES.get(engine, ())
        #: what is wrong with the map itself, a sentence each
        self.problems = []
        #: alias -> settings with all defaults filled in, only of links without a problem
        self.links = {}
        if engine not in ENGINES:
            self.problems.append(f"ambassador_engine: expected one of {', '.join(ENGINES)}, found {engine!r}; set one of these.")
        if not hasattr(links, "items"):
            self.problems.append(
                f"ambassador_links: expected a map of aliases to settings, found {_kind(links)}; see the README's example"
                " (on the command line: -e '{\"ambassador_links\": {…}}')."
            )
            return
        for name, settings in links.items():
            if only is not None:
                patterns = [settings[key] for key in ("servers", "clients") if key in settings]
                self._patterns.update(dict.fromkeys(patterns))
                if not any(map(only, patterns)):
                    continue
            found, problems = self._parse_all(name, settings)
            if not problems:
                self.links.update(found)
                self._patterns.update((settings[key], None) for key in ("servers", "clients") if key in settings)
            self.problems += list(dict.fromkeys(problems))
        if only is not None:
            return
        self._same_variables()
        self._same_port()
        self._same_local()
        self._loops()
        self._server_names()
        self._names()
        if engine in ENGINES:
            self._abilities(engine)

    @functools.cached_property
    def hosts(self):
        """Names of all hosts of the map."""
        return Hosts(dict.fromkeys(itertools.chain.from_iterable(map(self._hosts_of, self._patterns))))

    # -- parse ---------------------------------------------------------------------------------------------------

    def _parse_all(self, name, settings):
        """Return alias -> link of one entry of the map, which has a link for each of its ports, and the problems."""
        if not hasattr(settings, "items") or "ports" not in settings:
            link, problems = self._parse(name, name, settings, settings)
            return {name: link}, problems
        one_by_one, problems = one_for_each_port(name, settings)
        found = {}
        for alias, own in one_by_one.items():
            found[alias], more = self._parse(alias, name, own, settings)
            problems += more
            if not more:
                found[alias]["shares"] = "publish" in settings and len(one_by_one) > 1
        return found, problems

    def _parse(self, alias, name, settings, written=None):
        """Return a link and its problems; ``written`` are the settings as the user wrote them, with `ports`."""
        written, problems = written or settings, []
        # what is added to it for each port is in no message
        without_port = WITHOUT_PORT if written is not settings else None

        def wrong(expected, found, remedy, key=None):
            where = f"link {printed(name)}" + (f", {key}" if key else "")
            problems.append(f"{where}: expected {expected}, found {found}; {remedy}.")

        if not isinstance(name, str) or not LABEL.fullmatch(name):
            wrong("a DNS label as alias (a letter, then letters, digits or hyphens, at most 63)", shown(name), "rename the link")
        elif RESERVED.fullmatch(name):
            wrong("an alias that is not reserved (localhost, h2, ambassador, ambassador-…)", shown(name), "rename the link")
        if not hasattr(settings, "items"):
            wrong("a map of settings", _kind(settings), "see the README's example")
            return None, problems

        for key in settings:
            if key in REMOVED:
                problems.append(f"Link {printed(name)}, key {key}: no longer supported. {REMOVED[key]} Remove the key.")
            elif key not in KEYS:
                close = difflib.get_close_matches(str(key), KEYS, 1)
                remedy = f"did you mean {close[0]}?" if close else "remove it"
                wrong(f"only the keys {', '.join(KEYS)}", shown(key), remedy.rstrip("?"))
        is_served = "targets" not in settings or "servers" in settings
        for key in ["port", *REQUIRED, *(SERVED if is_served else ())]:
            if key not in settings:
                wrong(f"the key {key}", "none", f"add {key} to the link")
        for key in SERVER_ONLY if not is_served else ():
            if key in settings:
                problems.append(
                    f"Link {printed(name)}, key {key}: {shown(written[key])} is not used, because a link with targets and without servers"
                    f" has no server side. Remove {key}, or add servers."
                )

        link = {"alias": alias, "name": name, "shares": False, "backend_as_written": written.get("backend")}
        link["asked"] = [key for key in ("check", "balance", *FRACTIONS, LIMIT, *SECONDS, "protocol") if key in settings]
        for key in ("port", "publish"):
            value = settings.get(key, link.get("port"))
            if key in settings and not is_port(value):
                wrong("a port from 1 to 65535", shown(value), "correct it", key)
                value = None
            link[key] = int(value) if value is not None else None
        link["has_publish"] = "publish" in settings
        for key, choices in CHOICES.items():
            link[key] = settings.get(key, choices[0])
            if link[key] not in choices:
                wrong(f"one of {', '.join(choices)}", shown(link[key]), "correct it", key)

        for key, default in SECONDS.items():
            link[key] = settings.get(key, default)
            whole = not isinstance(link[key], bool) and re.fullmatch(r"[0-9]{1,4}", str(link[key]))
            if key in settings and not whole:
                wrong("whole seconds from 0 to 9999", shown(link[key]), "correct it", key)
        for key in FRACTIONS:
            link[key] = None
            if key in settings:
                said = str(settings[key])
                if isinstance(settings[key], bool) or not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", said) or float(said) < 0.05:
                    wrong("seconds from 0.05 to 99", shown(settings[key]), "correct it", key)
                else:
                    link[key] = round(float(said) * 1000)

        link[LIMIT] = None
        if LIMIT in settings:
            said = str(settings[LIMIT])
            if isinstance(settings[LIMIT], bool) or not re.fullmatch(r"[1-9][0-9]{0,6}", said):
                wrong("a number from 1 to 9999999", shown(settings[LIMIT]), "correct it", LIMIT)
            else:
                link[LIMIT] = int(said)

        link[PROXY] = settings.get(PROXY, False)
        if not isinstance(link[PROXY], bool):
            wrong("true or false", shown(link[PROXY]), "correct it", PROXY)
        elif link[PROXY]:
            link["asked"].append(PROXY)
            if link["balance"] == "source":
                # HAProxy hands a connection with a header on to itself, without the address of the consumer
                wrong("first, roundrobin or leastconn with send_proxy", "'source'", "change balance or remove send_proxy", "balance")

        link["backend"] = parse_address(settings.get("backend")) if is_served else None
        if is_served and "backend" in settings and (not link["backend"] or not _is_host(link["backend"][0])):
            expected = without_port or "name:port, as the server side sees it on its own host"
            wrong(expected, shown(written["backend"]), "correct it", "backend")
            link["backend"] = None
        link["network"] = self._network(settings["network"], "network", wrong) if "network" in settings and is_served else None
        if link["backend"]:
            unreachable = _backend_problems(link)
            problems += unreachable
            if not unreachable and ":" in link["backend"][0] and not self._ipv6 and "network" not in settings:
                remedy = "set ambassador_ipv6 to true, or name the container"
                wrong("a service that the network of the ambassadors reaches", f"{written['backend']} and no IPv6", remedy, "backend")
        link["networks"] = settings.get("networks", [])
        if not isinstance(link["networks"], list):
            wrong("a list of Docker networks of the client hosts", shown(link["networks"]), "correct it", "networks")
        else:
            link["networks"] = [self._network(name, "networks", wrong) for name in link["networks"]]
        link["local"] = parse_address(settings["local"]) if "local" in settings else None
        if "local" in settings and (not link["local"] or not is_address(link["local"][0])):
            example = "" if without_port else ", for example 127.0.0.1:6379"
            wrong(without_port or "address:port of the client host", shown(written["local"]), f"correct it{example}", "local")
        link["targets"] = self._targets(settings, written, wrong)

        for key in ("servers", "clients"):
            link[key] = []
            if key not in settings:
                continue
            if not isinstance(settings[key], str) or not settings[key].strip():
                wrong("a group or host pattern", shown(settings[key]), "name a group of the inventory", key)
                continue
            link[key] = self._hosts_of(settings[key])
            if not link[key]:
                wrong("a pattern that matches a host of the inventory", shown(settings[key]), "add the group or correct the name", key)
        return link, problems

    @staticmethod
    def _network(name, key, wrong):
        if not isinstance(name, str) or not NETWORK.fullmatch(name) or name in NAMELESS:
            wrong(f"a Docker network on which containers have names (not {', '.join(NAMELESS)})", shown(name), "correct it", key)
            return None
        return name

    @staticmethod
    def _targets(settings, written, wrong):
        if "targets" not in settings:
            return None
        targets, has_ports = settings["targets"], written is not settings
        if has_ports and isinstance(targets, str):
            remedy = "use port for an SRV record, which gives the port" if written["targets"].startswith(SRV) else "correct it"
            wrong("a list of addresses or DNS names beside ports", shown(written["targets"]), remedy, "targets")
            return None
        if isinstance(targets, str) and targets.startswith(SRV) and is_record_name(targets[len(SRV) :]):
            # the record says the ports, and the variables need one
            return [(targets[len(SRV) :], settings.get("port", 0))]
        if not isinstance(targets, (list, tuple)) or not targets:
            wrong("a list of address:port, or srv: and the name of an SRV record", shown(targets), "correct it or remove it", "targets")
            return None
        parsed = [parse_address(target) for target in targets]
        for target, split in zip(written["targets"], parsed, strict=True):
            if split and is_record_name(split[0]):
                wrong(
                    "address:port, with the IP address or the DNS name of one host",
                    f"{split[0]}, which is the name of an SRV record",
                    f"use targets: {SRV}{split[0]} for all targets and ports of that record, or the name of a host",
                    "targets",
                )
            elif not split or not (is_dialable(split[0]) or is_dns_name(split[0])):
                expected = WITHOUT_PORT if has_ports else "address:port, with the IP address or the DNS name of one host"
                wrong(expected, shown(target), "correct it", "targets")
        return parsed

    # -- what only the whole map shows ---------------------------------------------------------------------------

    def _same_variables(self):
        holders = {}
        for alias, link in self.links.items():
            prefix = variable_prefix(link["name"])
            count = len(link["targets"] or link["servers"])
            names = set()
            for name in [prefix] + [f"{prefix}_{number}" for number in range(1, count + 1) if count > 1]:
                for port in (link["port"], link["publish"]):
                    names.update(link_variables(name, port, "", port, link["protocol"]))
            # what the engines are told of a link is named after its alias
            own = f"AMBASSADOR_DRAIN_{variable_prefix(alias)}"
            # of one name with several ports the first has the variables without a port
            clashes = {
                holders[name]: name for name in [own, *sorted(names, reverse=True)] if holders.get(name, link["name"]) != link["name"]
            }
            for other, name in clashes.items():
                self.problems.append(f"links {other} and {alias}: expected variables of their own, found {name} in both; rename one.")
            holders.update(dict.fromkeys([own, *names], link["name"]))

    def _same_port(self):
        # over TLS the alias travels along, and tells the links of a shared port apart
        holders = {}
        for alias, link in self.links.items() if not self._tls else ():
            holders.setdefault((link["publish"], link["protocol"]), []).append((alias, link["servers"]))
        for (port, __), wanting in holders.items():
            # hosts may be many: they are looked at only where a port is wanted twice at all
            wanted = {}
            for alias, hosts in wanting if len(wanting) > 1 else ():
                for host in hosts:
                    wanted.setdefault(host, []).append(alias)
            clashes = {}
            for host, aliases in wanted.items():
                if len(aliases) > 1:
                    clashes.setdefault(tuple(aliases), []).append(host)
            for aliases, hosts in clashes.items():
                name, *others = dict.fromkeys(self.links[alias]["name"] for alias in aliases)
                key = "publish" if any(self.links[alias]["has_publish"] for alias in aliases) else "port"
                self.problems.append(
                    f"links {', '.join(aliases)}: expected a listening port of their own, found {key} {port} more than once"
                    f" on the server side of {_some(hosts)}; set publish of all but one to another port."
                    if others
                    else f"link {name}, publish: expected a listening port for each of its ports, found {port} for all of them;"
                    " remove publish, or set ambassador_tls to true."
                )

    def _same_local(self):
        links = [link for link in self.links.values() if link["local"]]
        for number, link in enumerate(links):
            for other in links[:number]:
                hosts = [host for host in link["clients"] if host in other["clients"]]
                if hosts and link["protocol"] == other["protocol"] and overlap(link["local"], other["local"]):
                    self.problems.append(
                        f"links {other['alias']}, {link['alias']}: expected a local of their own, found {endpoint(*other['local'])}"
                        f" and {endpoint(*link['local'])} on the client side of {_some(hosts)}; change one."
                    )

    def _loops(self):
        """Follow every backend that is itself an alias or a ``local`` on the host that serves the link: it must not lead back."""
        named = {}
        for alias, link in self.links.items():
            # Docker's names have no case
            named.setdefault(link["name"].lower(), []).append(alias)
        opened = [other for other, link in self.links.items() if link["local"]]
        for alias, link in self.links.items():
            if not link["backend"]:
                continue
            if names.PROXY.fullmatch(link["backend"][0].partition(".")[0]):
                self.problems.append(
                    f"link {alias}, backend: expected a service, found the ambassador {link['backend'][0]}; name the service."
                )
            seen, ahead = set(), [(alias, host) for host in link["servers"]]
            while ahead:
                step = ahead.pop()
                if step in seen:
                    continue
                seen.add(step)
                last, host = self.links[step[0]], step[1]
                by_name = [other for other in self._answering(last, named) if host in self.links[other]["clients"]]
                by_port = [other for other in opened if _opens(self.links[other], last) and host in self.links[other]["clients"]]
                if any(self.links[other]["name"] == link["name"] for other in by_name):
                    self.problems.append(
                        f"link {alias}, backend: expected a name that does not lead back to the link, found that {last['backend'][0]!r} is"
                        f" its own alias on {host} (the traffic would go round); give the container another name."
                    )
                    break
                if any(self.links[other]["name"] == link["name"] for other in by_port):
                    self.problems.append(_leads_back(link, "backend", link["backend_as_written"], host))
                    break
                ahead += [(other, server) for other in by_name + by_port for server in self.links[other]["servers"]]

    def _answering(self, link, named):
        """Return the aliases of the links to whose client side the backend of a link leads by its name, where that is on the same host.

        Docker knows a container by its names on each of its networks, and by these with the network behind a dot.
        """
        name, network = (link["backend"] or ("",))[0].lower(), link["network"]
        if name == HOST or not name:
            return []
        if not network and "." in name:
            name, network = name.partition(".")[0], link["backend"][0].partition(".")[2]
        return [
            other
            for other in named.get(name, [])
            if not network or network == self._network_name or network in self.links[other]["networks"]
        ]

    def _server_names(self):
        """Compare the names that the servers of a link have in haproxy.cfg: the backend, and the hosts that serve the link."""
        if self._engine != "haproxy":
            return
        # hosts may be many, and few have another name there
        renamed = {host: name for host in self.hosts for name in [SERVER_CHARACTERS.sub("_", host)] if name != host}
        reserved = {host for host in self.hosts if SERVER_NAME.fullmatch(host)}
        for alias, link in self.links.items():
            hosts = [] if link["targets"] else link["servers"]
            name = link["backend"][0] if link["backend"] else ""
            called = {}
            for host in hosts if renamed else ():
                called.setdefault(renamed.get(host, host), []).append(host)
            self.problems += [
                f"Link {alias}, key servers: HAProxy has one name, {one}, for the hosts {', '.join(same)}. Rename all but one of"
                " them in the inventory."
                for one, same in called.items()
                if len(same) > 1
            ]
            self.problems += [
                f"Link {alias}, key servers: HAProxy has names like {host} for servers of its own. Rename the host in the"
                " inventory; its name must not begin with a dot, or end with .replica and a number."
                for host in hosts
                if host in reserved
            ]
            if SERVER_NAME.fullmatch(name):
                self.problems.append(
                    f"Link {link['name']}, key backend: HAProxy has names like {name} for servers of its own. Rename the container; its"
                    " name must not end with .replica and a number."
                )
            elif len(hosts) > 1 and (name in hosts or name in called):
                self.problems.append(
                    f"Link {link['name']}, key backend: {link['backend_as_written']!r} has the name of the server host {name}. A backend"
                    f" is a container of each server host. Use another name for the container, or {_on_the_host(link)} for a program on the"
                    " server host."
                )

    def _names(self):
        if not self._tls:
            return
        wrong = [host for host in self.hosts if not CERTIFIED.fullmatch(host)]
        identities = {}
        for host in self.hosts:
            # DNS names have no case: RFC 4343
            identities.setdefault(certified(host).lower(), []).append(host)
        self.problems += [
            f"Hosts {', '.join(hosts)}: their certificates would be for the same name, {name}. Rename all but one of them in the inventory."
            for name, hosts in identities.items()
            if len(hosts) > 1
        ]
        for alias, link in self.links.items():
            for host in wrong:
                if host in link["servers"] + link["clients"]:
                    self.problems.append(
                        f"link {alias}: expected names of hosts that a certificate can hold (letters, digits and _.:-), found"
                        f" {host!r}; rename the host in the inventory, or set ambassador_tls to false."
                    )
            if link["targets"] and len(link["servers"]) not in (0, 1, len(link["targets"])):
                self.problems.append(
                    f"link {alias}, targets: expected one for each of its servers ({', '.join(link['servers'])}), whose names are verified,"
                    f" found {len(link['targets'])}; correct targets or servers."
                )

    def _abilities(self, engine):
        # engine -> what the map asks for, and the engine cannot do
        lacks = {}
        for name, missing in ENGINES.items():
            needed = {feature for link in self.links.values() for feature in self._asked_features(link, name)}
            lacks[name] = [feature for feature in missing if feature in needed or (feature == "TLS" and self._tls)]
        if "TLS" in lacks[engine]:
            able = [name for name, missing in lacks.items() if "TLS" not in missing]
            fit = [name for name in able if not lacks[name]]
            blocked = "" if fit else f" ({', '.join(f'{name} encrypts, but cannot do {_words(lacks[name])}' for name in able)})"
            self.problems.append(
                f"ambassador_engine: expected one that encrypts, as ambassador_tls asks for, found {engine}; set"
                + (f" ambassador_engine to {', '.join(fit)}, or" if fit else "")
                + f" ambassador_tls to false, and {UNENCRYPTED}{blocked}."
            )
        for alias, link in self.links.items():
            for feature in self._asked_features(link, engine):
                if feature in lacks[engine]:
                    able = [name for name in ENGINES if feature not in ENGINES[name]]
                    fit = [name for name in able if not lacks[name]]
                    plain = [name for name in able if lacks[name] == ["TLS"]]
                    choices = [f"balance {balance}" for balance in CHOICES["balance"] if f"balance {balance}" not in ENGINES[engine]]
                    instead = f"ask for {' or '.join(choices)}" if _is_several(link) and choices and feature in BALANCES else "remove it"
                    if fit:
                        remedy = f"set ambassador_engine to {', '.join(fit)} or {instead}"
                    elif plain:
                        remedy = f"{instead}, or set ambassador_engine to {', '.join(plain)} and ambassador_tls to false, and {UNENCRYPTED}"
                    else:
                        blocked = ", ".join(f"{name} can, but not {_words(lacks[name])}" for name in able)
                        remedy = f"{instead} ({blocked})"
                    self.problems.append(f"link {alias}: expected what engine {engine} can do, found {feature}, which it cannot; {remedy}.")

    @staticmethod
    def _asked_features(link, engine):
        """Return what a link asks of an engine, in the words of ``ENGINES``."""
        # a check of none, and TCP, need nothing
        plain = ("check", *FRACTIONS, LIMIT, *SECONDS, PROXY)
        asked = [key if key in plain else f"{key} {link[key]}" for key in link["asked"] if link[key] != "none"]
        if not all(is_address(address) for address, __ in link["targets"] or []):
            asked.append("a DNS name")
        if _is_several(link):
            asked.append("several targets" if "several targets" in ENGINES[engine] else f"balance {link['balance']}")
        return list(dict.fromkeys(asked))

    # -- resolve -------------------------------------------------------------------------------------------------

    def side(self, host, side, hostvars):
        """Resolve the map for one host and side.

        :param str host: inventory name of the host
        :param str side: ``server`` or ``client``
        :param hostvars: host name -> its variables
        :return: ``problems`` (list of str: those of the map, then those of this side), ``unknown`` (list of str: hosts whose address
            neither variables nor facts give), ``is_in_map`` (bool: whether any link names the host),
            ``left_out`` (dict: client host -> aliases to which it is not let in, for its address is
            not known), ``holder`` (name of the side's ambassador), ``serves_itself`` (bool:
            whether the client side of this host connects to the container ``holder`` of its server side), ``variables`` (dict of
            str: the link variables that are this side's input), ``publish`` (list of dicts ``alias``, ``key``, ``address``, ``port``,
            ``container_port``, ``protocol``: what is opened on the host), ``addresses`` (dict: host -> ``origin`` of its address, and
            ``others``, list of str), ``sources`` (dict: host that connects to a server side -> its addresses, as
            :func:`source_addresses` returns them) and ``links`` (list of dicts ``alias``, ``listen`` (a port), ``number`` (the port in
            the names of its variables), ``protocol``, ``check``, ``balance``, ``wait`` and ``drain`` (seconds), ``connect`` and
            ``check_interval`` (milliseconds, or None), ``send_proxy`` (bool), ``backend``, ``servers`` (list of str), ``name`` (what
            consumers dial: the
            alias, but of one of
            several ports without the port), ``consumer`` (dict of str: the variables of a consumer on a client host), ``also`` (list of
            int: ports beside ``listen``; none, but where :mod:`handover` adds them), ``place`` (number of the side's container that
            carries it: the first one, but where :mod:`containers` gives it another), on the server side ``clients`` (list of str) and
            ``admitted`` (list of str: who may connect, names with TLS, addresses without, ``gateway`` for the host itself and the
            network of its ambassadors), and
            ``targets``, a list of dicts ``name``, ``address``, ``port``, ``variable``, ``verify`` (the name
            that its certificate must hold; None where it speaks no TLS), ``dns`` (the type of the record that is asked for, ``A`` or
            ``SRV``; None for an address, and for a backend), ``on_this_host`` (bool: whether the address is the name of the container of
            the server side on the same host), ``families`` (``ip``, ``ip6``): on the server side the backend
            first, then the other hosts that serve the link)
        :rtype: dict
        :raises ValueError: for a side that is neither
        """
        if side not in SIDES:
            raise ValueError(f"side: expected one of {', '.join(SIDES)}, found {side!r}")
        resolved = {"problems": list(self.problems), "unknown": [], "variables": {}, "publish": []}
        resolved.update(links=[], addresses={}, sources={}, left_out={}, holder=names.ambassador(side, self._mesh), serves_itself=False)
        for alias, link in self.links.items():
            if host in link[f"{side}s"]:
                getattr(self, f"_{side}")(resolved, alias, link, host, hostvars)
        resolved["is_in_map"] = bool(resolved["links"]) or (any(map(self._only, self._patterns)) if self._only else host in self.hosts)
        return resolved

    def _server(self, resolved, alias, link, host, hostvars):
        # behind NAT the address that others dial is none of the host's own
        bind = self._bind(resolved, alias, host, hostvars) or _published(self._address(resolved, alias, host, hostvars))
        name, port = link["backend"]
        resolved["problems"] += self._own_backend_problems(resolved, link, host, hostvars, bind)
        # a connection that finds the backend just dead is handed on to another host that serves the link
        peers = [] if link["targets"] else [server for server in link["servers"] if server != host]
        targets = [(peer, self._address(resolved, alias, peer, hostvars), link["publish"], peer) for peer in peers]
        self._reachable(resolved, alias, host, targets)
        # Docker's own form for a name on one network, for another one may have it too; the host and an address are on none
        named = name != HOST and not is_address(name)
        place = f"{name}.{link['network']}" if link["network"] and named else name
        # the number in the name is the port that this side listens on: two links may share `port`, never `publish`
        # but for the ports of one name that share it
        number = link["port"] if link["shares"] else link["publish"]
        self._add(resolved, link, link["publish"], number, [(name, place, port, None), *targets], backends=1)
        resolved["links"][-1]["networks"] = [link["network"]] if link["network"] else []
        admitted = link["clients"] + peers if self._admits else []
        for name in admitted:
            if name != host and name not in resolved["sources"]:
                resolved["sources"][name] = source_addresses(hostvars[name])
        if self._tls:
            admitted = [certified(name) for name in admitted]
        else:
            # the host itself connects from the network of its ambassadors
            local = ["gateway"] if host in admitted else []
            admitted = [self._admitted_address(resolved, alias, name, hostvars, name in peers) for name in admitted] + local
        resolved["links"][-1].update(admitted=list(dict.fromkeys(filter(None, admitted))), clients=list(link["clients"]))
        resolved["serves_itself"] = resolved["serves_itself"] or (host in link["clients"] and not link["targets"])
        if (link["publish"], link["protocol"]) not in [(published["port"], published["protocol"]) for published in resolved["publish"]]:
            self._publish(resolved, link, "publish", bind, link["publish"], link["publish"])

    def _own_backend_problems(self, resolved, link, host, hostvars, bind):
        """Return the problem of a backend that is a port that the ambassadors publish on the same host."""
        name, port = link["backend"]
        if name != HOST and not is_address(name):
            return []
        variables, problem, protocol = hostvars[host], None, link["protocol"]
        own, is_everywhere = own_addresses(variables), bind in WILDCARDS
        if any((served["publish"], served["protocol"]) == (port, protocol) and host in served["servers"] for served in self.links.values()):
            if name == HOST and is_everywhere:
                problem = (
                    f"Link {link['name']}, key backend: {link['backend_as_written']!r} is the ambassador itself, which publishes this port"
                    f" on all addresses of host {host}. Set publish to another port, or ambassador_bind of {host} to one of its addresses."
                )
            elif name in (bind, host_address(variables)[0]) or (is_everywhere and name in own):
                problem = (
                    f"Link {link['name']}, key backend: {link['backend_as_written']!r} is the ambassador itself, which publishes this port"
                    f" on this address of host {host}. Use {_on_the_host(link)} for a program on the host."
                )
        if link["local"] in ((address, port) for address in WILDCARDS) and name in own and host in link["clients"]:
            problem = problem or _leads_back(link, "backend", link["backend_as_written"], host)
        return [problem] if problem and problem not in resolved["problems"] else []

    def _own_target_problems(self, link, host, hostvars):
        """Return the problem of targets that lead back to the link through ``local`` of links on the same host."""
        if not link["targets"] or not link["local"]:
            return []
        opened = [other for other in self.links.values() if other["local"] and host in other["clients"]]
        own, seen, ahead = own_addresses(hostvars[host]), [], [(link, target) for target in link["targets"]]
        for last, (address, port) in ahead:
            for other in opened:
                at, is_open = other["local"][0], other["local"][1] == port and other["protocol"] == last["protocol"]
                if not is_open or not (at == address or (at in WILDCARDS and address in own)) or other["alias"] in seen:
                    continue
                if other is link:
                    return [_leads_back(link, "targets", endpoint(address, port), host)]
                seen.append(other["alias"])
                ahead += [(other, target) for target in other["targets"] or []]
        return []

    def _client(self, resolved, alias, link, host, hostvars):
        if link["targets"]:
            # without a server host there is no server side that speaks TLS
            servers = (
                link["servers"] if len(link["servers"]) == len(link["targets"]) else (link["servers"][:1] or [None]) * len(link["targets"])
            )
            pairs = enumerate(zip(link["targets"], servers, strict=True), 1)
            targets = [(f"target{number}", *target, server) for number, (target, server) in pairs]
        else:
            addresses = {
                # A firewall of the host can drop what its own containers send to its address. It never sees a network between containers.
                server: names.ambassador("server", self._mesh) if server == host else self._address(resolved, alias, server, hostvars)
                for server in link["servers"]
            }
            targets = [(server, address, link["publish"], server) for server, address in addresses.items()]
        self._reachable(resolved, alias, host, targets)
        resolved["problems"] += self._own_target_problems(link, host, hostvars)
        self._add(resolved, link, link["port"], link["port"], targets, backends=0)
        resolved["links"][-1].update(local=bool(link["local"]), networks=link["networks"])
        if link["local"]:
            address, port = link["local"]
            self._publish(resolved, link, "local", address, port, link["port"])
            for served in self.links.values():
                if host not in served["servers"] or served["protocol"] != link["protocol"]:
                    continue
                bind = spelled(hostvars[host].get("ambassador_bind")) or _published(host_address(hostvars[host])[0])
                published = bind, served["publish"]
                if overlap(link["local"], published):
                    resolved["problems"].append(
                        f"link {alias}, local: expected an address and port of its own, found {endpoint(address, port)}, where the"
                        f" server side of {host} publishes link {served['alias']}; change one."
                    )

    def _reachable(self, resolved, alias, host, targets):
        for name, address, port, __ in targets:
            if ":" in address and not self._ipv6:
                ipv4 = (
                    "write an IPv4 address in targets"
                    if self.links[alias]["targets"]
                    else f"set ambassador_address of {name} to one of IPv4"
                )
                resolved["problems"].append(
                    f"link {alias}: expected a target that the network of the ambassadors reaches, found {endpoint(address, port)}"
                    f" and a network without IPv6; set ambassador_ipv6 to true, or {ipv4}."
                )

    @staticmethod
    def _publish(resolved, link, key, address, port, container_port):
        published = {"alias": link["alias"], "key": key, "address": address, "port": port, "container_port": container_port}
        resolved["publish"].append({**published, "protocol": link["protocol"]})

    @staticmethod
    def _bind(resolved, alias, host, hostvars):
        bind = hostvars[host].get("ambassador_bind")
        if bind and not is_address(bind):
            resolved["problems"].append(
                f"link {alias}: expected an IP address of host {host} to publish on, found {bind!r} in ambassador_bind; correct it."
            )
        return spelled(bind)

    def _address(self, resolved, alias, host, hostvars):
        address, origin = host_address(hostvars[host])
        if address is None:
            if host not in resolved["unknown"]:
                resolved["unknown"].append(host)
            resolved["problems"].append(
                f"link {alias}: expected an address of host {host}, found none in {origin};"
                f" set ambassador_address for {host}, or let its facts be gathered."
            )
            return ""
        if host not in resolved["addresses"]:
            resolved["addresses"][host] = {"origin": origin, "others": other_addresses(hostvars[host], address)}
        if is_record_name(address):
            resolved["problems"].append(
                f"Host {host}, {origin}: {address} begins with an underscore, as only names of SRV records do. Use an IP address, or a DNS"
                " name that has addresses."
            )
        elif not is_dialable(address) and not is_dns_name(address):
            resolved["problems"].append(
                f"link {alias}: expected a dialable IP address or a DNS name of host {host}, found {address!r} in {origin}; correct it."
            )
        if is_dns_name(address) and not self._resolves:
            resolved["problems"].append(
                f"link {alias}: expected an IP address of host {host}, for engine {self._engine} asks no DNS, found {address} in {origin};"
                " set ambassador_engine to haproxy, or give an address."
            )
        return address

    def _admitted_address(self, resolved, alias, host, hostvars, serves):
        """Return the address of a host that may connect; none of one that only consumes and is away, which does not hold up the others."""
        address = host_address(hostvars[host])[0]
        if is_dns_name(address) and self._resolves:
            resolved["problems"].append(
                f"link {alias}: expected an IP address of host {host}, by which it is let in without TLS, found {address}; set"
                " ambassador_tls to true, or give an address in ambassador_address."
            )
        if serves or address is not None:
            return self._address(resolved, alias, host, hostvars)
        if host not in resolved["unknown"]:
            resolved["unknown"].append(host)
        resolved["left_out"].setdefault(host, []).append(alias)
        return ""

    def _families(self, address):
        """Return the families in which a target may be dialled, in the words of nftables; a name can stand for both."""
        if is_address(address):
            return ["ip6" if ":" in address else "ip"]
        return ["ip", "ip6"] if self._ipv6 else ["ip"]

    def _add(self, resolved, link, listen, number, targets, backends):
        """Add a link; so many of its targets, the first ones, are backends, whose names Docker knows."""
        prefix, protocol = variable_prefix(link["name"]), link["protocol"]
        entries = []
        for position, (name, address, port, server) in enumerate(targets, 1):
            numbered = f"{prefix}_{position}" if len(targets) > 1 else prefix
            variable = f"{numbered}_PORT_{number}_{protocol.upper()}"
            verify = certified(server) if self._tls and server else None
            entry = {"name": name, "address": address, "port": port, "variable": variable, "verify": verify}
            entry["dns"] = None if position <= backends else _asked(address)
            entry["on_this_host"] = position > backends and bool(names.AMBASSADOR.fullmatch(address))
            entries.append({**entry, "families": self._families(address)})
        resolved["links"].append(
            {
                "alias": link["alias"],
                "name": link["name"],
                "also": [],
                "place": 1,
                "listen": listen,
                "number": number,
                "protocol": protocol,
                "check": link["check"],
                "balance": link["balance"],
                **{key: link[key] for key in (*FRACTIONS, LIMIT, PROXY)},
                **{key: int(link[key]) for key in SECONDS},
                # without a server side, the service is the target
                "backend": endpoint(*(link["backend"] or link["targets"][0])),
                "servers": list(link["servers"]),
                "consumer": consumer_variables(link["name"], link["port"], protocol),
                "targets": entries,
            }
        )
        # of several ports of one name the first has the variables without a port
        for name, value in side_variables(resolved["links"][-1], resolved["holder"]).items():
            resolved["variables"].setdefault(name, value)


def _asked(address):
    """Return the type of the DNS record behind an address, None where it is none."""
    if is_record_name(address):
        return "SRV"
    return "A" if is_dns_name(address) else None


def _published(address):
    """Return what a server host publishes on by default, from the address that others dial."""
    return EVERYWHERE if is_dns_name(address) else address


def _kind(value):
    kinds = ((str, "a string"), (bool, "a boolean"), ((int, float), "a number"), ((list, tuple), "a list"))
    return next((name for types, name in kinds if isinstance(value, types)), "nothing" if value is None else "something else")


def is_port(value):
    """Tell whether a value is a port: a number from 1 to 65535, or its digits.

    :param value: anything
    :rtype: bool
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return False
    return bool(re.fullmatch(r"[0-9]{1,5}", str(value))) and 1 <= int(value) <= 65535


def _is_several(link):
    return len(link["targets"] or link["servers"]) > 1


def _words(features):
    return " or ".join(features)


def _is_host(value):
    return is_address(value) or bool(BACKEND_HOST.fullmatch(value))


def _on_the_host(link):
    """Return how a user writes a backend that is a program on the host: with ``ports``, without a port."""
    return HOST if link["alias"] != link["name"] else f"{HOST}:{link['backend'][1]}"


def _backend_problems(link):
    """Return the problem of a backend that no container reaches, or that is the ambassador itself.

    :param dict link: the link
    :rtype: list[str]
    """
    name, host = link["backend"][0], _on_the_host(link)
    where = f"Link {link['name']}, key backend: {link['backend_as_written']!r}"
    if is_address(name):
        address = unmapped(name)
        if address.is_loopback or address.is_unspecified:
            return [f"{where} is the ambassador itself, which has an address of its own. Use {host} for a program on the server host."]
        if address.is_multicast or str(address) == "255.255.255.255" or (address.version == 6 and address.is_link_local):
            return [f"{where} is not an address of one host that a container reaches. Use {host} for a program on the server host."]
        return []
    if name == HOST:
        return []
    if not link["network"] and OWN_NAMES.fullmatch(name):
        return [f"{where} is the ambassador itself, which has an address of its own. Use {host} for a program on the server host."]
    if not link["network"] and NUMERIC.fullmatch(name):
        return [f"{where} is neither a complete IP address nor a name that DNS resolves. Write the whole address, or rename the container."]
    if link["network"] and not BACKEND_HOST.fullmatch(f"{name}.{link['network']}"):
        return [
            f"Link {link['name']}, key network: Docker's DNS cannot resolve {name}.{link['network']}. Rename the network: between two dots"
            " are 1 to 63 characters, at the end is no dot, and all has at most 253 characters."
        ]
    return []


def _opens(link, last):
    """Return whether the backend of a link leads to what another link opens on the same host."""
    if not link["local"] or not last["backend"] or link["protocol"] != last["protocol"]:
        return False
    name, port = last["backend"]
    return (name, port) == link["local"] or (name == HOST and port == link["local"][1] and link["local"][0] in WILDCARDS)


def _leads_back(link, key, value, host):
    return (
        f"Link {link['name']}, key {key}: {value!r} leads back to the link, because the link opens {endpoint(*link['local'])} on host"
        f" {host} (key local). Set {key} to the service, or local to another port."
    )


def _some(hosts, most=3):
    return ", ".join(hosts[:most]) + (f" and {len(hosts) - most} more" if len(hosts) > most else "")
