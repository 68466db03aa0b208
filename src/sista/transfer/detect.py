"""A detector on the maps of a frozen or tuned encoder, from a share of the drawn boxes."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.metrics.detection import Boxes, coco_map
from sista.metrics.result import plain, require_folder, write_run
from sista.models.backbone import open_backbone
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import Precision, choose_device, choose_precision
from sista.transfer.detect_boxes import found_boxes, targets_of, true_boxes
from sista.transfer.detect_heads import Detector
from sista.transfer.detect_scores import detection_scores
from sista.transfer.protocol import protocol_facts
from sista.transfer.result import detection_columns, libraries, share_name, transfer_facts
from sista.transfer.segment_fit import FitSettings, Fitted, fit
from sista.transfer.segment_targets import Annotated, annotated, training_positions
from sista.transfer.segment_views import ViewSettings, film_view, random_affine, random_tone
from sista.transfer.shares import describe_share, head_seed, share_plan, training_share, validation_positions

Batch = tuple[Tensor, list[dict[str, Tensor]]]


def detect(
    model: str,
    data: Path,
    findings: list[str] | None = None,
    shares: list[float] | None = None,
    draws: list[int] | None = None,
    head: str = "retinanet",
    tune: bool = False,
    image_size: int | None = None,
    width: int | None = None,
    negatives: float | None = None,
    fit: FitSettings = FitSettings(learning_rate=1e-3),  # noqa: B008  frozen
    views: ViewSettings = ViewSettings(rotation=5.0),  # noqa: B008
    validation_films: int = 1000,
    protocol: str | None = None,
    untrained: bool = False,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Train a detector on the maps of an encoder with 1, 10 and 100 % of the drawn boxes; COCO's AP and FROC on the test split.

    AP is over all films, healthy ones included. The MGCA protocol's mAP, which skips films without a box, stands beside it. The epoch is
    picked on the valid split by AP at an IoU of 0.5; the test split chooses nothing.

    Args:
        model: a pre-trained run or checkpoint, a timm name (timm:resnet50), or FILE@ARCHITECTURE with somebody else's weights.
        data: a corpus with regions and the splits train, valid and test.
        findings: the findings to detect; by default all that have regions.
        shares: shares of the training subjects whose boxes are used; by default 0.01, 0.1 and 1.
        draws: how many draws of each share are averaged; by default 1 each.
        head: retinanet or faster_rcnn.
        tune: train the encoder too, at a smaller rate; otherwise it stays as it is, batch norm included.
        image_size: side of the films in pixels; by default that of the run, 224 with weights from elsewhere.
        width: channels of the pyramid and the head; by default 256, or less for small encoders.
        negatives: at most so many training films without a box for each with one; by default all.
        fit: optimiser, schedule and early stopping.
        views: how training films and their boxes are moved together.
        validation_films: at most so many films of the valid split pick the epoch.
        protocol: the published protocol that the corpus was split by; its sizes, known defects and published scores then stand beside.
        untrained: the same architecture with fresh weights instead, as a floor.
        seed: of the draws, the head, the order of the films, and fresh weights.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32; of the encoder, the head is always fp32.
        out: a folder for result.json and predictions.parquet (found and true boxes of every test film).
    """
    arguments = dict(locals())
    require_folder(out, "detect", arguments)
    begin = time.perf_counter()
    shares, draws = share_plan(shares, draws, seed)
    corpus = Corpus.open(data)
    films = annotated(corpus, findings)
    beside = protocol_facts(protocol, {split: len(films.of(split)) for split in ("train", "valid", "test")}, corpus)
    chosen = choose_device(device)
    backbone = open_backbone(model, image_size=image_size, untrained=untrained, seed=seed)
    work = Detection(corpus, films, backbone.encoder, head, tune, width, fit, views, chosen, choose_precision(precision, chosen))
    test, valid = films.of("test"), validation_positions(films, validation_films, seed)
    truth = work.truth(test)
    per_share, refused = dict[str, Any](), dict[str, str]()
    boxes: list[tuple[float, int, list[Boxes]]] = []
    for share, count in zip(shares, draws, strict=True):
        try:
            found, fitted = [], []
            for draw in range(count):
                part = training_share(films, share, draw, seed)
                used = training_positions(films, films.of("train")[part.rows], negatives, (seed, draw))
                detector, history = work.train(used, valid, seed=head_seed(seed, draw))
                found.append(work.boxes(detector, test))
                fitted.append({**describe_share(films, part, used), **history.as_dict()})
        except SistaError as error:
            refused[share_name(share)] = str(error)
            continue
        boxes += [(share, draw, one) for draw, one in enumerate(found)]
        scores = detection_scores(found, truth, films.findings, films.subjects[test])
        per_share[share_name(share)] = {**scores, "draws": fitted}
    if not per_share:
        raise SistaError(next(iter(refused.values())))
    result = {
        **transfer_facts("detect", model, backbone, corpus, films.rows, films.splits),
        **beside,
        "films": {**{split: len(films.of(split)) for split in ("train", "valid", "test")}, "left_out": films.left_out},
        "findings": list(films.findings),
        "head": head,
        "tune": tune,
        "seed": seed,
        "metrics": {f"{name}@{share}": one[name] for share, one in per_share.items() for name in ("ap50", "ap", "froc")},
        "per_share": per_share,
        "refused": refused,
        "seconds": round(time.perf_counter() - begin, 1),
        "arguments": plain(arguments),
    }
    result["versions"] |= libraries("pycocotools")
    if out is not None:
        write_run(out, result, detection_columns(corpus, films.rows[test], films.findings, boxes, truth))
    return result


class Detection:
    """What stays the same from share to share: films, boxes, encoder and settings."""

    def __init__(
        self,
        corpus: Corpus,
        films: Annotated,
        encoder: ImageEncoder,
        head: str,
        tune: bool,
        width: int | None,
        settings: FitSettings,
        views: ViewSettings,
        device: torch.device,
        precision: str,
    ) -> None:
        self.corpus, self.films, self.encoder, self.head, self.tune, self.width = corpus, films, encoder, head, tune, width
        self.settings, self.views, self.device, self.precision = settings, views, device, precision
        self.scale = encoder.image_size / corpus.size
        self._truth: dict[int, Boxes] = {}

    def truth(self, positions: np.ndarray) -> list[Boxes]:
        """The true boxes of the films at `positions`, read once."""
        new = [int(position) for position in positions if int(position) not in self._truth]
        self._truth |= dict(zip(new, true_boxes(self.corpus, self.films.rows[new], self.films.findings), strict=True)) if new else {}
        return [self._truth[int(position)] for position in positions]

    def train(self, positions: np.ndarray, valid: np.ndarray, seed: int) -> tuple[Detector, Fitted]:
        """A detector trained on the films at `positions`, its best epoch on those at `valid`."""
        truth = self.truth(valid)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            encoder = copy.deepcopy(self.encoder) if self.tune else self.encoder
            findings = len(self.films.findings)
            detector = Detector(encoder, findings, self.head, tune=self.tune, width=self.width, precision=self.precision).to(self.device)

            def read(some: np.ndarray, step: int) -> Batch:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
                affine, tone = random_affine(len(some), self.views, generator), random_tone(len(some), self.views, generator)
                rows, size = self.films.rows[some], self.encoder.image_size
                targets = targets_of(self.truth(some), self.scale, size, affine, detector.first_label)
                return film_view(self.corpus.films(rows), size, affine, tone), targets

            def loss_of(batch: Batch) -> Tensor:
                targets = [{name: tensor.to(self.device) for name, tensor in target.items()} for target in batch[1]]
                return detector(batch[0].to(self.device), targets)

            def score_of() -> float:
                return coco_map(self.boxes(detector, valid), truth, thresholds=(0.5,))

            history = fit(detector, positions, read, loss_of, score_of, self.settings, seed)
        return detector, history

    @torch.inference_mode()
    def boxes(self, detector: Detector, positions: np.ndarray) -> list[Boxes]:
        """The boxes found on the films at `positions`, in pixels of the corpus' square."""
        found = []
        for start in range(0, len(positions), 32):
            films = self.corpus.films(self.films.rows[positions[start : start + 32]])
            outputs = detector(film_view(films, self.encoder.image_size).to(self.device))
            found += [found_boxes(output, self.scale, detector.first_label) for output in outputs]
        return found
