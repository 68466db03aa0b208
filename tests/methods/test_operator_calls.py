"""Without a clock: a step makes as many operator calls for 32 pairs as for 8, and none of them waits for the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import Ranges, augment
from sista.methods import make_method, settings_of
from sista.models.dual_encoder import DualEncoder, sum_pieces
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder
from tests.objectives.inputs import operators


@pytest.mark.parametrize("name", ["sista", "sista-paper", "clip"])
def test_a_whole_step(name: str, corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.open(corpus_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)  # the way of a GPU: fused attention, all texts at once
        text = TextEncoder("compact", vocabulary=len(corpus.tokenizer))
    assert text.model.config._attn_implementation == "sdpa"
    learner = make_method(name, DualEncoder(ImageEncoder("sista_compact", image_size=64), text), lambda share: 0.9, settings_of(name, {}))
    learner.train()
    generator = torch.Generator().manual_seed(0)

    def calls(pairs: int) -> int:
        batch = corpus.batch(np.arange(pairs))
        return operators(lambda: learner(batch, augment(batch.images, 64, Ranges(), generator), generator).loss)

    assert calls(8) == calls(32)


def test_word_sums() -> None:
    def run(reports: int) -> torch.Tensor:
        pieces = torch.randn(reports, 20, 8, requires_grad=True)
        return sum_pieces(pieces, torch.randint(-1, 12, (reports, 20)), 12).sum()

    assert operators(lambda: run(8)) == operators(lambda: run(32)) < 30
