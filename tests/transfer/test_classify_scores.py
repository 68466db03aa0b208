"""What validation films choose: of labels that were learnt alone."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from sista.transfer.classify_scores import choose_operating, share_figures
from sista.transfer.classify_softmax import ABSENT

NAN = float("nan")


def test_a_label_that_was_never_positive_in_training_leaves_the_temperature_of_others_alone() -> None:
    random = np.random.default_rng(0)
    known = random.normal(size=4000) * 2
    logits = np.stack([known, np.full(4000, -8.0)], axis=1)
    truth = np.stack([random.random(4000) < expit(known), random.random(4000) < 0.2], axis=1).astype(float)
    assert choose_operating(logits, truth, seen=np.array([NAN, 0.0])).temperature == pytest.approx(1.0, abs=0.06)
    assert choose_operating(logits, truth).temperature > 3  # nobody said that it was never learnt
    assert choose_operating(logits, truth, seen=np.array([0.0, 0.0])).temperature == 1.0


def test_films_of_a_class_that_training_never_saw_leave_the_temperature_alone() -> None:
    random = np.random.default_rng(0)
    logits = np.concatenate([random.normal(size=(4000, 3)) * 2, np.full((4000, 1), ABSENT)], axis=1)
    truth = np.eye(4)[[random.choice(4, p=row) for row in softmax(logits, axis=1)]]
    truth[:200] = [0, 0, 0, 1]
    seen = np.array([NAN, NAN, NAN, 0.0])
    chosen = choose_operating(logits, truth, one_of_many=True, seen=seen)
    assert chosen.temperature == pytest.approx(1.0, abs=0.06)
    assert chosen.temperature == choose_operating(logits[200:], truth[200:], one_of_many=True).temperature


def test_sure_films_of_one_class_among_many_keep_their_ranks() -> None:
    logits = np.array([[60.0, 0], [50, 0], [40, 0], [0, 40], [0, 50], [0, 60]])
    truth = np.eye(2)[[0, 0, 1, 0, 1, 1]]  # one pair of nine is in the wrong order, another is far apart
    subjects = np.array([f"s{n}" for n in range(6)])
    figures = share_figures([logits], truth, [logits], truth, ["a", "b"], subjects, one_of_many=True, resamples=5)
    assert figures["per_label"]["a"]["auroc"]["value"] == pytest.approx(8 / 9)
