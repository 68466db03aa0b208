"""GLoRIA's local term against loops; chunks change nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.objectives.local_alignment import local_contrast, local_scores
from sista.objectives.token_attention import TokenAligner

from . import reference
from .inputs import operators, token_batch

OPTIONS = {"attention_temperature": 0.3, "word_temperature": 0.2, "score_temperature": 0.25}


def score_in_loops(words, film, attention, word, score):
    """Z of one report, its valid words [l,d], on one film [p,d]."""
    s = words @ film.T
    if word:
        s = [[math.exp(s[i][p] / word) / sum(math.exp(row[p] / word) for row in s) for p in range(len(film))] for i in range(len(words))]
    total = 0.0
    for i in range(len(words)):
        below = sum(math.exp(v / attention) for v in s[i])
        view = reference.unit(sum(math.exp(v / attention) / below * p for v, p in zip(s[i], film, strict=True)))
        total += math.exp(view @ words[i] / score)
    return math.log(total)


def loss_in_loops(words, patches, mask, temperature, attention, word, score):
    words, patches, mask = words.numpy(), patches.numpy(), mask.numpy()
    told = [i for i in range(len(words)) if mask[i].any()]
    z = {
        (i, f): score_in_loops(words[i][mask[i]], patches[f], attention, word, score) / temperature for i in told for f in range(len(words))
    }
    total = 0.0
    for i in told:
        total -= (z[i, i] - math.log(sum(math.exp(z[i, f]) for f in range(len(words))))) / 2
        total -= (z[i, i] - math.log(sum(math.exp(z[j, i]) for j in told))) / 2
    return total / len(told)


@pytest.mark.parametrize("word_temperature", [0.2, 0.0])
@pytest.mark.parametrize("silent", [False, True])
def test_the_loss_matches_the_formula(word_temperature, silent):
    words, patches, mask, *_ = token_batch(5)
    if silent:
        mask[1] = False
    options = OPTIONS | {"word_temperature": word_temperature}
    ours = local_contrast(words, patches, mask, 0.2, **options, chunk=2)
    assert ours.item() == pytest.approx(loss_in_loops(words, patches, mask, 0.2, 0.3, word_temperature, 0.25), abs=1e-10)


def test_without_the_softmax_over_words_a_word_looks_as_the_dense_aligner_does():
    words, patches = (x[:3] for x in token_batch()[:2])
    words = words[:, :1]
    scores = local_scores(words, torch.ones(3, 1, dtype=torch.bool), patches, 0.3, 0.0, 1.0)
    views, _ = TokenAligner("softmax", temperature=0.3)(words, patches)
    torch.testing.assert_close(scores.diagonal(), (views * words).sum(-1).squeeze(1))


@pytest.mark.parametrize("kept", [0, 2**26])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 99])
def test_chunks_change_neither_loss_nor_gradient(chunk, kept):
    def run(chunk):
        words, patches, mask, *_ = token_batch(5)
        leaves = words.requires_grad_(), patches.requires_grad_()
        loss = local_contrast(*leaves, mask, chunk=chunk, kept=kept)
        return loss, *torch.autograd.grad(loss, leaves)

    for ours, whole in zip(run(chunk), run(0), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-10, atol=1e-12)


@given(st.permutations(range(4)), st.permutations(range(5)), st.integers(0, 3))
@settings(max_examples=8, deadline=None)
def test_order_and_padding_do_not_matter(reports, order, extra):
    words, patches, mask, *_ = token_batch()
    r, w = torch.tensor(reports), torch.tensor(order)
    more = torch.cat([words[r][:, w], 30 * torch.ones(4, extra, 6, dtype=words.dtype)], 1)
    more_mask = torch.cat([mask[r][:, w], torch.zeros(4, extra, dtype=torch.bool)], 1)
    moved = local_contrast(more, patches[r], more_mask, chunk=3).item()
    assert moved == pytest.approx(local_contrast(words, patches, mask).item(), abs=1e-10)


def test_no_words_one_pair_and_alike_films():
    words, patches, mask, *_ = token_batch(dtype=torch.float32)
    words = words.requires_grad_()
    for w, p, m in ((words, patches, torch.zeros_like(mask)), (words[:1], patches[:1], mask[:1])):
        words.grad = None
        loss = local_contrast(w, p, m, chunk=2)
        loss.backward()
        assert loss.item() == 0
        assert (words.grad == 0).all()
    alike = local_contrast(words[:1].expand(4, -1, -1), patches[:1].expand(4, -1, -1), mask[:1].expand(4, -1))
    assert alike.item() == pytest.approx(math.log(4), abs=1e-5)


def test_gradcheck():
    words, patches, mask, *_ = token_batch(b=3, l=2, p=4, d=3)
    leaves = words.requires_grad_(), patches.requires_grad_()
    assert torch.autograd.gradcheck(lambda w, p: local_contrast(w, p, mask, 0.5, **OPTIONS, chunk=2), leaves)


def test_float32_inside_autocast_in_the_recomputed_chunks_too():
    def run(enabled, dtype=torch.float32):
        words, patches, mask, *_ = token_batch(dtype=torch.float32)
        words.requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = local_contrast(words.to(dtype), patches.to(dtype), mask, chunk=1, kept=0)
        return loss, torch.autograd.grad(loss, words)[0]

    outside = run(False)
    assert all(torch.equal(a, b) for a, b in zip(run(True), outside, strict=True))
    loss, grad = run(True, torch.bfloat16)
    assert loss.item() == pytest.approx(outside[0].item(), rel=0.1)
    assert torch.isfinite(grad).all()


def test_products_in_bfloat16_change_loss_and_gradient_by_rounding_only():
    def run(products):
        words, patches, mask, *_ = token_batch(5, dtype=torch.float32)
        words.requires_grad_()
        loss = local_contrast(words, patches, mask, chunk=2, products=products)
        return loss, torch.autograd.grad(loss, words)[0]

    (exact, grad), (coarse, other) = run(None), run(torch.bfloat16)
    assert coarse.dtype == other.dtype == torch.float32
    assert coarse.item() != exact.item()
    assert coarse.item() == pytest.approx(exact.item(), rel=0.01)
    assert torch.cosine_similarity(grad.flatten(), other.flatten(), dim=0) > 0.999


def test_short_reports_do_not_pay_for_long_ones():
    def most(lengths):
        words, patches, *_ = token_batch(4, dtype=torch.float32)
        mask = torch.arange(words.shape[1]) < torch.tensor(lengths)[:, None]
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            local_contrast(words.requires_grad_(), patches, mask, chunk=2)
        return sum(sizes)

    assert most([5, 1, 5, 1]) == most([5, 5, 1, 1]) < most([5, 5, 5, 5])


def test_operators_grow_with_the_chunks_only():
    def run(b, chunk):
        words, patches, mask, *_ = token_batch(b)
        return operators(lambda: local_contrast(words.requires_grad_(), patches, mask, chunk=chunk))

    assert run(4, 0) == run(16, 0) == run(16, 16)
    assert run(8, 2) == run(16, 4) == run(32, 8)
    assert run(16, 2) > run(16, 4)


def test_memory_kept_for_the_backward_pass_does_not_hold_all_pairs():
    def held(chunk, kept):
        words, patches, mask, *_ = token_batch(16, dtype=torch.float32)
        words.requires_grad_()
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            local_contrast(words, patches, torch.ones_like(mask), chunk=chunk, kept=kept)
        return max(sizes), sum(sizes)

    pairs = 16 * 16 * 5 * 9
    assert held(0, 0)[0] >= pairs
    assert held(2, pairs - 1)[0] <= pairs / 8
    assert held(2, 0)[1] < pairs < held(2, pairs)[1]  # few enough are kept, and not computed twice
