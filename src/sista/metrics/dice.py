"""Dice of segmentations: on the positive images, and as the MGCA protocol computes it, with the floor of an empty prediction beside it.

Dice of one image is 2 |P and M| / (|P| + |M|), P the pixels whose probability exceeds the threshold and M the mask. The protocol
(MGCA's released code) gives an image without a mask 1 when nothing is predicted and 0 otherwise, averages
per batch and then over batches, the last and smaller one weighing as much as the others. Predicting nothing at all therefore scores the
share of negative images: never print one figure without the other.

probability [n,h,w] (a boolean prediction serves as well), mask [n,h,w] bool or {0,1}. Large test sets go through the `_per_image` forms
piece by piece. All raise ValueError for unequal shapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def positive_dice_per_image(probability: ArrayLike, mask: ArrayLike, threshold: float = 0.5) -> Floats:
    """Dice of each image that has a mask, NaN for the others: [n,h,w], [n,h,w] -> [n]."""
    both, predicted, true = _areas(probability, mask, threshold)
    return np.divide(2 * both, predicted + true, out=np.full(len(true), np.nan), where=true > 0)


def positive_dice(probability: ArrayLike, mask: ArrayLike, threshold: float = 0.5) -> float:
    """Mean Dice over the images that have a mask; NaN where none has."""
    per_image = positive_dice_per_image(probability, mask, threshold)
    known = per_image[~np.isnan(per_image)]
    return float(known.mean()) if len(known) else float("nan")


def protocol_dice_per_image(probability: ArrayLike, mask: ArrayLike, threshold: float = 0.5) -> Floats:
    """What the protocol counts for each image: Dice where there is a mask, else 1 for an empty prediction and 0 for any other; [n]."""
    both, predicted, true = _areas(probability, mask, threshold)
    return np.divide(2 * both, predicted + true, out=(predicted == 0).astype(np.float64), where=true > 0)


def protocol_dice(probability: ArrayLike, mask: ArrayLike, batch_size: int, threshold: float = 0.5) -> float:
    """The protocol's Dice: mean over batches, in the order given, of the mean per batch. Published batches are 8 (SIIM), 16 (RSNA)."""
    return mean_over_batches(protocol_dice_per_image(probability, mask, threshold), batch_size)


def all_empty_floor(mask: ArrayLike, batch_size: int) -> float:
    """The protocol's Dice of predicting nothing: the share of images without a mask, averaged in the same batches."""
    true = np.asarray(mask)
    return mean_over_batches(protocol_dice_per_image(np.zeros(true.shape, dtype=bool), true), batch_size)


def mean_over_batches(per_image: ArrayLike, batch_size: int) -> float:
    """Mean over successive batches of the mean of each, the last one being what is left; NaN without images."""
    values = np.asarray(per_image, dtype=np.float64)
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size}: expected 1 or more")
    means = [values[start : start + batch_size].mean() for start in range(0, len(values), batch_size)]
    return float(np.mean(means)) if means else float("nan")


def _areas(probability: ArrayLike, mask: ArrayLike, threshold: float) -> tuple[Floats, Floats, Floats]:
    given, true = np.asarray(probability), np.asarray(mask)
    if given.shape != true.shape or given.ndim != 3:
        raise ValueError(f"probability {given.shape} and mask {true.shape}: expected two arrays [images, height, width] of one shape")
    if true.dtype != bool:
        if not np.isin(true, (0, 1)).all():
            raise ValueError(f"mask values {true.min()} to {true.max()}: expected bool, or 0 and 1")
        true = true.astype(bool)
    if given.dtype != bool and np.isnan(given).any():
        raise ValueError(f"{int(np.isnan(given).sum())} probabilities are NaN; look at the model's output")
    predicted = given if given.dtype == bool else given > threshold
    both, marked, present = (area.sum(axis=(1, 2), dtype=np.float64) for area in (predicted & true, predicted, true))
    return both, marked, present
