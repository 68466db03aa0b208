from __future__ import annotations

from pathlib import Path

import pytest

from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from tests.corpus.tiny_archive import TinyArchive

DATA = (Path(__file__).parents[2] / "../shared/data").resolve()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real open data; its tests are skipped where it is not."""
    if not (DATA / "pairs.csv").exists():
        pytest.skip("the real data of ../shared/data is not here")
    return DATA


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A finished corpus of 24 studies, 64 px, with all weightless teachers. Not to be changed."""
    out = tmp_path_factory.mktemp("corpus") / "tiny"
    build_corpus(TinyArchive(), out, size=64, workers=1, chunk=7, progress=False, teachers=("tfidf", "tfidf-raw", "labels", "oracle"))
    return Corpus.open(out)
