# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clocks of hosts, and the certificates that are not valid by them. Pure Python without Ansible."""

from __future__ import annotations

import time

# the module that compares the clocks starts a moment after the time of the controller was read
MAX_OFFSET_SECONDS = 60
# more than the age of any clock, and less than a time in seconds that Python cannot compute with
LARGEST_OFFSET_SECONDS = 10**11
REMEDY = "Set the clock of {host}, for example with chrony."
UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def format_offset(offset):
    """Return by how much a clock differs from that of the controller: ``2 hours behind``.

    :param int offset: seconds by which the clock is ahead, negative if it is behind
    :rtype: str
    """
    seconds, unit = next(((seconds, unit) for seconds, unit in UNITS if abs(offset) >= 2 * seconds), UNITS[-1])
    return f"{abs(offset) // seconds} {unit} {'ahead of' if offset > 0 else 'behind'} the clock of the controller"


def is_off(offset):
    """Tell whether a clock differs noticeably from that of the controller.

    :param offset: seconds by which the clock is ahead, as a host answers; any other value is not known
    :rtype: bool
    """
    return is_known(offset) and abs(offset) > MAX_OFFSET_SECONDS


def is_known(offset):
    """Return whether an answer of a host is the offset of a clock, and not any other value.

    :param offset: anything
    :rtype: bool
    """
    return isinstance(offset, int) and abs(offset) < LARGEST_OFFSET_SECONDS


def warnings(host, offset):
    """Return a warning if the clock of a host differs noticeably from that of the controller.

    :param str host: inventory name of the host
    :param int | None offset: seconds by which its clock is ahead; None if it is not known
    :rtype: list[str]
    """
    return [f"The clock of host {host} is {format_offset(offset)}. {REMEDY.format(host=host)}"] if is_off(offset) else []


def is_valid(certificate, now):
    """Tell whether a time is within the lifetime of a certificate.

    :param dict certificate: with ``not_before`` and ``not_after``, seconds since the epoch
    :param float now: the time, in seconds since the epoch
    :rtype: bool
    """
    return certificate["not_before"] <= now < certificate["not_after"]


def invalid_by_clock(name, certificate, host, offset, now):
    """Return why a wrong clock makes a host refuse a valid certificate, or None if it does not.

    :param str name: name of the holder of the certificate, for the message
    :param dict | None certificate: with ``not_before`` and ``not_after``, seconds since the epoch
    :param str host: inventory name of the host that verifies it
    :param int | None offset: seconds by which the clock of that host is ahead; None if it is not known
    :param float now: the time of the controller, in seconds since the epoch
    :rtype: str | None
    """
    if not certificate or not is_known(offset) or is_valid(certificate, now + offset) or not is_valid(certificate, now):
        return None
    begins = certificate["not_before"] > now + offset
    limit = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(certificate["not_before" if begins else "not_after"]))
    lifetime = f"is not valid before {limit}" if begins else f"expires {limit}"
    return f"the certificate of {name} {lifetime}, and the clock of {host} is {format_offset(offset)}"
