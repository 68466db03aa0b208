"""A step: accumulated gradients are means, the rate follows the schedule, decay and clipping reach what they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sista.corpus.corpus import Corpus
from sista.training.fit import Fit
from sista.training.pretrain import pretrain
from sista.training.processes import Processes
from sista.training.schedule import warmup_cosine
from sista.training.settings import OptimizerSettings, RunSettings
from tests.training.shared import assert_equal, make_fit


def with_optimizer(fit: Fit, **changes: Any) -> Fit:
    fit.plan = replace(fit.plan, optimizer=replace(fit.plan.optimizer, **changes))
    return fit


def norm(fit: Fit) -> float:
    return float(torch.stack([p.grad.norm() for p in fit.learner.parameters() if p.grad is not None]).norm())


def test_accumulated_gradients_are_the_mean_of_the_batches(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Fit.forward
    monkeypatch.setattr(Fit, "forward", lambda fit, batch, _, statistics: forward(fit, batch, torch.Generator().manual_seed(7), statistics))

    def step(*numbers: int) -> dict[str, torch.Tensor]:
        fit = with_optimizer(make_fit(Corpus.open(corpus_path), "clip"), clip=1e9)
        fit.step(0, [fit._loader().batch(number) for number in numbers], False)
        return {name: p.grad.clone() for name, p in fit.learner.named_parameters() if p.grad is not None}

    one, other, both = step(0), step(1), step(0, 1)
    assert_equal(both, {name: (one[name] + other[name]) / 2 for name in one})


def test_of_accumulated_batches_the_mean_is_logged(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Fit.forward
    monkeypatch.setattr(Fit, "forward", lambda fit, batch, _, statistics: forward(fit, batch, torch.Generator().manual_seed(7), statistics))

    def step(*numbers: int) -> dict[str, float]:
        fit = make_fit(Corpus.open(corpus_path), "sista")
        return fit.step(0, [fit._loader().batch(number) for number in numbers], True)

    one, other, both = step(0), step(1), step(0, 1)
    assert one["loss"] != other["loss"]
    for name in ("loss", "instance", "token", "removed_recall"):
        assert both[name] == pytest.approx((one[name] + other[name]) / 2, abs=1e-4)


@pytest.mark.parametrize("method", ["clip", "siglip", "mgca"])
def test_weights_decay_and_vectors_and_scalars_do_not(corpus_path: Path, method: str) -> None:
    fit = make_fit(Corpus.open(corpus_path), method)
    decayed, kept = fit.optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (fit.plan.optimizer.weight_decay, 0.0)
    assert fit.plan.optimizer.weight_decay > 0
    names = {id(p): name for name, p in fit.learner.named_parameters()}
    spared = {names[id(p)] for p in kept["params"]}
    wanted = {name for name, p in fit.learner.named_parameters() if p.requires_grad and p.ndim < 2}
    assert spared == wanted
    assert any(name.startswith("instance.") for name in spared) == (method != "mgca")  # its temperature is fixed
    assert any("norm" in name for name in spared)
    assert len(spared) + len(decayed["params"]) == sum(p.requires_grad for p in fit.learner.parameters())


def test_the_rate_follows_the_schedule_and_is_logged(corpus_path: Path) -> None:
    fit = make_fit(Corpus.open(corpus_path), "clip")
    settings = fit.plan.optimizer
    for step in (0, 1, 10, 19):
        row = fit.step(step, [fit._loader().batch(step)], True)
        wanted = settings.learning_rate * warmup_cosine(step, 20, settings.warmup)
        assert [group["lr"] for group in fit.optimizer.param_groups] == [wanted, wanted]
        assert row["learning_rate"] == wanted


def test_gradients_are_clipped_and_their_norm_is_logged_as_it_was(corpus_path: Path) -> None:
    fit = with_optimizer(make_fit(Corpus.open(corpus_path), "clip"), clip=1e9)
    whole = fit.step(0, [fit._loader().batch(0)], True)["gradient_norm"]
    assert norm(fit) == pytest.approx(whole, rel=1e-4)
    fit = with_optimizer(make_fit(Corpus.open(corpus_path), "clip"), clip=whole / 100)
    assert fit.step(0, [fit._loader().batch(0)], True)["gradient_norm"] == pytest.approx(whole, rel=1e-5)
    assert norm(fit) == pytest.approx(whole / 100, rel=1e-3)


def test_batch_norms_are_averaged_before_anything_is_kept_or_scored(
    corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[type] = []
    monkeypatch.setattr(Processes, "average_norms", lambda _, module: called.append(type(module)))
    run = RunSettings(progress=False, checkpoint_every=2, evaluate_every=3)
    steps = pretrain(corpus_path, tmp_path / "run", "clip", optimizer=OptimizerSettings(epochs=1, batch_size=16), run=run)["steps"]
    assert len(called) == sum(step % 2 == 0 or step % 3 == 0 or step == steps for step in range(1, steps + 1))


def test_the_mean_of_batch_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has all at 3 and 5."""
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    theirs = iter([3.0, 5.0])
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.add_(next(theirs)))
    Processes(0, 2, 0).average_norms(module)
    assert module[1].running_mean.tolist() == [1.5, 1.5]
    assert module[1].running_var.tolist() == [3.0, 3.0]
