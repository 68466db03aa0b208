"""The text encoder on reports padded to 112 pieces, padded to the longest of the batch, and as sista packs them by length.

    python benchmarks/bucketing.py --reports shared/data/openi/NLMCXR_reports.tgz --vocabulary shared/data/vocab/bert_base_uncased.txt \\
        --out results/bucketing.json

Batches in random order, as in training; each is one forward and backward pass of a loss over texts and pieces, dropout off, in turn. The
losses and gradients of the three ways are compared in fp32 first. The last rows are of inference: texts as they come, and sorted by length
over all batches, as `PretrainedModel.encode_texts` sorts them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import facts, interleave, ratios, run_arguments, summary, table, write
from texts import CLS, LONGEST, PAD, SEP, VOCABULARY, report_tokens
from torch import Tensor

from sista.corpus.reports.tokens import ReportTokens, collate_tokens
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import TextEncoder, TextFeatures

Batch = tuple[Tensor, Tensor]


def batches_of(reports: list[ReportTokens], size: int, count: int, device: torch.device, longest: int | None = None) -> list[Batch]:
    """(pieces, mask) of `count` batches, padded to `longest` or to the longest of each."""
    result = []
    for number in range(count):
        tokens = collate_tokens(reports[number * size : (number + 1) * size], PAD, CLS, SEP)
        more = 0 if longest is None else longest - tokens["pieces"].shape[1]
        pieces = torch.nn.functional.pad(tokens["pieces"], (0, more), value=PAD)
        result.append((pieces.to(device), torch.nn.functional.pad(tokens["piece_mask"], (0, more)).to(device)))
    return result


def features(encoder: TextEncoder, pieces: Tensor, mask: Tensor, packed: bool) -> TextFeatures:
    """As sista runs the encoder, or (not `packed`) all texts of the batch at once."""
    if packed:
        return encoder(pieces, mask)
    hidden = encoder.model(input_ids=pieces, attention_mask=mask.long()).last_hidden_state
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return TextFeatures((hidden * weight).sum(1) / weight.sum(1).clamp(min=1), hidden)


def loss_of(found: TextFeatures, mask: Tensor) -> Tensor:
    """A smooth function of every text and every real piece."""
    wave = torch.cos(torch.arange(found.pieces.shape[2], device=mask.device))  # of normalised vectors a plain sum is a constant
    pieces = ((found.pieces.float() @ wave).square() * mask).sum(dim=1) / mask.sum(dim=1)
    return (pieces / len(wave)).mean() + (torch.nn.functional.normalize(found.pooled.float(), dim=1) @ wave).square().mean()


def same_losses(encoder: TextEncoder, ways: dict[str, tuple[list[Batch], bool]]) -> dict[str, dict[str, float]]:
    """The largest difference in loss and in the gradient of the word embeddings from the first way, over the first two batches, fp32."""
    found: dict[str, list[tuple[float, Tensor]]] = {}
    weight = encoder.model.get_input_embeddings().weight
    for name, (batches, packed) in ways.items():
        for pieces, mask in batches[:2]:
            loss = loss_of(features(encoder, pieces, mask, packed), mask)
            found.setdefault(name, []).append((float(loss.detach()), torch.autograd.grad(loss, weight)[0]))
    first = found[next(iter(found))]
    largest = max(float(gradient.abs().max()) for _, gradient in first)
    result = {}
    for name, values in found.items():
        both = list(zip(values, first, strict=True))
        gradient = max(float((mine - theirs).abs().max()) for (_, mine), (_, theirs) in both) / largest
        result[name] = {"loss": max(abs(mine - theirs) for (mine, _), (theirs, _) in both), "gradient_relative": gradient}
    return result


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="base")
    parser.add_argument("--reports", type=Path, help="NLMCXR_reports.tgz; by default reports of the same lengths are made up")
    parser.add_argument("--vocabulary", type=Path, help="a vocab.txt for --reports")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    run_arguments(parser)
    given = parser.parse_args()
    device = choose_device(given.device)
    precision = choose_precision(given.precision, device)
    reports, about = report_tokens(given.reports, given.vocabulary, count=given.batch * given.batches)
    torch.manual_seed(0)
    encoder = TextEncoder(given.text, vocabulary=VOCABULARY, dropout=0.0).to(device)
    long = batches_of(reports, given.batch, given.batches, device, LONGEST)
    short = batches_of(reports, given.batch, given.batches, device)
    ordered = batches_of(sorted(reports, key=lambda report: len(report.pieces)), given.batch, given.batches, device)
    ways = {"padded to 112": (long, False), "padded to the longest": (short, False), "sista": (short, True)}
    differences = same_losses(encoder, ways)

    def train(batches: list[Batch], packed: bool) -> None:
        for pieces, mask in batches:
            with autocast(precision, device):
                found = features(encoder, pieces, mask, packed)
            loss_of(found, mask).backward()
        encoder.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def infer(batches: list[Batch], packed: bool) -> None:
        for pieces, mask in batches:
            with autocast(precision, device):
                features(encoder, pieces, mask, packed)

    runs: dict[str, Callable[[], Any]] = {name: lambda way=way: train(*way) for name, way in ways.items()}
    asked: dict[str, Callable[[], Any]] = {
        "padded to 112": lambda: infer(long, False),
        "padded to the longest": lambda: infer(short, False),
        "sista": lambda: infer(short, True),
        "sista, sorted over all batches": lambda: infer(ordered, True),
    }
    count = given.batch * given.batches
    result: dict[str, Any] = {
        **facts(device),
        "encoder": f"BERT {given.text}",
        "precision": precision,
        "texts": about,
        "batch": given.batch,
        "batches": given.batches,
        "difference_from_padded_fp32": differences,
    }
    for name, some in (("training", runs), ("inference", asked)):
        seconds = interleave(some, given.rounds, device)
        against = ratios(seconds, "padded to 112")
        result[name] = {
            way: {
                **summary(values),
                "texts_per_s": round(count / summary(values)["median_s"], 1),
                "times_as_fast": round(1 / against[way]["median"], 2),
                "times_least_largest": [round(1 / against[way]["largest"], 2), round(1 / against[way]["least"], 2)],
            }
            for way, values in seconds.items()
        }
        table(
            f"{name}, BERT {given.text}, {precision}, batch {given.batch}, {result['device']}",
            ["texts/s", "times as fast as padded to 112", "least and largest", "largest difference in loss (fp32)"],
            {
                way: (
                    row["texts_per_s"],
                    row["times_as_fast"],
                    row["times_least_largest"],
                    f"{differences[way]['loss']:.1e}" if way in differences and name == "training" else None,
                )
                for way, row in result[name].items()
            },
        )
        write(given.out, result)
    print(f"\n{about}")


if __name__ == "__main__":
    main()
