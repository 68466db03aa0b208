import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.errors import SistaError
from sista.objectives.cross_film import (
    all_film_scores,
    allowed_films,
    contrast_films,
    cross_film_contrast,
    film_scores,
    lacking,
    report_score_contrast,
    sample_films,
    sample_words,
)
from sista.objectives.targets import Targets, identity_targets
from sista.objectives.token_attention import WEIGHTINGS, TokenAligner
from sista.objectives.token_contrast import within_report_contrast

from . import reference
from .inputs import operators, random_unit, token_batch, unit

ALIGNER = TokenAligner(sigma=0.3)


def similarity_of(b, seed=5):
    teacher = random_unit(b, 3, seed=seed)
    return teacher @ teacher.T


def loss_of(words, types, mask, patches, **options):
    options = {"films": None, "aligner": ALIGNER, "temperature": 0.2} | options
    if "others" in options:
        del options["films"]
        return contrast_films(words, mask, patches, allowed_films(lacking(types, types, mask)), **options)
    return cross_film_contrast(words, types, mask, patches, types, mask, **options)


@pytest.mark.parametrize("combine", ["and", "or"])
@pytest.mark.parametrize("theta_n", [None, 0.3, -1.1])
def test_all_films_match_the_formula(combine, theta_n):
    words, patches, mask, types, _ = token_batch()
    similarity = None if theta_n is None else similarity_of(4)
    cut = 1.0 if theta_n is None else theta_n
    ours = loss_of(words, types, mask, patches, similarity=similarity, theta_n=cut, combine=combine).item()
    arrays = [x.numpy() for x in (words, types, mask, patches, types, mask)]
    s = None if similarity is None else similarity.numpy()
    assert ours == pytest.approx(reference.cross_film(*arrays, s, cut, 0.3, 0.2, combine), abs=1e-9)


def test_drawn_films_match_the_formula():
    words, patches, mask, types, _ = token_batch(b=5)
    others = torch.tensor([[1, 3], [0, 2], [4, 0], [1, 2], [3, 0]])
    ours = loss_of(words, types, mask, patches, others=others).item()
    arrays = [x.numpy() for x in (words, types, mask, patches, types, mask)]
    assert ours == pytest.approx(reference.cross_film(*arrays, None, 1.0, 0.3, 0.2, others=others.tolist()), abs=1e-9)


def test_as_many_drawn_films_as_there_are_is_all_of_them():
    words, patches, mask, types, _ = token_batch()
    drawn = loss_of(words, types, mask, patches, films=9, generator=torch.Generator().manual_seed(0)).item()
    assert drawn == pytest.approx(loss_of(words, types, mask, patches).item(), abs=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("films", [None, 2])
def test_alike_films_cost_the_log_of_their_number(weighting, films):
    """Shortcut control: whatever the words do, films that are alike cannot be told apart."""
    words = random_unit(4, 3, 6)
    patches = random_unit(1, 9, 6, seed=1).expand(4, 9, 6)
    types = torch.arange(12).reshape(4, 3)  # no word occurs twice: all other films are allowed
    mask = torch.ones(4, 3, dtype=torch.bool)
    loss = loss_of(words, types, mask, patches, films=films, aligner=TokenAligner(weighting, k=3))
    assert loss.item() == pytest.approx(math.log(1 + (films or 3)), abs=1e-10)


def test_the_film_decides_here_and_not_within_a_report():
    """A film shows what its report says: right films cost little, wrong ones much; the within-report loss does not see it."""
    b, d = 4, 8
    basis = torch.eye(d, dtype=torch.float64)
    words = basis[:4].reshape(b, 1, d)  # report i speaks of finding i
    background = basis[4:].expand(b, 4, d)
    films = torch.cat([background, words], 1)
    types, mask = torch.arange(b)[:, None], torch.ones(b, 1, dtype=torch.bool)
    right, wrong = (loss_of(words, types, mask, f).item() for f in (films, films.roll(1, 0)))
    assert right < 0.5
    assert wrong > right + 0.5
    mean_film = unit(films.mean(0)).expand_as(films)
    assert loss_of(words, types, mask, mean_film).item() == pytest.approx(math.log(4), abs=1e-10)

    report = basis[4:].expand(b, 4, d)  # words that have a fixed place on the grid
    spoken = torch.ones(b, 4, dtype=torch.bool)
    costs = [within_report_contrast(ALIGNER(report, f)[0], report, spoken).item() for f in (films, films.roll(1, 0), mean_film)]
    assert max(costs) - min(costs) < 1e-9


def test_nothing_to_contrast_gives_zero_and_a_finite_gradient():
    words, patches, mask, types, _ = token_batch(dtype=torch.float32)
    everywhere = torch.ones_like(types)  # every report has the word
    nobody = torch.zeros_like(mask)
    one = slice(0, 1)
    for films in (None, 2):
        cases = [(words, everywhere, mask, patches), (words, types, nobody, patches)]
        cases.append((words[one], types[one], mask[one], patches[one]))
        for w, t, m, p in cases:
            w = w.clone().requires_grad_()
            loss = cross_film_contrast(w, t, m, p, t, torch.ones_like(m), films=films)
            loss.backward()
            assert loss.item() == 0
            assert (w.grad == 0).all()


@given(st.permutations(range(4)), st.permutations(range(5)))
@settings(max_examples=8, deadline=None)
def test_order_does_not_matter(reports, order):
    words, patches, mask, types, _ = token_batch()
    similarity = similarity_of(4)
    r, w = torch.tensor(reports), torch.tensor(order)
    wanted = loss_of(words, types, mask, patches, similarity=similarity, theta_n=0.5).item()
    moved = loss_of(words[r][:, w], types[r][:, w], mask[r][:, w], patches[r], similarity=similarity[r][:, r], theta_n=0.5).item()
    assert moved == pytest.approx(wanted, abs=1e-12)
    targets = identity_targets(4, dtype=torch.float64)
    assert report_score_contrast(words[r][:, w], patches[r], mask[r][:, w], targets).item() == pytest.approx(
        report_score_contrast(words, patches, mask, targets).item(), abs=1e-12
    )


@given(st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_padding_has_no_effect(extra):
    words, patches, mask, types, _ = token_batch()
    more = torch.cat([words, torch.ones(4, extra, 6, dtype=words.dtype) * 30], 1)
    more_mask = torch.cat([mask, torch.zeros(4, extra, dtype=torch.bool)], 1)
    more_types = torch.cat([types, torch.zeros(4, extra, dtype=types.dtype)], 1)
    assert loss_of(more, more_types, more_mask, patches).item() == pytest.approx(loss_of(words, types, mask, patches).item(), abs=1e-12)
    targets = identity_targets(4, dtype=torch.float64)
    assert report_score_contrast(more, patches, more_mask, targets).item() == pytest.approx(
        report_score_contrast(words, patches, mask, targets).item(), abs=1e-12
    )


def test_word_sampling_follows_the_weights_and_never_takes_padding():
    mask = torch.tensor([[True] * 4 + [False]] * 4000)
    weight = torch.tensor([[0.6, 0.3, 0.1, 0.0, 1.0]] * 4000)
    index, real = sample_words(mask, weight, 1, torch.Generator().manual_seed(0))
    assert real.all()
    shares = torch.bincount(index.flatten(), minlength=5) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.1, 0.0, 0.0]), atol=0.03, rtol=0)
    index, real = sample_words(mask[:8], weight[:8], 9, torch.Generator().manual_seed(0))
    assert index.shape == (8, 5)
    assert real.sum(1).tolist() == [3] * 8
    assert all(len(set(row.tolist())) == 5 for row in index)
    assert index[real].max() == 2
    index, real = sample_words(mask[:8], None, 2)
    assert real.all()
    assert index.max() <= 3


def test_sampling_repeats_with_the_generator():
    mask = torch.ones(6, 9, dtype=torch.bool)
    draws = [sample_words(mask, None, 3, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_drawn_films_are_others_and_useful_ones():
    types = torch.tensor([[1], [1], [1], [2], [1]])
    mask = torch.ones(5, 1, dtype=torch.bool)
    allowed = allowed_films(lacking(types, types, mask))
    others = sample_films(allowed, mask, 1, torch.Generator().manual_seed(0))
    assert others[[0, 1, 2, 4], 0].tolist() == [3, 3, 3, 3]  # only film 3 lacks word 1
    assert others[3, 0] != 3
    everybody = sample_films(allowed, mask, 9)
    assert everybody.shape == (5, 4)
    assert all(i not in row for i, row in enumerate(everybody.tolist()))


def test_padding_of_another_report_does_not_count_as_its_word():
    types = torch.tensor([[7, 3], [5, 7]])
    mask = torch.tensor([[True, True], [True, False]])
    assert lacking(types, types, mask).tolist() == [[[False, True], [False, True]], [[True, False], [False, True]]]


def test_max_pooling_is_the_best_patch():
    words, patches, *_ = token_batch()
    scores = film_scores(words, patches[:, None], ALIGNER, "max")[..., 0]
    torch.testing.assert_close(scores, (words @ patches.mT).amax(-1))
    with pytest.raises(SistaError, match="pooling"):
        film_scores(words, patches[:, None], ALIGNER, "mean")
    with pytest.raises(SistaError, match="combine"):
        loss_of(words, torch.ones(4, 5, dtype=torch.long), torch.ones(4, 5, dtype=torch.bool), patches, combine="xor")


def test_report_score_matches_the_formula():
    words, patches, mask, *_ = token_batch()
    mask[3] = False
    ours = report_score_contrast(words, patches, mask, identity_targets(4, dtype=torch.float64), ALIGNER, 0.2).item()
    assert ours == pytest.approx(reference.report_score(words.numpy(), patches.numpy(), mask.numpy(), 0.3, 0.2), abs=1e-9)


def test_a_film_counts_in_full_where_one_of_its_reports_has_no_words():
    words, patches, mask, *_ = token_batch()
    mask[3] = False
    shared = torch.tensor([[0.5, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5]], dtype=torch.float64)
    everyone = torch.ones(4, 4, dtype=torch.float64)
    ours = report_score_contrast(words, patches, mask, Targets(shared, everyone), ALIGNER, 0.2)
    told = shared.clone()
    told[0] = torch.tensor([1.0, 0, 0, 0])  # what is left of film 0's, made whole
    to_film, to_report = (report_score_contrast(words, patches, mask, Targets(t, everyone), ALIGNER, 0.2) for t in (shared, told))
    scores = all_film_scores(words, patches, ALIGNER).masked_fill(~mask[:, :, None], 0).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    scores = scores / 0.2
    rows = -(shared[:3] * scores.log_softmax(1)[:3]).sum(1)
    columns = -(told[:3, :3] * scores[:3].T.log_softmax(1)[:3]).sum(1)
    assert ours.item() == pytest.approx(((rows + columns) / 2).mean().item(), abs=1e-9)
    assert to_film.item() != pytest.approx(to_report.item())


def test_report_score_without_words_is_zero():
    words, patches, mask, *_ = token_batch(dtype=torch.float32)
    words = words.requires_grad_()
    for told, weight in ((torch.zeros_like(mask), None), (mask, torch.zeros(mask.shape))):
        loss = report_score_contrast(words, patches, told, identity_targets(4), ALIGNER, 0.1, weight)
        loss.backward()
        assert loss.item() == 0
        assert (words.grad == 0).all()


def test_gradcheck():
    words, patches, mask, types, _ = token_batch(b=3, l=2, p=4, d=3)
    words, patches = words.requires_grad_(), patches.requires_grad_()
    others = torch.tensor([[1], [2], [0]])
    assert torch.autograd.gradcheck(lambda w, p: loss_of(w, types, mask, p, others=others), (words, patches))
    assert torch.autograd.gradcheck(lambda w, p: loss_of(w, types, mask, p), (words, patches))
    targets = identity_targets(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w, p: report_score_contrast(w, p, mask, targets, ALIGNER, 0.5), (words, patches))


def test_float32_inside_autocast():
    words, patches, mask, types, _ = token_batch(dtype=torch.float32)
    targets = identity_targets(4)
    wanted = loss_of(words, types, mask, patches), report_score_contrast(words, patches, mask, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss_of(words, types, mask, patches), report_score_contrast(words, patches, mask, targets)
        half = loss_of(words.bfloat16(), types, mask, patches.bfloat16())
    assert all(torch.equal(a, b) for a, b in zip(inside, wanted, strict=True))
    assert half.item() == pytest.approx(wanted[0].item(), rel=0.1)


@pytest.mark.parametrize("films", [None, 2])
def test_the_number_of_operators_does_not_grow_with_the_batch(films):
    def run(b):
        words, patches, mask, types, weight = token_batch(b)
        index, real = sample_words(mask, weight, 3)
        words, kinds = words.take_along_dim(index[:, :, None], 1).requires_grad_(), types.gather(1, index)
        loss = cross_film_contrast(words, kinds, real, patches, types, mask, similarity_of(b), 0.5, films)
        return loss + report_score_contrast(words, patches, real, identity_targets(b, dtype=torch.float64))

    assert operators(lambda: run(4)) == operators(lambda: run(16))
