"""How a film was taken, as archives and DICOM headers call it."""

from __future__ import annotations

import re

_LATERAL, _OBLIQUE = {"LL", "RL", "LLAT", "RLAT", "XTABLE"}, {"LLO", "RLO", "LAO", "RAO", "LPO", "RPO"}


def is_frontal(view: str) -> bool:
    """False for lateral, oblique and swimmer's views; a decubitus film (LLD, AP RLD) is a frontal one, and so counts an unknown view "".

    "L" alone is lateral, too, as PadChest and others write it; with more it tells a side ("AP L").
    """
    words = re.sub(r"[_-]", " ", view.upper()).replace("X TABLE", "XTABLE").replace("CROSS TABLE", "XTABLE").split()
    if words == ["L"]:
        return False
    return not any(word in _LATERAL or word in _OBLIQUE or word.startswith(("LAT", "OBL", "SWIM")) for word in words)
