"""Bootstrap intervals: against a bootstrap by hand with the same draws, coverage, clusters, pairs, speed."""

import json
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sista.metrics.auroc import auroc, macro_auroc, weighted_average_precision
from sista.metrics.interval import (
    Estimate,
    bootstrap,
    bootstrap_macro_auroc,
    bootstrap_mean,
    paired_bootstrap,
    paired_bootstrap_macro_auroc,
    resample_weights,
)


def drawn_rows(n, groups=None, resamples=1000, seed=0):
    """The rows of each resample, as a plain bootstrap would list them, from the same random numbers."""
    groups = np.arange(n) if groups is None else np.asarray(groups)
    names = np.unique(groups)
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([np.flatnonzero(groups == names[g]) for g in random.integers(0, len(names), len(names))])


def study(n=150, k=3, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random((n, k)) < np.linspace(0.2, 0.5, k)).astype(float)
    return random.normal(size=(n, k)) + labels, labels, np.arange(n) // 3


@pytest.mark.parametrize("clustered", [False, True])
def test_equals_a_bootstrap_by_hand_with_the_same_draws(clustered):
    scores, labels, subjects = study()
    labels[:40, 1] = np.nan
    groups = subjects if clustered else None
    by_hand = np.array([macro_auroc(scores[rows], labels[rows])[0] for rows in drawn_rows(150, groups, 250, seed=3)])
    expected = np.quantile(by_hand, [0.025, 0.975])
    fast, _ = bootstrap_macro_auroc(scores, labels, groups=groups, resamples=250, seed=3)
    slow = bootstrap(lambda s, y: macro_auroc(s, y)[0], scores, labels, groups=groups, resamples=250, seed=3)
    np.testing.assert_allclose(fast.ci95, expected)
    np.testing.assert_allclose(slow.ci95, expected)
    assert fast.value == pytest.approx(slow.value) == pytest.approx(macro_auroc(scores, labels)[0])


def test_each_label_and_average_precision_have_their_own_interval():
    scores, labels, _ = study()
    draws = list(drawn_rows(150, None, 200))
    _, per_label = bootstrap_macro_auroc(scores, labels, resamples=200)
    _, precision = bootstrap_macro_auroc(scores, labels, resamples=200, statistic=weighted_average_precision)
    for k in range(3):
        for found, metric in ((per_label[k], roc_auc_score), (precision[k], average_precision_score)):
            np.testing.assert_allclose(found.ci95, np.quantile([metric(labels[r, k], scores[r, k]) for r in draws], [0.025, 0.975]))
            assert found.value == pytest.approx(metric(labels[:, k], scores[:, k]))


def test_several_draws_are_averaged_before_the_interval_is_taken():
    scores, labels, _ = study()
    other = scores + np.random.default_rng(9).normal(size=scores.shape)
    both, _ = bootstrap_macro_auroc(np.stack([scores, other]), labels, resamples=100)
    by_hand = [np.mean([macro_auroc(s[r], labels[r])[0] for s in (scores, other)]) for r in drawn_rows(150, None, 100)]
    np.testing.assert_allclose(both.ci95, np.quantile(by_hand, [0.025, 0.975]))


def test_degenerate_resamples_are_dropped_and_counted():
    scores, labels = np.arange(10.0)[:, None], np.zeros((10, 1))
    labels[9] = 1
    lost = sum(9 not in rows for rows in drawn_rows(10, None, 300))
    macro, per_label = bootstrap_macro_auroc(scores, labels, resamples=300)
    assert macro.dropped == per_label[0].dropped == lost > 0
    assert bootstrap(auroc, scores[:, 0], labels[:, 0], resamples=300).dropped == lost
    assert macro.value == 1.0
    assert macro.ci95 == (1.0, 1.0)


def test_a_label_of_one_class_has_no_value_and_does_not_spoil_the_macro():
    scores, labels, _ = study()
    with_empty = np.column_stack([labels, np.zeros(150)])
    macro, per_label = bootstrap_macro_auroc(np.column_stack([scores, scores[:, 0]]), with_empty, resamples=100)
    assert macro == bootstrap_macro_auroc(scores, labels, resamples=100)[0]
    assert per_label[3].as_dict() == {"value": None, "ci95": [None, None], "dropped": 100}
    nothing, _ = bootstrap_macro_auroc(scores, np.zeros_like(labels), resamples=20)
    assert np.isnan(nothing.value)
    assert nothing.dropped == 20


def test_groups_are_drawn_whole_and_their_names_do_not_matter():
    groups = np.repeat(["b", "a", "c"], [2, 3, 1])
    for weights in resample_weights(6, groups, resamples=150):
        assert (weights[:2] == weights[0]).all()
        assert (weights[2:5] == weights[2]).all()
        assert (weights[0] + weights[2] + weights[5] == 3).all()
    sizes = [weights.shape[1] for weights in resample_weights(6, groups, resamples=150)]
    assert sum(sizes) == 150
    repeated = np.repeat(np.random.default_rng(0).normal(size=40), 25)
    narrow, wide = bootstrap_mean(repeated), bootstrap_mean(repeated, groups=np.repeat(np.arange(40), 25))
    assert (wide.ci95[1] - wide.ci95[0]) / (narrow.ci95[1] - narrow.ci95[0]) == pytest.approx(5, rel=0.25)


def test_mean_with_unknown_values_equals_the_general_form():
    values = np.random.default_rng(0).normal(size=80)
    values[::7] = np.nan
    fast, slow = (
        bootstrap_mean(values, groups=np.arange(80) // 2, resamples=200),
        bootstrap(np.nanmean, values, groups=np.arange(80) // 2, resamples=200),
    )
    assert fast.value == pytest.approx(slow.value)
    np.testing.assert_allclose(fast.ci95, slow.ci95)
    assert np.isnan(bootstrap_mean([np.nan, np.nan]).value)


def test_interval_covers_the_truth_about_nineteen_times_in_twenty():
    random = np.random.default_rng(0)
    covered = []
    for trial in range(200):
        labels = np.repeat([1.0, 0.0], [60, 90])[:, None]
        estimate, _ = bootstrap_macro_auroc(random.normal(size=(150, 1)) + labels, labels, resamples=300, seed=trial)
        covered.append(estimate.ci95[0] <= 0.76025 <= estimate.ci95[1])  # Phi(1 / sqrt 2)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_paired_difference_is_antisymmetric_and_nought_for_equals():
    scores, labels, subjects = study()
    worse = scores + np.random.default_rng(4).normal(size=scores.shape) * 2
    forth = paired_bootstrap_macro_auroc(scores, worse, labels, groups=subjects, resamples=400)
    back = paired_bootstrap_macro_auroc(worse, scores, labels, groups=subjects, resamples=400)
    slow = paired_bootstrap(lambda s, y: macro_auroc(s, y)[0], scores, worse, labels, groups=subjects, resamples=400)
    assert forth.value == pytest.approx(slow.value) == pytest.approx(-back.value)
    np.testing.assert_allclose(forth.ci95, slow.ci95)
    np.testing.assert_allclose(forth.ci95, [-bound for bound in back.ci95[::-1]], atol=1e-12)
    assert forth.p == slow.p == back.p < 0.05
    equal = paired_bootstrap_macro_auroc(scores, scores, labels, resamples=50)
    assert (equal.value, equal.ci95, equal.p) == (0.0, (0.0, 0.0), 1.0)


def test_p_is_small_at_most_as_often_as_it_says_when_nothing_differs():
    random = np.random.default_rng(1)
    small = []
    for trial in range(150):
        labels = np.repeat([1.0, 0.0], 75)[:, None]
        signal = random.normal(size=(150, 1)) + labels
        a, b = (signal + random.normal(size=(150, 1)) for _ in range(2))
        small.append(paired_bootstrap_macro_auroc(a, b, labels, resamples=200, seed=trial).p < 0.1)
    assert 0.03 <= np.mean(small) <= 0.18


def test_same_seed_same_interval_and_json_holds_no_nan():
    scores, labels, _ = study()
    one, two, three = (bootstrap_macro_auroc(scores, labels, resamples=100, seed=seed)[0] for seed in (0, 0, 1))
    assert one == two != three
    assert Estimate(0.5, (0.4, 0.6)).as_dict() == {"value": 0.5, "ci95": [0.4, 0.6]}
    assert str(Estimate(0.5, (0.4, 0.6))) == "0.500 (0.400 to 0.600)"
    json.dumps(paired_bootstrap_macro_auroc(scores, scores, np.zeros_like(labels), resamples=5).as_dict(), allow_nan=False)


def test_a_thousand_resamples_of_2000_by_11_take_less_than_two_seconds():
    scores, labels, _ = study(2000, 11)
    start = time.perf_counter()
    bootstrap_macro_auroc(scores, labels, groups=np.arange(2000) // 2)
    assert time.perf_counter() - start < 2


def test_refusals_say_what_was_given():
    with pytest.raises(ValueError, match=r"\[3, 2\] rows"):
        bootstrap(auroc, [1, 2, 3], [0, 1])
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        bootstrap_mean([1, 2, 3], groups=[0, 1])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        bootstrap_macro_auroc([1, 2, 3], [0, 1, 0])
