import numpy as np
import pytest
import torch

from sista.errors import SistaError
from sista.objectives.token_attention import (
    WEIGHTINGS,
    TokenAligner,
    entmax_weights,
    minmax_sparse,
    minmax_weights,
    softmax_weights,
    topk_weights,
)

from . import reference
from .inputs import operators, random_unit, token_batch

SCORES = torch.randn(3, 4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sigma", [None, 0.0, 0.3, 0.7, 1.0])
def test_minmax_matches_the_formula(sigma):
    ours = minmax_weights(SCORES, sigma)
    for row, scores in zip(ours.flatten(0, 1), SCORES.flatten(0, 1), strict=True):
        np.testing.assert_allclose(row, reference.minmax(scores.tolist(), 1 / 9 if sigma is None else sigma), atol=1e-12)


def test_minmax_of_words_and_patches():
    words, patches, *_ = token_batch()
    torch.testing.assert_close(minmax_sparse(words, patches, 0.3), minmax_weights(torch.einsum("bld,bpd->blp", words, patches), 0.3))


@pytest.mark.parametrize(("alpha", "slow"), [(2.0, reference.sparsemax), (1.5, reference.entmax15)])
def test_entmax_is_exact(alpha, slow):
    for temperature in (0.1, 1.0):
        ours = entmax_weights(SCORES, alpha, temperature)
        for row, scores in zip(ours.flatten(0, 1), SCORES.flatten(0, 1), strict=True):
            np.testing.assert_allclose(row, slow((scores / temperature).tolist()), atol=1e-9)
    assert (entmax_weights(SCORES, alpha, 1.0) == 0).any()


def test_topk_keeps_k_and_softmax_keeps_all():
    kept = topk_weights(SCORES, 3, 0.5)
    assert ((kept > 0).sum(-1) == 3).all()
    best = SCORES.topk(3, dim=-1).values
    torch.testing.assert_close(kept.topk(3, dim=-1).values, torch.softmax(best / 0.5, -1))
    torch.testing.assert_close(topk_weights(SCORES, 50, 0.5), softmax_weights(SCORES, 0.5))
    assert (softmax_weights(SCORES, 0.5) > 0).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_sum_to_one_or_to_nothing_for_a_constant_row(weighting):
    aligner = TokenAligner(weighting, k=3)
    torch.testing.assert_close(aligner.weigh(SCORES).sum(-1), torch.ones(3, 4, dtype=torch.float64), atol=1e-5, rtol=0)
    constant = torch.full((1, 2, 9), 0.4, requires_grad=True)
    weights = aligner.weigh(constant)
    weights.square().sum().backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(constant.grad).all()
    total = weights.sum(-1)
    assert (((total - 1).abs() < 1e-5) | (total == 0)).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_equal_patches_give_a_finite_view_and_gradient(weighting):
    words = random_unit(2, 3, 4, dtype=torch.float32).requires_grad_()
    patches = random_unit(1, 1, 4, seed=1, dtype=torch.float32).expand(2, 9, 4).clone().requires_grad_()
    grounded, weights = TokenAligner(weighting, k=3)(words, patches)
    (grounded.sum() + weights.square().sum()).backward()
    for tensor in (grounded, weights, words.grad, patches.grad):
        assert torch.isfinite(tensor).all()
    assert patches.grad.abs().max() < 1e3


@pytest.mark.parametrize("sigma", [0.3, None])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_masked_entries_are_as_if_absent(weighting, sigma):
    aligner = TokenAligner(weighting, sigma, k=3)
    mask = torch.arange(9) < 6
    weights = aligner.weigh(SCORES, mask.expand(3, 4, 9))
    torch.testing.assert_close(weights[..., :6], aligner.weigh(SCORES[..., :6]))
    assert (weights[..., 6:] == 0).all()
    assert (aligner.weigh(SCORES, torch.zeros(3, 4, 9, dtype=torch.bool)) == 0).all()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_gradcheck(weighting):
    words, patches = random_unit(1, 2, 4).requires_grad_(), random_unit(1, 5, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, p: TokenAligner(weighting, k=3, temperature=0.5)(w, p), (words, patches))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_float32_inside_autocast(weighting):
    words, patches, *_ = token_batch(dtype=torch.float32)
    aligner = TokenAligner(weighting, k=3)
    outside = aligner(words, patches)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = aligner(words, patches)
        half = aligner(words.bfloat16(), patches.bfloat16())
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
    assert half[0].dtype == torch.float32
    torch.testing.assert_close(half[0], outside[0], atol=0.3, rtol=0)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_number_of_operators_does_not_grow_with_the_batch(weighting):
    def run(b):
        words, patches, *_ = token_batch(b)
        return TokenAligner(weighting, k=3)(words.requires_grad_(), patches)[0].sum()

    assert operators(lambda: run(4)) == operators(lambda: run(16))


def test_bad_settings_are_refused():
    with pytest.raises(SistaError, match="did you mean 'minmax'"):
        TokenAligner("minmx")
    for nothing_left in (1.0, 1.5):
        with pytest.raises(SistaError, match="sigma"):
            TokenAligner(sigma=nothing_left)
    with pytest.raises(SistaError, match="alpha"):
        entmax_weights(SCORES, 1.3)
