"""Tuning: each method's trials are pre-trained and scored on a valid split, and the best of them is what the grid then compares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.benchmark.grid.earlier import Earlier
from sista.benchmark.grid.merge import merged
from sista.benchmark.grid.settings import Grid
from sista.corpus.disk import write_bytes
from sista.errors import SistaError

if TYPE_CHECKING:
    from sista.benchmark.grid.jobs import Job

TASK = "tune"
BETWEEN = " trial "  # of a method's name and the number of its trial


@dataclass(frozen=True)
class Trial:
    """One trial of a method with an encoder: its changes to the method's settings, and the mean of its scores over the tuning seeds.

    jobs: the names of the tasks that scored it, one for each seed. precision: of its pre-trainings and where they ran, "" where that is not
    written down.
    """

    encoder: str
    method: str
    number: int
    changes: Mapping[str, Any]
    score: float
    chosen: bool
    jobs: str
    precision: str


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


def scored(jobs: Sequence[Job], earlier: Earlier) -> list[Job]:
    """The tasks of all trials that have a score among the earlier ones."""
    return [job for tasks in _by_trial(jobs).values() if _names(tasks) in earlier.scores for job in tasks]


def trials_of(grid: Grid, jobs: Sequence[Job], failed: Mapping[Job, str], earlier: Earlier) -> list[Trial]:
    """All trials and which of them is the best (of equal ones the first).

    failed: trials and why. earlier: scores of trials that are not here. One that failed, or whose score is not a number, has -inf. Raises
    SistaError while one is not done, and where all of a method's trials have failed.
    """
    assert grid.tune is not None
    tasks, metric = _by_trial(jobs), grid.tune["task"]["metric"]
    scores = {trial: _score(of, metric, failed, earlier) for trial, of in tasks.items()}
    found = []
    for encoder in grid.encoders:
        for method, spec in grid.methods.items():
            changes = (spec or {}).get("trials", ())
            names = [(encoder, f"{method}{BETWEEN}{n}") for n in range(1, len(changes) + 1)]
            means = [scores[name] for name in names]
            if means and max(means) == -np.inf:
                reasons = [reason for job, reason in failed.items() if job.key[1:3] == names[0]]
                raise SistaError(f"all trials of {method!r} with {encoder!r} failed, such as the first: {' '.join(reasons) or 'no score'}")
            best = int(np.argmax(means)) if means else -1
            for n, name in enumerate(names):
                made = _names(tasks[name]), _precision(tasks[name], earlier)
                found.append(Trial(encoder, method, n + 1, changes[n], means[n], n == best, *made))
    return found


def chosen(trials: list[Trial]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(encoder, method) -> the changes of its best trial."""
    return {(trial.encoder, trial.method): trial.changes for trial in trials if trial.chosen}


def write_trials(trials: list[Trial], out: Path) -> None:
    """tuning.csv: a row for each trial."""
    import pandas as pd

    rows = [{**vars(trial), "changes": json.dumps(trial.changes)} for trial in trials]
    write_bytes(out / "tuning.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def _by_trial(jobs: Sequence[Job]) -> dict[tuple[str, str], list[Job]]:
    """(encoder, trial) -> its tasks, one for each seed."""
    found: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        task, encoder, name, _ = job.key
        if task == TASK:
            found.setdefault((encoder, name), []).append(job)
    return found


def _names(tasks: Sequence[Job]) -> str:
    return " ".join(job.name for job in tasks)


def _precision(tasks: Sequence[Job], earlier: Earlier) -> str:
    """Of a trial's pre-trainings."""
    if (names := _names(tasks)) in earlier.scores:
        return earlier.precisions.get(names, "")
    return ", ".join(sorted({job.precision for job in tasks}))


def _score(tasks: Sequence[Job], metric: str, failed: Mapping[Job, str], earlier: Earlier) -> float:
    """The mean of a trial's scores."""
    if (known := earlier.scores.get(_names(tasks))) is not None:
        return known
    if any(job in failed for job in tasks):
        return -np.inf
    scores = []
    for job in tasks:
        if not job.done:
            raise SistaError(f"trial {job.folder.name} is not done, so that nothing can be chosen; run the grid without --tables_only")
        held = job.metrics()
        if metric not in held:
            raise SistaError(f"the tuning task has no metric {metric!r}; it has {', '.join(held)}")
        value = held[metric]["value"] if isinstance(held[metric], dict) else held[metric]
        scores.append(-np.inf if value is None else value)
    return float(np.mean(scores))


def _stated(spec: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (spec or {}).items() if key != "trials"}
