# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How addresses, ports, and names of interfaces are written."""

from __future__ import annotations

import re


def endpoint(address: str, port: int) -> str:
    """Return ``address:port``, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def fact_name(interface: str) -> str:
    """Return the name of an interface in the facts of setup: ``br_lan`` for ``br-lan``; ansible-core, ``PrefixFactNamespace``."""
    return re.sub(r"[- :]", "_", interface)
