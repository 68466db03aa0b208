"""Two views of each sample against all other views of the batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sista.objectives.supervised_contrastive import supervised_contrastive


def nt_xent(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], temperature: float = 0.1) -> Float[Tensor, ""]:
    """-mean log( exp(a.b / T) / sum_{k != self} exp(a.k / T) ) over the 2N L2-normalised views, both directions (SimCLR).

    Counterfactual contrastive learning (arXiv 2409.10365) is the same loss with the counterfactual as second view.
    """
    nobody = torch.zeros(len(first), len(first), dtype=torch.bool, device=first.device)
    return supervised_contrastive(first, second, nobody, temperature)
