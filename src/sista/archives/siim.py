"""SIIM-ACR Pneumothorax Segmentation 2019: films with run-length encoded masks of pneumothoraces."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sista.archives.release import Release, RowGroups, read_columns
from sista.archives.run_length import decode_run_length, mask_box
from sista.corpus.study import Film, Region, Study, StudyRefused

PNEUMOTHORAX = "Pneumothorax"


class Siim(Release):
    """One film per study, label Pneumothorax 1 or 0, all rows of a film joined into one mask with its box.

    Read: `train-rle.csv` or `stage_2_train.csv` (ImageId, EncodedPixels; spaces around both are ignored), where -1 stands for no
    pneumothorax; DICOM (or PNG) films anywhere below `images`, called by their ImageId; they may be smaller copies.
    Left out: rows that repeat another; the -1 of a film that has a mask too. A mask that cannot be decoded refuses its study, and so does
    a film whose cells are all empty. The release has neither patient ids nor a split: each film counts as its own subject, and the builder
    draws the split per film, never per row.

    Licence: the rules of the Kaggle competition (research and education); the films come from NIH ChestX-ray14.
    Obtain: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation

    Args:
        root: the folder of the table, or the table itself.
        images: the folder below which the films lie; by default that of the table.
        run_length: relative (as released) or absolute (starts counted from 1), see `sista.archives.run_length`.
        film_size: height and width in pixels of the films on which the masks were drawn.
    """

    name = "siim"
    label_names: tuple[str, ...] = (PNEUMOTHORAX,)

    def __init__(
        self, root: Path, images: Path | None = None, run_length: Literal["relative", "absolute"] = "relative", film_size: int = 1024
    ) -> None:
        super().__init__(root, run_length=run_length, film_size=film_size)
        self._run_length, self._size = run_length, film_size
        path = self.find("train-rle.csv", "stage_2_train.csv")
        self.images = Path(images) if images is not None else path.parent
        frame = read_columns(path, {"image": "ImageId", "code": "EncodedPixels"})
        self._rows = len(frame)
        self._several = int((frame["image"].value_counts() > 1).sum())
        twice = frame.duplicated()
        frame = frame[~twice].reset_index(drop=True)
        self._films = RowGroups(frame["image"])
        self._codes = frame["code"]
        self._masked = ~frame["code"].isin(["-1", ""]).to_numpy(dtype=bool)
        masks = np.bincount(self._films.codes, weights=self._masked, minlength=len(self._films)).astype(int)
        self._positive = masks > 0
        told = np.bincount(self._films.codes, weights=(frame["code"] != "").to_numpy(dtype=float), minlength=len(self._films))
        self._unknown = told == 0
        self._left_out = {
            "repeated row": int(twice.sum()),
            "-1 of a film with a mask": int(((self._films.sizes > masks) & self._positive).sum()),
            "no EncodedPixels": int(self._unknown.sum()),
        }

    def __len__(self) -> int:
        return len(self._films)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order in which films first appear."""
        image = self._films.id_of(index)
        found = self._paths.get(image)
        if not found:
            raise StudyRefused(f"no such file: {self.images}/**/{image}.dcm")
        if len(found) > 1:
            raise StudyRefused(
                f"several files of one film: {' and '.join(found)} below {self.images}; give images=, the folder of the films"
            )
        if self._unknown[index]:
            raise StudyRefused(f"no EncodedPixels: {image}; the release has -1 for no pneumothorax")
        codes = [str(self._codes.iat[row]) for row in self._films[index] if self._masked[row]]
        regions = []
        if codes:
            mask = np.zeros((self._size, self._size), dtype=bool)
            for code in codes:
                try:
                    mask |= decode_run_length(code, self._size, self._size, self._run_length)
                except ValueError as error:
                    raise StudyRefused(f"unreadable mask: {image} ({error}; run_length is {self._run_length!r})") from None
            regions.append(Region(PNEUMOTHORAX, *mask_box(mask), mask=mask))
        film = Film(image, self.images / found[0], "", tuple(regions))
        return Study(image, image, "", (film,), {PNEUMOTHORAX: float(bool(codes))})

    def counts(self) -> dict[str, Any]:
        """Rows, studies, films, positive and negative films, films of several rows, and what was left out."""
        positive = int(self._positive.sum())
        return {
            "rows": self._rows,
            "studies": len(self),
            "subjects": len(self),
            "films": len(self),
            "positive_studies": positive,
            "negative_studies": len(self) - positive - int(self._unknown.sum()),
            "several_rows": self._several,
            "mask_rows": int(self._masked.sum()),
            "positives": {PNEUMOTHORAX: positive},
            "left_out": self._left_out,
        }

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        """ImageId -> path below `images`; the release keeps each film in two folders of its own, which no table names.

        A DICOM goes before PNG files of its name. Of these there may be several, one of which is then likely its mask: all are given.
        """
        paths: dict[str, list[str]] = {}
        for ending in (".png", ".dcm"):
            found = sorted(path.relative_to(self.images) for path in self.images.rglob("*") if path.suffix.lower() == ending)
            of_ending: dict[str, list[str]] = {}
            for path in found:
                of_ending.setdefault(path.stem, []).append(path.as_posix())
            paths |= of_ending
        return paths
