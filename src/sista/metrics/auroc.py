"""Area under the ROC curve and average precision, also of many bootstrap resamples at once.

AUROC is the chance that a positive row scores above a negative one, a tie counting one half (Hanley and McNeil, Radiology 1982).
Average precision is the mean over the positives of the precision at their own score, AP = sum_t (R_t - R_{t-1}) P_t, ties forming one
threshold, as in scikit-learn. The `weighted_` forms take a matrix of row weights: a bootstrap resample is a column that counts how
often each row was drawn, so one sort serves a thousand resamples.

Labels are 1 (present), 0 (absent) or NaN (unknown: the row is left out for that label). Map uncertain labels (-1) before you come here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
WeightedStatistic = Callable[[Floats, Floats, Floats], Floats]


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """AUROC of scores [n] against labels [n] in {0, 1, NaN}; NaN when the known labels are of one class.

    Raises ValueError for other label values, NaN scores where the label is known, or unequal lengths.
    """
    return _single(weighted_auroc, scores, labels)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision of scores [n] against labels [n] in {0, 1, NaN}; NaN when no label, or every known one, is positive."""
    return _single(weighted_average_precision, scores, labels)


def macro_auroc(scores: ArrayLike, labels: ArrayLike) -> tuple[float, Floats]:
    """Mean AUROC over the labels that have both classes, and the AUROC of each: scores [n,k], labels [n,k] -> (macro, [k])."""
    return _macro(auroc, scores, labels)


def macro_average_precision(scores: ArrayLike, labels: ArrayLike) -> tuple[float, Floats]:
    """Mean average precision over the labels that have both classes, and that of each: scores [n,k], labels [n,k] -> (macro, [k])."""
    return _macro(average_precision, scores, labels)


def weighted_auroc(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """AUROC under each column of row weights: scores [n], labels [n], weights [n,r] -> [r], NaN where a class has no weight.

    sum_i p_i (sum_{j below i} q_j + 1/2 sum_{j tied with i} q_j) / (sum p sum q), with p and q the weights of positives and negatives.
    """
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    negative = negative[np.argsort(scores[negative])]
    below = _running_sum(weights[negative])
    first = np.searchsorted(scores[negative], scores[positive], "left")
    after = np.searchsorted(scores[negative], scores[positive], "right")
    own = weights[positive]
    wins = np.einsum("pr,pr->r", own, below[first])
    tied = first != after
    if tied.any():
        wins += 0.5 * np.einsum("pr,pr->r", own[tied], below[after[tied]] - below[first[tied]])
    return _divide(wins, own.sum(axis=0) * below[-1])


def weighted_average_precision(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Average precision under each column of row weights: scores [n], labels [n], weights [n,r] -> [r], NaN where a class has no weight."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    positive, negative = positive[np.argsort(scores[positive])], negative[np.argsort(scores[negative])]
    own, true_below, false_below = weights[positive], _running_sum(weights[positive]), _running_sum(weights[negative])
    true_found = true_below[-1] - true_below[np.searchsorted(scores[positive], scores[positive], "left")]
    false_found = false_below[-1] - false_below[np.searchsorted(scores[negative], scores[positive], "left")]
    precision = np.divide(true_found, true_found + false_found, out=np.zeros_like(true_found), where=true_found > 0)
    both = (true_below[-1] > 0) & (false_below[-1] > 0)
    return _divide(np.einsum("pr,pr->r", own, precision), np.where(both, true_below[-1], 0.0))


def scores_and_labels(scores: ArrayLike, labels: ArrayLike, dimensions: int) -> tuple[Floats, Floats]:
    """Both as float64 of equal shape, checked: labels in {0, 1, NaN}, no NaN score where the label is known. Raises ValueError."""
    scores_, labels_ = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if scores_.shape != labels_.shape or scores_.ndim != dimensions:
        raise ValueError(f"scores {scores_.shape} and labels {labels_.shape}: expected one shape with {dimensions} dimension(s)")
    unknown = np.isnan(labels_)
    strange = ~unknown & (labels_ != 0) & (labels_ != 1)
    if strange.any():
        raise ValueError(f"label value {labels_[strange][0]:g}: expected 0, 1 or NaN; map uncertain labels to one of them first")
    if np.isnan(scores_[~unknown]).any():
        raise ValueError(f"{int(np.isnan(scores_[~unknown]).sum())} scores are NaN where the label is known; look at the model's output")
    return scores_, labels_


def _single(statistic: WeightedStatistic, scores: ArrayLike, labels: ArrayLike) -> float:
    scores_, labels_ = scores_and_labels(scores, labels, dimensions=1)
    return float(statistic(scores_, labels_, np.ones((len(scores_), 1)))[0])


def _macro(single: Callable[[Floats, Floats], float], scores: ArrayLike, labels: ArrayLike) -> tuple[float, Floats]:
    scores_, labels_ = scores_and_labels(scores, labels, dimensions=2)
    per_label = np.array([single(scores_[:, k], labels_[:, k]) for k in range(scores_.shape[1])])
    defined = ~np.isnan(per_label)
    return (float(per_label[defined].mean()) if defined.any() else float("nan")), per_label


def _running_sum(weights: Floats) -> Floats:
    """Row i holds the sum of the rows before i: [n,r] -> [n+1,r]."""
    total = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=total[1:])
    return total


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
