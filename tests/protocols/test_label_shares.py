"""Label shares: nested, patient-wise, in proportion, with a positive of every label where that can be, the same everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.errors import SistaError
from sista.protocols.label_shares import share_rows


def archive(subjects=600, k=5, seed=0, rarest=0.02):
    random = np.random.default_rng(seed)
    of_row = np.repeat(np.arange(subjects), random.integers(1, 4, subjects))
    labels = (random.random((len(of_row), k)) < np.linspace(rarest, 0.4, k)).astype(float)
    labels[random.random(labels.shape) < 0.05] = np.nan
    order = random.permutation(len(of_row))
    return np.array([f"p{s:04d}" for s in of_row])[order], labels[order]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.integers(0, 5), st.lists(st.floats(0.002, 1), min_size=2, max_size=2))
def test_smaller_shares_lie_within_larger_ones_and_subjects_are_whole(seed, draw, shares):
    subjects, labels = archive(80, 3, seed)
    small, large = (share_rows(subjects, labels, share, draw, seed) for share in sorted(shares))
    assert set(small.rows) <= set(large.rows)
    for share in (small, large):
        outside = np.setdiff1d(np.arange(len(subjects)), share.rows)
        assert not set(subjects[share.rows]) & set(subjects[outside])
        assert share.subjects == len(set(subjects[share.rows]))


def test_one_in_ten_in_hundred_per_cent_have_the_size_they_say():
    subjects, labels = archive()
    one, ten, all_of_it = (share_rows(subjects, labels, share) for share in (0.01, 0.1, 1.0))
    assert (one.subjects, ten.subjects, all_of_it.subjects) == (6, 60, 600)
    np.testing.assert_array_equal(all_of_it.rows, np.arange(len(subjects)))
    assert share_rows(subjects, labels, 1e-6).subjects == 1


def test_draws_and_seeds_differ_and_the_same_ones_agree():
    subjects, labels = archive()
    rows = {(draw, seed): tuple(share_rows(subjects, labels, 0.1, draw, seed).rows) for draw in range(3) for seed in range(2)}
    assert len(set(rows.values())) == 6
    assert rows[1, 1] == tuple(share_rows(subjects, labels, 0.1, 1, 1).rows)
    overlap = len(set(rows[0, 0]) & set(rows[1, 0])) / len(rows[0, 0])
    assert overlap < 0.3


def test_known_rows_of_a_small_archive():
    """Pins the order for good: published id lists depend on it."""
    subjects = [f"s{i}" for i in range(12)]
    labels = np.arange(12)[:, None] % 3 == 0
    assert share_rows(subjects, labels, 0.5).rows.tolist() == [3, 5, 7, 8, 9, 11]


def test_order_of_rows_changes_no_choice_and_numbers_may_be_names():
    subjects, labels = archive()
    chosen = set(subjects[share_rows(subjects, labels, 0.1).rows])
    order = np.random.default_rng(1).permutation(len(subjects))
    assert set(subjects[order][share_rows(subjects[order], labels[order], 0.1).rows]) == chosen
    numbers = np.array([int(s[1:]) for s in subjects])
    np.testing.assert_array_equal(share_rows(numbers, labels, 0.1).rows, share_rows(numbers.astype(str), labels, 0.1).rows)
    np.testing.assert_array_equal(share_rows(list(map(int, numbers)), labels, 0.1).rows, share_rows(numbers, labels, 0.1).rows)


def test_combinations_keep_their_proportion_better_than_chance_would():
    subjects = np.arange(4000)
    labels = (np.random.default_rng(0).random((4000, 3)) < [0.1, 0.3, 0.5]).astype(float)
    code = labels @ [1, 2, 4]
    share_of = np.bincount(code.astype(int), minlength=8) / 4000
    for draw in range(5):
        taken = np.bincount(code[share_rows(subjects, labels, 0.1, draw).rows].astype(int), minlength=8)
        assert np.abs(taken - 400 * share_of).max() <= 2.5


def test_every_label_has_a_positive_and_a_negative_where_the_share_has_room():
    subjects = np.arange(5000)
    random = np.random.default_rng(0)
    labels = (random.random((5000, 6)) < [0.0006, 0.001, 0.002, 0.1, 0.5, 0.999]).astype(float)
    assert labels.sum(axis=0).min() >= 1
    for draw in range(5):
        share = share_rows(subjects, labels, 0.01, draw)
        assert share.one_class == ()
        assert (labels[share.rows] == 1).any(axis=0).all()
        assert (labels[share.rows] == 0).any(axis=0).all()


def test_moving_a_rare_positive_forward_leaves_the_rest_of_the_share_alone():
    subjects = np.arange(2000)
    labels = np.zeros((2000, 2))
    labels[::4, 0] = 1
    without = set(share_rows(subjects, labels, 0.01).rows)
    labels[1501, 1] = 1
    with_rare = set(share_rows(subjects, labels, 0.01).rows)
    assert 1501 in with_rare
    assert len(with_rare) == len(without)


def test_what_a_share_lacks_is_recorded():
    labels = np.zeros((30, 3))
    labels[:, 1] = 1
    labels[3, 0] = labels[4, 2] = 1
    tiny = share_rows(np.arange(30), labels, 0.01)
    assert tiny.subjects == 1
    assert len(tiny.without_positive) == 1
    assert tiny.without_negative == tuple(k for k in range(3) if labels[tiny.rows[0], k] == 1)
    whole = share_rows(np.arange(30), labels, 1.0)
    assert (whole.without_positive, whole.without_negative, whole.one_class) == ((), (1,), (1,))


def test_refusals_say_what_was_given():
    for share in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(SistaError, match="label share"):
            share_rows([1, 2], [0, 1], share)
    with pytest.raises(SistaError, match="map uncertain labels"):
        share_rows([1, 2], [0, -1], 0.5)
    with pytest.raises(SistaError, match="3 subject ids"):
        share_rows([1, 2, 3], [0, 1], 0.5)
