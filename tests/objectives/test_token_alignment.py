import pytest
import torch

from sista.errors import SistaError
from sista.objectives.cross_film import allowed_films, contrast_films, cross_film_contrast, lacking, report_score_contrast, sample_films
from sista.objectives.targets import identity_targets
from sista.objectives.token_alignment import FORMS, TokenAlignment
from sista.objectives.token_attention import WEIGHTINGS, TokenAligner
from sista.objectives.token_contrast import patch_to_word, pool_sentences, within_report_contrast

from .inputs import operators, random_unit, token_batch

ALIGNER = TokenAligner(sigma=0.3)


def test_within_all_words_is_the_papers_term():
    words, patches, mask, types, weight = token_batch()
    loss, log = TokenAlignment("within", ALIGNER, words=None, weighted=False)(words, patches, mask, types, weight)
    grounded, _ = ALIGNER(words, patches)
    assert torch.equal(loss, within_report_contrast(grounded, words, mask, types))
    assert set(log) == {"patches_per_word", "attention_entropy", "wrong_film_gap"}
    plain, _ = TokenAlignment("within", ALIGNER, words=None, weighted=False, mask_repeats=False)(words, patches, mask, types)
    assert torch.equal(plain, within_report_contrast(grounded, words, mask))
    heavy, _ = TokenAlignment("within", ALIGNER, words=None)(words, patches, mask, types, weight)
    assert torch.equal(heavy, within_report_contrast(grounded, words, mask, types, word_weight=weight))


def test_the_best_patch_has_no_weights_to_be_told():
    words, patches, mask, types, _ = token_batch()
    _, log = TokenAlignment("cross_film", ALIGNER, words=None, films=None, pooling="max")(words, patches, mask, types)
    assert set(log) == {"wrong_film_gap", "contrasted_words"}


def test_reports_of_one_word_may_be_left_out():
    words, patches, mask, types, _ = token_batch()
    counted, skipped = (TokenAlignment("within", words=None, skip_single=s)(words, patches, mask, types)[0] for s in (False, True))
    assert skipped.item() == pytest.approx(counted.item() * 4 / 3, abs=1e-12)


def test_drawing_all_words_is_taking_them_all():
    words, patches, mask, types, _ = token_batch()
    for form in FORMS:
        drawn, _ = TokenAlignment(form, ALIGNER, words=99, films=None)(words, patches, mask, types)
        everything, _ = TokenAlignment(form, ALIGNER, words=None, films=None)(words, patches, mask, types)
        assert drawn.item() == pytest.approx(everything.item(), abs=1e-12)


def test_cross_film_and_report_score_are_their_parts():
    words, patches, mask, types, _ = token_batch()
    similarity = random_unit(4, 3) @ random_unit(4, 3).T
    loss, log = TokenAlignment("cross_film", ALIGNER, words=None, films=None, theta_n=0.5)(
        words, patches, mask, types, similarity=similarity
    )
    assert torch.equal(loss, cross_film_contrast(words, types, mask, patches, types, mask, similarity, 0.5, None, ALIGNER))
    assert 0 < log["contrasted_words"] <= 1
    loss, _ = TokenAlignment("report_score", ALIGNER, words=None)(words, patches, mask)
    assert torch.equal(loss, report_score_contrast(words, patches, mask, identity_targets(4), ALIGNER))


def test_words_are_looked_up_in_whole_reports():
    """Report 1 has word 7 in a sentence that is left out: its film is no negative of that word."""
    words, patches = random_unit(3, 2, 8), random_unit(3, 5, 8)
    types, mask = torch.tensor([[7, 2], [3, 0], [4, 5]]), torch.tensor([[True, True], [True, False], [True, True]])
    alignment = TokenAlignment("cross_film", ALIGNER, words=None, films=None)

    def loss(whole):
        return alignment(words, patches, mask, types, report_type=whole)[0].item()

    same, longer = torch.tensor([[7, 2, 0], [3, 0, 0], [4, 5, 0]]), torch.tensor([[7, 2, 0], [3, 8, 7], [4, 5, 0]])
    assert loss(same) == loss(None) == alignment(words, patches, mask, types)[0].item()
    lack = lacking(types, longer, longer != 0)
    assert lack[0].tolist() == [[False, False, True], [False, True, True]]
    assert loss(longer) == pytest.approx(contrast_films(words, mask, patches, allowed_films(lack), None, ALIGNER).item(), abs=1e-9)
    assert loss(longer) != loss(same)


@pytest.mark.parametrize("drawn", [False, True])
def test_weights_count_in_the_mean_over_all_words(drawn):
    words, patches, mask, types, weight = token_batch()
    weight = weight * (torch.arange(5) != 1)  # one word of each report does not count at all
    allowed = allowed_films(lacking(types, types, mask), None, 1.0, "and")
    others = sample_films(allowed, mask, 2, torch.Generator().manual_seed(0)) if drawn else None
    total, whole = 0.0, 0.0
    for report, word in mask.nonzero().tolist():
        alone = torch.zeros_like(mask)
        alone[report, word] = True
        seen = allowed if others is None else allowed.gather(2, others[:, None, :].expand(-1, 5, -1))
        if seen[report, word].any():
            total += weight[report, word].item() * contrast_films(words, alone, patches, allowed, others, ALIGNER).item()
            whole += weight[report, word].item()
    assert contrast_films(words, mask, patches, allowed, others, ALIGNER, weight=weight).item() == pytest.approx(total / whole, abs=1e-9)
    of_one = contrast_films(words, mask, patches, allowed, others, ALIGNER, weight=torch.ones_like(weight))
    torch.testing.assert_close(of_one, contrast_films(words, mask, patches, allowed, others, ALIGNER))
    if not drawn:
        loss, _ = TokenAlignment("cross_film", ALIGNER, words=None, films=None)(words, patches, mask, types, weight)
        assert loss.item() == pytest.approx(total / whole, abs=1e-9)


def test_sentences_and_mirror():
    words, patches, mask, types, _ = token_batch()
    sentence = torch.tensor([0, 0, 1, 1, 2]).expand(4, 5)
    loss, _ = TokenAlignment("within", ALIGNER, words=None, unit="sentence", mirror=0.5)(
        words, patches, mask, types, word_sentence=sentence
    )
    sentences, real = pool_sentences(words, mask, sentence)
    grounded, _ = ALIGNER(sentences, patches)
    wanted = within_report_contrast(grounded, sentences, real) + 0.5 * patch_to_word(sentences, patches, real, ALIGNER)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-12)


def test_the_gap_sees_whether_the_film_matters():
    basis = torch.eye(8)
    words = basis[:4].reshape(4, 1, 8)
    films = torch.cat([basis[4:].expand(4, 4, 8), words], 1)
    types, mask = torch.arange(4)[:, None], torch.ones(4, 1, dtype=torch.bool)
    _, log = TokenAlignment("cross_film")(words, films, mask, types)
    assert log["wrong_film_gap"] > 1
    report = basis[4:].expand(4, 4, 8)
    _, log = TokenAlignment("within")(report, films, torch.ones(4, 4, dtype=torch.bool), torch.arange(4).expand(4, 4))
    assert abs(log["wrong_film_gap"].item()) < 1e-5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_form_with_every_weighting(form, weighting):
    def run(b, half=False):
        words, patches, mask, types, weight = token_batch(b, dtype=torch.bfloat16 if half else torch.float32)
        words = words.requires_grad_()
        alignment = TokenAlignment(form, TokenAligner(weighting, k=3), words=3, films=2, mirror=0.1)
        loss, log = alignment(words, patches, mask, types, weight.float(), generator=torch.Generator().manual_seed(0))
        assert all(value.ndim == 0 and not value.requires_grad for value in log.values())
        return loss

    assert operators(lambda: run(4)) == operators(lambda: run(16))
    wanted = run(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(4), wanted)
        assert run(4, half=True).item() == pytest.approx(wanted.item(), rel=0.3)


def test_without_diagnosis_nothing_more_is_computed():
    words, patches, mask, types, _ = token_batch()
    alignment = TokenAlignment("within", words=None)
    _, log = alignment(words, patches, mask, types, diagnose=False)
    assert log == {}
    assert operators(lambda: alignment(words, patches, mask, types, diagnose=False)[0]) < operators(
        lambda: alignment(words, patches, mask, types)[0]
    )


def test_what_is_missing_is_named():
    words, patches, mask, types, _ = token_batch()
    with pytest.raises(SistaError, match=r"temperature is -0\.1; it must be above 0"):
        TokenAlignment("within", temperature=-0.1)
    with pytest.raises(SistaError, match="did you mean 'within'"):
        TokenAlignment("witin")
    with pytest.raises(SistaError, match="sentence"):
        TokenAlignment("cross_film", unit="sentence")
    with pytest.raises(SistaError, match="word_type"):
        TokenAlignment("cross_film")(words, patches, mask)
    with pytest.raises(SistaError, match="word_sentence"):
        TokenAlignment("within", unit="sentence")(words, patches, mask, types)
