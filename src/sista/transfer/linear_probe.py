"""Linear probe: L2-regularised logistic regression on frozen features, and its curve over shares of the labels.

For each label, on features standardised by the training rows and over the n rows whose label is known,

    min_w,b  1/n sum_i log(1 + exp(-y_i (w x_i + b)))  +  penalty/2 |w|^2        (y = +1, -1; penalty = 1 / (n C) in scikit-learn's words)

solved for all labels at once by L-BFGS (SciPy) along the training rows' principal axes, each scaled by the curvature expected there: the
path changes, not the optimum. One penalty serves all labels: the best by macro AUROC on the validation rows, the stronger of equals.

The feature matrix is read in blocks of rows and never copied: standardising and turning are done to the weights. Up to `EXACT` values
are held in double precision; more stay float32, and sums over blocks are double (CheXpert's 191,027 x 2,048 are 1.6 GB).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from sista.errors import SistaError
from sista.metrics.auroc import macro_auroc
from sista.metrics.interval import Estimate, bootstrap_macro_auroc
from sista.protocols.label_shares import share_rows
from sista.transfer.linear_probe_rows import EXACT, FeatureRows, taken

Floats = NDArray[np.float64]
Features = NDArray[np.floating]
PENALTIES = tuple(float(10.0**exponent) for exponent in np.arange(1, -5.5, -0.5))  # 10 to 1e-5, strong to weak
NEGLIGIBLE = 1e-6  # a feature whose spread is this small against its mean or the median feature's spread is constant
PRECISION = {"maxiter": 500, "maxfun": 1000, "gtol": 1e-6, "ftol": 1e-13, "maxcor": 20}  # of L-BFGS in double precision
SINGLE = {"maxiter": 200, "maxfun": 300, "gtol": 5e-6, "ftol": 1e-8, "maxcor": 20}  # float32 sums tell no smaller differences apart


@dataclass(frozen=True)
class LinearProbe:
    """One logistic regression per label: logits = (features - mean) / scale @ weight + bias.

    mean, scale [d]; weight [d,k]; bias [k]. `constant` names the labels of one class in the training rows: weight and bias are 0.
    validation: penalty -> macro AUROC on the validation rows, from which `penalty` was picked.
    """

    mean: Floats
    scale: Floats
    weight: Floats
    bias: Floats
    labels: tuple[str, ...]
    constant: tuple[str, ...]
    penalty: float
    validation: Mapping[float, float]

    def scores(self, features: ArrayLike) -> Floats:
        """Logits: features [n,d] -> [n,k]; higher is more likely present, 0 throughout for a constant label."""
        rows = np.asarray(features)
        blocks = (np.asarray(rows[start : start + 8192], dtype=np.float64) for start in range(0, max(len(rows), 1), 8192))
        return np.concatenate([(block - self.mean) / self.scale @ self.weight + self.bias for block in blocks])


@dataclass(frozen=True)
class ShareResult:
    """A probe at one share of the labels: AUROC on the test rows, mean over the draws of the labels.

    The intervals resample test subjects. `draws`: macro AUROC of each draw; `rows`: its training rows; `probes`: its probe (a constant
    label scores 0.5).
    """

    macro: Estimate
    per_label: Mapping[str, Estimate]
    draws: tuple[float, ...]
    rows: tuple[int, ...]
    probes: tuple[LinearProbe, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; of the probes, the penalties and the constant labels."""
        estimates = {"macro": self.macro.as_dict(), "per_label": {name: found.as_dict() for name, found in self.per_label.items()}}
        of_probes = {"penalties": [p.penalty for p in self.probes], "constant": [list(p.constant) for p in self.probes]}
        return {**estimates, "draws": list(self.draws), "rows": list(self.rows), **of_probes}


def fit_linear_probe(
    features_train: ArrayLike,
    labels_train: ArrayLike,
    features_valid: ArrayLike,
    labels_valid: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> LinearProbe:
    """Fit on the training rows, pick the penalty on the validation rows: features [n,d], labels [n,k] in {0, 1, NaN}.

    Raises SistaError when no label has both classes in training, or none of those in validation, or when the arrays are unfit.
    """
    x, y = _checked(features_train, labels_train, "training")
    x_valid, y_valid = _checked(features_valid, labels_valid, "validation")
    labels = tuple(names) if names is not None else tuple(f"label {k}" for k in range(y.shape[1]))
    if x.shape[1] != x_valid.shape[1] or y.shape[1] != y_valid.shape[1] or len(labels) != y.shape[1]:
        raise SistaError(f"training {x.shape} {y.shape}, validation {x_valid.shape} {y_valid.shape}, {len(labels)} names: widths differ")
    if min(penalties, default=0) <= 0:
        raise SistaError(f"penalties {tuple(penalties)}: expected at least one, all above 0")
    if not len(learnt := np.flatnonzero((y == 1).any(axis=0) & (y == 0).any(axis=0))):
        raise SistaError(f"linear probe: none of {len(labels)} labels has both classes in {len(y)} training rows; take a larger share")
    constant = tuple(name for k, name in enumerate(labels) if k not in learnt)
    grid = sorted(penalties, reverse=True)
    fitted, validation = list[LinearProbe](), dict[float, float]()
    with FeatureRows(x) as rows:
        mean, spread, covariance = rows.moments()
        constant_feature = spread <= NEGLIGIBLE * np.maximum(np.abs(mean), np.median(spread))
        scale = np.where(constant_feature, np.inf, spread)  # a constant feature counts as 0
        for penalty, (weight, bias) in zip(grid, _fit(rows, y[:, learnt], mean, scale, covariance, grid), strict=True):
            all_weight, all_bias = np.zeros((x.shape[1], len(labels))), np.zeros(len(labels))
            all_weight[:, learnt], all_bias[learnt] = weight, bias
            fitted.append(LinearProbe(mean, scale, all_weight, all_bias, labels, constant, penalty, validation))
            validation[penalty] = macro_auroc(fitted[-1].scores(x_valid)[:, learnt], y_valid[:, learnt])[0]
    if np.isnan(list(validation.values())).any():
        raise SistaError(f"linear probe: no label to be learnt has both classes in {len(y_valid)} validation rows; take more of them")
    return max(fitted, key=lambda probe: validation[probe.penalty])


def probe_curve(
    features: ArrayLike,
    labels: ArrayLike,
    subjects: Sequence[Hashable] | ArrayLike,
    splits: Sequence[str] | ArrayLike,
    *,
    shares: Sequence[float] = (0.01, 0.1, 1.0),
    draws: Sequence[int] = (5, 3, 1),
    seed: int = 0,
    names: Sequence[str] | None = None,
    penalties: Sequence[float] = PENALTIES,
    resamples: int = 1000,
) -> dict[float, ShareResult]:
    """Probe with each share of the training labels: features [n,d], labels [n,k], subjects [n], splits [n] of train, valid, test.

    `draws[i]` label sets of `shares[i]` are drawn (`share_rows`, draw 0, 1, ..); the penalty is picked on all validation rows and the
    result is measured on all test rows. Raises SistaError when a split is empty, a subject stands in two splits, or nothing can be learnt.
    """
    x, y = _checked(features, labels, "all")
    who, where = np.asarray(subjects).astype(str), np.asarray(splits).astype(str)
    if len(shares) != len(draws) or min(draws, default=0) < 1:
        raise SistaError(f"shares {tuple(shares)} and draws {tuple(draws)}: expected a number of draws, 1 or more, for each share")
    if who.shape != (len(x),) or where.shape != (len(x),):
        raise SistaError(f"{len(x)} rows of features, {who.shape} subjects, {where.shape} splits: expected one of each per row")
    train, valid, test = (np.flatnonzero(where == split) for split in ("train", "valid", "test"))
    if not (len(train) and len(valid) and len(test)):
        raise SistaError(f"{len(train)} train, {len(valid)} valid and {len(test)} test rows: a probe needs all three")
    if straddling := set(who[train]) & set(who[valid]) | set(who[train]) & set(who[test]) | set(who[valid]) & set(who[test]):
        raise SistaError(f"{len(straddling)} subjects stand in two splits, first {min(straddling)!r}; split by subject")
    results: dict[float, ShareResult] = {}
    for share, count in zip(shares, draws, strict=True):
        drawn = [train[share_rows(who[train], y[train], share, draw, seed).rows] for draw in range(count)]
        probes = [fit_linear_probe(taken(x, rows), y[rows], x[valid], y[valid], names=names, penalties=penalties) for rows in drawn]
        scores = np.stack([probe.scores(x[test]) for probe in probes])
        macro, per_label = bootstrap_macro_auroc(scores, y[test], groups=who[test], resamples=resamples, seed=seed)
        labelled = dict(zip(probes[0].labels, per_label, strict=True))
        of_draws = tuple(macro_auroc(one, y[test])[0] for one in scores)
        results[share] = ShareResult(macro, labelled, draws=of_draws, rows=tuple(map(len, drawn)), probes=tuple(probes))
    return results


def _fit(
    rows: FeatureRows, y: Floats, mean: Floats, scale: Floats, covariance: Floats | None, penalties: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """Weight [d,k] and bias [k] on standardised features at each penalty, each fit starting from the one before; y [n,k] of two classes."""
    known = ~np.isnan(y)
    target, share = np.where(known, y, 0.0), known / known.sum(axis=0)
    prevalence = (share * target).sum(axis=0)
    axes, variance = _principal_axes(rows.x, mean, scale, covariance)
    turn = axes / scale[:, None]  # from weights along the axes to weights of the features as they are
    curvature = prevalence * (1 - prevalence) * np.append(variance, 1.0)[:, None]
    weight = np.vstack([np.zeros((axes.shape[1], y.shape[1])), np.log(prevalence / (1 - prevalence))])  # the last row is the bias

    def loss(free: Floats, decay: Floats, step: Floats) -> tuple[float, Floats]:
        """The penalised loss summed over labels and its gradient in `free` = weight / step: step [r+1,k]."""
        current = free.reshape(step.shape) * step
        own = turn @ current[:-1]
        value, by_feature, by_bias = rows.loss(own, current[-1] - mean @ own, target, share)
        slope = np.vstack([turn.T @ (by_feature - np.outer(mean, by_bias)), by_bias]) + decay * current
        return value + 0.5 * float((decay * current**2).sum()), (slope * step).ravel()

    options = PRECISION if rows.x.dtype == np.float64 else SINGLE
    for penalty in penalties:
        decay = np.append(np.full(len(variance), penalty), 0.0)[:, None]
        step = 1 / np.sqrt(curvature + decay)
        found = minimize(loss, (weight / step).ravel(), (decay, step), "L-BFGS-B", jac=True, options=options)
        weight = found.x.reshape(step.shape) * step
        yield axes @ weight[:-1], weight[-1]


def _principal_axes(x: Features, mean: Floats, scale: Floats, covariance: Floats | None) -> tuple[Floats, Floats]:
    """Directions [d,r] that span the standardised rows, and the rows' variance along each, [r]; r is the smaller of n and d."""
    if covariance is None:
        _, singular, axes = np.linalg.svd((x - mean) / scale, full_matrices=False)
        return axes.T, singular**2 / len(x)
    variance, axes = np.linalg.eigh(covariance / scale / scale[:, None])
    return axes, np.maximum(variance, 0.0)


def require_finite(which: str, features: Features) -> None:
    """SistaError for features [n,d] of which some are no numbers."""
    if bad := sum(int((~np.isfinite(features[start : start + 8192])).any(axis=1).sum()) for start in range(0, len(features), 8192)):
        raise SistaError(f"{which} features: {bad} of {len(features)} rows not finite; look at the encoder")


def _checked(features: ArrayLike, labels: ArrayLike, which: str) -> tuple[Features, Floats]:
    x, y = np.asarray(features), np.asarray(labels, dtype=np.float64)
    x = x if x.dtype == np.float32 and x.size > EXACT else np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise SistaError(f"{which} features {x.shape} and labels {y.shape}: expected [rows, size] and [rows, labels]")
    require_finite(which, x)
    if not (np.isnan(y) | (y == 0) | (y == 1)).all():
        raise SistaError(f"{which} labels: values other than 0, 1 and NaN; map uncertain labels (-1) to one of them first")
    return x, y
