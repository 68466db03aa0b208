"""A whole corpus, or a table of films, as vectors in Parquet: in shards, so that a run that was stopped goes on where it was.

    OUT/embed.json            what was embedded by what; another model or corpus is refused, not mixed in
    OUT/part-00000.parquet    study_id, film_id, subject_id, split, error, pooled [C], image [D], text [D]; in the order of the source
    OUT/result.json           written last: counts, films left out by reason

`pooled` is what a linear probe reads, `image` and `text` are unit vectors of the shared space, all float32. A film that cannot be read
keeps its row, with the reason in `error` and no vectors of it; a report that is empty has none.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sista import versions
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json, whole_file, write_json
from sista.corpus.films.augmentation import eval_view
from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import split_sections, training_text
from sista.corpus.study import SPLITS, StudyRefused
from sista.corpus.tables import cell_text, read_table
from sista.errors import SistaError, nearest
from sista.inference.pretrained import PretrainedModel, load
from sista.metrics.result import IDS
from sista.models.precision import Precision

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64
FORMAT = 2  # of the shards; another is not gone on with


@dataclass(frozen=True)
class Source:
    """Films by number: id columns, the films [b,1,s,s] of some rows with the reason of each that cannot be read, and their reports, empty
    where there is none to embed."""

    name: str
    fingerprint: str
    ids: dict[str, list[str]]
    films: Callable[[np.ndarray, PretrainedModel], tuple[Tensor, list[str]]]
    reports: Callable[[np.ndarray], list[str]] | None

    def __len__(self) -> int:
        return len(self.ids["film_id"])


def embed(
    model: Path,
    data: Path,
    out: Path,
    split: str | None = None,
    image_column: str = "image",
    report_column: str | None = None,
    shard: int = 4096,
    device: str = "auto",
    precision: Precision = "auto",
) -> dict[str, Any]:
    """Embed all films of a corpus, or of a table of films, into Parquet shards with ids; run again to go on.

    A run that was stopped goes on with the shards that are not there; one that has finished makes those again that lack films, since what
    could not be read may be there now.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: a corpus, or a .csv, .tsv, .parquet or .jsonl table with one film a row.
        out: a folder for the shards.
        split: only this part of a corpus, or of a table with a column `split`.
        image_column: of a table, the path of each film, relative to the table's folder.
        report_column: of a table, the report to embed beside it, as a corpus would hold it (findings and impression), where there is one;
            by default none.
        shard: films a shard; what a stopped run loses at most.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
    """
    if shard < 1:
        raise SistaError(f"--shard is {shard}; it must be at least 1")
    begin, data, out = time.perf_counter(), Path(data), Path(out)
    if data.is_dir() and (report_column is not None or image_column != "image"):
        raise SistaError("--image-column and --report-column name columns of a table; a corpus has films and reports of its own")
    source = _corpus(data, split) if data.is_dir() else _table(data, image_column, report_column, split)
    if not len(source):
        raise SistaError(f"{data} has no film{f' in split {split!r}' if split else ''} to embed")
    trained = load(model, device, precision)
    description = {
        "format": FORMAT,
        "task": "embed",
        "data": source.fingerprint,
        "source": source.name,
        "split": split,
        "films": len(source),
        "shard": shard,
        "encoder": {"sha256": trained.weights, "method": trained.card.get("method")},
        "image_size": trained.image_size,
        "precision": trained.precision,
        **({} if data.is_dir() else {"image_column": image_column, "report_column": report_column, **trained.shown}),
    }
    _claim(out, description)
    parts = [np.arange(start, min(start + shard, len(source))) for start in range(0, len(source), shard)]
    finished = (out / "result.json").is_file()  # then what could not be read may be there now; a stopped run goes on first
    made, errors, without = 0, dict[str, int](), 0
    for number, rows in enumerate(parts):
        file = out / f"part-{number:05d}.parquet"
        reasons = _reasons(file) if file.exists() else None
        if reasons is None or (finished and reasons):
            _write_part(file, trained, source, rows)
            made, reasons = made + 1, _reasons(file)
        for reason in reasons:
            errors[reason] = errors.get(reason, 0) + 1
        without += _without_text(file) if source.reports is not None else 0
    result = {**description, "model": str(model), "parts": len(parts), "left_out": errors, "versions": versions()}
    if source.reports is not None:
        result["without_report"] = without
    write_json(out / "result.json", result)
    if sum(errors.values()) == len(source):
        most = max(errors, key=lambda reason: errors[reason])
        raise SistaError(f"no film of {data} could be read, such as: {_first_error(out)} ({most}: {errors[most]} of {len(source)})")
    return {**result, "out": str(out), "parts_made_now": made, "seconds": round(time.perf_counter() - begin, 1)}


def read_embeddings(folder: Path, *columns: str) -> dict[str, np.ndarray]:
    """Columns of all shards in order: vectors as float32 [N,D], others as objects [N]; rows with an error, or without one of the vectors
    that are asked for, are left out."""
    import pyarrow.parquet as pq

    parts = sorted(folder.glob("part-*.parquet"))
    if not parts or not (folder / "result.json").is_file():
        raise SistaError(f"{folder} holds no finished embeddings; make them with `sista embed --out {folder}`, or run it again to go on")
    wanted = {name: list[np.ndarray]() for name in columns}
    for part in parts:
        if missing := [name for name in columns if name not in pq.read_schema(part).names]:
            raise SistaError(f"{folder} has no {missing[0]} vectors: what was embedded has no reports")
        table = pq.read_table(part, columns=[*columns, "error"])
        kept = np.array(table.column("error").to_pylist(), dtype=object) == ""
        for name in columns:
            kept &= table.column(name).is_valid().to_numpy()
        for name in columns:
            column = table.column(name).combine_chunks()
            if hasattr(column.type, "list_size"):
                held = column.filter(kept.tolist()).flatten().to_numpy(zero_copy_only=False).reshape(int(kept.sum()), column.type.list_size)
            else:
                held = np.array(column.to_pylist(), dtype=object)[kept]
            wanted[name].append(held)
    joined = {name: np.concatenate(values) for name, values in wanted.items()}
    if not all(len(values) for values in joined.values()):
        what = "report" if "text" in columns else "film that could be read"
        raise SistaError(f"{folder} holds no {what} (its result.json says why); run `sista embed --out {folder}` again")
    return joined


def _write_part(file: Path, model: PretrainedModel, source: Source, rows: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pooled, image, reasons = [], [], list[str]()
    for start in range(0, len(rows), BATCH):
        films, unread = source.films(rows[start : start + BATCH], model)
        found = model.encode_films(iter(films), batch=BATCH)
        pooled.append(found.pooled)
        image.append(found.image)
        reasons += unread
    readable = np.array([not reason for reason in reasons])
    vectors = {"pooled": np.concatenate(pooled), "image": np.concatenate(image)}
    known = dict.fromkeys(vectors, readable)
    if source.reports is not None:
        texts = source.reports(rows)
        known["text"] = np.array([bool(text) for text in texts])
        vectors["text"] = np.zeros((len(texts), model.encoder.dim), np.float32)
        vectors["text"][known["text"]] = model.encode_texts([text for text in texts if text], batch=BATCH)
    columns: dict[str, Any] = {name: pa.array([values[row] for row in rows], pa.string()) for name, values in source.ids.items()}
    columns["error"] = pa.array(reasons, pa.string())
    for name, held in vectors.items():
        flat = pa.array(np.ascontiguousarray(held, dtype=np.float32).ravel())
        mask = None if known[name].all() else pa.array(~known[name])
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, held.shape[1], mask=mask)
    with whole_file(file) as opened:
        pq.write_table(pa.table(columns), opened)


def _reasons(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [reason.split(":")[0] for reason in pq.read_table(file, columns=["error"]).column("error").to_pylist() if reason]


def _without_text(file: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_table(file, columns=["text"]).column("text").null_count


def _first_error(out: Path) -> str:
    import pyarrow.parquet as pq

    return pq.read_table(out / "part-00000.parquet", columns=["error"]).column("error")[0].as_py()


def _claim(out: Path, description: dict[str, Any]) -> None:
    """Make `out` this run's own, or refuse: what lies there must have been begun with the same model, data and settings."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SistaError(f"--out {out} is a file; give a folder for the shards") from error
    file = out / "embed.json"
    if file.exists():
        there = read_json(file)
        if other := [name for name in description if name != "source" and there.get(name) != description[name]]:
            raise SistaError(f"{out} was begun with another {', '.join(other)}; give another --out, or delete it to begin again")
    else:
        if any(out.iterdir()):
            raise SistaError(f"{out} is not empty and has no embed.json that says of what its shards are; give a new --out")
        write_json(file, description)


def _corpus(data: Path, split: str | None) -> Source:
    corpus = Corpus.open(data)
    if split is not None and split not in SPLITS:
        raise SistaError(f"--split is {split!r}; choose one of {', '.join(SPLITS)}, or leave it out for all")
    rows = corpus.rows(split)

    def films(some: np.ndarray, model: PretrainedModel) -> tuple[Tensor, list[str]]:
        return eval_view(corpus.films(rows[some]), model.image_size), [""] * len(some)

    ids = {name: corpus.values(name, rows).tolist() for name in IDS}
    return Source(str(data), corpus.fingerprint, ids, films, (lambda some: corpus.reports(rows[some])) if corpus.has_reports else None)


def _table(data: Path, image_column: str, report_column: str | None, split: str | None) -> Source:
    frame = _read_table(data)
    for option, column in (("--image-column", image_column), ("--report-column", report_column), ("--split", split and "split")):
        if column and column not in frame.columns:
            told = "is for a table with one" if option == "--split" else "names it"
            raise SistaError(f"{data} has no column {column!r} (it has {', '.join(map(str, frame.columns))}); {option} {told}")
    if split is not None:
        known = [cell_text(cell) for cell in frame["split"]]
        if split not in known:
            raise SistaError(f"{data} has no film in split {split!r}: {nearest(split, sorted(set(known)))}")
        kept = [position for position, one in enumerate(known) if one == split]
    else:
        kept = list(range(len(frame)))
    frame = frame.iloc[kept]
    named = [f"row {position + 1}" for position in kept]  # as `sista build table` calls them
    paths = [cell_text(cell) for cell in frame[image_column]]

    def films(some: np.ndarray, model: PretrainedModel) -> tuple[Tensor, list[str]]:
        held, reasons = torch.zeros(len(some), 1, model.image_size, model.image_size), [""] * len(some)
        for place, row in enumerate(some):
            if not paths[row]:
                reasons[place] = f"no film: {named[row]}"
                continue
            try:
                held[place] = model.prepare(data.parent / paths[row])
            except (SistaError, StudyRefused) as error:
                reasons[place] = str(error)
        return held, reasons

    given = {name: [cell_text(cell) for cell in frame[name]] if name in frame.columns else None for name in IDS}
    film = given["film_id"] or [path or row for path, row in zip(paths, named, strict=True)]
    ids = {
        "study_id": given["study_id"] or film,
        "film_id": film,
        "subject_id": given["subject_id"] or given["study_id"] or film,
        "split": given["split"] or [""] * len(paths),
    }
    texts = [clean_text(training_text(split_sections(cell_text(cell)))) for cell in frame[report_column]] if report_column else None
    fingerprint = hashlib.sha256(data.read_bytes()).hexdigest()
    return Source(str(data), fingerprint, ids, films, (lambda some: [texts[row] for row in some]) if texts is not None else None)


def _read_table(data: Path) -> pd.DataFrame:
    if not data.is_file():
        raise SistaError(f"{data}: neither a corpus nor a table of films")
    frame = read_table(data)
    if not len(frame):
        raise SistaError(f"{data} has no rows")
    return frame
