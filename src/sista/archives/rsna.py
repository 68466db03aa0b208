"""RSNA Pneumonia Detection Challenge 2018: 26,684 films with boxes around opacities that look like pneumonia."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sista.archives.release import Release, RowGroups, existing, read_columns, read_text
from sista.corpus.study import Film, Region, Study
from sista.errors import SistaError

PNEUMONIA = "Pneumonia"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
UNKNOWN_PATIENTS = f"{{:,}} film(s) of RSNA's count as patients of their own, for its ids name images; with {MAPPING} they get the NIH's"
_CANVAS = (1024, 1024)  # pixels of the released films, on which the boxes were drawn


class Rsna(Release):
    """One film per study, label Pneumonia 1 or 0, one box per opacity in pixels of the 1,024 px DICOM.

    Read: `stage_2_train_labels.csv` (patientId, x, y, width, height, Target), where a film has one row per box, or one row without
    numbers; DICOM films (or PNG or JPEG copies, which may be smaller) in `stage_2_train_images/`; and, where it is there, the challenge's
    mapping to NIH ChestX-ray14, `pneumonia-challenge-dataset-mappings_2018.json`.
    A `patientId` names a film, and a patient of the NIH may have several: with the mapping the subject is the NIH's patient; without it
    each film counts as its own subject, and patients may stand in two splits. The release has no split: the builder draws by subject.
    Left out: rows that repeat another; boxes without numbers (a film with Target 1 and no box stays positive). Age and sex stand in
    the DICOM headers only and are not read.

    Licence: academic, commercial and other use with attribution (RSNA and the NIH Clinical Center; Shih et al. 2019).
    Obtain: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge ; the mapping:
    https://www.rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018

    Args:
        root: the folder of stage_2_train_labels.csv (and of the mapping), or that file.
        images: the folder with the films; by default `stage_2_train_images` beside the table.
    """

    name = "rsna"
    label_names: tuple[str, ...] = (PNEUMONIA,)

    def __init__(self, root: Path, images: Path | None = None) -> None:
        super().__init__(root)
        path = self.find("stage_2_train_labels.csv")
        self.images = Path(images) if images is not None else path.parent / "stage_2_train_images"
        frame = read_columns(path, {"film": "patientId"}, {name: name for name in ("x", "y", "width", "height")} | {"target": "Target"})
        self._rows = len(frame)
        if not frame["target"].isin([0.0, 1.0]).all():
            raise SistaError(f"{path}: column 'Target' holds other values than 0 and 1; download it again")
        twice = frame.duplicated()
        frame = frame[~twice].reset_index(drop=True)
        self._films = RowGroups(frame["film"])
        self._patient_of = read_mapping(self.find_or_none(MAPPING))
        unknown = sum(name not in self._patient_of for name in map(str, self._films.ids))
        self.notes = (UNKNOWN_PATIENTS.format(unknown),) if unknown else ()
        self._unknown = unknown
        self._boxes = frame[["x", "y", "width", "height"]].to_numpy(np.float32)
        target = (frame["target"] == 1).to_numpy()
        self._positive = np.bincount(self._films.codes, weights=target, minlength=len(self._films)) > 0
        usable = np.isfinite(self._boxes).all(axis=1) & (self._boxes[:, 2:] > 0).all(axis=1)
        self._boxed = usable & target
        with_box = np.bincount(self._films.codes, weights=self._boxed, minlength=len(self._films)) > 0
        self._left_out = {
            "repeated row": int(twice.sum()),
            "box without numbers": int((target & ~usable).sum()),
            "box of a negative row": int((usable & ~target).sum()),
        }
        self._without_box = int((self._positive & ~with_box).sum())

    def __len__(self) -> int:
        return len(self._films)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the table."""
        name = self._films.id_of(index)
        boxes = [self._boxes[row].astype(float).tolist() for row in self._films[index] if self._boxed[row]]
        regions = tuple(Region(PNEUMONIA, x, y, width, height, canvas=_CANVAS) for x, y, width, height in boxes)
        copies = (self.images / f"{name}{ending}" for ending in (".dcm", ".png", ".jpg", ".jpeg"))
        film = Film(name, next((path for path in copies if path.is_file()), None) or existing(self.images / f"{name}.dcm"), "", regions)
        return Study(name, self._patient_of.get(name, name), "", (film,), {PNEUMONIA: float(self._positive[index])})

    def counts(self) -> dict[str, Any]:
        """Rows, studies, subjects, films, those whose patient is not known, positive films, boxes, and what was left out."""
        subjects = [self._patient_of.get(name, name) for name in map(str, self._films.ids)]
        return {
            "rows": self._rows,
            "studies": len(self),
            "subjects": len(set(subjects)),
            "films": len(self),
            "films_of_unknown_patient": self._unknown,
            "positive_studies": int(self._positive.sum()),
            "boxes": int(self._boxed.sum()),
            "positive_without_box": self._without_box,
            "positives": {PNEUMONIA: int(self._positive.sum())},
            "left_out": self._left_out,
        }


def read_mapping(path: Path | None) -> dict[str, str]:
    """patientId -> "nih_00000061", from "00000061_012.png", film 12 of that patient; empty without a file."""
    if path is None:
        return {}
    try:
        return {str(one["subset_img_id"]): "nih_" + str(one["img_id"]).partition("_")[0] for one in json.loads(read_text(path))}
    except (ValueError, TypeError, KeyError) as error:
        wanted = "expected a list of objects with subset_img_id and img_id"
        raise SistaError(f"{path}: {wanted} ({type(error).__name__}: {error}); download it again") from None
