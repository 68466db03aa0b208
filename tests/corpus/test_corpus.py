from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from sista.corpus.keys import report_keys, truth_keys
from sista.errors import SistaError
from tests.corpus.tiny_archive import TinyArchive


def test_repr_counts_itself(corpus: Corpus) -> None:
    assert repr(corpus).startswith("Corpus(tiny: 24 film-report pairs of 12 subjects, train ")
    assert len(corpus) == 24
    assert sum(len(corpus.rows(split)) for split in ("train", "valid", "test")) == len(corpus.rows()) == 24


def test_films_are_the_ones_of_the_archive_centred_on_black(corpus: Corpus) -> None:
    films = corpus.films([0, 5])
    assert films.shape == (2, 1, 64, 64)
    assert films.dtype == torch.uint8
    assert bool((films[..., :8] == 0).all())  # 80 x 60 becomes 64 x 48, 8 black columns on each side
    assert bool((films[..., 56:] == 0).all())
    from sista.corpus.films.radiograph import resize_film

    expected, _ = resize_film(TinyArchive()[5].films[0].source, 64)
    assert np.abs(films[1, 0, :, 8:56].numpy().astype(int) - expected).mean() < 3


def test_regions_are_carried_along(corpus: Corpus) -> None:
    row = next(row for row in range(24) if corpus.labels([row])[0, 0] == 1)
    (region,) = corpus.regions(row)
    scale = 64 / 80
    assert (region.x, region.y, region.width, region.height) == pytest.approx((15 * scale + 8, 40 * scale, 30 * scale, 20 * scale))
    assert region.phrase.endswith("pleural effusion")
    assert region.mask is not None
    rows, columns = np.nonzero(region.mask)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (32, 48, 20, 44)
    assert region.mask.shape == (64, 64)


def test_labels_reports_and_columns(corpus: Corpus) -> None:
    labels = corpus.labels()
    assert labels.shape == (24, 2)
    np.testing.assert_array_equal(corpus.labels([3, 1]), labels[[3, 1]])
    for row in range(24):
        study = TinyArchive()[row]
        assert list(labels[row]) == [study.labels[name] for name in corpus.label_names]
        assert set(corpus.column("true_findings")[row]) == study.true_findings
        assert corpus.reports([row])[0] == study.report.removeprefix("FINDINGS: ")
        assert corpus.column("age")[row] == 40 + row
    with pytest.raises(SistaError, match=r"no column 'colour' .*columns: film_id"):
        corpus.column("colour")


def test_the_same_rows_as_a_hugging_face_dataset(corpus: Corpus) -> None:
    assert corpus.dataset["study_id"][:3] == ["s0", "s1", "s2"]
    assert corpus.dataset[3]["image"] == corpus.stored.cell("image", 3).as_py()


def test_a_batch_holds_what_it_promises(corpus: Corpus) -> None:
    rows = corpus.rows("train")[:5]
    batch = corpus.batch(rows, teacher="labels")
    assert len(batch) == 5
    assert batch.rows.tolist() == rows.tolist()
    assert batch.images.shape == (5, 1, 64, 64)
    assert batch.pieces.shape == batch.piece_mask.shape == batch.piece_word.shape
    assert batch.word_mask.shape == batch.word_type.shape == batch.word_weight.shape == batch.word_sentence.shape
    assert batch.teacher.dtype == torch.float32
    torch.testing.assert_close(batch.teacher.norm(dim=1), torch.ones(5))
    truth = [frozenset(corpus.column("true_findings")[row]) for row in rows]
    for i in range(5):
        for j in range(5):
            assert (batch.truth_key[i] == batch.truth_key[j]) == (truth[i] == truth[j])
    assert bool((batch.piece_word.max(1).values + 1 == batch.word_mask.sum(1)).all())


def test_teachers_are_computed_when_asked_for_and_kept(tmp_path: Path) -> None:
    build_corpus(TinyArchive(8), tmp_path / "c", size=32, workers=1, progress=False, teachers=())
    corpus = Corpus.open(tmp_path / "c")
    vectors, cut_offs = corpus.teacher("oracle")
    assert vectors.shape[0] == 8
    assert set(cut_offs) == {0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2}
    assert (tmp_path / "c/teachers/oracle.json").exists()
    again = Corpus.open(tmp_path / "c").teacher("oracle")
    np.testing.assert_array_equal(again.vectors, vectors)
    assert again(0.07) <= again(0.05)  # a share that was not stored
    assert "top 1 %" in repr(again)


def test_it_travels_to_other_processes(corpus: Corpus) -> None:
    other = pickle.loads(pickle.dumps(corpus))
    assert other.fingerprint == corpus.fingerprint
    assert other.reports([1]) == corpus.reports([1])


def test_opening_what_is_no_corpus(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(SistaError, match="no such folder; a corpus is made by `sista build"):
        Corpus.open(tmp_path / "gone")
    with pytest.raises(SistaError, match="is no corpus"):
        Corpus.open(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(corpus.path, copy)
    facts = json.loads((copy / "corpus.json").read_text())
    (copy / "corpus.json").write_text(json.dumps({**facts, "format": 99}))
    with pytest.raises(SistaError, match="corpus format 99, this version reads 2"):
        Corpus.open(copy)
    (copy / "corpus.json").write_text("{")
    with pytest.raises(SistaError, match=r"corpus\.json is damaged"):
        Corpus.open(copy)
    (copy / "corpus.json").write_text(json.dumps(facts))
    (copy / "studies/part-00001.arrow").unlink()
    with pytest.raises(SistaError, match=r"part-00001\.arrow missing"):
        Corpus.open(copy).reports()


def test_the_tokenizer_must_be_that_of_a_pre_trained_text_encoder(corpus: Corpus, tmp_path: Path) -> None:
    corpus.require_tokenizer("compact")
    corpus.tokenizer.save(tmp_path / "same")
    corpus.require_tokenizer(str(tmp_path / "same"))
    from sista.corpus.reports.tokenizer import train_tokenizer

    train_tokenizer(["something else"] * 3).save(tmp_path / "other")
    with pytest.raises(SistaError, match="cut with another tokenizer"):
        corpus.require_tokenizer(str(tmp_path / "other"))


def test_report_keys_join_studies_and_texts() -> None:
    keys = report_keys(["A b", "a  B", "c", "d", "e"], ["s1", "s2", "s2", "s3", "s4"])
    assert keys[0] == keys[1] == keys[2]
    assert len({keys[0], keys[3], keys[4]}) == 3
    assert (keys >= 0).all()
    np.testing.assert_array_equal(keys[3:], report_keys(["d", "e"], ["s3", "s4"]))


def test_truth_keys() -> None:
    keys = truth_keys([["a", "b"], ["b", "a"], [], [], None, ["a"]])
    assert keys[0] == keys[1] != keys[5]
    assert keys[2] == keys[3] != -1
    assert keys[4] == -1
