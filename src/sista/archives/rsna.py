"""RSNA Pneumonia Detection Challenge 2018: 26,684 films with boxes around opacities that look like pneumonia."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sista.archives.release import Release, RowGroups, existing, read_columns
from sista.corpus.study import Film, Region, Study
from sista.errors import SistaError

PNEUMONIA = "Pneumonia"


class Rsna(Release):
    """One film per patient, label Pneumonia 1 or 0, one box per opacity in pixels of the 1,024 px DICOM.

    Read: `stage_2_train_labels.csv` (patientId, x, y, width, height, Target), where a patient has one row per box, or one row without
    numbers; DICOM films in `stage_2_train_images/`.
    Left out: rows that repeat another; boxes without numbers (a patient with Target 1 and no box stays positive). Age, sex and view
    stand in the DICOM headers only and are not read. The release has no split: the builder draws one per patient.

    Licence: academic, commercial and other use with attribution (RSNA and the NIH Clinical Center; Shih et al. 2019).
    Obtain: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge

    Args:
        root: the folder of stage_2_train_labels.csv, or that file.
        images: the folder with the DICOM files; by default `stage_2_train_images` beside the table.
    """

    name = "rsna"
    label_names: tuple[str, ...] = (PNEUMONIA,)

    def __init__(self, root: Path, images: Path | None = None) -> None:
        super().__init__(root)
        path = self.find("stage_2_train_labels.csv")
        self.images = Path(images) if images is not None else path.parent / "stage_2_train_images"
        frame = read_columns(path, {"patient": "patientId"}, {name: name for name in ("x", "y", "width", "height")} | {"target": "Target"})
        self._rows = len(frame)
        if not frame["target"].isin([0.0, 1.0]).all():
            raise SistaError(f"{path}: column 'Target' holds other values than 0 and 1; download it again")
        twice = frame.duplicated()
        frame = frame[~twice].reset_index(drop=True)
        self._patients = RowGroups(frame["patient"])
        self._boxes = frame[["x", "y", "width", "height"]].to_numpy(np.float32)
        target = (frame["target"] == 1).to_numpy()
        self._positive = np.bincount(self._patients.codes, weights=target, minlength=len(self._patients)) > 0
        usable = np.isfinite(self._boxes).all(axis=1) & (self._boxes[:, 2:] > 0).all(axis=1)
        self._boxed = usable & target
        with_box = np.bincount(self._patients.codes, weights=self._boxed, minlength=len(self._patients)) > 0
        self._left_out = {
            "repeated row": int(twice.sum()),
            "box without numbers": int((target & ~usable).sum()),
            "box of a negative row": int((usable & ~target).sum()),
        }
        self._without_box = int((self._positive & ~with_box).sum())

    def __len__(self) -> int:
        return len(self._patients)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the table."""
        patient = self._patients.id_of(index)
        rows = [row for row in self._patients[index] if self._boxed[row]]
        regions = tuple(Region(PNEUMONIA, *self._boxes[row].astype(float).tolist()) for row in rows)
        film = Film(patient, existing(self.images / f"{patient}.dcm"), "", regions)
        return Study(patient, patient, "", (film,), {PNEUMONIA: float(self._positive[index])})

    def counts(self) -> dict[str, Any]:
        """Rows, studies, subjects, films, positive patients, boxes, and what was left out."""
        return {
            "rows": self._rows,
            "studies": len(self),
            "subjects": len(self),
            "films": len(self),
            "positive_studies": int(self._positive.sum()),
            "boxes": int(self._boxed.sum()),
            "positive_without_box": self._without_box,
            "positives": {PNEUMONIA: int(self._positive.sum())},
            "left_out": self._left_out,
        }
