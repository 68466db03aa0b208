"""Films and what is drawn on them, moved together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sista.corpus.films.augmentation import MEAN, STD, shrink


@dataclass(frozen=True)
class ViewSettings:
    """What is done to training films and their regions. Never a flip: left and right mean something.

    Args:
        scale: largest relative change of size (the protocol has 0.1).
        rotation: largest angle, in degrees (the protocol has 10).
        shift: largest shift, as a share of the side.
        contrast: largest relative change of contrast and brightness, of every film, its regions staying as they are.
        share: share of the films that are moved: scaled, turned and shifted.
    """

    scale: float = 0.1
    rotation: float = 10.0
    shift: float = 0.05
    contrast: float = 0.1
    share: float = 0.5


def random_affine(count: int, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """Maps [count,2,3] from places of the new film to places of the old one, both -1 to 1: shift, scale and rotation about the centre."""
    draws = torch.rand(5, count, generator=generator) * 2 - 1
    moved = ((draws[4] + 1) / 2 < settings.share).float()
    angle, zoom = torch.deg2rad(draws[0] * settings.rotation * moved), 1 / (1 + draws[1] * settings.scale * moved)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    move = draws[2:4] * 2 * settings.shift * moved
    return torch.stack([torch.stack([cos, -sin, move[0]], 1), torch.stack([sin, cos, move[1]], 1)], 1)


def warp(images: Tensor, affine: Tensor) -> Tensor:
    """float [B,C,S,S] resampled by `affine` [B,2,3]; what comes from outside the film is 0."""
    grid = F.affine_grid(affine.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def film_view(films: Tensor, size: int, affine: Tensor | None = None, tone: Tensor | None = None) -> Tensor:
    """uint8 [B,1,S,S] -> float32 [B,1,size,size], normalised; `tone` [2,B] changes contrast and brightness by that share."""
    pixels = shrink(films, size)
    if affine is not None:
        pixels = warp(pixels, affine)
    if tone is not None:
        contrast, light = tone.to(pixels).view(2, -1, 1, 1, 1)
        pixels = ((pixels - 0.5) * (1 + contrast) + 0.5 + light / 2).clamp(0, 1)
    return (pixels - MEAN) / STD


def mask_view(masks: Tensor, size: int, affine: Tensor | None = None) -> Tensor:
    """bool [B,K,S,S] -> float32 [B,K,size,size] of 0 and 1: a pixel counts where the mask covers half of it or more."""
    shares = masks.float()
    if shares.shape[-1] != size:
        shares = F.interpolate(shares, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return ((warp(shares, affine) if affine is not None else shares) >= 0.5).float()


def random_tone(count: int, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """Changes of contrast and brightness [2,count] for `film_view`."""
    return (torch.rand(2, count, generator=generator) * 2 - 1) * settings.contrast
