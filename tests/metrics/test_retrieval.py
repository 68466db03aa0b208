"""Retrieval against sorting in loops, ties against random orders, and a memory bound."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sista.metrics import retrieval
from sista.metrics.interval import bootstrap_mean
from sista.metrics.retrieval import rank_targets, recall_at, retrieval_metrics, summarise


def loop_hit(similarity, relevant, k):
    return [any(relevant[q, t] for t in np.argsort(-similarity[q])[:k]) for q in range(len(similarity))]


def pairs(n=60, d=8, seed=0):
    random = np.random.default_rng(seed)
    image = random.normal(size=(n, d))
    return image, image + random.normal(size=(n, d))


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_recall_equals_sorting_where_nothing_ties(k):
    random = np.random.default_rng(0)
    similarity, relevant = random.normal(size=(30, 20)), random.random((30, 20)) < 0.1
    relevant[:, 0] = True
    assert recall_at(similarity, relevant, k) == pytest.approx(np.mean(loop_hit(similarity, relevant, k)))
    index = random.integers(0, 20, 30)
    assert recall_at(similarity, index, k) == pytest.approx(np.mean(loop_hit(similarity, index[:, None] == np.arange(20), k)))


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=7), st.integers(1, 8))
def test_ties_count_as_the_average_over_all_their_orders(targets, k):
    scores, relevant = np.array([s for s, _ in targets], dtype=float), np.array([r for _, r in targets])
    ranks = rank_targets(scores[None], relevant[None])
    if not relevant.any():
        assert np.isnan(ranks.hits(k)[0])
        return
    random = np.random.default_rng(0)
    orders = [np.lexsort((random.random(len(scores)), -scores)) for _ in range(600)]
    first = np.array([np.flatnonzero(relevant[order])[0] + 1 for order in orders])
    assert ranks.hits(k)[0] == pytest.approx((first <= k).mean(), abs=0.12)
    assert ranks.ranks()[0] == pytest.approx(first.mean(), abs=0.4)


def test_one_embedding_for_everything_gets_chance_and_a_perfect_encoder_everything():
    image, _ = pairs()
    collapsed = retrieval_metrics(np.ones((60, 4)), np.ones((60, 4)))["i2t/exact"]
    assert collapsed.recall(5) == pytest.approx(5 / 60) == pytest.approx(collapsed.chance(5))
    assert collapsed.as_dict()["median_rank"] == pytest.approx(30.5)
    vectors = np.random.default_rng(0).normal(size=(8, 128)).astype(np.float32)
    for vector in vectors:  # equal rows whose products differ in their last digits by where they stand
        rows = np.tile(vector, (999, 1))
        assert retrieval_metrics(rows, rows)["i2t/exact"].recall(10) == pytest.approx(10 / 999)
    perfect = retrieval_metrics(image, image)["t2i/exact"]
    assert perfect.as_dict() == {"R@1": 1.0, "R@5": 1.0, "R@10": 1.0, "median_rank": 1.0, "queries": 60}


def test_both_directions_equal_the_whole_matrix_however_it_is_cut(monkeypatch):
    image, text = pairs()
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (image, text)]
    whole = unit[0] @ unit[1].T
    monkeypatch.setattr(retrieval, "CHUNK_CELLS", 60 * 7)
    found = retrieval_metrics(image * 5, text)
    for name, similarity in (("i2t/exact", whole), ("t2i/exact", whole.T)):
        for k in (1, 5, 10):
            np.testing.assert_allclose(found[name].hits(k), loop_hit(similarity, np.eye(60, dtype=bool), k))


def test_equal_texts_count_as_own_pair_and_unknown_truth_asks_nothing():
    image, text = pairs()
    report, truth = np.arange(60) // 2, np.arange(60) % 6
    text = text[report * 2]
    truth[:10] = -1
    found = retrieval_metrics(image, text, report, truth)
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (image, text)]
    expected = loop_hit(unit[1] @ unit[0].T, report[:, None] == report, 5)
    np.testing.assert_allclose(found["t2i/exact"].hits(5), expected)
    alike = (truth[:, None] == truth) & (truth >= 0)
    assert np.isnan(found["t2i/semantic"].hits(5)[:10]).all()
    np.testing.assert_allclose(found["t2i/semantic"].hits(5)[10:], loop_hit(unit[1] @ unit[0].T, alike, 5)[10:])
    assert found["t2i/semantic"].as_dict()["queries"] == 50
    assert summarise(found)["t2i/semantic/R@5"] == pytest.approx(found["t2i/semantic"].recall(5))
    assert bootstrap_mean(found["t2i/semantic"].hits(5), groups=np.arange(60) // 3).value == pytest.approx(found["t2i/semantic"].recall(5))


def test_only_the_asking_rows_are_queries_among_all_targets():
    image, text = pairs()
    asking = np.arange(60) % 3 == 0
    everyone, some = retrieval_metrics(image, text), retrieval_metrics(image, text, queries=asking)
    np.testing.assert_array_equal(some["i2t/exact"].hits(1), everyone["i2t/exact"].hits(1)[asking])
    assert some["i2t/exact"].targets == 60
    nobody = retrieval_metrics(image, text, queries=np.zeros(60, dtype=bool))["i2t/exact"]
    assert np.isnan(nobody.recall(1))
    assert nobody.as_dict()["queries"] == 0


@given(st.permutations(range(12)))
def test_order_of_pairs_changes_nothing(order):
    image, text = pairs(12)
    truth = np.arange(12) % 4
    shuffled = retrieval_metrics(image[list(order)], text[list(order)], truth_keys=truth[list(order)])
    assert summarise(shuffled) == pytest.approx(summarise(retrieval_metrics(image, text, truth_keys=truth)))


def test_memory_grows_with_the_rows_and_not_with_their_square():
    image, text = (side.astype(np.float32) for side in pairs(6000, 16))
    tracemalloc.start()
    retrieval_metrics(image, text, queries=np.arange(6000) % 2 == 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6  # the square alone is 144 MB in float32


def test_refusals_say_what_was_given():
    with pytest.raises(ValueError, match="1 NaN"):
        recall_at([[np.nan, 1.0]], [[True, False]], 1)
    with pytest.raises(ValueError, match="index 0 to 2"):
        recall_at(np.eye(2), np.array([0, 2]), 1)
    with pytest.raises(ValueError, match="one row per pair"):
        retrieval_metrics(np.eye(3), np.eye(3)[:2])
    with pytest.raises(ValueError, match="not finite"):
        retrieval_metrics(np.full((2, 2), np.inf), np.eye(2))
