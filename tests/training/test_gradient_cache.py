"""A batch in chunks, and activations computed twice: the gradients of the whole batch, dropout replayed, batch norms updated once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sista.models.passage as passage
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.methods import METHODS
from sista.training.batch_norms import kept_statistics
from sista.training.pretrain import make_encoder
from sista.training.settings import ModelSettings
from tests.training.shared import MODEL, assert_equal, gradients, make_fit

DROPOUT = replace(MODEL, dropout=0.3)
STEM = replace(MODEL, image_encoder="sista_vit", patch_block=0)
NORMS = replace(MODEL, image_encoder="sista_compact", hidden=16)  # batch norms in the image encoder and in the projections


def norms(module: nn.Module) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in module.named_buffers() if "running" in name or "tracked" in name}


@pytest.fixture
def graph_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are encoded once, and their graph is kept: what the cache must be equal to, dropout and all."""
    monkeypatch.setattr(passage, "checkpoint", lambda encode, *rows, use_reentrant: encode(*rows))


@pytest.mark.parametrize("method", METHODS)
def test_chunks_have_the_gradients_of_the_whole_batch(corpus_path: Path, method: str) -> None:
    corpus = Corpus.open(corpus_path)
    whole = gradients(make_fit(corpus, method))
    for chunk in (7, 1) if method == "sista" else (7,):
        assert_equal(gradients(make_fit(corpus, method, chunk=chunk)), whole)


def test_chunks_have_the_gradients_of_both_terms_patches(corpus_path: Path) -> None:
    """Those of the stem for the term across films, those of the last block for the term within the report."""
    corpus, model = Corpus.open(corpus_path), replace(MODEL, patch_block=0)
    settings = {"within_weight": 1.0, "within_projections": True, "within_deepest": True}
    whole = gradients(make_fit(corpus, "sista", model, settings=settings))
    assert whole["deepest_head.last.weight"].any()
    assert_equal(gradients(make_fit(corpus, "sista", model, chunk=7, settings=settings)), whole)


def test_a_chunk_of_the_whole_batch_is_the_whole_batch(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    one, other = (gradients(make_fit(corpus, "sista", DROPOUT, chunk=chunk)) for chunk in (0, 24))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("model", [DROPOUT, NORMS, STEM], ids=["dropout", "batch norm", "patches of the stem"])
def test_the_second_encoding_is_the_first(corpus_path: Path, model: ModelSettings, request: pytest.FixtureRequest) -> None:
    corpus = Corpus.open(corpus_path)
    cached = make_fit(corpus, "sista", model, chunk=5)
    found, statistics = gradients(cached), norms(cached.learner)
    request.getfixturevalue("graph_kept")
    plain = make_fit(corpus, "sista", model, chunk=5)
    assert_equal(found, gradients(plain), tolerance=1e-6)
    assert all(torch.equal(values, statistics[name]) for name, values in norms(plain.learner).items())
    if model is NORMS:
        assert {int(values) for name, values in statistics.items() if "tracked" in name} == {5}  # 24 pairs in 5 chunks


def test_only_a_chunk_is_held(corpus_path: Path) -> None:
    """What autograd keeps between the forward and the backward pass: without chunks it grows with the batch."""
    from torch.autograd.graph import saved_tensors_hooks

    def kept(chunk: int) -> int:
        fit, held = make_fit(Corpus.open(corpus_path), "clip", chunk=chunk), {}

        def pack(values: Tensor) -> Tensor:
            held[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
            return values

        with saved_tensors_hooks(pack, lambda values: values):
            gradients(fit)
        return sum(held.values())

    assert kept(4) < kept(0) / 3


@pytest.mark.parametrize(("image_encoder", "chunk"), [("test_vit", 0), ("test_vit", 7), ("test_resnet", 0), ("test_resnet", 24)])
def test_activation_checkpointing_changes_no_gradient_and_no_statistic(corpus_path: Path, image_encoder: str, chunk: int) -> None:
    corpus, model = Corpus.open(corpus_path), replace(DROPOUT, image_encoder=image_encoder)
    plain, spare = make_fit(corpus, "sista", model, chunk=chunk), make_fit(corpus, "sista", replace(model, checkpointing=True), chunk=chunk)
    assert_equal(gradients(spare), gradients(plain), tolerance=1e-6)
    ours, theirs = norms(spare.learner), norms(plain.learner)
    assert all(torch.equal(values, ours[name]) for name, values in theirs.items())


def test_an_encoder_without_activation_checkpointing_says_so(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    with pytest.raises(SistaError, match=r"'sista_compact' has no activation checkpointing.*optimizer\.chunk"):
        make_encoder(corpus, ModelSettings(checkpointing=True), corpus.size)


def test_kept_statistics() -> None:
    norm = nn.BatchNorm1d(2)
    before = norms(norm)
    with kept_statistics(norm):
        norm(torch.randn(4, 2))
        assert int(norm.num_batches_tracked) == 1
    assert all(torch.equal(values, before[name]) for name, values in norms(norm).items())
