"""A keyed stream of random numbers: the one source of chance for everything in a phantom study but the film grain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# The last number of a key says what the stream is for, so that no two purposes ever share numbers.
ANATOMY, POSE, FINDINGS, REPORT, TIMELINE, GRAIN, TEXTURE = range(7)


def generator(*key: int) -> np.random.Generator:
    """The NumPy generator of `key`: a pure function of these non-negative integers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


class Draws:
    """Uniform numbers of one key, drawn in blocks and handed out one by one (a call to a Generator costs more than the number)."""

    def __init__(self, *key: int, block: int = 64) -> None:
        self._generator = generator(*key)
        self._block = block
        self._pool: list[float] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._pool:
            self._pool = self._generator.random(self._block).tolist()
        return self._pool.pop()

    def units(self, count: int) -> tuple[float, ...]:
        """`count` numbers in [0, 1)."""
        return tuple(self.unit() for _ in range(count))

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def around(self, mean: float, spread: float) -> float:
        """A bell-shaped number within `mean` +- `spread` (mean of three uniforms; standard deviation spread / 3)."""
        return mean + spread * ((self.unit() + self.unit() + self.unit()) * (2 / 3) - 1)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`, all equally likely."""
        return options[int(self.unit() * len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One of `options`, in proportion to `weights`."""
        left = self.unit() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        order = list(items)
        for i in range(len(order) - 1, 0, -1):
            j = int(self.unit() * (i + 1))
            order[i], order[j] = order[j], order[i]
        return order
