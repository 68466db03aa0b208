"""Pseudo-labels by clustering a memory of recent embeddings, anew every so many batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sista.errors import SistaError
from sista.objectives.cluster_targets import acceptance_rate, acceptance_threshold, assign, false_negatives
from sista.objectives.precision import full_precision
from sista.objectives.spherical_kmeans import POINTS, spherical_kmeans


class PseudoLabels(nn.Module):
    """Says which pairs of a batch are false negatives, once per number of clusters.

    dim             size of the embeddings
    clusters        how many, for each k-means
    memory          embeddings kept, the oldest overwritten first
    every           batches between two clusterings; the first when the memory holds as many embeddings as the most clusters
    ramp, final     acceptance rate: from 0 up to `final` over `ramp` batches, renewed at each clustering
    concentration   of the confidence, see `assign`

    All that it knows is in its buffers, so a checkpoint resumes it exactly. `counts` (batches, embeddings, clusterings) has a copy on the
    host, for no step should wait for the device to say whether it is time.
    """

    vectors: Tensor
    thresholds: Tensor
    counts: Tensor

    def __init__(
        self,
        dim: int,
        clusters: Sequence[int] = (64, 128, 256),
        memory: int = 4096,
        every: int = 100,
        ramp: int = 2000,
        final: float = 1.0,
        concentration: float = 0.1,
        iterations: int = 10,
    ) -> None:
        super().__init__()
        if not clusters or min(clusters) < 2 or max(clusters) > memory or len(set(clusters)) < len(clusters):
            raise SistaError(
                f"pseudo-labels: clusters {list(clusters)} of a memory of {memory}; give one or more different numbers from 2 to {memory}"
            )
        if every < 1 or ramp < 0 or not 0.0 <= final <= 1.0 or concentration <= 0:
            raise SistaError(
                f"pseudo-labels: got every {every}, ramp {ramp}, acceptance {final:g}, concentration {concentration:g}; "
                "give every >= 1, ramp >= 0, an acceptance in [0, 1] and a concentration above 0"
            )
        self.clusters, self.every, self.ramp, self.final = tuple(clusters), every, ramp, final
        self.concentration, self.iterations = concentration, iterations
        self.register_buffer("vectors", torch.zeros(memory, dim))
        for k in self.clusters:
            self.register_buffer(f"centroids_{k}", torch.zeros(k, dim))
        self.register_buffer("thresholds", torch.full((len(self.clusters),), torch.inf))
        self.register_buffer("counts", torch.zeros(3, dtype=torch.int64))
        self.batches, self.seen, self.clusterings = 0, 0, 0
        self.register_load_state_dict_post_hook(_read_counts)

    @property
    def rate(self) -> float:
        """The acceptance rate that a clustering would use now."""
        return acceptance_rate(self.batches, self.ramp, self.final)

    @property
    def accepted(self) -> float:
        """The acceptance rate of the last clustering, which `alike` goes by; 0 before the first."""
        last = self.batches // self.every * self.every  # once there is one, there is one every so many batches
        return acceptance_rate(last, self.ramp, self.final) if self.clusterings else 0.0

    @torch.no_grad()
    @full_precision
    def alike(self, embeddings: Float[Tensor, "b d"]) -> list[Bool[Tensor, "b b"]]:
        """For each number of clusters, True where two have the same accepted label; empty before the first clustering."""
        if not self.clusterings:
            return []
        found = []
        for number, k in enumerate(self.clusters):
            label, confidence = assign(embeddings, self.get_buffer(f"centroids_{k}"), self.concentration)
            accepted = confidence >= self.thresholds[number]
            found.append(false_negatives(label, accepted, label, accepted))
        return found

    @torch.no_grad()
    @full_precision
    def update(self, embeddings: Float[Tensor, "b d"], generator: torch.Generator | None = None) -> None:
        """Take a batch into the memory, and cluster when it is time and some labels may be accepted."""
        size = len(self.vectors)
        kept = embeddings[-size:]
        first = self.seen + len(embeddings) - len(kept)
        self.vectors[torch.arange(first, first + len(kept), device=kept.device) % size] = kept.to(self.vectors.dtype)
        self.batches, self.seen = self.batches + 1, self.seen + len(embeddings)
        if self.batches % self.every == 0 and self.rate > 0 and min(self.seen, size) >= max(self.clusters):
            self._cluster(self.vectors[: min(self.seen, size)], generator)
        for slot, value in zip(self.counts, (self.batches, self.seen, self.clusterings), strict=True):
            slot.fill_(value)

    def _cluster(self, known: Tensor, generator: torch.Generator | None) -> None:
        for number, k in enumerate(self.clusters):
            centroids = spherical_kmeans(known, k, self.iterations, generator)
            self.get_buffer(f"centroids_{k}").copy_(centroids)
            confidence = torch.cat([assign(some, centroids, self.concentration)[1] for some in known.split(POINTS)])
            self.thresholds[number] = acceptance_threshold(confidence, self.rate)
        self.clusterings += 1


def _read_counts(module: PseudoLabels, _: Any) -> None:
    module.batches, module.seen, module.clusterings = module.counts.tolist()
