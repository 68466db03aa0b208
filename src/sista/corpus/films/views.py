"""How a film was taken, as archives and DICOM headers call it."""

from __future__ import annotations

_LATERAL, _OBLIQUE = {"LL", "RL"}, {"LLO", "RLO", "LAO", "RAO", "LPO", "RPO"}


def is_frontal(view: str) -> bool:
    """False for lateral, oblique and swimmer's views; a decubitus film (LLD, AP RLD) is a frontal one, and so counts an unknown view ""."""
    words = view.upper().replace("_", " ").split()
    return not any(word in _LATERAL or word in _OBLIQUE or word.startswith(("LAT", "OBL", "SWIM")) for word in words)
