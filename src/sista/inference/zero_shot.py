"""Zero-shot classification: a film against what says that a finding is there, and what says that it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.errors import SistaError, nearest
from sista.inference.embedding import SplitVectors, embed_rows
from sista.inference.pretrained import PretrainedModel, load, prompts_of
from sista.inference.prompts import PromptPair, read_prompts
from sista.inference.result import id_columns, run_facts
from sista.metrics.auroc import weighted_average_precision
from sista.metrics.interval import Estimate, bootstrap_macro_auroc
from sista.metrics.result import require_folder, write_run
from sista.models.precision import Precision


def zeroshot(
    model: Path,
    data: Path | None = None,
    image: Path | None = None,
    findings: list[str] | None = None,
    prompts: Path | None = None,
    split: str = "test",
    device: str = "auto",
    precision: Precision = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Classify films by prompts, without labels: one film, or a corpus split scored against its labels.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: a corpus with labels; gives the AUROC of each finding with a 95 % interval over subjects.
        image: one film (JPEG, PNG or DICOM); gives the probability of each finding.
        findings: names to ask for; by default the corpus' or the checkpoint's label names.
        prompts: a JSON file, {"finding": {"positive": [...], "negative": [...]}}.
        split: which part of the corpus.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
        out: with data, a folder for result.json and predictions.parquet (truth and logit of each film).
    """
    arguments = dict(locals())
    require_folder(out, "zeroshot", arguments)
    if (data is None) == (image is None):
        raise SistaError("give either --data, a corpus, or --image, one film")
    if image is not None and out is not None:
        raise SistaError("--out goes with --data; what is said of one film is printed, with --json as one JSON object")
    if image is not None and split != "test":
        raise SistaError(f"--split {split} goes with a corpus, --data, not with one film")
    if findings and prompts:
        raise SistaError("give either --findings or --prompts, whose findings are those of the file")
    trained = load(model, device, precision)
    given = read_prompts(prompts) if prompts else trained.prompts_for(findings) if findings else None
    if image is not None:
        pairs = given or prompts_of(trained.label_names)
        if not pairs:
            raise SistaError(f"checkpoint {model} knows no label names; name them with --findings")
        return {"task": "zeroshot", "image": str(image), "probability": trained.classify(image, pairs)}
    assert data is not None
    corpus = Corpus.open(data)
    pairs = given or prompts_of(corpus.label_names)
    unlabelled = [name for name in pairs if name not in corpus.label_names]
    if findings and 0 < len(unlabelled) < len(pairs):
        raise SistaError(f"corpus {data} labels no {unlabelled[0]!r}: {nearest(unlabelled[0], corpus.label_names)}")
    vectors = embed_rows(trained, corpus, corpus.rows(split), texts=False)
    names, labels, scores = zero_shot_scores(trained, corpus, vectors, pairs)
    macro, each = bootstrap_macro_auroc(scores, labels, groups=vectors.subjects)
    precise, _ = bootstrap_macro_auroc(scores, labels, groups=vectors.subjects, statistic=weighted_average_precision)
    result = {
        **run_facts("zeroshot", model, trained, corpus, vectors.rows, split, arguments),
        "films": len(vectors.rows),
        **({"prompted_but_not_labelled": unlabelled} if unlabelled else {}),
        "auroc": macro.as_dict(),
        "per_finding": {name: estimate.as_dict() for name, estimate in zip(names, each, strict=True)},
        "metrics": {
            "auroc": macro.as_dict(),
            "average_precision": precise.as_dict(),
            **{f"auroc/{name}": estimate.as_dict() for name, estimate in zip(names, each, strict=True)},
        },
    }
    if out is not None:
        truth = {f"label/{name}": labels[:, k] for k, name in enumerate(names)}
        write_run(
            out, result, {**id_columns(corpus, vectors.rows), **truth, **{f"score/{name}": scores[:, k] for k, name in enumerate(names)}}
        )
    return result


def zero_shot_auroc(
    model: PretrainedModel, corpus: Corpus, vectors: SplitVectors, prompts: Mapping[str, PromptPair]
) -> tuple[Estimate, dict[str, Estimate]]:
    """Macro AUROC and that of each prompted finding which the corpus labels; uncertain and unknown labels are left out."""
    names, labels, scores = zero_shot_scores(model, corpus, vectors, prompts)
    macro, each = bootstrap_macro_auroc(scores, labels, groups=vectors.subjects)
    return macro, dict(zip(names, each, strict=True))


def zero_shot_scores(
    model: PretrainedModel, corpus: Corpus, vectors: SplitVectors, prompts: Mapping[str, PromptPair]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The prompted findings that the corpus labels, and of each film their labels (NaN where not sure) and logits, [N,K]."""
    known = [name for name in prompts if name in corpus.label_names]
    if not known:
        raise SistaError(f"corpus {corpus.path} labels none of {', '.join(prompts)}; it has {', '.join(corpus.label_names) or 'no labels'}")
    columns = [corpus.label_names.index(name) for name in known]
    labels = corpus.labels(vectors.rows)[:, columns].astype(float)
    labels[labels < 0] = np.nan
    scores = model.zero_shot(vectors.image, {name: prompts[name] for name in known})
    if not any(len(np.unique(column[~np.isnan(column)])) == 2 for column in labels.T):
        raise SistaError(f"corpus {corpus.path}: none of {', '.join(known)} is both present and absent among these {len(labels)} films")
    return known, labels, scores
