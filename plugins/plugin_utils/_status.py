# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was found on the hosts, held against what the wiring wants. Pure Python without Ansible."""

from __future__ import annotations

import datetime
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils._names import name_side_container
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import seen_from, told
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_network import find_alias_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_engine_problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import aligned, printable

SIDES = ("server", "client")
# the shape of what is returned, docs/status.schema.json
FORMAT = 1
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
HEAD = ("host", "side", "link", "port", "target", "address", "state", "check", "connections", "since")
DEPLOY = "run crosshost.ambassador.site"


def age(seconds):
    """Return seconds as people write them: ``2m31s``.

    :param int | None seconds: the seconds
    :rtype: str
    """
    if seconds is None:
        return "-"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{seconds % 60}s" if minutes else f"{seconds}s"


def server_name(name):
    """Return the name that haproxy.cfg gives a target."""
    return re.sub("[^A-Za-z0-9_.:-]", "_", name)


class Judge:
    """Looks at one host and side after the other.

    :param dict answers: see :func:`status`
    """

    def __init__(self, answers):
        self.targets, self.hosts, self.history, self.warnings, self.problems = [], [], [], [], []
        # the link of one primary and its replicas -> the hosts whose own backend is a primary, and those whose is a replica
        self.primaries, self.replicas = {}, {}
        self.links, self.sides = {}, 0
        for host, answer in answers.items():
            if not answer.get("unreachable"):
                self._roles(host, answer["server"])
        for host, answer in answers.items():
            self.hosts.append({"name": host, "reached": not answer.get("unreachable"), "engine": answer.get("engine"), "sides": []})
            if answer.get("unreachable"):
                self._problem(f"host {host}: expected Ansible to reach it, found: {answer['unreachable']}; make it reachable.")
                continue
            self.warnings += clock.warnings(host, answer["observed"].get("clock_offset"))
            for side in SIDES:
                self._side(host, side, answer["engine"], answer[side], answer["observed"])
            for problem in find_alias_problems(host, answer["client"]["wiring"], answer["observed"], answer["network"]):
                self._problem(problem)
        for alias, hosts in self.primaries.items():
            if len(hosts) > 1:
                self._problem(
                    f"link {alias}: expected one primary, found {len(hosts)}: {' and '.join(hosts)} all answer ROLE master, and what is"
                    " written to one is not in the others; make all but one its replica (REPLICAOF)."
                )

    def _problem(self, sentence):
        if sentence not in self.problems:
            self.problems.append(sentence)

    def _roles(self, host, found):
        """Find out who is a primary: the server side's check asks the backend of its host for PING and ROLE."""
        for link in found["wiring"]["links"]:
            targets = found.get("info", {}).get("links", {}).get(link["alias"], {}).get("targets", [])
            if (link["check"], link["balance"]) != ("redis", "first") or not targets:
                continue
            backend = targets[0]
            if backend["up"] and backend["check_status"] == "L7OK":
                self.primaries.setdefault(link["alias"], []).append(host)
            elif " at step 5" in (backend["last_check"] or ""):  # it answered the PING, and is not master
                self.replicas.setdefault(link["alias"], []).append(server_name(host))

    def _side(self, host, side, engine, found, observed):
        where, wiring, there = f"host {host}, {side} side", found["wiring"], find_side_containers(side, observed)
        mesh = observed["mesh"]
        for problem in wiring["problems"]:
            # a host that is not reached, or not asked, has been told already, or needs not be
            if problem not in wiring["unknown_problems"]:
                self._problem(problem)
        if wiring["links"]:
            info = found.get("info", {})
            told_of = {"side": side, "generation": info.get("generation"), "certificate": info.get("certificate")}
            self.hosts[-1]["sides"].append(told_of)
            self.history += [{**entry, "host": host, "side": side} for entry in info.get("history", [])]
        for link in wiring["links"]:
            self._wanted(host, side, link)
        problem = find_engine_problem(host, observed["docker"])
        stopped = {name_side_container(side, mesh, number): one["state"] for number, one in there.items() if one["state"] != "running"}
        if problem:
            self._problem(problem)
        elif not wiring["links"]:
            for number in there:
                name = name_side_container(side, mesh, number)
                self.warnings.append(f"{where}: expected no container {name}, for no link wants it, found one; {DEPLOY}, which removes it.")
        elif not there:
            self._problem(f"{where}: expected the container {wiring['holder']}, found none; {DEPLOY}.")
        elif stopped:
            for name, state in stopped.items():
                self._problem(
                    f"{where}: expected the container {name} to run, found it {state}; `docker logs {name}` on the host says why."
                )
        else:
            self.sides += 1
            getattr(self, f"_{engine}")(host, side, where, found)

    def _wanted(self, host, side, link):
        """Take down which hosts are the servers and clients of a link, those that nobody asked included."""
        known = self.links.setdefault(link["alias"], {"servers": [], "clients": []})
        for key, names in ((f"{side}s", [host]), ("servers", link["servers"])):
            known[key] += [name for name in names if name not in known[key]]

    def _target(self, host, side, link, listens, **told_of):
        """Take down a target, as :func:`status` returns it."""
        unknown = dict.fromkeys(("check", "connections", "total", "since"))
        begin = {"host": host, "side": side, "link": link["alias"], "port": link["listen"], "listens": listens}
        self.targets.append({**begin, **unknown, **told_of})

    def _socat(self, host, side, where, found):
        """Of socat Docker knows what it was told to dial, and that it runs."""
        environment = dict(line.partition("=")[::2] for line in found["environment"])
        for link in found["wiring"]["links"]:
            for target in link["targets"]:
                name, url = target["variable"], environment.get(target["variable"])
                if url is None:
                    self._problem(f"{where}, link {link['alias']}: expected {name} in the container's environment, found none; {DEPLOY}.")
                else:
                    words = {"state": "not checked", "health": "unchecked"}
                    self._target(host, side, link, True, target=target["name"], address=url.rpartition("/")[2], **words)

    def _nftables(self, host, side, where, found):
        """Judge as with HAProxy; but a server side has no other target than its backend, for nothing checks that."""
        wiring = found["wiring"]
        if side == "server":
            wiring = {**wiring, "links": [{**link, "targets": link["targets"][:1]} for link in wiring["links"]]}
        self._haproxy(host, side, where, {**found, "wiring": wiring})

    def _haproxy(self, host, side, where, found):
        info = found.get("info", {})
        if "links" not in info:
            self._problem(f"{where}: {info.get('msg', 'expected its engine to be asked, found that it was not')}")
            return
        if info["generation"] != info["current"]:
            self._problem(
                f"{where}: expected generation {info['current']}, which is on disk, to run, found {info['generation']}; {DEPLOY},"
                " which loads it or says why it is refused."
            )
        self._certificate(host, where, info.get("certificate"))
        for link in found["wiring"]["links"]:
            carried = info["links"].get(link["alias"], {"listen": "gone"})
            if carried["listen"] == "gone":
                self._problem(
                    f"{where}, link {link['alias']}: expected it to be carried, found that its engine does not know it; {DEPLOY}."
                )
                continue
            self._link(host, side, f"{where}, link {link['alias']}", link, carried)
            self._drift(f"{where}, link {link['alias']}", side, link, carried)
        for alias in sorted(set(info["links"]) - {link["alias"] for link in found["wiring"]["links"]}):
            if info["links"][alias]["listen"] != "gone":
                self.warnings.append(f"{where}, link {alias}: expected only links of the map, found this one carried; {DEPLOY}.")

    def _certificate(self, host, where, certificate):
        """Report a certificate that is not valid, and one that any run would have renewed: half of the time for a renewal is over."""
        if not certificate:
            return
        begin, end = (datetime.datetime.strptime(certificate[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("not_before", "not_after"))
        # by the clock of the host
        if certificate["seconds_left"] > (end - begin).total_seconds():
            self._problem(
                f"{where}: its certificate is not valid before {certificate['not_before']}, which is later than the clock of the host says."
                f" {clock.REMEDY.format(host=host)}"
            )
        elif certificate["seconds_left"] <= 0:
            self._problem(
                f"{where}: expected a valid certificate, found one that expired {certificate['not_after']}; {DEPLOY}, which renews it."
            )
        elif certificate["seconds_left"] < (end - begin).total_seconds() / 3:
            self.warnings.append(f"{where}: its certificate expires {certificate['not_after']}; {DEPLOY}, which renews it.")

    def _link(self, host, side, where, link, carried):
        listens, down = carried["listen"] != "shut", [target for target in carried["targets"] if not target["up"]]
        replicas = self.replicas.get(link["alias"], [])

        def by_design(target):
            """A replica is down by design, seen from its own host or from any other."""
            return (server_name(host) if side == "server" and target is carried["targets"][0] else target["name"]) in replicas

        for target in carried["targets"]:
            self._target(
                host,
                side,
                link,
                listens,
                target=target["name"],
                address=target["address"],
                state=target["state"],
                health="standby" if not target["up"] and by_design(target) else health(target),
                check=target["check_status"],
                connections=target["connections"],
                # what has come is all that there is to see where nothing is checked
                total=target["total"],
                since=target["last_change"],
            )
            if target["up"] and target["replicas_down"]:
                self.warnings.append(f"{where}: expected all addresses of {target['name']} up, found {told(target)}.")
        for old in carried["leaving"]:
            words = {"state": "leaving", "health": "leaving", "connections": old["connections"]}
            self._target(host, side, link, listens, target=old["name"] or None, address=old["address"], **words)
        if len(down) == len(carried["targets"]):
            self._problem(
                f"{where}: expected a target that is up, found {'; '.join(told(target, seen_from(target, link, side)) for target in down)};"
                " start the service there, or mend the way to it."
            )
        else:
            for target in down:
                if not by_design(target):
                    words = told(target, seen_from(target, link, side))
                    self.warnings.append(f"{where}: expected all targets up, found {words}, for {age(target['last_change'])}.")
        if carried["held"]:
            self.warnings.append(f"{where}: {carried['held']} connections are held, for want of a target that is up.")

    def _drift(self, where, side, link, carried):
        expected = []
        for number, target in enumerate(link["targets"]):
            # HAProxy resolves the names of containers and names in DNS, so their addresses are not known here
            is_fixed = target["address"] and not target["dns"] and not target["on_this_host"] and (side == "client" or number)
            expected.append((server_name(target["name"]), endpoint(target["address"], target["port"]) if is_fixed else None))
        running = []
        for number, target in enumerate(carried["targets"]):
            is_compared = number >= len(expected) or expected[number][1] is not None
            running.append((target["name"], target["address"] if is_compared else None))
        if expected != running:
            texts = [", ".join(f"{name} ({address})" if address else name for name, address in targets) for targets in (expected, running)]
            self.warnings.append(f"{where}: expected the targets {texts[0]}, found {texts[1]}; {DEPLOY}.")

    def verdict(self):
        """Return all in one sentence."""
        if self.problems:
            return f"expected no trouble, found {len(self.problems)} problem{'s' * (len(self.problems) > 1)}"
        links = ", ".join(sorted({target["link"] for target in self.targets})) or "none"
        return f"all is well: links {links}, {self.sides} sides, warnings {len(self.warnings)}"


def health(target):
    """Return how a target is: ``up``, ``down``, ``degraded`` where it goes up or down or some of it is down, ``unchecked``.

    :param dict target: as the module ``ambassador_info`` returns it
    :rtype: str
    """
    if target["state"] in ("no check", "not checked"):
        return "unchecked"
    # HAProxy's words for one on its way: UP 1/3, DOWN 1/2
    if (target["up"] and target["replicas_down"]) or re.fullmatch(r"(UP|DOWN) \d+/\d+", target["state"]):
        return "degraded"
    return "up" if target["up"] else "down"


def together(healths):
    """Return how several are that are so each.

    :param healths: those of targets, or of the same link on several hosts
    :rtype: str
    """
    found = set(healths)
    if len(found) > 1:
        found.discard("standby")
    return found.pop() if len(found) == 1 else "degraded" if found else "unknown"


def link_health(targets, clients):
    """Return how a link is: as its client sides see it, or, where none is known, its server sides.

    :param list[dict] targets: those of the link, as :func:`status` returns them
    :param list[str] clients: the hosts that are to consume it, of which nothing may be known
    :rtype: str
    """
    for side, hosts in (("client", clients), ("server", [])):
        seen = {host: [] for host in hosts}
        for target in targets:
            if target["side"] == side and target["health"] != "leaving":
                seen.setdefault(target["host"], []).append(target["health"])
        if any(seen.values()):
            return together(map(together, seen.values()))
    return "unknown"


def certificate_days(certificate):
    """Return until when a certificate is valid, and for how many whole days.

    :param dict | None certificate: as the module ``ambassador_info`` returns it
    :rtype: dict | None
    """
    return {"not_after": certificate["not_after"], "days": certificate["seconds_left"] // 86400} if certificate else None


def judged(answer, mesh, now, render=None):
    """Return what was found on a host, or ``unreachable`` if it cannot be judged: a host may answer anything.

    :param dict answer: see :func:`status`
    :param str mesh: the mesh
    :param datetime.datetime now: the time in UTC
    :param render: callable: writes a status in another form; None if the run has only lines
    :rtype: dict
    """
    try:
        report = status({"": answer}, mesh, now)
        lines(report)
        if render:
            render(report)
    except Exception as error:
        return {"unreachable": f"an answer that cannot be read ({type(error).__name__})"}
    return answer


def status(answers, mesh, now):
    """Judge what was found on the hosts.

    :param dict[str, dict] answers: host -> what was found there. ``unreachable`` says why it does not answer; else ``engine`` is its
        engine, ``network`` that of its ambassadors, ``observed`` the result of ``observation_info``, and ``server`` and ``client``
        are its sides, each with ``wiring``, ``environment`` (list[str], that of its container, where the engine is socat) and
        ``info`` (what the module ``ambassador_info`` returned)
    :param str mesh: the mesh
    :param datetime.datetime now: the time in UTC
    :return: as docs/status.schema.json says
    :rtype: dict
    """
    judge, of_link = Judge(answers), {}
    for target in judge.targets:
        of_link.setdefault(target["link"], []).append(target)
    for host in judge.hosts:
        for side in host["sides"]:
            side["certificate"] = certificate_days(side["certificate"])
    return {
        "format": FORMAT,
        "time": now.strftime(ISO_8601),
        "mesh": mesh,
        "well": not judge.problems,
        "verdict": judge.verdict(),
        "problems": judge.problems,
        "warnings": judge.warnings,
        "hosts": judge.hosts,
        "links": [
            {"alias": alias, "health": link_health(of_link.get(alias, []), ends["clients"]), **ends}
            for alias, ends in sorted(judge.links.items())
        ],
        "targets": judge.targets,
        "history": sorted(judge.history, key=lambda entry: str(entry["time"]), reverse=True),
    }


def cells(target):
    """Return the cells of the table for a target.

    :param dict target: as :func:`status` returns it
    :rtype: tuple
    """
    connections = "-" if target["connections"] is None else target["connections"]
    if target["state"] == "not checked" and target["total"] is not None:
        connections = f"{connections} of {target['total']}"
    port = target["port"] if target["listens"] else f"{target['port']} shut"
    words = [target[key] or "-" for key in ("target", "address", "state", "check")]
    return (*(target[key] for key in ("host", "side", "link")), port, *words, connections, age(target["since"]))


def lines(found):
    """Return a status as lines for people: the table, the warnings, the problems, the verdict.

    :param dict found: as :func:`status` returns it
    :return: each line, and what it is: a health, ``warning``, ``problem``, ``verdict``, or None
    :rtype: list[tuple[str, str | None]]
    """
    head, *rows = aligned([HEAD, *map(cells, found["targets"])])
    return [
        (head, None),
        *zip(rows, (target["health"] for target in found["targets"]), strict=True),
        *((f"warning: {printable(sentence)}", "warning") for sentence in found["warnings"]),
        *((f"problem: {printable(sentence)}", "problem") for sentence in found["problems"]),
        (printable(found["verdict"]), "up" if found["well"] else "problem"),
    ]
