"""A step that is not logged never waits for the device; a number that is not finite is found all the same, and spoils nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sista.corpus.corpus import Corpus
from sista.models.text_encoder import TextEncoder
from sista.training.finite import FiniteWatch
from sista.training.fit import Fit
from tests.training.shared import make_fit

# operators whose result, or its shape, the host must read before it can go on
WAITING = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_numpy", "masked_select", "_unique", "_unique2", "unique_dim",
           "unique_consecutive", "equal", "allclose", "bincount", "argwhere", "where.default")  # fmt: skip


class Waits(TorchDispatchMode):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        name = func.__name__
        masks = name.startswith(("index.", "index_put")) and any(i is not None and i.dtype == torch.bool for i in args[1])
        counted = name.startswith("repeat_interleave.Tensor") or name.split(".")[0] in WAITING or name in WAITING
        if masks or counted:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def waits(fit: Fit, logged: bool) -> Waits:
    batches = [next(fit._loader().batches(1))]
    fit.step(0, [next(fit._loader().batches(0))], logged=False)  # the optimiser has made its moments
    with Waits() as mode:
        fit.step(1, batches, logged)
    assert mode.calls > 500
    return mode


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts go through fused attention all at once; on the CPU they go in groups of like length, by plain products."""
    monkeypatch.setattr(TextEncoder, "_packed", TextEncoder._hidden)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # what a fresh text encoder asks


@pytest.mark.parametrize("method", ["sista", "sista-paper", "clip"])
@pytest.mark.parametrize("chunk", [0, 8])
def test_no_operator_waits(corpus_path: Path, as_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch, method: str, chunk: int) -> None:
    fit = make_fit(Corpus.open(corpus_path), method, chunk=chunk)
    monkeypatch.undo()
    monkeypatch.setattr(TextEncoder, "_packed", TextEncoder._hidden)
    assert fit.learner.encoder.text.model.config._attn_implementation == "sdpa"
    assert waits(fit, logged=False).found == []


def test_the_counter_counts() -> None:
    values = torch.arange(6.0)
    with Waits() as mode:
        assert float(values[2]) == 2
        assert len(values[values > 3]) == 2
        assert values.nonzero().shape == (5, 1)
    assert len(mode.found) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; test_no_operator_waits counts operators instead")
@pytest.mark.parametrize("method", ["sista", "sista-paper", "clip"])
def test_no_operator_waits_on_cuda(corpus_path: Path, method: str) -> None:
    from dataclasses import replace

    fit = make_fit(Corpus.open(corpus_path), method)
    plan = replace(fit.plan, device=torch.device("cuda"), precision="bf16")
    fit = Fit(fit.corpus, fit.learner.cuda(), plan)
    batches = [next(fit._loader().batches(0)).to("cuda")]
    fit.step(0, batches, logged=False)
    torch.cuda.set_sync_debug_mode("error")
    try:
        fit.step(1, batches, logged=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_first_bad_step_is_kept() -> None:
    watch, good, bad = FiniteWatch(torch.device("cpu")), torch.tensor(1.0), torch.tensor(float("inf"))
    watch.note(3, good, good)
    assert watch.first() is None
    assert float(watch.found) == 0
    watch.note(4, good, bad)
    watch.note(5, bad, good)
    assert watch.first() == (4, "gradient")
    assert float(watch.found) == 1
    other = FiniteWatch(torch.device("cpu"))
    other.note(0, bad, bad)
    assert other.first() == (0, "loss")


def test_weights_and_moments_stay_as_they_were_after_a_bad_step(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = make_fit(Corpus.open(corpus_path), "clip")
    batches = [next(fit._loader().batches(0))]
    fit.step(0, batches, logged=False)
    before = [p.detach().clone() for p in fit.learner.parameters()]
    steps = [float(state["step"]) for state in fit.optimizer.state.values()]
    backward = fit.backward
    monkeypatch.setattr(fit, "backward", lambda loss: backward(loss * float("nan")))
    fit.step(1, batches, logged=False)
    monkeypatch.undo()
    fit.step(2, batches, logged=False)
    assert fit.watch.first() == (1, "gradient")
    assert all(torch.equal(p, old) for p, old in zip(fit.learner.parameters(), before, strict=True))
    assert [float(state["step"]) for state in fit.optimizer.state.values()] == steps
