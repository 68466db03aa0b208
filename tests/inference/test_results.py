"""zeroshot, retrieve and ground leave runs from which their figures follow again, and that can be compared."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import sista
from sista.benchmark.compare import compare
from sista.corpus.corpus import Corpus
from sista.inference import retrieval
from sista.inference.embedding import embed_rows
from sista.metrics.result import encoder_hash, read_run

OPTIONS = {"device": "cpu", "precision": "fp32"}


def test_zeroshot(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    result = sista.zeroshot(run_path, corpus_path, findings=["edema", "cardiomegaly"], out=tmp_path, **OPTIONS)
    run = read_run(tmp_path)
    each = [roc_auc_score(run.predictions[f"label/{name}"], run.predictions[f"score/{name}"]) for name in ("edema", "cardiomegaly")]
    assert run.result["metrics"]["auroc"]["value"] == result["auroc"]["value"] == pytest.approx(np.mean(each))
    assert run.result["encoder"]["sha256"] == encoder_hash(run_path)
    assert run.result["splits"]["test"]["films"] == len(run.predictions)
    assert run.result["arguments"]["data"] == str(corpus_path)


def test_retrieve(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    result = sista.retrieve(run_path, corpus_path, out=tmp_path, **OPTIONS)
    frame = read_run(tmp_path).predictions
    for name in ("i2t_r1", "t2i_r10", "i2t_r10_semantic", "t2i_rank"):
        assert result[name]["value"] == pytest.approx(frame[f"value/{name}"].mean())
    assert ((frame["value/i2t_rank"] <= 5) == (frame["value/i2t_r5"] == 1)).mean() > 0.9  # all but ties
    found = compare(tmp_path, tmp_path, resamples=20)["metrics"]
    assert found["i2t_r10"]["difference"]["value"] == 0
    assert found["i2t_r10"]["a"] == pytest.approx(result["i2t_r10"]["value"])


def test_ground(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    result = sista.ground(run_path, corpus_path, out=tmp_path, limit=20, **OPTIONS)
    frame = read_run(tmp_path).predictions
    assert set(frame["level"]) == {"word", "phrase", "sentence"}
    for level, figures in result["levels"].items():
        part = frame[frame["level"] == level]
        assert len(part) == figures["queries"]
        assert part["value/miou_scaled"].mean() == pytest.approx(figures["miou_scaled"]["value"])
    assert "contrast_to_noise/word" in compare(tmp_path, tmp_path, resamples=20)["metrics"]


def test_hits_of_the_index_equal_those_of_the_metric(run_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, corpus = sista.load(run_path, **OPTIONS), Corpus.open(corpus_path)
    vectors = embed_rows(model, corpus, corpus.rows("test"))
    exact = retrieval.retrieval_hits(corpus, vectors)
    monkeypatch.setattr(retrieval, "EXACT_UP_TO", 5)
    by_index = retrieval.retrieval_hits(corpus, vectors)
    assert set(by_index) == {name for name in exact if not name.endswith("_rank")}
    for name, hits in by_index.items():
        whole = np.isin(exact[name], (0, 1)) | np.isnan(exact[name])  # ties are chances there
        np.testing.assert_array_equal(hits[whole], exact[name][whole])
