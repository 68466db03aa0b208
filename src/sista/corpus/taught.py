"""What a teacher said of a corpus, kept with it: one vector per row, and cut-offs by share of random pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sista.corpus.disk import file_digest, read_json, write_array, write_json
from sista.corpus.growing import GrowingArray
from sista.corpus.teachers import Reports, Teacher, file_stem, make_teacher
from sista.corpus.teachers.calibration import calibrate
from sista.errors import SistaError

_AT_ONCE = 4096  # reports whose vectors are made at a time


class Taught:
    """Teacher vectors float32 [N, R] and `cut_offs`, share -> similarity; unpacks as `vectors, cut_offs`.

    Called with a share it returns the similarity that this share of random pairs of the train split reaches, to be used with `>=`.
    `realised` has the share that truly does, which is larger where many pairs tie.
    """

    def __init__(self, name: str, vectors: np.ndarray, studies: np.ndarray, train: np.ndarray, facts: dict) -> None:
        self.name, self.vectors, self._studies, self._train = name, vectors, studies, train
        self.cut_offs = {float(share): value for share, value in facts["cut_offs"].items()}
        self.realised = {float(share): value for share, value in facts["realised"].items()}
        self.pairs: int = facts["pairs"]

    def __iter__(self) -> Iterator:
        return iter((self.vectors, self.cut_offs))

    def __call__(self, share: float) -> float:
        if share not in self.cut_offs:
            made = calibrate(self.vectors, self._studies, (share,), rows=self._train)
            self.cut_offs |= made.cut_offs
            self.realised |= made.realised
        return self.cut_offs[share]

    def __repr__(self) -> str:
        count, rank = self.vectors.shape
        return (
            f"Taught({self.name}: {count} x {rank}, "
            + ", ".join(f"top {100 * s:g} % >= {v:.3f}" for s, v in sorted(self.cut_offs.items()))
            + ")"
        )


def has_taught(folder: Path, name: str) -> bool:
    """Whether a teacher's vectors lie in a corpus' `teachers` folder; its JSON is written last."""
    stem = file_stem(name)
    return (folder / f"{stem}.json").exists() and (folder / f"{stem}.npy").exists()


def teach(folder: Path, name: str, reports: Reports, studies: np.ndarray, train: np.ndarray, fingerprint: str) -> Taught:
    """Open a teacher's vectors, or compute them from the corpus' reports and keep them.

    studies: [N] study ids, or a number for each. train: rows of the train split, on which a teacher is fitted and calibrated; without any,
    all rows.
    """
    stem = file_stem(name)
    vectors_file, facts_file = folder / f"{stem}.npy", folder / f"{stem}.json"
    train = train if len(train) else np.arange(len(reports))
    facts = read_json(facts_file) if has_taught(folder, name) else None
    if facts is None or facts["fingerprint"] != fingerprint:
        if not all(os.access(place, os.W_OK) for place in (folder, folder.parent) if place.exists()):
            raise SistaError(
                f"teacher {name!r} is not stored in {folder}, and that cannot be written by you: have its owner run "
                f"`sista build ... --teachers '[{name}]'` on that corpus again, which adds it, or copy the corpus"
            )
        vectors = _vectors(make_teacher(name).fit(reports.take(train)), reports, folder.parent)
        made = calibrate(vectors, studies, rows=train)
        facts = {
            "name": name,
            "fingerprint": fingerprint,
            "dimensions": vectors.shape[1],
            "pairs": made.pairs,
            "cut_offs": {str(share): value for share, value in made.cut_offs.items()},
            "realised": {str(share): value for share, value in made.realised.items()},
        }
        folder.mkdir(exist_ok=True)
        write_array(vectors_file, vectors)
        write_json(facts_file, {**facts, "sha256": file_digest(vectors_file)})
    return Taught(name, np.load(vectors_file, mmap_mode="r"), studies, train, facts)


def _vectors(teacher: Teacher, reports: Reports, scratch: Path) -> np.ndarray:
    """The vectors of all reports; block by block in a nameless file of the folder `scratch`, where the teacher allows it."""
    if not getattr(teacher, "by_row", False):
        return teacher.vectors(reports)
    flat = GrowingArray("<f4", scratch)
    for some in reports.blocks(_AT_ONCE):
        flat.append(teacher.vectors(some))
    return flat.array().reshape(len(reports), -1)
