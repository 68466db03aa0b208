"""The whole way on procedural films, for anyone with two CPU cores and some minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from sista import versions
from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.benchmark.evaluation import evaluate
from sista.benchmark.report import write_report
from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_json
from sista.errors import SistaError
from sista.inference.pretrained import load, untrained
from sista.methods import require_teacher, settings_of
from sista.training.log import read_log
from sista.training.pretrain import measure_mean_patches, pretrain
from sista.training.settings import OptimizerSettings, RunSettings


def demo(
    out: Path = Path("runs/demo"),
    seed: int = 0,
    studies: int = 15_000,
    epochs: float = 3.3,
    method: str = "sista",
    progress: bool = True,
) -> dict[str, Any]:
    """Build a phantom corpus, pre-train on it, evaluate against an untrained encoder, and write a report.

    `out` then holds `summary.json`, `report.html` (one self-contained page), `run/model` (the checkpoint) and `corpus`. Given again, the
    same call goes on where it stopped.

    Args:
        out: where everything goes.
        seed: of the phantom studies, the weights and the order of training.
        studies: how many studies are made; four fifths are trained on.
        epochs: passes over the training pairs.
        method: how films and reports are aligned.
        progress: show progress bars on standard error.
    """
    batch = OptimizerSettings().batch_size
    if studies < 2 * batch:
        raise SistaError(
            f"studies is {studies}; four fifths must fill a batch of {batch} and the rest be enough to score, so at least {2 * batch}"
        )
    if epochs < 0:
        raise SistaError(f"epochs is {epochs:g}; it must be 0 or more")
    settings_of(method, {})  # refuses an unknown method before anything is built
    require_teacher(method, "tfidf")
    out, begin = Path(out), time.perf_counter()
    built = build(Phantom(studies, seed=seed), out / "corpus", progress=progress)
    corpus = Corpus.open(out / "corpus")
    built_at = time.perf_counter()
    run = RunSettings(seed=seed, progress=progress, checkpoint_every=250, evaluate_every=300, evaluation_pairs=500)
    trained = pretrain(out / "corpus", out / "run", method=method, optimizer=OptimizerSettings(epochs=epochs), run=run)
    trained_at = time.perf_counter()
    model = load(out / "run")
    scores = evaluate(model, corpus, seed=seed)
    bare = untrained(out / "run", seed)
    # maps are read against those of the mean film, which the trained encoder has with it
    measure_mean_patches(bare.encoder, corpus, bare.precision, bare.device)
    floor = evaluate(bare, corpus, seed=seed)
    evaluated_at = time.perf_counter()
    summary = {
        **scores.metrics,
        "pairs_per_second": trained["pairs_per_second"],
        "seconds": 0.0,
        "untrained": floor.metrics,
        "seconds_of": {"build": built_at - begin, "pretrain": trained_at - built_at, "evaluate": evaluated_at - trained_at},
        "method": method,
        "seed": seed,
        "corpus": built,
        "checkpoint": str(out / "run" / "model"),
        "precision": trained["precision"],
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    log = out / "run" / "log.csv"
    write_report(out / "report.html", corpus, model, scores, summary, read_log(log) if log.is_file() else [])  # none of 0 epochs
    summary["seconds"] = round(time.perf_counter() - begin, 1)
    summary["report"] = str(out / "report.html")
    write_json(out / "summary.json", summary)
    return summary
