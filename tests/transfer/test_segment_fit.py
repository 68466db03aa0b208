"""The loop of segmenters and detectors: which weights it keeps, when it stops, what it refuses."""

import numpy as np
import pytest
import torch

from sista.errors import SistaError
from sista.transfer.segment_fit import FitSettings, Fitted, fit


def fitted(scores: list[float], settings: FitSettings) -> tuple[Fitted, float]:
    """A weight that falls by about the rate a step, the validation scores given; what the loop says, and the weight it leaves."""
    model, left = torch.nn.Linear(1, 1, bias=False), iter(scores)
    torch.nn.init.zeros_(model.weight)
    history = fit(model, np.arange(8), lambda some, step: len(some), lambda _: model.weight.sum(), lambda: next(left), settings, seed=0)
    return history, model.weight.item()


def constant(**given: float) -> FitSettings:
    return FitSettings(**{"epochs": 6, "batch_size": 8, "least_steps": 1, "schedule": "constant", "learning_rate": 0.1, **given})


def test_as_long_as_nothing_is_found_patience_does_not_wear_out() -> None:
    history, weight = fitted([0.0, 0.0, 0.0, 0.0, 0.5, 0.4], constant(patience=2))
    assert (history.steps, history.best_step) == (6, 5)
    assert weight == pytest.approx(-0.5, abs=1e-3)


def test_where_nothing_is_ever_found_the_last_weights_are_left() -> None:
    history, weight = fitted([0.0] * 6, constant(patience=2))
    assert (history.steps, history.best_step) == (6, 6)
    assert weight == pytest.approx(-0.6, abs=1e-3)


def test_the_first_of_equal_scores_is_kept_and_patience_counts_from_it() -> None:
    history, weight = fitted([0.0, 0.3, 0.3, 0.3, 0.9, 0.9], constant(patience=2))
    assert (history.steps, history.best_step, history.as_dict()["valid"]) == (4, 2, 0.3)
    assert weight == pytest.approx(-0.2, abs=1e-3)


WRONG = [
    *(({"encoder_rate": value}, "fit: encoder_rate") for value in (-1.0, float("nan"), float("inf"))),
    ({"min_steps": -3}, "min_steps -3"),
    ({"learning_rate": 0.0}, "fit: learning_rate 0"),
    ({"patience": 0}, "patience 0"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_settings_that_train_nothing_or_away_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        fitted([0.0] * 6, constant(**given))
