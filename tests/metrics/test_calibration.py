"""Calibration: bins by hand, a temperature that was put in and is found again, what has no temperature."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from sista.metrics.calibration import (
    brier_score,
    calibration_error,
    class_log_odds,
    expected_calibration_error,
    fit_temperature,
    probabilities,
)


def test_error_equals_a_loop_over_bins():
    random = np.random.default_rng(0)
    probability, labels = random.random(500), (random.random(500) < 0.4).astype(float)
    labels[:20] = np.nan
    expected = 0.0
    for bin_ in range(10):
        rows = [i for i in range(20, 500) if bin_ / 10 <= probability[i] < (bin_ + 1) / 10]
        expected += len(rows) / 480 * abs(np.mean(probability[rows]) - np.mean(labels[rows]))
    assert expected_calibration_error(probability, labels, bins=10) == pytest.approx(expected)
    assert expected_calibration_error([1.0, 1.0, 0.0], [1, 0, 0]) == pytest.approx(1 / 3)
    assert np.isnan(expected_calibration_error([0.5], [np.nan]))
    with pytest.raises(ValueError, match="sigmoid first"):
        expected_calibration_error([1.5], [1])


def test_of_many_classes_the_chosen_one_counts():
    probability, truth = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([[1.0, 0], [1, 0]])
    assert calibration_error(probability, truth, one_of_many=True) == pytest.approx((0.3 + 0.6) / 2)


def test_log_odds_of_a_class_are_those_of_its_softmax_and_never_tied():
    logits = np.random.default_rng(0).normal(size=(50, 4))
    chance = softmax(logits, axis=1)
    np.testing.assert_allclose(class_log_odds(logits), np.log(chance / (1 - chance)), atol=1e-12)
    np.testing.assert_allclose(class_log_odds([[40.0, 0.0], [60.0, 0.0]]), [[40, -40], [60, -60]])


@pytest.mark.parametrize("one_of_many", [False, True])
def test_a_temperature_is_found_again_and_mends_the_error(one_of_many):
    random = np.random.default_rng(0)
    logits = random.normal(size=(6000, 3)) * 1.5
    if one_of_many:
        drawn = [random.choice(3, p=row) for row in softmax(logits, axis=1)]
        truth = np.eye(3)[drawn]
    else:
        truth = (random.random((6000, 3)) < expit(logits)).astype(float)
        truth[random.random(truth.shape) < 0.2] = np.nan
    found = fit_temperature(logits * 4, truth, one_of_many)
    assert found == pytest.approx(4, rel=0.08)
    before, after = (calibration_error(probabilities(logits * 4, t, one_of_many), truth, one_of_many) for t in (1, found))
    assert after < 0.25 * before
    assert brier_score(probabilities(logits * 4, found, one_of_many), truth) < brier_score(probabilities(logits * 4, 1, one_of_many), truth)


def test_one_class_or_no_label_leaves_the_logits_alone():
    assert fit_temperature(np.ones((4, 1)), np.ones((4, 1))) == 1
    assert fit_temperature(np.ones((4, 1)), np.full((4, 1), np.nan)) == 1
    assert fit_temperature(np.tile([2.0, 0.0, -1.0], (8, 1)), np.tile([1.0, 0.0, 0.0], (8, 1)), one_of_many=True) == 1
