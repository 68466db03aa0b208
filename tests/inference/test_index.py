"""The index: equal to brute force in chunks, faiss within a recall, hits equal to the retrieval metric."""

import numpy as np
import pytest

from sista.errors import SistaError
from sista.inference import index as module
from sista.inference.index import VectorIndex, exact_neighbours, hits_at, unit_rows
from sista.metrics.retrieval import retrieval_metrics


def vectors(n=700, d=16, seed=0, clusters=20):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, d))
    return (centres[random.integers(0, clusters, n)] + 0.5 * random.normal(size=(n, d))).astype(np.float32)


@pytest.mark.parametrize("cells", [3000, 16_000_000])
def test_exact_search_equals_sorting_all_similarities(monkeypatch, cells):
    monkeypatch.setattr(module, "CHUNK_CELLS", cells)
    held, asked = vectors(), vectors(50, seed=1)
    found = VectorIndex(held, "exact").search(asked, 9)
    similarity = unit_rows(asked) @ unit_rows(held).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(similarity, order, 1), rtol=1e-6)


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_equal_scores_stand_in_the_order_of_their_rows(kind):
    if kind == "faiss":
        pytest.importorskip("faiss", reason="faiss is not installed (extra `faiss`)")
    vectors = np.eye(64, dtype=np.float32)[np.random.default_rng(0).integers(1, 64, 500)]
    vectors[100:120] = np.eye(64, dtype=np.float32)[0]
    found = VectorIndex(vectors, kind, cells=1, probes=1).search(vectors[100:101], 5)
    assert (found.scores == 1).all()
    if kind == "exact":
        assert found.rows.tolist() == [[100, 101, 102, 103, 104]]
        assert VectorIndex(np.zeros((50, 4)), "exact").search(np.ones((1, 4)), 3).rows.tolist() == [[0, 1, 2]]
    assert found.rows[0].tolist() == sorted(found.rows[0])


def test_more_neighbours_than_vectors_are_missing_ones():
    found = VectorIndex(vectors(3), "exact").search(vectors(2, seed=1), 5)
    assert (found.rows[:, 3:] == -1).all()
    assert sorted(found.rows[0, :3]) == [0, 1, 2]


def test_faiss_finds_nearly_all_and_scores_them_exactly():
    pytest.importorskip("faiss")
    held, asked = vectors(3000), vectors(100, seed=1)
    index = VectorIndex(held, "faiss")
    assert index.recall_against_exact(asked, 10) >= 0.95
    found = index.search(asked, 10)
    np.testing.assert_allclose(found.scores[:, 0], np.einsum("qd,qd->q", unit_rows(asked), index.vectors[found.rows[:, 0]]), atol=1e-5)
    whole = VectorIndex(held, "faiss", cells=8, probes=8).search(asked, 10)
    np.testing.assert_array_equal(np.sort(whole.rows), np.sort(exact_neighbours(unit_rows(asked), unit_rows(held), 10).rows))
    np.testing.assert_array_equal(VectorIndex(held, "faiss").search(asked, 10).rows, found.rows)


def test_auto_is_exact_until_the_stated_size(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "EXACT_UP_TO", 500)
    assert VectorIndex(vectors(500)).kind == "exact"
    assert VectorIndex(vectors(501)).kind == "faiss"


def test_hits_equal_the_retrieval_metric_exact_and_semantic():
    image, text = vectors(200), vectors(200, seed=2)
    keys, truth = np.arange(200) // 2, np.random.default_rng(0).integers(-1, 6, 200)
    metric = retrieval_metrics(image, text, keys, truth)
    for direction, asked, held in (("i2t", image, text), ("t2i", text, image)):
        near = VectorIndex(held, "exact").search(asked, 10)
        for kind, key in (("exact", keys), ("semantic", truth)):
            for k, hit in hits_at(near, key, key).items():
                np.testing.assert_array_equal(hit, metric[f"{direction}/{kind}"].hits(k))


def test_refusals():
    with pytest.raises(SistaError, match="index kind"):
        VectorIndex(vectors(5), "fast")
    with pytest.raises(SistaError, match="one width"):
        VectorIndex(vectors(5)).search(np.ones((1, 3)), 2)
    with pytest.raises(SistaError, match="finite"):
        VectorIndex(np.full((2, 2), np.nan))
