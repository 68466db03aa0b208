"""Reports by film, films by text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json
from sista.errors import SistaError
from sista.inference.embed_archive import read_embeddings
from sista.inference.embedding import SplitVectors, embed_rows
from sista.inference.index import EXACT_UP_TO, Kind, VectorIndex, chosen_kind, hits_at
from sista.inference.pretrained import PretrainedModel, load
from sista.inference.result import id_columns, run_facts
from sista.metrics.interval import Estimate, bootstrap_mean
from sista.metrics.result import require_folder, write_run
from sista.metrics.retrieval import retrieval_metrics
from sista.models.precision import Precision


def retrieve(
    model: Path,
    data: Path,
    image: Path | None = None,
    text: str | None = None,
    top: int = 10,
    split: str = "test",
    device: str = "auto",
    precision: Precision = "auto",
    index: Kind = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Find the reports that fit a film or the films that fit a text; with neither, score retrieval on a corpus split.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: the corpus to search, or with image or text a folder that `sista embed` wrote with this model.
        image: a film (JPEG, PNG or DICOM) whose nearest reports are wanted.
        text: a sentence or report whose nearest films are wanted.
        top: how many results a query gets.
        split: which part of the corpus.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
        index: exact, faiss, or auto: exact for one query and up to 200,000 vectors, faiss above where it is installed.
        out: without image and text, a folder for result.json and predictions.parquet (every query's hits).
    """
    arguments = dict(locals())
    data = Path(data)
    require_folder(out, "retrieve", arguments)
    if image is not None and text is not None:
        raise SistaError("give --image or --text, not both")
    if out is not None and (image is not None or text is not None):
        raise SistaError("--out goes with a corpus alone; what fits one film or text is printed, with --json as one JSON object")
    if top < 1:
        raise SistaError(f"--top is {top}; it must be at least 1")
    trained = load(model, device, precision)
    if text is not None:
        trained.require_words("--text", [text])
    if (data / "embed.json").is_file():
        if split != "test":
            raise SistaError(f"{data} holds embeddings, all of which are searched; leave --split out, or embed with --split {split}")
        return {"task": "retrieve", "model": str(model), "data": str(data), **_search_shards(trained, model, data, image, text, top, index)}
    corpus = Corpus.open(data)
    if text is None and not corpus.has_reports:
        raise SistaError(f"corpus {data} has no reports to find or to find films by; it can be searched for films by a --text")
    rows = corpus.rows(split)
    if not len(rows):
        raise SistaError(f"corpus {data} has no pair in split {split!r}")
    vectors = embed_rows(trained, corpus, rows)
    facts = {**run_facts("retrieve", model, trained, corpus, rows, split, arguments), "pairs": len(rows)}
    if image is None and text is None:
        hits = retrieval_hits(corpus, vectors, index)
        means = {name: bootstrap_mean(values, groups=vectors.subjects).as_dict() for name, values in hits.items()}
        result = {**facts, "index": chosen_kind(index, len(rows)), **means, "metrics": means}
        if out is not None:
            write_run(out, result, {**id_columns(corpus, rows), **{f"value/{name}": values for name, values in hits.items()}})
        return result
    side = vectors.text if image is not None else vectors.image
    found = VectorIndex(side, _for_one(index)).search(_query(trained, image, text), min(top, len(rows)))
    hits_found = [
        {
            **{name: corpus.column(name)[int(rows[i])] for name in ("study_id", "film_id")},
            "similarity": float(score),
            "report": corpus.reports(rows[[i]])[0],
        }
        for i, score in zip(found.rows[0], found.scores[0], strict=True)
        if i >= 0  # faiss says -1 where the cells it looked into held fewer
    ]
    return {**facts, "query": str(image or text), "results": hits_found}


def retrieval_hits(corpus: Corpus, vectors: SplitVectors, index: Kind = "auto") -> dict[str, np.ndarray]:
    """i2t_r1 .. t2i_r10, and `.._semantic` where the true findings are known -> each query's chance of a hit [N], NaN where none can be.

    Up to `EXACT_UP_TO` pairs also `i2t_rank` and `t2i_rank`, the expected rank of the best relevant target; above, ranks beyond 10 are
    not looked for, and equal scores stand in the order of their rows.
    """
    truth = corpus.truth_keys(vectors.rows)
    keys = {"exact": corpus.report_keys(vectors.rows), **({"semantic": truth} if (truth >= 0).any() else {})}
    result: dict[str, np.ndarray] = {}
    if index == "faiss" or (index == "auto" and len(vectors.rows) > EXACT_UP_TO):
        for direction, asked, held in (("i2t", vectors.image, vectors.text), ("t2i", vectors.text, vectors.image)):
            near = VectorIndex(held, index).search(asked, 10)
            for kind, key in keys.items():
                result |= {_name(direction, k, kind): values for k, values in hits_at(near, key, key).items()}
        return result
    for name, ranks in retrieval_metrics(vectors.image, vectors.text, keys["exact"], keys.get("semantic")).items():
        direction, kind = name.split("/")
        result |= {_name(direction, k, kind): ranks.hits(k) for k in (1, 5, 10)}
        if kind == "exact":
            result[f"{direction}_rank"] = ranks.ranks()
    return result


def _name(direction: str, k: int, kind: str) -> str:
    return f"{direction}_r{k}" if kind == "exact" else f"{direction}_r{k}_{kind}"


def _for_one(index: Kind) -> Kind:
    """A single query is answered exactly unless faiss is asked for: a million vectors take milliseconds, building the cells a minute."""
    return "exact" if index == "auto" else index


def _query(model: PretrainedModel, image: Path | None, text: str | None) -> np.ndarray:
    return model.encode_films([model.prepare(image)]).image if image is not None else model.encode_texts([str(text)])


def _search_shards(
    model: PretrainedModel, path: Path, folder: Path, image: Path | None, text: str | None, top: int, index: Kind
) -> dict[str, Any]:
    """The nearest texts of a film, or films of a text, among the vectors that `sista embed` wrote; refused for another model's."""
    if image is None and text is None:
        raise SistaError(f"{folder} holds embeddings; ask with --image or --text, or give a corpus to score retrieval on")
    made_by = read_json(folder / "embed.json")["encoder"]["sha256"]
    if made_by != model.weights:
        raise SistaError(f"{folder} was embedded with other weights ({str(made_by)[:12]}) than {path} has; embed it again")
    side = "image" if image is None else "text"
    held = read_embeddings(folder, "study_id", "film_id", side)
    found = VectorIndex(held[side], _for_one(index)).search(_query(model, image, text), min(top, len(held[side])))
    results = [
        {"study_id": held["study_id"][i], "film_id": held["film_id"][i], "similarity": float(score)}
        for i, score in zip(found.rows[0], found.scores[0], strict=True)
        if i >= 0
    ]
    return {"vectors": len(held[side]), "query": str(image or text), "results": results}


def retrieval_recall(corpus: Corpus, vectors: SplitVectors) -> dict[str, Estimate]:
    """Recall at 1, 5 and 10 in both directions; an equal report text counts as the own one. Where the true findings are known also
    `..._semantic`: a hit is any study with the same finding set. Intervals resample subjects."""
    hits = retrieval_hits(corpus, vectors)
    return {name: bootstrap_mean(values, groups=vectors.subjects) for name, values in hits.items() if not name.endswith("_rank")}
