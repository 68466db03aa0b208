from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sista.corpus.build import build_corpus
from sista.corpus.check import check
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json, write_json
from sista.corpus.reports.tokenizer import train_tokenizer
from sista.corpus.study import Film, Study
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


WRITTEN = [
    "studies/part-00000.arrow",
    "studies/part-00000.json",
    "tokens.arrow",
    "keys.npy",
    "rows.npy",
    "tokenizer/tokenizer.json",
    "teachers/tfidf.npy",
]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("how", ["cut", "flipped", "removed"])
def test_no_damage_ends_in_a_traceback_or_passes(copy: Path, name: str, how: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    if how == "removed":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content[: len(content) // 2] if how == "cut" else content)
    with pytest.raises(SistaError, match=rf"{Path(name).stem}|tokenizer"):
        check(copy)


def test_a_corpus_that_states_no_checksums_is_checked_as_far_as_it_can_be(copy: Path) -> None:
    facts = read_json(copy / "corpus.json")
    del facts["sha256"]
    write_json(copy / "corpus.json", facts)
    check(copy)
    (copy / "tokens.arrow").write_bytes((copy / "tokens.arrow").read_bytes()[:100])
    with pytest.raises(SistaError, match="its tokens or its tokenizer cannot be read"):
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


class Copies(TinyArchive):
    """Structured films; 1 is a brighter, recompressed copy of 0 in another split, 2 is inverted, 3 white, 4 a narrow strip."""

    def __getitem__(self, index: int) -> Study:
        study = super().__getitem__(index)
        y, x = np.mgrid[0:1:80j, 0:1:60j]
        rng = np.random.default_rng(0 if index == 1 else index)
        body = 150 * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.1)
        waves = sum(8 * np.sin(2 * np.pi * (rng.random() * 5 * x + rng.random() * 5 * y + rng.random())) for _ in range(6))
        pixels = body + waves + 40
        pixels = {1: pixels + 6, 2: 255 - pixels, 3: 0.2 * pixels + 200, 4: pixels[:, 20:32]}.get(index, pixels)
        pixels = np.clip(pixels, 0, 255).astype(np.uint8)
        report = f"FINDINGS: Heart size is normal today in film {index}. No pleural effusion is seen here. The lungs are clear."
        return replace(study, films=(Film(f"f{index}", pixels, "PA"),), report=report)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("copies") / "c"
    splits = ("train", "test", *["train"] * 38)
    build_corpus(OneSubject(40, splits=splits), out, size=64, workers=1, progress=False, chunk=16)
    return out


class OneSubject(Copies):
    """A subject of its own for every study."""

    def __getitem__(self, index: int) -> Study:
        return replace(super().__getitem__(index), subject_id=f"p{index}")


def test_near_duplicates_of_films_and_texts(copies: Path) -> None:
    found = check(copies)["duplicates"]
    assert found["films"] == {"within_a_split": 0, "across_splits": 0}
    assert (found["near_films"]["within_a_split"], found["near_films"]["across_splits"]) == (0, 2)
    assert found["near_films"]["examples"] == ["f0 (train) and f1 (test)"]
    assert found["reports"]["across_splits"] == 0
    assert found["near_reports"]["across_splits"] >= 2
    assert found["near_reports"]["within_a_split"] >= 38


def test_outliers_are_named(copies: Path) -> None:
    result = check(copies)
    assert list(result["outliers"]["brightness"]["farthest"])[:1] == ["f3"]
    assert list(result["outliers"]["aspect"]["farthest"]) == ["f4"]
    assert list(result["outliers"]["unlike"]["farthest"]) == ["f2"]
    assert any(note.startswith("1 films are outliers by aspect, the farthest f4 (0.15)") for note in result["notes"])
    assert "2 films have a near-duplicate that stands in another split; scores on valid and test are too good by them" in result["notes"]
    assert result["verdict"] == "usable, with notes"


def test_the_page_holds_all_it_needs(copies: Path, tmp_path: Path) -> None:
    check(copies, page=tmp_path / "new" / "page.html")
    page = (tmp_path / "new" / "page.html").read_text()
    assert page.count("data:image/png;base64,") >= 12
    assert "http" not in page
    for part in ("usable, with notes", "Outliers by aspect", "f0 (train) and f1 (test)", "No pleural effusion is seen here."):
        assert part in page


def test_a_corpus_of_reports_alone_has_a_page_too(tmp_path: Path) -> None:
    archive = TinyArchive(6)
    archive.text_only = True  # type: ignore[attr-defined]
    build_corpus(archive, tmp_path / "c", size=32, workers=1, progress=False)
    found = check(tmp_path / "c", page=tmp_path / "p.html")
    assert found["outliers"] == {}
    assert found["duplicates"]["near_films"]["across_splits"] == 0
    assert "data:image" not in (tmp_path / "p.html").read_text()
