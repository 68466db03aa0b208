"""Object-CXR: foreign objects on 10,000 films, drawn as rectangles, ellipses and polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sista.archives.drawings import KINDS, read_drawings
from sista.archives.release import Release, existing, read_columns
from sista.corpus.films.radiograph import SIDEWAYS, orientation
from sista.corpus.study import SPLITS, Film, Region, Study, StudyRefused

OBJECT = "Foreign object"
_PARTS = {"train": "train", "dev": "valid", "test": "test"}


class ObjectCxr(Release):
    """One frontal film per study, label Foreign object 1 or 0, one region per object with its exact box and mask.

    Read: `train.csv` (8,000; split train), `dev.csv` (1,000; split valid) and `test.csv` (1,000, where you have it; split test), columns
    image_name (also image_path) and annotation; JPEG films in `train/`, `dev/`, `test/`. Boxes are the plain bounds of the points, masks
    the pixels whose centre lies in the shape.
    Left out: a second row of the same film. A film whose annotation cannot be read is refused, never counted as free of objects. There
    are no patient ids: each film counts as its own subject.

    Licence: CC BY-NC 4.0 by the account of third parties; read the terms that come with your copy.
    Obtain: https://academictorrents.com/details/fdc91f11d7010f7259a05403fc9d00079a09f5d5 (train and dev)

    Args:
        root: the folder of train.csv, dev.csv and the unpacked films, or one of these tables.
        masks: also draw the exact masks (of the film's full size); without them the regions have boxes only.
    """

    name = "object_cxr"
    label_names: tuple[str, ...] = (OBJECT,)

    def __init__(self, root: Path, masks: bool = True) -> None:
        super().__init__(root, masks=masks)
        self.require_folder_or(*(f"{part}.csv" for part in _PARTS))
        self._masks = masks
        self._folder = self.root if self.root.is_dir() else self.root.parent
        found = {part: self.find_or_none(f"{part}.csv") for part in _PARTS}
        if not any(found.values()):
            self.find("train.csv", "dev.csv")
        names = {"image": ("image_name", "image_path"), "annotation": "annotation"}
        frames = [read_columns(path, names).assign(part=part) for part, path in found.items() if path is not None]
        frame = pd.concat(frames, ignore_index=True)
        frame["image"] = frame["image"].str.replace(r"^.*[/\\]", "", regex=True)
        twice = frame.duplicated(["part", "image"])
        self._rows = {part: int((frame["part"] == part).sum()) for part, path in found.items() if path is not None}
        self._frame = frame[~twice].reset_index(drop=True)
        self._frame["part"] = self._frame["part"].astype("category")
        self._duplicates = int(twice.sum())

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, train before dev before test."""
        row = self._frame.iloc[index]
        image, part = str(row["image"]), str(row["part"])
        path = existing(self._folder / part / image)
        try:
            drawings = read_drawings(str(row["annotation"]))
        except ValueError as error:
            raise StudyRefused(f"unreadable annotation: {image} ({error})") from None
        height, width = _film_size(path) if drawings and self._masks else (0, 0)
        regions = tuple(Region(OBJECT, *one.box(), mask=one.mask(height, width) if self._masks else None) for one in drawings)
        name = f"{part}/{image}"
        return Study(name, name, "", (Film(name, path, "", regions),), {OBJECT: float(bool(drawings))}, split=_PARTS[part])

    def counts(self) -> dict[str, Any]:
        """Rows, studies, films with and without objects, objects by shape, and what was left out."""
        shapes, positive, unreadable = dict.fromkeys(KINDS.values(), 0), 0, 0
        for annotation in self._frame["annotation"]:
            try:
                drawings = read_drawings(str(annotation))
            except ValueError:
                unreadable += 1
                continue
            positive += bool(drawings)
            for one in drawings:
                shapes[one.kind] += 1
        studies = len(self) - unreadable
        return {
            "rows": sum(self._rows.values()),
            "studies": studies,
            "subjects": studies,
            "films": studies,
            "positive_studies": positive,
            "boxes": int(np.sum(list(shapes.values()))),
            "shapes": shapes,
            "rows_per_split": {split: self._rows[part] for part, split in _PARTS.items() if part in self._rows and split in SPLITS},
            "positives": {OBJECT: positive},
            "left_out": {"duplicate film": self._duplicates, "unreadable annotation": unreadable},
        }


def _film_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return (image.width, image.height) if orientation(image) >= SIDEWAYS else (image.height, image.width)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StudyRefused(f"unreadable image: {path} ({error})") from None
