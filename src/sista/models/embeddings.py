"""What a dual encoder says of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """L2-normalised embeddings of B films and reports in the shared space of size D.

    `patches` covers the grid row by row: P = grid[0] * grid[1], patch p lies in row p // grid[1], column p % grid[1]. `deepest` has those
    that the image encoder has deepest, where a method gives a projection for them.
    """

    image: Float[Tensor, "b d"]
    patches: Float[Tensor, "b p d"]
    grid: tuple[int, int]
    text: Float[Tensor, "b d"]
    words: Float[Tensor, "b l d"]
    word_mask: Bool[Tensor, "b l"]
    deepest: Float[Tensor, "b q d"] | None = None
