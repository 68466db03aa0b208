"""Films and texts through a trained dual encoder, batch by batch, without gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sista.models.dual_encoder import DualEncoder
from sista.models.precision import autocast


@dataclass(frozen=True)
class FilmVectors:
    """N films: `pooled` [N,C], what a linear probe reads, and `image` [N,D], unit vectors in the shared space; float32."""

    pooled: np.ndarray
    image: np.ndarray


@torch.inference_mode()
def encode_films(encoder: DualEncoder, batches: Iterable[Tensor], precision: str) -> FilmVectors:
    """Encode batches of normalised films [b,1,s,s]; the encoder's device and evaluation mode are the caller's."""
    device = next(encoder.parameters()).device
    pooled, image = [], []
    for images in batches:
        with autocast(precision, device):
            features = encoder.image(images.to(device).contiguous(memory_format=torch.channels_last))
            image.append(encoder.image_head(features.pooled).float().cpu())
            pooled.append(features.pooled.float().cpu())
    return FilmVectors(_stack(pooled, encoder.image.width), _stack(image, encoder.dim))


@torch.inference_mode()
def encode_texts(encoder: DualEncoder, batches: Iterable[tuple[Tensor, Tensor]], precision: str) -> np.ndarray:
    """Unit vectors [N,D] of texts given as (pieces [b,t], piece_mask [b,t]); float32."""
    device = next(encoder.parameters()).device
    text = []
    for pieces, mask in batches:
        with autocast(precision, device):
            text.append(encoder.text_head(encoder.text(pieces.to(device), mask.to(device)).pooled).float().cpu())
    return _stack(text, encoder.dim)


def _stack(parts: list[Tensor], width: int) -> np.ndarray:
    return torch.cat(parts).numpy() if parts else np.zeros((0, width), dtype=np.float32)
