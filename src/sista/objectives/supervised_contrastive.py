"""Two views of each sample, with any samples as positives of each other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sista.objectives.contrastive import contrast
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets


@full_precision
def supervised_contrastive(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    positives: Bool[Tensor, "n n"],
    temperature: float = 0.1,
    base_temperature: float | None = None,
) -> Float[Tensor, ""]:
    """-(T/T0) mean_i 1/|P(i)| sum_{p in P(i)} ( s_ip / T - log sum_{k != i} exp s_ik / T ) over the 2N views (SupCon, arXiv 2004.11362).

    Embeddings are L2-normalised. P(i): the views of samples j with positives[i,j], and always the sample's other view. T0 = T unless
    `base_temperature` is given; PCL (arXiv 2106.09157) uses 0.07.
    """
    views = torch.cat([first, second])
    eye = torch.eye(len(views), dtype=torch.bool, device=views.device)
    alike = (positives | torch.eye(len(first), dtype=torch.bool, device=views.device)).repeat(2, 2) & ~eye
    weights = alike.to(views.dtype) / alike.sum(dim=1, keepdim=True)
    loss = contrast(views @ views.T / temperature, Targets(weights, (~eye).to(views.dtype)))
    return loss if base_temperature is None else loss * (temperature / base_temperature)
