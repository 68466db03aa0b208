"""Negatives of the same modality pushed apart, the closest ones most."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sista.objectives.contrastive import FLOOR
from sista.objectives.precision import full_precision


@full_precision
def hard_negative(
    embeddings: Float[Tensor, "b d"],
    negatives: Bool[Tensor, "b m"],
    others: Float[Tensor, "m d"] | None = None,
    temperature: float = 0.07,
) -> Float[Tensor, ""]:
    """L = mean_i sum_j w_ij z_ij over the negatives j of i, z = cos / T, w = softmax_j(z / T) (FaNe, one modality).

    Embeddings are L2-normalised; `others` are the columns (default: the same embeddings). A row without negatives gives 0.
    FaNe's L_hn is the mean of the image and the text term.
    """
    logits = embeddings @ (embeddings if others is None else others).T / temperature
    weights = torch.softmax((logits / temperature).masked_fill(~negatives, FLOOR), dim=1)
    return (weights * logits * negatives).sum(dim=1).mean()


def hard_negative_pair(
    image: Float[Tensor, "b d"], text: Float[Tensor, "b d"], negatives: Bool[Tensor, "b b"], temperature: float = 0.07
) -> Float[Tensor, ""]:
    """Half the image term plus half the text term of `hard_negative`: FaNe's L_hn."""
    return (hard_negative(image, negatives, None, temperature) + hard_negative(text, negatives, None, temperature)) / 2
