"""One loop for segmenters and detectors: AdamW, an epoch at a time, the best one on validation kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sista.errors import SistaError
from sista.transfer.classify_head import require_rates

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class FitSettings:
    """How a head is trained. The defaults are the MGCA protocol's (AdamW, 5e-4, 50 epochs, patience 10), but for the schedule.

    Args:
        epochs: passes over the training films, at most.
        min_steps: steps in all where `epochs` would give fewer, so that heads of small shares are trained out as well.
        batch_size: films a step.
        learning_rate: of the head at its peak.
        encoder_rate: of a tuned encoder, as a share of `learning_rate`.
        weight_decay: of AdamW.
        patience: validations without a new best after which training stops, counted from the first score above 0.
        schedule: cosine, with a short linear warm-up; or constant, as the protocol.
        least_steps: steps between validations, at least; small shares have epochs of a few steps.
        clip: largest norm of the gradient.
    """

    epochs: int = 50
    min_steps: int = 0
    batch_size: int = 16
    learning_rate: float = 5e-4
    encoder_rate: float = 0.1
    weight_decay: float = 1e-6
    patience: int = 10
    schedule: str = "cosine"
    least_steps: int = 20
    clip: float = 1.0


@dataclass
class Fitted:
    """What training did: mean loss and validation score between validations, the step of the best, steps taken."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_step: int = 0
    steps: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        best = max(self.scores) if self.scores else None
        first, last = (self.losses[0], self.losses[-1]) if self.losses else (None, None)
        return {"steps": self.steps, "best_step": self.best_step, "valid": best, "first_loss": first, "last_loss": last}


def fit(
    model: nn.Module,
    positions: np.ndarray,
    read: Callable[[np.ndarray, int], Batch],
    loss_of: Callable[[Batch], Tensor],
    score_of: Callable[[], float],
    settings: FitSettings,
    seed: int,
) -> Fitted:
    """Train what requires a gradient in `model`, and leave it with the weights of the best validation, in evaluation mode.

    read(positions [b], step) makes a batch, in a thread ahead of the step; loss_of its loss; score_of the validation score (larger is
    better). Order and weights depend on `seed` alone. Raises SistaError when a loss is not finite, and for settings that train nothing.
    """
    if not 0 <= settings.encoder_rate < math.inf or settings.min_steps < 0:
        raise SistaError(f"fit: encoder_rate {settings.encoder_rate:g}, min_steps {settings.min_steps}; expected 0 or more of each")
    if min(settings.epochs, settings.batch_size, settings.patience, settings.least_steps) < 1 or not len(positions):
        of = f"epochs {settings.epochs}, batch_size {settings.batch_size}, patience {settings.patience}, least_steps {settings.least_steps}"
        raise SistaError(f"fit: {of}, {len(positions)} films; expected 1 or more of each")
    require_rates("fit", settings.learning_rate, settings.weight_decay, settings.clip)
    optimizer, schedule, steps = _optimizer(model, len(positions), settings)
    every = max(math.ceil(len(positions) / settings.batch_size), settings.least_steps)
    history, best, waited = Fitted(), _weights(model), 0
    model.train()
    running: list[float] = []
    for step, batch in enumerate(_ahead(read, _batches(positions, settings, seed, steps)), start=1):
        loss = loss_of(batch)
        if not torch.isfinite(loss):
            raise SistaError(f"the loss is {loss.item()} at step {step}; lower --fit.learning_rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], settings.clip)
        optimizer.step()
        schedule.step()
        running.append(float(loss.detach()))
        if step % every == 0 or step == steps:
            model.eval()
            score = score_of()
            model.train()
            history.losses.append(float(np.mean(running)))
            highest = max(history.scores, default=0.0)
            if score > highest or highest <= 0:  # as long as nothing is found the latest weights are kept, and patience does not wear out
                best, waited, history.best_step = _weights(model), 0, step
            else:
                waited += 1
            history.scores.append(score)
            running, history.steps = [], step
            if waited >= settings.patience:
                break
    model.load_state_dict(best, strict=False)
    model.eval()
    return history


def _optimizer(
    model: nn.Module, films: int, settings: FitSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, int]:
    if settings.schedule not in ("cosine", "constant"):
        raise SistaError(f"schedule {settings.schedule!r}: choose cosine or constant")
    of_encoder = {id(p) for name, p in model.named_parameters() if ".encoder." in name}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in of_encoder], "lr": settings.learning_rate},
        {"params": [p for p in trained if id(p) in of_encoder], "lr": settings.learning_rate * settings.encoder_rate},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=settings.weight_decay)
    steps = max(math.ceil(films / settings.batch_size) * settings.epochs, settings.min_steps, 1)
    rising = max(1, round(0.05 * steps))

    def factor(step: int) -> float:
        if settings.schedule == "constant":
            return 1.0
        return (step + 1) / rising if step < rising else 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor), steps


def _batches(positions: np.ndarray, settings: FitSettings, seed: int, steps: int) -> Iterator[np.ndarray]:
    """Batches of each epoch's own order. A last batch of one film joins the one before: batch norm needs two."""
    given, epoch = 0, 0
    while given < steps:
        order = np.random.default_rng([seed, epoch]).permutation(positions)
        parts = [order[start : start + settings.batch_size] for start in range(0, len(order), settings.batch_size)]
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [np.concatenate(parts[-2:])]
        for part in parts[: steps - given]:
            yield np.repeat(part, 2) if len(part) == 1 else part
            given += 1
        epoch += 1


def _ahead(read: Callable[[np.ndarray, int], Batch], batches: Iterator[np.ndarray]) -> Iterator[Batch]:
    with ThreadPoolExecutor(1, thread_name_prefix="sista-fit") as pool:
        waiting = None
        for step, positions in enumerate(batches):
            coming = pool.submit(read, positions, step)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of what training changes: parameters with a gradient, and the buffers beside them."""
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    modules = {name.rpartition(".")[0] for name in trained}
    return {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if name in trained or (name.rpartition(".")[0] in modules and name not in dict(model.named_parameters()))
    }
