"""Average precision, the protocol's figure and FROC of each finding, with intervals over subjects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sista.metrics.detection import COCO_IOU, FROC_RATES, Boxes, Matches, average_precision, froc, match_boxes, protocol_map
from sista.metrics.interval import Estimate, resample_weights

Floats = NDArray[np.float64]
RESAMPLES = 300  # one sorts every box once, the precision of each resample is then a running sum


def detection_scores(
    found: Sequence[Sequence[Boxes]], truth: Sequence[Boxes], findings: Sequence[str], subjects: np.ndarray
) -> dict[str, Any]:
    """All figures over the same films: found [draws][films], truth [films]; draws are averaged.

    ap50, ap: COCO's average precision over all films at IoU 0.5, and the mean over 0.5 to 0.95; means over findings with a true box.
    froc: mean sensitivity at 1/8 to 8 false positives a film, IoU 0.5; each rate for each finding. protocol_map: `metrics.detection`.
    The floor of all of them is 0, for a detector that finds nothing.
    """
    weights = np.concatenate([np.ones((len(truth), 1)), *resample_weights(len(truth), subjects, RESAMPLES)], axis=1)
    matched = [match_boxes(one, truth, COCO_IOU) for one in found]
    each = {label: _figures([one[label] for one in matched], weights) for label in matched[0]}
    per_finding = {}
    for label, figures in each.items():
        true = sum(int((one.labels == label).sum()) for one in truth)
        per_finding[findings[label]] = {
            "boxes": true,
            **{name: _estimate(values).as_dict() for name, values in figures.items() if name != "rates"},
            "sensitivity": {f"{rate:g}": float(value) for rate, value in zip(FROC_RATES, figures["rates"], strict=True)},
            "protocol_map": _protocol([[_only(one, label) for one in draw] for draw in found], [_only(one, label) for one in truth]),
        }
    together = {name: _estimate(np.mean([figures[name] for figures in each.values()], axis=0)).as_dict() for name in ("ap50", "ap", "froc")}
    healthy = [number for number, one in enumerate(truth) if not len(one.boxes)]
    return {
        "films": len(truth),
        "films_without_box": len(healthy),
        **together,
        "protocol_map": _protocol(found, truth),
        "sure_boxes_a_healthy_film": float(np.mean([_sure(draw[number]) for draw in found for number in healthy])) if healthy else None,
        "findings": per_finding,
    }


def _figures(matches: Sequence[Matches], weights: Floats) -> dict[str, Floats]:
    """Means over draws under each column of weights [r]; `rates` [7] under the first alone."""
    precision = np.mean([average_precision(one, weights) for one in matches], axis=0)
    sensitivity = np.mean([froc(one, 0, FROC_RATES, weights) for one in matches], axis=0)
    return {"ap50": precision[0], "ap": precision.mean(axis=0), "froc": sensitivity.mean(axis=0), "rates": sensitivity[:, 0]}


def _estimate(values: Floats) -> Estimate:
    """The first value with the interval of the others; resamples without a true box are dropped."""
    kept = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) else (np.nan, np.nan)
    return Estimate(float(values[0]), (float(low), float(high)), dropped=len(values) - 1 - len(kept))


def _protocol(found: Sequence[Sequence[Boxes]], truth: Sequence[Boxes]) -> float | None:
    """Mean over the draws for which the protocol has a figure; None without any."""
    known = [value for value in (protocol_map(draw, truth) for draw in found) if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def _only(one: Boxes, label: int) -> Boxes:
    return one.where(one.labels == label)


def _sure(one: Boxes) -> int:
    assert one.scores is not None
    return int((one.scores >= 0.5).sum())
