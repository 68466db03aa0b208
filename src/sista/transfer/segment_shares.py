"""What segmenters and detectors share around their training: label shares, the valid films, and what is written down."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sista import versions
from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_json
from sista.errors import SistaError
from sista.protocols.label_shares import LabelShare, share_rows
from sista.transfer.segment_targets import Annotated


def share_plan(shares: list[float] | None, draws: list[int] | None) -> tuple[list[float], list[int]]:
    """Shares and the number of draws of each, with their defaults."""
    shares = shares or [0.01, 0.1, 1.0]
    draws = draws or [1] * len(shares)
    if len(draws) != len(shares) or min(draws) < 1:
        raise SistaError(f"--draws {draws} for --shares {shares}; give one number of draws a share, 1 or more")
    return shares, draws


def training_share(films: Annotated, share: float, draw: int, seed: int) -> LabelShare:
    """The share's rows among the training films; raises SistaError where it has no film with any finding."""
    train = films.of("train")
    part = share_rows(films.subjects[train], films.present[train].astype(float), share, draw, seed)
    if len(part.without_positive) == len(films.findings):
        raise SistaError(f"a share of {share:g} has no film with {', '.join(films.findings)}; choose a larger one")
    return part


def validation_positions(films: Annotated, most: int, seed: int) -> np.ndarray:
    """At most about `most` films of the valid split, findings in proportion."""
    valid = films.of("valid")
    if len(valid) <= most:
        return valid
    return valid[share_rows(films.subjects[valid], films.present[valid].astype(float), most / len(valid), 0, seed).rows]


def describe_share(films: Annotated, part: LabelShare, used: np.ndarray) -> dict[str, Any]:
    """How many subjects and films a share has, how many with each finding, and which findings it lacks."""
    return {
        "subjects": part.subjects,
        "films": len(used),
        "positive": dict(zip(films.findings, films.present[used].sum(axis=0).tolist(), strict=True)),
        "without_positive": [films.findings[column] for column in part.without_positive],
    }


def film_names(corpus: Corpus, rows: np.ndarray) -> list[dict[str, str]]:
    """study_id, film_id and subject_id of each row."""
    columns = {name: corpus.values(name, rows).tolist() for name in ("study_id", "film_id", "subject_id")}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def split_checksums(corpus: Corpus, films: Annotated) -> dict[str, str]:
    """The first 16 digits of the SHA-256 of each split's film ids, sorted, one a line."""
    ids = corpus.values("film_id", films.rows)
    return {
        split: hashlib.sha256("\n".join(sorted(ids[films.of(split)].tolist())).encode()).hexdigest()[:16]
        for split in ("train", "valid", "test")
    }


def versions_with(*libraries: str) -> dict[str, str]:
    """`sista.versions()` and those of further libraries."""
    from importlib.metadata import version

    return {**versions(), **{name: version(name) for name in libraries}}


def share_name(share: float) -> str:
    """The key of a share in results: "0.01", "0.1", "1.0"."""
    return f"{share:g}" if share < 1 else "1.0"


def write_results(out: Path, result: dict[str, Any], predictions: list[dict[str, Any]]) -> None:
    """Write `predictions.parquet`, then `result.json`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(predictions), out / "predictions.parquet")
    write_json(out / "result.json", result)
