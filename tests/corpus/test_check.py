from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sista.corpus.build import build_corpus
from sista.corpus.check import check
from sista.corpus.corpus import Corpus
from sista.corpus.study import Study
from sista.corpus.tokenizer import train_tokenizer
from sista.errors import SistaError
from tests.corpus.tiny_archive import TinyArchive


class Twins(TinyArchive):
    """Study 2 and 3 carry the films of 0 and 1, under their own names; 0 and 1 are in train, the others in test."""

    def __getitem__(self, index: int) -> Study:
        study, film = super().__getitem__(index), super().__getitem__(index % 2).films[0]
        return replace(study, films=(replace(film, film_id=f"f{index}"),))


def test_counts(corpus: Corpus) -> None:
    found = check(corpus.path)
    assert (found["pairs"], found["subjects"], found["studies"]) == (24, 12, 24)
    assert sum(found["splits"].values()) == 24
    assert found["views"] == {"PA": 24}
    assert sum(found["labels"]["pleural effusion"].values()) == 24
    assert found["words"]["min"] <= found["words"]["median"] <= found["words"]["max"]
    assert found["duplicates"]["films"] == {"within_a_split": 0, "across_splits": 0}
    assert found["verdict"].startswith("usable")


def test_false_negatives_against_the_truth(corpus: Corpus) -> None:
    found = check(corpus.path)["false_negatives"]
    assert set(found) == {"tfidf", "tfidf-raw", "labels", "oracle"}
    oracle = found["oracle"]
    top = oracle["cut_offs"]["0.01"]
    assert top["precision"] == top["recall"] == 1
    assert top["share"] == pytest.approx(oracle["equal_truth"])
    assert found["labels"]["cut_offs"]["0.01"]["precision"] == 1


def test_films_in_two_splits_are_counted(tmp_path: Path) -> None:
    build_corpus(Twins(4, splits=("train", "train", "test", "test")), tmp_path / "c", size=32, workers=1, progress=False)
    found = check(tmp_path / "c")
    assert found["duplicates"]["films"] == {"within_a_split": 0, "across_splits": 4}
    assert any("4 films stand in more than one split" in note for note in found["notes"])
    assert "the valid split is empty" in found["notes"]
    assert found["verdict"] == "usable, with notes"


@pytest.fixture
def copy(corpus: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus.path, tmp_path / "copy"))


def test_damage_is_found(copy: Path) -> None:
    part = copy / "studies/part-00001.arrow"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(SistaError, match=r"part-00001\.arrow is damaged"):
        check(copy)


def test_another_tokenizer_is_found(copy: Path) -> None:
    train_tokenizer(["something else"] * 3).save(copy / "tokenizer")
    with pytest.raises(SistaError, match="cut by another tokenizer"):
        check(copy)


def test_missing_vectors_are_found(copy: Path) -> None:
    (copy / "teachers/labels.npy").unlink()
    with pytest.raises(SistaError, match="vectors of teacher labels are missing"):
        check(copy)


def test_a_corpus_without_teachers_says_so(copy: Path) -> None:
    shutil.rmtree(copy / "teachers")
    assert any("no teacher is stored" in note for note in check(copy)["notes"])
