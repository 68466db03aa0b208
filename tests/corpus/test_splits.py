from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sista.corpus.splits import refuse_leaks, split_numbers, split_of
from sista.errors import SistaError


def test_shares_come_out_and_do_not_move() -> None:
    counts = Counter(split_of(f"p{i}") for i in range(4000))
    assert abs(counts["train"] / 4000 - 0.8) < 0.02
    assert abs(counts["valid"] / 4000 - 0.1) < 0.02
    assert [split_of(f"p{i}") for i in range(12)] == [split_of(f"p{i}") for i in range(12)]
    assert [split_of("p1"), split_of("p2")] == ["train", "train"]


def test_a_larger_train_share_moves_no_train_subject() -> None:
    names = [f"p{i}" for i in range(500)]
    assert all(split_of(n, (0.9, 0.05, 0.05)) == "train" for n in names if split_of(n, (0.7, 0.2, 0.1)) == "train")


def test_salt_draws_anew() -> None:
    assert any(split_of(f"p{i}") != split_of(f"p{i}", salt="other") for i in range(50))


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.9, 0.2, 0.1), (1.2, -0.1, -0.1), (float("nan"),) * 3])
def test_wrong_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(SistaError, match="three shares"):
        split_of("p", fractions)


def test_leaks_are_named() -> None:
    train, test = split_numbers(("train", "test"))
    refuse_leaks(["a", "a", "b"], np.array([train, train, test]), "here")
    with pytest.raises(SistaError, match=r"here: 1 subject\(s\) in more than one split: b\. Give all studies"):
        refuse_leaks(["a", "b", "b"], np.array([train, train, test]), "here")
    names = [f"p{number % 7}" for number in (6, 5, 4, 3, 2, 1, 0, 1, 1, 0, 6, 5, 4, 3, 2)]
    with pytest.raises(SistaError, match=r"7 subject\(s\) in more than one split: p1, p0, p6, p5, p4 and 2 more\."):
        refuse_leaks(names, np.array([train] * 7 + [test] * 8), "here")
