"""One encoder on one corpus: zero-shot, linear probe, retrieval and grounding on the test split, films encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.inference.embedding import SplitVectors, embed_rows
from sista.inference.grounding import Grounding, ground_regions
from sista.inference.pretrained import PretrainedModel, prompts_of
from sista.inference.retrieval import retrieval_recall
from sista.inference.zero_shot import zero_shot_auroc
from sista.transfer.probe import label_table, probe_features
from sista.transfer.shares import share_plan


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is JSON-able, each metric {"value", "ci95"}; `test` and `grounding` are what the report draws from."""

    metrics: dict[str, Any]
    test: SplitVectors
    grounding: Grounding


def evaluate(
    model: PretrainedModel, corpus: Corpus, shares: tuple[float, ...] = (0.01, 0.1, 1.0), regions: int = 1000, seed: int = 0
) -> Evaluation:
    """Score `model` on the corpus' test split; the probe learns from train and picks its penalty on valid. Intervals resample subjects."""
    names = list(corpus.label_names)
    test = embed_rows(model, corpus, corpus.rows("test"))
    others = np.concatenate([corpus.rows("train"), corpus.rows("valid")])
    pooled = np.concatenate([embed_rows(model, corpus, others, texts=False).pooled, test.pooled])
    rows = np.concatenate([others, test.rows])
    macro, per_finding = zero_shot_auroc(model, corpus, test, prompts_of(names))
    parts, draws = share_plan(list(shares), None, seed, cheap=True)
    probes, _ = probe_features(pooled, corpus, rows, label_table(corpus, names)[rows], names, parts, draws, seed)
    recall = retrieval_recall(corpus, test)
    grounding = ground_regions(model, corpus, test.rows, regions)
    pointing = grounding.summary()
    metrics = {
        "zero_shot_auroc": macro.as_dict(),
        "probe_auroc": {_share(share): result.macro.as_dict() for share, result in probes.items()},
        "retrieval": {name: estimate.as_dict() for name, estimate in recall.items()},
        "pointing_game": pointing["pointing_game"],
        "contrast_to_noise": pointing["contrast_to_noise"],
        "pointing_game_chance": pointing["chance"],
        "per_finding": {
            name: {
                "zero_shot_auroc": per_finding[name].as_dict(),
                "probe_auroc": {_share(share): result.per_label[name].as_dict() for share, result in probes.items()},
                "pointing_game": pointing["pointing_game_per_finding"].get(name),
            }
            for name in names
        },
        "test_films": len(test.rows),
        "test_regions": pointing["regions"],
    }
    return Evaluation(metrics, test, grounding)


def _share(share: float) -> str:
    return "1.0" if share == 1 else f"{share:g}"
