"""Subjects and their follow-up studies, as a pure function of (key, index): the prior of a study, if any, is the index before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from sista.archives.phantom.draws import FINDINGS, TIMELINE, Draws
from sista.archives.phantom.findings import DEVICES, LABELS, Finding, draw_findings, make_finding, ordered

BLOCK = 8  # no subject's studies cross a multiple of this
FOLLOW_UP = 0.25 * BLOCK / (BLOCK - 1)  # the first study of a block never is one
STEP = 0.24  # least change of severity that is called better or worse

# How a label fares until the next study: (resolved, better, same, worse)
ACUTE = (0.28, 0.28, 0.18, 0.26)
CHRONIC = {
    "nodule": (0.08, 0.08, 0.54, 0.3),
    "mass": (0.02, 0.2, 0.4, 0.38),
    "cardiomegaly": (0.04, 0.12, 0.64, 0.2),
    "pacemaker": (0.02, 0.0, 0.98, 0.0),
    "central line": (0.35, 0.0, 0.65, 0.0),
    "tube": (0.45, 0.0, 0.55, 0.0),
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One study in its subject's timeline. `change` (label -> better, worse, same, new, resolved) is empty on a first visit."""

    index: int
    subject: int  # the index of the subject's first study
    years: float  # since the first study
    findings: tuple[Finding, ...]
    change: dict[str, str]

    @property
    def has_prior(self) -> bool:
        """Whether the study before this one shows the same subject."""
        return self.subject != self.index


@lru_cache(maxsize=64)
def _follows(key: tuple[int, ...], block: int) -> tuple[float, ...]:
    return Draws(*key, block, TIMELINE, block=BLOCK).units(BLOCK)


def subject_of(key: tuple[int, ...], index: int) -> int:
    """The index of the first study of the subject that study `index` shows."""
    block, place = divmod(index, BLOCK)
    follows = _follows(key, block)
    while place > 0 and follows[place] < FOLLOW_UP:
        place -= 1
    return block * BLOCK + place


def _moved(findings: list[Finding], by: float) -> list[Finding]:
    return [replace(f, severity=min(1.0, max(0.0, f.severity + by))) for f in findings]


def follow_up(draws: Draws, before: tuple[Finding, ...]) -> tuple[tuple[Finding, ...], dict[str, str]]:
    """The findings at the next study and the change of each label that is present in either."""
    after: list[Finding] = []
    change: dict[str, str] = {}
    for label in LABELS:
        old = [f for f in before if f.label == label]
        if not old:
            continue
        outcome = draws.weighted(("resolved", "better", "same", "worse"), CHRONIC.get(label, ACUTE))
        step = draws.between(STEP, STEP + 0.25)
        severities = [f.severity for f in old]
        if outcome == "better" and min(severities) < STEP:
            outcome = "resolved"
        if outcome == "worse" and max(severities) > 1 - STEP:
            outcome = "same"
        change[label] = outcome
        if outcome != "resolved":
            after += _moved(old, {"better": -step, "same": draws.around(0.0, 0.05), "worse": step}[outcome])
    if draws.chance(0.3 if before else 0.42):
        for fresh in draw_findings(draws):
            if fresh.label not in change or change[fresh.label] == "new":
                change[fresh.label] = "new"
                after.append(fresh)
    if any(f.label == "pneumothorax" for f in after) and "tube" not in change and draws.chance(0.3):
        air = next(f for f in after if f.label == "pneumothorax")
        after.append(make_finding(draws, "tube", air.side, "chest"))
        change["tube"] = "new"
    return ordered(after), change


def visit(key: tuple[int, ...], index: int) -> Visit:
    """Study `index`: its subject, its findings and how they changed, worked out from the subject's first study onwards."""
    first = subject_of(key, index)
    findings = draw_findings(Draws(*key, first, FINDINGS))
    change: dict[str, str] = {}
    years = 0.0
    for later in range(first + 1, index + 1):
        draws = Draws(*key, later, FINDINGS)
        bedside = any(f.label in DEVICES for f in findings)
        years += draws.between(0.003, 0.03) if bedside else draws.between(0.02, 0.9)
        findings, change = follow_up(draws, findings)
    return Visit(index, first, years, findings, change)
