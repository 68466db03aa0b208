"""A number with its interval: percentile bootstrap over rows or over whole subjects, and the paired comparison of two models.

Rows of one subject are not independent. Given `groups`, whole groups are drawn with replacement, as many as there are (the cluster
bootstrap; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). The draws depend on the number of groups,
`resamples` and `seed` alone, so two statistics of the same test rows are resampled alike.

The interval is of the test sample: training seeds and the draw of the labels are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sista.metrics.auroc import Floats, WeightedStatistic, scores_and_labels, weighted_auroc

CHUNK = 100  # resamples held at a time: 100 columns of 25,000 test rows are 20 MB


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; `dropped` resamples had no value (one class only, say) and are not in the interval."""

    value: float
    ci95: tuple[float, float]
    dropped: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: `{"value": v, "ci95": [low, high]}`, None for NaN, and `"dropped"` where it is not zero."""
        plain = {"value": _json(self.value), "ci95": [_json(bound) for bound in self.ci95]}
        return {**plain, "dropped": self.dropped} if self.dropped else plain

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f})"


@dataclass(frozen=True)
class Difference(Estimate):
    """How much a exceeds b on the same rows; `p` is two-sided: twice the smaller tail of the resamples at zero, (c + 1)/(r + 1)."""

    p: float = float("nan")

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "p": _json(self.p)}


def resample_weights(n: int, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0) -> Iterator[Floats]:
    """How often each of n rows is drawn, in chunks [n, c] whose columns are the resamples; rows of one group are drawn together."""
    of_row = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if resamples < 1:
        raise ValueError(f"{resamples} resamples: expected 1 or more")
    if len(of_row) != n or n == 0:
        raise ValueError(f"{len(of_row)} groups for {n} rows: expected one group per row and at least one row")
    count = int(of_row.max()) + 1
    random = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        columns = min(CHUNK, resamples - start)
        drawn = random.integers(0, count, size=(columns, count)) + count * np.arange(columns)[:, None]
        times = np.bincount(drawn.ravel(), minlength=columns * count).reshape(columns, count)
        yield times.T.astype(np.float64)[of_row]


def bootstrap(
    statistic: Callable[..., float], *arrays: ArrayLike, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """`statistic(*arrays)` with its percentile interval; arrays share their first dimension, whose rows (or groups) are resampled."""
    held = _equally_long(arrays)
    values = [statistic(*(array[rows] for array in held)) for rows in _resampled_rows(len(held[0]), groups, resamples, seed)]
    return _estimate(float(statistic(*held)), np.array(values, dtype=np.float64))


def paired_bootstrap(
    statistic: Callable[..., float],
    a: ArrayLike,
    b: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """`statistic(a, labels) - statistic(b, labels)` with interval and p, both models on the same resampled rows: a [n,...], b [n,...]."""
    held = _equally_long((a, b, labels))

    def difference(a_rows: NDArray[Any], b_rows: NDArray[Any], label_rows: NDArray[Any]) -> float:
        return statistic(a_rows, label_rows) - statistic(b_rows, label_rows)

    values = [difference(*(array[rows] for array in held)) for rows in _resampled_rows(len(held[0]), groups, resamples, seed)]
    return _difference(float(difference(*held)), np.array(values, dtype=np.float64))


def bootstrap_mean(values: ArrayLike, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean of values [n] (hits, Dice per image), NaN left out, with its interval; the fast form of `bootstrap(np.nanmean, values)`."""
    held = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(held)
    filled, counted = np.where(known, held, 0.0), known.astype(np.float64)
    sums = [(filled @ weights, counted @ weights) for weights in resample_weights(len(held), groups, resamples, seed)]
    total, number = (np.concatenate(part) for part in zip(*sums, strict=True))
    means = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return _estimate(float(held[known].mean()) if known.any() else float("nan"), means)


def bootstrap_macro_auroc(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    statistic: WeightedStatistic = weighted_auroc,
) -> tuple[Estimate, list[Estimate]]:
    """Macro AUROC and the AUROC of each label, with intervals: scores [n,k] or [draws,n,k] (mean over draws), labels [n,k].

    A label of one class in the test rows is left out of the macro, as in `macro_auroc`; a resample in which any other label has lost a
    class is dropped and counted, so that every resample averages the same labels. `weighted_average_precision` works as well.
    """
    draws, truth = _stacked(scores, labels)
    whole = _per_label(draws, truth, np.ones((len(truth), 1)), statistic)[:, 0]
    chunks = [_per_label(draws, truth, weights, statistic) for weights in resample_weights(len(truth), groups, resamples, seed)]
    values = np.concatenate(chunks, axis=1)
    defined = ~np.isnan(whole)
    per_label = [_estimate(float(whole[k]), values[k]) for k in range(len(whole))]
    return _estimate(_mean(whole[defined][:, None])[0], _mean(values[defined])), per_label


def paired_bootstrap_macro_auroc(
    a: ArrayLike, b: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Macro AUROC of a minus that of b, with interval and p: a and b [n,k] or [draws,n,k], labels [n,k]; the fast `paired_bootstrap`."""
    (draws_a, truth), (draws_b, _) = _stacked(a, labels), _stacked(b, labels)

    def difference(weights: Floats) -> Floats:
        return _per_label(draws_a, truth, weights, weighted_auroc) - _per_label(draws_b, truth, weights, weighted_auroc)

    whole = difference(np.ones((len(truth), 1)))
    defined = ~np.isnan(whole[:, 0])
    values = [_mean(difference(weights)[defined]) for weights in resample_weights(len(truth), groups, resamples, seed)]
    return _difference(_mean(whole[defined])[0], np.concatenate(values))


def _resampled_rows(n: int, groups: ArrayLike | None, resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    for weights in resample_weights(n, groups, resamples, seed):
        for column in weights.T.astype(np.intp):
            yield np.repeat(np.arange(n), column)


def _per_label(draws: Floats, truth: Floats, weights: Floats, statistic: WeightedStatistic) -> Floats:
    """Mean over draws of each label's statistic under each column of weights: [draws,n,k], [n,k], [n,r] -> [k,r]."""
    return np.mean([[statistic(one[:, k], truth[:, k], weights) for k in range(truth.shape[1])] for one in draws], axis=0)


def _stacked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    draws = np.asarray(scores, dtype=np.float64)
    draws = draws[None] if draws.ndim == 2 else draws
    if draws.ndim != 3 or len(draws) == 0:
        raise ValueError(f"scores of shape {np.shape(scores)}: expected [rows, labels] or [draws, rows, labels]")
    checked = [scores_and_labels(one, labels, dimensions=2) for one in draws]
    return draws, checked[0][1]


def _mean(values: Floats) -> Floats:
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def _equally_long(arrays: tuple[ArrayLike, ...]) -> list[NDArray[Any]]:
    held = [np.asarray(array) for array in arrays]
    if not held or len({len(array) for array in held}) != 1:
        raise ValueError(f"arrays of {[len(array) for array in held]} rows: expected at least one array, all of equal length")
    return held


def _estimate(value: float, resampled: Floats) -> Estimate:
    kept = resampled[~np.isnan(resampled)]
    low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) else (np.nan, np.nan)
    return Estimate(value, (float(low), float(high)), dropped=len(resampled) - len(kept))


def _difference(value: float, resampled: Floats) -> Difference:
    kept = resampled[~np.isnan(resampled)]
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (len(kept) + 1)) if len(kept) and not math.isnan(value) else float("nan")
    plain = _estimate(value, resampled)
    return Difference(plain.value, plain.ci95, plain.dropped, p)


def _json(value: float) -> float | None:
    return None if math.isnan(value) else value
