# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that judges what was found on the hosts against what the wiring wants. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status
short_description: Judges what the links do
version_added: 0.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Holds what was found on the hosts against what the wiring wants, and says so in a table and in sentences.
options:
  _input:
    description:
      - What was found, by host. C(unreachable) says why a host does not answer; else C(engine) is its engine, C(network) that of its
        ambassadors, C(observed) what M(crosshost.ambassador.observe) returned, and C(server) and
        C(client) are its sides, each with C(wiring) (see the filter P(crosshost.ambassador.wiring#filter)),
        C(environment) (that of its container, where the engine is V(socat)) and C(info) (what M(crosshost.ambassador.ambassador_info)
        returned).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: No link has a trouble
  ansible.builtin.assert:
    that: (found | crosshost.ambassador.status).problems == []
"""

RETURN = r"""
_value:
  description:
    - C(lines), a table with a line for every target of every link, a list of strings.
    - C(warnings), what works and should be looked at, and C(problems), what does not work, a list of sentences each.
    - C(verdict), all in one sentence.
  type: dict
"""

import datetime
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils.containers import numbered
from ansible_collections.crosshost.ambassador.plugins.module_utils.names import ambassador
from ansible_collections.crosshost.ambassador.plugins.module_utils.plan import alias_problems
from ansible_collections.crosshost.ambassador.plugins.module_utils.proof import told
from ansible_collections.crosshost.ambassador.plugins.plugin_utils.table import aligned

SIDES = ("server", "client")
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

    :param dict answers: what was found: see the documentation above
    """

    def __init__(self, answers):
        self.rows, self.warnings, self.problems = [], [], []
        # the link of one primary and its replicas -> the hosts whose own backend is a primary, and those whose is a replica
        self.primaries, self.replicas = {}, {}
        self.links, self.sides = set(), 0
        for host, answer in answers.items():
            if not answer.get("unreachable"):
                self._roles(host, answer["server"])
        for host, answer in answers.items():
            if answer.get("unreachable"):
                self._problem(f"host {host}: expected Ansible to reach it, found: {answer['unreachable']}; make it reachable.")
                continue
            for side in SIDES:
                self._side(host, side, answer["engine"], answer[side], answer["observed"])
            for problem in alias_problems(host, answer["client"]["wiring"], answer["observed"], answer["network"]):
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
            elif " at step 5 " in (backend["last_check"] or ""):  # it answered the PING, and is not master
                self.replicas.setdefault(link["alias"], []).append(server_name(host))

    def _side(self, host, side, engine, found, observed):
        where, wiring, there = f"host {host}, {side} side", found["wiring"], numbered(side, observed)
        mesh = observed["mesh"]
        for problem in wiring["problems"]:
            # a host that is not reached, or not asked, has been told already, or needs not be
            if not any(f"expected an address of host {unknown}," in problem for unknown in wiring["unknown"]):
                self._problem(problem)
        error = observed["docker"]["error"]
        stopped = {ambassador(side, mesh, number): one["state"] for number, one in there.items() if one["state"] != "running"}
        if error:
            self._problem(f"host {host}: expected a Docker Engine that answers, found: {error}; start it.")
        elif not wiring["links"]:
            for number in there:
                name = ambassador(side, mesh, number)
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

    def _row(self, host, side, alias, port, *cells):
        self.links.add(alias)
        self.rows.append((host, side, alias, port, *cells))

    def _socat(self, host, side, where, found):
        """Of socat Docker knows what it was told to dial, and that it runs."""
        environment = dict(line.partition("=")[::2] for line in found["environment"])
        for link in found["wiring"]["links"]:
            for target in link["targets"]:
                name, url = target["variable"], environment.get(target["variable"])
                if url is None:
                    self._problem(f"{where}, link {link['alias']}: expected {name} in the container's environment, found none; {DEPLOY}.")
                else:
                    dialled = url.rpartition("/")[2]
                    self._row(host, side, link["alias"], link["listen"], target["name"], dialled, "not checked", "-", "-", "-")

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
        self._certificate(where, info.get("certificate"))
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

    def _certificate(self, where, certificate):
        """Warn of a certificate that any run would have renewed, when half of the time is over that there was for one."""
        if not certificate:
            return
        begin, end = (datetime.datetime.strptime(certificate[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("not_before", "not_after"))
        if certificate["seconds_left"] <= 0:
            self._problem(
                f"{where}: expected a valid certificate, found one that expired {certificate['not_after']}; {DEPLOY}, which renews it."
            )
        elif certificate["seconds_left"] < (end - begin).total_seconds() / 3:
            self.warnings.append(f"{where}: its certificate expires {certificate['not_after']}; {DEPLOY}, which renews it.")

    def _link(self, host, side, where, link, carried):
        port = f"{link['listen']} shut" if carried["listen"] == "shut" else link["listen"]
        replicas = self.replicas.get(link["alias"], [])
        for target in carried["targets"]:
            check = target["check_status"] or "-"
            change = age(target["last_change"])
            # where nothing is checked, what has come is all that there is to see
            connections = target["connections"] if target["state"] != "not checked" else f"{target['connections']} of {target['total']}"
            row = (target["name"], target["address"] or "-", target["state"], check, connections, change)
            self._row(host, side, link["alias"], port, *row)
        for old in carried["leaving"]:
            self._row(host, side, link["alias"], port, old["name"] or "-", old["address"] or "-", "leaving", "-", old["connections"], "-")
        down = [target for target in carried["targets"] if not target["up"]]
        for target in carried["targets"]:
            if target["state"].startswith("UP ("):
                self.warnings.append(f"{where}: expected all containers behind {target['name']} up, found {told(target)}.")
        if len(down) == len(carried["targets"]):
            self._problem(
                f"{where}: expected a target that is up, found {'; '.join(told(target, side) for target in down)};"
                " start the service there, or mend the way to it."
            )
        else:
            for target in down:
                # a replica is down by design, seen from its own host or from any other
                stands_for = server_name(host) if side == "server" and target is carried["targets"][0] else target["name"]
                if stands_for not in replicas:
                    self.warnings.append(f"{where}: expected all targets up, found {told(target, side)}, for {age(target['last_change'])}.")
        if carried["held"]:
            self.warnings.append(f"{where}: {carried['held']} connections are held, for want of a target that is up.")

    def _drift(self, where, side, link, carried):
        wanted, dialled = [], []
        for number, target in enumerate(link["targets"]):
            # HAProxy resolves the backend's name itself; the address of a host may not be known here
            fixed = target["address"] and (side == "client" or number)
            address = f"[{target['address']}]" if ":" in target["address"] else target["address"]
            wanted.append(f"{server_name(target['name'])} ({address}:{target['port']})" if fixed else server_name(target["name"]))
        for number, target in enumerate(carried["targets"]):
            known = number >= len(wanted) or wanted[number].endswith(")")
            dialled.append(f"{target['name']} ({target['address']})" if known else target["name"])
        if wanted != dialled:
            self.warnings.append(f"{where}: expected the targets {', '.join(wanted)}, found {', '.join(dialled)}; {DEPLOY}.")

    def verdict(self):
        """Return all in one sentence."""
        if self.problems:
            return f"expected no trouble, found {len(self.problems)}:"
        links = ", ".join(sorted(self.links)) or "none"
        return f"all is well: links {links}, {self.sides} sides, warnings {len(self.warnings)}"

    def lines(self):
        """Return the table, its columns aligned."""
        return aligned([HEAD, *self.rows])


def status(answers):
    """Judge what was found on the hosts: see the documentation above."""
    judge = Judge(answers)
    return {"lines": judge.lines(), "warnings": judge.warnings, "problems": judge.problems, "verdict": judge.verdict()}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"status": status}
