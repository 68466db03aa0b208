"""Decisions instead of scores: accuracy, F1 and operating thresholds. NumPy in, NaN where a figure is not defined.

Labels are 1 (present), 0 (absent) or NaN (unknown: the row is left out). A score at or above the threshold is a positive decision.
The `weighted_` forms take decisions (0 or 1) and a matrix of row weights, as those of `metrics.auroc`, so that
`bootstrap_macro_auroc(decisions, labels, statistic=weighted_f1)` gives their intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sista.metrics.auroc import scores_and_labels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Counts at one threshold: true and false positives, true and false negatives. Ratios are NaN where their denominator is 0."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> float:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> float:
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn)

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn); 0 when positives exist and none is found, NaN without any positive."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn) if self.tp + self.fn else float("nan")


def decide(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Decisions:
    """Counts of the decisions `scores >= threshold`: scores [n], labels [n]."""
    held, truth = scores_and_labels(scores, labels, dimensions=1)
    said, yes, no = held >= threshold, truth == 1, truth == 0
    return Decisions(int((said & yes).sum()), int((said & no).sum()), int((~said & no).sum()), int((~said & yes).sum()))


def f1_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The score at which F1 is greatest, the higher of equals; NaN without a positive or without a negative. scores, labels [n]."""
    ranked, tp, fp, positives = _ranked(scores, labels)
    if not len(ranked) or positives == 0 or fp[-1] == 0:
        return float("nan")
    return float(ranked[np.argmax(2 * tp / (tp + fp + positives))])


def sensitivity_threshold(scores: ArrayLike, labels: ArrayLike, sensitivity: float) -> float:
    """The highest score at which at least `sensitivity` (0 to 1] of the positives are found; NaN without a positive or a negative."""
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity {sensitivity}: expected more than 0 and at most 1")
    ranked, tp, fp, positives = _ranked(scores, labels)
    if not len(ranked) or positives == 0 or fp[-1] == 0:
        return float("nan")
    return float(ranked[np.argmax(tp >= sensitivity * positives - 1e-9)])


def weighted_f1(decisions: Floats, labels: Floats, weights: Floats) -> Floats:
    """F1 of decisions [n] under each column of row weights [n,r]: [r], NaN where no positive has weight."""
    tp, fp, fn = (_total(weights, mask) for mask in _outcomes(decisions, labels)[:3])
    return np.divide(2 * tp, 2 * tp + fp + fn, out=np.full_like(tp, np.nan), where=tp + fn > 0)


def weighted_accuracy(decisions: Floats, labels: Floats, weights: Floats) -> Floats:
    """Share of right decisions among known labels under each column of row weights [n,r]: [r], NaN where none has weight."""
    tp, fp, fn, tn = (_total(weights, mask) for mask in _outcomes(decisions, labels))
    total = tp + fp + fn + tn
    return np.divide(tp + tn, total, out=np.full_like(tp, np.nan), where=total > 0)


def one_hot(index: ArrayLike, classes: int) -> Floats:
    """Class numbers [n] as [n,classes] of 0 and 1."""
    return (np.asarray(index)[:, None] == np.arange(classes)).astype(np.float64)


def _ranked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats, float]:
    """Distinct scores from high to low, true and false positives at each as threshold, and the number of positives."""
    held, truth = scores_and_labels(scores, labels, dimensions=1)
    known = ~np.isnan(truth)
    order = np.argsort(-held[known], kind="stable")
    ranked, yes = held[known][order], truth[known][order]
    last = np.append(np.diff(ranked) != 0, True)[: len(ranked)]  # ties are decided alike
    return ranked[last], np.cumsum(yes)[last], np.cumsum(1 - yes)[last], float(yes.sum())


def _outcomes(decisions: Floats, labels: Floats) -> tuple[NDArray[np.bool_], ...]:
    said, yes, no = decisions >= 0.5, labels == 1, labels == 0
    return said & yes, said & no, ~said & yes, ~said & no


def _total(weights: Floats, mask: NDArray[np.bool_]) -> Floats:
    return weights[mask].sum(axis=0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
