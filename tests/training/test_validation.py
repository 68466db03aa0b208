"""Scores on the valid split do not hang on how many pairs are left for the last batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.training import validation
from tests.training.shared import make_fit


def scores(corpus: Corpus, rows: np.ndarray) -> dict[str, float]:
    learner = make_fit(corpus, "clip").learner
    return validation.validate(corpus, learner, rows, "labels", lambda x: eval_view(x, corpus.size), "fp32", torch.device("cpu"))


def test_an_incomplete_last_batch_takes_part_in_retrieval_alone(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "PAIRS", 8)
    corpus = Corpus.open(corpus_path)
    full, more = scores(corpus, np.arange(16)), scores(corpus, np.arange(18))
    assert full.keys() == more.keys()
    for name in full:
        assert (full[name] == more[name]) == (not name.endswith("r10")), name
    monkeypatch.setattr(validation, "PAIRS", 128)
    assert scores(corpus, np.arange(18))["valid_loss"] > full["valid_loss"]  # of more pairs at once
    assert scores(corpus, np.arange(2))["valid_loss"] > 0
    assert scores(corpus, np.arange(1)) == {}
