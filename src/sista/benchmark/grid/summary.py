"""All figures of a grid's runs; their means over seeds with intervals; each method against the best, and against a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.benchmark.compare import Resampled, Unpairable, mean_difference
from sista.benchmark.grid.earlier import Earlier, Figures
from sista.benchmark.grid.jobs import Job
from sista.benchmark.grid.settings import TASKS, Grid
from sista.metrics.interval import Difference
from sista.metrics.result import Run, read_run

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("encoder", "method", "task", "metric")
AGAINST_BEST = ("difference", "difference_low", "difference_high", "p")
OVER_BASELINE = ("over", "over_low", "over_high", "over_films_low", "over_films_high")
COLUMNS = (*KEYS, "mean", "low", "high", "seeds", "missing", "ranked", "best", *AGAINST_BEST, *OVER_BASELINE, "over_seeds")
Runs = Mapping[int, tuple[float, Path | None]]  # seed -> a figure, and the folder of its task, where predictions are here


@dataclass(frozen=True)
class Found:
    """figures: a row for each figure of each run (KEYS, seed, value, low, high: its own interval over subjects; job: the task's name;
    precision: of the pre-training and where it ran, such as "bf16 on cpu", "" where that is not written down).

    summary: a row for KEYS of the main table: mean and the seeds' 95 % t-interval (low, high; NaN for one seed), seeds, how many are
    missing of those that any method has, ranked (whether there is a best), best (the best mean of its encoder and metric, methods of
    `reference` and those that lack a seed left out), and two comparisons, NaN where there is none. Against the best, seeds averaged:
    difference, its paired interval over subjects, p. Over the grid's baseline, or the method that it names: the mean difference (over), the
    t-interval of the differences of equal seeds (over_low, over_high), the paired interval over subjects (over_films_low,
    over_films_high), and the number of these seeds (over_seeds; 0 without any).

    absent: task -> the methods, with their encoder, of which no seed has a result of it. earlier: the seeds of which some figure is one of
    an earlier call. precisions: of the pre-trainings -> the number of tasks that stand on them. unnamed: tasks that lack figures which
    their `metrics` name, or have none of the main table's -> these, and those that they have.
    """

    grid: Grid
    figures: pd.DataFrame
    summary: pd.DataFrame
    unnamed: Mapping[str, tuple[list[str], list[str]]]
    absent: Mapping[str, list[str]]
    earlier: tuple[int, ...]
    precisions: Mapping[str, int]


def gather(grid: Grid, tasks: Sequence[Job], earlier: Earlier, resamples: int = 1000, written: Mapping[str, str] | None = None) -> Found:
    """Read the results of the tasks that are done, and the earlier figures of those that are not.

    written: a task that is done -> the precision of its pre-training, should that be deleted.
    """
    import pandas as pd

    rows = []
    for job in tasks:
        task, encoder, method, seed = job.key
        of_job = _figures(job) if job.done else earlier.figures.get(job.name, {})
        precision = job.precision or (written or {}).get(job.name, "") if job.done else earlier.precisions.get(job.name, "")
        rows += [(encoder, method, task, metric, seed, *numbers, job.name, precision) for metric, numbers in of_job.items()]
    figures = pd.DataFrame(rows, columns=[*KEYS, "seed", "value", "low", "high", "job", "precision"])
    folders = {job.key: job.folder if job.done and (job.folder / "predictions.parquet").is_file() else None for job in tasks}
    from_earlier = sorted({job.key[3] for job in tasks if not job.done and job.name in earlier.figures})
    summary, unnamed = [], dict[str, tuple[list[str], list[str]]]()
    for task in grid.tasks:
        of_task = figures[figures.task == task]
        known = list(dict.fromkeys(of_task.metric))
        read = cache(read_run)  # a run is held against others in every metric
        metrics = main_metrics(grid, task, known)
        stated = grid.tasks[task].get("metrics", ())
        lacking = [one for one in stated if not any(_matches(name, one) for name in known)]
        if known and (lacking or not metrics):
            unnamed[task] = (lacking, known)
        for metric in metrics:
            for encoder in grid.encoders:
                here = of_task[(of_task.metric == metric) & (of_task.encoder == encoder)]
                runs: dict[str, Runs] = {}
                for method in grid.methods:
                    part = here[here.method == method].sort_values("seed")
                    if len(part):
                        seeds = [int(seed) for seed in part.seed]
                        paths = [folders[(task, encoder, method, seed)] for seed in seeds]
                        runs[method] = dict(zip(seeds, zip(map(float, part.value), paths, strict=True), strict=True))
                summary += _of_metric(grid, (encoder, task, metric), runs, read, resamples)
    there = {job.key[:3] for job in tasks if job.done or job.name in earlier.figures}
    absent: dict[str, list[str]] = {}
    for task, encoder, method in dict.fromkeys(job.key[:3] for job in tasks):
        if (task, encoder, method) not in there:
            absent.setdefault(task, []).append(method if len(grid.encoders) == 1 else f"{method} with {encoder}")
    each = figures.drop_duplicates(["encoder", "method", "task", "seed"])
    precisions = dict(Counter(map(str, each.precision)))
    return Found(grid, figures, pd.DataFrame(summary, columns=COLUMNS), unnamed, absent, tuple(from_earlier), precisions)


def _figures(job: Job) -> Figures:
    """The figures of a task that is done."""
    found = {}
    for metric, held in job.metrics().items():
        value, (low, high) = (held["value"], held["ci95"]) if isinstance(held, dict) else (held, (None, None))
        if value is not None:
            found[metric] = (value, low, high)
    return found


def main_metrics(grid: Grid, task: str, known: Sequence[str]) -> list[str]:
    """The metrics of a task's main table, in the order of its result; "auroc@" is that of every share."""
    spec = grid.tasks[task]
    wanted = spec.get("metrics") or TASKS[spec.get("task", task)][1]
    return [name for name in known if any(_matches(name, one) for one in wanted)]


def _matches(name: str, wanted: str) -> bool:
    return name == wanted or (wanted.endswith("@") and name.rpartition("@")[0] == wanted[:-1])


def _better(metric: str) -> Callable[..., Any]:
    """Of methods, the one with the best figure."""
    return min if lower_is_better(metric) else max


def lower_is_better(metric: str) -> bool:
    """So it is of ranks alone."""
    return metric.endswith("_rank")


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of runs [n] by Student's t; NaN for one run."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _of_metric(
    grid: Grid, key: tuple[str, str, str], runs: Mapping[str, Runs], read: Callable[[Path], Run], resamples: int
) -> list[dict[str, Any]]:
    """The rows of one metric, a method each."""
    encoder, task, metric = key
    spec = grid.tasks[task]
    ranked = spec.get("task", task) != "controls"  # more is not better there, and losses have scales of their own
    values = {method: np.array([value for value, _ in of.values()]) for method, of in runs.items()}
    seeds = set().union(*runs.values())
    contenders = [method for method in runs if set(runs[method]) == seeds and not (grid.methods[method] or {}).get("reference")]
    best = _better(metric)(contenders, key=lambda method: values[method].mean(), default=None) if ranked else None
    resampled: Resampled = {}
    test: Any = (read, metric, spec.get("split", "test"), resamples, resampled)
    tests: dict[tuple[str, str | None], Difference | None] = {}
    for method in runs if ranked else ():
        for other in {best or "", grid.over(method)} & (set(runs) - {method}):  # often the same
            tests[method, other] = _paired(runs[method], runs[other], *test)
    rows = []
    for method in runs:
        low, high = seed_interval(values[method])
        row = {"encoder": encoder, "method": method, "task": task, "metric": metric, "mean": values[method].mean(), "low": low}
        row |= {"high": high, "seeds": len(values[method]), "missing": len(seeds) - len(values[method])}
        row |= {"ranked": best is not None, "best": method == best}
        row |= {**dict.fromkeys((*AGAINST_BEST, *OVER_BASELINE), float("nan")), "over_seeds": 0}
        if found := tests.get((method, best)):
            row |= dict(zip(AGAINST_BEST, (found.value, *found.ci95, found.p), strict=True))
        if ranked and (other := grid.over(method)) in runs:
            row |= _over(runs[method], runs[other], tests[method, other])
        rows.append(row)
    return rows


def _over(mine: Runs, theirs: Runs, found: Difference | None) -> dict[str, float]:
    """What a method has over another, by the seeds that both have; found: their paired test."""
    both = sorted(set(mine) & set(theirs))
    if not both:
        return {}
    gains = np.array([mine[seed][0] - theirs[seed][0] for seed in both])
    films = found.ci95 if found else (float("nan"), float("nan"))
    return {**dict(zip(OVER_BASELINE, (float(gains.mean()), *seed_interval(gains), *films), strict=True)), "over_seeds": len(both)}


def _paired(
    mine: Runs,
    theirs: Runs,
    read: Callable[[Path], Run],
    metric: str,
    split: str,
    resamples: int,
    resampled: Resampled,
) -> Difference | None:
    """Mean difference over the seeds whose runs both have, paired by seed and film; None without one, or for a figure not of films."""
    folders = [(mine[seed][1], theirs[seed][1]) for seed in sorted(set(mine) & set(theirs))]
    pairs = [(read(one), read(other)) for one, other in folders if one is not None and other is not None]
    if not pairs:
        return None
    try:
        return mean_difference(pairs, metric, split, resamples, resampled=resampled)
    except Unpairable:
        return None
