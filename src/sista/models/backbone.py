"""An image encoder from whatever the user has: a sista run, a timm name, or somebody else's checkpoint file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sista.errors import SistaError, nearest
from sista.models.checkpoint import load_pretrained
from sista.models.foreign import SUFFIXES, load_foreign, read_state
from sista.models.foreign_keys import Layout
from sista.models.image_encoder import ImageEncoder
from sista.models.pixels import OURS

OWN = Layout("sista", "", True, OURS)


@dataclass(frozen=True)
class Backbone:
    """An image encoder in evaluation mode.

    origin: `kind` (sista, timm, foreign), names, the account of its tensors, their hash.
    source: the specification; of a run, checkpoint or Hub name the folder that holds it.
    """

    encoder: ImageEncoder
    origin: dict[str, Any]
    source: str | Path


def load_backbone(
    spec: str | Path, *, image_size: int | None = None, untrained: bool = False, seed: int = 0, patch_stride: int = 16
) -> ImageEncoder:
    """The image encoder of `open_backbone`, without the account of where it came from."""
    return open_backbone(spec, image_size=image_size, untrained=untrained, seed=seed, patch_stride=patch_stride).encoder


def open_backbone(
    spec: str | Path, *, image_size: int | None = None, untrained: bool = False, seed: int = 0, patch_stride: int = 16
) -> Backbone:
    """An image encoder by its specification.

    spec: a sista run, checkpoint folder or Hub name; a timm name (`timm:resnet50`, or bare) with the weights that timm has for it; or
    `FILE@ARCHITECTURE`, somebody else's weights (.safetensors, .pth, .pt, .ckpt, .bin) in a timm architecture.
    image_size: side of the films in pixels; by default that of the run, and 224 otherwise. A transformer's positions are resampled.
    untrained: the same architecture with fresh weights from `seed`, the floor that every figure is to be read against.
    Raises SistaError for a specification that names nothing, or weights that do not fit.
    """
    text = str(spec)
    source: str | Path = text
    file, mark, architecture = text.rpartition("@")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if mark and Path(file).suffix.lower() in SUFFIXES:
            encoder = _make(architecture, image_size or 224, patch_stride, pretrained=False)
            origin: dict[str, Any] = {"kind": "foreign", "file": file, "architecture": architecture}
            if not untrained:
                origin["tensors"] = load_foreign(encoder, read_state(Path(file)), source=file).as_dict()
        elif text.startswith("timm:") or (not Path(text).exists() and _is_timm(text)):
            name = text.removeprefix("timm:")
            encoder = _make(name, image_size or 224, patch_stride, pretrained=not untrained)
            origin = {"kind": "timm", "architecture": name}
        else:
            _refuse_what_is_nothing(text)
            pretrained = load_pretrained(spec, weights=not untrained)
            encoder, source = _resized(pretrained.encoder.image, image_size), pretrained.folder
            origin = {"kind": "sista", "architecture": encoder.name, "method": pretrained.card.get("method"), "run": text}
    origin |= {"untrained": untrained, "image_size": encoder.image_size, "sha256": weights_hash(encoder)}
    return Backbone(encoder.eval(), origin, source)


def weights_hash(encoder: ImageEncoder) -> str:
    """SHA-256 of an encoder's tensors by name, the first 16 hexadecimal digits: equal for equal weights wherever they lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _make(name: str, image_size: int, patch_stride: int, pretrained: bool = False, **described: Any) -> ImageEncoder:
    try:
        return ImageEncoder(name, image_size=image_size, patch_stride=patch_stride, pretrained=pretrained, **described)
    except AssertionError as error:  # timm's own check of the film's size
        raise SistaError(f"{name!r} takes no films of {image_size} px ({error}); choose a multiple of its patch size") from error


def _resized(encoder: ImageEncoder, image_size: int | None) -> ImageEncoder:
    """The same weights for films of another size."""
    if image_size is None or image_size == encoder.image_size:
        return encoder
    other = _make(**{**encoder.describe(), "image_size": image_size})
    load_foreign(other, encoder.model.state_dict(), least=1.0, layout=OWN, source="the run")
    return other


def _is_timm(name: str) -> bool:
    import timm

    from sista.models import compact  # noqa: F401  registers sista_compact

    return bool(timm.is_model(name))


def _refuse_what_is_nothing(text: str) -> None:
    """Raise unless `text` is a folder or looks like a Hub name, naming what is close."""
    if Path(text).exists() or text.count("/") == 1:
        return
    if Path(text).suffix.lower() in SUFFIXES:
        raise SistaError(f"{text}: say which architecture these weights are for, as in {text}@resnet50")
    import timm

    close = nearest(text, timm.list_models()).split("? ")[0]
    hint = f"{close}? " if close.startswith("did you mean") else ""
    raise SistaError(
        f"no encoder {text!r}: neither a folder, a timm name nor FILE@ARCHITECTURE. {hint}A run is what `sista pretrain --out` wrote"
    )
