"""Corpora of films without reports, and of reports without films."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sista.corpus.build import build_corpus
from sista.corpus.check import check
from sista.corpus.corpus import Corpus
from sista.corpus.study import Study
from sista.errors import SistaError
from tests.corpus.tiny_archive import TinyArchive


@dataclass
class FilmsOnly(TinyArchive):
    has_reports: bool = False

    def __getitem__(self, index: int) -> Study:
        return replace(super().__getitem__(index), report="")


@dataclass
class ReportsOnly(TinyArchive):
    text_only: bool = True

    def __getitem__(self, index: int) -> Study:
        return replace(super().__getitem__(index), films=())


def test_films_without_reports(tmp_path: Path) -> None:
    build_corpus(FilmsOnly(), tmp_path / "c", size=32, workers=1, progress=False)
    corpus = Corpus.open(tmp_path / "c")
    assert len(corpus) == 24
    assert corpus.films([3]).float().std() > 0
    assert corpus.labels([3]).shape == (1, 2)
    found = check(tmp_path / "c")
    assert found["duplicates"]["reports"] == {"within_a_split": 0, "across_splits": 0}
    assert any("no reports" in note for note in found["notes"])
    with pytest.raises(SistaError, match="has no reports"):
        corpus.teacher("tfidf")


def test_reports_without_films(tmp_path: Path) -> None:
    build_corpus(ReportsOnly(), tmp_path / "c", size=32, workers=1, progress=False)
    corpus = Corpus.open(tmp_path / "c")
    assert len(corpus) == 24
    assert corpus.teacher("tfidf").vectors.shape[0] == 24
    assert corpus.regions(3) == ()
    assert any("no films" in note for note in check(tmp_path / "c")["notes"])
    with pytest.raises(SistaError, match="reports only"):
        corpus.films([0])
