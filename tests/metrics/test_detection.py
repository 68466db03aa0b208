"""Average precision equals pycocotools' and a hand's; FROC equals a loop; images without boxes count, or not, as each figure says."""

import contextlib
import io

import numpy as np
import pytest

from sista.metrics.detection import COCO_IOU, FROC_RATES, Boxes, average_precision, coco_map, froc, match_boxes, protocol_map

NONE = Boxes.of([])
NOTHING = Boxes.of([], [], [])


def archive(seed: int, images: int = 40, labels: int = 2) -> tuple[list[Boxes], list[Boxes]]:
    """True boxes on about half of the images, and detections: some near them, some anywhere, with a few equal scores."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        true = random.uniform((0, 0, 5, 5), (60, 60, 40, 40), (random.integers(0, 4) * random.integers(0, 2), 4))
        names = random.integers(0, labels, len(true))
        near = true + random.normal(0, 3, true.shape)
        near[:, 2:] = near[:, 2:].clip(1)
        wild = random.uniform((0, 0, 5, 5), (60, 60, 40, 40), (random.integers(0, 4), 4))
        boxes = np.concatenate([near, wild])
        truth.append(Boxes.of(true, names))
        labels_of = np.concatenate([names, random.integers(0, labels, len(wild))])
        found.append(Boxes.of(boxes, labels_of, random.random(len(boxes)).round(2)))
    return found, truth


def pycocotools_map(found: list[Boxes], truth: list[Boxes], labels: int) -> tuple[float, float]:
    """AP and AP50 as pycocotools prints them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    true = {
        "images": [{"id": n} for n in range(len(truth))],
        "categories": [{"id": n} for n in range(labels)],
        "annotations": [
            {"image_id": n, "category_id": int(c), "bbox": b.tolist(), "area": b[2] * b[3], "iscrowd": 0}
            for n, one in enumerate(truth)
            for b, c in zip(one.boxes, one.labels, strict=True)
        ],
    }
    for number, annotation in enumerate(true["annotations"]):
        annotation["id"] = number + 1
    results = [
        {"image_id": n, "category_id": int(c), "bbox": b.tolist(), "score": float(s)}
        for n, one in enumerate(found)
        for b, c, s in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = true
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0], evaluation.stats[1]


@pytest.mark.parametrize("seed", range(4))
def test_map_equals_pycocotools(seed: int) -> None:
    found, truth = archive(seed, labels=3)
    ap, ap50 = pycocotools_map(found, truth, labels=3)
    assert coco_map(found, truth) == pytest.approx(ap, abs=1e-12)
    assert coco_map(found, truth, (0.5,)) == pytest.approx(ap50, abs=1e-12)
    assert 0.01 < ap < ap50 < 1


def test_average_precision_by_hand() -> None:
    """Two true boxes; hit at 0.9, miss at 0.8, hit at 0.7: precision 1 up to recall 1/2, then 2/3."""
    truth = [Boxes.of([[0, 0, 10, 10]]), Boxes.of([[20, 20, 10, 10]]), NONE]
    found = [Boxes.of([[0, 0, 10, 10]], None, [0.9]), Boxes.of([[20, 20, 10, 10]], None, [0.7]), Boxes.of([[5, 5, 9, 9]], None, [0.8])]
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert coco_map(found, truth) == pytest.approx(expected)
    without = [found[0], found[1], NOTHING]
    assert coco_map(without, truth) == pytest.approx(1)


def test_a_second_detection_of_the_same_box_is_a_miss() -> None:
    truth = [Boxes.of([[0, 0, 10, 10], [40, 40, 10, 10]])]
    found = [Boxes.of([[0, 0, 10, 10], [0, 0, 10, 10], [40, 40, 10, 10]], None, [0.9, 0.8, 0.7])]
    assert match_boxes(found, truth)[0].hit[0].tolist() == [True, False, True]


def test_edges() -> None:
    some = Boxes.of([[0, 0, 5, 5]])
    assert coco_map([NOTHING], [some]) == 0
    assert np.isnan(coco_map([Boxes.of([[0, 0, 5, 5]], None, [0.5])], [NONE]))
    assert match_boxes([], []) == {}
    assert np.isnan(froc(match_boxes([NOTHING], [some])[0], weights=np.zeros((1, 1)))).all()
    assert (froc(match_boxes([NOTHING], [some])[0]) == 0).all()
    with pytest.raises(ValueError, match="equally many"):
        match_boxes([NOTHING], [])
    with pytest.raises(ValueError, match="negative size"):
        Boxes.of([[0, 0, -1, 5]])
    with pytest.raises(ValueError, match="1 boxes, 2 labels"):
        Boxes.of([[0, 0, 1, 5]], [0, 1])


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repetitions(seed: int) -> None:
    """An image of weight 2 counts as two of it; one of weight 0 is not there. Scores are distinct: ties have no order of their own."""
    found, truth = archive(seed, images=12, labels=1)
    random = np.random.default_rng(seed)
    found = [Boxes(one.boxes, one.labels, one.scores + random.random(len(one.scores)) * 1e-3) for one in found]
    times = random.integers(0, 3, 12)
    repeated = np.repeat(np.arange(12), times)
    matched = match_boxes(found, truth)[0]
    again = match_boxes([found[n] for n in repeated], [truth[n] for n in repeated])[0]
    # a repeated hit enters the curve in two steps, a weighted one in one, and the first of the two steps is never the higher
    np.testing.assert_allclose(average_precision(matched, times[:, None].astype(float)), average_precision(again), atol=1e-12)
    np.testing.assert_allclose(froc(matched, 0, (0.5, 1, 2), times[:, None]), froc(again, 0, (0.5, 1, 2)), atol=1e-12)


def froc_by_loop(found: list[Boxes], truth: list[Boxes], iou: float, rates: tuple[float, ...]) -> list[float]:
    """Every score is a cut in turn; matching greedily by score, image for image."""
    total = sum(len(one.boxes) for one in truth)
    points = [(0.0, 0.0)]
    for cut in sorted({float(score) for one in found for score in one.scores}):
        hits, misses = 0, 0
        for one, true in zip(found, truth, strict=True):
            taken: set[int] = set()
            for place in np.argsort(-one.scores, kind="stable"):
                if one.scores[place] < cut:
                    continue
                overlaps = [0.0 if n in taken else overlap(one.boxes[place], box) for n, box in enumerate(true.boxes)]
                if overlaps and max(overlaps) >= iou:
                    taken.add(int(np.argmax(overlaps)))
                    hits += 1
                else:
                    misses += 1
        points.append((misses / len(truth), hits / total))
    return [max(sensitivity for wrong, sensitivity in points if wrong <= rate) for rate in rates]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    across = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return across * down / (a[2] * a[3] + b[2] * b[3] - across * down)


@pytest.mark.parametrize("seed", range(4))
def test_froc_equals_a_loop(seed: int) -> None:
    found, truth = archive(seed, labels=1)
    for level in (0, 4):
        expected = froc_by_loop(found, truth, COCO_IOU[level], FROC_RATES)
        np.testing.assert_allclose(froc(match_boxes(found, truth)[0], level)[:, 0], expected, atol=1e-12)


def test_the_protocol_skips_images_and_unsure_boxes() -> None:
    """A false positive on a healthy film, a missed film and an unsure miss cost it nothing: 1.0, where COCO's figure is far below."""
    box = [[10.0, 10.0, 20.0, 20.0]]
    truth = [Boxes.of(box), NONE, Boxes.of(box)]
    found = [Boxes.of([*box, [50, 50, 9, 9]], None, [0.8, 0.4]), Boxes.of(box, None, [0.99]), NOTHING]
    assert protocol_map(found, truth) == pytest.approx(1)
    assert coco_map(found, truth) == pytest.approx(51 / 101 / 2)
    assert np.isnan(protocol_map([NOTHING, found[1]], [truth[0], NONE]))


def test_the_protocol_counts_thresholds_from_040_and_a_hundred_boxes() -> None:
    """Overlap 0.5 counts at 0.40, 0.45 and 0.50 of its eight thresholds; with one box an image the surer, wrong one is left."""
    truth = [Boxes.of([[0, 0, 10, 10]])]
    half = [Boxes.of([[0, 0, 10, 5]], None, [0.9])]
    assert protocol_map(half, truth) == pytest.approx(3 / 8)
    two = [Boxes.of([[0, 0, 10, 10], [50, 50, 5, 5]], None, [0.6, 0.9])]
    assert protocol_map(two, truth) == pytest.approx(0.5)
    assert protocol_map(two, truth, most=1) == 0
    wild = [[100 + 20 * place, 100, 10, 10] for place in range(10)]
    many = [Boxes.of([*wild, [0, 0, 10, 10]], None, [*(0.9 - 0.01 * np.arange(10)), 0.6])]
    assert protocol_map(many, truth) == pytest.approx(1 / 11)  # the eleventh counts, as in torchmetrics
