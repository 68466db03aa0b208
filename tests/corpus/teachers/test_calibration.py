from __future__ import annotations

import numpy as np
import pytest

from sista.corpus.teachers.calibration import calibrate, pair_similarity, sample_pairs

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(60, 8)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
STUDIES = np.array([f"s{i // 2}" for i in range(60)])


def every_pair() -> np.ndarray:
    return np.array([VECTORS[i] @ VECTORS[j] for i in range(60) for j in range(i) if STUDIES[i] != STUDIES[j]])


@pytest.mark.parametrize("share", [0.005, 0.01, 0.1, 0.5])
def test_cut_offs_agree_with_all_pairs(share: float) -> None:
    made = calibrate(VECTORS, STUDIES, (share,))
    similarity = every_pair()
    assert made.pairs == len(similarity) == 60 * 59 // 2 - 30
    assert abs((similarity >= made.cut_offs[share]).mean() - share) <= 1 / len(similarity)
    assert abs(made.realised[share] - (similarity >= made.cut_offs[share]).mean()) < 1e-9


def test_a_sample_comes_near_all_pairs_and_is_repeatable() -> None:
    sampled, again = (calibrate(VECTORS, STUDIES, (0.1,), pairs=1000) for _ in range(2))
    assert sampled == again
    assert sampled.pairs < 1001
    assert abs(sampled.cut_offs[0.1] - calibrate(VECTORS, STUDIES, (0.1,)).cut_offs[0.1]) < 0.06


def test_ties_are_taken_whole_and_survive_float_noise() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), [4, 6], axis=0)
    made = calibrate(vectors, np.arange(10), (0.01, 0.6))
    assert made.cut_offs[0.01] < 1 - 1e-6
    assert made.realised[0.01] == pytest.approx((6 + 15) / 45)  # not 1 %: that many pairs are equal
    assert np.float32(0.999999) >= made.cut_offs[0.01]
    assert made.realised[0.6] == 1


def test_a_share_of_no_pair_is_none() -> None:
    made = calibrate(np.ones((8, 1), dtype=np.float32), np.arange(8), (0.0, 0.01))
    assert made.realised == {0.0: 0.0, 0.01: 1.0}  # all reports are equal
    assert made.cut_offs[0.0] > 1


def test_pairs_are_of_different_studies() -> None:
    for limit in (10**6, 200):
        left, right = sample_pairs(STUDIES, limit)
        assert (STUDIES[left] != STUDIES[right]).all()
    assert len(sample_pairs(["a", "a"])[0]) == 0
    assert calibrate(np.ones((2, 1), np.float32), ["a", "a"], (0.1,)).pairs == 0


def test_similarity_in_blocks() -> None:
    left, right = sample_pairs(STUDIES)
    np.testing.assert_allclose(pair_similarity(VECTORS, left, right, block=7), (VECTORS[left] * VECTORS[right]).sum(1), atol=1e-6)
