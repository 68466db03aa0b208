"""One name of a finding in several spellings."""

from __future__ import annotations


def plain_name(name: str) -> str:
    """Without capitals and underscores: "Pleural_Effusion" is "pleural effusion"."""
    return " ".join(name.lower().replace("_", " ").split())
