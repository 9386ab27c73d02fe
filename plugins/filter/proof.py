# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that tells whether every link of one side leads through to a backend. Pure Python without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: proof
short_description: Tells whether every link of one side leads through to a backend
version_added: 0.1.0
author: the crosshost.ambassador contributors
description:
  - HAProxy's checks go from the client side through the server side to the backend, so a target that is up is the proof of a link.
  - >-
    A link without checks has to be dialled: it is proved when the connection stays, and the server side of one of its hosts has handed one
    to its backend meanwhile.
  - The kernel checks nothing, so that all links of the engine nftables are dialled.
  - A server side need not have one (its backend may be a replica), but for links that worked before.
options:
  _input:
    description: What M(crosshost.ambassador.ambassador_info) says of the side now.
    type: dict
    required: true
  wiring:
    description: The wiring of the side, as the filter P(crosshost.ambassador.wiring#filter) returns it.
    type: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
  side:
    description: The side of the ambassador on that host.
    type: str
    choices: [server, client]
    required: true
  before:
    description: >-
      What the module said before the run changed anything, and C(dialled), what came of dialling the links without checks then;
      empty where it changed nothing, or nothing ran.
    type: dict
    required: true
  dialled:
    description: >-
      What came of dialling the links without checks, C(links), as M(crosshost.ambassador.link_probe) returns it, and what
      M(crosshost.ambassador.ambassador_info) said of their server hosts before and after it, C(before) and C(after), a list each.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Every link leads through to a backend
  ansible.builtin.assert:
    that: (info | crosshost.ambassador.proof(wiring, inventory_hostname, 'client', {})).problems == []
"""

RETURN = r"""
_value:
  description:
    - C(problems), a list of sentences, one for each link that does not work.
    - C(worse), whether one of them did before.
  type: dict
"""

from ansible_collections.crosshost.ambassador.plugins.filter.status import told

# what HAProxy's check found -> what that says of the hop. Management Guide, section 9.1, column check_status
HOPS = {
    "L4CON": "nothing listens there: its server side does not run, or has shut the port for want of a backend that is up",
    "L4TOUT": "the host cannot be reached",
    "L6RSP": "the handshake is refused: the log of the server side says whose certificate, and why",
    "L6TOUT": "its server side does not answer",
    "L7TOUT": "what is behind its server side does not answer, or is not the master",
    "L7RSP": "its server side says that the backend is not up, or does not let this host in, which its log says",
}


# what M(crosshost.ambassador.link_probe) says of a connection that stays
STAYED = ("open", "bytes")


def targets_of(link, side):
    """Return what a link of one side has to reach: on the server side its own backend, which comes first.

    :param dict link: the link, as the module returns it; empty where it is not carried
    :param str side: ``server`` or ``client``
    :rtype: list[dict]
    """
    return link.get("targets", [])[: 1 if side == "server" else None]


def proved(target):
    """Tell whether a target is up and a check has said so: a worker that has just started takes its own backend for up.

    :param dict target: as the module returns it
    :rtype: bool
    :source: HAProxy Management Guide, section 9.1, column check_status: what went well ends in OK, or OKC
    """
    return target["up"] and (target["check_status"] is None or target["check_status"].endswith(("OK", "OKC")))


def handed_on(alias, said):
    """Return how many connections of a link the server sides handed to their backends, without those that found none.

    :param str alias: the link
    :param list[dict] said: what the module returned for each of its server hosts; those that could not be asked are left out
    :return: the number, or None where none could be asked
    :rtype: int | None
    """
    links = [answer["links"][alias] for answer in said if alias in answer.get("links", {})]
    return sum(link["targets"][0]["total"] - link["failed"] for link in links) if links else None


def dial_problem(alias, dialled):
    """Tell what is wrong with a link that was dialled, or None.

    :param str alias: the link
    :param dict dialled: see the documentation above
    :rtype: str | None
    """
    found = dialled["links"].get(alias)
    if found not in STAYED:
        return f"a connection that was {found}" if found == "closed" else f"{found}"
    counts = [handed_on(alias, dialled[when]) for when in ("before", "after")]
    if None not in counts and counts[1] <= counts[0]:
        return "that no server side handed the connection to its backend"
    return None


def proof(info, wiring, host, side, before, dialled=None):
    """Judge the links of one side: see the documentation above."""
    problems, worse = [], False
    # another engine's generation cannot be put back
    before = before if before.get("engine") == info.get("engine") else {}
    for link in wiring["links"]:
        alias = link["alias"]
        now, was = (targets_of(state.get("links", {}).get(alias, {}), side) for state in (info, before))
        worked = any(target["up"] for target in was) and before.get("dialled", {}).get(alias, "open") in STAYED
        dead = dial_problem(alias, dialled) if side == "client" and dialled and alias in dialled["links"] and now else None
        if not dead and (any(proved(target) for target in now) or (side == "server" and not worked)):
            continue
        worse = worse or worked
        found = dead or "; ".join(
            told(target) + (f" ({HOPS[target['check_status']]})" if target["check_status"] in HOPS else "") for target in now
        )
        limited = side == "client" and link["servers"]
        more = f"; if the run was limited, run it for {', '.join(link['servers'])} as well" if limited else ""
        problems.append(
            f"link {alias}: expected a target that is up, as ambassador_{side} on {host} sees it, found {found or info.get('msg', 'none')};"
            f" start the backend {link['backend']}, or mend the way to it{more}."
        )
    if worse:
        problems.append(f"Generation {before['generation']}, which worked before this run, was put back on {host}.")
    return {"problems": problems, "worse": worse}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return name -> callable."""
        return {"proof": proof}
