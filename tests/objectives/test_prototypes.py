"""Sinkhorn-Knopp and MGCA's prototype term."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sista.objectives.prototypes import PrototypeAlignment
from sista.objectives.sinkhorn import sinkhorn

from .inputs import operators, random_unit


def sinkhorn_in_loops(scores, epsilon, iterations):
    q = [[math.exp(s / epsilon) for s in row] for row in scores]
    b, k = len(q), len(q[0])
    for _ in range(iterations):
        for j in range(k):
            column = sum(q[i][j] for i in range(b))
            for i in range(b):
                q[i][j] /= column * k
        for i in range(b):
            row = sum(q[i])
            q[i] = [v / row / b for v in q[i]]
    return np.array([[v / sum(row) for v in row] for row in q])


def loss_in_loops(image, text, prototypes, epsilon, iterations, temperature):
    def log_prob(scores):
        return [[s / temperature - math.log(sum(math.exp(x / temperature) for x in row)) for s in row] for row in scores]

    scores = [(x @ prototypes.T).tolist() for x in (image, text)]
    codes = [sinkhorn_in_loops(s, epsilon, iterations) for s in scores]
    logs = [log_prob(s) for s in scores]
    total = 0.0
    for i in range(len(image)):
        for k in range(len(prototypes)):
            total -= codes[0][i][k] * logs[1][i][k] + codes[1][i][k] * logs[0][i][k]
    return total / 2 / len(image)


def term(count=5, dim=6, **options):
    torch.manual_seed(0)
    return PrototypeAlignment(dim, count, **options).double()


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.2, 1), (0.5, 0)])
def test_sinkhorn_matches_the_loops(epsilon, iterations):
    scores = random_unit(7, 6) @ random_unit(5, 6, seed=1).T
    expected = sinkhorn_in_loops(scores.tolist(), epsilon, iterations)
    np.testing.assert_allclose(sinkhorn(scores, epsilon, iterations).numpy(), expected, atol=1e-10)


def test_sinkhorn_rows_sum_to_one_and_columns_to_their_share():
    scores = random_unit(12, 6) @ random_unit(4, 6, seed=1).T
    scores[:, 0] += 0.5  # a prototype that all like best
    few, many = sinkhorn(scores, 0.1, 3), sinkhorn(scores, 0.1, 200)
    for codes in (few, many):
        torch.testing.assert_close(codes.sum(1), torch.ones(12, dtype=torch.float64))
        assert (codes >= 0).all()
    torch.testing.assert_close(many.sum(0), torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-6, atol=0)
    assert (few.sum(0) - 3).abs().max() < (sinkhorn(scores, 0.1, 0).sum(0) - 3).abs().max() / 2


def test_sinkhorn_survives_scores_whose_exponential_does_not():
    codes = sinkhorn(torch.tensor([[900.0, -900.0], [899.0, 900.0]]), 0.05)
    assert torch.isfinite(codes).all()
    torch.testing.assert_close(codes.sum(1), torch.ones(2))
    assert not sinkhorn(torch.zeros(2, 3, requires_grad=True)).requires_grad


def test_the_loss_matches_the_formula():
    image, text, module = random_unit(7, 6), random_unit(7, 6, seed=1), term(epsilon=0.1)
    loss, log = module(image, text)
    expected = loss_in_loops(image.numpy(), text.numpy(), module.prototypes.detach().numpy(), 0.1, 3, 0.2)
    assert loss.item() == pytest.approx(expected, abs=1e-10)
    assert 1 <= log["prototypes_used"].item() <= 5
    swapped, _ = module(text, image)
    assert swapped.item() == pytest.approx(loss.item(), abs=1e-12)
    order = torch.randperm(7)
    assert module(image[order], text[order])[0].item() == pytest.approx(loss.item(), abs=1e-12)


def test_one_prototype_costs_nothing_and_alike_embeddings_the_log_of_the_number():
    image = random_unit(4, 6)
    assert term(count=1)(image, image)[0].item() == 0
    same = random_unit(1, 6).expand(4, 6)
    assert term(count=5, temperature=1e6)(same, same)[0].item() == pytest.approx(math.log(5), abs=1e-5)


def test_prototypes_come_back_to_unit_length_while_training_only():
    module, image = term(), random_unit(4, 6)
    with torch.no_grad():
        module.prototypes.mul_(3)
    evaluated = module.eval()(image, image)[0]
    assert module.prototypes.norm(dim=1).min() > 2
    assert int(module.steps) == 0
    trained = module.train()(image, image)[0]
    torch.testing.assert_close(module.prototypes.norm(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(evaluated, trained)
    assert int(module.steps) == 1


def test_frozen_prototypes_get_no_gradient_at_first():
    module, image, text = term(freeze_steps=2), random_unit(4, 6).requires_grad_(), random_unit(4, 6, seed=1)
    for step in range(4):
        module.zero_grad()
        image.grad = None
        module(image, text)[0].backward()
        assert (module.prototypes.grad == 0).all().item() == (step < 2)
        assert image.grad.abs().max() > 0


def test_state_goes_on_where_it_stopped():
    one, other = term(freeze_steps=2), term(freeze_steps=2)
    image, text = random_unit(4, 6), random_unit(4, 6, seed=1)
    for _ in range(2):
        one(image, text)
    other.load_state_dict(one.state_dict())
    for module in (one, other):
        module(image, text)[0].backward()
    assert one.prototypes.grad.abs().max() > 0
    assert torch.equal(one.prototypes.grad, other.prototypes.grad)


def test_gradient():
    """Assignments are constants: the gradient is that of the prediction with fixed codes."""
    module, image, text = term().eval(), random_unit(4, 6), random_unit(4, 6, seed=1).requires_grad_()
    module(image, text)[0].backward()
    c = F.normalize(module.prototypes.detach(), dim=1)
    image_code, text_code = sinkhorn(image @ c.T), sinkhorn(text.detach() @ c.T)
    again = text.detach().requires_grad_()
    fixed = -((image_code * (again @ c.T / 0.2).log_softmax(1)) + text_code * (image @ c.T / 0.2).log_softmax(1)).sum(1).mean() / 2
    fixed.backward()
    torch.testing.assert_close(text.grad, again.grad)


def test_bfloat16_autocast():
    torch.manual_seed(0)
    module = PrototypeAlignment(6, 5)
    image, text = random_unit(4, 6, dtype=torch.float32), random_unit(4, 6, seed=1, dtype=torch.float32)
    outside = module(image, text)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(image, text)[0]
        half = module(image.bfloat16(), text.bfloat16())[0]
    torch.testing.assert_close(inside, outside)
    half.backward()
    assert torch.isfinite(module.prototypes.grad).all()
    assert half.item() == pytest.approx(outside.item(), rel=0.1)


def test_the_number_of_operators_does_not_grow_with_the_batch():
    module = term()
    assert operators(lambda: module(random_unit(4, 6), random_unit(4, 6, seed=1))[0]) == operators(
        lambda: module(random_unit(16, 6), random_unit(16, 6, seed=1))[0]
    )
