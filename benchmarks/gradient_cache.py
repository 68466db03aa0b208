"""The gradient cache: peak memory of a step with a big batch in chunks, against the small batch whose memory it may use.

    python benchmarks/gradient_cache.py --out results/gradient_cache.json

Two training steps (forward, backward, fused AdamW) of an image encoder, a text encoder and SISTA's objective on random films and reports,
each case in a process of its own: `small` is batch 128 at once, `cached` batch 1,024 in chunks of 64 (the other half of the room is for the
films, the embeddings and their gradients, of which there are 8 times as many), `plain` batch 1,024 at once (only with --plain: it may not
fit). On the CPU the number is the high-water mark of anonymous memory (RssAnon of /proc/self/status, every 2 ms; malloc is told to return
what is freed, so that it is what is held), on CUDA torch.cuda.max_memory_allocated. `over_start` leaves out what the process held before
its first step: libraries, weights, and the films and reports themselves. `share` is the cached batch's memory over the small one's,
`within` says whether that is at most 1. Seconds are of the second step, one run each, under that malloc: a hint, no measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import torch

from sista import versions
from sista.corpus.batch import Batch
from sista.methods import make_method, settings_of
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.passage import Passage
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import TextEncoder
from sista.training.batch_norms import kept_statistics

MB = 2**20
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(MB), "MALLOC_TRIM_THRESHOLD_": str(MB)}  # what is freed goes back, so that held is what is needed


class Peak:
    """The high-water mark of memory while it is open, in bytes."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.most = device, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def held(self) -> int:
        """Memory held now."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def __enter__(self) -> Peak:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.device.type == "cuda":
            self.most = torch.cuda.max_memory_allocated(self.device)
            return
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            self.most = max(self.most, self.held())
            time.sleep(0.002)


def random_batch(pairs: int, size: int, pieces: int) -> Batch:
    """Films and reports of noise; every piece is a word."""
    ids = torch.randint(5, 2000, (pairs, pieces))
    words = torch.arange(pieces).expand_as(ids).contiguous()
    mask = torch.ones_like(ids, dtype=torch.bool)
    return Batch(
        images=torch.randint(0, 256, (pairs, 1, size, size), dtype=torch.uint8), pieces=ids, piece_mask=mask, piece_word=words,
        word_mask=mask, word_type=ids, word_weight=torch.rand(pairs, pieces), word_sentence=torch.zeros_like(ids), report_type=ids,
        teacher=torch.randn(pairs, 64), report_key=torch.arange(pairs), truth_key=torch.full((pairs,), -1), rows=torch.arange(pairs),
    )  # fmt: skip


def measure(given: argparse.Namespace) -> dict[str, float]:
    """Two steps of one case in this process."""
    device = choose_device(given.device)
    precision = choose_precision(given.precision, device)
    torch.manual_seed(0)
    image = ImageEncoder(given.image_encoder, image_size=given.size)
    encoder = DualEncoder(image, TextEncoder(given.text_encoder, vocabulary=2000))
    learner = make_method("sista", encoder, lambda share: 0.9, settings_of("sista", {})).to(device).train()
    encoder.image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW((p for p in learner.parameters() if p.requires_grad), fused=True)
    batch = random_batch(given.batch, given.size, given.pieces).to(device)
    start, seconds = Peak(device).held(), 0.0
    with Peak(device) as peak:
        for _ in range(2):
            begin = time.perf_counter()
            images = (batch.images.float() / 255 - 0.5) / 0.25
            with autocast(precision, device), encoder.passing(Passage(given.chunk)):
                result = learner(batch, images.contiguous(memory_format=torch.channels_last), torch.Generator(device).manual_seed(0))
            del images
            with kept_statistics(learner):
                result.loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss = float(result.loss.detach())
            seconds = time.perf_counter() - begin
            del result
    found = {"start_mb": start / MB, "peak_mb": peak.most / MB, "over_start_mb": (peak.most - start) / MB, "seconds": seconds}
    return {**{name: round(value, 1) for name, value in found.items()}, "loss": loss}


def in_its_own_process(given: argparse.Namespace, batch: int, chunk: int) -> dict[str, float]:
    """Run this file for one case."""
    command = [sys.executable, __file__, "--case", "--batch", str(batch), "--chunk", str(chunk)]
    for name in ("image_encoder", "text_encoder", "size", "pieces", "device", "precision"):
        command += [f"--{name}", str(getattr(given, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **MALLOC})
    return {"batch": batch, "chunk": chunk, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--image_encoder", default="vit_small_patch16_224")
    parser.add_argument("--text_encoder", default="small")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pieces", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--small", type=int, default=128, help="the batch whose memory the big one may take")
    parser.add_argument("--plain", action="store_true", help="also the big batch at once")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given)))
        return
    if given.out is None:
        parser.error("--out is missing")
    cases = {"small": (given.small, 0), "cached": (given.batch, given.chunk), **({"plain": (given.batch, 0)} if given.plain else {})}
    rows = {name: in_its_own_process(given, *case) for name, case in cases.items()}
    device = choose_device(given.device)
    share = rows["cached"]["peak_mb"] / rows["small"]["peak_mb"]
    result = {
        "command": "python benchmarks/gradient_cache.py " + " ".join(sys.argv[1:]),
        "encoders": f"{given.image_encoder} at {given.size} + {given.text_encoder}, {given.pieces} pieces",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}",
        "precision": choose_precision(given.precision, device),
        "measured": "max_memory_allocated" if device.type == "cuda" else "RssAnon, highest of samples every 2 ms",
        "cases": rows,
        "share": round(share, 3),
        "share_over_start": round(rows["cached"]["over_start_mb"] / rows["small"]["over_start_mb"], 3),
        "within": share <= 1,
        "versions": versions(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{'':8} {'batch':>6} {'chunk':>6} {'peak MB':>9} {'over start':>11} {'seconds':>8}")
    for name, row in rows.items():
        print(f"{name:8} {row['batch']:6} {row['chunk']:6} {row['peak_mb']:9.0f} {row['over_start_mb']:11.0f} {row['seconds']:8.1f}")
    print(f"the cached batch takes {share:.2f} of the small one's memory ({result['share_over_start']:.2f} over the start)")


if __name__ == "__main__":
    main()
