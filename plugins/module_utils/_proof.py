# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether every link of one side leads through to a backend. Pure Python without Ansible.

HAProxy's checks go from the client side through the server side to the backend, so a target that is up is the proof of a link. A link
without
checks has to be dialled: it is proved when the connection stays, and the server side of one of its hosts has handed one to its backend
meanwhile. The kernel checks nothing, so that all links of the engine nftables are dialled. A server side need not have a proof (its backend
may be a replica), but for links that worked before.
"""

from __future__ import annotations

import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _clock as clock
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.module_utils._dial import TIMED_OUT
from ansible_collections.crosshost.ambassador.plugins.module_utils._engines import proved
from ansible_collections.crosshost.ambassador.plugins.module_utils._notation import endpoint

# what the check says where the handshake fails
HANDSHAKE = "L6RSP"
# with TLS 1.3, what it says if the server side refuses the certificate of the client side
REFUSED = "L7RSP"
# what HAProxy's check found -> what that says of the hop. Management Guide, section 9.1, column check_status
HOPS = {
    "L4CON": "nothing listens there: its server side does not run, or has shut the port for want of a backend that is up",
    "L4TOUT": "the host is slower than its `connect`, or cannot be reached",
    HANDSHAKE: "the handshake is refused: the log of the server side says whose certificate, and why",
    "L6TOUT": "its server side is slower than its `connect`, or does not answer",
    "L7TOUT": "what is behind its server side does not answer in time",
    "L7RSP": "its server side says that the backend is not up, or does not let this host in, which its log says; or Redis is no master",
}
# HAProxy's word for a server whose name Docker's DNS does not know
UNKNOWN = "MAINT (resolution)"
# what a connection that stays is called
STAYED = ("open", "bytes")
# HAProxy's code for a connection that nothing answers, not even with a refusal
UNANSWERED = "L4TOUT"


def told(target, side="server"):
    """Return a target as a sentence names it.

    :param dict target: as the module ``ambassador_info`` returns it
    :param str side: ``server`` or ``client``
    :rtype: str
    """
    reason = ", ".join(part for part in (target["check_status"], target["last_check"]) if part)
    if side == "client" and target["check_status"] == UNANSWERED and target["address"]:
        reason += f", so open port {target['address'].rpartition(':')[2]} in the firewall of {target['name']}"
    if target["state"] == UNKNOWN:
        reason = "no container on the network of the ambassadors answers to this name, so start it, or attach it to that network"
        if side == "client":
            reason = "no name server of the host knows this name, so enter it into DNS, or set ambassador_nameservers"
    address = f" ({target['address']})" if target["address"] else ""
    return f"{target['name']}{address} {target['state']}" + (f": {reason}" if reason else "")


def seen_from(target, link, side):
    """Return the side whose words describe a target: the server side of the same host is a container, like a backend.

    :param dict target: as the module ``ambassador_info`` returns it
    :param dict link: the link, as the wiring has it
    :param str side: ``server`` or ``client``
    :rtype: str
    """
    on_this_host = [re.sub("[^A-Za-z0-9_.:-]", "_", one["name"]) for one in link.get("targets", []) if one.get("on_this_host")]
    return "server" if target["name"] in on_this_host else side


def _ports(link):
    ports = sorted({target["port"] for target in link.get("targets", [])})
    return f"port{'s' * (len(ports) > 1)} {', '.join(map(str, ports))}"


def targets_of(link, side):
    """Return what a link of one side has to reach: on the server side its own backend, which comes first.

    :param dict link: the link, as the module ``ambassador_info`` or the observation has it; empty where it is not carried
    :param str side: ``server`` or ``client``
    :rtype: list[dict]
    """
    return link.get("targets", [])[: 1 if side == "server" else None]


def undecided(info, links):
    """Tell whether a server side has not found out yet how its backends are: until then it tells client sides that they are up.

    :param dict info: what the module ``ambassador_info`` says of the side now
    :param list[dict] links: the links of the wiring
    :rtype: bool
    """
    own = [targets_of((info.get("links") or {}).get(link["alias"], {}), "server") for link in links]
    return any(not targets or (targets[0]["up"] and not proved(targets[0])) for targets in own)


def unchecked(wiring, engine):
    """Return the links of a client side of which nothing tells whether they lead anywhere, as they are dialled.

    :param dict wiring: the wiring of the client side
    :param str engine: its engine
    :rtype: list[dict]
    """
    links = [link for link in wiring["links"] if link["check"] == "none" or engine == "nftables"]
    return [{key: link[key] for key in ("alias", "listen", "protocol", "servers", "place")} for link in links]


def handed_on(alias, before, after):
    """Return how many connections of a link the server sides have handed to their backends meanwhile, without those that found none.

    :param str alias: the link
    :param list[dict] before: what the module ``ambassador_info`` returned of each server host; those that could not be asked said nothing
    :param list[dict] after: the same of the same hosts, later
    :return: the number; None where no host could be asked, or there was none, and a host counts anew since
    :rtype: int | None
    """
    handed, unknown = [], False
    for first, last in zip(before, after):
        now, was = _handed(last, alias), _handed(first, alias)
        if now is not None:
            same = was is not None and first.get("counters") == last.get("counters")
            handed.append(now - was if same else now)
            unknown = unknown or not same
    return sum(handed) if sum(handed) > 0 or (handed and not unknown) else None


def _handed(answer, alias):
    """Return how many connections of a link a host has handed on; None if it does not know the link, or answers something unknown."""
    try:
        link = answer["links"][alias]
        found = link["targets"][0]["total"] - link["failed"]
    except (IndexError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def dial_problem(alias, dialled):
    """Tell what is wrong with a link that was dialled, or None.

    :param str alias: the link
    :param dict dialled: ``links`` (alias -> what became of the connection), ``before`` and ``after`` (what its server hosts had counted)
    :rtype: str | None
    """
    found = dialled["links"].get(alias)
    if found not in STAYED:
        return f"a connection that was {found}" if found == "closed" else f"{found}"
    handed = handed_on(alias, dialled["before"], dialled["after"])
    if handed is not None and handed <= 0:
        return "that no server side handed the connection to its backend"
    return None


def local_problems(host, local, failed=()):
    """Return the links that a host does not reach at their ``local``, although it reaches the client side.

    :param str host: inventory name of the host
    :param dict local: alias -> ``address`` and ``port``, ``found`` (the result of dialing them), and ``direct`` (the result of dialing the
        client side itself)
    :param failed: aliases of links that do not work at all
    :return: a message for each
    :rtype: list[str]
    """
    return [
        f"Link {alias}, key local: host {host} cannot use {endpoint(one['address'], one['port'])}"
        f" ({'the connection is closed' if one['found'] == 'closed' else one['found']}), but the client side answers."
        f" Check the firewall of {host}, and that its Docker Engine can publish on this address, or set local to another address."
        for alias, one in local.items()
        # a link that is down, or a service that closes idle connections, is the same on both ways
        if alias not in failed and one["found"] not in STAYED and one["found"] != one["direct"]
    ]


def refused_handshakes(info):
    """Return the targets with which no handshake comes about.

    :param dict info: what the module ``ambassador_info`` says of a side
    :return: their names, each once
    :rtype: list[str]
    """
    targets = [target for link in (info.get("links") or {}).values() for target in link["targets"]]
    return sorted({target["name"] for target in targets if target["check_status"] == HANDSHAKE})


def hop(target, addresses, host, authorities):
    """Return what a check that failed says of the hop: whose CAs refuse each other, where an address came from that cannot be reached.

    :param dict target: as the module ``ambassador_info`` returns it
    :param dict addresses: server host -> ``origin`` of its address, and ``others``, the further ones that it has
    :param str host: inventory name of the host that asked
    :param dict authorities: host -> identifier of the CA of its certificate, hexadecimal digits, as far as it could be read
    :return: in brackets, or nothing
    :rtype: str
    """
    said, known = HOPS.get(target["check_status"]), addresses.get(target["name"])
    ours, theirs = (authorities.get(name) for name in (host, target["name"]))
    if target["check_status"] == HANDSHAKE and ours and theirs and ours != theirs:
        said = (
            f"the handshake is refused: {host} holds a certificate of the CA {ours}, {target['name']} one of the CA {theirs}:"
            " two controllers have certified them; set ambassador_controller_dir to one directory for both"
        )
    if target["check_status"] == "L4TOUT" and known:
        others = f", {target['name']} has also {', '.join(known['others'])}" if known["others"] else ""
        said += (
            f" at this address, which is its {known['origin']}{others}: set ambassador_interface or ambassador_address for"
            f" {target['name']} if it is another one"
        )
    return f" ({said})" if said else ""


def clock_reason(target, host, lifetimes, clocks, now):
    """Return the host whose wrong clock makes a handshake fail, and why; None if no clock does.

    :param dict target: as the module ``ambassador_info`` returns it
    :param str host: inventory name of the host that connects
    :param dict lifetimes: host -> ``not_before`` and ``not_after`` of its certificate, as far as they are known
    :param dict clocks: host -> seconds by which its clock is ahead of that of the controller, as far as they are known
    :param float now: the time of the controller, in seconds since the epoch
    :rtype: tuple[str, str] | None
    """
    if target["check_status"] not in (HANDSHAKE, REFUSED):
        return None
    for verifier, holder in ((target["name"], host), (host, target["name"])):
        reason = clock.invalid_by_clock(holder, lifetimes.get(holder), verifier, clocks.get(verifier), now)
        if reason:
            return verifier, reason
    return None


def proof(info, links, host, side, before, dialled=None, addresses=None, authorities=None, mesh=mesh_names.DEFAULT, times=None, local=None):
    """Judge the links of one side.

    :param dict info: what the module ``ambassador_info`` says of the side now; or ``msg``, why it says nothing
    :param list[dict] links: the links of the wiring
    :param str host: inventory name of the host
    :param str side: ``server`` or ``client``
    :param dict before: what was observed of the side before the run changed anything: ``engine``, ``running`` and ``links``, and
        ``dialled``,
        alias -> what became of the connection; empty where it changed nothing, or nothing ran
    :param dict | None dialled: see :func:`dial_problem`
    :param dict | None addresses: see :func:`hop`
    :param dict | None authorities: see :func:`hop`
    :param str mesh: the mesh
    :param dict | None times: ``lifetimes``, ``clocks`` and ``now``, see :func:`clock_reason`
    :param dict | None local: see :func:`local_problems`
    :return: ``problems``, a sentence for each link that does not work, ``worse``, whether one of them did before, and ``unresolved``, a
        sentence for each that only waits for DNS
    :rtype: dict
    """
    problems, worse, unresolved, failed = [], False, [], []
    # another engine's generation cannot be put back
    before = before if before.get("engine") == info.get("engine") else {}
    for link in links:
        alias = link["alias"]
        now, was = (targets_of((state.get("links") or {}).get(alias, {}), side) for state in (info, before))
        worked = any(target["up"] for target in was) and before.get("dialled", {}).get(alias, "open") in STAYED
        dead = dial_problem(alias, dialled) if side == "client" and dialled and alias in dialled["links"] and now else None
        if not dead and (any(proved(target) for target in now) or (side == "server" and not worked)):
            continue
        failed.append(alias)
        named = [target["address"] for target in link.get("targets", []) if target.get("dns")] if side == "client" else []
        if named and now and not worked and all(target["state"] == UNKNOWN for target in now):
            unresolved.append(
                f"link {alias}: expected {', '.join(named)} to resolve, found that no name server of {host} knows it; enter it into DNS,"
                " and the link comes up without a run."
            )
            continue
        worse = worse or worked
        if dead and dialled["links"][alias] == TIMED_OUT:
            dead += f", so open {_ports(link)} in the firewall of {', '.join(link['servers']) or 'the target'}"
        wrong = [times and clock_reason(target, host, **times) for target in now]
        found = dead or "; ".join(
            told(target, seen_from(target, link, side))
            + (f" ({reason[1]})" if reason else hop(target, addresses or {}, host, authorities or {}))
            for target, reason in zip(now, wrong)
        )
        remedy = next((clock.REMEDY.format(host=reason[0]) for reason in wrong if reason), None)
        limited = side == "client" and link["servers"]
        more = f"; if the run was limited, run it for {', '.join(link['servers'])} as well" if limited else ""
        problems.append(
            f"link {alias}: expected a target that is up, as {names.name_side_container(side, mesh)} on {host} sees it, found"
            f" {found or info.get('msg', 'none')}"
            + (f". {remedy}" if remedy else f"; start the backend {link['backend']}, or mend the way to it{more}.")
        )
    # an earlier generation would not change what Docker publishes
    problems += local_problems(host, local or {}, failed)
    if worse:
        problems.append(f"Generation {before['running']}, which worked before this run, was put back on {host}.")
    return {"problems": problems, "worse": worse, "unresolved": unresolved}
