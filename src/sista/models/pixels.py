"""Weights that were trained on other pixels: what those subtracted and divided by goes into the first convolution, so that ours will do."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from sista.errors import SistaError

MEAN, STD = 0.5, 0.25  # what films are normalised by; sista.corpus.films.augmentation has the same, and a test holds them together
Pixels = tuple[tuple[float, ...], tuple[float, ...]]
OURS: Pixels = ((MEAN,) * 3, (STD,) * 3)
_NORMS = {"conv1": "bn1", "conv0": "norm0", "conv_stem": "bn1", "conv": "bn", "0": "1", "c": "bn", "linear": "bn"}  # behind a convolution


def fold_pixels(state: MutableMapping[str, Tensor], first: Any, pixels: Pixels, name: str) -> None:
    """Let the first convolution of a state dict expect our pixels instead of `pixels` (mean, std of 0 to 1), in place.

    Theirs is (p - mean)/std, ours (p - 0.5)/0.25, hence theirs = ours 0.25/std + (0.5 - mean)/std: the factor goes into the weight, the
    constant into the bias, off the running mean of the batch norm behind, or onto the patches' positions (CLIP's ViT). Exact, but for zero
    padding at the border, which means another grey. first: the convolution's name, as timm's configuration has it. Raises SistaError where
    there is no place for them.
    """
    if pixels == OURS:
        return
    weight = state[f"{first}.weight"].float() if isinstance(first, str) and f"{first}.weight" in state else None
    if weight is None or weight.ndim != 4 or weight.shape[1] not in (1, len(pixels[0])):
        raise SistaError(f"{name!r}: its pixels (mean {pixels[0]}, std {pixels[1]}) have no first convolution to go into; {_OTHERS}")
    mean, std = (torch.tensor(values, dtype=weight.dtype) for values in pixels)
    if weight.shape[1] == 1:
        mean, std = mean.mean()[None], std.mean()[None]
    constant = (weight.sum(dim=(2, 3)) * ((MEAN - mean) / std)).sum(dim=1)
    parent, dot, leaf = first.rpartition(".")
    bias, norm = f"{first}.bias", f"{parent}{dot}{_NORMS.get(leaf)}.running_mean"
    if bias in state:
        state[bias] = state[bias].float() + constant
    elif norm in state:
        state[norm] = state[norm].float() - constant
    elif leaf == "proj" and (places := state.get("pos_embed")) is not None and places.ndim == 3 and places.shape[-1] == len(constant):
        prefix = places.shape[1] - math.isqrt(places.shape[1]) ** 2  # of class and register tokens, which are no patches
        state["pos_embed"] = torch.cat([places[:, :prefix].float(), places[:, prefix:].float() + constant], dim=1)
    elif constant.abs().max() > 1e-6:
        raise SistaError(f"{name!r}: behind {first} stands neither a bias nor a batch norm for its pixels' mean {pixels[0]}; {_OTHERS}")
    state[f"{first}.weight"] = weight * (STD / std)[None, :, None, None]


def require_plain(model: nn.Module, first: Any, name: str) -> None:
    """SistaError for a model whose first convolution standardises its weights: what is scaled in or summed would be undone at each call."""
    module = model.get_submodule(first) if isinstance(first, str) else None
    if "StdConv" in type(module).__name__:
        raise SistaError(
            f"{name!r} standardises its first convolution's weights: its pixels cannot go into them, nor three channels into one; {_OTHERS}"
        )


def one_channel(weight: Tensor) -> Tensor:
    """The first convolution's weight [o,3,h,w] for films that have one channel instead of three equal ones: [o,1,h,w]."""
    return weight.sum(dim=1, keepdim=True)


_OTHERS = "take a ResNet, DenseNet, EfficientNet, RegNet, ConvNeXt, ViT or Swin"
