"""How alike two reports are: the cosine of their teacher vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from sista.objectives.precision import full_precision

# Equal vectors must score exactly 1 and tie, whatever the order of summation: filtered report vectors have a large tie at 1,
# and a cut-off taken there by percentile is 1.0 itself. Float32 cosines of equal vectors miss 1 by a few 1e-7.
SNAP = 1e-6


@full_precision
def report_similarity(teacher: Float[Tensor, "n r"], other: Float[Tensor, "m r"] | None = None) -> Float[Tensor, "n m"]:
    """Cosine S_ij = cos(r_i, r_j) of teacher vectors, in [-1, 1], without gradient.

    `other` holds the columns (default: `teacher` itself). Cosines within 1e-6 of 1 are 1; a zero vector is similar to nothing (0).
    """
    rows = F.normalize(teacher.detach(), dim=1)
    columns = rows if other is None else F.normalize(other.detach(), dim=1)
    cosine = (rows @ columns.T).clamp(-1.0, 1.0)
    return torch.where(cosine > 1.0 - SNAP, torch.ones_like(cosine), cosine)


def mark_same(
    similarity: Float[Tensor, "n m"], key_rows: Int[Tensor, " n"], key_columns: Int[Tensor, " m"] | None = None
) -> Float[Tensor, "n m"]:
    """S_ij := 1 where two pairs are of one study or have the same cleaned report text (equal keys).

    Apply it after `remove_offset`, which leaves a 1 a little below 1.
    """
    return similarity.masked_fill(same_report(key_rows, key_columns), 1.0)


def same_report(key_rows: Int[Tensor, " n"], key_columns: Int[Tensor, " m"] | None = None) -> Tensor:
    """[n,m] bool, True where the report keys are equal."""
    return key_rows[:, None] == (key_rows if key_columns is None else key_columns)[None, :]


def remove_offset(similarity: Float[Tensor, "n m"], offset: float | Float[Tensor, ""]) -> Float[Tensor, "n m"]:
    """S~ = (S - o) / (1 - o + 1e-6): a narrow high band of cosines spread out again (FaNe, arXiv 2511.12215)."""
    return (similarity - offset) / (1.0 - offset + 1e-6)


class OffsetAverage(nn.Module):
    """Running mean o of the cosine between report vectors and their batch mean (FaNe, arXiv 2511.12215).

    p = mean of the normalised r_i; o_b = mean_i cos(r_i, p); o <- (1 - rate) o + rate o_b; the first batch sets o = o_b.
    Both buffers are saved with a checkpoint. With several processes pass the gathered vectors.
    """

    offset: Tensor
    started: Tensor

    def __init__(self, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def update(self, teacher: Float[Tensor, "n r"]) -> Float[Tensor, ""]:
        """Take one batch in and return the new offset, 0-d."""
        vectors = F.normalize(teacher.to(self.offset.dtype), dim=1)
        mean = F.normalize(vectors.mean(dim=0), dim=0)
        batch_offset = (vectors * mean).sum(dim=1).mean()  # not a matmul: autocast would halve it
        self.offset.copy_(torch.where(self.started, torch.lerp(self.offset, batch_offset, self.rate), batch_offset))
        self.started.fill_(True)
        return self.offset.clone()
