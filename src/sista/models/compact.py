"""A small convolutional image encoder for two CPU cores, known to timm by the name `sista_compact`."""

from __future__ import annotations

import torch
from timm.models import register_model
from torch import Tensor, nn
from torch.nn import functional as F


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """x + BN(conv(ReLU(BN(conv(x))))), then ReLU; channels and size stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Compact(nn.Module):
    """Three strided convolutions, a learned position map, residual blocks at stride 8.

    Patches are read after the first `local` blocks, where one sees at most 63 pixels: the word of a small finding can only be answered near
    it. The pooled vector is read after all blocks: where `local` < `blocks` from a map that no stage of `feature_info` has, which
    `last_is_deeper` says.

    It follows the part of timm's contract that `ImageEncoder` uses (`feature_info`, `forward_intermediates`, `forward_head`). The position
    map lets convolutions tell left from right; it is interpolated to the grid, so any film size works. The pooled vector is the mean and
    the maximum over the grid side by side: a mean alone drowns a nodule of four patches among 256.
    """

    def __init__(
        self, in_chans: int = 1, widths: tuple[int, int, int] = (24, 48, 96), blocks: int = 3, grid: int = 16, local: int = 1
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Sequential(_convolution(in_chans, a, 2))
        self.second = nn.Sequential(_convolution(a, b, 2), ResidualBlock(b))
        self.third = _convolution(b, c, 2)
        self.position = nn.Parameter(torch.zeros(1, c, grid, grid))
        nn.init.trunc_normal_(self.position, std=0.1)
        self.blocks = nn.Sequential(*[ResidualBlock(c) for _ in range(blocks)])
        self.local = local
        self.last_is_deeper = local < blocks
        self.num_features = 2 * c
        self.feature_info = [
            {"num_chs": a, "reduction": 2, "module": "stem"},
            {"num_chs": b, "reduction": 4, "module": "second"},
            {"num_chs": c, "reduction": 8, "module": "blocks"},
        ]

    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None, **_: object) -> tuple[Tensor, list[Tensor]]:
        """The last map and the maps of the stages asked for (all when `indices` is None), each [B,C,H,W]."""
        stem = self.stem(x)
        second = self.second(stem)
        third = self.third(second)
        position: Tensor = self.position
        if position.shape[-2:] != third.shape[-2:]:
            position = F.interpolate(position, size=third.shape[-2:], mode="bilinear", align_corners=False)
        local = self.blocks[: self.local](third + position)
        last = self.blocks[self.local :](local)
        stages = [stem, second, local]
        return last, stages if indices is None else [stages[i] for i in indices]

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map [B,C,H,W]."""
        return self.forward_intermediates(x)[0]

    def forward_head(self, x: Tensor, pre_logits: bool = True) -> Tensor:
        """The pooled vector [B,2C]: mean and maximum over the grid."""
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def sista_compact(pretrained: bool = False, **kwargs: object) -> Compact:
    """The encoder of the demo; there are no pre-trained weights of it."""
    if pretrained:
        raise ValueError("sista_compact has no pre-trained weights")
    known = {k: v for k, v in kwargs.items() if k in {"in_chans", "widths", "blocks", "grid", "local"}}
    return Compact(**known)  # type: ignore[arg-type]
