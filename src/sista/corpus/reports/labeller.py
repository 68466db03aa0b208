"""A small rule labeller: which findings a report affirms, doubts or denies, and where.

Meant as a teacher and a check, not as ground truth. On a report it costs well under a millisecond, for sentences repeat and are cached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from sista.corpus.reports.lexicon import ABSENCE_PATTERNS, BY_NAME, MENTION_PATTERNS
from sista.corpus.reports.negation import polarity
from sista.corpus.reports.places import SEVERITY_PATTERN, SIDE_PATTERNS, ZONE_PATTERNS
from sista.corpus.reports.sentences import split_sentences

_JOIN = re.compile(
    r"[\s,/]*(?:(?:and|or|and/or|plus|with|,|/)[\s,]*)?(?:(?:associated|adjacent|superimposed|overlying|some|a|an|the)\s+)*", re.IGNORECASE
)
_GENERAL = re.compile(
    r"\bmay\s+not\s+be\s+(?:demonstrated|seen|visible|apparent)|\b(?:more|less|not)\s+sensitive\b|\bsensitiv\w+\s+(?:for|in|of|to)\b",
    re.IGNORECASE,
)
_PARTING = re.compile(r",|;|\band\b|\bwith\b|\bplus\b|\bor\b", re.IGNORECASE)


RANK = {"affirmed": 1, "doubted": -1, "denied": 0}
_ORDER = (None, 0, -1, 1)


@dataclass(frozen=True)
class Mention:
    """A finding spoken of at characters start to end of a sentence: "affirmed", "doubted" or "denied"; places are (side, zone)."""

    finding: str
    start: int
    end: int
    polarity: str
    places: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Labels:
    """What a report says. findings: name -> 1 affirmed, -1 doubted, 0 denied. placed: what is affirmed or doubted, as
    "finding/side/zone" strings, alike-looking findings under one name and without what is not relevant."""

    findings: dict[str, int]
    placed: frozenset[str]

    @property
    def normal(self) -> bool:
        """Nothing is affirmed or doubted."""
        return not self.placed


def outranking(before: int | None, value: int) -> int:
    """Of two values of one finding the one that counts: 1 affirmed before -1 doubted before 0 denied before None, not spoken of."""
    return value if _ORDER.index(value) > _ORDER.index(before) else before or 0


@lru_cache(maxsize=32768)
def mentions(sentence: str) -> tuple[Mention, ...]:
    """The findings that one sentence speaks of, in order of place; of overlapping mentions the longer counts. A sentence on what
    radiographs can show ("fractures may not be demonstrated") speaks of none."""
    if _GENERAL.search(sentence):
        return ()
    found = [(m.start(), m.end(), name) for name, pattern in MENTION_PATTERNS.items() for m in pattern.finditer(sentence)]
    found.sort(key=lambda f: (f[0] - f[1], f[0]))
    kept: list[tuple[int, int, str]] = []
    for start, end, name in found:
        if all(end <= a or start >= b for a, b, _ in kept):
            kept.append((start, end, name))
    kept.sort()
    result = [Mention(name, a, b, polarity(sentence, a, b, doubts_inside=not BY_NAME[name].device)) for a, b, name in kept]
    result = _place(sentence, result)
    for name, pattern in ABSENCE_PATTERNS.items():
        if not any(m.finding == name for m in result):
            result += [Mention(name, m.start(), m.end(), "denied") for m in pattern.finditer(sentence)][:1]
    return tuple(result)


def place_spans(sentence: str) -> list[tuple[int, int]]:
    """Where side and zone words stand in a sentence."""
    return sorted(m.span() for patterns in (SIDE_PATTERNS, ZONE_PATTERNS) for p in patterns.values() for m in p.finditer(sentence))


def severity_spans(sentence: str) -> list[tuple[int, int]]:
    """Where size and severity words stand in a sentence."""
    return [m.span() for m in SEVERITY_PATTERN.finditer(sentence)]


def _place(sentence: str, found: list[Mention]) -> list[Mention]:
    """Give each mention the places said beside it: before it as far as the joint with the mention before, after it up to the next joint."""
    edges = [0]
    joined = []
    for left, right in pairwise(found):
        between = sentence[left.end : right.start]
        joined.append(bool(_JOIN.fullmatch(between)) and left.polarity == right.polarity)
        partings = list(_PARTING.finditer(between))
        edges.append(left.end + partings[-1].start() if partings else right.start)
    edges.append(len(sentence))
    places = [_places(sentence[edges[i] : edges[i + 1]]) for i in range(len(found))]
    for i in range(1, len(found)):  # "right basal atelectasis and effusion"
        if joined[i - 1] and not places[i]:
            places[i] = places[i - 1]
    for i in range(len(found) - 2, -1, -1):  # "atelectasis and effusion at the right base"
        if joined[i] and not places[i]:
            places[i] = places[i + 1]
    return [Mention(m.finding, m.start, m.end, m.polarity, p) for m, p in zip(found, places, strict=True)]


def _places(stretch: str) -> tuple[tuple[str, str], ...]:
    """The (side, zone) pairs of a stretch of text: "right lower and left upper" gives two."""
    sides = sorted((m.start(), side) for side, p in SIDE_PATTERNS.items() for m in p.finditer(stretch))
    zones = sorted((m.start(), zone) for zone, p in ZONE_PATTERNS.items() for m in p.finditer(stretch))
    names = list(dict.fromkeys(side for _, side in sides))
    areas = list(dict.fromkeys(zone for _, zone in zones))
    if "bilateral" in names:
        names = ["right", "left"]
    if len(names) == 2 and len(zones) == 2 and len(sides) == 2 and sides[0][0] < zones[0][0] < sides[1][0]:
        return ((names[0], zones[0][1]), (names[1], zones[1][1]))
    return tuple((side, zone) for side in names or [""] for zone in areas or [""] if side or zone)


def label_report(report: str) -> Labels:
    """Read one report (its training text). Affirmed outranks doubted outranks denied, over all sentences."""
    findings: dict[str, int] = {}
    places: dict[str, set[tuple[str, str]]] = {}
    for sentence in split_sentences(report):
        for mention in mentions(sentence):
            value = RANK[mention.polarity]
            name = mention.finding
            findings[name] = outranking(findings.get(name), value)
            if value and BY_NAME[name].relevant:
                places.setdefault(name, set()).update(BY_NAME[name].spots(mention.places))
    for name in list(findings):
        value, parent = findings[name], BY_NAME[name].parent
        while value and parent:
            findings[parent] = outranking(findings.get(parent), value)
            parent = BY_NAME[parent].parent
    findings["no finding"] = int(all(BY_NAME[name].device or not BY_NAME[name].relevant for name, value in findings.items() if value))
    alike: dict[str, set[tuple[str, str]]] = {}
    for name, spots in places.items():
        alike.setdefault(BY_NAME[name].kin or name, set()).update(_precise(spots))
    placed = {
        f"{name}/{side}/{zone}" for name, spots in alike.items() for side, zone in (_precise(spots) if BY_NAME[name].sided else spots)
    }
    return Labels(findings, frozenset(placed))


def _precise(spots: set[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Drop what a more exact place of the same finding already says: ("", "") beside ("left", "lower")."""
    for side, zone in spots:
        if not any((s, z) != (side, zone) and side in ("", s) and zone in ("", z) for s, z in spots):
            yield side, zone


def rule_labels(reports: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Labels of many reports [N, K] for the findings `names`: 1, 0, -1, NaN where a report is silent."""
    rows = (label_report(report).findings for report in reports)
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], dtype=np.float32).reshape(len(reports), len(names))
