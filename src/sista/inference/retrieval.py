"""Reports by film, films by text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.inference.embedding import SplitVectors, embed_rows
from sista.inference.pretrained import load
from sista.metrics.interval import Estimate, bootstrap_mean
from sista.metrics.retrieval import retrieval_metrics


def retrieve(
    model: Path,
    data: Path,
    image: Path | None = None,
    text: str | None = None,
    top: int = 10,
    split: str = "test",
    device: str = "auto",
    precision: str = "auto",
) -> dict[str, Any]:
    """Find the reports that fit a film or the films that fit a text; with neither, score retrieval on a corpus split.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: the corpus to search.
        image: a film (JPEG or PNG) whose nearest reports are wanted.
        text: a sentence or report whose nearest films are wanted.
        top: how many results a query gets.
        split: which part of the corpus.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
    """
    if image is not None and text is not None:
        raise SistaError("give --image or --text, not both")
    if top < 1:
        raise SistaError(f"--top is {top}; it must be at least 1")
    trained, corpus = load(model, device, precision), Corpus.open(data)
    rows = corpus.rows(split)
    if not len(rows):
        raise SistaError(f"corpus {data} has no pair in split {split!r}")
    vectors = embed_rows(trained, corpus, rows)
    common = {"task": "retrieve", "model": str(model), "data": corpus.fingerprint, "split": split, "pairs": len(rows)}
    if image is None and text is None:
        return {**common, **{name: estimate.as_dict() for name, estimate in retrieval_recall(corpus, vectors).items()}}
    if image is not None:
        query, targets = trained.encode_films([trained.prepare(image)]).image[0], vectors.text
    else:
        query, targets = trained.encode_texts([str(text)])[0], vectors.image
    scores = targets @ query
    best = np.argsort(-scores, kind="stable")[:top]
    found = [
        {"study_id": corpus.column("study_id")[int(rows[i])], "similarity": float(scores[i]), "report": corpus.reports(rows[[i]])[0]}
        for i in best
    ]
    return {**common, "query": str(image or text), "results": found}


def retrieval_recall(corpus: Corpus, vectors: SplitVectors) -> dict[str, Estimate]:
    """Recall at 1, 5 and 10 in both directions; an equal report text counts as the own one. Where the true findings are known also
    `..._semantic`: a hit is any study with the same finding set. Intervals resample subjects."""
    truth = corpus.truth_keys(vectors.rows)
    found = retrieval_metrics(vectors.image, vectors.text, corpus.report_keys(vectors.rows), truth if (truth >= 0).any() else None)
    result = {}
    for name, ranks in found.items():
        direction, kind = name.split("/")
        for k in (1, 5, 10):
            suffix = "" if kind == "exact" else f"_{kind}"
            result[f"{direction}_r{k}{suffix}"] = bootstrap_mean(ranks.hits(k), groups=vectors.subjects)
    return result
