"""Maps of several strides from any image encoder, frozen or tuned, for decoders and detectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast


class EncoderMaps(nn.Module):
    """An encoder as a list of maps from fine to coarse, float32; `widths` and `strides` (pixels a cell) of each.

    A hierarchical encoder gives each of its stages, a plain transformer its last grid after the final norm, or with `depths` that many
    blocks at equal distances (DPT: 4). tune: False keeps the weights as they are and batch norm in evaluation mode, whatever `train` says.
    """

    def __init__(self, encoder: ImageEncoder, *, tune: bool = False, depths: int = 1, precision: str = "fp32") -> None:
        super().__init__()
        self.encoder, self.tune, self.precision = encoder, tune, precision
        encoder.requires_grad_(tune)
        info = encoder.model.feature_info
        if encoder.plain:
            self.blocks = [round((number + 1) * len(info) / depths) - 1 for number in range(depths)]
        else:
            self.blocks = list(range(len(info)))
        self.widths: list[int] = [info[block]["num_chs"] for block in self.blocks]
        self.strides: list[int] = [info[block]["reduction"] for block in self.blocks]
        self.train(self.training)

    def train(self, mode: bool = True) -> EncoderMaps:
        super().train(mode)
        self.encoder.train(mode and self.tune)
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B,1,S,S] -> one map [B,C,H,W] for each of `widths`."""
        with torch.set_grad_enabled(self.tune and torch.is_grad_enabled()), autocast(self.precision, images.device):
            maps = self.encoder.through(images, self.blocks, norm=True)[1]
        return [one.float() for one in maps]


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map [B,C,H,W]."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SimpleFeaturePyramid(nn.Module):
    """A plain transformer's one grid at strides 4, 8, 16 and 32: transposed convolutions up, max pooling down.

    ViTDet (Li et al., Exploring Plain Vision Transformer Backbones for Object Detection, ECCV 2022, section 3): from the last map alone,
    each level by its own deconvolutions of stride 2 (layer norm and GELU between two) or pooling, then a 1 x 1 and a 3 x 3 convolution to
    `width` channels, each with a layer norm. At stride 16 the
    levels have 4, 2, 1 and 1/2 times the cells of the grid.
    """

    def __init__(self, channels: int, stride: int, width: int = 256) -> None:
        super().__init__()
        power = math.log2(stride / 4)
        if power < 0 or power != int(power):
            raise SistaError(
                f"a transformer with patches of {stride} px has no pyramid of strides 4 to 32; choose patches of 4, 8, 16 or 32 px"
            )
        self.strides = [4, 8, 16, 32]
        self.widths = [width] * 4
        levels = []
        for level in range(4):
            up, parts, now = int(power) - level, [], channels
            for step in range(max(up, 0)):
                parts += [*([LayerNorm2d(now), nn.GELU()] if step else []), nn.ConvTranspose2d(now, max(now // 2, 8), 2, 2)]
                now = max(now // 2, 8)
            parts += [nn.MaxPool2d(2, 2, ceil_mode=True) for _ in range(max(-up, 0))]
            parts += [nn.Conv2d(now, width, 1, bias=False), LayerNorm2d(width)]
            levels.append(nn.Sequential(*parts, nn.Conv2d(width, width, 3, 1, 1, bias=False), LayerNorm2d(width)))
        self.levels = nn.ModuleList(levels)

    def forward(self, grid: Tensor) -> list[Tensor]:
        """[B,C,H,W] -> four maps [B,width,·,·]."""
        return [level(grid) for level in self.levels]


class Pyramid(nn.Module):
    """Maps of growing stride from any encoder: its own stages, or for a plain transformer a `SimpleFeaturePyramid` of `width` channels."""

    def __init__(self, encoder: ImageEncoder, *, tune: bool = False, width: int = 256, precision: str = "fp32") -> None:
        super().__init__()
        self.maps = EncoderMaps(encoder, tune=tune, precision=precision)
        self.simple = SimpleFeaturePyramid(self.maps.widths[-1], self.maps.strides[-1], width) if encoder.plain else None
        source = self.simple or self.maps
        self.widths: list[int] = list(source.widths)
        self.strides: list[int] = list(source.strides)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B,1,S,S] -> maps from fine to coarse, one for each of `widths` and `strides`."""
        maps = self.maps(images)
        return self.simple(maps[-1]) if self.simple is not None else maps


def width_for(encoder: ImageEncoder) -> int:
    """Channels of pyramids and decoders: the power of two from half the patch width on, 32 to 256."""
    return min(256, max(32, 2 ** math.ceil(math.log2(encoder.patch_width / 2))))
