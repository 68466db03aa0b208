"""Soft targets that add to the own pair a little of every alike report."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sista.errors import SistaError, nearest
from sista.objectives.targets import Targets, own_pairs

# how a correlation c >= 0 is smoothed, with ratio a
SMOOTHINGS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "exp": lambda c, a: 1.0 - torch.exp(-a * c),
    "sigmoid": lambda c, a: torch.sigmoid(c),
}


def prior_targets(
    similarity: Float[Tensor, "b m"],
    weight: float = 0.07,
    ratio: float = 0.2,
    smoothing: str = "exp",
    own: Int[Tensor, " b"] | None = None,
) -> Targets:
    """Y = I + weight g(c), c_ij = max(S_ij, 0) and c_ii = 0, A = 1 (IMITATE, arXiv 2310.07355).

    g is "exp", 1 - exp(-ratio c), or "sigmoid", which lifts unlike pairs and the own one by weight / 2 too. As released, rows sum to more
    than 1: pairs that are like many count more. Weight 0 or ratio 0 (exp): `identity_targets`.
    """
    if smoothing not in SMOOTHINGS:
        raise SistaError(f"unknown smoothing {smoothing!r}: {nearest(smoothing, SMOOTHINGS)}")
    mine = own_pairs(similarity.shape[0], similarity.shape[1], own, similarity.device)
    prior = SMOOTHINGS[smoothing](similarity.detach().clamp(min=0.0).masked_fill(mine, 0.0), ratio)
    weights = mine.to(similarity.dtype) + weight * prior
    return Targets(weights, torch.ones_like(weights))
