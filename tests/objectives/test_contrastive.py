import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sista.errors import SistaError
from sista.objectives.contrastive import contrast, contrast_rows, info_nce, symmetric_contrast
from sista.objectives.similarity import report_similarity
from sista.objectives.targets import (
    MODES,
    Targets,
    eliminate_targets,
    identity_targets,
    make_targets,
    soft_targets,
    triage_targets,
)

from . import reference
from .inputs import alike_teacher, operators, random_unit

LOGITS = random_unit(6, 4) @ random_unit(6, 4, seed=1).T / 0.2
SIMILARITY = report_similarity(alike_teacher())


def gradient(logits, targets):
    logits = logits.clone().requires_grad_()
    loss = contrast(logits, targets)
    loss.backward()
    return loss.item(), logits.grad


@pytest.mark.parametrize(("theta_p", "theta_n"), [(0.95, 0.9), (0.95, 0.2), (0.2, 0.2), (0.2, -0.5), (-1.0, -1.0), (1.1, 1.1)])
def test_triage_matches_the_formula(theta_p, theta_n):
    ours = contrast(LOGITS, triage_targets(SIMILARITY, theta_p, theta_n)).item()
    assert ours == pytest.approx(reference.triage_loss(LOGITS.numpy(), SIMILARITY.numpy(), theta_p, theta_n), abs=1e-12)


@pytest.mark.parametrize("theta_n", [-1.0, 0.2, 0.9, 1.1])
def test_eliminate_matches_the_formula(theta_n):
    ours = contrast(LOGITS, eliminate_targets(SIMILARITY, theta_n)).item()
    assert ours == pytest.approx(reference.eliminate_loss(LOGITS.numpy(), SIMILARITY.numpy(), theta_n), abs=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_soft_matches_the_formula(beta):
    ours = contrast(LOGITS, soft_targets(SIMILARITY, beta, 0.1)).item()
    assert ours == pytest.approx(reference.soft_loss(LOGITS.numpy(), SIMILARITY.numpy(), beta, 0.1), abs=1e-12)


def test_fractional_denominator_weights_match_the_formula():
    generator = torch.Generator().manual_seed(0)
    weights, allowed = torch.rand(2, 3, 5, generator=generator, dtype=torch.float64)
    logits = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    ours = contrast(logits, Targets(weights, allowed)).item()
    assert ours == pytest.approx(reference.general_loss(logits.numpy(), weights.numpy(), allowed.numpy()), abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_cut_offs_above_one_are_infonce(mode, dtype, atol):
    logits = LOGITS.to(dtype)
    targets = make_targets(mode, SIMILARITY.to(dtype), theta_p=1.1, theta_n=1.1, beta=0.0)
    if mode == "sigmoid":  # its Targets only say who is positive; the contrast over them is InfoNCE all the same
        assert torch.equal(targets.negatives, ~torch.eye(6, dtype=torch.bool))
    loss, grad = gradient(logits, targets)
    plain = logits.clone().requires_grad_()
    wanted = F.cross_entropy(plain, torch.arange(6))
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), abs=atol)
    torch.testing.assert_close(grad, plain.grad, atol=atol, rtol=0)


def test_without_negatives_the_loss_is_zero_and_the_gradient_finite():
    for logits in (LOGITS, LOGITS.float(), LOGITS * 100, torch.zeros(6, 6), torch.full((6, 6), 100.0)):
        loss, grad = gradient(logits, triage_targets(SIMILARITY.to(logits.dtype), 0.9, -1.1))
        assert loss == 0
        assert (grad == 0).all()


@pytest.mark.parametrize("mode", ["eliminate", "triage"])
def test_a_batch_of_identical_reports_gives_zero(mode):
    similarity = report_similarity(torch.ones(6, 8))
    loss, grad = gradient(LOGITS, make_targets(mode, similarity, theta_p=0.98, theta_n=0.97))
    assert loss == 0
    assert (grad == 0).all()


@given(st.permutations(range(6)), st.sampled_from(sorted(MODES)))
@settings(max_examples=12, deadline=None)
def test_a_permutation_of_the_batch_changes_nothing(order, mode):
    order = torch.tensor(order)
    image, text = random_unit(6, 4), random_unit(6, 4, seed=1)

    def loss(image, text, similarity):
        return symmetric_contrast(image, text, make_targets(mode, similarity, theta_p=0.9, theta_n=0.3), 0.1).item()

    assert loss(image, text, SIMILARITY) == pytest.approx(loss(image[order], text[order], SIMILARITY[order][:, order]), abs=1e-12)


def test_both_directions():
    image, text = random_unit(6, 4), random_unit(6, 4, seed=1)
    logits = image @ text.T / 0.07
    labels = torch.arange(6)
    wanted = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    assert info_nce(image, text, 0.07).item() == pytest.approx(wanted.item(), abs=1e-12)
    ours = symmetric_contrast(image, text, triage_targets(SIMILARITY, 0.9, 0.3), 0.2).item()
    there = reference.triage_loss((image @ text.T / 0.2).numpy(), SIMILARITY.numpy(), 0.9, 0.3)
    back = reference.triage_loss((text @ image.T / 0.2).numpy(), SIMILARITY.numpy(), 0.9, 0.3)
    assert ours == pytest.approx((there + back) / 2, abs=1e-12)


def test_shares_of_a_gathered_batch_average_to_the_whole():
    image, text = random_unit(6, 4), random_unit(6, 4, seed=1)
    whole = symmetric_contrast(image, text, triage_targets(SIMILARITY, 0.9, 0.3), 0.1)
    shares = []
    for rows in (torch.arange(3), torch.arange(3, 6)):
        targets = triage_targets(SIMILARITY[rows], 0.9, 0.3, own=rows)
        mine = image[rows], text[rows]

        def gather(local, mine=mine):
            return image if local is mine[0] else text

        shares.append(symmetric_contrast(*mine, targets, 0.1, gather))
    assert whole.item() == pytest.approx(torch.stack(shares).mean().item(), abs=1e-12)


def test_info_nce_of_a_gathered_batch_asks_which_pairs_are_its_own():
    image, text = random_unit(6, 4), random_unit(6, 4, seed=1)
    shares = []
    for rows in (torch.arange(3), torch.arange(3, 6)):
        mine = image[rows], text[rows]

        def gather(local, mine=mine):
            return image if local is mine[0] else text

        shares.append(info_nce(*mine, 0.1, gather, own=rows))
        with pytest.raises(SistaError, match="own = rank"):
            info_nce(*mine, 0.1, gather)
    assert info_nce(image, text, 0.1).item() == pytest.approx(torch.stack(shares).mean().item(), abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_gradcheck(mode):
    targets = make_targets(mode, SIMILARITY, theta_p=0.9, theta_n=0.3)
    assert torch.autograd.gradcheck(lambda z: contrast_rows(z, targets), LOGITS.clone().requires_grad_())


def test_bfloat16_autocast_stays_close_to_float32():
    image, text = random_unit(6, 4).float(), random_unit(6, 4, seed=1).float()
    targets = triage_targets(SIMILARITY.float(), 0.9, 0.3)
    wanted = symmetric_contrast(image, text, targets, 0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(symmetric_contrast(image, text, targets, 0.07), wanted)
        half = symmetric_contrast(image.bfloat16(), text.bfloat16(), targets, 0.07)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(wanted.item(), rel=0.05)


def test_the_number_of_operators_does_not_grow_with_the_batch():
    def run(b):
        image, text = random_unit(b, 4).requires_grad_(), random_unit(b, 4, seed=1)
        return symmetric_contrast(image, text, triage_targets(report_similarity(text), 0.9, 0.3), 0.1)

    assert operators(lambda: run(4)) == operators(lambda: run(16))


def test_a_row_without_any_target_counts_nothing():
    targets = identity_targets(6, dtype=torch.float64)
    empty = Targets(torch.zeros_like(targets.weights), targets.allowed)
    assert contrast(LOGITS, empty).item() == 0
    assert torch.isfinite(gradient(LOGITS, empty)[1]).all()
