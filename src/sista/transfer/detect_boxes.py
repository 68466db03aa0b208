"""The boxes of films: as a corpus has them, as a detector learns them, and moved with their film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.metrics.detection import Boxes

LEAST_SIDE, LEAST_PART = 1.0, 0.3  # pixels; share of a box that must stay on the film when it is moved


def true_boxes(corpus: Corpus, rows: np.ndarray, findings: Sequence[str]) -> list[Boxes]:
    """The boxes of each row's regions in pixels of the corpus' square, labels in the order of `findings`; none is a film without."""
    result = []
    for row in rows:
        regions = [region for region in corpus.regions(int(row)) if region.name in findings]
        labels = [findings.index(region.name) for region in regions]
        result.append(Boxes.of([[region.x, region.y, region.width, region.height] for region in regions], labels))
    return result


def targets_of(
    truth: Sequence[Boxes], scale: float, size: int, affine: Tensor | None = None, first_label: int = 0
) -> list[dict[str, Tensor]]:
    """torchvision's targets: corners float32 [n,4] on films of `size` pixels, labels int64 [n] counted from `first_label`.

    scale: pixels of the new film for one of the old. affine [B,2,3]: how films were moved (`segment_views.random_affine`); a box becomes
    the bounds of its moved corners on the film, and goes when less than 0.3 of it or under one pixel is left.
    """
    result = []
    for number, one in enumerate(truth):
        boxes = torch.from_numpy(one.boxes).float() * scale
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)
        if affine is not None:
            corners = _moved(corners, affine[number], size)
        kept = corners.clamp(0, size)
        sides, whole = kept[:, 2:] - kept[:, :2], corners[:, 2:] - corners[:, :2]
        good = (
            (sides.min(dim=1).values >= LEAST_SIDE) & (sides.prod(1) >= LEAST_PART * whole.prod(1)) if len(kept) else torch.zeros(0).bool()
        )
        result.append({"boxes": kept[good], "labels": torch.from_numpy(one.labels)[good] + first_label})
    return result


def found_boxes(output: dict[str, Tensor], scale: float, first_label: int = 0) -> Boxes:
    """A torchvision detector's output for one film, in pixels of the corpus' square: `scale` as in `targets_of`."""
    corners, labels, scores = (output[name].detach().float().cpu().numpy().astype(np.float64) for name in ("boxes", "labels", "scores"))
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1) / scale
    return Boxes.of(boxes, labels.astype(np.int64) - first_label, scores)


def _moved(corners: Tensor, affine: Tensor, size: int) -> Tensor:
    """Bounds [n,4] of boxes [n,4] after the film went through `affine` [2,3], which leads from new places to old ones."""
    x, y = corners[:, [0, 2, 0, 2]], corners[:, [1, 1, 3, 3]]
    old = torch.stack([x, y], dim=-1) * 2 / size - 1
    new = (old - affine[:, 2]) @ torch.linalg.inv(affine[:, :2]).T
    pixels = (new + 1) * size / 2
    return torch.cat([pixels.min(dim=1).values, pixels.max(dim=1).values], dim=1)
