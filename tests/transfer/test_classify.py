"""The classifier: figures from predictions, what validation may choose and test may not, protocol heads, policies, shares too small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.metrics.result import checksum, read_run
from sista.models.backbone import open_backbone
from sista.transfer import classify as module
from sista.transfer.classify import classify, frozen_features
from sista.transfer.classify_head import HEADS, HeadSettings, fit_head
from sista.transfer.classify_labels import Labelled, labelled_films
from sista.transfer.classify_scores import choose_operating, share_figures
from sista.transfer.classify_softmax import fit_softmax
from sista.transfer.fine_tune import TuneSettings
from sista.transfer.linear_probe import fit_linear_probe
from sista.transfer.probe import probe

OPTIONS = {"device": "cpu", "precision": "fp32", "resamples": 50}
NAMES = ["pleural effusion", "cardiomegaly", "edema"]


def task(n=500, d=10, k=3, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d))
    y = (random.random((n, k)) < 1 / (1 + np.exp(-x @ random.normal(size=(d, k))))).astype(float)
    return x.astype(np.float32), y


@pytest.fixture(scope="module")
def run(run_path: Path, corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("classify") / "run"
    return classify(str(run_path), corpus_path, NAMES, [0.5, 1.0], [2, 1], out=out, **OPTIONS), out


def test_figures_can_be_computed_again_from_the_predictions(run, corpus_path):
    result, out = run
    frame = read_run(out).predictions
    test = frame[frame["split"] == "test"]
    for share, draws in ((0.5, 2), (1.0, 1)):
        figures = result["per_share"]["1.0" if share == 1 else "0.5"]
        for metric, reference in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
            each = [
                [reference(part[f"label/{name}"], part[f"score/{name}"]) for name in NAMES]
                for _, part in test[test["share"] == share].groupby("draw")
            ]
            assert len(each) == draws
            assert figures[metric]["value"] == pytest.approx(np.mean(each))
        decided = []
        for draw, part in test[test["share"] == share].groupby("draw"):
            temperature = figures["calibration"]["temperature"][draw]
            for name in NAMES:
                chance = 1 / (1 + np.exp(-part[f"score/{name}"] / temperature))
                decided.append(f1_score(part[f"label/{name}"], chance >= figures["operating"][draw][name]["threshold"]))
        assert figures["f1"]["value"] == pytest.approx(np.mean(decided))
    corpus = Corpus.open(corpus_path)
    assert result["splits"]["test"]["sha256"] == checksum(corpus.values("film_id", corpus.rows("test")))
    assert result["metrics"]["auroc@1.0"] == result["per_share"]["1.0"]["auroc"]
    assert len(result["encoder"]["sha256"]) == 64


def test_the_linear_head_is_the_probe(run, run_path, corpus_path, tmp_path):
    found = probe(run_path, corpus_path, [0.5, 1.0], [2, 1], NAMES, device="cpu", precision="fp32", out=tmp_path / "probe")
    for share in ("0.5", "1.0"):
        assert run[0]["per_share"][share]["auroc"]["value"] == pytest.approx(found["auroc"][share]["value"], abs=1e-3)
    theirs, ours = read_run(tmp_path / "probe").predictions, read_run(run[1]).predictions
    assert set(theirs.columns) == set(ours.columns)
    assert len(theirs) == len(ours)


def test_test_labels_choose_nothing():
    x, y = task()
    valid, test = [x[:200, :3] * 3.0], [x[200:, :3] * 3.0]
    subjects = np.arange(300).astype(str)
    plain = share_figures(valid, y[:200], test, y[200:], NAMES, subjects, resamples=20)
    moved = share_figures(valid, y[:200], test, np.random.default_rng(0).permutation(y[200:]), NAMES, subjects, resamples=20)
    for one in (plain, moved):
        assert one["calibration"]["temperature"] == [choose_operating(valid[0], y[:200]).temperature]
    thresholds = [[draw[name]["threshold"] for name in NAMES for draw in one["operating"]] for one in (plain, moved)]
    assert thresholds[0] == thresholds[1]
    assert plain["auroc"] != moved["auroc"]


def test_a_wanted_sensitivity_is_reached_on_validation():
    x, y = task()
    chosen = choose_operating(x[:, :3].astype(float), y, sensitivity=0.9)
    decided = chosen.decisions(x[:, :3].astype(float))
    for k in range(3):
        assert decided[y[:, k] == 1, k].mean() >= 0.9
    one_class = choose_operating(x[:, :3].astype(float), np.column_stack([y[:, :2], np.ones(len(y))]))
    assert np.isnan(one_class.thresholds[2])


def test_temperature_mends_an_overconfident_head():
    x, y = task(4000, 3)
    head = fit_linear_probe(x[:1000], y[:1000], x[1000:2000], y[1000:2000])
    loud = [head.scores(x[1000:2000]) * 5], [head.scores(x[2000:]) * 5]
    figures = share_figures(loud[0], y[1000:2000], loud[1], y[2000:], NAMES, np.arange(2000).astype(str), resamples=5)["calibration"]
    assert figures["temperature"][0] == pytest.approx(5, rel=0.2)
    assert figures["ece_after"] < 0.4 * figures["ece_before"]


def test_minibatch_head_run_to_convergence_is_the_unpenalised_optimum():
    x, y = task(2000, 8)
    y[:100, 0] = np.nan
    head = fit_head(x[:1500], y[:1500], x[1500:], y[1500:], HeadSettings(learning_rate=5e-3, epochs=40))
    optimum = fit_linear_probe(x[:1500], y[:1500], x[1500:], y[1500:], penalties=[1e-6])
    for k in range(3):
        ours, theirs = (roc_auc_score(y[1500:, k], one.scores(x[1500:])[:, k]) for one in (head, optimum))
        assert ours == pytest.approx(theirs, abs=2e-3)
    assert head.validation[head.best_epoch] == min(head.validation)
    assert len(head.validation) <= head.best_epoch + 11
    again = fit_head(x[:1500], y[:1500], x[1500:], y[1500:], HeadSettings(learning_rate=5e-3, epochs=40))
    np.testing.assert_array_equal(head.weight, again.weight)
    assert HEADS["mgca"] == HeadSettings(5e-4, 1e-6, 48, 50, 10)


def test_unknown_labels_are_not_in_the_loss():
    x, y = task(300)
    hidden = y.copy()
    hidden[:100, 1] = np.nan
    settings = HeadSettings(epochs=2, batch_size=300)
    whole, masked = (fit_head(x, labels, x, y, settings) for labels in (y, hidden))
    np.testing.assert_allclose(whole.weight[:, [0, 2]], masked.weight[:, [0, 2]], atol=1e-5)
    only = fit_head(x, np.column_stack([y[:, 0], np.full(300, np.nan), y[:, 2]]), x, y, settings)
    still = fit_head(x, y, x, y, replace(settings, learning_rate=1e-30))
    np.testing.assert_allclose(only.weight[:, 1], still.weight[:, 1], atol=1e-5)
    with pytest.raises(SistaError, match="epochs 0"):
        fit_head(x, y, x, y, HeadSettings(epochs=0))


def test_softmax_head_finds_classes_and_never_calls_one_it_has_not_seen():
    random = np.random.default_rng(0)
    index = random.integers(0, 3, 600)
    x = (np.eye(3)[index] * 2 + random.normal(size=(600, 3))).astype(np.float32)
    truth = np.eye(4)[index]
    head = fit_softmax(x[:400], truth[:400], x[400:], truth[400:])
    assert (head.scores(x[400:]).argmax(axis=1) == index[400:]).mean() > 0.75
    assert not (head.scores(x).argmax(axis=1) == 3).any()
    two = np.flatnonzero(index < 2)
    pair = fit_softmax(x[two[:200]], truth[two[:200]], x[two[200:]], truth[two[200:]])
    chance = np.exp(pair.scores(x[two[200:]]))
    assert log_loss(index[two[200:]], chance[:, :2] / chance.sum(axis=1, keepdims=True)) < 0.45
    with pytest.raises(SistaError, match="all of one class"):
        fit_softmax(x[:5], np.eye(4)[[0] * 5], x, truth)


def test_one_against_the_rest_never_calls_a_class_it_has_not_seen():
    random = np.random.default_rng(0)
    index = random.integers(0, 3, 600)
    x, truth = (np.eye(3)[index] + random.normal(size=(600, 3))).astype(np.float32), np.eye(4)[index]
    films = Labelled(
        ("a", "b", "c", "d"), np.arange(600), truth, np.arange(600).astype(str), np.array(["train"] * 400 + ["valid"] * 200), {}
    )
    score, _ = module._linear(x, films, "lbfgs", HeadSettings(), False, True, 0, np.arange(400), 0)
    assert (score(np.arange(600)).argmax(axis=1) != 3).all()
    alone, _ = module._linear(x, films, "lbfgs", HeadSettings(), False, False, 0, np.arange(400), 0)
    assert (alone(np.arange(600)).argmax(axis=1) == 3).any()  # the logits of labels that do not exclude each other


def test_multi_class_counts_what_it_leaves_out(run_path, corpus_path, tmp_path):
    for head in ("lbfgs", "g2d"):
        result = classify(str(run_path), corpus_path, NAMES, [1.0], head=head, multi_class=True, out=tmp_path / head, **OPTIONS)
        frame = read_run(tmp_path / head).predictions.query("split == 'test'")
        truth, scores = (frame[[f"{kind}/{name}" for name in NAMES]].to_numpy() for kind in ("label", "score"))
        assert (truth.sum(axis=1) == 1).all()
        assert result["per_share"]["1.0"]["accuracy"]["value"] == pytest.approx((truth.argmax(1) == scores.argmax(1)).mean())
    corpus = Corpus.open(corpus_path)
    present = (corpus.labels()[:, [corpus.label_names.index(name) for name in NAMES]] == 1).sum(axis=1)
    assert result["films"]["left_out"] == {"none of the classes": (present == 0).sum(), "several classes": (present > 1).sum()}


def test_why_no_film_is_left_is_said(run_path, corpus_path, monkeypatch):
    table = Corpus.open(corpus_path).labels().copy()
    table[:] = 1
    monkeypatch.setattr(Corpus, "labels", lambda self, rows=None: table if rows is None else table[rows])
    with pytest.raises(SistaError, match=rf"no labelled film in split 'train'; .*; {len(table)} films of all splits left out: several"):
        classify(str(run_path), corpus_path, NAMES, [1.0], multi_class=True, **OPTIONS)


def test_policies_for_uncertain_and_blank(corpus_path, monkeypatch):
    corpus = Corpus.open(corpus_path)
    table = corpus.labels().copy()
    edema, heart = (corpus.label_names.index(name) for name in ("edema", "cardiomegaly"))
    table[:, [edema, heart]] = np.where(
        np.arange(len(table))[:, None] % 3 == 0, -1, np.where(np.arange(len(table))[:, None] % 3 == 1, np.nan, 1)
    )
    monkeypatch.setattr(Corpus, "labels", lambda self, rows=None: table if rows is None else table[rows])
    names = ["edema", "cardiomegaly"]
    plain = labelled_films(corpus, names)
    assert (plain.truth == 1).all()
    assert plain.left_out == {"no label known": len(corpus) - len(plain.rows)}
    whole = labelled_films(corpus, names, "chexpert", "negative")
    for third, expected in ((0, [1, 0]), (1, [0, 0]), (2, [1, 1])):
        np.testing.assert_array_equal(np.unique(whole.truth[whole.rows % 3 == third], axis=0), [expected])
    for wrong, said in (
        ({"uncertain": "maybe"}, "uncertain is"),
        ({"blank": "x"}, "blank is"),
        ({"names": ["edem"]}, "did you mean 'edema'"),
    ):
        with pytest.raises(SistaError, match=said):
            labelled_films(corpus, **{"names": names, **wrong})


def test_features_are_computed_once_for_the_same_weights_and_films(run_path, corpus_path, tmp_path, monkeypatch):
    first = classify(str(run_path), corpus_path, NAMES, [1.0], cache=tmp_path, **OPTIONS)
    monkeypatch.setattr(module, "film_views", lambda *_, **__: pytest.fail("computed again"))
    again = classify(str(run_path), corpus_path, NAMES, [1.0], cache=tmp_path, **OPTIONS)
    assert again["metrics"] == first["metrics"]
    monkeypatch.undo()
    classify(str(run_path), corpus_path, NAMES, [1.0], cache=tmp_path, untrained=True, **OPTIONS)
    assert len(list(tmp_path.glob("features-*.npy"))) == 2


def test_features_of_other_layers_with_equal_weights_are_their_own(corpus_path, tmp_path):
    held = []
    for name in ("timm:mobilenetv3_small_100", "timm:tf_mobilenetv3_small_100"):  # which pad otherwise
        backbone = open_backbone(name, image_size=64, untrained=True, seed=0)
        held.append(frozen_features(backbone, Corpus.open(corpus_path), np.arange(8), torch.device("cpu"), "fp32", tmp_path))
    assert not np.array_equal(*held)
    corpus, rows = Corpus.open(corpus_path), np.arange(8)[::-1].copy()
    turned = frozen_features(backbone, corpus, rows, torch.device("cpu"), "fp32", tmp_path)
    np.testing.assert_allclose(turned, held[1][::-1], atol=1e-5)


def test_a_head_that_diverges_and_rates_that_teach_nothing_are_refused():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), (rng.random((40, 1)) < 0.5).astype(float)
    with pytest.raises(SistaError, match=r"validation loss is nan in epoch 2; lower minibatch\.learning_rate"):
        fit_head(x, y, x, y, HeadSettings(learning_rate=1e37, epochs=2))
    for wrong in ({"learning_rate": -1.0}, {"learning_rate": 0.0}, {"weight_decay": -1.0}, {"learning_rate": float("nan")}):
        with pytest.raises(SistaError, match="expected a rate and a clip above 0"):
            fit_head(x, y, x, y, HeadSettings(**wrong))


def test_what_validation_says_nothing_of_is_not_called():
    logits, truth = np.zeros((6, 1)), np.zeros((6, 1))
    assert (choose_operating(logits, truth).decisions(logits) == 0).all()


def test_a_label_named_twice_counts_once(run_path, corpus_path):
    once, twice = (
        classify(str(run_path), corpus_path, names, [1.0], **OPTIONS)["metrics"]
        for names in (["edema", "mass"], ["edema", "edema", "mass"])
    )
    assert once == twice


def test_a_share_too_small_is_named_and_the_others_stand(run_path, corpus_path):
    result = classify(str(run_path), corpus_path, ["edema"], [0.001, 1.0], [1, 1], **OPTIONS)
    assert "larger share" in result["refused"]["0.001"]
    assert set(result["per_share"]) == {"1.0"}
    with pytest.raises(SistaError, match="larger share"):
        classify(str(run_path), corpus_path, ["edema"], [0.001], [1], **OPTIONS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"head": "mgcb"}, "did you mean 'mgca'"),
        ({"loss": "cross-entropy"}, "one class of many"),
        ({"recipe": "benchy", "mode": "fine-tune"}, "did you mean 'benchx'"),
        ({"sensitivity": 1.5}, "sensitivity is"),
        ({"protocol": "nothing"}, "unknown protocol"),
        ({"draws": [1]}, "one number of draws a share"),
        ({"shares": [0.1, 0.1]}, "share 0.1 stands twice"),
        ({"shares": [1.0, 0.9999999]}, "share 1.0 stands twice"),
        ({"mode": "finetune"}, "unknown mode 'finetune': did you mean 'fine-tune'"),
        ({"multi_class": True, "sensitivity": 0.9}, "leave --sensitivity out"),
    ],
)
def test_mistakes_are_refused_before_any_film_is_read(run_path, corpus_path, wrong, said):
    with pytest.raises(SistaError, match=said):
        classify(str(run_path), corpus_path, NAMES, **{"shares": [0.1, 1.0], **OPTIONS, **wrong})


@pytest.mark.parametrize(("mode", "head"), [("linear", "lbfgs"), ("linear", "mgca"), ("fine-tune", "lbfgs")])
def test_a_label_of_one_class_is_named_and_an_empty_validation_is_refused(run_path, corpus_path, monkeypatch, mode, head):
    corpus = Corpus.open(corpus_path)
    table = corpus.labels().copy()
    place = corpus.label_names.index("edema")
    table[corpus.rows("train"), place] = 0
    monkeypatch.setattr(Corpus, "labels", lambda self, rows=None: table if rows is None else table[rows])
    used = {"tune": TuneSettings(epochs=1)} if mode == "fine-tune" else {}
    options = {**OPTIONS, "mode": mode, "head": head, **used, "image_size": 32, "shares": [1.0]}
    figures = classify(str(run_path), corpus_path, ["cardiomegaly", "edema"], **options)["per_share"]["1.0"]
    assert figures["draws"][0]["constant"] == ["edema"]
    if head == "lbfgs" and mode == "linear":
        assert figures["per_label"]["edema"]["auroc"]["value"] == 0.5
    table[corpus.rows("valid")] = np.nan
    with pytest.raises(SistaError, match="no labelled film in split 'valid'"):
        classify(str(run_path), corpus_path, ["cardiomegaly", "edema"], **options)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"head": "mgca", "minibatch": HeadSettings(epochs=1)}, "minibatch"),
        ({"recipe": "benchx"}, "recipe"),
        ({"tune": TuneSettings(epochs=1)}, "tune"),
        ({"mode": "fine-tune", "head": "mgca"}, "head"),
        ({"mode": "fine-tune", "recipe": "benchx", "tune": TuneSettings(epochs=1)}, "tune"),
    ],
)
def test_settings_that_nothing_would_use_are_refused(given, name, run_path, corpus_path):
    with pytest.raises(SistaError, match=f"--{name} would not be used with mode"):
        classify(str(run_path), corpus_path, **given)


def test_a_label_of_which_training_saw_one_class_is_that_class_everywhere() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((40, 3)) < 0.5).astype(float)
    chosen = choose_operating(
        np.column_stack([random.normal(size=40), np.zeros(40), np.zeros(40)]), truth, seen=np.array([np.nan, 0.0, 1.0])
    )
    decided = chosen.decisions(np.column_stack([random.normal(size=9), np.zeros(9), np.zeros(9)]))
    assert (decided[:, 1:] == [0, 1]).all()
    assert chosen.thresholds[1:].tolist() == [1.0, 0.0]
    assert module._one_class(np.array([[0, 0, 1, np.nan], [1, 0, np.nan, np.nan]])).tolist()[1:] == [0.0, 1.0, 0.0]
