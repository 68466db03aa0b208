"""Texts without padding: all real pieces of a batch in one row through a transformers model, each text attending to itself alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

ATTENTION = "sista_packed"  # the name by which transformers knows `attend`
LENGTH_GROUPS = 4  # texts of like length attend together, padded to the longest of their group


@dataclass(frozen=True)
class Group:
    """Texts that attend together: G texts padded to T' pieces, n of them real, side by side in the row.

    real [G,T']: which are real; slot [n]: which number of the G T' each piece is; piece [G T']: the piece of each slot, 0 where none is.
    """

    real: Bool[Tensor, "g t"]
    slot: Int[Tensor, " n"]
    piece: Int[Tensor, " gt"]

    @classmethod
    def of(cls, real: Bool[Tensor, "g t"]) -> Group:
        """The group of texts with these real pieces."""
        slot = real.flatten().nonzero()[:, 0]
        piece = torch.zeros(real.numel(), dtype=torch.long, device=real.device)
        piece[slot] = torch.arange(len(slot), device=real.device)
        return cls(real, slot, piece)

    def pad(self, pieces: Float[Tensor, "n h d"]) -> Float[Tensor, "g h t d"]:
        """Each text's pieces by themselves; what stands where it has none must not be heeded."""
        padded: Tensor = _Moved.apply(pieces, self.piece, self.slot, None)
        return padded.view(*self.real.shape, *pieces.shape[1:]).transpose(1, 2)

    def unpad(self, texts: Float[Tensor, "g h t d"]) -> Float[Tensor, "n h d"]:
        """The real pieces again."""
        pieces: Tensor = _Moved.apply(texts.transpose(1, 2).flatten(0, 1), self.slot, self.piece, self.real.flatten())
        return pieces


class _Moved(torch.autograd.Function):
    """Rows `there` of the input. Every real row is in it once, so that its gradient is fetched from `back`, and nothing is added up.

    `real`: the rows of the input that are; the gradient of the others is 0.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, there: Tensor, back: Tensor, real: Tensor | None) -> Tensor:
        ctx.back, ctx.real = back, real
        return rows.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        found = grad.index_select(0, ctx.back)
        return found if ctx.real is None else found * ctx.real[:, None, None], None, None, None


@dataclass(frozen=True)
class Packing:
    """The real pieces of texts [B,T] in one row of N, texts of like length side by side.

    place [N]: which number of the B T each piece is; position [N]: its place within its text; groups: the texts in the order of the row.
    """

    shape: tuple[int, int]
    place: Int[Tensor, " n"]
    position: Int[Tensor, " n"]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, mask: Bool[Tensor, "b t"]) -> Packing:
        """The packing of texts with these real pieces. Lengths are read on the host: for tensors on the CPU."""
        order = mask.sum(dim=1).argsort(stable=True)
        rows = mask[order]
        number = torch.arange(mask.numel(), device=mask.device).view(mask.shape)
        place, position = number[order][rows], torch.arange(mask.shape[1], device=mask.device).expand_as(mask)[rows]
        groups = tuple(Group.of(some[:, : int(some.any(dim=0).sum())]) for some in rows.chunk(LENGTH_GROUPS))
        return cls((mask.shape[0], mask.shape[1]), place, position, groups)

    def pack(self, values: Tensor) -> Tensor:
        """[B,T,...] to one row [1,N,...]."""
        return values.flatten(0, 1)[self.place][None]

    def unpack(self, row: Float[Tensor, "1 n c"]) -> Float[Tensor, "b t c"]:
        """One row to texts again, zeros where they have no piece."""
        return row.new_zeros(self.shape[0] * self.shape[1], row.shape[2]).index_copy(0, self.place, row[0]).view(*self.shape, -1)


def attend(
    module: nn.Module,
    query: Float[Tensor, "b h n d"],
    key: Float[Tensor, "b h n d"],
    value: Float[Tensor, "b h n d"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "b n h d"], None]:
    """transformers' attention interface: plain products within each text of a packed row; without `packing` as its eager attention."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if packing is None:
        return _products(query, key, value, attention_mask, scale, dropout).transpose(1, 2).contiguous(), None
    sizes = [len(group.slot) for group in packing.groups]
    split = [whole[0].transpose(0, 1).split(sizes) for whole in (query, key, value)]
    found = []
    for group, *pieces in zip(packing.groups, *split, strict=True):
        q, k, v = (group.pad(some) for some in pieces)
        found.append(group.unpad(_products(q, k, v, group.real[:, None, None, :], scale, dropout)))
    return torch.cat(found)[None], None


def _products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, dropout: float) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return nn.functional.dropout(weights, dropout) @ value if dropout else weights @ value


def register() -> None:
    """Make `attend` known to transformers as the attention `sista_packed`, with masks as its eager attention takes them."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
