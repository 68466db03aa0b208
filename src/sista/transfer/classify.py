"""A classifier from an encoder and a share of the labels: a linear head on frozen features, or the encoder tuned along with it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_array
from sista.errors import SistaError, nearest
from sista.metrics.result import plain, require_folder, write_run
from sista.models.backbone import Backbone, open_backbone
from sista.models.precision import Precision, autocast, choose_device, choose_precision
from sista.protocols.label_shares import share_rows
from sista.transfer.classify_head import HEADS, LOSSES, HeadSettings, fit_head
from sista.transfer.classify_labels import Labelled, labelled_films
from sista.transfer.classify_scores import share_figures
from sista.transfer.classify_softmax import ABSENT, fit_softmax
from sista.transfer.fine_tune import TUNES, TuneSettings, film_views, fine_tune
from sista.transfer.linear_probe import PENALTIES, fit_linear_probe, require_finite
from sista.transfer.linear_probe_rows import taken
from sista.transfer.protocol import protocol_facts
from sista.transfer.result import Scored, classification_columns, share_name, transfer_facts
from sista.transfer.shares import head_seed, share_plan

Floats = NDArray[np.float64]
MODES = ("linear", "fine-tune")
Fitted = tuple[Callable[[NDArray[np.intp]], Floats], dict[str, Any]]  # logits of films by position, and how the training went


def classify(
    model: str,
    data: Path,
    labels: list[str] | None = None,
    shares: list[float] | None = None,
    draws: list[int] | None = None,
    mode: Literal["linear", "fine-tune"] = "linear",
    head: str = "lbfgs",
    minibatch: HeadSettings = HeadSettings(),  # noqa: B008  frozen
    tune: TuneSettings = TuneSettings(),  # noqa: B008  frozen
    recipe: str | None = None,
    loss: str = "auto",
    uncertain: str = "unknown",
    blank: str = "unknown",
    multi_class: bool = False,
    sensitivity: float | None = None,
    protocol: str | None = None,
    image_size: int | None = None,
    untrained: bool = False,
    cache: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Train a classifier with 1, 10 and 100 % of the labels: AUROC, average precision, accuracy, F1 and calibration on the test split.

    The valid split picks the penalty or the epoch, the temperature and the thresholds; the test split chooses nothing.

    Args:
        model: a pre-trained run or checkpoint, a timm name (timm:resnet50), or FILE@ARCHITECTURE with somebody else's weights.
        data: a corpus with labels and the splits train, valid and test.
        labels: the findings to learn; by default all that the corpus labels.
        shares: shares of the training subjects whose labels are used; by default 0.01, 0.1 and 1.
        draws: how many draws of each share are averaged; by default 5, 3 and 1, and 1 each for fine-tune.
        mode: linear (the encoder stays as it is) or fine-tune.
        head: of linear, lbfgs (the optimum, penalty picked on valid), minibatch, or a protocol's minibatch AdamW: mgca, fane, g2d.
        minibatch: optimiser of the head minibatch.
        tune: optimiser and views of fine-tune.
        recipe: settings of fine-tune by name instead: benchx (rate and batch of BenchX's MGCA on NIH, not its schedule).
        loss: bce, cross-entropy, or auto: cross-entropy with multi_class, else bce.
        uncertain: what an uncertain label counts as: unknown, positive, negative, or chexpert (by finding).
        blank: what a label that nobody gave counts as: unknown, or negative (the CheXpert protocol).
        multi_class: the labels are classes, of which each film has exactly one; films with none or several are left out and counted.
        sensitivity: thresholds find this share of the positives on valid; by default they maximise F1.
        protocol: the published protocol that the corpus was split by; its sizes, known defects and published scores then stand beside.
        image_size: side of the films in pixels; by default that of the run, 224 with weights from elsewhere.
        untrained: the same architecture with fresh weights instead, as a floor.
        cache: a folder where features are kept by encoder and films, for the next run.
        resamples: of the bootstrap over test subjects.
        seed: of the draws, the head, the order of the films, and fresh weights.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
        out: a folder for result.json and predictions.parquet (truth and logits of the valid and test films).
    """
    arguments = dict(locals())
    require_folder(out, "classify", arguments)
    begin = time.perf_counter()
    shares, draws = share_plan(shares, draws, seed, cheap=mode == "linear")
    softmax = _softmax(loss, multi_class)
    minibatch, tune = _settings(mode, head, minibatch, recipe, tune)
    if sensitivity is not None and multi_class:
        raise SistaError("of one class among many the most probable one is called: leave --sensitivity out, or --multi_class")
    if sensitivity is not None and not 0 < sensitivity <= 1:
        raise SistaError(f"sensitivity is {sensitivity}; expected more than 0 and at most 1")
    if resamples < 1:
        raise SistaError(f"resamples is {resamples}; expected 1 or more")
    corpus = Corpus.open(data)
    films = labelled_films(corpus, labels, uncertain, blank, multi_class)
    beside = protocol_facts(protocol, {split: len(films.of(split)) for split in ("train", "valid", "test")}, corpus)
    chosen = choose_device(device)
    exact = choose_precision(precision, chosen)
    backbone = open_backbone(model, image_size=image_size, untrained=untrained, seed=seed)
    learnt, valid, test = films.of("train"), films.of("valid"), films.of("test")
    if mode == "linear":
        features = frozen_features(backbone, corpus, films.rows, chosen, exact, cache)
        train = partial(_linear, features, films, head, minibatch, softmax, multi_class, seed)
    else:
        train = partial(_tuned, backbone, corpus, films, tune, softmax, seed, chosen, exact)
    per_share, refused, scored = dict[str, Any](), dict[str, str](), list[Scored]()
    kept = np.concatenate([valid, test])
    for share, count in zip(shares, draws, strict=True):
        try:
            logits, fitted, seen = list[Floats](), list[dict[str, Any]](), list[Floats]()
            for draw in range(count):
                used = learnt[share_rows(films.subjects[learnt], films.truth[learnt], share, draw, seed).rows]
                score, history = train(used, draw)
                logits.append(score(kept))
                seen.append(_one_class(films.truth[used]))
                constant = [name for name, one in zip(films.names, seen[-1], strict=True) if not np.isnan(one)]
                fitted.append({"films": len(used), "constant": constant, **history})
        except SistaError as error:
            refused[share_name(share)] = str(error)
            continue
        parts = [one[: len(valid)] for one in logits], films.truth[valid], [one[len(valid) :] for one in logits], films.truth[test]
        figures = share_figures(*parts, films.names, films.subjects[test], multi_class, sensitivity, resamples, seen)
        per_share[share_name(share)] = {**figures, "draws": fitted}
        scored += [(share, draw, one) for draw, one in enumerate(logits)]
    if not per_share:
        raise SistaError(next(iter(refused.values())))
    result = {
        **transfer_facts("classify", model, backbone, corpus, films.rows, films.splits),
        **beside,
        "films": {**{split: len(films.of(split)) for split in ("train", "valid", "test")}, "left_out": films.left_out},
        "labels": list(films.names),
        "multi_class": multi_class,
        "mode": mode,
        "settings": asdict(tune) if mode == "fine-tune" else asdict(minibatch) if head != "lbfgs" else {"penalties": "picked on valid"},
        "seed": seed,
        "metrics": {name: figure for share, one in per_share.items() for name, figure in _metrics(share, one).items()},
        "per_share": per_share,
        "refused": refused,
        "seconds": round(time.perf_counter() - begin, 1),
        "arguments": plain(arguments),
    }
    if out is not None:
        write_run(out, result, classification_columns(corpus, films.rows[kept], films.names, films.truth[kept], scored))
    return result


@torch.inference_mode()
def frozen_features(
    backbone: Backbone, corpus: Corpus, rows: NDArray[np.int64], device: torch.device, precision: str, cache: Path | None = None
) -> NDArray[np.float32]:
    """Pooled features [n,C] of the films of `rows`, computed once; read from `cache` when the same encoder met the same films before.

    Raises SistaError for features that are not finite.
    """
    encoder = backbone.encoder.to(device).eval()
    made = [corpus.fingerprint, backbone.origin["sha256"], encoder.describe(), precision]  # equal weights may stand in other layers
    key = hashlib.sha256(json.dumps(made, sort_keys=True, default=str).encode() + rows.tobytes()).hexdigest()
    file = Path(cache) / f"features-{key[:32]}.npy" if cache is not None else None
    if file is not None and file.exists():
        return np.load(file, mmap_mode="c")
    held = np.empty((len(rows), encoder.width), np.float32)
    place = 0
    for images in film_views(corpus, rows, encoder.image_size, batch=128):
        with autocast(precision, device):
            held[place : place + len(images)] = encoder.pooled(images.to(device)).float().cpu().numpy()
        place += len(images)
    require_finite("film", held)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_array(file, held)
    return held


def _linear(
    features: NDArray[np.float32],
    films: Labelled,
    head: str,
    settings: HeadSettings,
    softmax: bool,
    multi_class: bool,
    seed: int,
    used: NDArray[np.intp],
    draw: int,
) -> Fitted:
    """A head on frozen features of the films `used`."""
    valid = films.of("valid")
    x, y, x_valid, y_valid = taken(features, used), films.truth[used], taken(features, valid), films.truth[valid]
    if head != "lbfgs":
        fitted = fit_head(x, y, x_valid, y_valid, settings, softmax, head_seed(seed, draw))
        return lambda some: fitted.scores(features[some]), {"validation_loss": fitted.validation, "best_epoch": fitted.best_epoch}
    if softmax:
        regression = fit_softmax(x, y, x_valid, y_valid)
        return lambda some: regression.scores(features[some]), {
            "validation_loss": regression.validation,
            "penalty": sorted(PENALTIES, reverse=True)[regression.best_epoch],
        }
    probe = fit_linear_probe(x, y, x_valid, y_valid, names=films.names)
    absent = np.where(multi_class & ~(y == 1).any(axis=0), ABSENT, 0.0)  # of classes, one without a film is never called
    return lambda some: probe.scores(features[some]) + absent, {"penalty": probe.penalty}


def _tuned(
    backbone: Backbone,
    corpus: Corpus,
    films: Labelled,
    settings: TuneSettings,
    softmax: bool,
    seed: int,
    device: torch.device,
    precision: str,
    used: NDArray[np.intp],
    draw: int,
) -> Fitted:
    """The encoder and a head tuned on the films `used`."""
    rows, truth, valid = films.rows, films.truth, films.of("valid")
    tuned = fine_tune(
        backbone.encoder,
        corpus,
        rows[used],
        truth[used],
        rows[valid],
        truth[valid],
        settings,
        softmax,
        head_seed(seed, draw),
        device,
        precision,
    )
    history = {"training_loss": tuned.training, "validation_loss": tuned.validation, "best_epoch": tuned.best_epoch}
    return lambda some: tuned.scores(corpus, rows[some], device, precision), history


def _metrics(share: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The main figures of a share: macro, and the AUROC of each label."""
    macro = {f"{name}@{share}": figures[name] for name in ("auroc", "average_precision", "accuracy", "f1")}
    return {**macro, **{f"auroc/{label}@{share}": one["auroc"] for label, one in figures["per_label"].items()}}


def _one_class(truth: Floats) -> Floats:
    """Of each label [n,k] the class of all training films, of which nothing is learnt; NaN where they have both. Unknown ones are 0."""
    present, absent = (truth == 1).any(axis=0), (truth == 0).any(axis=0)
    return np.where(present & absent, np.nan, present.astype(np.float64))


def _softmax(loss: str, multi_class: bool) -> bool:
    if loss not in LOSSES:
        raise SistaError(f"unknown loss {loss!r}: {nearest(loss, LOSSES)}")
    if loss == "cross-entropy" and not multi_class:
        raise SistaError("cross-entropy is for one class of many; give --multi_class, or --loss bce")
    return multi_class and loss != "bce"


def _settings(mode: str, head: str, minibatch: HeadSettings, recipe: str | None, tune: TuneSettings) -> tuple[HeadSettings, TuneSettings]:
    """Those that will be used; SistaError for settings that nothing would use."""
    if head not in ("lbfgs", "minibatch", *HEADS):
        raise SistaError(f"unknown head {head!r}: {nearest(head, ('lbfgs', 'minibatch', *HEADS))}")
    if recipe is not None and recipe not in TUNES:
        raise SistaError(f"unknown recipe {recipe!r}: {nearest(recipe, TUNES)}")
    if mode not in MODES:
        raise SistaError(f"unknown mode {mode!r}: {nearest(mode, MODES)}")
    unused = {
        "recipe": mode == "linear" and recipe is not None,
        "tune": (mode == "linear" or recipe is not None) and tune != TuneSettings(),
        "head": mode != "linear" and head != "lbfgs",
        "minibatch": (mode != "linear" or head != "minibatch") and minibatch != HeadSettings(),
    }
    for name in (name for name, given in unused.items() if given):
        raise SistaError(f"--{name} would not be used with mode {mode}, head {head} and recipe {recipe}; leave it out, or change those")
    return HEADS.get(head, minibatch), TUNES[recipe] if recipe is not None else tune
