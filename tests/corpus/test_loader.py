from __future__ import annotations

from dataclasses import fields
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.loader import PairLoader, batch_rows
from sista.errors import SistaError


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch))


def test_an_epoch_is_a_permutation_without_its_rest() -> None:
    rows = np.arange(100, 123)
    batches = batch_rows(rows, 5, seed=1, epoch=0)
    assert batches.shape == (4, 5)
    assert len(set(batches.ravel())) == 20
    assert set(batches.ravel()) <= set(rows)
    np.testing.assert_array_equal(batches, batch_rows(rows, 5, seed=1, epoch=0))
    assert not np.array_equal(batches, batch_rows(rows, 5, seed=1, epoch=1))
    assert not np.array_equal(batches, batch_rows(rows, 5, seed=2, epoch=0))


def test_resuming_gives_the_batches_of_an_unbroken_run(corpus: Corpus) -> None:
    def loader() -> PairLoader:
        return PairLoader(corpus, corpus.rows(), batch_size=5, teacher="labels", seed=7, shuffle_sentences=True)

    assert len(loader()) == 4
    unbroken = list(loader().batches(stop=10))
    resumed = list(loader().batches(start=6, stop=10))
    assert len(unbroken) == 10
    assert all(equal(a, b) for a, b in zip(unbroken[6:], resumed, strict=True))
    assert not any(equal(a, b) for a, b in pairwise(unbroken))
    assert all(equal(a, b) for a, b in zip(islice(loader().batches(), 5), unbroken, strict=False))


def test_threads_change_nothing(corpus: Corpus) -> None:
    runs = [
        list(PairLoader(corpus, corpus.rows(), 6, seed=3, threads=threads, ahead=ahead).batches(stop=6))
        for threads, ahead in ((1, 1), (4, 8))
    ]
    assert all(equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("threads", [0, 2])
def test_batches_are_pinned_before_they_are_handed_over(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    pinned: list[Batch] = []
    monkeypatch.setattr(Batch, "pinned", lambda batch: pinned.append(batch) or batch)
    loader = PairLoader(corpus, corpus.rows("train"), 8, threads=threads, pin=True)
    given = [*loader.batches(0, 3)]
    assert {id(batch) for batch in given} == {id(batch) for batch in pinned}
    if torch.cuda.is_available():
        monkeypatch.undo()
        assert all(getattr(batch, f.name).is_pinned() for batch in loader.batches(0, 1) for f in fields(batch))


def test_processes_share_each_batch(corpus: Corpus) -> None:
    whole = PairLoader(corpus, corpus.rows(), 8, seed=2)
    parts = [PairLoader(corpus, corpus.rows(), 8, seed=2, rank=rank, world=2) for rank in range(2)]
    for step in range(4):
        np.testing.assert_array_equal(whole.rows_of(step), np.concatenate([part.rows_of(step) for part in parts]))


def test_a_film_that_cannot_be_decoded_is_named(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Corpus.open(corpus.path)
    cell = other.stored.cell

    class Broken:
        def as_buffer(self) -> bytes:
            return b"\xff\xd8\xff broken"

    monkeypatch.setattr(other.stored, "cell", lambda name, row: Broken() if name == "image" and row == 9 else cell(name, row))
    with pytest.raises(SistaError, match=r"film f9 \(row 9\) cannot be decoded"):
        list(PairLoader(other, other.rows(), 8, seed=2).batches(stop=3))


def test_too_few_pairs(corpus: Corpus) -> None:
    with pytest.raises(SistaError, match="24 pairs are fewer than one batch of 25; lower the batch size to at most 24"):
        PairLoader(corpus, corpus.rows(), 25)
    with pytest.raises(SistaError, match="cannot be shared among 3 processes"):
        PairLoader(corpus, corpus.rows(), 8, world=3)
