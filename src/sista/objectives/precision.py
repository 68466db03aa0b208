"""Losses are computed in float32 (float64 if given float64), also inside autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

HALF = (torch.float16, torch.bfloat16)


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` outside autocast, its half-precision tensor arguments widened to float32.

    Logits of 1/0.07 = 14 and masks of -1e4 leave bfloat16 with a step of 0.06 and 64: too coarse for a log-sum-exp.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device_type=device, enabled=False):
            wide: Callable[..., R] = function
            return wide(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})

    return wrapped


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The type of products inside autocast; None outside it."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def _widen(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALF else value
