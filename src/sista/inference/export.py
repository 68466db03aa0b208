"""A pre-trained model as programs that need no sista: torch.export, ONNX, and int8, each held to the eager model.

    OUT/film.pt2, text.pt2, phrase.pt2, heat.pt2     torch.export programs (`sista.inference.programs` says what each computes)
    OUT/film.onnx, ...  OUT/film.int8.onnx, ...      the same in ONNX, and with weights of 8 bits
    OUT/tokenizer.json, special.json                 the tokenizer
    OUT/model.json                                   how films and texts are prepared, inputs and outputs, differences from eager

docs/export.md has a reader of it in twenty lines.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_json
from sista.corpus.films.augmentation import eval_view
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.errors import SistaError, nearest
from sista.inference.export_card import card
from sista.inference.pretrained import PretrainedModel
from sista.inference.programs import Program, Tensors, programs_of, random_inputs
from sista.models.checkpoint import load_pretrained

FORMATS = ("torch_export", "onnx")
TOLERANCE = 1e-4  # largest absolute difference from the eager model, on unit vectors and cosines
BATCHES = (1, 5)  # the batch sizes at which that is held; the programs are made with 2
AGREEMENT_FILMS = 64
Runner = Callable[[Tensors], Tensors]


def export(
    model: Path,
    out: Path,
    formats: list[str] | str = "torch_export",
    int8: bool = False,
    data: Path | None = None,
) -> dict[str, Any]:
    """Export a pre-trained model as torch.export programs and ONNX, equal to it to 1e-4 at any batch size.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        out: a new folder.
        formats: torch_export, onnx, or both (a list, or a comma between them). onnx needs the extra `onnx`.
        int8: also write the ONNX programs with 8-bit weights (dynamic quantisation), and measure how far their vectors agree.
        data: a corpus on whose test films and reports that agreement is measured; by default random films and texts.
    """
    chosen, out = _formats(formats, int8), Path(out)
    if data is not None and not int8:
        raise SistaError("--data serves --int8, whose agreement is measured on it; give both, or neither")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SistaError(f"--out {out} is not empty; give a new folder")
    pretrained = load_pretrained(model)
    trained = PretrainedModel(
        pretrained.encoder, ReportTokenizer.open(pretrained.folder), pretrained.card, torch.device("cpu"), precision="fp32"
    )
    trained.encoder.image.to(memory_format=torch.contiguous_format)
    longest = int(trained.card.get("max_pieces", 112))
    programs = programs_of(trained.encoder)
    given = inputs_of(trained, data) if int8 else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        work = Path(folder) / out.name
        work.mkdir()
        files: dict[str, dict[str, Any]] = {}
        for program in programs:
            traced = trace(program, trained, longest)
            for name in chosen:
                file, run = _write(program, traced, name, work)
                difference = _difference(program, run, trained, longest, file.name)
                files[file.name] = {"program": program.name, "bytes": _size(file), "largest_difference": difference}
            if int8:
                file, agreement = _quantised(program, work, given)
                files[file.name] = {"program": program.name, "bytes": _size(file), "cosine_with_fp32": agreement}
        for name in ("tokenizer.json", "special.json"):
            shutil.copyfile(pretrained.folder / name, work / name)
        checks = {"tolerance": TOLERANCE, "batches": list(BATCHES), "int8_on": str(data or "random films and texts") if int8 else None}
        write_json(work / "model.json", {**card(trained, pretrained.folder, programs), "files": files, "checks": checks})
        if out.exists():
            out.rmdir()
        work.rename(out)
    return {"task": "export", "model": str(model), "out": str(out), "files": files}


def trace(program: Program, model: PretrainedModel, longest: int) -> torch.export.ExportedProgram:
    """The torch.export program of one module, free in batch, length and number of words."""
    sizes = {"batch": torch.export.Dim("batch"), "length": torch.export.Dim("length", max=longest), "words": torch.export.Dim("words")}
    example = random_inputs(model.encoder, 2, min(9, longest))
    shapes = tuple({axis: sizes[name] for axis, name in axes.items()} for axes in program.dynamic)
    try:
        return torch.export.export(program.module, tuple(example[name] for name in program.inputs), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # of many kinds, by what in the model cannot be traced
        encoder = model.encoder
        raise SistaError(
            f"{program.name} of {encoder.image.name} + {encoder.text.name} cannot be exported by torch.export "
            f"({type(error).__name__}: {str(error).strip().splitlines()[0][:200]})"
        ) from error


def inputs_of(model: PretrainedModel, data: Path | None) -> dict[str, Tensor]:
    """Inputs of all programs by name: the first test films and reports of a corpus, or random ones."""
    encoder, longest = model.encoder, int(model.card.get("max_pieces", 112))
    if data is None:
        return random_inputs(encoder, AGREEMENT_FILMS, longest)
    corpus = Corpus.open(data)
    rows = corpus.rows("test")[:AGREEMENT_FILMS]
    if not len(rows):
        raise SistaError(f"corpus {data} has no test films to measure the agreement on; leave --data out, or give another corpus")
    tokens = model._tokens(corpus.reports(rows))
    weight = tokens["word_mask"] / tokens["word_mask"].sum(1, keepdim=True).clamp(min=1)
    with torch.no_grad():
        _, words = encoder.encode_texts(tokens["pieces"], tokens["piece_mask"], tokens["piece_word"], weight.shape[1])
    return {
        "films": eval_view(corpus.films(rows), model.image_size),
        "pieces": tokens["pieces"],
        "mask": tokens["piece_mask"],
        "piece_word": tokens["piece_word"],
        "word_weight": weight,
        "phrase": torch.einsum("bl,bld->bd", weight, words),
    }


def cosines(ours: Tensor, theirs: Tensor) -> Tensor:
    """The cosine of each vector (last axis; of maps [B,h,w] the whole map) with its counterpart, flat."""
    return torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).flatten()


def _write(program: Program, traced: torch.export.ExportedProgram, kind: str, folder: Path) -> tuple[Path, Runner]:
    if kind == "onnx":
        from sista.inference.export_onnx import OnnxRunner, write_onnx

        file = write_onnx(program, traced, folder / f"{program.name}.onnx")
        return file, OnnxRunner(file, program.inputs)
    file = folder / f"{program.name}.pt2"
    torch.export.save(traced, file)
    module = torch.export.load(file).module()

    def run(given: Tensors) -> Tensors:
        with torch.no_grad():
            found = module(*given)
        return found if isinstance(found, tuple) else (found,)

    return file, run


def _difference(program: Program, run: Runner, model: PretrainedModel, longest: int, name: str) -> float:
    """The largest absolute difference from eager over both batch sizes, a short and the longest text; refused above `TOLERANCE`."""
    largest = 0.0
    for seed, batch in enumerate(BATCHES):
        inputs = random_inputs(model.encoder, batch, longest if seed else min(4, longest), seed + 1)
        given = tuple(inputs[one] for one in program.inputs)
        for ours, theirs in zip(run(given), program.expected(given), strict=True):
            if ours.shape != theirs.shape:
                raise SistaError(f"{name} gives {tuple(ours.shape)} for a batch of {batch}, the model {tuple(theirs.shape)}: not exported")
            found = float((ours - theirs).abs().max())
            if not math.isfinite(found):
                raise SistaError(f"{name}, or the model itself, gives numbers that are not finite: nothing was exported")
            largest = max(largest, found)
    if largest > TOLERANCE:
        raise SistaError(f"{name} differs from the model by {largest:.2g}, more than {TOLERANCE:g}: nothing was exported")
    return largest


def _quantised(program: Program, folder: Path, given: dict[str, Tensor]) -> tuple[Path, dict[str, dict[str, float]]]:
    from sista.inference.export_onnx import OnnxRunner, quantise

    file = quantise(folder / f"{program.name}.onnx", folder / f"{program.name}.int8.onnx")
    inputs = tuple(given[name] for name in program.inputs)
    agreement = {}
    for name, ours, theirs in zip(program.outputs, OnnxRunner(file, program.inputs)(inputs), program.expected(inputs), strict=True):
        flat = name == "map"
        found = cosines(ours.flatten(1) if flat else ours, theirs.flatten(1) if flat else theirs)
        agreement[name] = {"mean": round(float(found.mean()), 6), "least": round(float(found.min()), 6)}
    return file, agreement


def _formats(given: list[str] | str, int8: bool) -> list[str]:
    chosen = [name.strip() for name in (given.split(",") if isinstance(given, str) else given) if name.strip()]
    for name in chosen:
        if name not in FORMATS:
            raise SistaError(f"--formats {name!r}: {nearest(name, FORMATS)}")
    if not chosen:
        raise SistaError(f"--formats is empty; choose from {', '.join(FORMATS)}")
    if int8 and "onnx" not in chosen:
        raise SistaError("--int8 quantises the ONNX programs; give --formats onnx with it")
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if "onnx" in chosen and missing:
        raise SistaError(f"--formats onnx needs {', '.join(missing)}: pip install -e '.[onnx]'")
    return list(dict.fromkeys(chosen))


def _size(file: Path) -> int:
    """Bytes of a program, with the weights that ONNX may put beside it."""
    return sum(one.stat().st_size for one in file.parent.glob(f"{file.name}*"))
