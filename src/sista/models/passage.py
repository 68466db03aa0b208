"""How the rows of a batch pass through an encoder: all at once, in chunks, or shared among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Encode = Callable[..., tuple[Tensor, ...]]


@runtime_checkable
class Sharing(Protocol):
    """The processes among which a batch is shared."""

    @property
    def rank(self) -> int: ...
    @property
    def world(self) -> int: ...
    def share(self, total: int) -> slice: ...
    def gather(self, own: Tensor, total: int) -> Tensor: ...


@dataclass(frozen=True)
class Passage:
    """The seam between encoders and objectives: a method sees the embeddings of the whole batch, however they were made.

    chunk   rows that pass at once; 0: all. Of a chunk only inputs and outputs are kept; the backward pass encodes it again, with the same
            dropout, to go on to the weights. That is the gradient cache (GradCache, arXiv 2101.06983): the loss sees all rows, memory
            holds the activations of one chunk.
    among   processes that each encode their share of the rows, and gather the rest with gradient; None: this process alone.
    """

    chunk: int = 0
    among: Sharing | None = None

    def films(self, encode: Encode, images: Tensor) -> tuple[Tensor, ...]:
        """Encode images of which every process holds its own share (all of the same size) only; embeddings of all, by rank."""
        if self.among is None:
            return self._chunks(encode, [images], len(images))
        with own_draws(self.among.rank, images.device):
            own = self._chunks(encode, [images], len(images))
        return self._gathered(own, len(images) * self.among.world)

    def texts(self, encode: Encode, *rows: Tensor) -> tuple[Tensor, ...]:
        """Encode rows that every process holds in full, in equal parts; fewer rows than processes are encoded by each."""
        total = len(rows[0])
        if self.among is None or total < self.among.world:
            return self._chunks(encode, rows, total)
        share = self.among.share(total)
        with own_draws(self.among.rank, rows[0].device):
            own = self._chunks(encode, [values[share] for values in rows], -(-total // self.among.world))
        return self._gathered(own, total)

    def _gathered(self, own: tuple[Tensor, ...], total: int) -> tuple[Tensor, ...]:
        assert self.among is not None
        among = self.among
        return tuple(among.gather(values, total) for values in own)

    def _chunks(self, encode: Encode, rows: Sequence[Tensor], most: int) -> tuple[Tensor, ...]:
        """`most`: rows of the process that has most, so that all make equally many chunks."""
        if not self.chunk or most <= self.chunk:
            return encode(*rows)
        split = [values.tensor_split(-(-most // self.chunk)) for values in rows]
        parts = [checkpoint(encode, *some, use_reentrant=False) for some in zip(*split, strict=True) if len(some[0])]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))


@contextmanager
def own_draws(rank: int, device: torch.device) -> Iterator[None]:
    """Dropout of this process's own; afterwards the processes' common generators go on as if nothing had been drawn but one number."""
    seed = int(torch.randint(2**62, (), device="cpu"))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed + rank)
        yield
