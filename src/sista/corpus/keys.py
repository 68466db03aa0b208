"""Which pairs are the same: keys of equal reports and of equal true findings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def stable_key(text: str) -> int:
    """A 63-bit number for a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def report_keys(reports: Sequence[str], studies: Sequence[str]) -> np.ndarray:
    """One number per row [N]: equal for rows of one study, for rows with the same lower-case text, and for whatever these join."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for report, study in zip(reports, studies, strict=True):
        a, b = sorted((root("text " + " ".join(report.lower().split())), root("study " + study)))
        parent[a] = b
    return np.array([stable_key(root("study " + study)) for study in studies], dtype=np.int64)


def truth_keys(true_findings: Sequence[Sequence[str] | None]) -> np.ndarray:
    """One number per row [N]: equal for equal true finding sets, -1 where the truth is unknown."""
    return np.array([-1 if found is None else stable_key("\n".join(sorted(found))) for found in true_findings], dtype=np.int64)
