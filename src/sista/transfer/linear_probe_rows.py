"""The rows of a feature matrix, read block by block: their moments, and the loss and gradient of a linear probe on them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
EXACT = 2**25  # values of a feature matrix that are still held in double precision, 268 MB
BLOCK = 2**23  # values of a block: 32 MB as float32
THREADS = 2  # blocks in flight when there are several; their sums are added in order, so the number changes no result


def taken(x: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """x[rows], without a copy where the rows follow one another."""
    return x[rows[0] : rows[-1] + 1] if len(rows) and (np.diff(rows) == 1).all() else x[rows]


class FeatureRows:
    """Features x [n,d], float32 or float64, as they are: never copied, standardised or turned. Used as a context.

    Blocks are the unit of work: each is one matrix product in the precision of `x`, and sums over blocks are in double precision.
    """

    def __init__(self, x: NDArray[np.floating]) -> None:
        self.x = x
        step = max(1, BLOCK // max(1, x.shape[1]))
        self.blocks = [slice(start, start + step) for start in range(0, len(x), step)]
        self._pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) if len(self.blocks) > 1 else None

    def __enter__(self) -> FeatureRows:
        self._limit = threadpool_limits(1, "blas")  # many small products: on a busy machine a second BLAS thread made this six times slower
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._limit.restore_original_limits()
        if self._pool is not None:
            self._pool.shutdown()

    def moments(self) -> tuple[Floats, Floats, Floats | None]:
        """Mean [d], standard deviation [d], and covariance [d,d] (None where there are fewer rows than features)."""
        n, d = self.x.shape
        mean = sum(self.x[block].sum(axis=0, dtype=np.float64) for block in self.blocks) / n
        if n < d:
            return mean, np.asarray(self.x, dtype=np.float64).std(axis=0), None
        covariance = np.zeros((d, d))
        for block in self.blocks:
            centred = self.x[block] - mean.astype(self.x.dtype)
            with threadpool_limits(None if len(self.blocks) == 1 else THREADS, "blas"):  # one large product: here threads pay
                covariance += centred.T @ centred
        covariance /= n
        return mean, np.sqrt(np.diag(covariance)), covariance

    def loss(self, weight: Floats, bias: Floats, target: Floats, share: Floats) -> tuple[float, Floats, Floats]:
        """sum_ik share_ik log(1 + exp(-+ logit_ik)) of logits = x @ weight + bias, and its gradient: weight [d,k], target, share [n,k].

        Returns the loss, the gradient in the weight [d,k] and that in the bias [k].
        """
        narrow = weight.astype(self.x.dtype)

        def of_block(block: slice) -> tuple[float, Floats, Floats]:
            x, wanted, counts = self.x[block], target[block], share[block]
            logits = (x @ narrow).astype(np.float64) + bias
            value = float((counts * (np.logaddexp(0.0, logits) - wanted * logits)).sum())
            residual = counts * (expit(logits) - wanted)
            scale = 1 / max(float(np.abs(residual).max()), 1e-300)  # shares of 1/n would lose digits in float32
            return value, (x.T @ (residual * scale).astype(x.dtype)).astype(np.float64) / scale, residual.sum(axis=0)

        found = list(self._pool.map(of_block, self.blocks) if self._pool else map(of_block, self.blocks))
        return sum(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)  # type: ignore[return-value]
