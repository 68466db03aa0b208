"""Report similarity: a teacher turns each report into a vector, once, before training; the cosine of two says how alike they are."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, Protocol

import numpy as np

from sista.corpus.stored import StoredColumn
from sista.errors import SistaError, nearest


@dataclass(frozen=True)
class Reports:
    """What a teacher may look at, one entry per corpus row: cleaned texts, labels [N, K] (NaN unknown), true findings where known."""

    texts: Sequence[str]
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    true_findings: Sequence[Sequence[str] | None] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> Reports:
        """Some of the rows; ascending ones, where the texts lie on disk."""
        index, truth = np.asarray(rows, dtype=np.int64), self.true_findings
        return Reports(
            _some(self.texts, index),
            None if self.labels is None else self.labels[index],
            self.label_names,
            None if truth is None else _some(truth, index),
        )

    def blocks(self, size: int) -> Iterator[Reports]:
        """All of it in order, so many entries at a time; what lies on disk is read once."""
        texts, truth = iter(self.texts), None if self.true_findings is None else iter(self.true_findings)
        for start in range(0, len(self), size):
            yield Reports(
                list(islice(texts, size)),
                None if self.labels is None else self.labels[start : start + size],
                self.label_names,
                None if truth is None else list(islice(truth, size)),
            )


def _some(values: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    return values.take(rows) if isinstance(values, StoredColumn) else [values[row] for row in rows.tolist()]


class Teacher(Protocol):
    """Learns what it needs from the reports of the train split, then gives any report an L2-normalised float32 vector.

    `by_row`, where it is there and true, says that a vector depends on its own report alone, so that blocks of reports may be asked for.
    """

    def fit(self, reports: Reports | Sequence[str]) -> Teacher: ...

    def vectors(self, reports: Reports | Sequence[str]) -> np.ndarray:
        """[N, R], rows of length 1."""
        ...


TEACHERS = {
    "tfidf": "tfidf:Tfidf",
    "tfidf-raw": "tfidf:RawTfidf",
    "labels": "labels:LabelTeacher",
    "rules": "labels:RuleTeacher",
    "oracle": "oracle:Oracle",
}


def make_teacher(name: str) -> Teacher:
    """A teacher by name: tfidf, tfidf-raw, labels, rules, oracle, or hf:MODEL with #cls, #mean or #pooler behind it (cls unless said)."""
    if name.startswith("hf:"):
        return import_module("sista.corpus.teachers.hf").TextEncoderTeacher(name[3:])
    if name not in TEACHERS:
        raise SistaError(f"teacher {name!r}: {nearest(name, [*TEACHERS, 'hf:MODEL'])}")
    module, attribute = TEACHERS[name].split(":")
    return getattr(import_module(f"sista.corpus.teachers.{module}"), attribute)()


def as_reports(reports: Reports | Sequence[str]) -> Reports:
    """Plain texts become `Reports` without labels or truth."""
    return reports if isinstance(reports, Reports) else Reports(list(reports))


def file_stem(name: str) -> str:
    """The file name of a teacher's cache; a name with path signs in it gets a checksum, so that no two names share a file."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", name)
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; a row of zeros stays."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
