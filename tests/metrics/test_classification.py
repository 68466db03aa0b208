"""Decisions and thresholds: against scikit-learn, by hand, and where they are not defined."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_curve

from sista.metrics.classification import decide, f1_threshold, sensitivity_threshold, weighted_accuracy, weighted_f1


def task(n=300, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.3).astype(float)
    return np.round(random.normal(size=n) + labels, 1), labels  # rounded: with ties


def test_decisions_equal_scikit_learn_and_leave_unknown_rows_out():
    scores, labels = task()
    found = decide(scores, labels, 0.5)
    assert found.f1 == pytest.approx(f1_score(labels, scores >= 0.5))
    assert found.accuracy == pytest.approx(accuracy_score(labels, scores >= 0.5))
    unknown = np.concatenate([labels, np.full(50, np.nan)])
    assert decide(np.concatenate([scores, np.full(50, 9.0)]), unknown, 0.5) == found
    assert found.tp + found.fp + found.tn + found.fn == 300


def test_f1_threshold_is_the_best_of_all_and_the_highest_of_equals():
    scores, labels = task()
    precision, recall, cuts = precision_recall_curve(labels, scores)
    best = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
    threshold = f1_threshold(scores, labels)
    assert decide(scores, labels, threshold).f1 == pytest.approx(best.max())
    assert threshold == cuts[np.flatnonzero(np.isclose(best, best.max()))[-1]]


def test_sensitivity_threshold_is_the_highest_that_finds_enough():
    scores, labels = task()
    for wanted in (0.5, 0.9, 1.0):
        threshold = sensitivity_threshold(scores, labels, wanted)
        assert decide(scores, labels, threshold).sensitivity >= wanted
        higher = scores[scores > threshold]
        assert decide(scores, labels, higher.min()).sensitivity < wanted
    assert sensitivity_threshold([0.9, 0.8, 0.2, 0.1], [1, 0, 1, 0], 0.5) == 0.9
    with pytest.raises(ValueError, match="sensitivity"):
        sensitivity_threshold(scores, labels, 0)


@pytest.mark.parametrize("labels", [[1, 1, np.nan], [0, 0, np.nan], [np.nan] * 3])
def test_labels_of_one_class_have_no_threshold(labels):
    assert np.isnan(f1_threshold([0.1, 0.2, 0.3], labels))
    assert np.isnan(sensitivity_threshold([0.1, 0.2, 0.3], labels, 0.8))


def test_weighted_forms_equal_repeated_rows():
    scores, labels = task(60)
    labels[:5] = np.nan
    decisions = (scores >= 0.4).astype(float)
    weights = np.random.default_rng(1).integers(0, 4, (60, 3)).astype(float)
    for column, f1, accuracy in zip(
        weights.T, weighted_f1(decisions, labels, weights), weighted_accuracy(decisions, labels, weights), strict=True
    ):
        rows = np.repeat(np.arange(60), column.astype(int))
        rows = rows[~np.isnan(labels[rows])]
        assert f1 == pytest.approx(f1_score(labels[rows], decisions[rows]))
        assert accuracy == pytest.approx(accuracy_score(labels[rows], decisions[rows]))
    assert np.isnan(weighted_f1(decisions, np.zeros(60), weights)).all()
    assert decide([0.1, 0.2], [1, 0], 0.5).f1 == 0
