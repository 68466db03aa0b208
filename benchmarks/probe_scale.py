"""The linear probe at CheXpert's size: time, memory, and its AUROC beside the protocol's minibatch AdamW probe run to convergence.

    python benchmarks/probe_scale.py --out results/probe_scale.json

Features are synthetic, made in place: 256 latent factors whose variances fall as a power law, mixed into 2,048 non-negative channels of
unequal scale with a noise floor, as the pooled vector of a ResNet-50; five labels of CheXpert's prevalences, from the latent factors.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sista import versions
from sista.metrics.auroc import macro_auroc
from sista.transfer.classify_head import HeadSettings, fit_head
from sista.transfer.linear_probe import fit_linear_probe

PREVALENCE = (0.16, 0.12, 0.07, 0.28, 0.41)  # atelectasis, cardiomegaly, consolidation, edema, pleural effusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=191_027)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=50, help="of the published AdamW probe; 0 leaves it out")
    parser.add_argument("--converge", type=int, default=30, help="epochs of AdamW with its rate falling to zero; 0 leaves it out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)  # steps of 48 films: a second thread costs more than it does
    held = 10_000
    x, y = synthetic(given.rows + 2 * held, given.width)
    train, valid, test = slice(0, given.rows), slice(given.rows, given.rows + held), slice(given.rows + held, None)
    made = peak_gigabytes()
    wall, cpu = time.perf_counter(), time.process_time()
    load = os.getloadavg()[0]
    probe = fit_linear_probe(x[train], y[train], x[valid], y[valid])
    result: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]),
        "rows": given.rows,
        "width": given.width,
        "labels": len(PREVALENCE),
        "penalties": len(probe.validation),
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "load_before": round(load, 1),
        "cores": os.cpu_count(),
        "nice": os.nice(0),
        "peak_gigabytes": peak_gigabytes(),
        "peak_gigabytes_of_making_the_features": made,
        "penalty": probe.penalty,
        "auroc_lbfgs": macro_auroc(probe.scores(x[test]), y[test])[0],
        "auroc_lbfgs_per_label": macro_auroc(probe.scores(x[test]), y[test])[1].tolist(),
        "auroc_valid_per_penalty": {f"{penalty:.1e}": value for penalty, value in probe.validation.items()},
        "versions": versions(),
    }
    print(json.dumps(result, indent=1), flush=True)
    write(given.out, result)
    if given.epochs:
        result["adamw_as_published"] = adamw(x, y, train, valid, test, HeadSettings(epochs=given.epochs), result["auroc_lbfgs"])
        write(given.out, result)
    if given.converge:
        weak = fit_linear_probe(x[train], y[train], x[valid], y[valid], penalties=[1e-6])
        result["auroc_lbfgs_penalty_1e-6"] = macro_auroc(weak.scores(x[test]), y[test])[0]
        settings = HeadSettings(epochs=given.converge, patience=given.converge, cosine=True)
        seen = slice(0, held)  # training rows as "validation": the epoch with the least training loss is kept, which is convergence
        result["adamw_to_convergence"] = adamw(x, y, train, seen, test, settings, result["auroc_lbfgs_penalty_1e-6"])
        write(given.out, result)


def adamw(
    x: np.ndarray, y: np.ndarray, train: slice, valid: slice, test: slice, settings: HeadSettings, reference: float
) -> dict[str, Any]:
    """The minibatch probe's figures; `difference` is the reference's AUROC less its own."""
    wall, cpu = time.perf_counter(), time.process_time()
    head = fit_head(x[train], y[train], x[valid], y[valid], settings)
    macro, each = macro_auroc(head.scores(x[test]), y[test])
    found = {
        "settings": asdict(settings),
        "auroc": macro,
        "auroc_per_label": each.tolist(),
        "difference": reference - macro,
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "epochs": len(head.validation),
        "best_epoch": head.best_epoch,
        "loss": head.validation,
    }
    print(json.dumps(found, indent=1), flush=True)
    return found


def synthetic(rows: int, width: int, factors: int = 256, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [rows,width], made 8,192 rows at a time, and labels [rows,5]."""
    random = np.random.default_rng(seed)
    spread = np.arange(1, factors + 1) ** -0.6  # variances fall as 1 / rank^1.2
    mix = (spread[:, None] * random.standard_normal((factors, width))).astype(np.float32) / np.float32(np.sqrt((spread**2).sum()))
    scale = np.exp(random.normal(-1, 0.7, width)).astype(np.float32)
    truth = random.standard_normal((factors, len(PREVALENCE))) * np.arange(1, factors + 1)[:, None] ** -0.25
    truth *= 1.8 / np.sqrt((truth**2).sum(axis=0))
    shift = np.log(np.array(PREVALENCE) / (1 - np.array(PREVALENCE))) * 1.35
    x, y = np.empty((rows, width), np.float32), np.empty((rows, len(PREVALENCE)))
    for start in range(0, rows, 8192):
        block = x[start : start + 8192]
        latent = random.standard_normal((len(block), factors), dtype=np.float32)
        np.matmul(latent, mix, out=block)
        block += 0.3 * random.standard_normal(block.shape, dtype=np.float32)
        np.maximum(block + 0.5, 0, out=block)
        block *= scale
        y[start : start + 8192] = random.random((len(block), len(PREVALENCE))) < 1 / (1 + np.exp(-latent @ truth - shift))
    return x, y


def peak_gigabytes() -> float:
    """The most memory that this process has held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def write(out: Path, result: dict[str, Any]) -> None:
    """The figures so far."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
