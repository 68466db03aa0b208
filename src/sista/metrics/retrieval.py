"""Retrieval between films and reports: recall at k and median rank, by own pair and by equal truth, in both directions.

The rank of a query is that of its best relevant target. Targets that score alike (cosines within `TIE`) stand in random order, so recall at
k is a probability, and an encoder that gives everything the same embedding gets chance and not 100 %: with `better` targets above the best
relevant one, `tied` at its score and `relevant_tied` relevant among those,

    P(hit at k) = 1 - C(tied - relevant_tied, s) / C(tied, s),   s = k - better, cut to 0..tied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

TIE = 1e-6  # float32 products of equal vectors differ in their last digits by where in the matrix they stand
CHUNK_CELLS = 10_000_000  # similarities held at a time: 40 MB as float32, a few hundred with the masks


@dataclass(frozen=True)
class Ranks:
    """Where q queries found their best relevant target among `targets`; all arrays [q], counts, NaN for a query without a relevant one."""

    better: NDArray[np.float64]
    tied: NDArray[np.float64]
    relevant_tied: NDArray[np.float64]
    relevant: NDArray[np.float64]
    targets: int

    def hits(self, k: int) -> NDArray[np.float64]:
        """Each query's chance of a relevant target among the first k, [q]: 0 or 1 but for ties; NaN where nothing is relevant."""
        return _found(np.clip(k - self.better, 0, self.tied), self.tied, self.relevant_tied)

    def chance(self, k: int) -> float:
        """Recall at k of a random order of the targets."""
        everything = np.full_like(self.relevant, self.targets)
        return _known_mean(_found(np.minimum(float(k), everything), everything, self.relevant))

    def recall(self, k: int) -> float:
        """Mean of `hits(k)` over the queries that have a relevant target; NaN where none has."""
        return _known_mean(self.hits(k))

    def ranks(self) -> NDArray[np.float64]:
        """Expected rank of the best relevant target, [q], 1 is first."""
        return self.better + (self.tied + 1) / (self.relevant_tied + 1)

    def as_dict(self, ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
        """`{"R@1": .., "R@5": .., "R@10": .., "median_rank": .., "queries": ..}`, queries being those with a relevant target."""
        known = ~np.isnan(self.better)
        median = float(np.median(self.ranks()[known])) if known.any() else float("nan")
        return {**{f"R@{k}": self.recall(k) for k in ks}, "median_rank": median, "queries": int(known.sum())}


def recall_at(similarity: ArrayLike, relevant: ArrayLike, k: int) -> float:
    """Share of queries with a relevant target among their k most similar: similarity [n,m], relevant bool [n,m] or the index [n] of one."""
    return rank_targets(similarity, relevant).recall(k)


def rank_targets(similarity: ArrayLike, relevant: ArrayLike) -> Ranks:
    """Rank the targets of each query: similarity [n,m]; relevant bool [n,m], or int [n], the one relevant target of each query.

    Raises ValueError for shapes that do not fit and for NaN similarities.
    """
    scores, wanted = np.asarray(similarity), np.asarray(relevant)
    if scores.ndim != 2 or np.isnan(scores).any():
        raise ValueError(f"similarity of shape {scores.shape}, {int(np.isnan(scores).sum())} NaN: expected [queries, targets] without NaN")
    if wanted.shape == scores.shape[:1] and wanted.dtype.kind in "iu":
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= scores.shape[1]):
            raise ValueError(f"relevant index {wanted.min()} to {wanted.max()}: expected 0 to {scores.shape[1] - 1}")
        wanted = wanted[:, None] == np.arange(scores.shape[1])
    if wanted.shape != scores.shape or wanted.dtype != bool:
        raise ValueError(f"relevant {wanted.dtype} {wanted.shape}: expected bool {scores.shape} or int ({len(scores)},)")
    return _ranks(_rank(scores, wanted), scores.shape[1])


def retrieval_metrics(
    image: ArrayLike,
    text: ArrayLike,
    keys: ArrayLike | None = None,
    truth_keys: ArrayLike | None = None,
    queries: ArrayLike | None = None,
) -> dict[str, Ranks]:
    """Cosine retrieval between n films and their n reports: image [n,d], text [n,d], row i of both being one pair.

    keys        [n] equal for equal report texts; an equal text counts as the own pair. None: only the own row does
    truth_keys  [n] equal for equal true findings, -1 where the truth is unknown (such a row asks nothing and is nobody's hit)
    queries     [n] bool, the rows that ask (the abnormal ones, say); all rows remain targets

    Returns "i2t/exact", "t2i/exact" and, given `truth_keys`, "i2t/semantic", "t2i/semantic". Similarities are held in chunks, so memory
    grows with n, not n squared. Raises ValueError for shapes that do not fit and for embeddings that are not finite.
    """
    sides = {"i": _normalised(image), "t": _normalised(text)}
    n = len(sides["i"])
    named: dict[str, NDArray[np.generic]] = {"exact": np.arange(n) if keys is None else np.asarray(keys)}
    if truth_keys is not None:
        named["semantic"] = np.asarray(truth_keys)
    asking = np.ones(n, dtype=bool) if queries is None else np.asarray(queries)
    if sides["i"].shape != sides["t"].shape or any(key.shape != (n,) for key in named.values()) or asking.shape != (n,):
        shapes = {"image": sides["i"].shape, "text": sides["t"].shape, **{name: key.shape for name, key in named.items()}}
        raise ValueError(f"{shapes}, queries {asking.shape}: expected one row per pair in each")
    rows = np.flatnonzero(asking)
    known = np.asarray(truth_keys) != -1 if truth_keys is not None else np.ones(n, dtype=bool)
    found: dict[str, Ranks] = {}
    for direction in ("i2t", "t2i"):
        parts: dict[str, list[NDArray[np.float64]]] = {name: [np.empty((4, 0))] for name in named}
        for some in np.array_split(rows, max(1, -(-len(rows) * n // CHUNK_CELLS))):
            similarity = sides[direction[0]][some] @ sides[direction[2]].T
            for name, key in named.items():
                wanted = key[some, None] == key
                parts[name].append(_rank(similarity, wanted & known if name == "semantic" else wanted, TIE))
        found |= {f"{direction}/{name}": _ranks(np.concatenate(part, axis=1), n) for name, part in parts.items()}
    return found


def summarise(found: Mapping[str, Ranks], ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
    """The results of `retrieval_metrics` as one flat table: `{"i2t/exact/R@1": .., "i2t/exact/median_rank": .., ..}`."""
    return {f"{name}/{metric}": value for name, ranks in found.items() for metric, value in ranks.as_dict(ks).items()}


def _rank(similarity: NDArray[np.generic], wanted: NDArray[np.bool_], tie: float = 0.0) -> NDArray[np.float64]:
    """better, tied (no further than `tie` from the best), relevant_tied and relevant of each query: [q,m], [q,m] -> [4,q]."""
    relevant = wanted.sum(axis=1)
    best = np.where(wanted, similarity, -np.inf).max(axis=1, initial=-np.inf)[:, None]
    better = similarity > best + tie
    level = (similarity >= best - tie) & ~better
    counts = np.stack([better.sum(axis=1), level.sum(axis=1), (level & wanted).sum(axis=1), relevant]).astype(np.float64)
    counts[:, relevant == 0] = np.nan
    return counts


def _ranks(counts: NDArray[np.float64], targets: int) -> Ranks:
    better, tied, relevant_tied, relevant = counts
    return Ranks(better, tied, relevant_tied, relevant, targets)


def _found(slots: NDArray[np.float64], among: NDArray[np.float64], relevant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance that one of `relevant` items or more lies in `slots` random places out of `among`; see the formula above."""
    others = among - relevant
    fits = slots <= others
    places = np.where(fits, slots, 0.0)
    missed = np.exp(gammaln(others + 1) - gammaln(others - places + 1) + gammaln(among - places + 1) - gammaln(among + 1))
    return np.where(np.isnan(others), np.nan, np.where(fits, 1 - missed, 1.0))


def _normalised(rows: ArrayLike) -> NDArray[np.float32]:
    held = np.asarray(rows, dtype=np.float32)
    if held.ndim != 2 or not np.isfinite(held).all():
        raise ValueError(f"embeddings {held.shape}, {int((~np.isfinite(held)).sum())} values not finite: expected finite [rows, size]")
    return held / np.maximum(np.linalg.norm(held, axis=1, keepdims=True), np.float32(1e-12))


def _known_mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
