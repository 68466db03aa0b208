"""The linear head of the published protocols: one linear layer on frozen features, by minibatch AdamW with early stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sista.errors import SistaError

Floats = NDArray[np.float64]
LOSSES = ("auto", "bce", "cross-entropy")


@dataclass(frozen=True)
class HeadSettings:
    """AdamW, without a schedule unless asked for, stopped early by the validation loss, whose best epoch is kept.

    Args:
        learning_rate: the rate, or with `cosine` its start.
        weight_decay: decoupled, on weight and bias, as the protocol's code has it.
        batch_size: films a step.
        epochs: at most so many passes.
        patience: epochs without a better validation loss until it stops.
        cosine: let the rate fall to zero by half a cosine. At a constant rate the weights never settle; published heads have none.
    """

    learning_rate: float = 5e-4
    weight_decay: float = 1e-6
    batch_size: int = 48
    epochs: int = 50
    patience: int = 10
    cosine: bool = False


# MGCA's settings, with the batch that FaNe states at 100 % and G2D and Med-UniC state
HEADS = {"mgca": HeadSettings(), "fane": HeadSettings(batch_size=96), "g2d": HeadSettings(batch_size=8)}


@dataclass(frozen=True)
class LinearHead:
    """logits = features @ weight + bias: weight [d,k], bias [k]; the mean validation loss of each epoch; the epoch kept, from 0."""

    weight: Floats
    bias: Floats
    validation: tuple[float, ...]
    best_epoch: int

    def scores(self, features: ArrayLike) -> Floats:
        """Logits: features [n,d] -> [n,k]."""
        return np.asarray(features, dtype=np.float64) @ self.weight + self.bias


def fit_head(
    features: NDArray[np.float32],
    labels: Floats,
    features_valid: NDArray[np.float32],
    labels_valid: Floats,
    settings: HeadSettings,
    softmax: bool = False,
    seed: int = 42,
) -> LinearHead:
    """Fit on features [n,d] and labels [n,k] of 0, 1 and NaN (unknown: not in the loss); with `softmax` each row has exactly one 1.

    The features are used as they are, not standardised. Raises SistaError when no validation label is known, or nothing can be learnt.
    """
    if min(settings.epochs, settings.batch_size, settings.patience) < 1:
        of = f"epochs {settings.epochs}, batch_size {settings.batch_size}, patience {settings.patience}"
        raise SistaError(f"minibatch: {of}; expected 1 or more of each")
    require_rates("minibatch", settings.learning_rate, settings.weight_decay)
    refuse_unlearnable(labels, labels_valid)
    x, y = torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(labels).float()
    x_valid, y_valid = torch.from_numpy(np.ascontiguousarray(features_valid)), torch.from_numpy(labels_valid).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.Linear(x.shape[1], y.shape[1])
    optimizer = torch.optim.AdamW(layer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    steps = settings.epochs * -(-len(x) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2 if settings.cosine else 1.0
    )
    best, kept, history = float("inf"), copy.deepcopy(layer.state_dict()), list[float]()
    best_epoch = 0
    for epoch in range(settings.epochs):
        for rows in epoch_batches(len(x), settings.batch_size, seed, epoch):
            index = torch.from_numpy(rows)
            loss = masked_loss(layer(x[index]), y[index], softmax)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            history.append(float(masked_loss(layer(x_valid), y_valid, softmax)))
        if not math.isfinite(history[-1]):
            raise SistaError(f"the validation loss is {history[-1]} in epoch {epoch + 1}; lower minibatch.learning_rate")
        if history[-1] < best:
            best, best_epoch, kept = history[-1], epoch, copy.deepcopy(layer.state_dict())
        if epoch - best_epoch >= settings.patience:
            break
    return LinearHead(kept["weight"].numpy().T.astype(float), kept["bias"].numpy().astype(float), tuple(history), best_epoch)


def masked_loss(logits: Tensor, labels: Tensor, softmax: bool) -> Tensor:
    """Mean loss over known labels: logits, labels [b,k], NaN unknown; binary cross-entropy, or cross-entropy of the one class per row."""
    if softmax:
        return F.cross_entropy(logits, labels.argmax(dim=1))
    known = ~torch.isnan(labels)
    each = F.binary_cross_entropy_with_logits(logits, torch.where(known, labels, 0.0), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def epoch_batches(count: int, size: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Positions of each batch of an epoch, a seeded permutation, the last batch being what is left."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]


def require_rates(what: str, learning_rate: float, weight_decay: float, clip: float = 1.0) -> None:
    """SistaError for settings of an optimiser that train nothing, or away from what is to be learnt."""
    if not (0 < learning_rate < math.inf and 0 <= weight_decay < math.inf and clip > 0):
        of = f"learning_rate {learning_rate:g}, weight_decay {weight_decay:g}, clip {clip:g}"
        raise SistaError(f"{what}: {of}; expected a rate and a clip above 0, and a weight_decay of 0 or more")


def refuse_unlearnable(labels: Floats, labels_valid: Floats) -> None:
    """Raise unless some label has both classes in training and some label is known in validation."""
    if not ((labels == 1).any(axis=0) & (labels == 0).any(axis=0)).any():
        raise SistaError(f"none of {labels.shape[1]} labels has both classes in {len(labels)} training rows; take a larger share")
    if np.isnan(labels_valid).all():
        raise SistaError(f"no label is known in {len(labels_valid)} validation rows, so nothing can say when to stop; take more of them")
