"""Which findings a patient has: prevalence, co-occurrence, side, zone and severity."""

from __future__ import annotations

from dataclasses import dataclass

from sista.archives.phantom.draws import Draws

LABELS = (
    "consolidation",
    "pleural effusion",
    "pneumothorax",
    "nodule",
    "mass",
    "cardiomegaly",
    "atelectasis",
    "edema",
    "central line",
    "tube",
    "pacemaker",
)
DEVICES = frozenset({"central line", "tube", "pacemaker"})
SIDES = ("right", "left")
NORMAL = 0.39  # of first studies; follow-ups bring the share of all studies to 0.38

# A clinical picture: how often it is the reason for an abnormal study, and how often each label then occurs.
PICTURES: tuple[tuple[float, dict[str, float]], ...] = (
    # intensive care
    (
        0.24,
        {
            "central line": 0.72,
            "tube": 0.66,
            "pleural effusion": 0.4,
            "atelectasis": 0.38,
            "consolidation": 0.3,
            "edema": 0.24,
            "pneumothorax": 0.16,
            "cardiomegaly": 0.2,
        },
    ),
    # heart failure
    (
        0.2,
        {"cardiomegaly": 0.88, "edema": 0.55, "pleural effusion": 0.55, "pacemaker": 0.34, "atelectasis": 0.12, "central line": 0.08},
    ),
    # infection
    (0.2, {"consolidation": 1.0, "pleural effusion": 0.34, "atelectasis": 0.14, "central line": 0.06, "cardiomegaly": 0.08}),
    # tumour
    (0.13, {"nodule": 0.6, "mass": 0.6, "pleural effusion": 0.22, "central line": 0.25, "atelectasis": 0.15}),
    # air leak
    (0.08, {"pneumothorax": 1.0, "tube": 0.35, "central line": 0.2, "pleural effusion": 0.15, "consolidation": 0.1}),
)
INCIDENTAL = {
    "nodule": 4.0,
    "mass": 2.0,
    "cardiomegaly": 3.0,
    "atelectasis": 4.0,
    "pacemaker": 3.0,
    "pleural effusion": 2.0,
    "consolidation": 2.0,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of one study. `shape` are uniform numbers that fix its place and form within its zone, `texture` seeds its grain."""

    label: str
    side: str  # "right", "left", "both" or ""
    zone: str  # "upper", "mid", "lower" or ""
    severity: float  # 0 barely visible .. 1 extreme
    kind: str  # tubes: "endotracheal", "enteric" or "chest"; else ""
    shape: tuple[float, ...]
    texture: int

    @property
    def name(self) -> str:
        """The finding as "label/side/zone"."""
        return f"{self.label}/{self.side}/{self.zone}"


def make_finding(draws: Draws, label: str, side: str | None = None, kind: str = "") -> Finding:
    """A finding of this label with side, zone, severity and form drawn at random."""
    side = side or draws.choice(SIDES)
    zone = ""
    if label == "consolidation":
        zone = draws.weighted(("upper", "mid", "lower"), (0.25, 0.25, 0.5))
    elif label in ("nodule", "mass"):
        zone = draws.weighted(("upper", "mid", "lower"), (0.4, 0.3, 0.3))
    elif label == "atelectasis":
        zone = draws.weighted(("upper", "mid", "lower"), (0.1, 0.25, 0.65))
    elif label == "pleural effusion":
        zone = "lower"
    elif label == "pneumothorax":
        zone = "upper"
    elif label == "pacemaker":
        zone = "upper"
        side = "left" if draws.chance(0.8) else "right"
    elif label == "central line":
        side = "right" if draws.chance(0.65) else "left"
    elif label == "cardiomegaly":
        side = ""
    elif label == "edema":
        side = "both"
    elif label == "tube":
        kind = kind or draws.weighted(("endotracheal", "enteric"), (0.6, 0.4))
        side = side if kind == "chest" else ""
    severity = draws.around(0.45, 0.55)
    return Finding(label, side, zone, min(1.0, max(0.0, severity)), kind, draws.units(8), int(draws.unit() * 2**31))


def _instances(draws: Draws, label: str, side: str, already: list[Finding]) -> list[Finding]:
    """The one or two findings by which a label shows; related ones of a study tend to share a side."""
    if label == "tube":
        ill = [f for f in already if f.label in ("pneumothorax", "pleural effusion")]
        if ill and draws.chance(0.45):
            chest = make_finding(draws, label, ill[0].side, "chest")
            return [chest, make_finding(draws, label)] if draws.chance(0.3) else [chest]
        return [make_finding(draws, label)]
    first = make_finding(draws, label, side if draws.chance(0.7) else None)
    second = {"pleural effusion": 0.35, "consolidation": 0.2, "atelectasis": 0.2}.get(label, 0.0)
    if any(f.label == "edema" or f.label == "cardiomegaly" for f in already):
        second *= 1.6
    if draws.chance(second):
        return [first, make_finding(draws, label, "left" if first.side == "right" else "right")]
    return [first]


def draw_findings(draws: Draws) -> tuple[Finding, ...]:
    """The findings of a first study; empty for a normal one."""
    if draws.chance(NORMAL):
        return ()
    side = draws.choice(SIDES)
    shares = [share for share, _ in PICTURES]
    picture = draws.weighted((*(labels for _, labels in PICTURES), {}), (*shares, 1 - sum(shares)))
    present = [label for label in LABELS if draws.chance(picture.get(label, 0.0))]
    if not present or draws.chance(0.06):
        extra = draws.weighted(tuple(INCIDENTAL), tuple(INCIDENTAL.values()))
        present = [label for label in LABELS if label in present or label == extra]
    found: list[Finding] = []
    # Cardiomegaly and edema first: they make the effusions more often two-sided.
    for label in sorted(present, key=lambda name: name not in ("cardiomegaly", "edema")):
        found += _instances(draws, label, side, found)
    return ordered(found)


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of `LABELS`, then by side."""
    return tuple(sorted(findings, key=lambda f: (LABELS.index(f.label), f.side, f.zone)))
