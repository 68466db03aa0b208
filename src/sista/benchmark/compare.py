"""Two runs on the same films: is one better? Differences with intervals and p, subjects resampled for both alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sista.errors import SistaError, nearest
from sista.metrics.auroc import WeightedStatistic, weighted_auroc, weighted_average_precision
from sista.metrics.interval import Difference, resample_weights
from sista.metrics.result import IDS, Run, read_run

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # row weights [n,r] -> difference [r]
PREFIXES = ("label/", "score/", "value/")
CURVES: Mapping[str, WeightedStatistic] = {"auroc": weighted_auroc, "average_precision": weighted_average_precision}


def compare(a: Path, b: Path, metric: list[str] | None = None, split: str = "test", resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Compare two runs by their predictions: a minus b of each metric that both have, with a 95 % interval and a two-sided p.

    The p is of the bootstrap over subjects, paired: both runs are scored on the same resampled subjects. It does not know of training
    seeds, and is not corrected for looking at several metrics.

    Args:
        a: a folder that a command wrote with --out.
        b: another of the same task on the same films.
        metric: only these, such as auroc@0.01, auroc/edema@1.0, i2t_r10, pointing_game; by default all that both runs have.
        split: which films are compared.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    one, other = read_run(a), read_run(b)
    if one.result["task"] != other.result["task"] and {one.result["task"], other.result["task"]} != {"probe", "classify"}:
        raise SistaError(f"{a} is a run of {one.result['task']}, {b} of {other.result['task']}; compare two of the same task")
    left, right = (_on_split(run, split) for run in (one, other))
    statistics, refused = _statistics(left, right, one, other)
    if metric:
        if unknown := [name for name in metric if name not in statistics]:
            raise SistaError(f"no metric {unknown[0]!r} in both runs: {refused.get(unknown[0]) or nearest(unknown[0], statistics)}")
        statistics = {name: statistics[name] for name in metric}
    if not statistics:
        raise SistaError(next(iter(refused.values()), f"{a} and {b} have no metric in common"))
    found = {name: _paired(of, subjects, resamples, seed).as_dict() for name, (of, subjects) in statistics.items()}
    whole = {name: [_known(side) for side in of.sides] for name, (of, _) in statistics.items()}
    return {
        "task": "compare",
        "a": str(a),
        "b": str(b),
        "split": split,
        "subjects": int(left["subject_id"].nunique()),
        "encoders": [run.result["encoder"].get("sha256") for run in (one, other)],
        "metrics": {name: {"a": whole[name][0], "b": whole[name][1], "difference": found[name]} for name in found},
        "left_out": refused,
    }


class _Pair:
    """The difference of one statistic of two runs as a function of row weights; `sides` are its two values on all rows."""

    def __init__(self, left: Callable[[Floats], Floats], right: Callable[[Floats], Floats], rows: int) -> None:
        self.left, self.right, self.rows = left, right, rows
        everything = np.ones((rows, 1))
        self.sides = float(left(everything)[0]), float(right(everything)[0])

    def __call__(self, weights: Floats) -> Floats:
        return self.left(weights) - self.right(weights)


def _paired(pair: _Pair, subjects: NDArray[Any], resamples: int, seed: int) -> Difference:
    values = np.concatenate([pair(weights) for weights in resample_weights(pair.rows, subjects, resamples, seed)])
    kept = values[~np.isnan(values)]
    if not len(kept):
        return Difference(pair.sides[0] - pair.sides[1], (float("nan"), float("nan")), len(values))
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    low, high = np.quantile(kept, [0.025, 0.975])
    p = min(1.0, 2 * (tail + 1) / (len(kept) + 1))
    return Difference(pair.sides[0] - pair.sides[1], (float(low), float(high)), len(values) - len(kept), p)


def _statistics(
    left: pd.DataFrame, right: pd.DataFrame, one: Run, other: Run
) -> tuple[dict[str, tuple[_Pair, NDArray[Any]]], dict[str, str]]:
    """name -> the pair of statistics and the subjects of its rows; and why, of the shares or levels that cannot be compared."""
    found: dict[str, tuple[_Pair, NDArray[Any]]] = {}
    refused: dict[str, str] = {}
    for key in ("share", "level", None):
        if key is None or (key in left.columns and key in right.columns):
            break
    groups = (
        {"": (left, right)}
        if key is None
        else {value: (left[left[key] == value], right[right[key] == value]) for value in left[key].unique()}
    )
    for value, (mine, theirs) in groups.items():
        suffix = "" if key is None else f"@{_share(value)}" if key == "share" else f"/{value}"
        if not len(theirs):
            refused[f"*{suffix}"] = f"only {one.path} has {key} {value}"
            continue
        draws, draws_of_other = _by_draw(mine, one), _by_draw(theirs, other)
        rows = _same_rows(draws[0], draws_of_other[0], one, other)
        aligned, aligned_other = ([frame.loc[rows].reset_index() for frame in side] for side in (draws, draws_of_other))
        subjects = aligned[0]["subject_id"].to_numpy()
        columns = [name for name in aligned[0].columns if name in aligned_other[0].columns]
        for name, pair in {**_curves(columns, aligned, aligned_other, one, other), **_means(columns, aligned, aligned_other)}.items():
            found[f"{name}{suffix}"] = (pair, subjects)
    return found, refused


def _curves(columns: list[str], mine: list[pd.DataFrame], theirs: list[pd.DataFrame], one: Run, other: Run) -> dict[str, _Pair]:
    """AUROC and average precision: macro, and of each label that both runs score and that has both classes."""
    names = [
        name.removeprefix("score/") for name in columns if name.startswith("score/") and f"label/{name.removeprefix('score/')}" in columns
    ]
    truth = {name: mine[0][f"label/{name}"].to_numpy(float) for name in names}
    for name in names:
        if not np.array_equal(truth[name], theirs[0][f"label/{name}"].to_numpy(float), equal_nan=True):
            raise SistaError(
                f"{one.path} and {other.path} have different labels of {name!r} on the same films; score both on one corpus and policy"
            )
    names = [name for name in names if (truth[name] == 0).any() and (truth[name] == 1).any()]
    result: dict[str, _Pair] = {}
    for metric, statistic in CURVES.items():
        for label, some in {metric: names, **{f"{metric}/{name}": [name] for name in names}}.items():
            if some:
                sides = [_macro(frames, some, truth, statistic) for frames in (mine, theirs)]
                result[label] = _Pair(sides[0], sides[1], len(mine[0]))
    return result


def _macro(frames: list[pd.DataFrame], names: list[str], truth: Mapping[str, Floats], statistic: WeightedStatistic) -> Statistic:
    scores = [[frame[f"score/{name}"].to_numpy(float) for name in names] for frame in frames]

    def of(weights: Floats) -> Floats:
        each = [[statistic(held, truth[name], weights) for held, name in zip(draw, names, strict=True)] for draw in scores]
        return np.mean(each, axis=(0, 1))

    return of


def _means(columns: list[str], mine: list[pd.DataFrame], theirs: list[pd.DataFrame]) -> dict[str, _Pair]:
    """Means of `value/` columns over the rows where both runs have one."""
    result: dict[str, _Pair] = {}
    for name in (column for column in columns if column.startswith("value/")):
        sides = [np.mean([frame[name].to_numpy(float) for frame in frames], axis=0) for frames in (mine, theirs)]
        known = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
        if known.any():
            left, right = (_weighted_mean(np.where(known, side, 0.0), known) for side in sides)
            result[name.removeprefix("value/")] = _Pair(left, right, len(known))
    return result


def _weighted_mean(values: Floats, known: NDArray[np.bool_]) -> Statistic:
    def of(weights: Floats) -> Floats:
        total = known.astype(float) @ weights
        return np.divide(values @ weights, total, out=np.full(weights.shape[1], np.nan), where=total > 0)

    return of


def _on_split(run: Run, split: str) -> pd.DataFrame:
    if missing := [name for name in IDS if name not in run.predictions.columns]:
        raise SistaError(f"the predictions of {run.path} have no {', '.join(missing)}: runs of {run.result['task']} cannot be compared yet")
    frame = run.predictions[run.predictions["split"] == split]
    if not len(frame):
        raise SistaError(f"{run.path} has no predictions of split {split!r}; it has {', '.join(sorted(set(run.predictions['split'])))}")
    return frame


def _by_draw(frame: pd.DataFrame, run: Run) -> list[pd.DataFrame]:
    """The predictions of each draw, indexed by what they are of."""
    parts = [frame] if "draw" not in frame.columns else [part for _, part in frame.groupby("draw", sort=True)]
    keys = [name for name in frame.columns if not name.startswith(PREFIXES) and name not in ("share", "draw", "level")]
    held = [part.set_index(keys) for part in parts]
    if not held[0].index.is_unique:
        raise SistaError(f"{run.path}: several predictions of one {', '.join(keys)}; the run is damaged, make it again")
    return held


def _same_rows(left: pd.DataFrame, right: pd.DataFrame, one: Run, other: Run) -> Any:
    if left.index.names != right.index.names or not set(IDS) <= set(left.index.names):
        mine, theirs = (", ".join(map(str, frame.index.names)) for frame in (left, right))
        raise SistaError(f"{one.path} scores {mine}; {other.path} scores {theirs}: nothing to pair")
    only, only_other = left.index.difference(right.index), right.index.difference(left.index)
    if len(only) or len(only_other):
        example = dict(zip(left.index.names, (only if len(only) else only_other)[0], strict=True))
        raise SistaError(
            f"{len(only)} predictions are only in {one.path} and {len(only_other)} only in {other.path}, such as film "
            f"{example['film_id']!r}; a paired test needs the same films: run both on one corpus, split and label policy"
        )
    return left.index


def _share(value: Any) -> str:
    return f"{value:g}" if value < 1 else "1.0"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
