# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clocks of hosts, and the certificates that are not valid by them. Pure Python without Ansible."""

from __future__ import annotations

import time
from typing import TypedDict

# the module that compares the clocks starts a moment after the time of the controller was read
MAX_OFFSET_SECONDS = 60
# more than the age of any clock, and less than a time in seconds that Python cannot compute with
LARGEST_OFFSET_SECONDS = 10**11
REMEDY = "Set the clock of {host}, for example with chrony."
UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


class Lifetime(TypedDict):
    """The lifetime of a certificate, in seconds since the epoch."""

    not_before: float
    not_after: float


def format_offset(offset: int) -> str:
    """Return by how much a clock differs from that of the controller: ``2 hours behind the clock of the controller``.

    :param offset: seconds by which the clock is ahead, negative if it is behind
    """
    seconds, unit = next(((seconds, unit) for seconds, unit in UNITS if abs(offset) >= 2 * seconds), UNITS[-1])
    return f"{abs(offset) // seconds} {unit} {'ahead of' if offset > 0 else 'behind'} the clock of the controller"


def is_off(offset: int | None) -> bool:
    """Return whether a clock differs noticeably from that of the controller.

    :param offset: seconds by which the clock is ahead, as a host answers; any other value is not known
    """
    return offset is not None and is_known(offset) and abs(offset) > MAX_OFFSET_SECONDS


def is_known(offset: object) -> bool:
    """Return whether an answer of a host is the offset of a clock, and not any other value."""
    return isinstance(offset, int) and abs(offset) < LARGEST_OFFSET_SECONDS


def warnings(host: str, offset: int | None) -> list[str]:
    """Return a warning if the clock of a host differs noticeably from that of the controller.

    :param host: inventory name of the host
    :param offset: seconds by which its clock is ahead; None if it is not known
    """
    if offset is None or not is_off(offset):
        return []
    return [f"The clock of host {host} is {format_offset(offset)}. {REMEDY.format(host=host)}"]


def is_valid(certificate: Lifetime, now: float) -> bool:
    """Return whether a time, in seconds since the epoch, is within the lifetime of a certificate."""
    return certificate["not_before"] <= now < certificate["not_after"]


def invalid_by_clock(name: str, certificate: Lifetime | None, host: str, offset: int | None, now: float) -> str | None:
    """Return why a wrong clock makes a host refuse a valid certificate, or None if it does not.

    :param name: name of the holder of the certificate, for the message
    :param certificate: its lifetime
    :param host: inventory name of the host that verifies it
    :param offset: seconds by which the clock of that host is ahead; None if it is not known
    :param now: the time of the controller, in seconds since the epoch
    """
    if not certificate or offset is None or not is_known(offset) or is_valid(certificate, now + offset) or not is_valid(certificate, now):
        return None
    begins = certificate["not_before"] > now + offset
    limit = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(certificate["not_before"] if begins else certificate["not_after"]))
    lifetime = f"is not valid before {limit}" if begins else f"expires {limit}"
    return f"the certificate of {name} {lifetime}, and the clock of {host} is {format_offset(offset)}"
