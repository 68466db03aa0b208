"""The metrics that two runs share, as pairs of functions of row weights: curves of scores, means of values, precision of boxes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sista.errors import SistaError
from sista.metrics.auroc import WeightedStatistic, weighted_auroc, weighted_average_precision
from sista.metrics.detection import Boxes, Matches, average_precision, match_boxes

if TYPE_CHECKING:
    import pandas as pd

    Frames = Sequence[pd.DataFrame]  # one for each draw, rows in the same order

Floats = NDArray[np.float64]
PREFIXES = ("label/", "score/", "value/", "pixels/", "found/", "true/")  # of the columns that are no keys
CURVES: Mapping[str, WeightedStatistic] = {"auroc": weighted_auroc, "average_precision": weighted_average_precision}


@dataclass(frozen=True)
class Statistic:
    """A figure of one run as a function `of` row weights, [n,r] -> [r]; those of equal `name` have equal values."""

    name: str
    of: Callable[[Floats], Floats]

    def __call__(self, weights: Floats) -> Floats:
        return self.of(weights)


class Pair:
    """One statistic of two runs on the same rows; `sides` are its two values on all of them."""

    def __init__(self, left: Statistic, right: Statistic, rows: int) -> None:
        self.left, self.right, self.rows = left, right, rows

    @cached_property
    def sides(self) -> tuple[float, float]:  # many pairs are made and never asked
        everything = np.ones((self.rows, 1))
        return float(self.left(everything)[0]), float(self.right(everything)[0])


def pairs_of(columns: Sequence[str], mine: Frames, theirs: Frames, names_of_runs: tuple[str, str]) -> dict[str, Pair]:
    """Every metric that can be had from the columns of both runs, on the same rows; draws are averaged.

    Raises SistaError where the two have other labels or true boxes.
    """
    return {
        **_curves(columns, mine, theirs, names_of_runs),
        **_means(columns, mine, theirs),
        **_detections(columns, mine, theirs, names_of_runs),
    }


def _curves(columns: Sequence[str], mine: Frames, theirs: Frames, names_of_runs: tuple[str, str]) -> dict[str, Pair]:
    """AUROC and average precision: macro, and of each label that both runs score and that has both classes."""
    names = [
        name.removeprefix("score/") for name in columns if name.startswith("score/") and f"label/{name.removeprefix('score/')}" in columns
    ]
    truth = {name: mine[0][f"label/{name}"].to_numpy(float) for name in names}
    for name in names:
        if not np.array_equal(truth[name], theirs[0][f"label/{name}"].to_numpy(float), equal_nan=True):
            raise SistaError(
                f"{names_of_runs[0]} and {names_of_runs[1]} have different labels of {name!r} on the same films; "
                "score both on one corpus and policy"
            )
    names = [name for name in names if (truth[name] == 0).any() and (truth[name] == 1).any()]
    result: dict[str, Pair] = {}
    for metric, statistic in CURVES.items():
        for label, some in {metric: names, **{f"{metric}/{name}": [name] for name in names}}.items():
            if some:
                sides = [_macro(frames, some, truth, statistic) for frames in (mine, theirs)]
                result[label] = Pair(sides[0], sides[1], len(mine[0]))
    return result


def _macro(frames: Frames, names: list[str], truth: Mapping[str, Floats], statistic: WeightedStatistic) -> Statistic:
    scores = [[frame[f"score/{name}"].to_numpy(float) for name in names] for frame in frames]

    def of(weights: Floats) -> Floats:
        each = [[statistic(held, truth[name], weights) for held, name in zip(draw, names, strict=True)] for draw in scores]
        return np.mean(each, axis=(0, 1))

    return Statistic(_name(statistic, scores, [truth[name] for name in names]), of)


def _means(columns: Sequence[str], mine: Frames, theirs: Frames) -> dict[str, Pair]:
    """Means of `value/` columns over the rows where both runs have one, and over the findings of Dice."""
    result: dict[str, Pair] = {}
    for name in (column for column in columns if column.startswith("value/")):
        sides = [np.mean([frame[name].to_numpy(float) for frame in frames], axis=0) for frames in (mine, theirs)]
        known = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
        if known.any():
            left, right = (_weighted_mean(np.where(known, side, 0.0), known) for side in sides)
            result[name.removeprefix("value/")] = Pair(left, right, len(known))
    if of_findings := [pair for name, pair in result.items() if name.startswith("dice/")]:
        left, right = _mean_of([pair.left for pair in of_findings]), _mean_of([pair.right for pair in of_findings])
        result["dice"] = Pair(left, right, of_findings[0].rows)
    return result


def _mean_of(statistics: Sequence[Statistic]) -> Statistic:
    def of(weights: Floats) -> Floats:
        return np.mean([statistic(weights) for statistic in statistics], axis=0)

    return Statistic(_name("mean", [statistic.name for statistic in statistics]), of)


def _weighted_mean(values: Floats, known: NDArray[np.bool_]) -> Statistic:
    def of(weights: Floats) -> Floats:
        total = known.astype(float) @ weights
        return np.divide(values @ weights, total, out=np.full(weights.shape[1], np.nan), where=total > 0)

    return Statistic(_name("weighted mean", values, known), of)


def _detections(columns: Sequence[str], mine: Frames, theirs: Frames, names_of_runs: tuple[str, str]) -> dict[str, Pair]:
    """COCO's AP at an IoU of 0.5, and over 0.5 to 0.95, where the rows hold boxes; means over findings."""
    if "found/boxes" not in columns:
        return {}
    names: dict[str, int] = {}
    truth, other = (_boxes(frames[0], "true", names) for frames in (mine, theirs))
    same = [np.array_equal(a.boxes, b.boxes) and np.array_equal(a.labels, b.labels) for a, b in zip(truth, other, strict=True)]
    if not all(same):
        raise SistaError(f"{names_of_runs[0]} and {names_of_runs[1]} have different true boxes on the same films; use one corpus")
    sides = [[list(match_boxes(_boxes(frame, "found", names), truth).values()) for frame in frames] for frames in (mine, theirs)]
    return {
        name: Pair(_precision(sides[0], levels), _precision(sides[1], levels), len(mine[0]))
        for name, levels in {"ap50": slice(0, 1), "ap": slice(None)}.items()
    }


def _precision(draws: Sequence[Sequence[Matches]], levels: slice) -> Statistic:
    held = [[replace(label, hit=label.hit[levels]) for label in draw] for draw in draws]

    def of(weights: Floats) -> Floats:
        return np.mean([[average_precision(label, weights).mean(axis=0) for label in draw] for draw in held], axis=(0, 1))

    return Statistic(_name("precision", held), of)


def _name(*content: Any) -> str:
    return hashlib.sha256(pickle.dumps(content)).hexdigest()


def _boxes(frame: pd.DataFrame, kind: str, names: dict[str, int]) -> list[Boxes]:
    """The boxes of each row; findings are numbered as they are met."""
    result = []
    for number in range(len(frame)):
        found = [names.setdefault(name, len(names)) for name in frame[f"{kind}/findings"].iloc[number]]
        boxes = np.asarray([list(box) for box in frame[f"{kind}/boxes"].iloc[number]], dtype=float)
        result.append(Boxes.of(boxes, found, frame["found/scores"].iloc[number] if kind == "found" else None))
    return result
