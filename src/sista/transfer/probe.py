"""A linear classifier on the frozen features of a pre-trained encoder, from a share of the labels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sista import versions
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.metrics.result import encoder_hash, plain, require_folder, splits_of, write_run
from sista.models.checkpoint import Pretrained, load_pretrained
from sista.models.encode import encode_films
from sista.models.precision import Precision, choose_device, choose_precision
from sista.transfer.linear_probe import ShareResult, probe_curve
from sista.transfer.result import classification_columns, share_name
from sista.transfer.shares import share_plan


def probe(
    model: Path,
    data: Path,
    shares: list[float] | None = None,
    draws: list[int] | None = None,
    labels: list[str] | None = None,
    uncertain: str = "unknown",
    untrained: bool = False,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Train a linear classifier on frozen features with 1, 10 and 100 % of the labels; AUROC on the test split.

    Films pass the encoder once. The penalty is picked on the valid split; the test split chooses nothing.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: a corpus with labels and the splits train, valid and test.
        shares: shares of the training subjects whose labels are used; by default 0.01, 0.1 and 1.
        draws: how many draws of each share are averaged; by default 5, 3 and 1.
        labels: the findings to learn; by default all that the corpus labels.
        uncertain: what an uncertain label (-1) counts as: unknown, positive or negative.
        untrained: probe the same architecture with fresh weights instead, as a floor.
        seed: of the draws, and of the fresh weights.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
        out: a folder for result.json and predictions.parquet (truth and logits of the valid and test films).
    """
    arguments = dict(locals())
    require_folder(out, "probe", arguments)
    shares, draws = share_plan(shares, draws, seed, cheap=True)
    corpus = Corpus.open(data)
    names = list(dict.fromkeys(labels or corpus.label_names))
    truth = label_table(corpus, names, uncertain)
    chosen = choose_device(device)
    torch.manual_seed(seed)
    pretrained = load_pretrained(model, weights=not untrained)
    rows = np.concatenate([corpus.rows(split) for split in ("train", "valid", "test")])
    begin = time.perf_counter()
    features = film_features(pretrained, corpus, rows, chosen, choose_precision(precision, chosen))
    results, refused = probe_features(features, corpus, rows, truth[rows], names, shares, draws, seed)
    splits = corpus.values("split", rows)
    result = {
        "task": "probe",
        "model": str(model),
        "untrained": untrained,
        "encoder": {"sha256": None if untrained else encoder_hash(pretrained.folder), "untrained": untrained},
        "data": corpus.fingerprint,
        "protocol": None,
        "splits": splits_of(corpus.values("film_id", rows), splits),
        "films": {split: len(corpus.rows(split)) for split in ("train", "valid", "test")},
        "features": features.shape[1],
        "image_size": pretrained.encoder.image.image_size,
        "seed": seed,
        "auroc": {share_name(share): result.macro.as_dict() for share, result in results.items()},
        "per_share": {share_name(share): result.as_dict() for share, result in results.items()},
        "refused": {share_name(share): reason for share, reason in refused.items()},
        "metrics": {f"auroc@{share_name(share)}": result.macro.as_dict() for share, result in results.items()},
        "seconds": round(time.perf_counter() - begin, 1),
        "versions": versions(),
        "arguments": plain(arguments),
    }
    if out is not None:
        kept = np.flatnonzero(splits != "train")
        scored = [
            (share, draw, fitted.scores(features[kept])) for share, found in results.items() for draw, fitted in enumerate(found.probes)
        ]
        write_run(out, result, classification_columns(corpus, rows[kept], names, truth[rows[kept]], scored))
    return result


def film_features(pretrained: Pretrained, corpus: Corpus, rows: np.ndarray, device: torch.device, precision: str) -> np.ndarray:
    """The encoder's pooled features [N,C] of the films of `rows`, computed once, float32."""
    encoder = pretrained.encoder.to(device).eval()
    size = encoder.image.image_size

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(rows), 128):
            yield eval_view(corpus.films(rows[start : start + 128]), size)

    return encode_films(encoder, batches(), precision).pooled


def probe_features(
    features: np.ndarray,
    corpus: Corpus,
    rows: np.ndarray,
    truth: np.ndarray,
    names: list[str],
    shares: list[float],
    draws: list[int],
    seed: int = 0,
) -> tuple[dict[float, ShareResult], dict[float, str]]:
    """`probe_curve` on features of corpus rows; and why, of the shares that are too small to teach anything.

    Raises `SistaError` when a split is missing or no share can be learnt from.
    """
    splits = corpus.values("split", rows)
    for split in ("train", "valid", "test"):
        if not (splits == split).any():
            raise SistaError(
                f"corpus {corpus.path} has no film in split {split!r}; a probe needs train, valid and test: build with --fractions"
            )
    subjects = corpus.values("subject_id", rows)
    results: dict[float, ShareResult] = {}
    refused: dict[float, str] = {}
    for share, count in zip(shares, draws, strict=True):
        try:
            results |= probe_curve(features, truth, subjects, splits, shares=[share], draws=[count], seed=seed, names=names)
        except SistaError as error:
            refused[share] = str(error)
    if not results:
        raise SistaError(next(iter(refused.values())))
    return results, refused


def label_table(corpus: Corpus, names: list[str], uncertain: str = "unknown") -> np.ndarray:
    """Labels [corpus rows, K] of the named findings: 1, 0, NaN unknown; -1 becomes what `uncertain` says."""
    if not corpus.label_names:
        raise SistaError(f"corpus {corpus.path} has no labels; build it from a table with label columns")
    missing = [name for name in names if name not in corpus.label_names]
    if missing:
        raise SistaError(f"corpus {corpus.path} has no label {', '.join(missing)}; it has {', '.join(corpus.label_names)}")
    values = {"unknown": np.nan, "positive": 1.0, "negative": 0.0}
    if uncertain not in values:
        raise SistaError(f"uncertain is {uncertain!r}; choose unknown, positive or negative")
    table = corpus.labels(np.arange(len(corpus)))[:, [corpus.label_names.index(name) for name in names]].astype(float)
    table[table == -1] = values[uncertain]
    return table
