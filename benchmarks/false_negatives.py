"""How many pairs of reports each teacher and cut-off would remove as false negatives, over all pairs of a corpus.

    python benchmarks/false_negatives.py --data CORPUS --out results/real/false_negatives_openi.json

A removed pair is right when the two studies have the same true findings with side and place (phantom), or the same known labels elsewhere;
precision and recall are given over all pairs, and over those with at least one abnormal study. Ten pairs of study ids a band are drawn
with a fixed seed; no text.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sista import versions
from sista.corpus.corpus import Corpus

SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3)  # equal reports alone are 17 % of the pairs of phantom-v1, 25 % of OpenI
BANDS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # by share of the most alike pairs; ties can leave a band empty


def statistics(corpus: Corpus, teacher: str, seed: int = 0) -> dict[str, Any]:
    """Cut-offs, removed pairs, agreement with the labels, and examples of one teacher."""
    taught = corpus.teacher(teacher)
    vectors = np.asarray(taught.vectors, dtype=np.float32)
    left, right = np.triu_indices(len(vectors), 1)
    similarity = (vectors @ vectors.T)[left, right]
    truth = truth_of(corpus)
    known = (truth[left] != -1) & (truth[right] != -1)
    equal = (truth[left] == truth[right]) & known
    normal = normal_of(corpus)
    abnormal = known & ~(normal[left] & normal[right])
    rows = []
    for share in SHARES:
        cut = taught(share)
        removed = similarity >= cut
        rows.append(
            {
                "share_asked": share,
                "similarity": round(float(cut), 5),
                "pairs_removed": int(removed.sum()),
                "share_removed": float(removed.mean()),
                "normal_normal": share_of(removed & known & ~abnormal, removed & known),
                **agreement(removed & known, equal, abnormal),
            }
        )
    facts = {"equal_pairs": share_of(equal, known), "equal_pairs_normal": share_of(equal & ~abnormal, equal)}
    return {"teacher": teacher, **facts, "cut_offs": rows, "examples": _examples(corpus, taught, similarity, left, right, seed)}


def agreement(removed: np.ndarray, equal: np.ndarray, abnormal: np.ndarray) -> dict[str, float | None]:
    """Precision and recall of the removed pairs, over all and over those with an abnormal study.

    All are booleans of pairs, False where the truth of one is not known.
    """
    return {
        "precision": share_of(removed & equal, removed),
        "recall": share_of(removed & equal, equal),
        "precision_abnormal": share_of(removed & equal & abnormal, removed & abnormal),
        "recall_abnormal": share_of(removed & equal & abnormal, equal & abnormal),
    }


def _examples(corpus: Corpus, taught: Any, similarity: np.ndarray, left: np.ndarray, right: np.ndarray, seed: int) -> dict[str, Any]:
    studies = corpus.column("study_id")
    cuts = [np.inf, *[taught(share) for share in BANDS[1:-1]], -np.inf]
    random = np.random.default_rng(seed)
    found = {}
    for (high, low), (first, last) in zip(pairwise(cuts), pairwise(BANDS), strict=True):
        inside = np.flatnonzero((similarity < high) & (similarity >= low))
        drawn = random.choice(inside, size=min(10, len(inside)), replace=False)
        found[f"top {100 * first:g} % to {100 * last:g} %"] = [
            [studies[left[i]], studies[right[i]], round(float(similarity[i]), 4)] for i in np.sort(drawn)
        ]
    return found


def truth_of(corpus: Corpus) -> np.ndarray:
    """One number per row for what is true of it, -1 where nobody knows."""
    keys = corpus.truth_keys(np.arange(len(corpus)))
    return keys if (keys != -1).any() else _label_keys(corpus)


def _label_keys(corpus: Corpus) -> np.ndarray:
    """One number per row for its labelled findings, -1 where none is known; "no finding" is not one of them."""
    labels = _findings(corpus)
    known = ~np.isnan(labels).all(axis=1) if labels.shape[1] else np.zeros(len(corpus), dtype=bool)
    _, keys = np.unique(np.nan_to_num(labels, nan=-2), axis=0, return_inverse=True)
    return np.where(known, keys.ravel(), -1)


def normal_of(corpus: Corpus) -> np.ndarray:
    """True per row where no finding is labelled present."""
    return ~(_findings(corpus) == 1).any(axis=1)


def _findings(corpus: Corpus) -> np.ndarray:
    columns = [k for k, name in enumerate(corpus.label_names) if name.lower().replace("_", " ") not in ("no finding", "normal")]
    return corpus.labels()[:, columns]


def share_of(part: np.ndarray, whole: np.ndarray) -> float | None:
    """How many of `whole` (boolean) are in `part`; None where it is empty."""
    return round(float(part.sum() / whole.sum()), 4) if whole.any() else None


def main() -> None:
    """Read the arguments, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", nargs="+", default=["tfidf", "tfidf-raw", "rules"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    corpus = Corpus.open(given.data)
    result = {
        "command": "python benchmarks/false_negatives.py " + " ".join(sys.argv[1:]),
        "archive": corpus.facts["archive"],
        "reports": len(corpus),
        "pairs": len(corpus) * (len(corpus) - 1) // 2,
        "versions": versions(),
        "teachers": [statistics(corpus, name, given.seed) for name in given.teachers],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for entry in result["teachers"]:
        print(entry["teacher"])
        for row in entry["cut_offs"]:
            print("  ", "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
