"""A small vision transformer for two CPU cores, known to timm by the name `sista_vit`."""

from __future__ import annotations

from typing import Any

from timm.layers import PatchEmbed
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn


class ConvolutionalStem(PatchEmbed):
    """Patches by strided convolutions with batch norm instead of one large linear step: [B,1,H,W] -> [B,P,D].

    Xiao et al., "Early convolutions help transformers see better" (NeurIPS 2021): a transformer from scratch then needs fewer steps and is
    less particular about its learning rate.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        stride, inputs, outputs = self.patch_size[0], keywords["in_chans"], keywords["embed_dim"]
        halvings = stride.bit_length() - 1
        if stride != 2**halvings:
            raise ValueError(f"patch size {stride} is no power of two")
        layers: list[nn.Module] = []
        for left in reversed(range(halvings)):
            width = outputs >> left
            layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs = width
        self.proj = nn.Sequential(*layers, nn.Conv2d(inputs, outputs, 1))  # type: ignore[assignment]


@register_model
def sista_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """Six blocks of width 192 on patches of 16 px behind a convolutional stem, mean-pooled; there are no pre-trained weights of it."""
    if pretrained:
        raise ValueError("sista_vit has no pre-trained weights")
    known = {"img_size": 128, "patch_size": 16, "embed_dim": 192, "depth": 6, "num_heads": 3, "num_classes": 0, "in_chans": 1}
    given = {name: value for name, value in kwargs.items() if name in known}
    return VisionTransformer(**{**known, **given}, global_pool="avg", class_token=False, embed_layer=ConvolutionalStem)
