"""Augmentation of films on the device, whole batches at a time. Never a flip: left and right mean something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN, STD = 0.5, 0.25  # what pixels of 0 to 1 are normalised by


class AugmentationSettings(Protocol):
    """The ranges of `augment`; any object with these attributes will do."""

    @property
    def shift(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def rotation(self) -> float: ...
    @property
    def gamma(self) -> float: ...
    @property
    def contrast(self) -> float: ...


@dataclass(frozen=True)
class Ranges:
    """Default ranges. shift: share of the side. scale: relative. rotation: degrees. gamma: of its logarithm. contrast: and light."""

    shift: float = 0.05
    scale: float = 0.08
    rotation: float = 5.0
    gamma: float = 0.25
    contrast: float = 0.15


def augment(
    images: Tensor, size: int, settings: AugmentationSettings, generator: torch.Generator, first: int = 0, total: int | None = None
) -> Tensor:
    """uint8 [B,1,S,S] -> float32 [B,1,size,size], normalised: shift, scale, rotation in one resampling; gamma; contrast.

    Every random number comes from `generator`, which may live on the CPU or on the images' device; what lies outside the film is black.
    Films that are a part of a batch of `total`, from number `first` on, get the numbers that they would get within the whole batch.
    """
    draws = torch.rand(7, len(images) if total is None else total, generator=generator, device=generator.device)
    draws = draws[:, first : first + len(images)].to(images.device) * 2 - 1
    angle = torch.deg2rad(draws[0] * settings.rotation)
    zoom = 1 / (1 + draws[1] * settings.scale)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    move = draws[2:4] * 2 * settings.shift  # the grid spans -1 to 1
    affine = torch.stack([torch.stack([cos, -sin, move[0]], 1), torch.stack([sin, cos, move[1]], 1)], 1)
    with torch.autocast(images.device.type, enabled=False):
        pixels = shrink(images, size)
        grid = F.affine_grid(affine.float(), [len(images), 1, size, size], align_corners=False)
        pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        gamma, contrast, brightness = (
            d.view(-1, 1, 1, 1)
            for d in (torch.exp(draws[4] * settings.gamma), 1 + draws[5] * settings.contrast, draws[6] * settings.contrast)
        )
        pixels = pixels.clamp(1e-4, 1) ** gamma
        pixels = ((pixels - 0.5) * contrast + 0.5 + brightness / 2).clamp(0, 1)
        return (pixels - MEAN) / STD


def eval_view(images: Tensor, size: int) -> Tensor:
    """uint8 [B,1,S,S] -> float32 [B,1,size,size], normalised, nothing random."""
    return (shrink(images, size) - MEAN) / STD


def shrink(images: Tensor, size: int) -> Tensor:
    """uint8 [B,1,S,S] -> float32 [B,1,size,size] from 0 to 1, antialiased."""
    pixels = images.float() / 255
    if images.shape[-1] == size and images.shape[-2] == size:
        return pixels
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
