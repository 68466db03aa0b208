"""CheXpert: 223,648 films (224,316 with the test set) with the fourteen observations of its labeller, frontal and lateral."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sista.archives.release import Release, RowGroups, read_columns, some_existing
from sista.corpus.study import SPLITS, Film, Study, StudyRefused
from sista.errors import SistaError

OBSERVATIONS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
BLANK = -128  # of a label table of 8-bit numbers: not mentioned


def label_table(frame: pd.DataFrame, path: Path) -> np.ndarray:
    """The fourteen columns as 8-bit numbers [N, 14]: 1, 0, -1 uncertain, BLANK; a SistaError for any other value."""
    values = frame[list(OBSERVATIONS)].to_numpy()
    wrong = sorted(set(np.unique(values[~np.isnan(values)])) - {-1.0, 0.0, 1.0})
    if wrong:
        raise SistaError(f"{path}: the labels hold {', '.join(map(str, wrong[:5]))}; expected 1, 0, -1 or nothing, as released")
    return np.where(np.isnan(values), BLANK, values).astype(np.int8)


def label_counts(labels: np.ndarray) -> dict[str, dict[str, int]]:
    """Positive and uncertain rows per observation."""
    return {
        "positives": dict(zip(OBSERVATIONS, (labels == 1).sum(axis=0).tolist(), strict=True)),
        "uncertain": dict(zip(OBSERVATIONS, (labels == -1).sum(axis=0).tolist(), strict=True)),
    }


class CheXpert(Release):
    """Studies of one or more films; labels 1, 0, -1 uncertain; a blank is unknown, and what to make of it is the user's choice.

    Read: `train.csv` (split train) and `valid.csv` (split valid, labelled by radiologists): Path, Sex, Age, Frontal/Lateral, AP/PA and
    the fourteen observations; JPEG films where Path says, of CheXpert-v1.0 or -small. Frontal films are AP or PA ("" where the table
    says neither, or LL or RL, which contradicts "Frontal"), others LATERAL.
    Left out: a second row of the same film; a study whose rows carry different labels, or that stands in both tables. The test set (500
    studies) is not read. There are no reports (CheXpert Plus has them).

    Licence: Stanford University Dataset Research Use Agreement.
    Obtain: https://stanfordaimi.azurewebsites.net (CheXpert)

    Args:
        root: the folder of train.csv and valid.csv (CheXpert-v1.0 or CheXpert-v1.0-small).
        images: the folder that holds train/ and valid/; by default that of the tables.
    """

    name = "chexpert"
    label_names: tuple[str, ...] = OBSERVATIONS

    def __init__(self, root: Path, images: Path | None = None) -> None:
        super().__init__(root)
        self.require_folder_or("train.csv", "valid.csv")
        self.images = Path(images) if images is not None else self.root if self.root.is_dir() else self.root.parent
        found = {split: self.find_or_none(f"{split}.csv") for split in ("train", "valid")}
        if not any(found.values()):
            self.find("train.csv", "valid.csv")
        frames, labels = [], []
        for split, path in found.items():
            if path is not None:
                text = {"path": "Path", "sex": "Sex", "plane": "Frontal/Lateral", "side": "AP/PA"}
                frame = read_columns(path, text, {"age": "Age", **{name: name for name in OBSERVATIONS}})
                labels.append(label_table(frame, path))
                frames.append(frame.drop(columns=list(OBSERVATIONS)).assign(split=split))
        frame = pd.concat(frames, ignore_index=True)
        # "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"; the first folder is the release's own
        frame["path"] = frame["path"].str.replace(r"^/?(?:[^/]*CheXpert[^/]*/)+", "", regex=True)
        self._rows = frame.groupby("split").size().to_dict()
        frontal = frame["plane"].str.lower() == "frontal"
        self._frontal = frame[frontal].groupby("split").size().to_dict()
        frame["view"] = np.where(~frontal, "LATERAL", np.where(frame["side"].isin(["AP", "PA"]), frame["side"], ""))
        twice = frame["path"].duplicated()
        frame, self._labels = frame[~twice].reset_index(drop=True), np.concatenate(labels)[~twice.to_numpy()]
        parts = frame["path"].str.extract(r"([^/]+)/([^/]+)/[^/]+$").astype("string[pyarrow]")
        if parts.isna().any(axis=None):
            wrong = frame["path"][parts.isna().any(axis=1)].iloc[0]
            raise SistaError(f"{self.root}: Path {wrong!r}; expected .../patient00001/study1/view1_frontal.jpg, as released")
        self._subject = parts[0].astype("category")
        for column in ("sex", "view", "split"):
            frame[column] = frame[column].astype("category")
        frame["age"] = frame["age"].astype(np.float32)
        self._frame = frame.drop(columns=["plane", "side"])
        self._studies = RowGroups(parts[0] + "/" + parts[1])
        self._left_out = {"duplicate film": int(twice.sum())}

    def __len__(self) -> int:
        return len(self._studies)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the tables, train before valid."""
        rows, study = self._studies[index], self._studies.id_of(index)
        labels, frame = self._labels[rows], self._frame.iloc[rows]
        if (labels != labels[0]).any():
            raise StudyRefused(f"one study with different labels: {study}")
        if frame["split"].nunique() > 1:
            raise StudyRefused(f"one study in train.csv and valid.csv: {study}")
        films = [Film(path, self.images / path, view) for path, view in zip(frame["path"], frame["view"], strict=True)]
        first = frame.iloc[0]
        return Study(
            study_id=study,
            subject_id=study.partition("/")[0],
            report="",
            films=some_existing(films),
            labels={name: float(value) for name, value in zip(OBSERVATIONS, labels[0], strict=True) if value != BLANK},
            split=str(first["split"]),
            age=None if np.isnan(first["age"]) else float(first["age"]),
            sex=str(first["sex"]) if first["sex"] in ("Female", "Male") else None,
        )

    def counts(self) -> dict[str, Any]:
        """Rows and frontal rows per table, studies, subjects, films, positive and uncertain rows per observation."""
        return {
            "rows": sum(self._rows.values()),
            "studies": len(self),
            "subjects": int(self._subject.nunique()),
            "films": len(self._frame),
            "rows_per_split": {split: self._rows[split] for split in SPLITS if split in self._rows},
            "frontal_per_split": {split: self._frontal.get(split, 0) for split in SPLITS if split in self._rows},
            "views": {view or "unknown": count for view, count in self._frame["view"].value_counts(sort=False).to_dict().items()},
            **label_counts(self._labels),
            "left_out": self._left_out,
        }
