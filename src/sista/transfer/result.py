"""What the runs of this room state about themselves, and their predictions as columns (`metrics.result`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sista import versions
from sista.corpus.corpus import Corpus
from sista.metrics.detection import Boxes
from sista.metrics.result import IDS, encoder_hash, splits_of
from sista.models.backbone import Backbone

Floats = NDArray[np.float64]
Scored = tuple[float, int, Floats]  # share, draw, scores [rows, labels]


def transfer_facts(task: str, model: str, backbone: Backbone, corpus: Corpus, rows: np.ndarray, splits: np.ndarray) -> dict[str, Any]:
    """Task, model, encoder and its hashes, data, the checksum of each split's films, image size and versions."""
    origin = backbone.origin
    return {
        "task": task,
        "model": model,
        "encoder": {**origin, "weights_sha256": origin["sha256"], "sha256": None if origin["untrained"] else encoder_hash(backbone.source)},
        "data": corpus.fingerprint,
        "protocol": None,
        "splits": splits_of(corpus.values("film_id", rows), splits),
        "image_size": backbone.encoder.image_size,
        "versions": versions(),
    }


def libraries(*names: str) -> dict[str, str]:
    """The installed versions of libraries by name."""
    from importlib.metadata import version

    return {name: version(name) for name in names}


def classification_columns(
    corpus: Corpus, rows: NDArray[np.intp], names: Sequence[str], truth: Floats, scored: Sequence[Scored]
) -> dict[str, Any]:
    """Each row once for every share and draw; truth [rows, labels]."""
    columns = _id_columns(corpus, rows, [(share, draw) for share, draw, _ in scored])
    for k, name in enumerate(names):
        columns[f"label/{name}"] = np.tile(truth[:, k], len(scored))
        columns[f"score/{name}"] = np.concatenate([scores[:, k] for _, _, scores in scored])
    return columns


def segmentation_columns(
    corpus: Corpus, rows: NDArray[np.intp], names: Sequence[str], counted: Sequence[Scored], dice: Sequence[Floats]
) -> dict[str, Any]:
    """Each row once for every share and draw: its Dice of each finding [rows, findings] (NaN without one), and the pixels [..., 3]."""
    columns = _id_columns(corpus, rows, [(share, draw) for share, draw, _ in counted])
    for k, name in enumerate(names):
        columns[f"value/dice/{name}"] = np.concatenate([one[:, k] for one in dice])
        for kind, of in enumerate(("predicted", "true", "both")):
            columns[f"pixels/{of}/{name}"] = np.concatenate([counts[:, k, kind] for _, _, counts in counted]).astype(np.int64)
    return columns


def detection_columns(
    corpus: Corpus,
    rows: NDArray[np.intp],
    names: Sequence[str],
    found: Sequence[tuple[float, int, Sequence[Boxes]]],
    truth: Sequence[Boxes],
) -> dict[str, Any]:
    """Each row once for every share and draw, with its found and true boxes (left, top, width, height in pixels of the corpus' square)."""
    columns = _id_columns(corpus, rows, [(share, draw) for share, draw, _ in found])
    everything = [one for _, _, boxes in found for one in boxes]
    for kind, some in (("found", everything), ("true", [*truth] * len(found))):
        columns[f"{kind}/boxes"] = [one.boxes.tolist() for one in some]
        columns[f"{kind}/findings"] = [[names[label] for label in one.labels] for one in some]
    columns["found/scores"] = [one.scores.tolist() for one in everything if one.scores is not None]
    return columns


def share_name(share: float) -> str:
    """The key of a share in results: "0.01", "0.1", "1.0"."""
    return "1.0" if (name := f"{share:g}") == "1" else name


def _id_columns(corpus: Corpus, rows: NDArray[np.intp], parts: Sequence[tuple[float, int]]) -> dict[str, Any]:
    return {
        **{name: np.tile(corpus.values(name, rows), len(parts)) for name in IDS},
        "share": np.repeat([share for share, _ in parts], len(rows)),
        "draw": np.repeat([draw for _, draw in parts], len(rows)),
    }
