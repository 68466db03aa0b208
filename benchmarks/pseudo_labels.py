"""How right IFND's pseudo-labels are, as more and more of them are accepted.

    python benchmarks/pseudo_labels.py --model RUN [RUN ...] --data CORPUS --out results/phantom-v1/pseudo_labels.json

RUN is a finished `sista pretrain --method ifnd` on CORPUS. Studies of one split are embedded and labelled by its last clusterings; at each
acceptance rate the surest labels are accepted, and two studies with the same accepted label are a false negative. Right are those whose
true findings, side and place are equal. Precision and recall over all pairs, and over those with an abnormal study; mean of the run's
clusterings. `equal_pairs` is the precision of pairs at random.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from false_negatives import normal_of, share_of, truth_of
from measuring import facts, table, write

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.methods.ifnd import Ifnd
from sista.objectives.cluster_targets import acceptance_threshold, assign
from sista.training.restored import restore

RATES = (0.1, 0.25, 0.5, 0.75, 1.0)
FIGURES = ("pairs", "precision", "recall", "precision_abnormal", "recall_abnormal")


@torch.inference_mode()
def embedded(method: Ifnd, corpus: Corpus, rows: np.ndarray) -> torch.Tensor:
    """Unit vectors [N,D] of the films, or reports, that the run clustered."""
    size, found = method.encoder.image.image_size, []
    for start in range(0, len(rows), 64):
        batch = corpus.batch(rows[start : start + 64])
        image, text = method.embed(batch, eval_view(batch.images, size))
        found.append(image if method.settings.space == "image" else text)
    return torch.cat(found)


def quality(label: np.ndarray, accepted: np.ndarray, truth: np.ndarray, normal: np.ndarray) -> dict[str, float | None]:
    """Of one clustering, over all pairs of studies whose truth is known."""
    left, right = np.triu_indices(len(label), 1)
    known = (truth[left] != -1) & (truth[right] != -1)
    left, right = left[known], right[known]
    alike = (label[left] == label[right]) & accepted[left] & accepted[right]
    equal = truth[left] == truth[right]
    abnormal = ~(normal[left] & normal[right])
    return {
        "pairs": share_of(alike, np.ones_like(alike)),
        "precision": share_of(alike & equal, alike),
        "recall": share_of(alike & equal, equal),
        "precision_abnormal": share_of(alike & equal & abnormal, alike & abnormal),
        "recall_abnormal": share_of(alike & equal & abnormal, equal & abnormal),
    }


def by_acceptance(method: Ifnd, vectors: torch.Tensor, truth: np.ndarray, normal: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Acceptance rate -> the mean of each figure over the clusterings that have one."""
    found: dict[str, list[dict[str, float | None]]] = {f"{rate:g}": [] for rate in RATES}
    for k in method.labels.clusters:
        label, confidence = assign(vectors, method.labels.get_buffer(f"centroids_{k}"), method.settings.concentration)
        for rate in RATES:
            accepted = (confidence >= acceptance_threshold(confidence, rate)).numpy()
            found[f"{rate:g}"].append(quality(label.numpy(), accepted, truth, normal))
    return {rate: {name: _mean([one[name] for one in each]) for name in FIGURES} for rate, each in found.items()}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None


def main() -> None:
    """Read the arguments, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    corpus = Corpus.open(given.data)
    rows = corpus.rows(given.split)
    truth, normal = truth_of(corpus)[rows], normal_of(corpus)[rows]
    left, right = np.triu_indices(len(rows), 1)
    runs: dict[str, Any] = {}
    for run in given.model:
        method = restore(run, corpus)
        if not isinstance(method, Ifnd) or not method.labels.clusterings:
            parser.error(f"{run}: no run of ifnd that has clustered; give it more steps, or a smaller `every`")
        runs[str(run)] = by_acceptance(method, embedded(method, corpus, rows), truth, normal)
    means = {rate: {name: _mean([run[rate][name] for run in runs.values()]) for name in FIGURES} for rate in next(iter(runs.values()))}
    equal = share_of(truth[left] == truth[right], np.ones(len(left), dtype=bool))
    abnormal = ~(normal[left] & normal[right])
    base = {"equal_pairs": equal, "equal_pairs_abnormal": share_of((truth[left] == truth[right]) & abnormal, abnormal)}
    table("acceptance", FIGURES, {rate: list(one.values()) for rate, one in means.items()})
    print(base)
    stated = {"corpus": corpus.fingerprint, "split": given.split, "studies": len(rows), **base}
    write(given.out, {**facts(torch.device("cpu")), **stated, "mean": means, "runs": runs})


if __name__ == "__main__":
    main()
