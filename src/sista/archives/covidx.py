"""COVIDx CXR: a collection of public sources, labelled COVID-19, pneumonia and normal, or COVID-19 yes and no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sista.archives.release import Release, existing, read_text
from sista.archives.rsna import MAPPING, UNKNOWN_PATIENTS, read_mapping
from sista.corpus.study import SPLITS, Film, Study, StudyRefused
from sista.errors import SistaError

THREE = {"covid-19": "COVID-19", "pneumonia": "Pneumonia", "normal": "Normal"}
TWO = {"positive": 1.0, "negative": 0.0}
RSNA = "rsna"  # as the source is called
_FILES = {"train": ("train.txt",), "valid": ("val.txt", "valid.txt"), "test": ("test.txt",)}


class Covidx(Release):
    """One film per study. Three-class lists give COVID-19, Pneumonia and Normal as 1 and 0; two-class lists give COVID-19 alone.

    Read: the label files, `patient file class source` separated by spaces or by commas (these with or without a header; the source may
    be missing), of the Kaggle releases (train.txt, val.txt, test.txt) or of COVID-Net (train_COVIDx9A.txt ...); films in `train/`,
    `val/`, `test/`. Which classes there are depends on the release, so `counts()` says it. The source, which can give the label away, is
    kept as the study's `scanner`. A patient is known by source and id, where all lines have a source; RSNA's lines have the id of an image
    for a patient, and with the challenge's `pneumonia-challenge-dataset-mappings_2018.json` beside the label files the NIH's patient stands
    there instead.
    Left out: a second row of the same file in one list; films of train whose patient stands in valid or test too, and of valid in test.

    Licence: that of each source (see the Kaggle page); several forbid commercial use.
    Obtain: https://www.kaggle.com/datasets/andyczhao/covidx-cxr2 ; label files: https://github.com/lindawangg/COVID-Net

    Args:
        root: the folder that holds train/ and test/, or the label file of train in it.
        train_list: the label file of train; by default train.txt, or the only train*.txt there.
        valid_list: that of valid, where the release has one.
        test_list: that of test; by default test.txt, or the only test*.txt there.
    """

    name = "covidx"

    def __init__(self, root: Path, train_list: Path | None = None, valid_list: Path | None = None, test_list: Path | None = None) -> None:
        super().__init__(root)
        given = {"train": train_list, "valid": valid_list, "test": test_list}
        frames = []
        for split, path in given.items():
            found = self._list_of(split, None if path is None else Path(path))
            if found is not None:
                frames.append(_read_list(found).assign(split=SPLITS.index(split)))
        frame = pd.concat(frames, ignore_index=True)
        frame["patient"], unknown = _patients(frame, read_mapping(self.find_or_none(MAPPING)))
        self.notes = (UNKNOWN_PATIENTS.format(unknown),) if unknown else ()
        self._folder = self.root if self.root.is_dir() else self.root.parent
        self.classes = 2 if frame["label"].isin(list(TWO)).all() else 3
        wrong = sorted(set(frame["label"]) - set(TWO if self.classes == 2 else THREE))
        if wrong:
            raise SistaError(
                f"{self.root}: the label files mix {', '.join(sorted(set(frame['label'])))}; "
                "expected positive and negative, or COVID-19, pneumonia and normal: take all label files from one release"
            )
        self.label_names = ("COVID-19",) if self.classes == 2 else tuple(THREE.values())
        self._rows = {split: int((frame["split"] == place).sum()) for place, split in enumerate(SPLITS)}
        twice = frame.duplicated(["file", "split"])
        frame = frame[~twice].reset_index(drop=True)
        self._leaks = (frame["split"] < frame.groupby("patient")["split"].transform("max")).to_numpy(dtype=bool)
        self._left_out = {"duplicate file": int(twice.sum()), "patient of a later list": int(self._leaks.sum())}
        self._label = frame.pop("label").astype("category")
        self._split = frame.pop("split").to_numpy(np.int8)
        frame["source"] = frame["source"].astype("category")
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, train before valid before test."""
        row, split = self._frame.iloc[index], SPLITS[self._split[index]]
        label = str(self._label.iat[index])
        if self._leaks[index]:
            raise StudyRefused(f"patient of a later list: {row['patient']} ({row['file']} of {split})")
        path = self._path_of(str(row["file"]), split)
        labels = {"COVID-19": TWO[label]} if self.classes == 2 else {name: float(name == THREE[label]) for name in self.label_names}
        return Study(
            study_id=f"{split}/{row['file']}",
            subject_id=str(row["patient"]),
            report="",
            films=(Film(f"{split}/{row['file']}", path),),
            labels=labels,
            split=split,
            scanner=str(row["source"]) or None,
        )

    def counts(self) -> dict[str, Any]:
        """Rows, studies, subjects, films, the number of classes, rows of each class per split, and what was left out."""
        per_class = {
            split: {str(label): int(((self._label == label) & (self._split == place)).sum()) for label in self._label.cat.categories}
            for place, split in enumerate(SPLITS)
            if self._rows[split]
        }
        usable = self._frame[~self._leaks]
        return {
            "rows": sum(self._rows.values()),
            "studies": len(usable),
            "subjects": int(usable["patient"].nunique()),
            "films": len(usable),
            "classes": self.classes,
            "rows_per_split": {split: rows for split, rows in self._rows.items() if rows},
            "positives": per_class,
            "left_out": self._left_out,
        }

    def _path_of(self, file: str, split: str) -> Path:
        folders = ("val", "valid", "train") if split == "valid" else (split,)
        found = next((path for folder in folders if (path := self._folder / folder / file).is_file()), None)
        return found or existing(self._folder / folders[0] / file)

    def _list_of(self, split: str, given: Path | None) -> Path | None:
        if given is not None:
            if not given.is_file():
                raise SistaError(f"{given}: no such file; {split}_list names the label file of {split}")
            return self._noted(given)
        if split == "train" and self.root.is_file():
            return self._noted(self.root)
        found = self.find_or_none(*_FILES[split])
        if found is None and split != "valid":
            folder = self.root.parent if self.root.is_file() else self.root
            others = sorted(folder.glob(f"{split}*.txt"))
            if len(others) > 1:
                raise SistaError(f"{folder}: {', '.join(path.name for path in others)}; choose one with {split}_list")
            found = self._noted(others[0]) if others else None
        return self.find("train.txt") if found is None and split == "train" else found


def _patients(frame: pd.DataFrame, mapping: dict[str, str]) -> tuple[pd.Series, int]:
    """Of each row the patient, and of how many films of RSNA's that is not known. Without sources in all rows an id stands for itself."""
    of_rsna = frame["source"] == RSNA
    known = frame["patient"].where(of_rsna).map(mapping)
    sourceless = (frame["source"] == "").any()
    plain = frame["patient"] if sourceless else frame["source"] + "/" + frame["patient"]
    return plain.where(known.isna(), known).astype("string[pyarrow]"), int((of_rsna & known.isna()).sum())


def _read_list(path: Path) -> pd.DataFrame:
    """patient, file, label (lower case) and source of each line; the class is found from the end, for file names may hold spaces."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = [field.strip() for field in line.split(",")] if "," in line else line.split()
        if not line.strip():
            continue
        place = next((at for at in (-1, -2) if len(fields) + at >= 2 and fields[at].lower() in {*THREE, *TWO}), None)
        if place is None:
            if number == 1 and "," in line:  # a header
                continue
            raise SistaError(
                f"{path}, line {number}: {line[:80]!r}; expected `patient file class source`, by spaces or commas, the class one of "
                f"{', '.join((*THREE, *TWO))}"
            )
        between = fields[1 : len(fields) + place]
        rows.append((fields[0], " ".join(between), fields[place].lower(), fields[-1].lower() if place == -2 else ""))
    if not rows:
        raise SistaError(f"{path}: no line with a film; expected `patient file class source`")
    frame = pd.DataFrame(rows, columns=["patient", "file", "label", "source"])
    return frame.astype("string[pyarrow]")
