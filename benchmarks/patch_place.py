"""Where on the film a patch looks, against where its cell of the heat map is drawn, and what drawing it there would change.

    python benchmarks/patch_place.py --model RUN [RUN ...] --data LABELLED --out results/phantom-v1/patch_place.json

A map is enlarged as an even grid: cell i of n has its centre at (i + 1/2) / n of the side. A convolution of stride 2 that is padded by one
pixel looks half a step to the left of that and above, and so does a stack of them. Of untrained encoders: the centre of the squared
gradient of a patch (by a random direction) with respect to the pixels of noise, less the centre of its cell, in pixels, mean of the cells
in the middle and of several draws. Of runs: pointing game and contrast to noise of the phrases on valid films with their maps as they are,
moved by what an untrained encoder of the same architecture says, and by the same down and right, which should be worse.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from measuring import facts, table, write
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

import sista
from sista.corpus.corpus import Corpus
from sista.inference.grounding import ground_regions
from sista.inference.pretrained import PretrainedModel
from sista.models.image_encoder import ImageEncoder

ENCODERS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("sista_compact", 128, {}),
    ("sista_vit", 128, {"patch_block": 0}),
    ("sista_vit", 128, {"patch_block": 1}),
    ("resnet18", 224, {}),
    ("vit_tiny_patch16_224", 224, {}),
)
WAYS = {"as drawn": 0, "moved to where patches look": 1, "moved the other way": -1}
FIGURES = ("pointing", "contrast")


def offset(encoder: ImageEncoder, draws: int) -> tuple[float, float]:
    """(down, right) in pixels by which a patch looks past the centre of its cell."""
    encoder.eval()
    size, (rows, columns) = encoder.image_size, encoder.grid
    middle = [(row, column) for row in (rows // 2 - 1, rows // 2) for column in (columns // 2 - 1, columns // 2)]
    places, generator, found = torch.arange(size) + 0.5, torch.Generator().manual_seed(0), []
    for row, column in middle * draws:
        images = torch.randn(4, 1, size, size, generator=generator).requires_grad_()
        one = encoder(images).patches[:, row * columns + column]
        (gradient,) = torch.autograd.grad((one * torch.randn(one.shape, generator=generator)).sum(), images)
        energy = gradient.square().sum(dim=(0, 1))
        down, right = ((energy.sum(dim=axis) * places).sum() / energy.sum() for axis in (1, 0))
        found.append((float(down) - (row + 0.5) * size / rows, float(right) - (column + 0.5) * size / columns))
    down, right = np.mean(found, axis=0)
    return round(float(down), 2), round(float(right), 2)


def moved(maps: Tensor, size: int, down: float, right: float) -> Tensor:
    """Maps [N,h,w] enlarged to `size` and moved by so many pixels, the border repeated."""
    large = interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)
    places = (torch.arange(size) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(places - 2 * down / size, places - 2 * right / size, indexing="ij")
    where = torch.stack([x, y], dim=-1).expand(len(maps), -1, -1, -1)
    return grid_sample(large, where, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def scores(model: PretrainedModel, corpus: Corpus, limit: int, down: float, right: float) -> dict[str, float]:
    """Grounding of the valid films' first `limit` phrases with the maps moved."""
    plain = model.patch_map

    def elsewhere(images: Tensor, phrases: Sequence[str]) -> np.ndarray:
        return moved(torch.from_numpy(plain(images, phrases)), corpus.size, down, right).numpy()

    with patch.object(model, "patch_map", elsewhere):
        found = ground_regions(model, corpus, corpus.rows("valid"), limit)
    return {"pointing": round(float(found.hit.mean()), 4), "contrast": round(float(found.contrast.mean()), 4)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", type=Path, default=[])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--limit", type=int, default=600, help="regions of each run")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.manual_seed(0)
    cells, runs = list[dict[str, Any]](), dict[str, dict[str, dict[str, float]]]()
    for name, size, options in ENCODERS:
        down, right = offset(ImageEncoder(name, image_size=size, **options), given.draws)
        cells.append({"encoder": name, **options, "size": size, "down": down, "right": right})
    shown = {" ".join(map(str, (one["encoder"], one.get("patch_block", "")))): (one["size"], one["down"], one["right"]) for one in cells}
    table("patches look past the centre of their cell by, px", ["size", "down", "right"], shown)
    for path in given.model:
        model, corpus = sista.load(path, device="cpu"), Corpus.open(given.data)
        down, right = offset(ImageEncoder(**model.encoder.image.describe()), given.draws)
        runs[path.name] = {way: scores(model, corpus, given.limit, sign * down, sign * right) for way, sign in WAYS.items()}
    table(
        "maps",
        [*WAYS],
        {f"{run}, {figure}": [f"{one[way][figure]:.3f}" for way in WAYS] for run, one in runs.items() for figure in FIGURES},
    )
    write(
        given.out, {**facts(torch.device("cpu")), "offset_in_pixels": cells, "maps_moved": runs, "draws": given.draws, "limit": given.limit}
    )


if __name__ == "__main__":
    main()
