"""Two runs on the same films: is one better? Differences with intervals and p, subjects resampled for both alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sista.benchmark.pairs import PREFIXES, Pair, Statistic, pairs_of
from sista.errors import SistaError, nearest
from sista.metrics.calibration import class_log_odds
from sista.metrics.interval import Difference, resample_weights
from sista.metrics.result import IDS, Run, read_run
from sista.transfer.result import share_name

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Resampled = dict[Any, Floats]  # what was resampled, and how -> its values [r]
LEAST_SUBJECTS = 6  # with five, all of one sign, a sign test has p = 0.06, and a bootstrap would say 0.001


def compare(a: Path, b: Path, metric: list[str] | None = None, split: str = "test", resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Compare two runs by their predictions: a minus b of each metric that both have, with a 95 % interval and a two-sided p.

    The p is of the bootstrap over subjects, paired: both runs are scored on the same resampled subjects. It does not know of training
    seeds, and is not corrected for looking at several metrics. Of fewer than six subjects there is neither interval nor p.

    Args:
        a: a folder that a command wrote with --out.
        b: another of the same task on the same films.
        metric: only these, such as auroc@0.01, auroc/edema@1.0, i2t_r10, pointing_game/phrase; by default all that both runs have.
        split: which films are compared.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    if resamples < 1:
        raise SistaError(f"resamples is {resamples}; expected 1 or more")
    if seed < 0:
        raise SistaError(f"seed is {seed}; expected 0 or more")
    one, other = read_run(a), read_run(b)
    if one.result["task"] != other.result["task"] and {one.result["task"], other.result["task"]} != {"probe", "classify"}:
        raise SistaError(f"{a} is a run of {one.result['task']}, {b} of {other.result['task']}; compare two of the same task")
    left, right = (_on_split(run, split) for run in (one, other))
    statistics, refused = _statistics(left, right, one, other)
    if metric:
        if unknown := [name for name in metric if name not in statistics]:
            why = refused.get(unknown[0]) or refused.get(f"*/{unknown[0].partition('/')[2]}") or nearest(unknown[0], statistics)
            raise SistaError(f"no metric {unknown[0]!r} in both runs: {why}")
        statistics = {name: statistics[name] for name in metric}
    if not statistics:
        raise SistaError(next(iter(refused.values()), f"{a} and {b} have no metric in common"))
    found = {name: _paired([of], subjects, resamples, seed).as_dict() for name, (of, subjects) in statistics.items()}
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


class Unpairable(SistaError):
    """A figure that runs have, but none that can be had anew from their films."""


def mean_difference(
    runs: Sequence[tuple[Run, Run]],
    metric: str,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
    resampled: Resampled | None = None,
) -> Difference:
    """The difference of a metric averaged over pairs of runs (of equal seeds), subjects resampled for all runs alike.

    Raises Unpairable when a pair has no such metric by film, SistaError when it is not on the same films. The interval and p know of the
    test films only, not of the seeds. Give calls the same dict as `resampled`, and a run that is held against several others is resampled
    once.
    """
    if not runs:
        raise SistaError("no pair of runs to compare")
    found = []
    for one, other in runs:
        statistics, refused = _statistics(_on_split(one, split), _on_split(other, split), one, other)
        if metric not in statistics:
            raise Unpairable(f"no metric {metric!r} in {one.path} and {other.path}: {refused.get(metric) or nearest(metric, statistics)}")
        found.append(statistics[metric])
    subjects = found[0][1]
    if any(not np.array_equal(subjects, other) for _, other in found):
        raise SistaError(f"{runs[0][0].path} and the runs of other seeds are not on the same films; their mean cannot be resampled")
    return _paired([pair for pair, _ in found], subjects, resamples, seed, resampled)


def _paired(pairs: Sequence[Pair], subjects: NDArray[Any], resamples: int, seed: int, resampled: Resampled | None = None) -> Difference:
    """The difference of the means over pairs; resampled: values that are known already, to which those of these pairs are added."""
    held = {} if resampled is None else resampled
    drawn = (tuple(subjects), resamples, seed)

    def mean(sides: Sequence[Statistic]) -> Floats:
        for side in sides:
            if (side.name, drawn) not in held:
                weights = resample_weights(len(subjects), subjects, resamples, seed)
                held[side.name, drawn] = np.concatenate([side(chunk) for chunk in weights])
        return np.mean([held[side.name, drawn] for side in sides], axis=0)

    values = mean([pair.left for pair in pairs]) - mean([pair.right for pair in pairs])
    value = float(np.mean([pair.sides[0] for pair in pairs]) - np.mean([pair.sides[1] for pair in pairs]))
    kept = values[~np.isnan(values)]
    if not len(kept) or len(np.unique(subjects)) < LEAST_SUBJECTS:
        return Difference(value, (float("nan"), float("nan")), len(values) - len(kept))
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    low, high = np.quantile(kept, [0.025, 0.975])
    p = min(1.0, 2 * (tail + 1) / (len(kept) + 1))
    return Difference(value, (float(low), float(high)), len(values) - len(kept), p)


def _statistics(
    left: pd.DataFrame, right: pd.DataFrame, one: Run, other: Run
) -> tuple[dict[str, tuple[Pair, NDArray[Any]]], dict[str, str]]:
    """name -> the pair of statistics and the subjects of its rows; and why, of the shares, levels and labels that cannot be compared."""
    import pandas as pd

    found: dict[str, tuple[Pair, NDArray[Any]]] = {}
    refused: dict[str, str] = {}
    for key in ("share", "level", None):
        if key is None or (key in left.columns and key in right.columns):
            break
    groups = (
        {"": (left, right)}
        if key is None
        else {value: (left[left[key] == value], right[right[key] == value]) for value in pd.unique(pd.concat([left[key], right[key]]))}
    )
    for value, (mine, theirs) in groups.items():
        suffix = "" if key is None else f"@{share_name(float(value))}" if key == "share" else f"/{value}"
        if not (len(mine) and len(theirs)):
            refused[f"*{suffix}"] = f"only {(one if len(mine) else other).path} has {key} {value}"
            continue
        draws, draws_of_other = _by_draw(mine, one), _by_draw(theirs, other)
        rows = _same_rows(draws[0], draws_of_other[0], one, other)
        aligned, aligned_other = ([frame.loc[rows].reset_index() for frame in side] for side in (draws, draws_of_other))
        subjects = aligned[0]["subject_id"].to_numpy()
        columns = [name for name in aligned[0].columns if name in aligned_other[0].columns]
        for frame, run in ((aligned[0], one), (aligned_other[0], other)):
            for label in (name.removeprefix("score/") for name in frame.columns if name.startswith("score/") and name not in columns):
                refused[f"*/{label}{suffix}"] = f"only {run.path} scores it; means over labels are of those that both score"
        for name, pair in pairs_of(columns, aligned, aligned_other, (str(one.path), str(other.path))).items():
            found[f"{name}{suffix}"] = (pair, subjects)
    return found, refused


def _on_split(run: Run, split: str) -> pd.DataFrame:
    if missing := [name for name in IDS if name not in run.predictions.columns]:
        raise Unpairable(f"the predictions of {run.path} have no {', '.join(missing)}: runs of {run.result['task']} cannot be compared yet")
    frame = run.predictions[run.predictions["split"] == split]
    if run.result.get("multi_class"):  # kept are logits, which stand for nothing across films; the figures are of log-odds
        columns = [name for name in frame.columns if name.startswith("score/")]
        frame = frame.assign(**dict(zip(columns, class_log_odds(frame[columns]).T, strict=True)))
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


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
