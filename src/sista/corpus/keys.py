"""Which pairs are the same: keys of equal reports and of equal true findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import compress

import numpy as np

from sista.corpus.equal import same_as


def stable_key(text: str) -> int:
    """A 63-bit number for a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def plain(text: str) -> str:
    """A report as it is compared: lower case, single spaces."""
    return " ".join(text.lower().split())


def report_keys(reports: Sequence[str], studies: Sequence[str]) -> np.ndarray:
    """One number per row [N]: equal for rows of one study, for rows with the same lower-case text, and for whatever these join.

    It is the key of the row's text, or of the last in alphabetical order of all texts that are joined. Only rows of studies with several
    texts, and those that share a text with them, are ever held as text.
    """
    keys = np.fromiter((stable_key("text " + plain(report)) for report in reports), dtype=np.int64, count=len(reports))
    text, study = same_as(map(plain, reports)), same_as(studies)
    several = text != text[study]
    linked = np.isin(text, np.concatenate([text[several], text[study[several]]]))
    if linked.any():
        keys[linked] = _joined_keys([plain(report) for report in compress(reports, linked)], study[linked].tolist())
    return keys


def _joined_keys(texts: Sequence[str], studies: Sequence[int]) -> np.ndarray:
    parent: dict[str | int, str | int] = {}

    def root(node: str | int) -> str | int:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for text, study in zip(texts, studies, strict=True):
        parent[root(text)] = root(study)
    last: dict[str | int, str] = {}
    for text in texts:
        last[root(text)] = max(text, last.get(root(text), ""))
    return np.array([stable_key("text " + last[root(text)]) for text in texts], dtype=np.int64)


def truth_keys(true_findings: Iterable[Sequence[str] | None]) -> np.ndarray:
    """One number per row [N]: equal for equal true finding sets, -1 where the truth is unknown."""
    return np.fromiter((-1 if found is None else stable_key("\n".join(sorted(found))) for found in true_findings), dtype=np.int64)
