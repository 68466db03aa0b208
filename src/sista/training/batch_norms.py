"""Batch norms where a batch is shared among processes, or encoded twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(module: Any, device: torch.device, world: int) -> Any:
    """`module` with batch norms over the films of all processes; on the CPU, where torch has no such thing, over each one's own."""
    if world == 1 or device.type != "cuda":
        return module
    from timm.layers import convert_sync_batchnorm

    return convert_sync_batchnorm(module)  # torch's own would drop the activations that timm has within its norms


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norms as they are: for a backward pass that computes activations again.

    They are put back afterwards rather than frozen meanwhile, so that the second computation is the first one to the letter, also for
    torch.compile.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    buffers: list[Tensor] = [b for norm in norms for b in norm.buffers(recurse=False)]
    before = [b.clone() for b in buffers]
    yield
    with torch.no_grad():
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
