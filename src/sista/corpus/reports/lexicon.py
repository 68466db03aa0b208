"""The words of chest radiograph reports: findings and their mentions, places, sides, severity.

The names are the 14 observations of CheXpert (Irvin et al., AAAI 2019) in lower case and, where the phantom corpus is finer, its names.
The mentions are our own regular expressions, written with the phrase lists of the CheXpert labeler (stanfordmlgroup, MIT licence) in view.
"""

from __future__ import annotations

from dataclasses import replace

from sista.corpus.reports.finding import Finding
from sista.corpus.reports.lexicon_chest import CHEST
from sista.corpus.reports.lexicon_devices import DEVICES, OTHER
from sista.corpus.reports.places import phrase_pattern

CHEXPERT = (
    "no finding",
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung opacity",
    "lung lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural other",
    "fracture",
    "support devices",
)
FINDINGS: tuple[Finding, ...] = tuple(replace(f, observation=f.name) if f.name in CHEXPERT else f for f in (*CHEST, *DEVICES, *OTHER))
BY_NAME = {finding.name: finding for finding in FINDINGS}

MENTION_PATTERNS = {f.name: phrase_pattern(f.mentions) for f in FINDINGS}
ABSENCE_PATTERNS = {f.name: phrase_pattern(f.absences) for f in FINDINGS if f.absences}
