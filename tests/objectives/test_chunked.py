"""Reports in chunks: the same loss and the same gradients as all at once, whatever the chunk."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.objectives.chunked import films_of, sum_over_reports
from sista.objectives.cross_film import lacking
from sista.objectives.token_alignment import TokenAlignment
from sista.objectives.token_attention import TokenAligner

from .inputs import token_batch

FILMS = torch.tensor([[0, 1], [1, 3], [2, 2], [3, 0], [4, 1]])


def product(words, films, rows):
    return (torch.einsum("ckd,cfpd->ckfp", words, films) ** 2).sum() * (rows.stop - rows.start) / len(words)


def loss_and_gradients(chunk, form, **options):
    words, patches, mask, types, weight = token_batch(b=7)
    words, patches = words.requires_grad_(), patches.requires_grad_()
    alignment = TokenAlignment(form, TokenAligner(sigma=0.3), words=3, films=2, chunk=chunk, **options)
    loss, _ = alignment(words, patches, mask, types, weight, generator=torch.Generator().manual_seed(0), diagnose=False)
    (2 * loss).backward()
    return loss.detach(), words.grad, patches.grad


@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
@pytest.mark.parametrize(
    ("form", "options"), [("cross_film", {}), ("cross_film", {"pooling": "max", "mirror": 0.5}), ("within", {"mirror": 0.5})]
)
def test_loss_and_gradients_are_those_of_all_at_once(form, options, chunk):
    for ours, whole in zip(loss_and_gradients(chunk, form, **options), loss_and_gradients(0, form, **options), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-14)


def test_what_is_left_out_of_the_mean_stays_left_out():
    for ours, whole in zip(*(loss_and_gradients(chunk, "within", skip_single=True) for chunk in (2, 0)), strict=True):
        assert torch.equal(ours, whole)


@pytest.mark.parametrize("trained", [("words",), ("patches",), ("words", "patches")])
def test_either_side_may_be_without_gradient(trained):
    found = []
    for chunk in (2, 0):
        words, patches, *_ = token_batch(b=5, l=2, p=3, d=2)
        leaves = [x.requires_grad_() for name, x in (("words", words), ("patches", patches)) if name in trained]
        if chunk:
            loss = sum_over_reports(product, words, patches, FILMS, chunk)
        else:
            rows = [slice(0, 2), slice(2, 4), slice(4, 5)]
            loss = sum(product(words[some], patches[FILMS[some]], some) for some in rows)
        found.append(torch.autograd.grad(3 * loss, leaves))
    for ours, whole in zip(*found, strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-14)


def test_without_gradient_nothing_is_held_and_a_second_one_is_refused():
    words, patches, *_ = token_batch(b=5)
    words = words.requires_grad_()
    with torch.no_grad():
        assert not sum_over_reports(product, words, patches, FILMS, 2).requires_grad
    loss = sum_over_reports(product, words, patches, FILMS, 2)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="taken already"):
        loss.backward()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_lacking_is_a_comparison_of_all_with_all(b, m, k, words, seed):
    generator = torch.Generator().manual_seed(seed)
    asked = torch.randint(0, 6, (b, k), generator=generator)
    types = torch.randint(0, 6, (m, words), generator=generator)
    mask = torch.rand(m, words, generator=generator) < 0.7
    met = (asked[:, :, None, None] == types) & mask
    assert torch.equal(lacking(asked, types, mask), ~met.any(dim=3))


def test_the_gradient_of_a_film_taken_several_times_repeats_bit_for_bit():
    patches = torch.randn(6, 196, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    films = torch.randint(0, 6, (64, 3), generator=torch.Generator().manual_seed(1))
    given = torch.randn(64, 3, 196, 64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(films_of(patches, films), patches[films])
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        found = [torch.autograd.grad(films_of(patches, films), patches, given)[0] for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], again) for again in found)
    torch.testing.assert_close(found[0], torch.zeros_like(patches).index_put((films,), given, accumulate=True))
