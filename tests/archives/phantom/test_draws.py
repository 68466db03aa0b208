"""Keyed random numbers."""

import numpy as np
import pytest

from sista.archives.phantom.draws import Draws


def test_a_key_determines_the_stream_whatever_was_drawn_elsewhere():
    one = Draws(1, 2, 3)
    first = one.units(100)
    Draws(9).units(10)
    assert Draws(1, 2, 3).units(100) == first
    assert Draws(1, 3, 2).units(100) != first


def test_ranges_and_weights():
    draws = Draws(0)
    assert all(2 <= draws.between(2, 3) < 3 for _ in range(200))
    bell = [draws.around(5, 2) for _ in range(3000)]
    assert 3 <= min(bell) <= max(bell) <= 7
    assert np.mean(bell) == pytest.approx(5, abs=0.06)
    assert np.std(bell) == pytest.approx(2 / 3, abs=0.06)
    picks = [draws.weighted("ab", (3, 1)) for _ in range(2000)]
    assert picks.count("a") == pytest.approx(1500, abs=120)
    assert sorted(draws.shuffled(range(20))) == list(range(20))
    assert {draws.choice("xyz") for _ in range(60)} == set("xyz")
