"""What the runs of this room state about themselves, and the id columns of their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sista import versions
from sista.corpus.corpus import Corpus
from sista.inference.pretrained import PretrainedModel
from sista.metrics.result import IDS, plain, splits_of


def run_facts(
    task: str, path: str | Path, model: PretrainedModel, corpus: Corpus, rows: np.ndarray, split: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Task, model, data, split and its checksum, encoder hash, image size, versions and arguments. Nothing here is random: seed is None."""
    return {
        "task": task,
        "model": str(path),
        "data": corpus.fingerprint,
        "protocol": None,
        "split": split,
        "splits": splits_of(corpus.values("film_id", rows), [split] * len(rows)),
        "encoder": {"sha256": model.weights, "method": model.card.get("method")},
        "image_size": model.image_size,
        "seed": None,
        "versions": versions(),
        "arguments": plain(arguments),
    }


def id_columns(corpus: Corpus, rows: np.ndarray) -> dict[str, Any]:
    """study_id, film_id, subject_id and split of each row."""
    return {name: corpus.values(name, rows) for name in IDS}
