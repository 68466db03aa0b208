import math

import pytest
import torch

from sista.objectives.diagnostics import (
    attention_statistics,
    moved_target_quality,
    removed_pair_quality,
    target_statistics,
    wrong_film_gap,
    wrong_films,
)
from sista.objectives.targets import Targets, eliminate_targets, identity_targets, sigmoid_signs, triage_targets

from .inputs import operators

S = torch.tensor([[1.0, 0.9, 0.7, 0.1], [0.9, 1.0, 0.2, 0.1], [0.7, 0.2, 1.0, 0.3], [0.1, 0.1, 0.3, 1.0]])


def values(statistics):
    return {name: pytest.approx(value.item(), abs=1e-6) for name, value in statistics.items()}


def test_shares_of_off_diagonal_pairs():
    assert values(target_statistics(triage_targets(S, 0.9, 0.5))) == {"positives": 2 / 12, "ignored": 2 / 12, "negatives": 8 / 12}
    assert values(target_statistics(eliminate_targets(S, 0.5))) == {"positives": 0, "ignored": 4 / 12, "negatives": 8 / 12}
    assert values(target_statistics(identity_targets(4))) == {"positives": 0, "ignored": 0, "negatives": 1}
    assert values(target_statistics(sigmoid_signs(S, 0.9))) == {"positives": 2 / 12, "ignored": 0, "negatives": 10 / 12}
    rows = torch.tensor([2])
    assert values(target_statistics(triage_targets(S[2:3], 0.9, 0.5, rows), rows)) == {"positives": 0, "ignored": 1 / 3, "negatives": 2 / 3}


def test_removed_pairs_against_the_truth():
    targets = eliminate_targets(S, 0.5)  # removes (0,1) and (0,2), both ways
    assert values(removed_pair_quality(targets, torch.tensor([5, 5, 6, 6]))) == {"precision": 0.5, "recall": 0.5}
    assert values(removed_pair_quality(targets, torch.tensor([5, 5, -1, -1]))) == {"precision": 1, "recall": 1}  # unknown left out
    assert values(removed_pair_quality(identity_targets(4), torch.tensor([5, 5, 6, 7]))) == {"precision": 1, "recall": 0}
    assert values(removed_pair_quality(sigmoid_signs(S, 0.9), torch.tensor([5, 5, 5, 7]))) == {"precision": 1, "recall": 1 / 3}
    one = removed_pair_quality(
        eliminate_targets(S[2:3], 0.5, torch.tensor([2])), torch.tensor([6]), torch.tensor([5, 5, 6, 6]), torch.tensor([2])
    )
    assert values(one) == {"precision": 0, "recall": 0}


def test_targets_moved_to_other_pairs_against_the_truth():
    soft = Targets(torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]]), torch.ones(3, 3))
    assert values(moved_target_quality(soft, torch.tensor([5, 5, 6]))) == {"share": 0.2, "precision": 5 / 6}
    assert values(moved_target_quality(soft, torch.tensor([5, 5, -1]))) == {"share": 0.2, "precision": 1}  # unknown left out
    assert values(moved_target_quality(identity_targets(3), torch.tensor([5, 5, 6]))) == {"share": 0, "precision": 1}
    row = Targets(soft.weights[1:2], soft.allowed[1:2])
    found = moved_target_quality(row, torch.tensor([5]), torch.tensor([6, 5, 5]), torch.tensor([1]))
    assert values(found) == {"share": 0.2, "precision": 0}


def test_attention_statistics():
    weights = torch.tensor([[[0.5, 0.5, 0, 0], [1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]]])
    mask = torch.tensor([[True, True, False]])
    got = values(attention_statistics(weights, mask))
    assert got == {"patches_per_word": 1.5, "attention_entropy": math.log(2) / 2}
    nothing = attention_statistics(weights, torch.zeros_like(mask))
    assert values(nothing) == {"patches_per_word": 0, "attention_entropy": 0}


def test_wrong_film_gap_is_wrong_minus_right():
    words = torch.eye(3)[:, None, :].requires_grad_()
    patches = torch.eye(3)[:, None, :]

    def looks(words, patches):
        return -(words * patches).sum() / 3

    gap = wrong_film_gap(looks, words, patches)
    assert gap.item() == 1
    assert not gap.requires_grad
    assert wrong_film_gap(lambda w, p: w.sum(), words, patches).item() == 0


def test_a_film_of_the_same_study_is_no_wrong_one():
    assert wrong_films(torch.tensor([5, 5, 7, 7, 5])).tolist() == [3, 3, 1, 1, 3]
    assert wrong_films(torch.arange(3)).tolist() == [2, 0, 1]
    assert wrong_films(torch.tensor([4, 4])).tolist() == [1, 0]
    words = patches = torch.eye(2).repeat_interleave(2, dim=0)[:, None, :]  # two films each of two studies

    def looks(words, patches):
        return -(words * patches).sum() / 4

    assert wrong_film_gap(looks, words, patches, torch.tensor([0, 0, 1, 1])).item() == 1
    assert wrong_film_gap(looks, words, patches).item() == 0.5


def test_nothing_waits_for_the_device():
    def run(b):
        similarity = torch.eye(b)
        targets = triage_targets(similarity, 0.9, 0.5)
        shares = target_statistics(targets)["ignored"] + removed_pair_quality(targets, torch.arange(b))["recall"]
        return shares + attention_statistics(torch.rand(b, 3, 4), torch.ones(b, 3, dtype=torch.bool))["attention_entropy"]

    assert operators(lambda: run(4)) == operators(lambda: run(16))
