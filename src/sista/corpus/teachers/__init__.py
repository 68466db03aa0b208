"""Report similarity: a teacher turns each report into a vector, once, before training; the cosine of two says how alike they are."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

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
        """Some of the rows."""
        truth = self.true_findings
        return Reports(
            [self.texts[i] for i in rows],
            None if self.labels is None else self.labels[np.asarray(rows, dtype=np.int64)],
            self.label_names,
            None if truth is None else [truth[i] for i in rows],
        )


class Teacher(Protocol):
    """Learns what it needs from the reports of the train split, then gives any report an L2-normalised float32 vector."""

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
