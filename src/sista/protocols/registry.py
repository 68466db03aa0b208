"""The protocols by name."""

from __future__ import annotations

from sista.errors import SistaError, nearest
from sista.protocols import benchx, chexpert, covidx, nih, object_cxr, rsna, siim
from sista.protocols.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {
    one.name: one for room in (chexpert, rsna, siim, covidx, object_cxr, nih, benchx) for one in room.PROTOCOLS
}


def protocol_named(name: str) -> Protocol:
    """The protocol `name`; SistaError with the nearest names for an unknown one."""
    if name not in PROTOCOLS:
        raise SistaError(f"unknown protocol {name!r}: {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
