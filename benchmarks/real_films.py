"""SISTA on a few hundred real film-text pairs, probed on other real films: does the way work on real files, and what is it worth?

    python benchmarks/real_films.py --pairs data/pairs.csv --labelled data/nih/images.csv --work runs --out results/real/real_films.json

Three seeds. An encoder pre-trained on the pairs, the same architecture untrained, and, with --phantom RUN, one pre-trained on procedural
films are probed on the labelled films, from the same draws of the labels, a seed's own. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from sista import versions
from sista.archives.build import build
from sista.archives.table import Table
from sista.inference.retrieval import retrieve
from sista.training.pretrain import pretrain
from sista.training.settings import OptimizerSettings, RunSettings
from sista.transfer.probe import probe

LABELS = ["Atelectasis", "Cardiomegaly", "Consolidation", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "No_Finding"]
OPTIMIZER = OptimizerSettings(epochs=30, batch_size=32)


def of_seeds(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Each share's AUROC: mean over seeds, the seeds' values, and the widest interval over test subjects."""
    table = {}
    for share in results[0]["auroc"]:
        values = [result["auroc"][share] for result in results]
        table[share] = {
            "mean": round(statistics.mean(v["value"] for v in values), 4),
            "seeds": [round(v["value"], 4) for v in values],
            "ci95_of_seeds": [[round(bound, 4) for bound in v["ci95"]] for v in values],
        }
    return table


def main() -> None:
    """Build, pre-train, probe, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--phantom", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    films = Table(given.pairs, report_column="text", view_column="projection", subject_column="patient_id", split_column="split")
    pairs = build(films, given.work / "pairs", size=128)
    films = Table(given.labelled, label_columns=LABELS, subject_column="patient_id", split_column="split")
    labelled = build(films, given.work / "nih", size=128)
    ours, untrained, recall, speed = [], [], [], []
    for seed in given.seeds:
        run = given.work / f"real-{seed}"
        trained = pretrain(given.work / "pairs", run, optimizer=OPTIMIZER, run=RunSettings(seed=seed, progress=False))
        ours.append(probe(run, given.work / "nih", seed=seed))
        untrained.append(probe(run, given.work / "nih", untrained=True, seed=seed))
        recall.append(retrieve(run, given.work / "pairs"))
        speed.append(trained["pairs_per_second"])
    result = {
        "command": "python benchmarks/real_films.py " + " ".join(sys.argv[1:]),
        "seeds": given.seeds,
        "pairs": pairs,
        "labelled": labelled,
        "probe_auroc": {"pre-trained on the pairs": of_seeds(ours), "untrained": of_seeds(untrained)},
        "per_finding_all_labels": {
            name: {
                kind: [round(result["per_share"]["1.0"]["per_label"][name]["value"], 3) for result in results]
                for kind, results in (("pre-trained", ours), ("untrained", untrained))
            }
            for name in LABELS
        },
        "retrieval_of_test_pairs": {name: [result[name] for result in recall] for name in ("i2t_r10", "t2i_r10")},
        "pairs_per_second": speed,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    if given.phantom:
        result["probe_auroc"]["pre-trained on phantom films"] = of_seeds(
            [probe(given.phantom, given.work / "nih", seed=seed) for seed in given.seeds]
        )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1, default=str) + "\n")
    print(json.dumps(result["probe_auroc"], indent=1))


if __name__ == "__main__":
    main()
