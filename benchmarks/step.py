"""A training step's forward and backward pass: encoders plainly, encoders as sista runs them, and every method on top, in turn.

    python benchmarks/step.py --image vit_base_patch16_224 --batch 16 48 --out results/step_vit.json
    python benchmarks/step.py --image resnet50 --batch 16 48 --out results/step_resnet.json
    python benchmarks/step.py --device cuda --image vit_base_patch16_224 --batch 48 144 --peak 790 --out results/step_vit_gpu.json

plain       both encoders on 112 padded pieces, contiguous films, timm's fused attention, a trivial loss (the sum of what they give)
encoders    the same weights and loss as sista runs them: texts packed or cut to the longest, films channels-last, the faster attention
projected   and with projections into the shared space and word sums; then every method by name, `clip` being InfoNCE alone

Ratios are taken round by round. Films are noise, reports those of OpenI with --reports, else of the same lengths. No optimiser, no input.
With --peak TFLOP/s the share of it that a step reaches; with --device cuda also memory and, with --profile, the kernels that take longest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import facts, interleave, peak_of, ratios, run_arguments, summary, table, write
from texts import VOCABULARY, batch_of, padded, report_tokens
from torch import Tensor, nn

from sista.corpus.batch import Batch
from sista.corpus.films.augmentation import eval_view
from sista.methods import METHODS, make_method, settings_of
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder, fuse_attention
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import TextEncoder

BASES = ("plain", "encoders")


class Steps:
    """All variants of a step on one dual encoder."""

    def __init__(self, encoder: DualEncoder, methods: list[str], precision: str, device: torch.device) -> None:
        self.encoder, self.precision, self.device = encoder, precision, device
        self.learners: dict[str, nn.Module] = {}
        self.refused: dict[str, str] = {}
        for name in methods:
            try:
                self.learners[name] = make_method(name, encoder, lambda share: 0.9, settings_of(name, {})).to(device).train()
            except Exception as error:  # a method that needs another encoder must not stop the rest
                self.refused[name] = f"{type(error).__name__}: {error}"

    def variants(self, batch: Batch) -> dict[str, Callable[[], None]]:
        """What to time, by name."""
        films = eval_view(batch.images, batch.images.shape[-1])
        long = padded(batch)
        found: dict[str, Callable[[], None]] = {
            "plain": lambda: self._run(films, torch.contiguous_format, lambda x: self._plainly(x, long)),
            "encoders": lambda: self._run(films, torch.channels_last, lambda x: self._packed(x, batch)),
            "projected": lambda: self._run(films, torch.channels_last, lambda x: self._projected(x, batch)),
        }
        for name, learner in self.learners.items():
            found[name] = lambda learner=learner: self._run(films, torch.channels_last, lambda x: self._loss(learner, x, batch))
        return found

    def lay_out(self, name: str) -> None:
        """The image encoder's weights in the layout that a variant needs, and its attention."""
        self.encoder.image.to(memory_format=torch.contiguous_format if name == "plain" else torch.channels_last)
        fuse_attention(self.encoder.image, name == "plain" or torch.cuda.is_available())

    def _run(self, films: Tensor, layout: torch.memory_format, loss: Callable[[Tensor], Tensor]) -> None:
        torch.manual_seed(0)
        with autocast(self.precision, self.device):
            value = loss(films.contiguous(memory_format=layout))
        value.backward()
        for module in (self.encoder, *self.learners.values()):
            module.zero_grad(set_to_none=True)

    def _plainly(self, films: Tensor, long: dict[str, Tensor]) -> Tensor:
        image = self.encoder.image(films)
        hidden = self.encoder.text.model(input_ids=long["pieces"], attention_mask=long["piece_mask"].long()).last_hidden_state
        return image.pooled.float().sum() + image.patches.float().sum() + hidden.float().sum()

    def _packed(self, films: Tensor, batch: Batch) -> Tensor:
        image, text = self.encoder.image(films), self.encoder.text(batch.pieces, batch.piece_mask)
        return image.pooled.float().sum() + image.patches.float().sum() + text.pieces.float().sum()

    def _projected(self, films: Tensor, batch: Batch) -> Tensor:
        e = self.encoder(films, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        return e.image.sum() + e.patches.sum() + e.text.sum() + e.words.sum()

    def _loss(self, learner: nn.Module, films: Tensor, batch: Batch) -> Tensor:
        return learner(batch, films, torch.Generator(self.device).manual_seed(0)).loss


def measure(steps: Steps, batch: Batch, rounds: int, peak: float | None, profile: bool) -> dict[str, Any]:
    """One batch size: seconds, ratios to both bases, pairs a second, memory and share of the peak where they can be known."""
    variants = steps.variants(batch)
    for name, run in list(variants.items()):  # which also warms up
        try:
            steps.lay_out(name)
            run()
        except Exception as error:  # out of memory, or a method that needs what this batch lacks
            steps.refused[f"{name} at {len(batch)}"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            del variants[name]
            steps.encoder.zero_grad(set_to_none=True)
    seconds = interleave(variants, rounds, steps.device, before=steps.lay_out, warm=0)
    result: dict[str, Any] = {"batch": len(batch), "pieces_of_longest": batch.pieces.shape[1], "variants": {}}
    against = {base: ratios(seconds, base) for base in BASES}
    for name, values in seconds.items():
        row: dict[str, Any] = {**summary(values), **{f"to_{base}": against[base][name] for base in BASES}}
        row["pairs_per_s"] = round(len(batch) / row["median_s"], 2)
        steps.lay_out(name)
        row["peak_mb"] = peak_of(variants[name], steps.device)
        if peak:
            row["tflop"] = _tflop(variants[name])
            row["share_of_peak"] = round(row["tflop"] / row["median_s"] / peak, 4)
        if profile and name == "sista":
            result["kernels"] = _kernels(variants[name])
        result["variants"][name] = row
    return result


def _tflop(run: Callable[[], None]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return round(counter.get_total_flops() / 1e12, 4)


def _kernels(run: Callable[[], None]) -> list[dict[str, Any]]:
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    with profile(activities=kinds) as profiler:
        run()
    gpu = torch.cuda.is_available()
    key = "self_device_time_total" if gpu else "self_cpu_time_total"
    rows = sorted(profiler.key_averages(), key=lambda row: -getattr(row, key))[:20]
    whole = sum(getattr(row, key) for row in profiler.key_averages())
    return [
        {"name": row.key[:80], "calls": row.count, "ms": round(getattr(row, key) / 1000, 3), "share": round(getattr(row, key) / whole, 4)}
        for row in rows
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="vit_base_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--text", default="base")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 48])
    parser.add_argument("--methods", nargs="*", help=f"of {', '.join(METHODS)}; by default clip, sista and then all others")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reports", type=Path, help="NLMCXR_reports.tgz")
    parser.add_argument("--vocabulary", type=Path, help="a vocab.txt for --reports")
    parser.add_argument("--peak", type=float, help="the device's bf16 TFLOP/s")
    parser.add_argument("--profile", action="store_true")
    run_arguments(parser)
    given = parser.parse_args()
    device = choose_device(given.device)
    precision = choose_precision(given.precision, device)
    reports, about = report_tokens(given.reports, given.vocabulary)
    first = [name for name in ("clip", "sista") if name in METHODS]
    methods = [*first, *(name for name in METHODS if name not in first)] if given.methods is None else given.methods
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder(given.image, image_size=given.size), TextEncoder(given.text, vocabulary=VOCABULARY)).to(device)
    steps = Steps(encoder.train(), methods, precision, device)
    result: dict[str, Any] = {
        **facts(device),
        "encoders": f"{given.image} at {given.size} + BERT {given.text}",
        "precision": precision,
        "texts": about,
        "rounds": given.rounds,
        "rows": [],
    }
    for size in given.batch:
        row = measure(steps, batch_of(reports, size, 0, given.size, device), given.rounds, given.peak, given.profile)
        result["rows"].append(row)
        table(
            f"{result['encoders']}, {precision}, batch {size}, {result['device']}",
            ["seconds", "pairs/s", "to plain: median [least, largest]", "to encoders: median [least, largest]", "peak MB", "share of peak"],
            {
                name: (
                    v["median_s"],
                    v["pairs_per_s"],
                    *("{median} [{least}, {largest}]".format(**v[f"to_{base}"]) for base in BASES),
                    v["peak_mb"],
                    v.get("share_of_peak"),
                )
                for name, v in row["variants"].items()
            },
        )
        result["not_run"] = steps.refused
        write(given.out, result)
    for name, reason in steps.refused.items():
        print(f"not run: {name}: {reason}")


if __name__ == "__main__":
    main()
