"""SISTA from its parts: degenerate settings equal the baseline, controls do what they say, settings are checked."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods import METHODS, make_method, methods, settings_of
from sista.methods.method import StepResult
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder


@pytest.fixture(scope="module")
def batch(corpus_path: Path) -> Batch:
    return Corpus.open(corpus_path).batch(np.arange(12), teacher="labels")


def encoder_of() -> DualEncoder:
    return DualEncoder(ImageEncoder("sista_compact", image_size=64), TextEncoder("compact", vocabulary=2000, dropout=0.0), dim=16)


def result(batch: Batch, name: str = "sista", cutoff: float = 0.99, **given: object) -> StepResult:
    torch.manual_seed(0)
    learner = make_method(name, encoder_of(), lambda share: cutoff, settings_of(name, given))
    learner.train()
    return learner(batch, eval_view(batch.images, 64), torch.Generator().manual_seed(0), statistics=True)


@pytest.mark.parametrize("mode", ["identity", "eliminate", "triage"])
def test_cut_offs_above_one_and_no_token_term_are_the_baseline(batch: Batch, mode: str) -> None:
    unique = replace(batch, report_key=torch.arange(12))
    ours = result(unique, mode=mode, theta_p=2.0, theta_n=2.0, token_weight=0.0)
    baseline = result(unique, "clip")
    if mode == "triage":  # the same sum in another order
        torch.testing.assert_close(ours.loss, baseline.loss, rtol=1e-6, atol=0)
    else:
        assert torch.equal(ours.loss, baseline.loss)
    assert float(ours.statistics["share_negatives"]) == 1


def test_elimination_removes_equal_findings(batch: Batch) -> None:
    found = result(batch, mode="eliminate")
    same = batch.truth_key[:, None] == batch.truth_key[None, :]
    expected = (same.sum() - 12) / (12 * 11)
    assert float(found.statistics["share_ignored"]) == pytest.approx(float(expected))
    assert float(found.statistics["removed_precision"]) == float(found.statistics["removed_recall"]) == 1


def test_the_loss_is_the_weighted_sum_of_its_terms(batch: Batch) -> None:
    found = result(batch, instance_weight=0.5, token_weight=0.25)
    torch.testing.assert_close(found.loss, 0.5 * found.terms["instance"] + 0.25 * found.terms["token"])


@pytest.mark.parametrize("form", ["cross_film", "within", "report_score"])
@pytest.mark.parametrize("weighting", ["minmax", "topk", "entmax", "sparsemax", "softmax"])
def test_every_form_and_weighting_has_a_finite_gradient(batch: Batch, form: str, weighting: str) -> None:
    found = result(batch, token_form=form, weighting=weighting)
    found.loss.backward()
    assert torch.isfinite(found.loss)


@pytest.mark.parametrize("mode", ["soft", "sigmoid"])
def test_other_targets(batch: Batch, mode: str) -> None:
    assert torch.isfinite(result(batch, mode=mode).loss)


def test_wrong_films_give_the_token_term_another_study(batch: Batch) -> None:
    right, wrong = result(batch), result(batch, wrong_films=True)
    assert not torch.equal(right.terms["token"], wrong.terms["token"])
    assert torch.equal(right.terms["instance"], wrong.terms["instance"])


def test_settings_are_checked() -> None:
    with pytest.raises(SistaError, match="did you mean 'sigma'"):
        settings_of("sista", {"sigm": 1})
    with pytest.raises(SistaError, match="must be float"):
        settings_of("sista", {"sigma": "much"})
    with pytest.raises(SistaError, match="must be bool"):
        settings_of("sista", {"wrong_films": "perhaps"})
    for words in (2.5, "inf", "1e400", None):
        with pytest.raises(SistaError, match="must be int"):
            settings_of("sista", {"words": words})
    with pytest.raises(SistaError, match="setting mode of method 'sista' is None; it must be str"):
        settings_of("sista", {"mode": None})
    assert settings_of("sista", {"words": "8", "wrong_films": "true", "sigma": "0.5"}).words == 8
    with pytest.raises(SistaError, match="did you mean 'sista'"):
        settings_of("siista", {})


@pytest.mark.parametrize(
    ("name", "given", "what"),
    [
        ("sista", {"token_temperature": -0.1}, "above zero"),
        ("sista", {"attention_temperature": 0}, "above zero"),
        ("sista", {"mirror": -1}, "0 or more"),
        ("sista-paper", {"words": -1}, "0 or more"),
        ("sista", {"token_weight": "nan"}, "a number"),
        ("sista", {"token_weight": "inf"}, "a number"),
        ("sparc", {"token_temperature": 0}, "above zero"),
        ("gloria", {"attention_temperature": -0.25}, "above zero"),
        ("gloria", {"word_temperature": -0.1}, "0 or more"),
        ("fane", {"hard_temperature": -0.07}, "above zero"),
        ("fane", {"sentences": 0}, "above zero"),
        ("mgca", {"epsilon": 0}, "above zero"),
        ("mgca", {"prototypes": 0}, "above zero"),
        ("mgca", {"iterations": 0}, "above zero"),
        ("imitate", {"ratio": -1}, "0 or more"),
        ("medclip", {"label_temperature": 0}, "above zero"),
    ],
)
def test_signs_are_checked_before_anything_runs(name: str, given: dict[str, float], what: str) -> None:
    with pytest.raises(SistaError, match=rf"setting {next(iter(given))} of method '{name}' is .*; it must be {what}"):
        settings_of(name, given)


@pytest.mark.parametrize("name", METHODS)
def test_what_must_be_positive_is_a_setting_and_is_by_default(name: str) -> None:
    settings = settings_of(name, {})
    kind = type(make_method(name, encoder_of(), lambda share: 0.99, settings))
    for setting in kind.above_zero:
        assert getattr(settings, setting) > 0
    for setting in (*kind.above_zero, *kind.not_below_zero):
        assert settings_of(name, {setting: 1}) is not None
    assert {field.name for field in fields(settings) if field.name.endswith("_weight")} <= set(kind.not_below_zero)


def test_methods_lists_and_documents_every_setting() -> None:
    assert set(methods()) == set(METHODS)
    for name in METHODS:
        told = methods(name)
        kind = type(settings_of(name, {}))
        for field in fields(kind):
            assert f"{field.name}:" in told["help"]
            assert told["settings"][field.name] == field.default
