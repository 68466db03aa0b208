"""The sigmoid, two-view, supervised and hard-negative losses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.objectives.hard_negative import hard_negative, hard_negative_pair
from sista.objectives.nt_xent import nt_xent
from sista.objectives.sigmoid import pairwise_sigmoid
from sista.objectives.similarity import OffsetAverage, remove_offset, report_similarity
from sista.objectives.supervised_contrastive import supervised_contrastive
from sista.objectives.targets import sigmoid_signs

from . import reference
from .inputs import fx, operators, random_unit, unit

VIEWS = unit(fx((6, 2, 8)))
FIRST, SECOND = VIEWS[:, 0], VIEWS[:, 1]
IMAGE, TEXT = unit(fx((6, 8), 0.1)), unit(fx((6, 8), 0.6))
POSITIONS = torch.tensor([0.10, 0.15, 0.45, 0.50, 0.80, 1.00])
BINS = torch.tensor([1, 1, 2, 2, 4, 4])


@pytest.fixture
def fane_signs():
    r = fx((6, 8), 0.2)
    r[3] = r[0] + 0.01 * r[1]
    signs = sigmoid_signs(remove_offset(report_similarity(r), OffsetAverage().double().update(r)), 0.95)
    assert (signs > 0).sum() == 8
    return signs


@pytest.mark.parametrize(("bias", "golden"), [(-10.0, 55.68681829787702), (10.0, 12.723960605026022)])
def test_fane_multi_positive_loss(fane_signs, bias, golden):
    ours = pairwise_sigmoid(IMAGE @ TEXT.T / 0.1, fane_signs, math.log(1 / 0.07), bias).item()
    assert ours == pytest.approx(golden, abs=1e-10)
    loops = reference.sigmoid_loss((IMAGE @ TEXT.T / 0.1).numpy(), fane_signs.numpy(), math.log(1 / 0.07), bias)
    assert ours == pytest.approx(loops, abs=1e-8)  # torch's softplus is the identity above 20: e^-20 per pair


def test_fane_cut_offs_give_identity_or_all():
    similarity = report_similarity(fx((6, 8), 0.2))
    assert torch.equal(sigmoid_signs(similarity, 1.1), 2 * torch.eye(6, dtype=torch.float64) - 1)
    assert (sigmoid_signs(similarity, -1.0) == 1).all()


def test_fane_hard_negatives(fane_signs):
    negatives = fane_signs < 0
    assert hard_negative_pair(IMAGE, TEXT, negatives).item() == pytest.approx(7.257706198939779, abs=1e-10)
    assert hard_negative(IMAGE, negatives).item() == pytest.approx(
        reference.hard_negative(IMAGE.numpy(), negatives.numpy(), 0.07), abs=1e-10
    )


def test_no_negatives_give_zero():
    embeddings = IMAGE.clone().requires_grad_()
    loss = hard_negative(embeddings, torch.zeros(6, 6, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert (embeddings.grad == 0).all()


def test_counterfactual_nt_xent():
    assert nt_xent(FIRST, SECOND, 0.1).item() == pytest.approx(5.832266, abs=5e-5)  # the official 1e-6 epsilon left out
    assert nt_xent(FIRST, SECOND, 0.1).item() == pytest.approx(5.832244192312486, abs=1e-12)
    assert nt_xent(FIRST.float(), SECOND.float(), 0.1).item() == pytest.approx(5.832244192312486, rel=1e-6)


@pytest.mark.parametrize(
    ("positives", "golden"),
    [
        (torch.zeros(6, 6, dtype=torch.bool), 8.331777417589265),
        (BINS[:, None] == BINS, 8.481773299516332),
        ((POSITIONS[:, None] - POSITIONS).abs() < 0.1, 8.464014221952707),
        ((POSITIONS[:, None] - POSITIONS).abs() < 0.35, 8.768471584634126),
    ],
    ids=["simclr", "gcl", "pcl 0.1", "pcl 0.35"],
)
def test_positional_contrastive_learning(positives, golden):
    assert supervised_contrastive(FIRST, SECOND, positives, 0.1, 0.07).item() == pytest.approx(golden, abs=1e-10)
    loops = reference.supervised_contrastive(FIRST.numpy(), SECOND.numpy(), positives.numpy(), 0.1)
    assert supervised_contrastive(FIRST, SECOND, positives, 0.1).item() == pytest.approx(loops, abs=1e-10)


@given(st.permutations(range(6)))
@settings(max_examples=8, deadline=None)
def test_order_does_not_matter(order):
    order = torch.tensor(order)
    same = BINS[:, None] == BINS
    assert supervised_contrastive(FIRST[order], SECOND[order], same[order][:, order]).item() == pytest.approx(
        supervised_contrastive(FIRST, SECOND, same).item(), abs=1e-12
    )


def test_gradients():
    image, text = random_unit(3, 4).requires_grad_(), random_unit(3, 4, seed=1).requires_grad_()
    signs = sigmoid_signs(report_similarity(random_unit(3, 4, seed=2)), 0.3)
    scale, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, 1.0))
    assert torch.autograd.gradcheck(lambda v, t, s, b: pairwise_sigmoid(v @ t.T, signs, s, b), (image, text, scale, bias))
    assert torch.autograd.gradcheck(lambda v: hard_negative(v, signs < 0, None, 0.5), image)
    assert torch.autograd.gradcheck(lambda v, t: nt_xent(v, t, 0.5), (image, text))


def test_bfloat16_autocast():
    first, second, negatives = FIRST.float(), SECOND.float(), ~torch.eye(6, dtype=torch.bool)
    signs = 1 - 2 * negatives.float()
    outside = [nt_xent(first, second), hard_negative(first, negatives), pairwise_sigmoid(first, torch.ones(6, 8), 2.0, 1.0)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = [nt_xent(first, second), hard_negative(first, negatives), pairwise_sigmoid(first, torch.ones(6, 8), 2.0, 1.0)]
        half = pairwise_sigmoid((first @ second.T), signs, 10.0, 10.0)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
    assert half.item() == pytest.approx(pairwise_sigmoid(first @ second.T, signs, 10.0, 10.0).item(), rel=0.05)


def test_the_number_of_operators_does_not_grow_with_the_batch():
    def run(b):
        first, second = random_unit(b, 4).requires_grad_(), random_unit(b, 4, seed=1)
        return nt_xent(first, second) + hard_negative(first, ~torch.eye(b, dtype=torch.bool))

    assert operators(lambda: run(4)) == operators(lambda: run(16))
