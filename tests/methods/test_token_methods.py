"""GLoRIA, MGCA, SPARC and FaNe: each equals loops written from its paper, and a simpler method where its parts are switched off."""

from __future__ import annotations

import math
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods import make_method, settings_of
from sista.methods.method import Method, StepResult
from sista.models.dual_encoder import DualEncoder
from sista.models.embeddings import Embeddings
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder
from sista.objectives.token_contrast import pool_sentences
from sista.training.pretrain import pretrain
from sista.training.settings import OptimizerSettings, RunSettings
from tests.objectives.inputs import operators

METHODS = ("gloria", "mgca", "sparc", "fane")
BARE = {  # what switches all but the instance term off
    "gloria": {"local_weight": 0.0, "temperature": 0.07},
    "mgca": {"token_weight": 0.0, "prototype_weight": 0.0},
    "sparc": {"token_weight": 0.0, "global_weight": 1.0},
    "fane": {"sentence_weight": 0.0, "sparsity_weight": 0.0, "hard_negative_weight": 0.0, "kappa": 2.0},
}
WEIGHTS = {
    "gloria": {"global_weight": "instance", "local_weight": "token"},
    "mgca": {"instance_weight": "instance", "token_weight": "token", "prototype_weight": "prototype"},
    "sparc": {"global_weight": "instance", "token_weight": "token"},
    "fane": {
        "instance_weight": "instance",
        "sentence_weight": "sentence",
        "sparsity_weight": "sparsity",
        "hard_negative_weight": "hard_negative",
    },
}
TOKEN_TERMS = {"gloria": {"token"}, "mgca": {"token"}, "sparc": {"token"}, "fane": {"sentence", "sparsity"}}


@pytest.fixture(scope="module")
def batch(corpus_path: Path) -> Batch:
    return Corpus.open(corpus_path).batch(np.arange(12), teacher="tfidf")


def learner_of(name: str, **given: object) -> Method:
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder("sista_compact", image_size=64), TextEncoder("compact", vocabulary=2000, dropout=0.0), dim=16)
    return make_method(name, encoder, lambda share: 0.99, settings_of(name, given)).train()


def step(learner: Method, batch: Batch) -> StepResult:
    return learner(batch, eval_view(batch.images, 64), torch.Generator().manual_seed(0), statistics=True)


def embed(learner: Method, batch: Batch) -> Embeddings:
    with torch.no_grad():
        return learner.encoder(eval_view(batch.images, 64), batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    return Batch(**{field.name: getattr(batch, field.name)[rows] for field in fields(Batch)})


def cross_entropy(logits: np.ndarray) -> float:
    """Mean over the rows of -log softmax at the diagonal, both directions averaged."""
    total = 0.0
    for i in range(len(logits)):
        row, column = (math.log(sum(math.exp(v) for v in line)) for line in (logits[i], logits[:, i]))
        total += (row + column) / 2 - logits[i, i]
    return total / len(logits)


def normalised(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def double(x: Tensor) -> np.ndarray:
    return x.double().numpy()


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_is_the_weighted_sum_of_its_terms(batch: Batch, name: str) -> None:
    given = {weight: 0.3 + 0.2 * place for place, weight in enumerate(WEIGHTS[name])}
    found = step(learner_of(name, **given), batch)
    assert set(found.terms) == set(WEIGHTS[name].values())
    torch.testing.assert_close(found.loss, sum(value * found.terms[WEIGHTS[name][weight]] for weight, value in given.items()))
    assert "temperature" in found.statistics


@pytest.mark.parametrize("name", METHODS)
def test_the_instance_term_alone_is_the_simpler_method(batch: Batch, name: str) -> None:
    unique = replace(batch, report_key=torch.arange(12))
    simpler = {"mode": "identity", "token_weight": 0.0}
    if name == "fane":  # nobody reaches kappa: the sigmoid loss with own pairs only
        learner = learner_of(name, **BARE[name])
        e = embed(learner, unique)
        z = double(e.image @ e.text.T) * math.log(1 / 0.07) / 0.1
        signs = 2 * np.eye(12) - 1
        expected = np.logaddexp(0, signs * (-z - 10)).sum() / 12
        found = step(learner, unique)
        assert found.loss.item() == pytest.approx(expected, rel=1e-5)
    else:
        found = step(learner_of(name, **BARE[name]), unique)
        assert torch.equal(found.loss, step(learner_of("sista", **simpler), unique).loss)
    assert set(found.terms) == {"instance"}


@pytest.mark.parametrize("name", METHODS)
def test_order_of_the_pairs_and_padding_do_not_matter(batch: Batch, name: str) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = rows_of(batch, order)
    more = {
        "pieces": 0, "piece_mask": False, "piece_word": -1, "word_mask": False, "word_type": 0, "word_weight": 0.0, "word_sentence": 0,
    }  # fmt: skip
    padded = replace(batch, **{k: torch.nn.functional.pad(getattr(batch, k), (0, 4), value=v) for k, v in more.items()})
    wanted = step(learner_of(name), batch)
    for other in (moved, padded):
        found = step(learner_of(name), other)
        for term, value in wanted.terms.items():
            torch.testing.assert_close(found.terms[term], value, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["mgca", "sparc", "fane", "sista"])
def test_another_film_of_the_same_study_is_no_wrong_film(batch: Batch, name: str) -> None:
    method, twice = learner_of(name), rows_of(batch, torch.arange(len(batch)) // 2 * 2)  # each pair two times

    def gap(of: Batch) -> float:
        return step(method, of).statistics["wrong_film_gap"].item()

    apart = gap(replace(twice, report_key=torch.arange(len(batch))))  # half of the wrong films are the right ones
    assert abs(gap(twice)) > abs(apart) > 0


@pytest.mark.parametrize("name", METHODS)
def test_gradients_are_finite_inside_autocast_and_reach_both_encoders(batch: Batch, name: str) -> None:
    learner = learner_of(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = step(learner, batch)
    found.loss.backward()
    assert found.loss.dtype == torch.float32
    missing = [n for n, p in learner.named_parameters() if p.requires_grad and p.grad is None]
    assert not [n for n in missing if "pooler" not in n], missing
    assert all(torch.isfinite(p.grad).all() for p in learner.parameters() if p.grad is not None)
    for part in (learner.encoder.image_head, learner.encoder.patch_head, learner.encoder.text_head, learner.encoder.word_head):
        assert part.last.weight.grad.abs().max() > 0


class Encoded(nn.Module):
    """Stands in for an encoder whose work is done: what is left are the operators of the losses."""

    def __init__(self, embeddings: Embeddings) -> None:
        super().__init__()
        names = ("image", "patches", "text", "words")
        self.embeddings = replace(embeddings, **{name: getattr(embeddings, name).clone().requires_grad_() for name in names})

    def forward(self, *tensors: Tensor) -> Embeddings:
        return self.embeddings


@pytest.mark.parametrize("name", METHODS)
def test_operators_neither_grow_with_the_batch_nor_wait_for_the_device(batch: Batch, name: str) -> None:
    def count(rows: int, **given: object) -> int:
        some = rows_of(batch, torch.arange(rows))
        learner = learner_of(name, **given)
        learner.encoder = Encoded(embed(learner, some))
        return operators(lambda: learner(some, some.images, torch.Generator()).loss)

    whole = {"chunk": 0} if name == "gloria" else {}
    assert count(4, **whole) == count(8, **whole)
    if name == "gloria":
        counts = count(4, chunk=2), count(8, chunk=4), count(12, chunk=6)  # two chunks each
        assert max(counts) - min(counts) <= 3  # a cut to the longest report that cuts nothing is no operator


def test_gloria_matches_its_formula(batch: Batch) -> None:
    learner = learner_of("gloria", chunk=5)
    e, found = embed(learner, batch), step(learner, batch)
    scores = np.zeros((12, 12))
    for i in range(12):
        words = double(e.words[i][batch.word_mask[i]])
        for f in range(12):
            film = double(e.patches[f])
            among_words = np.stack([softmax(column / 0.1) for column in (words @ film.T).T], axis=1)
            views = [normalised(softmax(4 * row) @ film) for row in among_words]
            scores[i, f] = math.log(sum(math.exp(5 * view @ word) for view, word in zip(views, words, strict=True)))
    assert found.terms["token"].item() == pytest.approx(cross_entropy(10 * scores), rel=1e-4)
    assert found.terms["instance"].item() == pytest.approx(cross_entropy(10 * double(e.image @ e.text.T)), rel=1e-5)


def test_sparc_matches_its_formula(batch: Batch) -> None:
    learner = learner_of("sparc")
    e, found = embed(learner, batch), step(learner, batch)
    total = 0.0
    for i in range(12):
        words, patches = double(e.words[i][batch.word_mask[i]]), double(e.patches[i])
        views = []
        for word in words:
            s = patches @ word
            u = (s - s.min()) / (s.max() - s.min())
            u[u < 1 / len(patches)] = 0
            views.append(normalised(u / u.sum() @ patches))
        total += cross_entropy(np.stack(views) @ words.T / 0.1)
    assert found.terms["token"].item() == pytest.approx(total / 12, rel=1e-3)
    torch.testing.assert_close(found.loss, 0.5 * found.terms["instance"] + found.terms["token"])


def test_sparc_is_the_token_term_of_sista_paper_where_no_word_repeats(batch: Batch) -> None:
    ours = step(learner_of("sparc", mask_repeats=True), batch).terms["token"]
    assert torch.equal(ours, step(learner_of("sista-paper"), batch).terms["token"])
    assert not torch.equal(ours, step(learner_of("sparc"), batch).terms["token"])
    alone = replace(batch, word_type=torch.arange(batch.word_type.numel()).view_as(batch.word_type))
    torch.testing.assert_close(step(learner_of("sparc"), batch).terms["token"], step(learner_of("sista-paper"), alone).terms["token"])


def test_mgca_tokens_match_the_formula(batch: Batch) -> None:
    learner = learner_of("mgca")
    e, found = embed(learner, batch), step(learner, batch)
    total = 0.0
    for i in range(12):
        words, patches = double(e.words[i][batch.word_mask[i]]), double(e.patches[i])
        for ones, others in ((words, patches), (patches, words)):
            views = np.stack([normalised(softmax(others @ one / 0.1) @ others) for one in ones])
            total += cross_entropy(ones @ views.T / 0.1) / 2
    assert found.terms["token"].item() == pytest.approx(total / 12, rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_token_term_on_wrong_films_is_that_of_the_pair_befores_patches(batch: Batch, name: str) -> None:
    own, wrong, rolled = step(learner_of(name), batch), step(learner_of(name, wrong_films=True), batch), learner_of(name)
    rolled.encoder.register_forward_hook(lambda _, __, found: replace(found, patches=found.patches.roll(1, dims=0)))
    expected = step(rolled, batch)
    assert all(torch.equal(wrong.terms[term], value) for term, value in expected.terms.items())
    assert {term for term, value in own.terms.items() if not torch.equal(wrong.terms[term], value)} == TOKEN_TERMS[name]
    assert torch.isfinite(wrong.loss)


def test_the_second_token_term_of_sista_is_that_of_mgca(batch: Batch) -> None:
    mgca = step(learner_of("mgca", prototype_weight=0.0, token_weight=0.5), batch)
    sista = step(learner_of("sista", mode="identity", token_weight=0.0, within_weight=0.5), batch)
    torch.testing.assert_close(sista.terms["within"], mgca.terms["token"])
    torch.testing.assert_close(sista.loss, mgca.loss)
    both = step(learner_of("sista", token_weight=0.1, within_weight=0.5), batch)
    torch.testing.assert_close(both.loss, both.terms["instance"] + 0.1 * both.terms["token"] + 0.5 * both.terms["within"])
    wrong = step(learner_of("sista", token_weight=0.0, within_weight=0.5, wrong_films=True), batch)
    assert not torch.equal(wrong.terms["within"], sista.terms["within"])


def test_projections_of_its_own_begin_as_none_and_leave_the_words_alone(batch: Batch) -> None:
    learner = learner_of("sista", within_weight=0.5, within_projections=True)
    found, plain = step(learner, batch), step(learner_of("sista", within_weight=0.5), batch)
    torch.testing.assert_close(found.loss, plain.loss)
    found.loss.backward()
    heads = [head.weight for head in learner.within_heads]
    maps = [weight.detach() for weight in heads]
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in heads)
    with torch.no_grad():
        for weight in heads:
            weight.copy_(torch.linspace(-40, 40, weight.numel()).view_as(weight).sin())
    e, turned = embed(learner, batch), step(learner, batch)
    torch.testing.assert_close(turned.terms["token"], plain.terms["token"])  # what grounding reads has not changed
    total = 0.0
    for i in range(12):
        words = np.stack([normalised(w @ double(maps[0]).T) for w in double(e.words[i][batch.word_mask[i]])])
        patches = np.stack([normalised(p @ double(maps[1]).T) for p in double(e.patches[i])])
        for ones, others in ((words, patches), (patches, words)):
            views = np.stack([normalised(softmax(others @ one / 0.1) @ others) for one in ones])
            total += cross_entropy(ones @ views.T / 0.1) / 2
    assert turned.terms["within"].item() == pytest.approx(total / 12, rel=1e-4)
    assert turned.terms["within"].item() != pytest.approx(plain.terms["within"].item(), rel=1e-2)


@pytest.mark.parametrize(
    ("image", "block", "given", "message"),
    [
        ("sista_vit", None, {}, "the patches of sista_vit are those of its deepest stage already; give model.patch_block"),
        ("sista_vit", 6, {}, "deepest stage already"),
        ("test_resnet", None, {}, "deepest stage already"),
        ("sista_vit", 0, {"within_weight": 0.0}, "give a within_weight, and leave within_detached out"),
        ("sista_vit", 0, {"within_detached": True}, "give a within_weight, and leave within_detached out"),
    ],
)
def test_deepest_patches_that_are_none_of_their_own(image: str, block: int | None, given: dict, message: str) -> None:
    made = ImageEncoder(image, image_size=64, patch_stride=32, patch_block=block)
    encoder = DualEncoder(made, TextEncoder("compact", vocabulary=50), dim=16)
    with pytest.raises(SistaError, match=message):
        make_method("sista", encoder, lambda share: 0.99, settings_of("sista", {"within_deepest": True, "within_weight": 0.5, **given}))


def test_deepest_patches_of_a_compact_encoder_that_has_no_deeper_map() -> None:
    made = ImageEncoder("sista_compact", image_size=64, options={"local": 3})
    encoder = DualEncoder(made, TextEncoder("compact", vocabulary=50), dim=16)
    with pytest.raises(SistaError, match="the patches of sista_compact are those of its deepest stage already"):
        make_method("sista", encoder, lambda share: 0.99, settings_of("sista", {"within_deepest": True, "within_weight": 0.5}))


@pytest.mark.parametrize(("name", "block"), [("sista_vit", 0), ("sista_vit", 2), ("sista_compact", None), ("test_resnet", None)])
def test_within_the_report_words_may_look_at_the_deepest_patches(batch: Batch, name: str, block: int | None) -> None:
    """MGCA's term of the deepest patches by a projection of their own, the term across films of those that grounding reads."""
    torch.manual_seed(0)
    image = ImageEncoder(name, image_size=64, patch_block=block)
    encoder = DualEncoder(image, TextEncoder("compact", vocabulary=2000, dropout=0.0), dim=16)
    given = {"within_weight": 0.5, "within_projections": True, "within_deepest": True}
    learner = make_method("sista", encoder, lambda share: 0.99, settings_of("sista", given)).train()
    found, films = step(learner, batch), eval_view(batch.images, 64)
    words = embed(learner, batch).words
    with torch.no_grad():
        model = image.model
        last = model.forward_intermediates(films, norm=True)[1][-1] if name == "sista_vit" else model.forward_features(films)
        patches = learner.deepest_head(last.flatten(2).transpose(1, 2))
    total = 0.0
    for i in range(12):
        of_report, of_film = double(words[i][batch.word_mask[i]]), double(patches[i])
        for ones, others in ((of_report, of_film), (of_film, of_report)):
            views = np.stack([normalised(softmax(others @ one / 0.1) @ others) for one in ones])
            total += cross_entropy(ones @ views.T / 0.1) / 2
    assert found.terms["within"].item() == pytest.approx(total / 12, rel=1e-3)
    found.terms["within"].backward(retain_graph=True)
    assert encoder.patch_head.last.weight.grad is None  # nor do they move what the term across films reads
    assert learner.deepest_head.last.weight.grad.any()
    found.terms["token"].backward()
    assert encoder.patch_head.last.weight.grad.any()
    wrong = make_method("sista", encoder, lambda share: 0.99, settings_of("sista", {**given, "wrong_films": True})).train()
    wrong.load_state_dict(learner.state_dict())
    assert not torch.equal(step(wrong, batch).terms["within"], found.terms["within"])


@pytest.mark.parametrize("projections", [False, True])
def test_a_detached_within_report_term_trains_the_text_alone(batch: Batch, projections: bool) -> None:
    given = {"token_weight": 0.0, "instance_weight": 0.0, "within_weight": 1.0, "within_projections": projections}
    learner, whole = learner_of("sista", within_detached=True, **given), learner_of("sista", **given)
    found, same = step(learner, batch), step(whole, batch)
    torch.testing.assert_close(found.loss, same.loss)
    found.loss.backward()
    same.loss.backward()
    moved = {name for name, p in learner.encoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    moved_by_all = {name for name, p in whole.encoder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert not any(name.startswith(("image.", "patch_head.")) for name in moved)
    assert any(name.startswith("image.") for name in moved_by_all)
    assert any(name.startswith("word_head.") for name in moved)


def test_mgca_weighs_words_where_asked(batch: Batch) -> None:
    alike = replace(batch, word_weight=batch.word_mask.float())
    plain, weighted = step(learner_of("mgca"), batch), step(learner_of("mgca", weighted=True), batch)
    assert not torch.equal(plain.terms["token"], weighted.terms["token"])
    torch.testing.assert_close(step(learner_of("mgca", weighted=True), alike).terms["token"], plain.terms["token"])


def test_fane_matches_its_formula(batch: Batch) -> None:
    given = {"kappa": 0.3, "bias": 10.0}
    learner = learner_of("fane", **given)
    e, found = embed(learner, batch), step(learner, batch)
    reports = double(batch.teacher)
    prototype = reports.mean(0)
    offset = np.mean([r @ normalised(prototype) for r in reports])
    positive = np.zeros((12, 12), bool)
    for i in range(12):
        for j in range(12):
            alike = (min(reports[i] @ reports[j], 1.0) - offset) / (1 - offset + 1e-6)
            positive[i, j] = i == j or batch.report_key[i] == batch.report_key[j] or alike > 0.3
    assert 12 < positive.sum() < 144
    image, text = double(e.image), double(e.text)
    scores = image @ text.T / 0.1
    sigmoid = np.logaddexp(0, np.where(positive, 1, -1) * (-math.log(1 / 0.07) * scores + 10)).sum()
    assert found.terms["instance"].item() == pytest.approx(sigmoid / 12, rel=1e-4)
    hard = 0.0
    for side in (image, text):
        for i in range(12):
            z = np.array([side[i] @ side[j] / 0.07 for j in range(12) if not positive[i, j]])
            hard += softmax(z / 0.07) @ z / 2
    assert found.terms["hard_negative"].item() == pytest.approx(hard / 12, rel=1e-4)
    assert found.statistics["share_positives"].item() == pytest.approx((positive.sum() - 12) / 132)

    losses, gates = [], []
    with torch.no_grad():
        for i in range(12):
            kept = sorted(set(batch.word_sentence[i][batch.word_mask[i]].tolist()))
            means = [e.words[i][batch.word_mask[i] & (batch.word_sentence[i] == s)].mean(0) for s in kept]
            sentences = torch.stack([x / x.norm() for x in means])
            views, _, gate = learner.pooling(sentences[None], e.patches[i][None])
            gates.append(gate.mean().item())
            if len(kept) > 1:
                losses.append(cross_entropy(double(views[0] @ sentences.T) / 0.07))
    assert found.terms["sentence"].item() == pytest.approx(np.mean(losses), rel=1e-3)
    assert found.terms["sparsity"].item() == pytest.approx(np.mean(gates), rel=1e-4)


def test_fane_keeps_the_offset_and_leaves_out_sentences_past_the_limit(batch: Batch) -> None:
    learner = learner_of("fane", sentences=1)
    assert step(learner, batch).terms["sentence"] == 0
    first = learner.instance.offset.offset.clone()
    assert first > 0
    step(learner, rows_of(batch, torch.arange(4)))
    assert learner.instance.offset.offset != first
    assert "instance.offset.offset" in learner.state_dict()
    evaluated = learner.eval().instance.offset.offset.clone()
    step(learner, batch)
    assert torch.equal(learner.instance.offset.offset, evaluated)


def test_fane_bias_starts_where_it_is_told(batch: Batch) -> None:
    published, siglip = (step(learner_of("fane", bias=bias), batch) for bias in (-10.0, 10.0))
    assert published.statistics["bias"] == -10
    assert published.terms["instance"] > siglip.terms["instance"] + 50  # a cost of 10 for most of eleven negatives


def test_a_report_of_one_sentence_has_nothing_to_tell_apart(batch: Batch) -> None:
    single = replace(batch, word_sentence=torch.zeros_like(batch.word_sentence))
    assert step(learner_of("fane"), single).terms["sentence"] == 0
    _, mask = pool_sentences(torch.ones(*batch.word_mask.shape, 2), batch.word_mask, single.word_sentence, 16)
    assert mask.sum() == 12


@pytest.mark.parametrize("name", METHODS)
def test_a_run_goes_on_from_its_checkpoint_to_the_same_weights(corpus_path: Path, tmp_path: Path, name: str) -> None:
    def run() -> dict:
        return pretrain(
            corpus_path,
            tmp_path / "run",
            method=name,
            settings={"mgca": {"prototypes": 20, "freeze_steps": 2}}.get(name),
            optimizer=OptimizerSettings(epochs=1, batch_size=24),
            run=RunSettings(progress=False, checkpoint_every=2, evaluate_every=3, log_every=1),
        )

    summary = run()
    assert summary["steps"] == 4
    assert math.isfinite(summary["last"]["loss"])
    last = tmp_path / "run" / "checkpoints" / "step-0000004"
    whole = load_file(last / "method.safetensors")
    if name == "mgca":
        assert int(whole["prototype.steps"]) == 4
    shutil.rmtree(last)
    shutil.rmtree(tmp_path / "run" / "model")
    (tmp_path / "run" / "summary.json").unlink()
    run()
    resumed = load_file(last / "method.safetensors")
    assert set(whole) == set(resumed)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
