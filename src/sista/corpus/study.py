"""The schema of one imaging study, as every archive yields it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

SPLITS = ("train", "valid", "test")
_SIDES = ("", "left", "right", "both")


@dataclass(frozen=True)
class Region:
    """Where on a film a finding is: a box, and where known the exact mask and the phrase of the report that speaks of it.

    `finding` is a name, or one in a place, "finding/side/zone". The box is axis-aligned, origin top left, in pixels of `canvas` (width,
    height): the picture on which it was drawn, of the same field as the film, which may be a smaller or larger copy. By default the canvas
    is the mask where there is one, else the film as it is. `mask` is boolean [height, width], of the same field as the film.
    """

    finding: str
    x: float
    y: float
    width: float
    height: float
    phrase: str = ""
    mask: np.ndarray | None = None
    canvas: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The finding without its place."""
        return finding_name(self.finding)


def finding_name(finding: str) -> str:
    """ "mass" of "mass/left/upper" and of "mass/left", a finding in a place; any other name, such as VinDr's "Nodule/Mass", is whole."""
    parts = finding.split("/")
    return parts[0] if len(parts) in (2, 3) and parts[1] in _SIDES else finding


@dataclass(frozen=True)
class Film:
    """One radiograph of a study.

    `source` is a file, or the pixels themselves as a 2-D uint8 or uint16 array (bright = dense). `regions` lie on that source, see
    `Region`.
    `view` is "PA", "AP", "FRONTAL", "LATERAL" or another name of DICOM's; "" when unknown, for which a DICOM header may then speak.
    `not_asked` says why nobody asked for this film of the study, which then is left out; "" for all others.
    """

    film_id: str
    source: Path | np.ndarray
    view: str = ""
    regions: tuple[Region, ...] = ()
    not_asked: str = ""


@dataclass(frozen=True)
class Study:
    """One imaging study: its films, its report, and what is known of both.

    labels: finding -> 1 present, 0 absent, -1 uncertain; a finding that is missing here is unknown.
    true_findings: the exact finding set as "finding/side/zone" strings (phantom corpora); None where nobody knows.
    change: finding -> "better", "worse", "same", "new" or "resolved" against the study `prior_id`.
    """

    study_id: str
    subject_id: str
    report: str
    films: tuple[Film, ...]
    labels: Mapping[str, float] = field(default_factory=dict)
    true_findings: frozenset[str] | None = None
    split: str | None = None
    age: float | None = None
    sex: str | None = None
    scanner: str | None = None
    prior_id: str | None = None
    change: Mapping[str, str] = field(default_factory=dict)


class StudyRefused(Exception):
    """One study cannot enter a corpus; the text is the reason, in a few stable words plus the file at fault.

    Raised by an archive's `__getitem__` or by reading a film. The builder counts it, names it in `left_out.csv` and goes on.
    """


class NotAsked(StudyRefused):
    """What nobody asked for: a film of another view, or one that stands in no list. Nothing is wrong with it."""


class Archive(Protocol):
    """A data set as released. Map-style and picklable, so that studies can be read by many processes in any order.

    Two attributes may say otherwise than usual: `has_reports` False (films with labels and no text), `text_only` True (reports without
    films). A third, `notes`, may hold sentences on what of the release will not be used; building and checking pass them on.
    """

    @property
    def name(self) -> str: ...

    @property
    def label_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Study:
        """Study number `index`; raises `StudyRefused` when it cannot be used."""
        ...

    def describe(self) -> dict:
        """The JSON-able settings that determine this archive's content; they go into the corpus and its fingerprint."""
        ...
