"""Grounding read-outs by hand, in loops, and under shifts and scales of the map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sista.metrics.grounding import box_mask, chance, contrast_to_noise, iou_at, pointing_game

maps = arrays(np.float64, (4, 5), elements=st.integers(-3, 3).map(float))
masks = arrays(np.bool_, (4, 5))


def corner():
    mask = np.zeros((4, 5), dtype=bool)
    mask[:2, :2] = True
    return mask


def test_pointing_by_hand():
    heat = np.zeros((4, 5))
    heat[1, 1] = 2
    assert pointing_game(heat, corner()) == 1
    heat[3, 3] = 3
    assert pointing_game(heat, corner()) == 0
    heat[1, 1] = 3
    assert pointing_game(heat, corner()) == 0.5
    assert pointing_game(heat, (0, 0, 2, 2)) == 0.5
    assert pointing_game(heat, [2.6, 2.6, 0.8, 0.8]) == 0.5
    assert np.isnan(pointing_game(heat, np.zeros((4, 5))))


def test_tolerance_is_a_distance_in_cells():
    heat = np.zeros((4, 5))
    heat[2, 2] = 1  # diagonal neighbour of the region: sqrt(2) away
    assert [pointing_game(heat, corner(), tolerance) for tolerance in (0, 1, 1.5)] == [0, 0, 1]
    assert chance(corner(), tolerance=1) == 8 / 20


@given(masks)
def test_a_flat_map_scores_chance_which_is_the_share_of_the_area(mask):
    if not mask.any():
        assert np.isnan(chance(mask))
        return
    assert chance(mask) == mask.mean() == pointing_game(np.ones((4, 5)), mask)
    single = [pointing_game(np.eye(20)[cell].reshape(4, 5), mask) for cell in range(20)]
    assert np.mean(single) == pytest.approx(chance(mask))


@given(maps, masks, st.floats(0.1, 10), st.floats(-5, 5))
def test_contrast_is_its_formula_and_ignores_shift_and_scale_but_not_the_sign(heat, mask, scale, shift):
    found = contrast_to_noise(heat, mask)
    inside, outside = heat[mask], heat[~mask]
    if not len(inside) or not len(outside) or inside.std() + outside.std() == 0:
        assert np.isnan(found)
        return
    assert found == pytest.approx((inside.mean() - outside.mean()) / np.sqrt(inside.var() + outside.var()))
    assert contrast_to_noise(heat * scale + shift, mask) == pytest.approx(found, abs=1e-9)
    assert contrast_to_noise(-heat, mask) == pytest.approx(-found)
    assert contrast_to_noise(heat, ~mask) == pytest.approx(-found)


@given(maps, masks)
def test_iou_equals_counting(heat, mask):
    found = iou_at(heat, mask, thresholds=(-1, 0, 1))
    if not mask.any():
        assert np.isnan(found)
        return
    expected = [((heat > t) & mask).sum() / ((heat > t) | mask).sum() for t in (-1, 0, 1)]
    assert found == pytest.approx(np.mean(expected))


def test_iou_by_hand():
    heat = np.where(corner(), 0.35, 0.0)
    heat[0, 2] = 0.15
    assert iou_at(heat, corner(), (0.1,)) == pytest.approx(4 / 5)
    assert iou_at(heat, corner()) == pytest.approx((4 / 5 + 1 + 1 + 0 + 0) / 5)


def test_boxes_cover_the_cells_whose_centre_they_hold():
    np.testing.assert_array_equal(box_mask((0, 0, 2, 2), (4, 5)), corner())
    np.testing.assert_array_equal(box_mask((0.4, 0.4, 1.2, 1.2), (4, 5)), corner())
    assert box_mask((1.6, 1.6, 0.2, 0.2), (4, 5)).nonzero() == (np.array([1]), np.array([1]))
    assert not box_mask((9, 9, 2, 2), (4, 5)).any()
    assert not box_mask((1, 1, 0, 0), (4, 5)).any()
    assert chance((0, 0, 2, 2), shape=(4, 5)) == 0.2


def test_refusals_say_what_was_given():
    with pytest.raises(ValueError, match=r"region of shape \(3, 3\)"):
        pointing_game(np.zeros((4, 5)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="1 values not finite"):
        contrast_to_noise(np.array([[np.nan, 1.0]]), np.array([[True, False]]))
    with pytest.raises(ValueError, match="mask values 0 to 255"):
        iou_at(np.zeros((1, 2)), np.array([[0, 255]]))
    with pytest.raises(ValueError, match="shape="):
        chance((0, 0, 1, 1))
