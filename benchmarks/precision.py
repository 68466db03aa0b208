"""bf16 against fp32, channels-last against contiguous: one training step of the encoders on this machine, interleaved in one process.

    python benchmarks/precision.py --out results/precision.json

Medians of seconds a step and ratios to contiguous fp32; on a shared machine trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from sista import versions
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import TextEncoder

VARIANTS = [(precision, layout) for precision in ("fp32", "bf16") for layout in ("contiguous", "channels_last")]


def step(encoder: DualEncoder, images: Tensor, pieces: Tensor, precision: str, device: torch.device) -> None:
    """Forward and backward of both encoders with a trivial loss."""
    mask = torch.ones_like(pieces, dtype=torch.bool)
    words = torch.arange(pieces.shape[1], device=device).expand_as(pieces).contiguous()
    with autocast(precision, device):
        e = encoder(images, pieces, mask, words, mask)
    (e.image.sum() + e.patches.sum() + e.text.sum() + e.words.sum()).backward()
    encoder.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(image_encoder: str, size: int, text_encoder: str, batch: int, rounds: int, device: torch.device) -> dict[str, object]:
    """Median seconds of each variant, in turn."""
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder(image_encoder, image_size=size), TextEncoder(text_encoder, vocabulary=2000)).to(device)
    images = torch.randn(batch, 1, size, size, device=device)
    pieces = torch.randint(0, 2000, (batch, 64), device=device)
    seconds: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for precision, layout in VARIANTS:
            form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
            encoder.image.to(memory_format=form)
            given = images.contiguous(memory_format=form)
            begin = time.perf_counter()
            step(encoder, given, pieces, precision, device)
            if turn:
                seconds.setdefault(f"{precision} {layout}", []).append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    base = medians["fp32 contiguous"]
    return {
        "encoders": f"{image_encoder} at {size} + {text_encoder}, batch {batch}",
        "seconds": {name: round(value, 4) for name, value in medians.items()},
        "times_faster": {name: round(base / value, 2) for name, value in medians.items()},
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = choose_device(given.device)
    rows = [
        measure("sista_compact", 128, "compact", 64, given.rounds, device),
        measure("resnet50", 224, "base", 8, given.rounds, device),
        measure("vit_base_patch16_224", 224, "base", 8, given.rounds, device),
    ]
    result = {
        "command": "python benchmarks/precision.py " + " ".join(sys.argv[1:]),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "auto": choose_precision("auto", device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "rows": rows,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(row["encoders"], row["times_faster"])


if __name__ == "__main__":
    main()
