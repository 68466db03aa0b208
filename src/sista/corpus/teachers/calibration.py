"""Cut-offs by percentile: a share of random pairs of the corpus, turned into a similarity.

A raw cosine means something else for each teacher; "the most alike 1 % of pairs" means the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
PAIRS = 2_000_000
_SLACK = 1e-5  # float noise of another device must not push a tie at 1.0 below its own cut-off
_BEYOND = 2.0  # a cosine that no pair has


@dataclass(frozen=True)
class Calibration:
    """cut_offs: share -> similarity. realised: share -> the share of pairs `>=` it, larger where many tie. pairs: how many there were."""

    cut_offs: dict[float, float]
    realised: dict[float, float]
    pairs: int


def calibrate(
    vectors: np.ndarray,
    studies: Sequence[str] | np.ndarray,
    shares: Sequence[float] = SHARES,
    pairs: int = PAIRS,
    seed: int = 0,
    rows: np.ndarray | None = None,
) -> Calibration:
    """Cut-offs for L2-normalised `vectors` [N, R], over pairs of rows whose `studies` differ. rows: those that count, else all.

    All pairs when there are no more than `pairs` of them, else a sample with replacement and a fixed seed. A cut-off lies 1e-5 below the
    similarity of the pair that completes its share, and is to be used with `>=`; that of share 0 is beyond all similarities.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    left, right = (rows[side] for side in sample_pairs(np.asarray(studies)[rows], pairs, seed))
    if not len(left):
        return Calibration(dict.fromkeys(shares, 1.0), dict.fromkeys(shares, 0.0), 0)
    similarity = np.sort(pair_similarity(vectors, left, right))
    count = len(similarity)
    cut_offs = {
        share: float(similarity[count - min(count, max(1, round(share * count)))]) - _SLACK if share else _BEYOND for share in shares
    }
    realised = {share: 1 - float(np.searchsorted(similarity, cut, side="left")) / count for share, cut in cut_offs.items()}
    return Calibration(cut_offs, realised, count)


def sample_pairs(studies: Sequence[str] | np.ndarray, pairs: int = PAIRS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of two different studies each: every unordered pair if there are at most `pairs`, else that many drawn at random."""
    _, group = np.unique(np.asarray(studies), return_inverse=True)
    count = len(group)
    if count * (count - 1) // 2 <= pairs:
        left, right = np.triu_indices(count, 1)
    else:
        rng = np.random.default_rng(seed)
        left, right = rng.integers(count, size=pairs), rng.integers(count, size=pairs)
    kept = group[left] != group[right]
    return left[kept], right[kept]


def pair_similarity(vectors: np.ndarray, left: np.ndarray, right: np.ndarray, block: int = 65536) -> np.ndarray:
    """Cosines of the pairs, float32, in blocks of bounded memory."""
    result = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), block):
        some = slice(start, start + block)
        result[some] = np.einsum("nr,nr->n", vectors[left[some]], vectors[right[some]])
    return result
