"""Where on the film a patch looks, against where the encoder says it does, and what drawing heat maps there is worth.

    python benchmarks/patch_place.py --model RUN [RUN ...] --data LABELLED --out results/phantom-v1/patch_place.json

On an even grid cell i of n has its centre at (i + 1/2) / n of the side. A convolution of stride 2 that is padded by one pixel looks half a
step to the left of that and above, and so does a stack of them. Of untrained encoders: the centre of the squared gradient of a patch (by a
random direction) with respect to the pixels of noise, less the centre of its cell of the even grid, in pixels, mean of the cells in the
middle and of several draws; and the same of `ImageEncoder.centres`, derived from its layers. Of runs: pointing game and contrast to noise
of the phrases on valid films with their patches drawn where they look, as an even grid, and as far to the other side of it, which should
be worst.
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

import sista
from sista.corpus.corpus import Corpus
from sista.inference.grounding import ground_regions
from sista.inference.pretrained import PretrainedModel
from sista.models.image_encoder import ImageEncoder
from sista.models.receptive_field import PatchCentres

ENCODERS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("sista_compact", 128, {}),
    ("sista_vit", 128, {"patch_block": 0}),
    ("sista_vit", 128, {"patch_block": 1}),
    ("resnet18", 224, {}),
    ("convnext_atto", 224, {}),
    ("tf_efficientnet_b0", 224, {}),
    ("vit_tiny_patch16_224", 224, {}),
)
WAYS = {"where patches look": 1, "as an even grid": 0, "to its other side": -1}  # how far from the even grid
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


def derived(encoder: ImageEncoder) -> float:
    """By how many pixels, down and right, the encoder says that its patches in the middle look past the centres of their cells."""
    centres, cells = encoder.centres[1], encoder.grid[1]
    return round(centres.first + centres.step * (cells - 1) / 2 - encoder.image_size / 2, 2)


def scores(model: PretrainedModel, corpus: Corpus, limit: int, way: float) -> dict[str, float]:
    """Grounding of the valid films' first `limit` phrases with the maps drawn a way that WAYS has."""
    encoder, cell = model.encoder.image, model.image_size / model.encoder.image.grid[1]
    drawn = [PatchCentres(cell / 2 + way * (one.first - cell / 2), cell + way * (one.step - cell)) for one in encoder.centres]
    with patch.object(encoder, "centres", drawn):
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
        encoder = ImageEncoder(name, image_size=size, **options)
        down, right = offset(encoder, given.draws)
        cells.append({"encoder": name, **options, "size": size, "down": down, "right": right, "derived": derived(encoder)})
    names = [f"{one['encoder']} {one.get('patch_block', '')}" for one in cells]
    columns = ["size", "down", "right", "derived"]
    shown = {name: tuple(one[column] for column in columns) for name, one in zip(names, cells, strict=True)}
    table("patches look past the centre of their cell by, px", columns, shown)
    for path in given.model:
        model, corpus = sista.load(path, device="cpu"), Corpus.open(given.data)
        runs[path.name] = {name: scores(model, corpus, given.limit, way) for name, way in WAYS.items()}
    table(
        "maps",
        [*WAYS],
        {f"{run}, {figure}": [f"{one[way][figure]:.3f}" for way in WAYS] for run, one in runs.items() for figure in FIGURES},
    )
    write(
        given.out, {**facts(torch.device("cpu")), "offset_in_pixels": cells, "maps_drawn": runs, "draws": given.draws, "limit": given.limit}
    )


if __name__ == "__main__":
    main()
