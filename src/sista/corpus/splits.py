"""Train, valid and test, never one subject in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from sista.corpus.equal import same_as
from sista.corpus.study import SPLITS
from sista.errors import SistaError


def split_of(subject_id: str, fractions: Sequence[float] = (0.8, 0.1, 0.1), salt: str = "sista") -> str:
    """The split of a subject: a SHA-256 of salt and id, as a number in [0, 1), against the summed fractions.

    It depends on nothing else, so a corpus that grows keeps every old subject where it was.
    """
    if len(fractions) != 3 or not (min(fractions) >= 0 and abs(sum(fractions) - 1) <= 1e-6):
        raise SistaError(f"split fractions {tuple(fractions)}: expected three shares (train, valid, test) that add up to 1")
    digest = hashlib.sha256(f"{salt}\0{subject_id}".encode()).digest()
    place = int.from_bytes(digest[:7], "big") / 2**56
    return SPLITS[0] if place < fractions[0] else SPLITS[1] if place < fractions[0] + fractions[1] else SPLITS[2]


def list_text(ids: Iterable[str]) -> str:
    """The text of an id list: distinct ids in ascending order, one a line, ending in a line feed; empty for none."""
    return "".join(f"{one}\n" for one in sorted(set(ids)))


def list_checksum(ids: Iterable[str]) -> str:
    """SHA-256 of `list_text` in UTF-8, so `sha256sum train.txt` gives the same."""
    return hashlib.sha256(list_text(ids).encode()).hexdigest()


def split_numbers(splits: Iterable[str]) -> np.ndarray:
    """The place [N] int8 of each split in `SPLITS`."""
    return np.fromiter((SPLITS.index(split) for split in splits), dtype=np.int8)


def refuse_leaks(subjects: Sequence[str], splits: np.ndarray, where: str) -> None:
    """Raise a SistaError that names the subjects which stand in two splits of `where`. splits: the `split_numbers` of the rows."""
    same = same_as(subjects)
    rows = np.flatnonzero(splits != splits[same])
    if len(rows):
        _, first = np.unique(same[rows], return_index=True)
        leaks = rows[np.sort(first)]
        names = ", ".join(subjects[int(row)] for row in leaks[:5]) + (f" and {len(leaks) - 5} more" if len(leaks) > 5 else "")
        raise SistaError(
            f"{where}: {len(leaks)} subject(s) in more than one split: {names}. "
            "Give all studies of a subject the same split, or leave the split column out and let sista draw it per subject; of a published "
            "protocol's lists take those of its corrected form."
        )
