"""Every pair judged on its own: the pairwise logistic loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sista.objectives.precision import full_precision


@full_precision
def pairwise_sigmoid(
    logits: Float[Tensor, "b m"],
    signs: Float[Tensor, "b m"],
    scale: float | Float[Tensor, ""] = 1.0,
    bias: float | Float[Tensor, ""] = 0.0,
) -> Float[Tensor, ""]:
    """L_mp = 1/B sum_ij softplus( h_ij ( -scale s_ij + bias ) ) over similarities s and signs h of +1, -1 (FaNe; SigLIP).

    The bias stands with the sign of FaNe: SigLIP's -10 is +10 here. FaNe itself starts at -10, where every negative costs 10.
    FaNe's values: s = cos / 0.1, scale = ln(1 / 0.07).
    """
    return F.softplus(signs * (bias - scale * logits)).sum() / len(logits)
