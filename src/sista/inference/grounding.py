"""Where on the film a phrase is, and how well that agrees with known regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sista.corpus.augmentation import eval_view
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.inference.pretrained import PretrainedModel, load
from sista.metrics.grounding import box_mask, chance, contrast_to_noise, pointing_game
from sista.metrics.interval import bootstrap_mean


@dataclass(frozen=True)
class Grounding:
    """One row per region: its finding, subject, hit of the pointing game (0 to 1), contrast-to-noise ratio, and a random point's chance."""

    findings: np.ndarray
    subjects: np.ndarray
    hit: np.ndarray
    contrast: np.ndarray
    chance: np.ndarray

    def summary(self) -> dict[str, Any]:
        """Means over regions with intervals over subjects, over all findings and for each."""
        names = sorted(set(self.findings))
        per = {
            name: bootstrap_mean(self.hit[self.findings == name], groups=self.subjects[self.findings == name]).as_dict() for name in names
        }
        return {
            "regions": len(self.hit),
            "pointing_game": bootstrap_mean(self.hit, groups=self.subjects).as_dict(),
            "contrast_to_noise": bootstrap_mean(self.contrast, groups=self.subjects).as_dict(),
            "chance": float(np.mean(self.chance)),
            "pointing_game_per_finding": per,
        }


def ground(
    model: Path,
    data: Path | None = None,
    image: Path | None = None,
    phrase: str | None = None,
    out: Path | None = None,
    split: str = "test",
    limit: int = 2000,
    device: str = "auto",
    precision: str = "auto",
) -> dict[str, Any]:
    """Show where on a film a phrase is, or score heat maps against a corpus' regions.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: a corpus with regions and phrases; gives the pointing game and the contrast-to-noise ratio.
        image: one film (JPEG or PNG).
        phrase: what to look for on that film.
        out: with image, where to write the heat map over the film (PNG); its numbers go beside it (.npy).
        split: which part of the corpus.
        limit: at most so many regions are scored.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
    """
    if (data is None) == (image is None):
        raise SistaError("give either --data, a corpus with regions, or --image with --phrase")
    trained = load(model, device, precision)
    if image is not None:
        if not phrase:
            raise SistaError("--image needs --phrase, the words to look for")
        heat = trained.heatmap(image, phrase)
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        if out is not None:
            save_overlay(out, image, heat)
        return {
            "task": "ground",
            "image": str(image),
            "phrase": phrase,
            "hottest": {"x": int(column), "y": int(row)},
            "out": str(out) if out else None,
        }
    assert data is not None
    corpus = Corpus.open(data)
    result = ground_regions(trained, corpus, corpus.rows(split), limit)
    return {"task": "ground", "model": str(model), "data": corpus.fingerprint, "split": split, **result.summary()}


def ground_regions(model: PretrainedModel, corpus: Corpus, rows: np.ndarray, limit: int = 2000) -> Grounding:
    """Score the heat map of every region's phrase (its finding's name where it has none) on the films of `rows`, in order.

    Maps are enlarged to the film's square and compared with the mask, or the box where there is no mask.
    """
    queries = []
    for row in rows:
        for region in corpus.regions(int(row)):
            queries.append((int(row), region))
        if len(queries) >= limit:
            break
    queries = queries[:limit]
    if not queries:
        raise SistaError(f"corpus {corpus.path} has no region on these films; grounding needs boxes or masks")
    hit, contrast, random = [], [], []
    for start in range(0, len(queries), 64):
        some = queries[start : start + 64]
        images = eval_view(corpus.films(np.array([row for row, _ in some])), model.image_size)
        maps = model.patch_map(images, [region.phrase or region.finding.replace("/", " ") for _, region in some])
        side = (corpus.size, corpus.size)
        large = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], size=side, mode="bilinear", align_corners=False)[
            :, 0
        ].numpy()
        for heat, (_, region) in zip(large, some, strict=True):
            area = region.mask if region.mask is not None else box_mask((region.x, region.y, region.width, region.height), side)
            hit.append(pointing_game(heat, area))
            contrast.append(contrast_to_noise(heat, area))
            random.append(chance(area))
    names = np.array([region.finding.split("/")[0] for _, region in queries])
    subjects = corpus.values("subject_id", [row for row, _ in queries])
    return Grounding(names, subjects, np.array(hit), np.array(contrast), np.array(random))


def save_overlay(out: Path, image: Path, heat: np.ndarray) -> None:
    """Write the heat map over its film as PNG, and its numbers as .npy beside it."""
    from matplotlib import colormaps
    from PIL import Image

    from sista.corpus.radiograph import read_radiograph, to_uint8

    film = to_uint8(read_radiograph(image)).astype(np.float32) / 255
    span = max(float(heat.max() - heat.min()), 1e-8)
    strength = ((heat - heat.min()) / span)[..., None]
    colour = colormaps["inferno"](strength[..., 0])[..., :3]
    mixed = film[..., None] * (1 - 0.5 * strength) + colour * 0.5 * strength
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.clip(mixed, 0, 1) * 255).astype(np.uint8)).save(out)
    np.save(out.with_suffix(".npy"), heat)
