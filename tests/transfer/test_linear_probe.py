"""The linear probe: the optimum against scikit-learn, what may and may not choose it, one-class labels, the curve, its time."""

import json
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sista.errors import SistaError
from sista.metrics.auroc import macro_auroc
from sista.transfer.linear_probe import PENALTIES, fit_linear_probe, probe_curve
from sista.transfer.linear_probe_rows import taken


def task(n=600, d=12, k=3, seed=0, signal=1.0):
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(n, d))
    features = hidden @ random.normal(size=(d, d)) * random.uniform(0.1, 10, d) + random.normal(size=d) * 5
    logits = signal * hidden @ random.normal(size=(d, k)) - np.linspace(0, 2, k)
    return features.astype(np.float32), (random.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(float)


def splits(n):
    return np.array(["train", "valid", "test"])[np.minimum(np.arange(n) * 5 // n // 2, 2)], np.arange(n) // 2


@pytest.mark.parametrize(("rows", "d"), [(400, 12), (40, 60)])
@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
def test_optimum_equals_scikit_learn_also_with_unknown_labels_and_few_rows(rows, d, penalty):
    x, y = task(rows + 100, d)
    y[:rows][np.random.default_rng(1).random((rows, 3)) < 0.2] = np.nan
    probe = fit_linear_probe(x[:rows], y[:rows], x[rows:], y[rows:], penalties=[penalty])
    standard = (x[:rows].astype(float) - x[:rows].astype(float).mean(0)) / x[:rows].astype(float).std(0)
    for k in range(3):
        known = ~np.isnan(y[:rows, k])
        reference = LogisticRegression(C=1 / (known.sum() * penalty), tol=1e-10, max_iter=20000)
        reference.fit(standard[known], y[:rows, k][known])
        scale = np.abs(reference.coef_).max()
        np.testing.assert_allclose(probe.weight[:, k], reference.coef_[0], atol=2e-3 * scale)
        assert probe.bias[k] == pytest.approx(reference.intercept_[0], abs=3e-3 * max(1, scale))
        np.testing.assert_allclose(probe.scores(x[:rows])[:, k], reference.decision_function(standard), atol=1e-2 * max(1, scale))


def test_weights_are_no_further_from_the_optimum_after_weaker_and_stronger_penalties():
    x, y = task()
    path = fit_linear_probe(x[:400], y[:400], x[400:], y[400:])
    alone = fit_linear_probe(x[:400], y[:400], x[400:], y[400:], penalties=[path.penalty])
    np.testing.assert_allclose(path.weight, alone.weight, atol=1e-3 * np.abs(alone.weight).max())


def test_penalty_is_the_best_on_the_validation_rows_and_the_stronger_of_equals():
    x, y = task(300, 40, signal=0.3)
    probe = fit_linear_probe(x[:60], y[:60], x[60:], y[60:])
    assert set(probe.validation) == set(PENALTIES)
    best = max(probe.validation.values())
    assert probe.penalty == max(p for p, value in probe.validation.items() if value == best)
    assert macro_auroc(probe.scores(x[60:]), y[60:])[0] == pytest.approx(best)


def test_units_and_order_of_the_features_change_no_score():
    x, y = task()
    x = x.astype(float)
    plain = fit_linear_probe(x[:400], y[:400], x[400:], y[400:])
    order = np.random.default_rng(0).permutation(12)
    moved = (x * np.logspace(-4, 4, 12) + 3)[:, order]
    other = fit_linear_probe(moved[:400], y[:400], moved[400:], y[400:])
    np.testing.assert_allclose(other.scores(moved), plain.scores(x), atol=1e-3 * np.abs(plain.scores(x)).max())


def test_constant_features_count_for_nothing_even_where_they_vary_later():
    x, y = task()
    dead = np.column_stack([x, np.zeros(600), np.full(600, 7.3, np.float32)]).astype(np.float32)
    dead[400:, 12:] = 1e6
    with_dead = fit_linear_probe(dead[:400], y[:400], dead[400:], y[400:])
    plain = fit_linear_probe(x[:400], y[:400], x[400:], y[400:])
    np.testing.assert_allclose(with_dead.scores(dead), plain.scores(x), atol=1e-4 * np.abs(plain.scores(x)).max())


def test_a_label_of_one_class_scores_a_constant_and_is_named_and_leaves_the_others_alone():
    x, y = task()
    y[:400, 1], y[:400, 2] = 0, np.nan
    probe = fit_linear_probe(x[:400], y[:400], x[400:], y[400:], names=("edema", "device", "nodule"))
    assert probe.constant == ("device", "nodule")
    assert (probe.scores(x)[:, 1:] == 0).all()
    alone = fit_linear_probe(x[:400], y[:400, :1], x[400:], y[400:, :1])
    np.testing.assert_allclose(probe.scores(x)[:, 0], alone.scores(x)[:, 0], rtol=1e-6)


def test_curve_measures_what_its_probes_score():
    x, y = task()
    split, subjects = splits(600)
    curve = probe_curve(x, y, subjects, split, shares=(0.1, 1.0), draws=(3, 1), names=("a", "b", "c"), resamples=100)
    test = split == "test"
    for share, draws in ((0.1, 3), (1.0, 1)):
        result = curve[share]
        by_hand = [macro_auroc(probe.scores(x[test]), y[test]) for probe in result.probes]
        assert result.draws == pytest.approx([macro for macro, _ in by_hand])
        assert len(result.draws) == len(result.rows) == draws
        assert result.macro.value == pytest.approx(np.mean(result.draws))
        assert result.macro.ci95[0] < result.macro.value < result.macro.ci95[1]
        assert result.per_label["b"].value == pytest.approx(np.mean([per_label[1] for _, per_label in by_hand]))
    assert curve[1.0].rows == ((split == "train").sum(),)
    assert curve[1.0].macro.value > curve[0.1].macro.value
    assert len({probe.weight.tobytes() for probe in curve[0.1].probes}) == 3
    json.dumps(curve[0.1].as_dict(), allow_nan=False)


def test_test_rows_choose_nothing():
    x, y = task()
    split, subjects = splits(600)
    arguments = {"shares": (0.1, 1.0), "draws": (2, 1), "resamples": 20}
    before = probe_curve(x, y, subjects, split, **arguments)
    test = np.flatnonzero(split == "test")
    shuffled, moved = y.copy(), x.copy()
    shuffled[test] = y[np.random.default_rng(0).permutation(test)]
    moved[test] += 100
    for changed in (probe_curve(x, shuffled, subjects, split, **arguments), probe_curve(moved, y, subjects, split, **arguments)):
        for share in (0.1, 1.0):
            for one, other in zip(before[share].probes, changed[share].probes, strict=True):
                assert one.penalty == other.penalty
                for part in ("mean", "scale", "weight", "bias"):
                    np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert before[1.0].macro != probe_curve(x, shuffled, subjects, split, **arguments)[1.0].macro


def test_noise_scores_about_one_half():
    x, _ = task(2000)
    y = (np.random.default_rng(3).random((2000, 3)) < 0.3).astype(float)
    split, subjects = splits(2000)
    result = probe_curve(x, y, subjects, split, shares=(1.0,), draws=(1,), resamples=200)[1.0]
    assert result.macro.ci95[0] < 0.52
    assert result.macro.ci95[1] > 0.48


def test_refusals_say_what_was_given():
    x, y = task()
    split, subjects = splits(600)
    with pytest.raises(SistaError, match="subjects stand in two splits"):
        probe_curve(x, y, np.arange(600) % 300, split)
    with pytest.raises(SistaError, match="0 valid"):
        probe_curve(x, y, subjects, np.where(split == "valid", "train", split))
    with pytest.raises(SistaError, match="draws"):
        probe_curve(x, y, subjects, split, shares=(0.1,), draws=(0,))
    with pytest.raises(SistaError, match="none of 3 labels"):
        fit_linear_probe(x, np.ones_like(y), x, y)
    with pytest.raises(SistaError, match="validation rows"):
        fit_linear_probe(x, y, x, np.ones_like(y))
    with pytest.raises(SistaError, match="1 of 600 rows not finite"):
        fit_linear_probe(np.where(np.arange(600)[:, None] == 5, np.nan, x), y, x, y)
    with pytest.raises(SistaError, match="map uncertain labels"):
        fit_linear_probe(x, -y, x, y)
    with pytest.raises(SistaError, match="penalties"):
        fit_linear_probe(x, y, x, y, penalties=[])
    with pytest.raises(SistaError, match="widths differ"):
        fit_linear_probe(x, y, x, y, names=("a",))


@pytest.mark.slow
def test_all_shares_and_draws_of_12000_by_256_take_less_than_20_seconds():
    x, y = task(20000, 256, 11, signal=0.1)
    split = np.repeat(["train", "valid", "test"], [12000, 3000, 5000])
    start = time.perf_counter()
    probe_curve(x, y, np.arange(20000) // 2, split)
    assert time.perf_counter() - start < 20


def test_float32_blocks_find_the_optimum_of_double_precision(monkeypatch):
    """What a large feature matrix takes: no double copy, several blocks, two threads."""
    x, y = task(900, 30)
    y[:50, 1] = np.nan
    double = fit_linear_probe(x[:700], y[:700], x[700:], y[700:])
    monkeypatch.setattr("sista.transfer.linear_probe.EXACT", 100)
    monkeypatch.setattr("sista.transfer.linear_probe_rows.BLOCK", 64 * 30)
    single = fit_linear_probe(x[:700], y[:700], x[700:], y[700:])
    again = fit_linear_probe(x[:700], y[:700], x[700:], y[700:])
    assert single.penalty == double.penalty
    np.testing.assert_array_equal(single.weight, again.weight)
    np.testing.assert_allclose(single.scores(x), double.scores(x), atol=2e-3 * np.abs(double.scores(x)).max())
    for penalty, value in double.validation.items():
        assert single.validation[penalty] == pytest.approx(value, abs=1e-3)
    with monkeypatch.context() as patch:
        patch.setattr("sista.transfer.linear_probe_rows.THREADS", 1)
        np.testing.assert_array_equal(fit_linear_probe(x[:700], y[:700], x[700:], y[700:]).weight, single.weight)


def test_rows_in_a_row_are_not_copied():
    x = np.arange(20).reshape(10, 2)
    assert np.shares_memory(taken(x, np.arange(2, 7)), x)
    for rows in (np.array([2, 4, 3]), np.array([0, 2]), np.array([], dtype=int)):
        np.testing.assert_array_equal(taken(x, rows), x[rows])
