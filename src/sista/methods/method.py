"""What every method is: a dual encoder, a few objectives, and one forward pass from a batch to a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sista.corpus.batch import Batch
from sista.errors import SistaError, nearest
from sista.models.dual_encoder import DualEncoder
from sista.objectives.diagnostics import moved_target_quality, removed_pair_quality, target_statistics
from sista.objectives.targets import Targets

Cutoff = Callable[[float], float]


@dataclass(frozen=True)
class StepResult:
    """The loss to minimise, its terms before weighting, and what to log of the targets and the attention; all 0-d tensors."""

    loss: Tensor
    terms: dict[str, Tensor]
    statistics: dict[str, Tensor]


class Method(nn.Module):
    """Base of the methods. A subclass has a frozen dataclass `Settings`, and `forward`.

    teachers        those whose similarity of reports it can use; without any named, all
    above_zero      settings that must be more than 0, such as a temperature, which would turn a contrast round or divide by nothing
    not_below_zero  settings that may be 0, such as the weight of a term
    deepest_head    a projection of the image encoder's deepest patches, where a method looks at those too
    """

    Settings: ClassVar[type] = type(None)
    teachers: ClassVar[tuple[str, ...]] = ()
    above_zero: ClassVar[tuple[str, ...]] = ()
    not_below_zero: ClassVar[tuple[str, ...]] = ()

    def __init__(self, encoder: DualEncoder, settings: Any) -> None:
        super().__init__()
        self.encoder, self.settings = encoder, settings
        self.deepest_head: nn.Module | None = None

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch; `images` are its augmented, normalised films. Statistics are computed on request only."""
        raise NotImplementedError


def shown_patches(patches: Tensor, wrong_films: bool) -> Tensor:
    """The patches [B,P,D] that token terms see: the films' own, or (a control) those of the pair before, by chance of another study."""
    return patches.roll(1, dims=0) if wrong_films else patches


def pair_statistics(targets: Targets, batch: Batch, temperature: Tensor) -> dict[str, Tensor]:
    """What became of the off-diagonal pairs, how many of the removed ones have equal true findings, and the temperature.

    moved_share and moved_precision are of the targets that lie on other pairs. Soft targets remove no pair: share_* and removed_* are of no
    use there. Precision and recall say nothing (1) on a corpus whose true findings are unknown.
    """
    shares = {f"share_{name}": value for name, value in target_statistics(targets).items()}
    quality = {f"removed_{name}": value for name, value in removed_pair_quality(targets, batch.truth_key).items()}
    quality |= {f"moved_{name}": value for name, value in moved_target_quality(targets, batch.truth_key).items()}
    return {**shares, **quality, "temperature": temperature.detach()}


def make_settings(kind: type, given: dict[str, Any], method: str) -> Any:
    """The settings dataclass of a method from a mapping; unknown keys and wrong types are refused."""
    known = {field.name: field for field in fields(kind)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise SistaError(f"method {method!r} has no setting {name!r}: {nearest(name, known)}")
        default = known[name].default
        try:
            values[name] = _as(type(default), value)
        except (TypeError, ValueError, OverflowError) as error:
            raise SistaError(
                f"setting {name} of method {method!r} is {value!r}; it must be {type(default).__name__} like {default!r}"
            ) from error
        if isinstance(values[name], float) and not math.isfinite(values[name]):
            raise SistaError(f"setting {name} of method {method!r} is {value!r}; it must be a number")
    return kind(**values)


def check_signs(settings: Any, kind: type[Method], method: str) -> None:
    """`SistaError` for a setting that is below what the class `kind` of the method asks for."""
    for names, what, wrong in (
        (kind.above_zero, "above zero", lambda value: value <= 0),
        (kind.not_below_zero, "0 or more", lambda value: value < 0),
    ):
        for name in names:
            if wrong(value := getattr(settings, name)):
                raise SistaError(f"setting {name} of method {method!r} is {value:g}; it must be {what}")


def _as(kind: type, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ValueError
    if isinstance(value, bool) or value is None:
        raise TypeError
    if kind is int and float(value) != int(float(value)):
        raise ValueError
    return kind(float(value)) if kind is int else kind(value)
