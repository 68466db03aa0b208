"""Tuning: each method's trials are pre-trained and scored on a valid split, and the best of them is what the grid then compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.benchmark.grid.merge import merged
from sista.benchmark.grid.settings import Grid
from sista.corpus.disk import read_json, write_bytes
from sista.errors import SistaError

if TYPE_CHECKING:
    from sista.benchmark.grid.jobs import Job

TASK = "tune"
BETWEEN = " trial "  # of a method's name and the number of its trial


@dataclass(frozen=True)
class Trial:
    """One trial of a method with an encoder: its changes to the method's settings, and the mean of its scores over the tuning seeds."""

    encoder: str
    method: str
    number: int
    changes: Mapping[str, Any]
    score: float
    chosen: bool


def trial_grid(grid: Grid) -> Grid:
    """The grid of all trials: each a method of its own, the tuning task the only one."""
    assert grid.tune is not None
    tune = grid.tune
    methods = {
        f"{name}{BETWEEN}{number}": merged({"method": name, **_stated(spec)}, trial)
        for name, spec in grid.methods.items()
        for number, trial in enumerate((spec or {}).get("trials", ()), start=1)
    }
    task = {key: value for key, value in tune["task"].items() if key != "metric"}
    pretrain = merged(grid.pretrain, tune.get("pretrain") or {})
    return replace(grid, pretrain=pretrain, methods=methods, tasks={TASK: task}, seeds=tuple(tune["seeds"]), tune=None)


def trials_of(grid: Grid, jobs: list[Job], failed: Mapping[Job, str] | None = None) -> list[Trial]:
    """All trials and which of them is the best (of equal ones the first).

    failed: trials and why. One that failed, or whose score is not a number, has -inf. Raises SistaError while one is not done, and where
    all of a method's trials have failed.
    """
    assert grid.tune is not None
    metric, scores = grid.tune["task"]["metric"], dict[tuple[str, str], list[float]]()
    for job in jobs:
        task, encoder, name, _ = job.key
        if task != TASK:
            continue
        if failed and job in failed:
            scores.setdefault((encoder, name), []).append(-np.inf)
            continue
        if not job.done:
            raise SistaError(f"trial {job.folder.name} is not done, so that nothing can be chosen; run the grid without --tables_only")
        held = read_json(job.folder / "result.json")["metrics"]
        if metric not in held:
            raise SistaError(f"the tuning task has no metric {metric!r}; it has {', '.join(held)}")
        value = held[metric]["value"] if isinstance(held[metric], dict) else held[metric]
        scores.setdefault((encoder, name), []).append(-np.inf if value is None else value)
    found = []
    for encoder in grid.encoders:
        for method, spec in grid.methods.items():
            changes = (spec or {}).get("trials", ())
            means = [float(np.mean(scores[(encoder, f"{method}{BETWEEN}{n}")])) for n in range(1, len(changes) + 1)]
            if means and max(means) == -np.inf:
                reasons = [reason for job, reason in (failed or {}).items() if job.key[1:3] == (encoder, f"{method}{BETWEEN}1")]
                raise SistaError(f"all trials of {method!r} with {encoder!r} failed, such as the first: {' '.join(reasons) or 'no score'}")
            best = int(np.argmax(means)) if means else -1
            found += [Trial(encoder, method, n + 1, changes[n], mean, n == best) for n, mean in enumerate(means)]
    return found


def chosen(trials: list[Trial]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(encoder, method) -> the changes of its best trial."""
    return {(trial.encoder, trial.method): trial.changes for trial in trials if trial.chosen}


def write_trials(trials: list[Trial], out: Path) -> None:
    """tuning.csv: a row for each trial."""
    import pandas as pd

    rows = [{**vars(trial), "changes": json.dumps(trial.changes)} for trial in trials]
    write_bytes(out / "tuning.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def _stated(spec: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (spec or {}).items() if key != "trials"}
