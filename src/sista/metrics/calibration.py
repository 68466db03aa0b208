"""Do probabilities mean what they say? Expected calibration error, Brier score, and the temperature that mends over-confidence.

A temperature divides all logits by one number, chosen to minimise the log loss of held-out rows (Guo et al., ICML 2017); it changes no
ranking and no AUROC. Binary labels are 1, 0 or NaN (unknown, left out); with `softmax` each row has exactly one 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, softmax

Floats = NDArray[np.float64]
RANGE = (0.02, 50.0)  # temperatures tried; outside it the logits are noise or the labels are separated


def probabilities(logits: ArrayLike, temperature: float = 1.0, one_of_many: bool = False) -> Floats:
    """logits [n,k] / temperature as probabilities, each label by itself or over the k classes (`one_of_many`)."""
    held = np.asarray(logits, dtype=np.float64) / temperature
    return softmax(held, axis=1) if one_of_many else expit(held)


def class_log_odds(logits: ArrayLike) -> Floats:
    """log( p / (1 - p) ) of each of k classes, [n,k], p their softmax: ranks films as p does, also where p is 1 to the last digit."""
    held = np.asarray(logits, dtype=np.float64)
    return np.stack([held[:, k] - logsumexp(np.delete(held, k, axis=1), axis=1) for k in range(held.shape[1])], axis=1)


def fit_temperature(logits: ArrayLike, labels: ArrayLike, one_of_many: bool = False) -> float:
    """The temperature with the least log loss on logits [n,k] and labels [n,k]; 1 when no label is known or only one class is there."""
    held, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    known = ~np.isnan(truth)
    if not known.any() or len(np.unique(truth[known])) < 2:
        return 1.0
    target = np.where(known, truth, 0.0)
    if one_of_many and (target > 0).any(axis=0).sum() < 2:
        return 1.0

    def loss(exponent: float) -> float:
        scaled = held / np.exp(exponent)
        if one_of_many:
            return float(-(target * log_softmax(scaled, axis=1)).sum() / len(target))
        return float(((np.logaddexp(0.0, scaled) - target * scaled) * known).sum() / known.sum())

    found = minimize_scalar(loss, bounds=tuple(np.log(RANGE)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def expected_calibration_error(probability: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """sum over bins of share of rows x |mean probability - frequency of 1|, bins of equal width; NaN without a known row.

    probability [n] in [0, 1], correct [n] in {0, 1, NaN}: of one binary label the label itself; of the class chosen among many whether it
    is right (top-label calibration).
    """
    given, truth = np.asarray(probability, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if given.shape != truth.shape or given.ndim != 1 or bins < 1:
        raise ValueError(f"probability {given.shape}, correct {truth.shape}, {bins} bins: expected two of [n], and at least one bin")
    known = ~np.isnan(truth)
    given, truth = given[known], truth[known]
    if not len(given):
        return float("nan")
    if given.min() < 0 or given.max() > 1:
        raise ValueError(f"probabilities from {given.min():g} to {given.max():g}: expected 0 to 1; logits need a sigmoid first")
    place = np.minimum((given * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights=given - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(given))


def brier_score(probability: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared difference of probability and label over known labels, any shape; NaN without any."""
    given, truth = np.asarray(probability, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    known = ~np.isnan(truth)
    return float(((given - truth)[known] ** 2).mean()) if known.any() else float("nan")


def calibration_error(probability: ArrayLike, labels: ArrayLike, one_of_many: bool = False, bins: int = 15) -> float:
    """ECE of probability [n,k]: the mean over labels of each one's, or that of the chosen class with `one_of_many`; NaN if undefined."""
    given, truth = np.asarray(probability, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if one_of_many:
        chosen = given.argmax(axis=1)
        return expected_calibration_error(given.max(axis=1), (truth.argmax(axis=1) == chosen).astype(float), bins)
    each = np.array([expected_calibration_error(given[:, k], truth[:, k], bins) for k in range(given.shape[1])])
    return float(each[~np.isnan(each)].mean()) if (~np.isnan(each)).any() else float("nan")
