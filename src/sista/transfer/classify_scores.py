"""From logits to figures: what is chosen is chosen on validation films (temperature, thresholds), what is reported is of test films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sista.metrics.auroc import weighted_average_precision
from sista.metrics.calibration import brier_score, calibration_error, class_log_odds, fit_temperature, probabilities
from sista.metrics.classification import decide, f1_threshold, one_hot, sensitivity_threshold, weighted_accuracy, weighted_f1
from sista.metrics.interval import Estimate, bootstrap_macro_auroc, bootstrap_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Operating:
    """What validation films chose: the temperature, and for each label the probability (after it) from which it is called present.

    A threshold is NaN where validation has not both classes; more than 0.5 decides then. Of one class among many the likeliest is called.
    A label of which training saw one class is that class on every film: its threshold is 1 or 0.
    """

    temperature: float
    thresholds: Floats
    one_of_many: bool

    def probability(self, logits: Floats) -> Floats:
        """Calibrated probabilities [n,k]."""
        return probabilities(logits, self.temperature, self.one_of_many)

    def decisions(self, logits: Floats) -> Floats:
        """1 where a label is called present, else 0, [n,k]."""
        probability = self.probability(logits)
        if self.one_of_many:
            return one_hot(probability.argmax(axis=1), probability.shape[1])
        return np.where(np.isnan(self.thresholds), probability > 0.5, probability >= self.thresholds).astype(np.float64)


def choose_operating(
    logits: Floats, truth: Floats, one_of_many: bool = False, sensitivity: float | None = None, seen: Floats | None = None
) -> Operating:
    """Temperature and thresholds from validation films: logits, truth [n,k]. Thresholds maximise F1, or find `sensitivity` of positives.

    seen [k]: the one class that training saw of a label, 0 or 1, NaN where it saw both.
    """
    temperature = fit_temperature(*_learnt(logits, truth, one_of_many, seen), one_of_many)
    probability = probabilities(logits, temperature, one_of_many)
    columns = [(probability[:, k], truth[:, k]) for k in range(truth.shape[1])]
    found = [f1_threshold(*one) if sensitivity is None else sensitivity_threshold(*one, sensitivity) for one in columns]
    thresholds = np.array(found) if seen is None else np.where(np.isnan(seen), found, 1 - seen)
    return Operating(temperature, thresholds, one_of_many)


def _learnt(logits: Floats, truth: Floats, one_of_many: bool, seen: Floats | None) -> tuple[Floats, Floats]:
    """What a temperature can be fitted to: without labels of which training saw one class, or without films of a class it never saw, whose
    logits say nothing.
    """
    if seen is None:
        return logits, truth
    if not one_of_many:
        return logits[:, np.isnan(seen)], truth[:, np.isnan(seen)]
    known = truth[:, np.isnan(seen)].any(axis=1)
    return logits[known], truth[known]


def share_figures(
    valid_logits: Sequence[Floats],
    valid_truth: Floats,
    test_logits: Sequence[Floats],
    test_truth: Floats,
    names: Sequence[str],
    subjects: NDArray[np.str_],
    one_of_many: bool = False,
    sensitivity: float | None = None,
    resamples: int = 1000,
    seen: Sequence[Floats] | None = None,
) -> dict[str, Any]:
    """JSON-able figures of the draws of one share: means over draws with intervals over test subjects, and what each draw chose.

    seen: of each draw, as `choose_operating` takes it.
    """
    of_draws = [None] * len(valid_logits) if seen is None else seen
    chosen = [
        choose_operating(logits, valid_truth, one_of_many, sensitivity, classes)
        for logits, classes in zip(valid_logits, of_draws, strict=True)
    ]
    scores = np.stack(test_logits)
    if one_of_many:  # logits compare classes within a film, AUROC films within a class
        scores = np.stack([class_log_odds(logits) for logits in test_logits])
    decided = np.stack([one.decisions(logits) for one, logits in zip(chosen, test_logits, strict=True)])
    settings: dict[str, Any] = {"groups": subjects, "resamples": resamples}
    auroc, per_label = bootstrap_macro_auroc(scores, test_truth, **settings)
    precision, _ = bootstrap_macro_auroc(scores, test_truth, **settings, statistic=weighted_average_precision)
    f1, f1_each = bootstrap_macro_auroc(decided, test_truth, **settings, statistic=weighted_f1)
    if one_of_many:
        right = np.mean([(one.argmax(axis=1) == test_truth.argmax(axis=1)) for one in decided], axis=0)
        accuracy = bootstrap_mean(right, **settings)
    else:
        accuracy, _ = bootstrap_macro_auroc(decided, test_truth, **settings, statistic=weighted_accuracy)
    metrics: dict[str, Estimate] = {"auroc": auroc, "average_precision": precision, "accuracy": accuracy, "f1": f1}
    return {
        **{name: estimate.as_dict() for name, estimate in metrics.items()},
        "per_label": {name: {"auroc": per_label[k].as_dict(), "f1": f1_each[k].as_dict()} for k, name in enumerate(names)},
        "calibration": _calibration(chosen, test_logits, test_truth),
        "operating": [_operating(one, logits, test_truth, names) for one, logits in zip(chosen, test_logits, strict=True)],
    }


def _calibration(chosen: Sequence[Operating], logits: Sequence[Floats], truth: Floats) -> dict[str, Any]:
    """ECE and Brier score before and after the temperature, means over draws."""
    found: dict[str, list[float]] = {"ece_before": [], "ece_after": [], "brier_before": [], "brier_after": []}
    for one, held in zip(chosen, logits, strict=True):
        for when, probability in (("before", probabilities(held, 1.0, one.one_of_many)), ("after", one.probability(held))):
            found[f"ece_{when}"].append(calibration_error(probability, truth, one.one_of_many))
            found[f"brier_{when}"].append(brier_score(probability, truth))
    return {"temperature": [one.temperature for one in chosen], **{name: float(np.mean(values)) for name, values in found.items()}}


def _operating(chosen: Operating, logits: Floats, truth: Floats, names: Sequence[str]) -> Mapping[str, Any]:
    """What one draw's thresholds do to the test films, by label."""
    decided, found = chosen.decisions(logits), {}
    for k, name in enumerate(names):
        counts = decide(decided[:, k], truth[:, k], 0.5)
        figures = {"sensitivity": counts.sensitivity, "specificity": counts.specificity, "precision": counts.precision, "f1": counts.f1}
        threshold = {} if chosen.one_of_many else {"threshold": _known(chosen.thresholds[k])}
        found[name] = {**threshold, **{figure: _known(value) for figure, value in figures.items()}}
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
