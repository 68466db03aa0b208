"""One class of many from frozen features: multinomial logistic regression, its penalty picked on validation films."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sista.errors import SistaError
from sista.metrics.calibration import probabilities
from sista.transfer.classify_head import LinearHead
from sista.transfer.linear_probe import NEGLIGIBLE, PENALTIES

Floats = NDArray[np.float64]
ABSENT = -30.0  # logit of a class that the training films lack


def fit_softmax(
    features: NDArray[np.float32],
    truth: Floats,
    features_valid: NDArray[np.float32],
    truth_valid: Floats,
    penalties: Sequence[float] = PENALTIES,
) -> LinearHead:
    """L2-penalised softmax regression (scikit-learn, L-BFGS) on standardised features: [n,d], truth [n,k] with one 1 a row.

    The penalty is the one with the least log loss on validation, the stronger of equals; classes without a training film are never called.
    Raises SistaError when the training films are of one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    held, index = np.asarray(features, dtype=np.float64), truth.argmax(axis=1)
    if len(np.unique(index)) < 2:
        raise SistaError(f"{len(index)} training films are all of one class; take a larger share")
    mean, spread = held.mean(axis=0), held.std(axis=0)
    scale = np.where(spread > NEGLIGIBLE * np.maximum(np.abs(mean), np.median(spread)), spread, np.inf)
    model = LogisticRegression(warm_start=True, max_iter=500, tol=1e-5)
    best, losses = None, list[float]()
    for penalty in sorted(penalties, reverse=True):
        model.C = 1 / (penalty * len(held))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # at the weakest penalties of separable films; validation then picks another
            model.fit((held - mean) / scale, index)
        weight, bias = np.zeros((held.shape[1], truth.shape[1])), np.full(truth.shape[1], ABSENT)
        two = len(model.classes_) == 2  # scikit-learn then has one logit, that of the second class
        weight[:, model.classes_[-1:] if two else model.classes_] = model.coef_.T / scale[:, None]
        bias[model.classes_] = 0.0
        bias[model.classes_[-1:] if two else model.classes_] = model.intercept_ - (mean / scale) @ model.coef_.T
        chance = probabilities(np.asarray(features_valid, dtype=np.float64) @ weight + bias, one_of_many=True)
        losses.append(float(-np.log(np.maximum((chance * truth_valid).sum(axis=1), 1e-12)).mean()))
        if best is None or losses[-1] < min(losses[:-1]):
            best = (weight, bias, len(losses) - 1)
    assert best is not None
    return LinearHead(best[0], best[1], tuple(losses), best[2])
