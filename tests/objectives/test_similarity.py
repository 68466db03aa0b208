import math

import numpy as np
import pytest
import torch

from sista.objectives.similarity import OffsetAverage, mark_same, remove_offset, report_similarity

from . import reference
from .inputs import alike_teacher, fx, random_unit


def fane_reports():
    r = fx((6, 8), 0.2)
    r[3] = r[0] + 0.01 * r[1]
    return r


def test_cosine_matches_the_loops():
    teacher = random_unit(5, 7) * 3
    np.testing.assert_allclose(report_similarity(teacher), reference.similarity(teacher.numpy()), atol=1e-12)
    np.testing.assert_allclose(report_similarity(teacher[:2], teacher), reference.similarity(teacher.numpy())[:2], atol=1e-12)


def test_equal_vectors_score_exactly_one_and_never_more():
    vector = torch.randn(1, 300, generator=torch.Generator().manual_seed(0))
    scales = torch.logspace(-3, 3, 40)[:, None]
    assert (report_similarity(vector * scales) == 1).all()


def test_zero_vector_is_similar_to_nothing_and_no_gradient_flows():
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    similarity = report_similarity(teacher)
    assert similarity.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert not similarity.requires_grad


def test_equal_keys_are_marked_as_the_same():
    similarity = torch.zeros(3, 3)
    assert mark_same(similarity, torch.tensor([4, 7, 4])).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert mark_same(similarity[:1], torch.tensor([7]), torch.tensor([4, 7, 7])).tolist() == [[0, 1, 1]]


def test_fane_offset_and_normalised_similarity():
    average = OffsetAverage().double()
    offset = average.update(fane_reports())
    assert offset.item() == pytest.approx(0.32185700551164637, abs=1e-12)
    normalised = remove_offset(report_similarity(fane_reports()), offset)[0]
    np.testing.assert_allclose(normalised, [0.9999985, -1.0458155, -1.2282860, 0.9999150, -0.3107636, -0.3987084], atol=1e-7)
    assert average.update(fx((6, 8), 0.9)).item() == pytest.approx(0.3247464842674805, abs=1e-12)


def test_offset_lives_in_the_checkpoint():
    average = OffsetAverage()
    average.update(fane_reports())
    other = OffsetAverage()
    other.load_state_dict(average.state_dict())
    assert other.update(fx((6, 8), 0.9)).item() == pytest.approx(0.3247464842674805, abs=1e-6)


def test_autocast_changes_nothing():
    teacher = alike_teacher().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = report_similarity(teacher)
        average = OffsetAverage()
        offset = average.update(teacher)
    assert torch.equal(inside, report_similarity(teacher))
    assert math.isclose(offset, OffsetAverage().update(teacher))
