"""AUROC and average precision against loops, scikit-learn and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from sista.metrics.auroc import (
    auroc,
    average_precision,
    macro_auroc,
    macro_average_precision,
    weighted_auroc,
    weighted_average_precision,
)

rows = st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=40)


def loop_auroc(scores, labels):
    wins = [
        1.0 if p > q else 0.5 if p == q else 0.0
        for p, is_positive in zip(scores, labels, strict=True)
        if is_positive == 1
        for q, is_negative in zip(scores, labels, strict=True)
        if is_negative == 0
    ]
    return float(np.mean(wins)) if wins else np.nan


@given(rows)
def test_auroc_is_the_share_of_won_pairs_ties_half_and_unknown_labels_left_out(pairs):
    scores, labels = np.array(pairs, dtype=float).T
    np.testing.assert_allclose(auroc(scores, labels), loop_auroc(scores, labels), equal_nan=True)


def test_by_hand():
    assert auroc([3, 1, 2, 0], [1, 0, 1, 0]) == 1.0
    assert auroc([1, 1, 1, 1], [1, 0, 1, 0]) == 0.5
    assert auroc([2, 1, 2, 0], [1, 0, 0, 1]) == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(auroc([1, 2], [1, 1]))
    assert np.isnan(auroc([1, 2], [np.nan, 1]))
    assert np.isnan(average_precision([1, 2], [0, 0]))


@pytest.mark.parametrize("levels", [3, 10**6])
def test_agrees_with_scikit_learn(levels):
    random = np.random.default_rng(levels)
    scores = random.integers(0, levels, size=(300, 4)).astype(float)
    labels = (random.random((300, 4)) < [0.02, 0.2, 0.5, 0.9]).astype(float)
    macro, per_label = macro_auroc(scores, labels)
    np.testing.assert_allclose(per_label, roc_auc_score(labels, scores, average=None))
    assert macro == pytest.approx(roc_auc_score(labels, scores))
    _, per_label = macro_average_precision(scores, labels)
    np.testing.assert_allclose(per_label, average_precision_score(labels, scores, average=None))


@pytest.mark.parametrize(
    ("weighted", "reference"), [(weighted_auroc, roc_auc_score), (weighted_average_precision, average_precision_score)]
)
def test_weights_are_repeated_rows(weighted, reference):
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 20, 120).astype(float), (random.random(120) < 0.3).astype(float)
    weights = random.integers(0, 4, size=(120, 25)).astype(float)
    expected = [reference(np.repeat(labels, w.astype(int)), np.repeat(scores, w.astype(int))) for w in weights.T]
    np.testing.assert_allclose(weighted(scores, labels, weights), expected)


@pytest.mark.parametrize("weighted", [weighted_auroc, weighted_average_precision])
def test_a_resample_that_lost_a_class_is_nan(weighted):
    weights = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(np.isnan(weighted(np.array([2.0, 1.0]), np.array([1.0, 0.0]), weights)), [False, True, True])


def test_macro_leaves_out_labels_of_one_class():
    scores = np.array([[1.0, 5.0], [2.0, 5.0], [0.0, 5.0]])
    macro, per_label = macro_auroc(scores, np.array([[0.0, 1.0], [1.0, 1.0], [0.0, np.nan]]))
    assert macro == 1.0
    assert np.isnan(per_label[1])
    assert np.isnan(macro_auroc(scores, np.ones((3, 2)))[0])


@settings(max_examples=50)
@given(rows, st.randoms(use_true_random=False))
def test_order_of_rows_and_monotone_transforms_change_nothing_and_negation_mirrors(pairs, shuffler):
    scores, labels = np.array(pairs, dtype=float).T
    order = list(range(len(scores)))
    shuffler.shuffle(order)
    for metric in (auroc, average_precision):
        np.testing.assert_allclose(metric(scores[order], labels[order]), metric(scores, labels), equal_nan=True)
        np.testing.assert_allclose(metric(np.exp(scores) * 3 - 1, labels), metric(scores, labels), equal_nan=True)
    np.testing.assert_allclose(auroc(-scores, labels), 1 - auroc(scores, labels), equal_nan=True)


def test_refusals_say_what_was_given():
    with pytest.raises(ValueError, match="label value -1"):
        auroc([1.0, 2.0], [-1, 1])
    with pytest.raises(ValueError, match="1 scores are NaN"):
        auroc([np.nan, 2.0, np.nan], [1, 0, np.nan])
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        auroc([1, 2, 3], [0, 1])
