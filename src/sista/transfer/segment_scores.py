"""Dice and its companions from the pixel counts of each film, with intervals over subjects.

counts [draws,n,K,3]: pixels predicted, pixels true, pixels both, of draws of the label share, films and findings. Dice of one film is
2 both / (predicted + true); `sista.metrics.dice` defines the same from masks, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sista.metrics.dice import mean_over_batches
from sista.metrics.interval import bootstrap, bootstrap_mean

Floats = NDArray[np.float64]


def pixel_counts(probability: np.ndarray, mask: np.ndarray, threshold: float = 0.5) -> Floats:
    """Pixels predicted (probability above the threshold), true, and both: [n,K,h,w], bool [n,K,h,w] -> [n,K,3]."""
    predicted = probability > threshold
    parts = (predicted, mask, predicted & mask)
    return np.stack([part.sum(axis=(2, 3), dtype=np.float64) for part in parts], axis=-1)


def dice_on_positives(counts: Floats) -> Floats:
    """Dice of each film with a mask, NaN for the others: [...,3] -> [...]."""
    predicted, true, both = np.moveaxis(counts, -1, 0)
    return np.divide(2 * both, predicted + true, out=np.full(true.shape, np.nan), where=true > 0)


def dice_or_empty(counts: Floats) -> Floats:
    """The protocol's figure of each film: Dice where there is a mask, else 1 for nothing predicted and 0 for anything: [...,3] -> [...]."""
    predicted, true, both = np.moveaxis(counts, -1, 0)
    return np.divide(2 * both, predicted + true, out=(predicted == 0).astype(np.float64), where=true > 0)


def pooled_dice(counts: Floats) -> float:
    """Dice of all pixels of all films together, [n,3]: false positives on healthy films count. 0 where nothing is true or predicted."""
    predicted, true, both = counts.sum(axis=0)
    return float(2 * both / (predicted + true)) if predicted + true else 0.0


def validation_score(counts: Floats) -> float:
    """What picks the best epoch: `pooled_dice`, the mean over findings, [n,K,3]."""
    return float(np.mean([pooled_dice(counts[:, finding]) for finding in range(counts.shape[1])]))


def finding_scores(counts: Floats, pixels: int, subjects: np.ndarray, protocol_batch: int) -> dict[str, Any]:
    """All figures of one finding, counts [draws,n,3] with `pixels` a film; draws are averaged film by film.

    dice: mean over the films that have a mask. pooled_dice: all pixels together. mean_dice: mean of pooled foreground and background
    (BenchX). protocol_dice: as MGCA's code, mean over batches of `protocol_batch` films; its interval is that of the mean over films.
    protocol_floor: the same for predicting nothing. false_positive_films: share of the films without a mask with a predicted pixel.
    """
    predicted, true = counts[..., 0], counts[0, :, 1]
    protocol = dice_or_empty(counts).mean(axis=0)
    background = np.stack(
        [pixels - counts[..., 0], pixels - counts[..., 1], pixels - counts[..., 0] - counts[..., 1] + counts[..., 2]], axis=-1
    )
    pooled = counts.mean(axis=0)
    negative = true == 0
    return {
        "films": len(true),
        "positive": int((~negative).sum()),
        "dice": bootstrap_mean(dice_on_positives(counts).mean(axis=0), groups=subjects).as_dict(),
        "pooled_dice": bootstrap(pooled_dice, pooled, groups=subjects).as_dict(),
        "mean_dice": (pooled_dice(pooled) + pooled_dice(background.mean(axis=0))) / 2,
        "protocol_dice": {**bootstrap_mean(protocol, groups=subjects).as_dict(), "value": mean_over_batches(protocol, protocol_batch)},
        "protocol_floor": mean_over_batches(negative.astype(float), protocol_batch),
        "false_positive_films": float((predicted[:, negative] > 0).mean()) if negative.any() else None,
    }


def macro_dice(counts: Floats, subjects: np.ndarray) -> dict[str, Any]:
    """Dice on positives, the mean over findings, with its interval: counts [draws,n,K,3]."""
    per_film = dice_on_positives(counts).mean(axis=0)
    known = ~np.isnan(per_film)
    return bootstrap(_macro, np.where(known, per_film, 0.0), known.astype(float), groups=subjects).as_dict()


def _macro(values: Floats, known: Floats) -> float:
    """Mean over columns of the mean of their known values; NaN when a column has none."""
    count = known.sum(axis=0)
    return float((values.sum(axis=0) / count).mean()) if count.all() else float("nan")
