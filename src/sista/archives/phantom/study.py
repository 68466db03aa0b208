"""The procedural archive: chest films, reports, masks, phrases and timelines whose truth is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sista.archives.phantom.anatomy import Patient, Pose, draw_patient, draw_pose
from sista.archives.phantom.draws import ANATOMY, GRAIN, POSE, REPORT, Draws
from sista.archives.phantom.findings import DEVICES, LABELS
from sista.archives.phantom.render import Rendered, render
from sista.archives.phantom.report import Report, write_report
from sista.archives.phantom.scanners import SITES, Scanner
from sista.archives.phantom.timeline import Visit, visit
from sista.corpus.study import Film, Region, Study
from sista.errors import SistaError, nearest

REVISION = 1  # raise it when the same (seed, index, size, site) comes to give other pixels or words
SMALLEST, LARGEST = 64, 1024  # pixels a side


@dataclass(frozen=True, slots=True)
class Case:
    """All that a study is made from, before anything is drawn or written."""

    patient: Patient
    pose: Pose
    scanner: Scanner
    visit: Visit


@lru_cache(maxsize=16)
def _patient(key: tuple[int, ...]) -> Patient:
    return draw_patient(Draws(*key, ANATOMY), key)


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height of the smallest box around a mask; zeros when it is empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(cols[0]), int(rows[0]), int(cols[-1] - cols[0] + 1), int(rows[-1] - rows[0] + 1)


class Phantom:
    """`count` procedural studies. Study i is a pure function of (seed, i, size, site), whatever `count` is.

    `Study.change` is keyed by label ("nodule": "worse"); `Study.true_findings` and `Region.finding` are "label/side/zone". A quarter of
    the studies follow up the study before them; `subject_id` keeps a subject's studies together when they are split. Raises SistaError for
    values that cannot be.

    Args:
        count: how many studies are made.
        seed: of the patients, their findings and the reports.
        size: pixels a side, 64 to 1024; the patient, the findings and the report do not depend on it.
        site: main, or shifted: a second hospital with other patients, scanners, grain and shading.
        omissions: share of the findings, devices aside, that are on the film and in the truth but not in the report.
    """

    name = "phantom"
    label_names = LABELS

    def __init__(self, count: int, seed: int = 0, size: int = 128, site: str = "main", omissions: float = 0.0) -> None:
        if count < 1:
            raise SistaError(f"phantom count={count}: at least 1 study is needed; give how many studies to make, such as 3000")
        if seed < 0:
            raise SistaError(f"phantom seed={seed}: seeds are 0 or greater")
        if not SMALLEST <= size <= LARGEST:
            raise SistaError(f"phantom size={size}: films are {SMALLEST} to {LARGEST} pixels a side; 128 is usual")
        if site not in SITES:
            raise SistaError(f"phantom site={site!r} is unknown: {nearest(site, SITES)}")
        if not 0 <= omissions < 1:
            raise SistaError(f"phantom omissions={omissions}: a share of the findings, from 0 to less than 1")
        self.count, self.seed, self.size, self.site, self.omissions = count, seed, size, site, omissions
        self._key = (seed, sorted(SITES).index(site))

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"Phantom(count={self.count}, seed={self.seed}, size={self.size}, site={self.site!r})"

    def describe(self) -> dict:
        """The settings that determine every study."""
        settings = {"revision": REVISION, "count": self.count, "seed": self.seed, "size": self.size, "site": self.site}
        return {"archive": self.name, **settings, **({"omissions": self.omissions} if self.omissions else {})}

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, made on the spot."""
        if not 0 <= index < self.count:
            raise IndexError(f"phantom study {index} of {self.count}")
        case = self.case(index)
        report = self.report(index, case)
        rendered = self.render(index, case)
        name, now = self.study_id(index), case.visit
        regions = []
        for finding, mask in zip(now.findings, rendered.masks, strict=True):
            x, y, width, height = tight_box(mask)
            if width:
                regions.append(Region(finding.name, x, y, width, height, report.phrases.get(finding.name, ""), mask))
        present = {f.label for f in now.findings}
        return Study(
            study_id=name,
            subject_id=self.subject_id(now.subject),
            report=report.text,
            films=(Film(name + "-1", rendered.film, case.pose.view, tuple(regions)),),
            labels={label: float(label in present) for label in LABELS},
            true_findings=frozenset(f.name for f in now.findings),
            age=round(case.patient.age + now.years, 2),
            sex=case.patient.sex,
            scanner=case.scanner.name,
            prior_id=self.study_id(index - 1) if now.has_prior else None,
            change=dict(now.change),
        )

    def study_id(self, index: int) -> str:
        """ "phantom-0-000123", or with the site's name when that is not the main one."""
        site = "" if self.site == "main" else f"{self.site}-"
        return f"phantom-{site}{self.seed}-{index:06d}"

    def subject_id(self, number: int) -> str:
        """ "subject-0-000123"."""
        return self.study_id(number).replace("phantom", "subject")

    def case(self, index: int) -> Case:
        """Patient, pose, scanner and findings of a study, without drawing it."""
        now = visit(self._key, index)
        draws = Draws(*self._key, index, POSE)
        pose = draw_pose(draws, any(f.label in DEVICES and f.label != "pacemaker" for f in now.findings))
        return Case(_patient((*self._key, now.subject)), pose, draws.choice(SITES[self.site]), now)

    def report(self, index: int, case: Case | None = None) -> Report:
        """The report of a study with the phrase of each finding; no film is drawn."""
        case = case or self.case(index)
        draws = Draws(*self._key, index, REPORT, block=96)
        return write_report(draws, case.visit.findings, case.visit.change, case.visit.has_prior, case.pose.view, self.omissions)

    def render(self, index: int, case: Case | None = None, without: str | None = None) -> Rendered:
        """The film and masks of a study; `without` names a finding ("edema/both/") to leave out, all else being equal."""
        case = case or self.case(index)
        return render(case.patient, case.pose, case.scanner, case.visit.findings, self.size, (*self._key, index, GRAIN), without)
