"""Scores of samples on prototypes turned into assignments that use all prototypes alike."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sista.objectives.precision import full_precision


@torch.no_grad()
@full_precision
def sinkhorn(scores: Float[Tensor, "b k"], epsilon: float = 0.05, iterations: int = 3) -> Float[Tensor, "b k"]:
    """Q = diag(u) exp(S / epsilon) diag(v): each row sums to 1, and each column, the closer the more iterations, to B/K; no gradient.

    Sinkhorn-Knopp as in SwAV (arXiv 2006.09882): divide by the columns' sums, then by the rows', `iterations` times. In logarithms, so
    that no exponential overflows or vanishes.
    """
    log_codes = scores / epsilon
    for _ in range(iterations):
        log_codes = log_codes - log_codes.logsumexp(dim=0, keepdim=True)
        log_codes = log_codes.log_softmax(dim=1)
    return log_codes.softmax(dim=1)
