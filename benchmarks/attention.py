"""torch's fused attention against plain products in the encoders' transformers: training and inference, in turn in one process.

    python benchmarks/attention.py --out results/attention.json

ratio: seconds with plain products over seconds with the fused kernel, round by round; below 1 plain is faster. Films and pieces are
noise; the text encoder has its dropout of 0.1 in training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from measuring import facts, interleave, ratios, run_arguments, summary, table, write
from torch import nn

from sista.models.image_encoder import ImageEncoder, fuse_attention
from sista.models.packing import ATTENTION, register
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import SIZES, TextEncoder

KERNELS = ("fused", "plain")
VOCABULARY = 2000


def film_runs(name: str, size: int, batch: int, precision: str, device: torch.device) -> dict[str, Callable[[], Any]]:
    """An image encoder with either kernel, training and not."""
    encoder = ImageEncoder(name, image_size=size).to(device).train()
    films = torch.randn(batch, 1, size, size, device=device)

    def run(kernel: str, train: bool) -> None:
        fuse_attention(encoder.model, kernel == "fused")
        with autocast(precision, device), torch.set_grad_enabled(train):
            found = encoder(films)
            loss = found.pooled.float().sum() + found.patches.float().sum()
        _backward(encoder, loss if train else None)

    return _all_runs(run)


def text_runs(name: str, length: int, batch: int, precision: str, device: torch.device) -> dict[str, Callable[[], Any]]:
    """A text encoder with either kernel, training and not."""
    encoder = TextEncoder(name, vocabulary=VOCABULARY).to(device).train()
    encoder.packs = False  # which is another gain
    register()
    pieces = torch.randint(5, VOCABULARY, (batch, length), device=device)
    mask = torch.arange(length, device=device)[None] < torch.linspace(length // 3, length, batch, device=device).long()[:, None]

    def run(kernel: str, train: bool) -> None:
        encoder.train(train)
        encoder.model.set_attn_implementation("sdpa" if kernel == "fused" else ATTENTION)
        with autocast(precision, device), torch.set_grad_enabled(train):
            loss = encoder(pieces, mask).pieces.float().sum()
        _backward(encoder, loss if train else None)

    return _all_runs(run)


def _all_runs(run: Callable[[str, bool], None]) -> dict[str, Callable[[], Any]]:
    return {
        f"{kernel} {what}": lambda kernel=kernel, train=train: run(kernel, train)
        for what, train in (("training", True), ("inference", False))
        for kernel in KERNELS
    }


def _backward(module: nn.Module, loss: torch.Tensor | None) -> None:
    if loss is not None:
        loss.backward()
        module.zero_grad(set_to_none=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    run_arguments(parser)
    given = parser.parse_args()
    device = choose_device(given.device)
    precision = choose_precision(given.precision, device)
    result: dict[str, Any] = {**facts(device), "precision": precision, "rounds": given.rounds, "rows": {}}
    cases: dict[str, dict[str, Callable[[], Any]]] = {
        "vit_base_patch16_224 at 224, batch 16": film_runs("vit_base_patch16_224", 224, 16, precision, device),
        "sista_vit at 128, batch 64": film_runs("sista_vit", 128, 64, precision, device),
        **{f"BERT {name}, 112 pieces, batch 16": text_runs(name, 112, 16, precision, device) for name in SIZES},
    }
    for case, runs in cases.items():
        seconds = interleave(runs, given.rounds, device)
        result["rows"][case] = {
            what: {
                "seconds": {kernel: summary(seconds[f"{kernel} {what}"])["median_s"] for kernel in KERNELS},
                "ratio": ratios(seconds, f"fused {what}")[f"plain {what}"],
            }
            for what in ("training", "inference")
        }
        write(given.out, result)
    table(
        f"{precision}, {result['device']}: plain over fused",
        ["training: median [least, largest]", "inference"],
        {
            case: tuple("{median} [{least}, {largest}]".format(**row[what]["ratio"]) for what in ("training", "inference"))
            for case, row in result["rows"].items()
        },
    )


if __name__ == "__main__":
    main()
