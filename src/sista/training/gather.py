"""Rows that are shared among processes, gathered with gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def share_of(total: int, rank: int, world: int) -> slice:
    """The rows of process `rank`: equal shares, or shares that differ by one."""
    return slice(rank * total // world, (rank + 1) * total // world)


def gather_rows(own: Tensor, total: int, rank: int, world: int) -> Tensor:
    """The rows [total, ...] of all processes by rank, from each one's `share_of` them.

    Backward: the own rows of the incoming gradient, times `world`. Where every process goes on to the same loss of all rows, each has the
    whole gradient already and nothing need be sent; the factor makes the mean of the encoders' gradients over the processes their sum.
    """
    gathered: Tensor = _GatherRows.apply(own, total, rank, world)
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, rank: int, world: int) -> Tensor:
        ctx.share, ctx.world = share_of(total, rank, world), world
        longest = -(-total // world)
        padding = longest - len(own)
        sent = F.pad(own, [0, 0] * (own.ndim - 1) + [0, padding]) if padding else own.contiguous()
        received = list(own.new_empty(world, longest, *own.shape[1:]))
        distributed.all_gather(received, sent)
        shares = [share_of(total, other, world) for other in range(world)]
        return torch.cat([rows[: share.stop - share.start] for rows, share in zip(received, shares, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad[ctx.share] * ctx.world, None, None, None
