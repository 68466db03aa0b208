"""A sentence's view of a film through a learned gate over the patches."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sista.objectives.precision import full_precision
from sista.objectives.token_attention import unit


class GatedPooling(nn.Module):
    """Text-conditioned sparse pooling (FaNe, arXiv 2511.12215): sentences are queries, patches keys and values.

    M = sigmoid( MLP([q; k]) ), A = sigmoid( (q k^T * M) / sqrt(D) ), c = LayerNorm( W (A V) ). A is a sigmoid and no softmax: a closed
    gate (M = 0) leaves A = 1/2, as in the release. The first layer of the MLP is applied to q and to k apart, which is the same and
    needs no [q; k].

    dim  D, of sentences and patches. Those are unit vectors here and not in the release; they enter as sqrt(D) times themselves, so that
         their coordinates have the spread of 1 that linear layers are initialised for.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.gate_query, self.gate_key, self.gate = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=False), nn.Linear(dim, 1)
        self.out = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))

    @full_precision
    def forward(
        self, sentences: Float[Tensor, "b s d"], patches: Float[Tensor, "b p d"]
    ) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s p"], Float[Tensor, "b s p"]]:
        """The sentences' views c of their films, L2-normalised, the attention A and the gates M."""
        query, key, value = (layer(x * self.scale) for layer, x in ((self.query, sentences), (self.key, patches), (self.value, patches)))
        hidden = torch.relu_(self.gate_query(query)[:, :, None] + self.gate_key(key)[:, None, :])
        gates = torch.sigmoid(self.gate(hidden).squeeze(-1))
        attention = torch.sigmoid(query @ key.mT * gates / self.scale)
        return unit(self.out(attention @ value)), attention, gates


@full_precision
def gate_sparsity(gates: Float[Tensor, "b s p"], sentence_mask: Bool[Tensor, "b s"]) -> Float[Tensor, ""]:
    """L_spa: mean of M over the sentences and patches of a report, then over the reports that have sentences (none: 0)."""
    count = sentence_mask.sum(dim=1)
    per_report = (gates.mean(dim=2) * sentence_mask).sum(dim=1) / count.clamp(min=1)
    return per_report.sum() / (count > 0).sum().clamp(min=1)
