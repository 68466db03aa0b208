"""Other people's checkpoints in an `ImageEncoder`, with an account of every tensor.

Verified layouts (names read in public code, see `foreign_keys.LAYOUTS` for the source of each): timm, torchvision and transformers ViT
and ResNet, MGCA, GLoRIA, ConVIRT (three of them), MedKLIP, MedCLIP's ResNet, BioViL, MoCo. Inferred: FaNe, of which no code was found;
it is said to build on MGCA's. None of the released files was at hand, so tests use state dicts of these layouts made by code. An unknown
prefix is found by trying all; what cannot be matched is named.

Three things differ from their own models: films have one channel, so the first convolution's three are summed; a position map is
resampled to the grid; and pixels come normalised by 0.5 and 0.25, so what they subtracted and divided by is folded into the first
convolution (`sista.models.pixels`). A checkpoint without a first convolution or a position map that fits is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sista.errors import SistaError
from sista.models.foreign_keys import DIALECTS, PIXELS, Layout, layout_of, prefixes, translate
from sista.models.image_encoder import ImageEncoder
from sista.models.pixels import OURS, Pixels, fold_pixels, one_channel, require_plain

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")


@dataclass(frozen=True)
class ForeignReport:
    """What became of a checkpoint's tensors. `used`, `unused` and `mismatched` are its names, `missing` the encoder's.

    adapted: name -> what was done to it. mismatched: name -> both shapes. pixels: the (mean, std) folded in, None when nothing was.
    """

    layout: str
    prefix: str
    dialect: str
    verified: bool
    used: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: dict[str, str] = field(default_factory=dict)
    adapted: dict[str, str] = field(default_factory=dict)
    pixels: Pixels | None = None

    def as_dict(self) -> dict[str, Any]:
        """Counts and the names that matter, JSON-able."""
        return {
            "layout": self.layout,
            "prefix": self.prefix,
            "dialect": self.dialect,
            "verified": self.verified,
            "used": len(self.used),
            "unused": list(self.unused),
            "missing": list(self.missing),
            "mismatched": self.mismatched,
            "adapted": self.adapted,
            "pixels": self.pixels,
        }

    def __str__(self) -> str:
        lacking = f", {len(self.missing)} of the encoder's missing ({_some(self.missing)})" if self.missing else ""
        wrong = f", {len(self.mismatched)} of another shape ({_some(tuple(self.mismatched))})" if self.mismatched else ""
        return (
            f"{self.layout} layout ({self.prefix or 'no prefix'}): {len(self.used)} tensors used, {len(self.unused)} unused{lacking}{wrong}"
        )


class _Inert:
    """Stands in for every class and function that a checkpoint names besides tensors: it takes anything and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _PlainDict:
    """Stands in for subclasses of dict (Lightning's AttributeDict, say), which torch fills item by item: a plain dict."""

    def __new__(cls, *_: Any) -> dict:  # type: ignore[misc]
        return {}


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a torch checkpoint, whatever else is in it; no code of the file runs.

    Classes that a training framework left in it (its configuration, say) are replaced by an inert one. Wrappers named state_dict, model,
    module and the like are opened. Raises SistaError when the file cannot be read so, with the way to convert it.
    """
    if not path.is_file():
        raise SistaError(f"no checkpoint file at {path}")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise SistaError(f"{path} is no whole safetensors file ({error}); get it again") from error
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    try:
        try:
            strangers = get_unsafe_globals_in_checkpoint(path)
        except ValueError:  # the format before torch 1.6
            strangers = []
        with safe_globals([(_PlainDict if name.lower().endswith("dict") else _Inert, name) for name in strangers]):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, AttributeError, TypeError, KeyError, ValueError) as error:
        convert = f"save_file({{k: v.contiguous() for k, v in torch.load('{path.name}', weights_only=False)['state_dict'].items()}}, ...)"
        reason = (str(error).split("WeightsUnpickler error: ")[-1].strip() or type(error).__name__).splitlines()[0]
        raise SistaError(
            f"{path} is damaged or holds more than tensors ({reason}). sista runs no code from a checkpoint: get it again, or, "
            f"if you trust it, convert it with safetensors.torch: {convert}"
        ) from error
    return _tensors(loaded, path)


def load_foreign(
    encoder: ImageEncoder, state: Mapping[str, Tensor], least: float = 0.9, layout: Layout | None = None, source: str = "the checkpoint"
) -> ForeignReport:
    """Put the tensors of a foreign state dict into an encoder, in place; the prefix and dialect that match most are taken.

    least: share of the encoder's tensors that must be found; with fewer, SistaError says which layout came closest and what is missing,
    and the encoder is left as it was; likewise without the first convolution or the position map. layout: only this one.
    """
    wanted = {name: tensor for name, tensor in encoder.model.state_dict().items() if not name.endswith("num_batches_tracked")}
    best: tuple[int, str, str] = (-1, "", next(iter(DIALECTS)))
    for prefix in [layout.prefix] if layout else prefixes(state):  # known ones first: they win where two match equally
        for dialect in DIALECTS:
            count = len(wanted.keys() & translate(state, prefix, dialect)[0].keys())
            if count > best[0]:
                best = (count, prefix, dialect)
    _, prefix, dialect = best
    chosen = layout or layout_of(prefix)
    theirs, origin = translate(state, prefix, dialect)
    fitted: dict[str, Tensor] = {}
    adapted: dict[str, str] = {}
    mismatched: dict[str, str] = {}
    settings = getattr(encoder.model, "pretrained_cfg", None) or {}
    pixels = _pixels(settings, chosen, dialect)
    first = settings.get("first_conv")
    if pixels != OURS:
        require_plain(encoder.model, first, encoder.name)
    if pixels is not None and (not isinstance(first, str) or f"{first}.weight" in theirs):
        fold_pixels(theirs, first, pixels, encoder.name)
    for name in wanted.keys() & theirs.keys():
        tensor, what = _fit(encoder, name, theirs[name].float(), wanted[name])
        if tensor is None:
            mismatched[origin[name][0]] = f"{tuple(theirs[name].shape)}, the encoder's {tuple(wanted[name].shape)}"
        else:
            fitted[name] = tensor
            if what:
                adapted[origin[name][0]] = what
    used = {old for name in fitted for old in origin[name]}
    report = ForeignReport(
        layout=chosen.name,
        prefix=prefix,
        dialect=dialect,
        verified=chosen.verified,
        used=tuple(sorted(used)),
        unused=tuple(sorted(name for name in state if name not in used and not name.endswith("num_batches_tracked"))),
        missing=tuple(sorted(wanted.keys() - fitted.keys())),
        mismatched=mismatched,
        adapted=adapted,
        pixels=pixels,
    )
    vital = {f"{first}.weight", "pos_embed"} & wanted.keys()
    if len(fitted) >= least * len(wanted) and (lacking := sorted(vital - fitted.keys())):
        raise SistaError(
            f"{source} does not fit image encoder {encoder.name!r}: without {', '.join(lacking)} its features mean nothing. The closest "
            f"was the {report}. Choose the architecture that the checkpoint was made for"
        )
    if len(fitted) < least * len(wanted):
        raise SistaError(
            f"{source} does not fit image encoder {encoder.name!r}: {len(fitted)} of its {len(wanted)} tensors found, {least:.0%} needed. "
            f"The closest was the {report}. Choose the architecture that the checkpoint was made for, or another file"
        )
    encoder.model.load_state_dict(fitted, strict=False)
    return report


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The largest flat dict of tensors among a checkpoint and its wrappers."""
    found: list[dict[str, Tensor]] = []
    waiting = [(loaded, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, Mapping) and depth < 4:
            flat = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
            found.append(flat)
            waiting += [(inner, depth + 1) for inner in value.values() if isinstance(inner, Mapping)]
    largest = max(found, key=len, default={})
    if not largest:
        raise SistaError(f"{path} holds no named tensors; a state dict is expected, alone or under 'state_dict' or 'model'")
    return largest


def _fit(encoder: ImageEncoder, name: str, theirs: Tensor, ours: Tensor) -> tuple[Tensor | None, str]:
    """A foreign tensor in the encoder's shape and what was done to it, or None where it cannot be."""
    if theirs.shape == ours.shape:
        return theirs, ""
    if theirs.ndim == 4 and ours.ndim == 4 and ours.shape[1] == 1 and theirs.shape[1] == 3 and theirs.shape[::2] == ours.shape[::2]:
        return one_channel(theirs), "three channels summed to one"
    if name == "pos_embed" and theirs.ndim == ours.ndim == 3 and theirs.shape[-1] == ours.shape[-1]:
        from timm.layers import resample_abs_pos_embed

        extra = ours.shape[1] - encoder.grid[0] * encoder.grid[1]
        side = round((theirs.shape[1] - extra) ** 0.5)
        if side > 0 and side * side + extra == theirs.shape[1]:
            resampled = resample_abs_pos_embed(theirs, list(encoder.grid), [side, side], num_prefix_tokens=extra)
            return resampled, f"positions resampled from {side} x {side} to {encoder.grid[0]} x {encoder.grid[1]}"
    return None, ""


def _pixels(settings: Mapping[str, Any], layout: Layout, dialect: str) -> Pixels | None:
    """What a checkpoint's pixels were normalised by: as its project says, else its dialect, else timm's model; None where nobody says."""
    if layout.pixels is not None or dialect in PIXELS:
        return layout.pixels or PIXELS[dialect]
    mean, std = settings.get("mean"), settings.get("std")
    return None if mean is None or std is None else (tuple(mean), tuple(std))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
