"""Watches for a loss or gradient that is not finite, without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


class FiniteWatch:
    """Notes on the device which step first had a loss or a gradient that is not finite; read when somebody asks.

    From that step on `found` is 1, and a fused optimiser that was given it changes nothing more: no weight is spoilt until `first` is read.
    """

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.int64, device=device)
        self.found = torch.zeros((), device=device)

    def note(self, step: int, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take in the loss and the gradient's norm, 0-d, of a step."""
        of_gradient = torch.where(torch.isfinite(gradient_norm.detach()), -1, 2 * step + 1)
        here = torch.where(torch.isfinite(loss.detach()), of_gradient, 2 * step)
        self._first = torch.where(self._first < 0, here, self._first)
        self.found = (self._first >= 0).float()

    def first(self) -> tuple[int, str] | None:
        """The step, and `loss` or `gradient`; None while all was finite. Waits for the device."""
        number = int(self._first)
        return None if number < 0 else (number // 2, "gradient" if number % 2 else "loss")
