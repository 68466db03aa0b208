"""VinDr-CXR: 15,000 films read by three radiologists each, as PhysioNet (28 findings, with a test set) or Kaggle (14) give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from sista.archives.release import Release, RowGroups, existing, read_columns, read_header
from sista.corpus.study import Film, Region, Study
from sista.errors import SistaError

LOCAL = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
)
NONE = "No finding"
_SAME = {"Other disease": "Other diseases"}  # the test table's name for it
_CORNERS = ["x_min", "y_min", "x_max", "y_max"]


class VinDr(Release):
    """One PA film per study; a finding is 1 when more than half of its readers marked it, else 0; `votes()` keeps how many did.

    Read, Kaggle: `train.csv` (image_id, class_name, rad_id, x_min, y_min, x_max, y_max); films in `train/`; no split.
    Read, PhysioNet: `annotations/annotations_train.csv` and `_test.csv`, and `image_labels_train.csv` and `_test.csv` (one column per
    finding); films in `train/` and `test/`; the test set carries the consensus of five readers as one reader.
    Boxes: of findings that got the majority, in pixels of the DICOM; those of one finding that overlap, mostly one lesion drawn by several
    readers, are one, with the mean of their corners, so that a lesion is not counted once a reader.
    Left out: rows that repeat another, boxes without numbers or extent, boxes of findings without a majority. There are no patient ids in
    the tables: each film counts as its own subject.

    Licence: PhysioNet Credentialed Health Data License 1.5.0 (Kaggle: the rules of the competition, non-commercial).
    Obtain: https://physionet.org/content/vindr-cxr/ or https://www.kaggle.com/c/vinbigdata-chest-xray-abnormalities-detection

    Args:
        root: the folder of train.csv, or the folder that holds annotations/.
        images: the folder that holds train/ (and test/); by default `root`.
        merge: boxes of one finding become one where they overlap by this intersection over union (the competition's is 0.4), directly or
            by way of others; 0 keeps every reader's.
    """

    name = "vindr"

    def __init__(self, root: Path, images: Path | None = None, merge: float = 0.4) -> None:
        super().__init__(root, merge=merge)
        if not 0 <= merge <= 1:
            raise SistaError(f"merge is {merge}; it is an intersection over union, 0 to 1, and 0 merges nothing")
        self.merge = merge
        parts = {part: self.find_or_none(f"annotations/annotations_{part}.csv", f"annotations_{part}.csv") for part in ("train", "test")}
        self.physionet = any(parts.values())
        found = {part: path for part, path in parts.items() if path} if self.physionet else {"": self.find("train.csv")}
        self.images = Path(images) if images is not None else self.root if self.root.is_dir() else self.root.parent
        marks = pd.concat([_read_marks(path).assign(part=part) for part, path in found.items()], ignore_index=True)
        self._rows = {part or "train": int((marks["part"] == part).sum()) for part in found}
        twice = marks.duplicated()
        marks = marks[~twice].reset_index(drop=True)
        finite = np.isfinite(marks[_CORNERS].to_numpy()).all(axis=1)
        extent = (marks["x_max"] > marks["x_min"]) & (marks["y_max"] > marks["y_min"])
        self._left_out = {"repeated row": int(twice.sum()), "box without extent": int((finite & ~extent).sum())}
        whole, columns = self._read_image_labels()
        self.label_names = tuple(columns) or LOCAL
        unknown = sorted(set(marks["finding"]) - {*self.label_names, NONE})
        if unknown:
            raise SistaError(f"{self.root}: unknown class_name {', '.join(map(repr, unknown[:3]))}; expected {', '.join(self.label_names)}")
        keys = marks[["image", "reader", "finding", "part"]].assign(vote=1)
        votes = pd.concat([whole, keys], ignore_index=True) if whole is not None else keys
        self._images = RowGroups(votes["image"])
        self._votes, self._readers = self._count_votes(votes)
        part = votes["part"].astype("category")
        self._part = part.iloc[self._images.first].reset_index(drop=True)
        boxes = marks[(finite & extent) & (marks["finding"] != NONE)].reset_index(drop=True)
        place = pd.Index(self._images.ids).get_indexer(pd.Index(boxes["image"]))
        column = pd.Index(self.label_names).get_indexer(pd.Index(boxes["finding"]))
        agreed = self._majority()[place, column]
        self._left_out["box without a majority"] = int((~agreed).sum())
        self._boxes = boxes[_CORNERS].to_numpy(np.float32)[agreed]
        self._box_finding = column[agreed].astype(np.int16)
        order = np.argsort(place[agreed], kind="stable")
        self._boxes, self._box_finding = self._boxes[order], self._box_finding[order]
        self._box_start = np.searchsorted(place[agreed][order], np.arange(len(self) + 1))
        self._all_boxes = len(boxes)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the tables."""
        image, part = self._images.id_of(index), str(self._part.iat[index])
        folder, names = self.images / (part or "train"), (f"{image}.dicom", f"{image}.dcm", f"{image}.png", f"{image}.jpg")
        path = next((folder / name for name in names if (folder / name).is_file()), None) or existing(folder / names[0])
        index = range(len(self))[index]
        rows = slice(self._box_start[index], self._box_start[index + 1])
        regions = []
        for finding, (x, y, right, bottom) in merged(self._boxes[rows].astype(float), self._box_finding[rows], self.merge):
            regions.append(Region(self.label_names[finding], x, y, right - x, bottom - y))
        labels = dict(zip(self.label_names, (2 * self._votes[index] > self._readers[index]).astype(float).tolist(), strict=True))
        return Study(image, image, "", (Film(image, path, "PA", tuple(regions)),), labels, split=part or None)

    def votes(self, index: int) -> dict[str, int]:
        """How many readers marked each finding on film number `index`; "readers" is how many there were."""
        counts = dict(zip(self.label_names, self._votes[index].tolist(), strict=True))
        return {"readers": int(self._readers[index]), **counts}

    def counts(self) -> dict[str, Any]:
        """Rows, studies, films, boxes (all, and of findings with a majority), positives by majority, and what was left out."""
        majority = self._majority()
        readers, films = np.unique(self._readers, return_counts=True)
        return {
            "rows": sum(self._rows.values()),
            "studies": len(self),
            "subjects": len(self),
            "films": len(self),
            "boxes": self._all_boxes,
            "boxes_with_majority": len(self._boxes),
            "rows_per_table": self._rows,
            "films_per_readers": dict(zip(map(str, readers.tolist()), films.tolist(), strict=True)),
            "positives": {
                NONE: int((~majority.any(axis=1)).sum()),
                **dict(zip(self.label_names, majority.sum(axis=0).tolist(), strict=True)),
            },
            "left_out": self._left_out,
        }

    def _majority(self) -> np.ndarray:
        return 2 * self._votes > self._readers[:, None]

    def _count_votes(self, votes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Readers per film and finding [N, F], and readers per film [N]."""
        counts = np.zeros((len(self._images), len(self.label_names)), dtype=np.int8)
        image = self._images.codes
        once = ~votes[["image", "reader", "finding"]].duplicated() & (votes["vote"] > 0)
        column = pd.Index(self.label_names).get_indexer(pd.Index(votes["finding"]))
        kept = once.to_numpy(dtype=bool) & (column >= 0)
        np.add.at(counts, (image[kept], column[kept]), 1)
        readers = np.bincount(image[~votes[["image", "reader"]].duplicated().to_numpy()], minlength=len(self._images))
        return counts, readers.astype(np.int8)

    def _read_image_labels(self) -> tuple[pd.DataFrame | None, list[str]]:
        """The findings that readers gave per film (PhysioNet), one row each, also where a film has none; and the finding names."""
        frames: list[pd.DataFrame] = []
        names: list[str] = []
        for part in ("train", "test") if self.physionet else ():
            path = self.find(f"annotations/image_labels_{part}.csv", f"image_labels_{part}.csv") if self._rows.get(part) else None
            if path is None:
                continue
            header = [name.strip() for name in read_header(path)]
            findings = [name for name in header if name not in ("image_id", "rad_id", "rad_ID")]
            text = {"image": "image_id", "reader": ("rad_id", "rad_ID")}
            wide = read_columns(path, text, {_SAME.get(name, name): name for name in findings}, optional=("reader",))
            if "reader" not in wide:
                wide["reader"] = "consensus"
            wide[NONE] = 1.0
            long = wide.melt(["image", "reader"], var_name="finding", value_name="vote")
            frames.append(long[long["vote"] > 0].assign(part=part))
            names += [name for name in (_SAME.get(name, name) for name in findings) if name not in (*names, NONE)]
        return (pd.concat(frames, ignore_index=True) if frames else None), names


def merged(corners: np.ndarray, findings: np.ndarray, least: float) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Finding and corners of each box of a film, in the order of the first of each group: corners [n,4], findings [n].

    A group are the boxes of one finding that are connected by overlaps of at least `least` (IoU), and is the mean of their corners.
    """
    overlap = np.maximum(0, np.minimum(corners[:, None, 2:], corners[None, :, 2:]) - np.maximum(corners[:, None, :2], corners[None, :, :2]))
    both, area = overlap.prod(axis=-1), (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    same = findings[:, None] == findings[None, :]
    joined = same & (both >= least * (area[:, None] + area[None, :] - both)) & (least > 0)
    _, group = connected_components(joined | np.eye(len(corners), dtype=bool), directed=False)
    found = []
    for first in sorted(np.unique(group, return_index=True)[1].tolist()):
        x, y, right, bottom = corners[group == group[first]].mean(axis=0).tolist()
        found.append((int(findings[first]), (x, y, right, bottom)))
    return found


def _read_marks(path: Path) -> pd.DataFrame:
    text = {"image": "image_id", "finding": "class_name", "reader": ("rad_id", "rad_ID")}
    frame = read_columns(path, text, {corner: corner for corner in _CORNERS}, optional=("reader",))
    if "reader" not in frame:
        frame["reader"] = "consensus"
    return frame
