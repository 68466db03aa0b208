"""Film coordinates and smooth fields."""

import numpy as np
import pytest

from sista.archives.phantom.grid import axis, over_film, smooth_field, span


@pytest.mark.parametrize("size", [64, 100, 513])
def test_pixel_centres_fill_the_unit_interval(size):
    centres = axis(size)
    assert centres.dtype == np.float32
    assert centres[0] == pytest.approx(0.5 / size)
    assert centres[-1] == pytest.approx(1 - 0.5 / size)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.4), (-0.5, 0.1), (0.95, 1.7), (1.2, 1.5), (-0.4, -0.1)])
def test_a_span_is_inside_the_film_and_never_empty(low, high):
    pixels = span(low, high, 64)
    assert 0 <= pixels.start < pixels.stop <= 64


def test_a_constant_grid_gives_a_constant_field_and_a_field_stays_in_range():
    assert np.allclose(over_film(np.full((5, 5), 2.0, np.float32), 70), 2.0, atol=1e-5)
    coarse = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    field = smooth_field(coarse, axis(50), axis(80))
    assert field.shape == (50, 80)
    assert coarse.min() - 1e-6 <= field.min() <= field.max() <= coarse.max() + 1e-6


def test_a_field_is_the_same_function_at_every_size():
    coarse = np.random.default_rng(1).random((8, 8)).astype(np.float32)
    fine = over_film(coarse, 256).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(fine - over_film(coarse, 64)).max() < 0.02
