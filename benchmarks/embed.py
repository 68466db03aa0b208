"""Embedding films and reports and heat maps in batches, against the encoders alone; and the exported programs: torch.export, ONNX, int8.

    python benchmarks/embed.py --image vit_base_patch16_224 --out results/embed_vit.json
    python benchmarks/embed.py --image resnet50 --out results/embed_resnet.json
    python benchmarks/embed.py --device cuda --image vit_base_patch16_224 --batch 256 --films 2048 --out results/embed_gpu.json

Everything is timed in turn in one process, without gradient. `encoder alone` is the timm or transformers model on tensors that are on the
device, in the run's precision (and in fp32, which is what the exported programs compute in). Films are of a corpus of procedural films at
256 px, or of --data; an untrained model unless --model is given: its speed is the same, its int8 agreement is not.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import facts, interleave, ratios, run_arguments, summary, table, write
from torch import Tensor

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.inference.embedding import embed_rows
from sista.inference.export import export
from sista.inference.pretrained import PretrainedModel, load
from sista.models.checkpoint import save_pretrained
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast, choose_device
from sista.models.text_encoder import TextEncoder

PHRASE = "left pleural effusion"
BASES = ("encoder alone", "encoder alone, fp32")
Runs = dict[str, Callable[[], Any]]


def untrained(corpus: Corpus, image: str, size: int, text: str, folder: Path) -> Path:
    """A checkpoint of these encoders with fresh weights."""
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder(image, image_size=size), TextEncoder(text, vocabulary=max(30522, len(corpus.tokenizer))))
    encoder.mean_patches.normal_(std=0.01)
    corpus.tokenizer.save(folder)
    save_pretrained(folder, encoder, {"method": "untrained", "max_pieces": corpus.max_pieces})
    return folder


def film_runs(model: PretrainedModel, corpus: Corpus, rows: np.ndarray, batch: int) -> Runs:
    """The image encoder alone, then what users call, on the same films."""
    films = eval_view(corpus.films(rows), model.image_size)
    ready = [part.to(model.device).contiguous(memory_format=torch.channels_last) for part in films.split(batch)]

    @torch.inference_mode()
    def alone(precision: str) -> None:
        for part in ready:
            with autocast(precision, model.device):
                model.encoder.image(part)

    return {
        "encoder alone": lambda: alone(model.precision),
        "encoder alone, fp32": lambda: alone("fp32"),
        "encode_films": lambda: model.encode_films(iter(films), batch=batch),
        "embed_rows, from the corpus": lambda: embed_rows(model, corpus, rows, texts=False),
        "heat maps (patch_map)": lambda: [model.patch_map(part, [PHRASE] * len(part)) for part in films.split(batch)],
    }


def text_runs(model: PretrainedModel, texts: list[str], batch: int) -> Runs:
    """The text encoder alone on batches as they come, then `encode_texts`, which puts texts of like length together."""
    ready = [model._tokens(texts[start : start + batch]) for start in range(0, len(texts), batch)]
    tensors = [(one["pieces"].to(model.device), one["piece_mask"].to(model.device)) for one in ready]

    @torch.inference_mode()
    def alone(precision: str) -> None:
        for pieces, mask in tensors:
            with autocast(precision, model.device):
                model.encoder.text.model(input_ids=pieces, attention_mask=mask.long())

    return {
        "encoder alone": lambda: alone(model.precision),
        "encoder alone, fp32": lambda: alone("fp32"),
        "encode_texts": lambda: model.encode_texts(texts, batch=batch),
    }


def exported_runs(folder: Path, films: Tensor, texts: list[dict[str, Tensor]], dim: int, batch: int) -> tuple[Runs, Runs]:
    """The exported programs on films and on texts, on the CPU."""
    from sista.inference.export_onnx import OnnxRunner

    parts = films.split(batch)
    vectors = [torch.nn.functional.normalize(torch.randn(len(part), dim), dim=1) for part in parts]
    film, text = torch.export.load(folder / "film.pt2").module(), torch.export.load(folder / "text.pt2").module()

    @torch.no_grad()
    def traced(module: Any, inputs: list[tuple[Tensor, ...]]) -> None:
        for given in inputs:
            module(*given)

    of_films: list[tuple[Tensor, ...]] = [(part,) for part in parts]
    of_texts: list[tuple[Tensor, ...]] = [(one["pieces"], one["piece_mask"]) for one in texts]
    with_vectors: list[tuple[Tensor, ...]] = list(zip(parts, vectors, strict=True))
    film_runs: Runs = {"torch.export": lambda: traced(film, of_films)}
    text_runs: Runs = {"torch.export": lambda: traced(text, of_texts)}
    for kind in ("onnx", "int8.onnx"):
        if not (folder / f"film.{kind}").exists():
            continue
        threads = torch.get_num_threads()
        image = OnnxRunner(folder / f"film.{kind}", ("films",), threads)
        heat = OnnxRunner(folder / f"heat.{kind}", ("films", "phrase"), threads)
        report = OnnxRunner(folder / f"text.{kind}", ("pieces", "mask"), threads)
        film_runs[kind] = lambda run=image: [run(given) for given in of_films]
        film_runs[f"{kind}, heat maps"] = lambda run=heat: [run(given) for given in with_vectors]
        text_runs[kind] = lambda run=report: [run(given) for given in of_texts]
    return film_runs, text_runs


def measure(runs: Runs, count: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Items a second, and the ratio of speeds to the encoder alone, in the run's precision and in fp32."""
    seconds = interleave(runs, rounds, device)
    against = {base: ratios(seconds, base) for base in BASES}
    result = {}
    for name, values in seconds.items():
        row: dict[str, Any] = summary(values)
        row["per_s"] = round(count / row["median_s"], 1)
        for base, found in against.items():
            row[f"time_to_{base}"] = found[name]
        result[name] = row
    return result


def main() -> None:
    """Build, export, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a run; by default untrained encoders")
    parser.add_argument("--image", default="vit_base_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--text", default="base")
    parser.add_argument("--data", type=Path, help="a corpus; by default procedural films of 256 px")
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--formats", default="torch_export,onnx", help="'none': leave the exported programs out")
    run_arguments(parser)
    given = parser.parse_args()
    device = choose_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        place = given.data
        if place is None:
            place = Path(folder) / "corpus"
            build(Phantom(given.films + 60, size=256), place, progress=False, fractions=(0.4, 0.2, 0.4))
        corpus = Corpus.open(place)
        rows = corpus.rows()[: given.films]
        path = given.model or untrained(corpus, given.image, given.size, given.text, Path(folder) / "model")
        model = load(path, device=given.device, precision=given.precision)
        films, texts = film_runs(model, corpus, rows, given.batch), text_runs(model, corpus.reports(rows), given.batch)
        result: dict[str, Any] = {
            **facts(device),
            "model": repr(model),
            "precision": model.precision,
            "films": len(rows),
            "batch": given.batch,
        }
        if given.formats != "none":
            made = export(path, Path(folder) / "exported", formats=given.formats, int8="onnx" in given.formats, data=place)
            result["exported"] = made["files"]
            prepared = eval_view(corpus.films(rows), model.image_size)
            reports = corpus.reports(rows)
            tokens = [model._tokens(reports[start : start + given.batch]) for start in range(0, len(reports), given.batch)]
            more_films, more_texts = exported_runs(Path(folder) / "exported", prepared, tokens, model.encoder.dim, given.batch)
            films, texts = {**films, **more_films}, {**texts, **more_texts}
        for name, runs in (("films", films), ("texts", texts)):
            found = measure(runs, len(rows), given.rounds, device)
            result[f"{name}_measured"] = found
            write(given.out, result)
            table(
                f"{name}, {result['model']}, {model.precision}, batch {given.batch}, {result['device']}",
                [f"{name}/s", "time to the encoder alone", "to it in fp32"],
                {run: (row["per_s"], *(_span(row[f"time_to_{base}"]) for base in BASES)) for run, row in found.items()},
            )
    for name, facts_of in result.get("exported", {}).items():
        agrees = facts_of.get("cosine_with_fp32") or f"differs by {facts_of['largest_difference']:.1e}"
        print(name, f"{facts_of['bytes'] / 2**20:.1f} MB", agrees)


def _span(ratio: dict[str, float]) -> str:
    return "{median} [{least}, {largest}]".format(**ratio)


if __name__ == "__main__":
    main()
