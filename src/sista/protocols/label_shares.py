"""Which training rows belong to the 1 %, 10 % and 100 % label sets: nested, patient-wise, stratified, the same on every machine.

One order of all subjects is made per draw, and a share is its beginning, so 1 % lies inside 10 % inside 100 %. The order takes every
combination of labels in proportion: the subjects of a combination, shuffled by a hash of seed, draw and subject id, get the positions
(rank + offset) / size with one hashed offset per combination, which is systematic sampling where a combination is common and plain
chance where it is rare. For each label, the first subject with a positive, and then with a negative, is moved to the front: a share
that would have had none gets one, and any other share keeps its rows but for the few displaced at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sista.errors import SistaError


@dataclass(frozen=True)
class LabelShare:
    """The rows of one share, ascending, and what it lacks.

    rows              [m] int64, rows of the arrays given
    subjects          how many subjects they belong to
    without_positive  columns of `labels` of which the share holds no positive (none exists, or the share has fewer subjects than it takes)
    without_negative  likewise for negatives
    """

    rows: NDArray[np.int64]
    subjects: int
    without_positive: tuple[int, ...]
    without_negative: tuple[int, ...]

    @property
    def one_class(self) -> tuple[int, ...]:
        """Columns that cannot be learnt from this share."""
        return tuple(sorted({*self.without_positive, *self.without_negative}))


def share_rows(subject_ids: Sequence[Hashable] | ArrayLike, labels: ArrayLike, share: float, draw: int = 0, seed: int = 0) -> LabelShare:
    """The rows of the first `share` (0 to 1] of the subjects, at least one: subject_ids [n], labels [n] or [n,k] in {0, 1, NaN}.

    Depends on the ids and labels alone, not on the order of the rows. A subject counts as positive for a label if any of its rows is.
    Raises SistaError for a share outside (0, 1], no rows, or other label values.
    """
    names = np.array([str(subject) for subject in np.asarray(subject_ids, dtype=object)], dtype=object)
    table = np.asarray(labels, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if not 0 < share <= 1:
        raise SistaError(f"label share {share}: expected more than 0 and at most 1 (0.01 is 1 %)")
    if len(names) == 0 or table.ndim != 2 or len(table) != len(names):
        raise SistaError(f"{len(names)} subject ids and labels of shape {table.shape}: expected at least one row, and one id per row")
    if not (np.isnan(table) | (table == 0) | (table == 1)).all():
        raise SistaError("labels other than 0, 1 and NaN: map uncertain labels (-1) to one of them before drawing a label share")
    subjects, of_row = np.unique(names.astype(str), return_inverse=True)
    positive, negative = np.zeros((2, len(subjects), table.shape[1]), dtype=bool)
    np.logical_or.at(positive, of_row, table == 1)
    np.logical_or.at(negative, of_row, table == 0)
    order = _order(subjects, positive, negative, f"{seed}/{draw}")
    taken = order[: max(1, round(share * len(subjects)))]
    rows = np.flatnonzero(np.isin(of_row, taken))
    return LabelShare(
        rows=rows.astype(np.int64),
        subjects=len(taken),
        without_positive=tuple(int(k) for k in np.flatnonzero(~(table[rows] == 1).any(axis=0))),
        without_negative=tuple(int(k) for k in np.flatnonzero(~(table[rows] == 0).any(axis=0))),
    )


def _order(subjects: NDArray[np.str_], positive: NDArray[np.bool_], negative: NDArray[np.bool_], salt: str) -> NDArray[np.intp]:
    """Subjects in the order in which shares take them: [s], [s,k], [s,k] -> [s]."""
    chance = np.array([_uniform(f"{salt}/subject/{subject}") for subject in subjects])
    combinations, stratum = np.unique(np.concatenate([positive, negative], axis=1), axis=0, return_inverse=True)
    stratum = stratum.ravel()
    offset = np.array([_uniform(f"{salt}/combination/{combination.tobytes().hex()}") for combination in combinations])
    size = np.bincount(stratum)
    rank = np.empty(len(subjects))
    rank[np.lexsort((chance, stratum))] = np.arange(len(subjects)) - np.repeat(np.cumsum(size) - size, size)
    place = (rank + offset[stratum]) / size[stratum]
    order = np.lexsort((chance, place))
    front: list[int] = []
    for has in (positive, negative):
        for label in np.argsort(has.sum(axis=0), kind="stable"):
            holders = order[has[order, label]]
            if len(holders) and not has[front, label].any():
                front.append(int(holders[0]))
    return np.concatenate([np.array(front, dtype=np.intp), order[~np.isin(order, front)]])


def _uniform(text: str) -> float:
    """A number in [0, 1) from a hash of the text: equal on every machine and Python."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
