"""Pairs of one cluster are false negatives, where both belong to it surely enough (IFND, arXiv 2106.03719)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sista.errors import SistaError, nearest
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets, own_pairs

CLUSTER_MODES = ("eliminate", "attract")


@torch.no_grad()
@full_precision
def assign(
    points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], concentration: float = 0.1
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """Pseudo-label of each point, and its confidence: softmax over the centroids of z . c / concentration, at the assigned one."""
    confidence, label = torch.softmax(points @ centroids.T / concentration, dim=1).max(dim=1)
    return label, confidence


def acceptance_threshold(confidence: Float[Tensor, " n"], rate: float) -> Float[Tensor, ""]:
    """The least confidence among the surest `rate` of the points; above all of them at rate 0, below all at rate 1."""
    if rate <= 0 or rate >= 1:
        return confidence.new_tensor(math.inf if rate <= 0 else -math.inf)
    return torch.quantile(confidence, 1.0 - rate)


def acceptance_rate(step: int, ramp: int, final: float = 1.0) -> float:
    """r(t): from 0 up to `final` over `ramp` steps, in a straight line; ramp 0 is there at once."""
    return final if step >= ramp else final * step / ramp


def false_negatives(
    label: Int[Tensor, " b"], accepted: Bool[Tensor, " b"], other: Int[Tensor, " m"], other_accepted: Bool[Tensor, " m"]
) -> Bool[Tensor, "b m"]:
    """True where row and column have the same pseudo-label and both are accepted."""
    return (label[:, None] == other[None, :]) & accepted[:, None] & other_accepted[None, :]


def cluster_targets(
    alike: Bool[Tensor, "b m"],
    mode: str = "eliminate",
    own: Int[Tensor, " b"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Targets:
    """What becomes of the false negatives `alike`.

    eliminate   they leave the denominator: -log e^{z_i} / ( e^{z_i} + sum_{k not alike} e^{z_k} )
    attract     they are positives as the own pair is: mean over own and alike p of -log e^{z_p} / sum_k e^{z_k}

    `alike` all False gives `identity_targets`. `SistaError` for another mode.
    """
    if mode not in CLUSTER_MODES:
        raise SistaError(f"unknown cluster mode {mode!r}: {nearest(mode, CLUSTER_MODES)}")
    mine = own_pairs(alike.shape[0], alike.shape[1], own, alike.device)
    if mode == "eliminate":
        return Targets(mine.to(dtype), (~alike | mine).to(dtype))
    weights = (alike | mine).to(dtype)
    return Targets(weights / weights.sum(dim=1, keepdim=True), torch.ones_like(weights))
