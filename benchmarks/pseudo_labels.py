"""How right IFND's pseudo-labels are, as more and more of them are accepted.

    python benchmarks/pseudo_labels.py --model RUN [RUN ...] --data CORPUS --out results/phantom-v1/pseudo_labels.json

RUN is a finished `sista pretrain --method ifnd` on CORPUS. Studies of one split are embedded and labelled by its last clusterings; at each
acceptance rate the surest labels are accepted, and two studies with the same accepted label are a false negative. It is right where the two
have the same true findings with side and place (phantom), or the same known labels elsewhere. Precision and recall over all pairs whose
truth is known, and over those with at least one abnormal study; mean of the run's clusterings, then of runs. `equal_pairs` is the precision
of pairs at random.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from false_negatives import agreement, normal_of, share_of, truth_of
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


class Pairs:
    """All pairs of studies: which have the same findings (equal numbers in `truth` [N]), and which an abnormal study."""

    def __init__(self, truth: np.ndarray, normal: np.ndarray) -> None:
        self.left, self.right = np.triu_indices(len(truth), 1)
        self.equal = truth[self.left] == truth[self.right]
        self.abnormal = ~(normal[self.left] & normal[self.right])

    def quality(self, label: np.ndarray, accepted: np.ndarray) -> dict[str, float | None]:
        """Of one clustering: the share of the pairs that it takes for false negatives, their precision and recall."""
        alike = (label[self.left] == label[self.right]) & accepted[self.left] & accepted[self.right]
        return {"pairs": float(alike.mean()), **agreement(alike, self.equal, self.abnormal)}

    def chance(self) -> dict[str, float | None]:
        """The precision of pairs at random."""
        every = np.ones_like(self.equal)
        return {
            "equal_pairs": share_of(self.equal, every),
            "equal_pairs_abnormal": share_of(self.equal & self.abnormal, self.abnormal),
        }


def by_acceptance(method: Ifnd, vectors: torch.Tensor, pairs: Pairs) -> dict[str, dict[str, float | None]]:
    """Acceptance rate -> the mean of each figure over the clusterings that have one."""
    found: dict[str, list[dict[str, float | None]]] = {f"{rate:g}": [] for rate in RATES}
    for k in method.labels.clusters:
        label, confidence = assign(vectors, method.labels.get_buffer(f"centroids_{k}"), method.settings.concentration)
        for rate in RATES:
            accepted = confidence >= acceptance_threshold(confidence, rate)
            found[f"{rate:g}"].append(pairs.quality(label.numpy(), accepted.numpy()))
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
    rows, truth, normal = corpus.rows(given.split), truth_of(corpus), normal_of(corpus)
    rows = rows[truth[rows] != -1]
    if len(rows) < 2:
        parser.error(
            f"{given.data}: of no two studies of split {given.split} the findings are known; give a phantom corpus, or one with labels"
        )
    pairs, runs = Pairs(truth[rows], normal[rows]), dict[str, Any]()
    for run in given.model:
        method = restore(run, corpus)
        if not isinstance(method, Ifnd):
            parser.error(f"{run} is no run of ifnd")
        if not method.labels.clusterings:
            parser.error(
                f"{run} has not clustered; give a run with more steps, a smaller `every` or fewer clusters, and an acceptance above 0"
            )
        runs[str(run)] = by_acceptance(method, embedded(method, corpus, rows), pairs)
    means = {rate: {name: _mean([run[rate][name] for run in runs.values()]) for name in FIGURES} for rate in next(iter(runs.values()))}
    table("acceptance", FIGURES, {rate: list(one.values()) for rate, one in means.items()})
    print(pairs.chance())
    stated = {"corpus": corpus.fingerprint, "split": given.split, "studies": len(rows), **pairs.chance()}
    write(given.out, {**facts(torch.device("cpu")), **stated, "mean": means, "runs": runs})


if __name__ == "__main__":
    main()
