# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status of links: compares the answers of hosts with the wiring. Pure Python without Ansible."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils._names import name_side_container
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import seen_from, told
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message, Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_status import StatusMessage, format_count
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_network import find_alias_problems
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_problems import find_engine_problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideLink
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._status_report import (
    CertificateStatus,
    Health,
    HistoryEntry,
    HostAnswer,
    HostStatus,
    LinkEnds,
    LinkStatus,
    ObservedCertificate,
    ObservedLink,
    ObservedTarget,
    SideAnswer,
    SideOfLink,
    StatusReport,
    TargetStatus,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._table import align_rows, make_printable

# the format of the report, docs/status.schema.json
FORMAT = 1
ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"
HEAD = ("host", "side", "link", "port", "target", "address", "state", "check", "connections", "since")


def format_age(seconds: int | None) -> str:
    """Return a number of seconds in short form: ``2m31s``. None is unknown."""
    if seconds is None:
        return "-"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{seconds % 60}s" if minutes else f"{seconds}s"


def name_server(name: str) -> str:
    """Return the name of a target in haproxy.cfg."""
    return re.sub("[^A-Za-z0-9_.:-]", "_", name)


class StatusJudge:
    """Finds the problems, the warnings, and the facts of a status, one host and side after the other.

    :param answers: host -> its answer
    """

    def __init__(self, answers: dict[str, HostAnswer]):
        self.targets: list[TargetStatus] = []
        self.hosts: list[HostStatus] = []
        self.history: list[HistoryEntry] = []
        self.warnings: list[Problem | str] = []
        self.problems: list[Problem | str] = []
        # link with one primary -> hosts whose own backend is a primary, and server names of hosts whose own backend is a replica
        self.primaries: dict[str, list[str]] = {}
        self.replicas: dict[str, list[str]] = {}
        self.ends: dict[str, LinkEnds] = {}
        for host, answer in answers.items():
            if "unreachable" not in answer and "unreadable" not in answer:
                self._find_roles(host, answer["server"])
        for host, answer in answers.items():
            self._judge_host(host, answer)
        for alias, hosts in self.primaries.items():
            if len(hosts) > 1:
                self._add_problem(StatusMessage.SEVERAL_PRIMARIES.at(Place(link=alias), hosts=" and ".join(hosts)))

    def _add_problem(self, problem: Problem | str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _find_roles(self, host: str, answer: SideAnswer) -> None:
        """Find the primaries and the replicas: the check of a server side requests PING and ROLE from the backend of its host."""
        for link in answer["wiring"]["links"]:
            observed = answer.get("info", {}).get("links", {}).get(link["alias"])
            if (link["check"], link["balance"]) != ("redis", "first") or not observed or not observed["targets"]:
                continue
            backend = observed["targets"][0]
            if backend["up"] and backend["check_status"] == "L7OK":
                self.primaries.setdefault(link["alias"], []).append(host)
            elif " at step 5" in (backend["last_check"] or ""):  # it replied to PING, and is not a primary
                self.replicas.setdefault(link["alias"], []).append(name_server(host))

    def _judge_host(self, host: str, answer: HostAnswer) -> None:
        is_reached = "unreachable" not in answer and "unreadable" not in answer
        self.hosts.append({"name": host, "reached": is_reached, "engine": answer.get("engine") if is_reached else None, "sides": []})
        place = Place(host=host)
        if "unreadable" in answer:
            self._add_problem(StatusMessage.ANSWER_UNREADABLE.at(place, error=answer["unreadable"]))
        elif "unreachable" in answer:
            self._add_problem(StatusMessage.HOST_UNREACHABLE.at(place, reason=str(answer["unreachable"]).rstrip(". \n")))
        else:
            observed = answer["observed"]
            self.warnings += clock.warnings(host, observed.get("clock_offset"))
            self._judge_side(host, "server", answer, answer["server"])
            self._judge_side(host, "client", answer, answer["client"])
            for problem in find_alias_problems(host, answer["client"]["wiring"], observed, answer["network"]):
                self._add_problem(problem)

    def _judge_side(self, host: str, side: str, answer: HostAnswer, side_answer: SideAnswer) -> None:
        wiring, observed, place = side_answer["wiring"], answer["observed"], Place(host=host)
        containers = {
            name_side_container(side, observed["mesh"], number): container
            for number, container in find_side_containers(side, observed).items()
        }
        for problem in wiring["problems"]:
            # a host that is not reached has a problem of its own, and a host outside of the run needs none
            if problem not in wiring["unknown_problems"]:
                self._add_problem(problem)
        if wiring["links"]:
            info = side_answer.get("info", {})
            certificate = describe_certificate(info.get("certificate"))
            self.hosts[-1]["sides"].append({"side": side, "generation": info.get("generation"), "certificate": certificate})
            # the module returns entries of this form; host and side are not of the answer
            self.history += [{**entry, "host": host, "side": side} for entry in info.get("history", [])]  # type: ignore[typeddict-item]  # see above
        for link in wiring["links"]:
            self._add_ends(host, side, link)
        engine_problem = find_engine_problem(host, observed["docker"])
        stopped = {name: container["state"] for name, container in containers.items() if container["state"] != "running"}
        if engine_problem:
            self._add_problem(engine_problem)
        elif not wiring["links"]:
            self.warnings += [StatusMessage.CONTAINER_UNUSED.at(place, container=name) for name in containers]
        elif not containers:
            self._add_problem(StatusMessage.CONTAINER_MISSING.at(place, side=side, container=wiring["holder"]))
        elif stopped:
            for name, state in stopped.items():
                self._add_problem(StatusMessage.CONTAINER_STOPPED.at(place, side=side, container=name, state=state))
        elif answer["engine"] == "socat":
            self._judge_variables(host, side, side_answer)
        else:
            # nothing checks the other hosts of a server side with nftables
            checked = 1 if side == "server" and answer["engine"] == "nftables" else None
            links: list[SideLink] = [{**link, "targets": link["targets"][:checked]} for link in wiring["links"]]
            self._judge_engine(host, side, links, side_answer)

    def _add_ends(self, host: str, side: str, link: SideLink) -> None:
        """Add the servers and clients of a link, also those outside of the run."""
        ends = self.ends.setdefault(link["alias"], {"servers": [], "clients": []})
        hosts = ends["servers"] if side == "server" else ends["clients"]
        hosts += [] if host in hosts else [host]
        ends["servers"] += [name for name in link["servers"] if name not in ends["servers"]]

    def _judge_variables(self, host: str, side: str, side_answer: SideAnswer) -> None:
        """Judge a side with socat, of which Docker knows only the variables of the containers, and that these run."""
        environment = dict(line.partition("=")[::2] for line in side_answer["environment"])
        for link in side_answer["wiring"]["links"]:
            for target in link["targets"]:
                url = environment.get(target["variable"])
                if url is None:
                    place = Place(host=host, link=link["alias"])
                    self._add_problem(StatusMessage.VARIABLE_MISSING.at(place, side=side, variable=target["variable"]))
                    continue
                self.targets.append(
                    {
                        "host": host,
                        "side": side,
                        "link": link["alias"],
                        "port": link["listen"],
                        "listens": True,
                        "target": target["name"],
                        "address": url.rpartition("/")[2],
                        "state": "not checked",
                        "health": "unchecked",
                        "check": None,
                        "connections": None,
                        "total": None,
                        "since": None,
                    }
                )

    def _judge_engine(self, host: str, side: str, links: list[SideLink], side_answer: SideAnswer) -> None:
        """Judge a side whose engine the module ``ambassador_info`` asks."""
        info, place = side_answer.get("info", {}), Place(host=host)
        if "links" not in info:
            failed = StatusMessage.ENGINE_FAILED.at(place, side=side, reason=info["msg"]) if "msg" in info else None
            self._add_problem(failed or StatusMessage.ENGINE_NOT_ASKED.at(place, side=side))
            return
        if info["generation"] != info["current"]:
            running, current = str(info["generation"]), str(info["current"])
            self._add_problem(StatusMessage.GENERATION_DIFFERS.at(place, side=side, running=running, current=current))
        self._judge_certificate(place, side, info.get("certificate"))
        for link in links:
            observed = info["links"].get(link["alias"])
            if observed is None or observed["listen"] == "gone":
                self._add_problem(StatusMessage.LINK_NOT_FORWARDED.at(Place(host=host, link=link["alias"]), side=side))
                continue
            self._judge_link(host, side, link, observed)
            self._compare_targets(host, side, link, observed)
        for alias in sorted(set(info["links"]) - {link["alias"] for link in links}):
            if info["links"][alias]["listen"] != "gone":
                self.warnings.append(StatusMessage.LINK_NOT_IN_MAP.at(Place(host=host, link=alias), side=side))

    def _judge_certificate(self, place: Place, side: str, certificate: ObservedCertificate | None) -> None:
        """Report a certificate that is not valid, or that a run would already renew: half of the time for the renewal is over."""
        if not certificate:
            return
        begin, end = (datetime.datetime.strptime(certificate[name], ISO_8601) for name in ("not_before", "not_after"))
        # by the clock of the host
        left, lifetime = certificate["seconds_left"], (end - begin).total_seconds()
        if left > lifetime:
            self._add_problem(StatusMessage.CERTIFICATE_NOT_YET_VALID.at(place, side=side, not_before=certificate["not_before"]))
        elif left <= 0:
            self._add_problem(StatusMessage.CERTIFICATE_EXPIRED.at(place, side=side, not_after=certificate["not_after"]))
        elif left < lifetime / 3:
            self.warnings.append(StatusMessage.CERTIFICATE_EXPIRES.at(place, side=side, not_after=certificate["not_after"]))

    def _is_standby(self, host: str, side: str, link: SideLink, observed: ObservedLink, target: ObservedTarget) -> bool:
        """Return whether a target is a replica. It is down by design, seen from its own host and from all others."""
        is_own = side == "server" and target is observed["targets"][0]
        return (name_server(host) if is_own else target["name"]) in self.replicas.get(link["alias"], [])

    def _judge_link(self, host: str, side: str, link: SideLink, observed: ObservedLink) -> None:
        place, down = Place(host=host, link=link["alias"]), [target for target in observed["targets"] if not target["up"]]
        self._add_targets(host, side, link, observed)
        for target in observed["targets"]:
            if target["up"] and target["replicas_down"]:
                self.warnings.append(StatusMessage.TARGET_ADDRESSES_DOWN.at(place, side=side, target=f"{told(target)}."))
        descriptions = [f"{told(target, seen_from(target, link, side))}." for target in down]
        if len(down) == len(observed["targets"]):
            self._add_problem(StatusMessage.LINK_DOWN.at(place, side=side, targets=" ".join(descriptions)))
        else:
            for target, description in zip(down, descriptions, strict=True):
                if not self._is_standby(host, side, link, observed, target):
                    # the kernel does not know the time
                    message = StatusMessage.TARGET_DOWN if target["last_change"] is None else StatusMessage.TARGET_DOWN_SINCE
                    self.warnings.append(message.at(place, side=side, age=format_age(target["last_change"]), target=description))
        if observed["held"]:
            connections = format_count(observed["held"], "connection")
            self.warnings.append(StatusMessage.CONNECTIONS_HELD.at(place, side=side, connections=connections))

    def _add_targets(self, host: str, side: str, link: SideLink, observed: ObservedLink) -> None:
        side_of_link: SideOfLink = {
            "host": host,
            "side": side,
            "link": link["alias"],
            "port": link["listen"],
            "listens": observed["listen"] != "shut",
        }
        for target in observed["targets"]:
            is_standby = not target["up"] and self._is_standby(host, side, link, observed, target)
            self.targets.append(
                {
                    **side_of_link,
                    "target": target["name"],
                    "address": target["address"],
                    "state": target["state"],
                    "health": "standby" if is_standby else get_target_health(target),
                    "check": target["check_status"],
                    "connections": target["connections"],
                    # if nothing is checked, this is the only information
                    "total": target["total"],
                    "since": target["last_change"],
                }
            )
        for former in observed["leaving"]:
            self.targets.append(
                {
                    **side_of_link,
                    "target": former["name"] or None,
                    "address": former["address"],
                    "state": "leaving",
                    "health": "leaving",
                    "check": None,
                    "connections": former["connections"],
                    "total": None,
                    "since": None,
                }
            )

    def _compare_targets(self, host: str, side: str, link: SideLink, observed: ObservedLink) -> None:
        """Warn if the targets are not those of the map."""
        expected: list[tuple[str, str | None]] = []
        for number, target in enumerate(link["targets"]):
            # HAProxy resolves the names of containers and names in DNS, so their addresses are not known here
            is_fixed = target["address"] and not target["dns"] and not target["on_this_host"] and (side == "client" or number)
            expected.append((name_server(target["name"]), endpoint(target["address"], target["port"]) if is_fixed else None))
        running: list[tuple[str, str | None]] = []
        for number, observed_target in enumerate(observed["targets"]):
            is_compared = number >= len(expected) or expected[number][1] is not None
            running.append((observed_target["name"], observed_target["address"] if is_compared else None))
        if expected != running:
            texts = [", ".join(f"{name} ({address})" if address else name for name, address in targets) for targets in (expected, running)]
            place = Place(host=host, link=link["alias"])
            self.warnings.append(StatusMessage.TARGETS_DIFFER.at(place, side=side, expected=texts[0], running=texts[1]))

    def summarize(self) -> Problem:
        """Return the summary."""
        aliases, hosts = list(self.ends), format_count(len(self.hosts), "host")
        links = format_count(len(aliases), "link")
        if self.problems:
            problems = format_count(len(self.problems), "problem")
            message = StatusMessage.PROBLEMS if aliases else StatusMessage.PROBLEMS_WITHOUT_LINKS
            return message.at(problems=problems, links=links, hosts=hosts)
        link, warnings = aliases[0] if aliases else "", format_count(len(self.warnings), "warning")
        return self._choose_summary(aliases).at(links=links, link=link, hosts=hosts, warnings=warnings)

    def _choose_summary(self, aliases: list[str]) -> Message:
        """Return the message of a status without problems."""
        if not aliases:
            return StatusMessage.NO_LINKS_WITH_WARNINGS if self.warnings else StatusMessage.NO_LINKS
        if any(target["health"] == "unchecked" for target in self.targets):
            return StatusMessage.NO_PROBLEM_WITH_WARNINGS if self.warnings else StatusMessage.NO_PROBLEM
        if len(aliases) == 1:
            return StatusMessage.LINK_UP_WITH_WARNINGS if self.warnings else StatusMessage.LINK_UP
        return StatusMessage.LINKS_UP_WITH_WARNINGS if self.warnings else StatusMessage.LINKS_UP


def get_target_health(target: ObservedTarget) -> Health:
    """Return the health of a target. It is ``degraded`` while it goes up or down, or if some of its addresses are down."""
    if target["state"] in ("no check", "not checked"):
        return "unchecked"
    # HAProxy's words for a target that goes up or down: UP 1/3, DOWN 1/2
    if (target["up"] and target["replicas_down"]) or re.fullmatch(r"(UP|DOWN) \d+/\d+", target["state"]):
        return "degraded"
    return "up" if target["up"] else "down"


def combine_health(parts: Iterable[Health]) -> Health:
    """Return the health of a whole with these parts: the targets of a link, or a link on several hosts."""
    different = set(parts)
    if len(different) > 1:
        different.discard("standby")
    return different.pop() if len(different) == 1 else "degraded" if different else "unknown"


def get_link_health(targets: list[TargetStatus], clients: list[str]) -> Health:
    """Return the health of a link as its client sides see it, or, if none is known, as its server sides see it.

    :param targets: those of the link
    :param clients: the hosts that consume it; their targets may be unknown
    """
    for side, hosts in (("client", clients), ("server", [])):
        by_host: dict[str, list[Health]] = {host: [] for host in hosts}
        for target in targets:
            if target["side"] == side and target["health"] != "leaving":
                by_host.setdefault(target["host"], []).append(target["health"])
        if any(by_host.values()):
            return combine_health(map(combine_health, by_host.values()))
    return "unknown"


def describe_certificate(certificate: ObservedCertificate | None) -> CertificateStatus | None:
    """Return the end of a certificate, and the whole days until then."""
    return {"not_after": certificate["not_after"], "days": certificate["seconds_left"] // 86400} if certificate else None


def check_answer(
    answer: HostAnswer, mesh: str, now: datetime.datetime, render: Callable[[StatusReport], object] | None = None
) -> HostAnswer:
    """Return the answer of a host, or ``unreadable`` if no report can be built from it: a host may answer anything.

    :param answer: the answer
    :param mesh: the mesh
    :param now: the time in UTC
    :param render: writes a report in another form; None if the run has only lines
    """
    try:
        report = build_report({"": answer}, mesh, now)
        format_lines(report)
        if render:
            render(report)
    except Exception as error:
        return {"unreadable": type(error).__name__}
    return answer


def build_report(answers: dict[str, HostAnswer], mesh: str, now: datetime.datetime) -> StatusReport:
    """Return the status of a mesh.

    :param answers: host -> its answer
    :param mesh: the mesh
    :param now: the time in UTC
    """
    judge = StatusJudge(answers)
    targets: dict[str, list[TargetStatus]] = {}
    for target in judge.targets:
        targets.setdefault(target["link"], []).append(target)
    links: list[LinkStatus] = [
        {"alias": alias, "health": get_link_health(targets.get(alias, []), ends["clients"]), **ends}
        for alias, ends in sorted(judge.ends.items())
    ]
    return {
        "format": FORMAT,
        "time": now.strftime(ISO_8601),
        "mesh": mesh,
        "well": not judge.problems,
        "verdict": str(judge.summarize()),
        "problems": [str(problem) for problem in judge.problems],
        "warnings": [str(warning) for warning in judge.warnings],
        "hosts": judge.hosts,
        "links": links,
        "targets": judge.targets,
        "history": sorted(judge.history, key=lambda entry: str(entry["time"]), reverse=True),
    }


def format_cells(target: TargetStatus) -> tuple[object, ...]:
    """Return the cells of the table for a target."""
    connections: object = "-" if target["connections"] is None else target["connections"]
    if target["state"] == "not checked" and target["total"] is not None:
        connections = f"{connections} of {target['total']}"
    port = target["port"] if target["listens"] else f"{target['port']} shut"
    words = [target["target"] or "-", target["address"] or "-", target["state"] or "-", target["check"] or "-"]
    return (target["host"], target["side"], target["link"], port, *words, connections, format_age(target["since"]))


def format_lines(report: StatusReport) -> list[tuple[str, str | None]]:
    """Return a status as lines for people: the table, the warnings, the problems, and the summary.

    :return: each line, and its kind: a health, ``warning``, ``problem``, or None
    """
    head, *rows = align_rows([HEAD, *map(format_cells, report["targets"])])
    return [
        (head, None),
        *zip(rows, (target["health"] for target in report["targets"]), strict=True),
        *((f"warning: {make_printable(sentence)}", "warning") for sentence in report["warnings"]),
        *((f"problem: {make_printable(sentence)}", "problem") for sentence in report["problems"]),
        (make_printable(report["verdict"]), "up" if report["well"] else "problem"),
    ]
