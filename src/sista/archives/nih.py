"""NIH ChestX-ray14: 112,120 frontal films with mined findings, 984 boxes, official lists by patient."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sista.archives.release import Release, RowGroups, existing, read_columns, read_text
from sista.corpus.splits import split_of
from sista.corpus.study import SPLITS, Film, Region, Study, StudyRefused
from sista.errors import SistaError

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
_BOX_NAMES = {"Infiltrate": "Infiltration"}  # the box list's word for it
_CANVAS = (1024, 1024)  # pixels of the released films, on which the boxes were drawn
_OLDEST = 120  # years; the 2017 table holds some typing errors of up to 414


class Nih(Release):
    """One film per study, labels 1 and 0 for the fourteen findings, boxes in pixels of the 1,024 px PNG, also where the films are
    smaller copies.

    Read: `Data_Entry_2017_v2020.csv` or `Data_Entry_2017.csv` (both headers, also .gz), `BBox_List_2017.csv` and the official
    `train_val_list.txt` and `test_list.txt` where they are there; PNG films in one folder or in images_001 ... images_012.
    The study before by follow-up number is the `prior_id`.
    Left out: a second row of the same image; films in neither official list, where the lists are there; boxes of unknown images or without
    numbers; an age above 120 years.
    There are no reports. The labels were mined from reports, about 90 % right by the authors' account.

    Licence: no restriction on use; cite Wang et al., CVPR 2017, and name the NIH Clinical Center.
    Obtain: https://nihcc.app.box.com/v/ChestXray-NIHCC

    Args:
        root: the folder of the tables.
        images: the folder with the films, or with images_001 ...; by default `root`.
        valid_fraction: share of the patients of train_val_list.txt that becomes valid, drawn by a hash of the patient id.
    """

    name = "nih"
    label_names: tuple[str, ...] = FINDINGS

    def __init__(self, root: Path, images: Path | None = None, valid_fraction: float = 0.1) -> None:
        super().__init__(root, valid_fraction=valid_fraction)
        if not 0 <= valid_fraction <= 1:
            raise SistaError(f"valid_fraction is {valid_fraction}; expected a share, 0 to 1")
        self.images = Path(images) if images is not None else self.root if self.root.is_dir() else self.root.parent
        path = self.find("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
        names = {"image": "Image Index", "findings": "Finding Labels", "age": "Patient Age", "subject": "Patient ID"}
        more = {"sex": ("Patient Gender", "Patient Sex"), "view": "View Position"}
        frame = read_columns(path, {**names, **more}, {"follow_up": "Follow-up #"})
        twice = frame["image"].duplicated()
        self._rows = len(frame)
        frame = frame[~twice].reset_index(drop=True)
        self._combination, self._findings = _combinations(frame.pop("findings"), path)
        age = pd.to_numeric(frame["age"].str.extract(r"(\d+)")[0], errors="coerce").astype("float64").to_numpy(copy=True)
        age /= frame["age"].str[-1:].map({"M": 12.0, "D": 365.25}).astype("float64").fillna(1.0).to_numpy()
        implausible = age > _OLDEST
        age[implausible] = np.nan
        frame["age"] = age.astype(np.float32)
        frame["sex"] = frame["sex"].astype("category")
        frame["view"] = frame["view"].astype("category")
        self._prior = _priors(frame)
        self._frame = frame.drop(columns="follow_up")
        self._split = self._read_lists(valid_fraction)
        self._left_out = {"duplicate image": int(twice.sum()), "implausible age": int(implausible.sum())}
        self._read_boxes()

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the table."""
        index = range(len(self))[index]
        row = self._frame.iloc[index]
        if self._split is not None and self._split[index] < 0:
            raise StudyRefused(f"in neither official list: {row['image']}")
        regions = []
        for place in self._boxes_of.get(index, ()):
            box = self._boxes.iloc[place]
            regions.append(Region(box["finding"], box["x"], box["y"], box["width"], box["height"], canvas=_CANVAS))
        path = self._path_of(str(row["image"]))
        findings = self._findings[self._combination[index]]
        prior = self._prior[index]
        return Study(
            study_id=Path(row["image"]).stem,
            subject_id=str(row["subject"]),
            report="",
            films=(Film(str(row["image"]), path, str(row["view"]), tuple(regions)),),
            labels=dict(zip(self.label_names, findings.astype(float).tolist(), strict=True)),
            split=None if self._split is None else SPLITS[self._split[index]],
            age=None if np.isnan(row["age"]) else float(row["age"]),
            sex=str(row["sex"]) or None,
            prior_id=None if prior < 0 else Path(str(self._frame["image"].iat[prior])).stem,
        )

    def counts(self) -> dict[str, Any]:
        """Rows, studies, subjects, films, positives per finding, boxes, films per split, and what was left out."""
        per_combination = np.bincount(self._combination, minlength=len(self._findings))
        positives = dict(zip(self.label_names, (per_combination @ self._findings).tolist(), strict=True))
        split = None if self._split is None else {name: int((self._split == place).sum()) for place, name in enumerate(SPLITS)}
        return {
            "rows": self._rows,
            "studies": len(self),
            "subjects": int(self._frame["subject"].nunique()),
            "films": len(self),
            "boxes": len(self._boxes),
            "boxed_films": len(self._boxes_of),
            "positives": {"No Finding": int(per_combination[~self._findings.any(axis=1)].sum()), **positives},
            "splits": split or "no official lists: the builder draws",
            "left_out": self._left_out,
        }

    @cached_property
    def _folders(self) -> list[Path]:
        parts = sorted(path for path in self.images.glob("images*") if path.is_dir())
        return [folder for part in parts for folder in (part, part / "images") if folder.is_dir()] + [self.images]

    def _path_of(self, image: str) -> Path:
        found = next((folder / image for folder in self._folders if (folder / image).is_file()), None)
        return found or existing(self.images / image)

    def _read_lists(self, valid_fraction: float) -> np.ndarray | None:
        """0 train, 1 valid, 2 test, -1 in no list; None when the lists are not there."""
        files = [self.find_or_none(name) for name in ("train_val_list.txt", "test_list.txt")]
        if files == [None, None]:
            return None
        if None in files:
            raise SistaError(f"{self.root}: only one of train_val_list.txt and test_list.txt is there; put both there, or neither")
        train, test = (pd.Index(read_text(path).split()) for path in files if path is not None)
        if both := sorted(train.intersection(test)):
            raise SistaError(f"{self.root}: {len(both)} image(s) in both official lists ({', '.join(both[:3])}); download them again")
        fractions = (1 - valid_fraction, valid_fraction, 0.0)
        place = {subject: SPLITS.index(split_of(subject, fractions)) for subject in self._frame["subject"].unique()}
        drawn = self._frame["subject"].map(place).to_numpy().astype(np.int8)
        image = self._frame["image"]
        return np.where(image.isin(test), 2, np.where(image.isin(train), drawn, -1)).astype(np.int8)

    def _read_boxes(self) -> None:
        self._boxes = pd.DataFrame({"finding": [], "x": [], "y": [], "width": [], "height": []})
        self._boxes_of: dict[int, np.ndarray] = {}
        path = self.find_or_none("BBox_List_2017.csv")
        if path is None:
            return
        numbers = {"x": ("Bbox [x", "x"), "y": "y", "width": ("w", "width"), "height": ("h]", "h", "height")}
        boxes = read_columns(path, {"image": "Image Index", "finding": "Finding Label"}, numbers)
        place = pd.Index(self._frame["image"]).get_indexer(boxes["image"])
        usable = boxes[list(numbers)].notna().all(axis=1) & (boxes["width"] > 0) & (boxes["height"] > 0)
        self._left_out.update({"box of an unknown image": int((place < 0).sum()), "box without numbers": int((~usable).sum())})
        keep = (usable & (place >= 0)).to_numpy()
        self._boxes = boxes[keep].drop(columns="image").replace({"finding": _BOX_NAMES}).reset_index(drop=True)
        groups = RowGroups(pd.Series(place[keep]))
        self._boxes_of = {int(groups.ids.iloc[group]): groups[group] for group in range(len(groups))}


def _combinations(findings: pd.Series, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Which of the combinations of findings each film has [N], and those combinations [C, 14]."""
    codes, texts = pd.factorize(findings)
    combinations = np.zeros((len(texts), len(FINDINGS)), dtype=bool)
    for row, text in enumerate(texts):
        for finding in str(text).split("|"):
            if finding in FINDINGS:
                combinations[row, FINDINGS.index(finding)] = True
            elif finding != "No Finding":
                raise SistaError(f"{path}: unknown finding {finding!r} in column 'Finding Labels'; expected {', '.join(FINDINGS)}")
    return codes.astype(np.int32), combinations


def _priors(frame: pd.DataFrame) -> np.ndarray:
    """Row of the same patient's film before, by follow-up number; -1 for the first."""
    order = frame.assign(row=np.arange(len(frame))).sort_values(["subject", "follow_up", "image"], kind="stable")
    rows, subject = order["row"].to_numpy(), order["subject"].to_numpy()
    prior = np.full(len(frame), -1, dtype=np.int32)
    same = subject[1:] == subject[:-1]
    prior[rows[1:][same]] = rows[:-1][same]
    return prior
