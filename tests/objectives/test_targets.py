import numpy as np
import pytest
import torch

from sista.errors import SistaError
from sista.objectives.similarity import report_similarity
from sista.objectives.targets import (
    MODES,
    SETTINGS,
    eliminate_targets,
    identity_targets,
    make_targets,
    sigmoid_signs,
    sigmoid_targets,
    soft_targets,
    triage_targets,
)

from .inputs import alike_teacher

S = torch.tensor([[1.0, 0.9, 0.5], [0.9, 1.0, 0.8], [0.5, 0.8, 1.0]])


def test_each_mode_by_hand():
    assert identity_targets(3).weights.tolist() == np.eye(3).tolist()
    assert identity_targets(3).allowed.tolist() == np.ones((3, 3)).tolist()
    assert eliminate_targets(S, 0.8).weights.tolist() == np.eye(3).tolist()
    assert eliminate_targets(S, 0.8).allowed.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]  # 0.8 is not below 0.8
    triage = triage_targets(S, 0.9, 0.8)
    assert triage.weights.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]  # 0.9 is at the cut-off
    assert triage.allowed.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert sigmoid_signs(S, 0.9).tolist() == [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    assert (sigmoid_targets(S, 0.9).positives == (sigmoid_signs(S, 0.9) > 0)).all()
    soft = soft_targets(S, 0.4, 0.2)
    assert torch.allclose(soft.weights, 0.6 * torch.eye(3) + 0.4 * torch.softmax(S / 0.2, 1))


@pytest.mark.parametrize("mode", MODES)
def test_rows_sum_to_one_and_the_own_pair_counts(mode):
    targets = make_targets(mode, report_similarity(alike_teacher()), theta_p=0.9, theta_n=0.5)
    assert torch.allclose(targets.weights.sum(1), torch.ones(6, dtype=torch.float64))
    assert targets.positives.diagonal().all()
    assert not (targets.positives & targets.negatives).any()


@pytest.mark.parametrize("mode", MODES)
def test_a_slice_of_the_rows_gives_that_slice_of_the_targets(mode):
    similarity = report_similarity(alike_teacher())
    full = make_targets(mode, similarity, theta_p=0.9, theta_n=0.5)
    part = make_targets(mode, similarity[2:4], theta_p=0.9, theta_n=0.5, own=torch.tensor([2, 3]))
    assert torch.equal(part.weights, full.weights[2:4])
    assert torch.equal(part.allowed, full.allowed[2:4])


@pytest.mark.parametrize("mode", ["eliminate", "triage", "sigmoid"])
def test_the_same_report_is_never_a_negative_whatever_the_cut_off(mode):
    same = torch.eye(3, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    targets = make_targets(mode, S, theta_p=1.1, theta_n=1.1, same=same)
    assert not targets.negatives[0, 2]
    assert targets.negatives[0, 1]
    if mode != "eliminate":
        assert targets.positives[0, 2]


def test_equal_teacher_vectors_tie_at_a_cut_off_of_one():
    similarity = report_similarity(alike_teacher().float())
    assert triage_targets(similarity, 1.0, 1.0).weights[0, 1] == 0.5


def test_unknown_modes_and_crossed_cut_offs_are_refused():
    with pytest.raises(SistaError, match="did you mean 'triage'"):
        make_targets("triag", S)
    with pytest.raises(SistaError, match="above theta_p"):
        triage_targets(S, 0.5, 0.6)
    assert set(MODES) == set(SETTINGS)
