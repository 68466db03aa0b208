"""Detecting: boxes that move with films, heads over every encoder, figures, one loop that learns, edge cases."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.metrics.detection import Boxes, coco_map
from sista.models.image_encoder import ImageEncoder
from sista.transfer import detect as module
from sista.transfer.detect import detect
from sista.transfer.detect_boxes import found_boxes, targets_of, true_boxes
from sista.transfer.detect_heads import Detector
from sista.transfer.detect_scores import detection_scores
from sista.transfer.segment_fit import FitSettings
from sista.transfer.segment_views import ViewSettings, film_view, random_affine
from sista.transfer.shares import training_share


@pytest.mark.parametrize("name", ["sista_compact", "test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("head", ["retinanet", "faster_rcnn"])
def test_every_encoder_takes_a_head(name: str, head: str) -> None:
    """Films with and without a box, one batch: a finite loss, gradients in the head alone, boxes on the film."""
    encoder = ImageEncoder(name, image_size=64)
    detector = Detector(encoder, 2, head, width=16)
    targets = [
        {"boxes": torch.tensor([[4.0, 4, 30, 30]]), "labels": torch.tensor([detector.first_label + 1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    loss = detector(torch.randn(2, 1, 64, 64), targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None for p in encoder.parameters())
    found = [found_boxes(output, 1.0, detector.first_label) for output in detector.eval()(torch.randn(2, 1, 64, 64))]
    for one in found:
        assert set(one.labels) <= {0, 1}
        assert (one.boxes >= 0).all()
        assert (one.boxes[:, :2] + one.boxes[:, 2:] <= 64).all()


def test_odd_sizes_and_unknown_heads() -> None:
    detector = Detector(ImageEncoder("sista_compact", image_size=75), 1, width=16).eval()
    assert len(detector(torch.randn(1, 1, 75, 75))) == 1
    with pytest.raises(SistaError, match="retinanet or faster_rcnn"):
        Detector(ImageEncoder("sista_compact", image_size=64), 1, "yolo")


def test_boxes_move_with_films() -> None:
    """The bounds of a bright square after a shift and zoom are the box's; rotated, they lie within it."""
    films = torch.zeros(8, 1, 64, 64, dtype=torch.uint8)
    films[..., 20:40, 12:30] = 255
    truth = [Boxes.of([[12, 20, 18, 20]])] * 8
    for rotation, slack in ((0.0, 1.5), (8.0, 4.0)):
        affine = random_affine(8, ViewSettings(rotation=rotation, share=1.0), torch.Generator().manual_seed(1))
        bright = film_view(films, 96, affine)[:, 0] > 0
        for image, target in zip(bright, targets_of(truth, 1.5, 96, affine), strict=True):
            places = image.nonzero()
            bounds = torch.cat([places.min(0).values.flip(0), places.max(0).values.flip(0) + 1]).float()
            assert (bounds - target["boxes"][0]).abs().max() <= slack
            assert (bounds[:2] >= target["boxes"][0][:2] - 1.5).all()


def test_boxes_that_leave_the_film_go() -> None:
    truth = [Boxes.of([[0, 0, 10, 10], [30, 30, 20, 20], [40, 40, 0.5, 8]], [0, 1, 2]), Boxes.of([])]
    shift = torch.tensor([[[1.0, 0, 0.25], [0, 1, 0.25]]] * 2)  # new places lie an eighth of 64 px up and left
    moved = targets_of(truth, 1.0, 64, shift, first_label=1)
    assert moved[0]["labels"].tolist() == [2]
    torch.testing.assert_close(moved[0]["boxes"], torch.tensor([[22.0, 22, 42, 42]]))
    assert moved[1]["boxes"].shape == (0, 4)
    back = found_boxes({"boxes": moved[0]["boxes"] * 2, "labels": moved[0]["labels"], "scores": torch.ones(1)}, 2.0, 1)
    np.testing.assert_allclose(back.boxes, [[22, 22, 20, 20]])
    assert back.labels.tolist() == [1]


def test_true_boxes_are_the_regions(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    findings = ("mass", "pleural effusion")
    for row, one in enumerate(true_boxes(corpus, np.arange(30), findings)):
        expected = [region for region in corpus.regions(row) if region.finding.split("/")[0] in findings]
        assert [findings[label] for label in one.labels] == [region.finding.split("/")[0] for region in expected]
        np.testing.assert_allclose(one.boxes, np.array([[r.x, r.y, r.width, r.height] for r in expected]).reshape(-1, 4))


def test_figures_and_their_intervals() -> None:
    random = np.random.default_rng(0)
    truth = [Boxes.of(random.uniform(10, 40, (min(n % 3, 1), 4)), [n % 2] * min(n % 3, 1)) for n in range(60)]
    good = [Boxes.of(one.boxes + random.normal(0, 1, one.boxes.shape), one.labels, random.random(len(one.boxes))) for one in truth]
    poor = [Boxes.of(random.uniform(10, 40, (2, 4)), [0, 1], random.random(2)) for _ in truth]
    subjects = np.arange(60) // 2
    scores = detection_scores([good, poor], truth, ("mass", "nodule"), subjects)
    expected = np.mean([coco_map(one, truth, (0.5,)) for one in (good, poor)])
    assert scores["ap50"]["value"] == pytest.approx(expected)
    assert scores["ap"]["value"] == pytest.approx(np.mean([coco_map(one, truth) for one in (good, poor)]))
    low, high = scores["ap50"]["ci95"]
    assert low <= expected <= high
    assert (scores["films"], scores["films_without_box"]) == (60, 20)
    assert set(scores["findings"]) == {"mass", "nodule"}
    rates = list(scores["findings"]["mass"]["sensitivity"].values())
    assert rates == sorted(rates)
    assert detection_scores([[Boxes.of([], [], [])] * 60], truth, ("mass", "nodule"), subjects)["protocol_map"] is None


def test_it_learns_and_beats_the_untrained_floor(corpus_path: Path, run_path: Path, tmp_path: Path) -> None:
    settings = FitSettings(epochs=12, batch_size=8, learning_rate=3e-3, least_steps=72)
    result = detect(
        str(run_path), corpus_path, ["cardiomegaly"], [1.0], width=16, fit=settings, device="cpu", precision="fp32", out=tmp_path
    )
    start = detect(
        str(run_path), corpus_path, ["cardiomegaly"], [1.0], width=16, fit=FitSettings(epochs=1, learning_rate=1e-9), untrained=True
    )
    draw = result["per_share"]["1.0"]["draws"][0]
    assert draw["last_loss"] < 0.8 * draw["first_loss"]
    assert result["metrics"]["ap50@1.0"]["value"] > start["metrics"]["ap50@1.0"]["value"] + 0.2
    written = pd.read_parquet(tmp_path / "predictions.parquet")
    assert len(written) == result["films"]["test"]
    truth = [Boxes.of(np.array(list(row)).reshape(-1, 4)) for row in written["true/boxes"]]
    found = [
        Boxes.of(np.array(list(b)).reshape(-1, 4), None, s) for b, s in zip(written["found/boxes"], written["found/scores"], strict=True)
    ]
    assert coco_map(found, truth, (0.5,)) == pytest.approx(result["metrics"]["ap50@1.0"]["value"])


def test_the_same_seed_gives_the_same_boxes(corpus_path: Path) -> None:
    settings = FitSettings(epochs=1, batch_size=16)

    def once() -> dict:
        return detect(
            "test_vit",
            corpus_path,
            ["mass", "cardiomegaly"],
            [0.1],
            head="faster_rcnn",
            image_size=64,
            width=16,
            fit=settings,
            untrained=True,
        )

    a, b = once(), once()
    assert a["per_share"] == b["per_share"]
    assert a["per_share"]["0.1"]["draws"][0]["positive"]["mass"] >= 1


def test_a_share_that_fails_is_named_and_the_others_are_kept(corpus_path: Path, run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "training_share", lambda films, share, *rest: training_share(films, share if share == 1 else -1.0, *rest))
    fit = FitSettings(epochs=1, batch_size=8)
    result = detect(str(run_path), corpus_path, ["cardiomegaly"], shares=[0.5, 1.0], width=16, fit=fit, device="cpu")
    assert set(result["per_share"]) == {"1.0"}
    assert "label share" in result["refused"]["0.5"]
    with pytest.raises(SistaError, match="label share"):
        detect(str(run_path), corpus_path, ["cardiomegaly"], shares=[0.5], width=16, fit=fit, device="cpu")
    with pytest.raises(SistaError, match="label share 10: expected"):
        detect(str(run_path), corpus_path, ["cardiomegaly"], shares=[1, 10, 100], width=16, fit=fit, device="cpu")
    with pytest.raises(SistaError, match="width is 100"):
        detect(str(run_path), corpus_path, ["cardiomegaly"], shares=[1.0], width=100, fit=fit, device="cpu")
