# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file of a generation that holds the wiring of a server side, and the compressed form in which a host reports it."""

from __future__ import annotations

import base64
import zlib

# the file of a generation
FILE = "wiring.json"
# a few hundred kilobytes can become a gigabyte; a thousand links need half a megabyte
MAX_PACKED_BYTES = 16 << 20


def packed(content):
    """Return a content as an observation carries it, for Ansible looks at each value of a dict in every task.

    :param bytes content: the content; a thousand links are half a megabyte
    :rtype: str
    """
    return base64.b64encode(zlib.compress(content)).decode()


def unpacked(text):
    """Return the content that :func:`packed` made a text of.

    :param str text: the text
    :rtype: bytes
    :raises ValueError: for any other text, and for a content that is too long
    """
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(base64.b64decode(text), MAX_PACKED_BYTES)
    except (TypeError, zlib.error) as error:
        raise ValueError("expected a packed content") from error
    if not decompressor.eof:
        raise ValueError("the packed content is incomplete or too long")
    return content
