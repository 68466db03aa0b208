"""Boxes against boxes: COCO's average precision over all images, the MGCA protocol's figure beside it, and FROC.

pycocotools does the matching (each detection, best score first, takes the free true box of its class that it overlaps most, if the overlap
reaches the threshold); precision and recall are then summed here, so that a bootstrap can weight images without matching again. With
equal weights the figures are pycocotools' own, and a test holds them to it.

The protocol (MGCA's released code) averages over IoU 0.40 to 0.75, drops detections below a score of
0.5 before the curve, and skips images without any detection or any true box: false positives on healthy films cost nothing. Never print
it without the other.

Boxes are (x, y, width, height), origin top left, in any one unit; labels are whole numbers.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
COCO_IOU = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
PROTOCOL_IOU = tuple(np.linspace(0.4, 0.75, 8).round(2).tolist())
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
RECALLS = np.linspace(0.0, 1.0, 101)  # COCO's 101 points


@dataclass(frozen=True)
class Boxes:
    """The boxes [n,4] of one image, their labels [n], and the scores [n] of detections (None for true boxes)."""

    boxes: Floats
    labels: NDArray[np.int64]
    scores: Floats | None = None

    @classmethod
    def of(cls, boxes: ArrayLike, labels: ArrayLike | None = None, scores: ArrayLike | None = None) -> Boxes:
        """Checked arrays; labels are 0 without any. Raises ValueError for unequal lengths, negative sizes, numbers that are not finite."""
        held = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        names = np.zeros(len(held), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64).reshape(-1)
        sure = None if scores is None else np.asarray(scores, dtype=np.float64).reshape(-1)
        if len(names) != len(held) or (sure is not None and len(sure) != len(held)):
            raise ValueError(f"{len(held)} boxes, {len(names)} labels, {'no' if sure is None else len(sure)} scores: expected equally many")
        if not np.isfinite(held).all() or (held[:, 2:] < 0).any() or (sure is not None and not np.isfinite(sure).all()):
            raise ValueError("boxes with a negative size, or boxes or scores that are not finite; expected (x, y, width, height)")
        return cls(held, names, sure)

    def where(self, kept: NDArray[np.bool_]) -> Boxes:
        """The boxes at which `kept` is true."""
        return Boxes(self.boxes[kept], self.labels[kept], None if self.scores is None else self.scores[kept])


@dataclass(frozen=True)
class Matches:
    """One class over all images: detections by falling score, and what they met.

    image [d] index of each detection's image; score [d]; hit [T,d] whether it took a true box at each IoU; true [n] boxes of each image.
    """

    image: NDArray[np.int64]
    score: Floats
    hit: NDArray[np.bool_]
    true: NDArray[np.int64]


def match_boxes(
    detections: Sequence[Boxes], truth: Sequence[Boxes], thresholds: Sequence[float] = COCO_IOU, most: int = 100
) -> dict[int, Matches]:
    """COCO's matching for each label that has a true box somewhere; at most the `most` surest detections of an image and label count."""
    if len(detections) != len(truth) or any(one.scores is None for one in detections):
        raise ValueError(f"detections of {len(detections)} images, true boxes of {len(truth)}: expected equally many, and a score for each")
    labels = sorted({int(label) for one in truth for label in one.labels})
    if not labels:
        return {}
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, labels), _coco(detections, labels), "bbox")
        settings = evaluation.params
        settings.imgIds, settings.catIds = list(range(len(truth))), labels
        settings.iouThrs, settings.maxDets = np.asarray(thresholds), [most]
        settings.areaRng, settings.areaRngLbl = [[0, 1e15]], ["all"]
        evaluation.evaluate()
    per_label = len(truth)
    return {
        label: _joined(evaluation.evalImgs[number * per_label : (number + 1) * per_label], len(thresholds), _counts(truth, label))
        for number, label in enumerate(labels)
    }


def average_precision(matches: Matches, weights: ArrayLike | None = None) -> Floats:
    """COCO's average precision of one class at each IoU, under each column of image weights [n,r]: [T,r], NaN without true boxes.

    Precision at a recall is the best precision at that recall or beyond; the mean over 101 recalls. Without weights r is 1.
    """
    held = np.ones((len(matches.true), 1)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = matches.true @ held
    result = np.full((len(matches.hit), held.shape[1]), np.nan)
    for column in np.flatnonzero(total > 0):
        weight = held[matches.image, column]
        seen = np.maximum(np.cumsum(weight), np.spacing(1))
        for level, hit in enumerate(matches.hit):
            found = np.cumsum(weight * hit)
            best = np.append(np.maximum.accumulate((found / seen)[::-1])[::-1], 0.0)  # 0 at recalls that are never reached
            result[level, column] = best[np.searchsorted(found / total[column], RECALLS, side="left")].mean()
    return result


def coco_map(detections: Sequence[Boxes], truth: Sequence[Boxes], thresholds: Sequence[float] = COCO_IOU, most: int = 100) -> float:
    """COCO's mean average precision over all images: the mean over IoU thresholds and over labels with a true box; NaN without any."""
    each = [average_precision(matches).mean() for matches in match_boxes(detections, truth, thresholds, most).values()]
    return float(np.mean(each)) if each else float("nan")


def protocol_map(detections: Sequence[Boxes], truth: Sequence[Boxes], most: int = 100, score: float = 0.5) -> float:
    """The MGCA protocol's mAP, as its code computes it; NaN when it skips every image.

    most: detections an image. To 10 boxes (RSNA) or 20 (Object-CXR) it pads the true ones; of detections torchmetrics takes 100.
    """
    kept = []
    for found, true in zip(detections, truth, strict=True):
        assert found.scores is not None
        sure = found.where(found.scores >= score)
        assert sure.scores is not None
        sure = sure.where(np.argsort(np.argsort(-sure.scores, kind="stable"), kind="stable") < most)
        if len(sure.boxes) and len(true.boxes):
            kept.append((sure, true))
    return coco_map([found for found, _ in kept], [true for _, true in kept], PROTOCOL_IOU) if kept else float("nan")


def froc(matches: Matches, level: int = 0, rates: Sequence[float] = FROC_RATES, weights: ArrayLike | None = None) -> Floats:
    """Sensitivity at each number of false positives an image, under each column of image weights [n,r]: [rates,r], NaN without true boxes.

    A score cut counts detections at or above it; at each rate the greatest sensitivity of the cuts that stay within it. The free-response
    curve of Bunch et al. (1978) at the rates of LUNA16 (Setio et al., 2017), whose score is their mean. level: which IoU of the matches.
    """
    held = np.ones((len(matches.true), 1)) if weights is None else np.asarray(weights, dtype=np.float64)
    total, images = matches.true @ held, held.sum(axis=0)
    last = np.append(np.diff(matches.score) != 0, True)[: len(matches.score)]  # ties enter together
    result = np.full((len(rates), held.shape[1]), np.nan)
    for column in np.flatnonzero(total > 0):
        weight = held[matches.image, column]
        found, wrong = (np.cumsum(weight * kind)[last] for kind in (matches.hit[level], ~matches.hit[level]))
        sensitivity = np.concatenate([[0.0], found / total[column]])
        result[:, column] = sensitivity[np.searchsorted(wrong, np.asarray(rates) * images[column] * (1 + 1e-12), side="right")]
    return result


def _coco(images: Sequence[Boxes], labels: Sequence[int]) -> object:
    from pycocotools.coco import COCO

    annotations = []
    for number, one in enumerate(images):
        scores = np.ones(len(one.boxes)) if one.scores is None else one.scores
        for box, label, score in zip(one.boxes.tolist(), one.labels.tolist(), scores.tolist(), strict=True):
            annotations.append(
                {"image_id": number, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": score}
            )
            annotations[-1]["id"] = len(annotations)
    made = COCO()
    made.dataset = {
        "images": [{"id": n} for n in range(len(images))],
        "categories": [{"id": n} for n in labels],
        "annotations": annotations,
    }
    made.createIndex()
    return made


def _counts(truth: Sequence[Boxes], label: int) -> NDArray[np.int64]:
    return np.array([int((one.labels == label).sum()) for one in truth], dtype=np.int64)


def _joined(per_image: Sequence[dict | None], levels: int, true: NDArray[np.int64]) -> Matches:
    """The matches of all images in one order: falling score, ties in the order of the images, as COCO sorts."""
    known = [(number, one) for number, one in enumerate(per_image) if one is not None and len(one["dtScores"])]
    if not known:
        return Matches(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((levels, 0), dtype=bool), true)
    image = np.concatenate([np.full(len(one["dtScores"]), number) for number, one in known])
    score = np.concatenate([np.asarray(one["dtScores"], dtype=np.float64) for _, one in known])
    hit = np.concatenate([np.asarray(one["dtMatches"]) > 0 for _, one in known], axis=1)
    order = np.argsort(-score, kind="mergesort")
    return Matches(image[order], score[order], hit[:, order], true)
