import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sista.errors import SistaError
from sista.objectives.token_attention import TokenAligner
from sista.objectives.token_contrast import patch_to_word, pool_sentences, within_report_contrast

from . import reference
from .inputs import fx, operators, random_unit, token_batch, unit

ALIGNER = TokenAligner(sigma=0.3)


def term(words, patches, mask, types=None, weight=None, **settings):
    grounded, _ = ALIGNER(words, patches)
    return within_report_contrast(grounded, words, mask, types, word_weight=weight, **settings)


def full(words):
    return torch.ones(words.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_matches_the_formula(repeats, weighted):
    words, patches, mask, types, weight = token_batch()
    types, weight = types if repeats else None, weight if weighted else None
    ours = term(words, patches, mask, types, weight, temperature=0.2).item()
    as_numpy = [None if x is None else x.numpy() for x in (words, patches, mask, types, weight)]
    assert ours == pytest.approx(reference.within(*as_numpy[:4], 0.2, 0.3, as_numpy[4]), abs=1e-10)


def test_fane_local_loss():
    grounded, words = unit(fx((4, 8), 0.3))[None], unit(fx((4, 8), 0.8))[None]
    assert within_report_contrast(grounded, words, full(words), temperature=0.07).item() == pytest.approx(0.36054448136249073, abs=1e-12)


def test_directions():
    words, patches, mask, types, _ = token_batch()
    one = term(words, patches, mask, types, directions="grounded_to_word")
    two = term(words, patches, mask, types, directions="word_to_grounded")
    assert term(words, patches, mask, types).item() == pytest.approx((one.item() + two.item()) / 2, abs=1e-12)
    with pytest.raises(SistaError, match="directions"):
        term(words, patches, mask, directions="bth")


def test_a_report_of_one_word_gives_zero_and_may_be_skipped():
    words, patches, mask, types, _ = token_batch()
    assert term(words[2:3], patches[2:3], mask[2:3]).item() == 0
    kept = torch.tensor([0, 1, 3])
    without = term(words[kept], patches[kept], mask[kept], types[kept])
    assert term(words, patches, mask, types, skip_single=True).item() == pytest.approx(without.item(), abs=1e-12)
    assert term(words, patches, mask, types).item() == pytest.approx(without.item() * 3 / 4, abs=1e-12)


def test_a_report_of_one_word_repeated_gives_zero():
    words, patches, *_ = token_batch()
    types = torch.full((4, 5), 3)
    assert term(words, patches, full(words), types).item() == 0
    assert term(words, patches, full(words), types, skip_single=True).item() == 0


def test_repeated_words_are_not_negatives_of_each_other():
    words, patches, *_ = token_batch(b=1)
    words = words.clone()
    words[0, 1] = words[0, 0]
    types = torch.tensor([[1, 1, 2, 3, 4]])
    grounded, _ = ALIGNER(words, patches)
    rows = within_report_contrast(grounded[:, 1:], words[:, 1:], full(words[:, 1:]), types[:, 1:], directions="grounded_to_word")
    twice = within_report_contrast(grounded, words, full(words), types, directions="grounded_to_word")
    plain = within_report_contrast(grounded, words, full(words), directions="grounded_to_word")
    assert twice < plain
    # the word's own row is the same with and without its double
    own = torch.zeros(1, 5, dtype=torch.float64)
    own[0, 1] = 1
    doubled = within_report_contrast(grounded, words, full(words), types, word_weight=own, directions="grounded_to_word")
    single = within_report_contrast(
        grounded[:, 1:], words[:, 1:], full(words[:, 1:]), types[:, 1:], word_weight=own[:, 1:], directions="grounded_to_word"
    )
    assert doubled.item() == pytest.approx(single.item(), abs=1e-12)
    assert rows > 0


def test_all_padding_gives_zero_and_a_finite_gradient():
    words, patches, *_ = token_batch(dtype=torch.float32)
    words = words.requires_grad_()
    for options in ({}, {"skip_single": True}, {"weight": torch.zeros(4, 5)}):
        loss = term(words, patches, torch.zeros(4, 5, dtype=torch.bool), **options)
        loss.backward()
        assert loss.item() == 0
        assert (words.grad == 0).all()


@given(st.integers(0, 6), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_padding_has_no_effect(extra, seed):
    words, patches, mask, types, weight = token_batch()
    b, _, d = words.shape
    longer = torch.cat([words, random_unit(b, extra, d, seed=seed) * 50], 1)
    more_mask = torch.cat([mask, torch.zeros(b, extra, dtype=torch.bool)], 1)
    more_types = torch.cat([types, torch.zeros(b, extra, dtype=types.dtype)], 1)
    more_weight = torch.cat([weight, torch.ones(b, extra, dtype=weight.dtype)], 1)
    wanted = term(words, patches, mask, types, weight).item()
    assert term(longer, patches, more_mask, more_types, more_weight).item() == pytest.approx(wanted, abs=1e-12)
    mirror = patch_to_word(words, patches, mask, ALIGNER).item()
    assert patch_to_word(longer, patches, more_mask, ALIGNER).item() == pytest.approx(mirror, abs=1e-12)


@given(st.permutations(range(4)), st.permutations(range(5)), st.permutations(range(9)))
@settings(max_examples=8, deadline=None)
def test_order_of_reports_words_and_patches_does_not_matter(reports, order, places):
    words, patches, mask, types, weight = token_batch()
    wanted = term(words, patches, mask, types, weight).item()
    r, w, p = torch.tensor(reports), torch.tensor(order), torch.tensor(places)
    moved = term(words[r][:, w], patches[r][:, p], mask[r][:, w], types[r][:, w], weight[r][:, w]).item()
    assert moved == pytest.approx(wanted, abs=1e-12)


def test_constant_patches_do_not_break_it():
    words, _, mask, types, _ = token_batch(dtype=torch.float32)
    patches = torch.ones(4, 9, 6).div(6**0.5).requires_grad_()
    words = words.requires_grad_()
    loss = term(words, patches, mask, types)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(words.grad).all()
    assert torch.isfinite(patches.grad).all()


def test_it_can_be_solved_without_the_film():
    """The shortcut: words that take grid positions score as well on one mean film as on their own."""
    words = torch.eye(6, dtype=torch.float64)[None, :5].expand(4, 5, 6)
    grid = torch.cat([torch.eye(6, dtype=torch.float64), torch.eye(6, dtype=torch.float64)[:3]])
    films = unit(grid + 0.05 * random_unit(4, 9, 6))
    mean_film = unit(films.mean(0)).expand_as(films)
    own, other, mean = (term(words, f, full(words)).item() for f in (films, films.roll(1, 0), mean_film))
    assert own < 0.01
    assert abs(own - other) < 0.01
    assert abs(own - mean) < 0.01


def test_gradcheck():
    words, patches, mask, types, weight = token_batch(b=2, l=3, p=4, d=3)
    assert torch.autograd.gradcheck(lambda w, p: term(w, p, mask, types, weight), (words.requires_grad_(), patches.requires_grad_()))


def test_float32_inside_autocast():
    words, patches, mask, types, weight = token_batch(dtype=torch.float32)
    wanted = term(words, patches, mask, types, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(term(words, patches, mask, types, weight), wanted)
        half = term(words.bfloat16(), patches.bfloat16(), mask, types, weight)
    assert half.item() == pytest.approx(wanted.item(), rel=0.1)


def test_the_number_of_operators_does_not_grow_with_the_batch():
    def run(b):
        words, patches, mask, types, weight = token_batch(b)
        words = words.requires_grad_()
        return term(words, patches, mask, types, weight, skip_single=True) + patch_to_word(words, patches, mask, ALIGNER)

    assert operators(lambda: run(4)) == operators(lambda: run(16))


def test_the_mirror_term_matches_the_formula():
    words, patches, mask, *_ = token_batch()
    mask[3] = False
    ours = patch_to_word(words, patches, mask, ALIGNER, 0.2).item()
    assert ours == pytest.approx(reference.patch_to_word(words.numpy(), patches.numpy(), mask.numpy(), 0.3, 0.2), abs=1e-9)


def test_a_report_of_one_word_has_no_mirror_term():
    words, patches, mask, *_ = token_batch()
    one = torch.zeros_like(mask)
    one[:, 1] = True
    assert patch_to_word(words, patches, one, ALIGNER).item() == 0


def test_sentences_are_means_of_their_words():
    words, _, mask, *_ = token_batch()
    sentence = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 2, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]])
    sentences, real = pool_sentences(words, mask, sentence, 3)
    assert real.tolist() == [[True, True, False], [True, True, True], [True, False, False], [True, True, False]]
    torch.testing.assert_close(sentences[0, 1], unit(words[0, 2:5].mean(0)))
    torch.testing.assert_close(sentences[1, 2], words[1, 3])
    torch.testing.assert_close(sentences[2, 0], words[2, 0])  # its padding carries sentence 0, too
    assert (sentences[2, 1:] == 0).all()
    longer, mask_longer = pool_sentences(words, mask, sentence)
    assert longer.shape == (4, 5, 6)
    torch.testing.assert_close(longer[:, :3], sentences)
    assert not mask_longer[:, 3:].any()
