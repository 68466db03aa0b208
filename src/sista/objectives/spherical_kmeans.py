"""k-means of unit vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from sista.objectives.precision import full_precision

POINTS = 8192  # held against all centroids at a time


@torch.no_grad()
@full_precision
def spherical_kmeans(
    points: Float[Tensor, "n d"], clusters: int, iterations: int = 10, generator: torch.Generator | None = None
) -> Float[Tensor, "k d"]:
    """Unit centroids of `clusters` groups of L2-normalised points: the mean direction of the points that have the largest cosine to it.

    Starts at different points drawn with `generator`; n >= clusters. A cluster that loses all its points keeps its centroid.
    """
    device = points.device if generator is None else generator.device
    start = torch.randperm(len(points), generator=generator, device=device)[:clusters]
    centroids = points[start.to(points.device)]
    for _ in range(iterations):
        total, size = torch.zeros_like(centroids), centroids.new_zeros(clusters)
        for some in points.split(POINTS):  # products, not index_add_: the same bits on every run, on CUDA too
            member = F.one_hot(nearest_centroid(some, centroids), clusters).to(points.dtype)
            total, size = total + member.T @ some, size + member.sum(dim=0)
        centroids = torch.where(size[:, None] > 0, F.normalize(total, dim=1), centroids)
    return centroids


def nearest_centroid(points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]) -> Int[Tensor, " n"]:
    """The centroid with the largest cosine to each point."""
    return torch.cat([(some @ centroids.T).argmax(dim=1) for some in points.split(POINTS)])
