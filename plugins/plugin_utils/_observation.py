# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observations of hosts as the controller reads them. A host may answer anything."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from ansible_collections.crosshost.ambassador.plugins.module_utils._packing import MAX_PACKED_BYTES
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import SIDES


def unpacked(text: str) -> bytes:
    """Return the content that :func:`packing.packed` made a text of. Raise ValueError for any other text, or a content that is too long."""
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(base64.b64decode(text), MAX_PACKED_BYTES)
    except (TypeError, zlib.error) as error:
        raise ValueError("expected a packed content") from error
    if not decompressor.eof:
        raise ValueError("the packed content is incomplete or too long")
    return content


def whole(observed: dict[str, Any]) -> dict[str, Any]:
    """Return an observation of the module ``observation_info`` with the links of its sides unpacked, and without sides of other names.

    :raises ValueError: if the links cannot be unpacked
    """
    sides = {name: side for name, side in (observed.get("sides") or {}).items() if name in SIDES}
    links = {name: json.loads(unpacked(side["links"])) if isinstance(side["links"], str) else side["links"] for name, side in sides.items()}
    return {**observed, "sides": {name: {**side, "links": links[name]} for name, side in sides.items()}}


def client_side(observed: dict[str, Any]) -> dict[str, Any]:
    """Return the client side of another host, as far as :func:`handover.waiting` reads it.

    :param observed: the answer of the host
    :return: ``sides``, with ``client``: its ``certificate``, with ``name``, or None, and its ``links``, with the ``name`` and ``address``
        of their ``targets``
    :raises ValueError: if the answer is not an observation
    """
    try:
        # a host that was not reached has none
        if not isinstance(observed["sides"], dict) or not observed["sides"].keys() <= set(SIDES):
            raise TypeError("expected sides")
        client = whole(observed)["sides"].get("client") or {}
        certificate, links = client.get("certificate"), client.get("links", {})
        return {
            "sides": {
                "client": {
                    "certificate": {"name": _text(certificate["name"])} if certificate else None,
                    "links": {
                        alias: {
                            "targets": [
                                {"name": _text(target["name"]), "address": target["address"] and _text(target["address"])}
                                for target in link["targets"]
                            ]
                        }
                        for alias, link in links.items()
                    },
                }
            }
        }
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError("it answers something unknown") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a text")
    return value


def text_of(answer: Any, *keys: str) -> str:
    """Return the text at some keys of the answer of a host, empty if the answer has no text there."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if isinstance(answer, str) else ""
