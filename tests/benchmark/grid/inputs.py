"""A tiny grid, its trials, and jobs done in the process of the test."""

from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "name": "tiny",
    "about": "A grid of two methods & two seeds.",
    "corpora": {"main": {"archive": "phantom", "count": 160, "seed": 5, "size": 64, "progress": False}},
    "pretrain": {"data": "main", "optimizer": {"epochs": 0.5, "batch_size": 32}, "run": {"evaluate_every": 0, "device": "cpu"}},
    "encoders": {"compact": {}},
    "methods": {"untrained": {"method": "clip", "optimizer": {"epochs": 0}}, "clip": {}},
    "tasks": {"probe": {"data": "main", "shares": [1.0], "draws": [1]}, "zero": {"task": "zeroshot", "data": "main"}},
    "seeds": [0, 1],
}
VALID = {"task": "zeroshot", "data": "main", "split": "valid", "metric": "auroc"}
TRIALS = {
    "clip": {"trials": [{}, {"optimizer": {"learning_rate": 0.02}}]},
    "siglip": {"trials": [{"settings": {"bias": -5.0}}, {"settings": {"bias": 0.0}}]},
    "untrained": TINY["methods"]["untrained"],
}


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grid.yaml").write_text(yaml.safe_dump({**TINY, **changes}, sort_keys=False))
    return folder / "grid.yaml"


def in_this_process(jobs: list, processes: int, threads: int, progress: bool) -> dict:
    """What `sista.benchmark.grid.run._do` does, one after the other."""
    from sista.benchmark.grid.run import _attempt

    failed = {}
    for job in jobs:
        before = [one for one in jobs if one.folder in job.needs]
        reason = "what it needs failed" if any(one in failed for one in before) else _attempt(job, threads)
        if reason:
            failed[job] = reason
    return failed
