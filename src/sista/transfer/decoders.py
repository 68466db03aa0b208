"""Decoders that turn an encoder's maps into one logit map a finding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder
from sista.transfer.pyramid import EncoderMaps, Pyramid, width_for

DECODERS = ("auto", "unet", "progressive", "dpt")


class Segmenter(nn.Module):
    """An encoder and a decoder: films [B,1,S,S] -> logits [B,K,S,S], one map a finding (sigmoid, not softmax: findings overlap)."""

    def __init__(self, encoder: ImageEncoder, findings: int, decoder: str = "auto", *, tune: bool = False, precision: str = "fp32") -> None:
        super().__init__()
        self.decoder_name = choose_decoder(decoder, encoder)
        made: Any = {"unet": UNet, "progressive": Progressive, "dpt": DensePrediction}[self.decoder_name]
        self.decoder = made(encoder, findings, tune=tune, precision=precision)

    @torch.no_grad()
    def start_at(self, shares: Tensor) -> None:
        """Let each finding's map start near this share of the pixels, [K] within (0, 1): the last biases become its log-odds.

        Lin et al., ICCV 2017, section 4.1. Findings cover few pixels: a head that starts at 1/2 spends its first steps on emptying its
        maps, and from few masks it may lose a finding for good on the way.
        """
        last = [layer for layer in self.decoder.head.modules() if isinstance(layer, nn.Conv2d)][-1]
        assert last.bias is not None
        last.bias.copy_(torch.logit(shares))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.decoder(images)
        if logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return logits


def choose_decoder(name: str, encoder: ImageEncoder) -> str:
    """`auto` is unet for a hierarchical encoder and progressive for a plain transformer, as the MGCA protocol pairs them."""
    if name not in DECODERS:
        raise SistaError(f"decoder {name!r}: choose {', '.join(DECODERS)}")
    if name == "auto":
        return "progressive" if encoder.plain else "unet"
    if name == "dpt" and not encoder.plain:
        raise SistaError(f"decoder 'dpt' is for plain transformers, and {encoder.name!r} has stages of its own; choose unet or progressive")
    return name


class UNet(nn.Module):
    """The U-Net decoder of segmentation-models-pytorch over an encoder's stages (a plain transformer's simple feature pyramid).

    Ronneberger et al., MICCAI 2015. Its blocks have 256, 128, 64, 32, 16 channels, or the last ones of these for fewer stages.
    """

    def __init__(self, encoder: ImageEncoder, findings: int, *, tune: bool = False, precision: str = "fp32") -> None:
        super().__init__()
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        self.pyramid = Pyramid(encoder, tune=tune, width=width_for(encoder), precision=precision)
        stages = len(self.pyramid.widths)
        channels = [16 * 2**number for number in reversed(range(stages))]
        self.decoder = UnetDecoder((1, *self.pyramid.widths), channels, n_blocks=stages)
        self.head = SegmentationHead(channels[-1], findings)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.decoder([images, *self.pyramid(images)]))


class Progressive(nn.Module):
    """The protocol's decoder for transformers (SETR-PUP, Zheng et al., CVPR 2021): a linear layer on the patches, then for each halving of
    the stride a 3 x 3 convolution, batch norm, ReLU and bilinear doubling, and a last 3 x 3 convolution.

    At patch width 768 and stride 16 the convolutions have 512, 256, 128 and 64 channels; other widths in proportion, at least 16.
    """

    def __init__(self, encoder: ImageEncoder, findings: int, *, tune: bool = False, precision: str = "fp32") -> None:
        super().__init__()
        self.maps = EncoderMaps(encoder, tune=tune, precision=precision)
        width, stride = self.maps.widths[-1], self.maps.strides[-1]
        self.linear = nn.Conv2d(width, width, 1)
        channels = [max(16, round(width * 2 / 3 / 2**number)) for number in range(max(1, round(math.log2(stride))))]
        stages: list[nn.Module] = []
        for inputs, outputs in zip([width, *channels], channels, strict=False):
            double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            stages.append(nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), double))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Conv2d(channels[-1], findings, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stages(self.linear(self.maps(images)[-1])))


class DensePrediction(nn.Module):
    """The DPT decoder of segmentation-models-pytorch over four depths of a plain transformer (Ranftl et al., ICCV 2021)."""

    def __init__(self, encoder: ImageEncoder, findings: int, *, tune: bool = False, precision: str = "fp32") -> None:
        super().__init__()
        from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead

        self.maps = EncoderMaps(encoder, tune=tune, depths=4, precision=precision)
        width = width_for(encoder)
        self.decoder = DPTDecoder(
            encoder_out_channels=self.maps.widths,
            encoder_output_strides=self.maps.strides,
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=[width, 2 * width, 4 * width, 4 * width],
            fusion_channels=width,
        )
        self.head = DPTSegmentationHead(width, findings)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.decoder(self.maps(images), [None] * 4))
