"""The predictions of classifiers as columns: ids, label share and draw, truth, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sista.corpus.corpus import Corpus
from sista.metrics.result import IDS

Floats = NDArray[np.float64]
Scored = tuple[float, int, Floats]  # share, draw, scores [rows, labels]


def classification_columns(
    corpus: Corpus, rows: NDArray[np.intp], names: Sequence[str], truth: Floats, scored: Sequence[Scored]
) -> dict[str, Any]:
    """Columns of `predictions.parquet` (`metrics.result`): each row once for every share and draw; truth [rows, labels]."""
    ids = {name: np.tile(corpus.values(name, rows), len(scored)) for name in IDS}
    columns: dict[str, Any] = {
        **ids,
        "share": np.repeat([share for share, _, _ in scored], len(rows)),
        "draw": np.repeat([draw for _, draw, _ in scored], len(rows)),
    }
    for k, name in enumerate(names):
        columns[f"label/{name}"] = np.tile(truth[:, k], len(scored))
        columns[f"score/{name}"] = np.concatenate([scores[:, k] for _, _, scores in scored])
    return columns


def share_name(share: float) -> str:
    """The key of a share in results: "0.01", "0.1", "1.0"."""
    return f"{share:g}" if share < 1 else "1.0"
