"""Dice: hand-made cases, the protocol in loops as its released code has it, and the floor of predicting nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sista.metrics.dice import (
    all_empty_floor,
    mean_over_batches,
    positive_dice,
    positive_dice_per_image,
    protocol_dice,
    protocol_dice_per_image,
)


def loop_protocol(probability, mask, batch_size):
    batches = []
    for start in range(0, len(mask), batch_size):
        scores = []
        for p, m in zip(probability[start : start + batch_size], mask[start : start + batch_size], strict=True):
            predicted = p > 0.5
            if m.sum() == 0:
                scores.append(1.0 if predicted.sum() == 0 else 0.0)
            else:
                scores.append(2 * (predicted & (m == 1)).sum() / (predicted.sum() + m.sum()))
        batches.append(np.mean(scores))
    return np.mean(batches)


def four_images():
    mask = np.zeros((4, 2, 2), dtype=bool)
    mask[0, 0], mask[1, 0] = True, True
    probability = np.zeros((4, 2, 2))
    probability[0, 0, 0] = 0.9  # half of the mask: 2 * 1 / (1 + 2)
    probability[2, 1, 1] = 0.6  # a false alarm
    probability[3] = 0.5  # at the threshold: not predicted
    return probability, mask


def test_by_hand():
    probability, mask = four_images()
    np.testing.assert_allclose(positive_dice_per_image(probability, mask), [2 / 3, 0, np.nan, np.nan])
    np.testing.assert_allclose(protocol_dice_per_image(probability, mask), [2 / 3, 0, 0, 1])
    assert positive_dice(probability, mask) == pytest.approx(1 / 3)
    assert protocol_dice(probability, mask, batch_size=4) == pytest.approx((2 / 3 + 1) / 4)
    assert protocol_dice(probability, mask, batch_size=3) == pytest.approx((2 / 9 + 1) / 2)
    assert all_empty_floor(mask, batch_size=4) == 0.5
    assert all_empty_floor(mask, batch_size=3) == pytest.approx((1 / 3 + 1) / 2)
    assert np.isnan(positive_dice(probability[2:], mask[2:]))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_protocol_equals_its_loop(images, batch_size, seed):
    random = np.random.default_rng(seed)
    mask = (random.random((images, 3, 3)) < 0.3) & (random.random(images) < 0.5)[:, None, None]
    probability = random.random((images, 3, 3)) * random.choice([0.4, 1.0], images)[:, None, None]
    assert protocol_dice(probability, mask, batch_size) == pytest.approx(loop_protocol(probability, mask.astype(int), batch_size))
    empty = np.zeros_like(mask)
    assert all_empty_floor(mask, batch_size) == pytest.approx(protocol_dice(empty, mask, batch_size))
    positive = mask.any(axis=(1, 2))
    if positive.all():
        assert positive_dice(probability, mask) == pytest.approx(protocol_dice(probability, mask, images))


@given(arrays(np.bool_, (3, 2, 2)), arrays(np.bool_, (3, 2, 2)))
def test_dice_is_symmetric_and_one_for_the_mask_itself(one, other):
    both = one.any(axis=(1, 2)) & other.any(axis=(1, 2))
    np.testing.assert_allclose(positive_dice_per_image(one, other)[both], positive_dice_per_image(other, one)[both])
    np.testing.assert_array_equal(protocol_dice_per_image(one, one), 1)


def test_pieces_give_the_same_as_the_whole():
    probability, mask = four_images()
    pieces = np.concatenate([protocol_dice_per_image(probability[i : i + 1], mask[i : i + 1]) for i in range(4)])
    assert mean_over_batches(pieces, 3) == protocol_dice(probability, mask, 3)
    assert np.isnan(mean_over_batches([], 8))


def test_refusals_say_what_was_given():
    probability, mask = four_images()
    with pytest.raises(ValueError, match=r"\(4, 2, 2\) and mask \(3, 2, 2\)"):
        positive_dice(probability, mask[:3])
    with pytest.raises(ValueError, match="mask values 0 to 255"):
        positive_dice(probability, mask.astype(int) * 255)
    with pytest.raises(ValueError, match="4 probabilities are NaN"):
        positive_dice(np.where(mask, np.nan, probability), mask)
    with pytest.raises(ValueError, match="batch_size 0"):
        all_empty_floor(mask, 0)
