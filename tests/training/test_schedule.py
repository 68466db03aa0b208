"""Warm-up and cosine."""

import pytest

from sista.training.schedule import warmup_cosine


def test_shape_of_the_schedule() -> None:
    rates = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001


def test_one_step_and_no_warmup() -> None:
    assert warmup_cosine(0, 1, 0.1) == 1
    assert warmup_cosine(0, 10, 0.0) == 1
