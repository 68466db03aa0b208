"""The nearest of many vectors: exact in chunks, and by faiss above a size, with the same answers within a stated recall.

Up to `EXACT_UP_TO` vectors every query is compared with every vector, which is exact and needs memory for one chunk of similarities. Above,
where faiss is installed (`pip install -e '.[faiss]'`), vectors lie in cells around k-means centres and a query looks into the nearest
ones (IVF-Flat, inner product): scores are exact, some neighbours may be missed. `recall_against_exact` measures how many.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sista.errors import SistaError

EXACT_UP_TO = 200_000  # vectors; the time of all against all grows with the square
CHUNK_CELLS = 16_000_000  # similarities held at a time: 64 MB
SAMPLES_PER_CELL = 64  # training vectors of k-means for each cell

Kind = Literal["auto", "exact", "faiss"]


@dataclass(frozen=True)
class Neighbours:
    """The nearest vectors of q queries, best first: rows [q,k] int64 (-1 where there are fewer), scores [q,k] float32 cosines."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def chosen_kind(kind: Kind, count: int) -> Literal["exact", "faiss"]:
    """What a kind comes to for `count` vectors: auto is exact up to `EXACT_UP_TO`, and faiss above where it is installed."""
    if kind not in ("auto", "exact", "faiss"):
        raise SistaError(f"index kind {kind!r}: choose auto, exact or faiss")
    available = importlib.util.find_spec("faiss") is not None
    if kind == "faiss" and not available:
        raise SistaError("the faiss index needs faiss: pip install -e '.[faiss]', or use the exact index")
    return ("faiss" if available and count > EXACT_UP_TO else "exact") if kind == "auto" else kind


class VectorIndex:
    """N vectors [N,D], normalised to length 1 here, to be searched by cosine.

    kind: exact, faiss, or auto, which is exact up to `EXACT_UP_TO` vectors and faiss above where it is installed.
    cells, probes: of faiss: how many cells (by default 4 sqrt N), and how many a query looks into (by default one in 32, at least 32).
    """

    def __init__(self, vectors: ArrayLike, kind: Kind = "auto", cells: int | None = None, probes: int | None = None, seed: int = 0) -> None:
        self.vectors = unit_rows(vectors)
        self.kind = chosen_kind(kind, len(self.vectors))
        self._faiss = self._trained(cells, probes, seed) if self.kind == "faiss" else None

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"VectorIndex({len(self):,} x {self.vectors.shape[1]}, {self.kind})"

    def search(self, queries: ArrayLike, k: int) -> Neighbours:
        """The k nearest of each query [q,D], best first; equal scores in the order of their rows (which of them, faiss chooses).

        Scores of equal vectors may differ in their last digits, by where these lie.
        """
        wanted = unit_rows(queries)
        if k < 1 or wanted.shape[1] != self.vectors.shape[1]:
            raise SistaError(f"{k} neighbours of queries {wanted.shape} among vectors {self.vectors.shape}: expected k >= 1 and one width")
        if self._faiss is None:
            return exact_neighbours(wanted, self.vectors, k)
        scores, rows = self._faiss.search(wanted, k)
        scores = np.where(rows >= 0, scores, -np.inf).astype(np.float32)
        order = np.lexsort((rows, -scores), axis=1)
        return Neighbours(np.take_along_axis(rows, order, 1).astype(np.int64), np.take_along_axis(scores, order, 1))

    def recall_against_exact(self, queries: ArrayLike, k: int = 10) -> float:
        """The share of the exact k nearest that this index finds."""
        found, true = self.search(queries, k), exact_neighbours(unit_rows(queries), self.vectors, k)
        return float(np.mean([np.isin(b, a).mean() for a, b in zip(found.rows, true.rows, strict=True)]))

    def _trained(self, cells: int | None, probes: int | None, seed: int) -> Any:
        import faiss

        n, width = self.vectors.shape
        cells = min(cells or max(1, round(4 * n**0.5)), n)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = seed + 1, SAMPLES_PER_CELL, 1
        sample = np.random.default_rng(seed).permutation(n)[: cells * SAMPLES_PER_CELL]
        index.train(self.vectors[np.sort(sample)])
        index.add(self.vectors)
        index.nprobe = min(cells, probes or max(32, cells // 32))
        return index


def exact_neighbours(queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> Neighbours:
    """Every query against every vector, in chunks of both: [q,D], [N,D] -> [q,k]."""
    few = min(k, len(vectors))
    rows = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    side = max(1, min(len(queries), 1024))
    step = max(few, CHUNK_CELLS // side)
    for first in range(0, len(queries), side):
        part = slice(first, first + side)
        best_rows, best_scores = rows[part, :0], scores[part, :0]
        for start in range(0, len(vectors), step):
            similarity = queries[part] @ vectors[start : start + step].T
            near = _nearest_columns(similarity, min(few, similarity.shape[1]))
            all_scores = np.concatenate([best_scores, np.take_along_axis(similarity, near, 1)], axis=1)
            all_rows = np.concatenate([best_rows, near + start], axis=1)
            order = np.lexsort((all_rows, -all_scores), axis=1)[:, :few]
            best_rows, best_scores = np.take_along_axis(all_rows, order, 1), np.take_along_axis(all_scores, order, 1)
        rows[part, :few], scores[part, :few] = best_rows, best_scores
    return Neighbours(rows, scores)


def _nearest_columns(similarity: NDArray[np.float32], few: int) -> NDArray[np.int64]:
    """The columns of the few highest of each row [q,few], of equal ones the first."""
    near = np.argpartition(-similarity, few - 1, axis=1)[:, :few]
    least = np.take_along_axis(similarity, near, 1).min(axis=1, keepdims=True)
    tied = (similarity >= least).sum(axis=1) > few
    near[tied] = np.argsort(-similarity[tied], axis=1, kind="stable")[:, :few]
    return near


def hits_at(found: Neighbours, query_keys: ArrayLike, target_keys: ArrayLike, ks: Sequence[int] = (1, 5, 10)) -> dict[int, np.ndarray]:
    """k -> whether each query has a target with its own key among its k nearest [q]; NaN for a key of -1 (unknown) or of no target.

    Keys are `Corpus.report_keys` (exact hits: the own report or an equal text) or `Corpus.truth_keys` (semantic: equal findings).
    """
    asked, held = np.asarray(query_keys), np.asarray(target_keys)
    if max(ks) > found.rows.shape[1]:
        raise ValueError(f"hits at {max(ks)} of {found.rows.shape[1]} neighbours: search for more")
    equal = (held[found.rows] == asked[:, None]) & (found.rows >= 0)
    answerable = (asked != -1) & np.isin(asked, held)
    return {k: np.where(answerable, equal[:, :k].any(axis=1), np.nan) for k in ks}


def unit_rows(vectors: ArrayLike) -> NDArray[np.float32]:
    """Rows [n,D] of length 1, float32, contiguous; raises SistaError for other shapes and for values that are not finite."""
    held = np.ascontiguousarray(vectors, dtype=np.float32)
    if held.ndim != 2 or not np.isfinite(held).all():
        raise SistaError(f"vectors of shape {held.shape}: expected finite [rows, size]")
    length = np.linalg.norm(held, axis=1, keepdims=True)
    return held if np.allclose(length, 1, atol=1e-6) else held / np.maximum(length, np.float32(1e-12))
