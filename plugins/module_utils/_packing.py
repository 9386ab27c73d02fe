# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file of a generation that holds the wiring of a server side, and the compressed form in which a host reports it."""

from __future__ import annotations

import base64
import zlib

# the file of a generation
FILE = "wiring.json"
# a few hundred kilobytes can become a gigabyte; a thousand links need half a megabyte
MAX_PACKED_BYTES = 8 << 20


def packed(content: bytes) -> str:
    """Return a content as an observation has it, because Ansible looks at each value of a dict in every task."""
    return base64.b64encode(zlib.compress(content)).decode()
