"""What model.json says of exported programs: all that somebody needs to call them without sista."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sista import versions
from sista.corpus.films.augmentation import MEAN, STD
from sista.corpus.films.radiograph import WINDOW
from sista.corpus.reports import words
from sista.inference.pretrained import PretrainedModel
from sista.inference.programs import Program
from sista.metrics.result import encoder_hash

FILM = (
    "gray, bright = dense, turned as EXIF says; 8 bit, of files with more the percentiles `window` black and white; "
    "of DICOM the window and frame `display` say, black borders cut off where `crop_borders`; "
    "long side resized to `size` (bilinear, antialiased); padded with 0 to a square, the film in its middle; "
    "divided by 255, less `mean`, divided by `std`; float32 [batch, 1, size, size]"
)
CENTRES = "pixels of `size` from the top and the left edge to the centre of the first patch of a map, and from each to the next"
TEXT = (
    "pieces: cls, the ids of tokenizer.json without special tokens, sep, cut to `max_pieces` at the end of a word, padded with pad, int64. "
    "mask: bool, true on pieces, cls and sep among them. piece_word: int64, which match of `words` in the text a piece overlaps, else -1. "
    "word_weight: float32, how much each word counts in a heat map, a row's sum 1"
)


def card(model: PretrainedModel, folder: Path, programs: list[Program]) -> dict[str, Any]:
    """Encoders and their hash, how films and texts are prepared, inputs and outputs of each program, versions."""
    encoder, tokenizer = model.encoder, model.tokenizer
    height, width = encoder.image.grid
    down, right = encoder.image.centres
    return {
        "format": 1,
        "encoder": {
            "image": encoder.image.name,
            "text": encoder.text.name,
            "method": model.card.get("method"),
            "steps": model.card.get("steps"),
            "sha256": encoder_hash(folder),
        },
        "dim": encoder.dim,
        "temperature": float(model.card.get("temperature", 0.07)),
        "film": {
            "size": model.image_size,
            "grid": [height, width],
            "patch_centres": {"about": CENTRES, "down": down._asdict(), "right": right._asdict()},
            "mean": MEAN,
            "std": STD,
            "preparation": FILM,
            "window": list(WINDOW),
            **model.shown,
        },
        "text": {
            "max_pieces": int(model.card.get("max_pieces", 112)),
            "ids": {"pad": tokenizer.pad_id, "cls": tokenizer.cls_id, "sep": tokenizer.sep_id},
            "words": words._WORD.pattern,
            "preparation": TEXT,
        },
        "programs": {
            program.name: {
                "about": (program.module.__doc__ or "").strip(),
                "inputs": list(program.inputs),
                "outputs": list(program.outputs),
                "free_axes": [{str(axis): size for axis, size in axes.items()} for axes in program.dynamic],
            }
            for program in programs
        },
        "versions": {**versions(), **{name: found for name in ("onnx", "onnxruntime", "onnxscript") if (found := _version(name))}},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
