"""Build a corpus: read an archive once, keep small films, cleaned reports, tokens and report vectors on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sista.corpus.disk import read_json, write_json
from sista.corpus.films.radiograph import IMAGE_FORMATS, Display
from sista.corpus.finish import FORMAT, finish
from sista.corpus.parts import PartJob, digest_of, left_out_of, write_parts
from sista.corpus.rows import RowSettings
from sista.corpus.splits import split_of
from sista.corpus.study import Archive
from sista.errors import SistaError, nearest

LARGEST = 8192  # pixels of a film's long side, about twice those of the largest detectors
READING = 4  # raised where the same archive and settings come to other rows, so that no build goes on with both


def build_corpus(
    archive: Archive,
    out: Path,
    *,
    size: int = 256,
    image_format: str = "jpeg",
    workers: int | None = None,
    engine: str = "processes",
    tokenizer: str | None = None,
    teachers: Sequence[str] = ("tfidf",),
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    salt: str = "sista",
    views: str = "frontal",
    display: Display = Display(),  # noqa: B008  frozen
    crop_borders: bool = False,
    min_words: int = 3,
    chunk: int = 512,
    progress: bool = True,
    on_error: str = "skip",
) -> dict[str, Any]:
    """Turn an archive into a corpus folder; the same call goes on where an interrupted one stopped, and ends with the same bytes.

    What cannot be used is left out, counted, and named in `left_out.csv`. The bytes depend neither on `workers` nor on `engine`.

    Args:
        archive: the data set as released.
        out: a new folder, or that of the same build interrupted.
        size: long side of the stored films, in pixels, at most 8,192; smaller films are made larger.
        image_format: "jpeg" (quality 95), "png" (lossless) or "pgm" (not compressed: read several times faster, several times the room).
        workers: processes that read films; by default one per core. With ray: the most tasks at a time; by default all its cores.
        engine: "processes" of this machine, or "ray" (extra `ray`): the cluster that `ray.init` finds, else one started here. Every
            machine must be able to read the archive's files by the same paths; only this process writes to `out`.
        tokenizer: a transformers name or folder, a tokenizer.json or a vocab.txt; by default WordPiece, trained on the train split.
        teachers: report similarities to compute at once; others are computed when first asked for.
        fractions: shares of subjects in train, valid and test, for studies whose archive gives no split.
        salt: another salt draws another split of the studies whose archive gives none.
        views: "frontal" leaves lateral films out and keeps those of unknown view; "all" keeps every film.
        display: which window and frame of a DICOM film.
        crop_borders: cut off black borders before resizing; regions go along.
        min_words: shorter reports are left out.
        chunk: studies per part file, the unit in which an interrupted build goes on.
        progress: show a bar on standard error.
        on_error: "skip" leaves unusable studies out; "refuse" stops at the first.

    Returns:
        The content of `corpus.json`: counts, settings, fingerprint.
    """
    out = Path(out)
    _require("image_format", image_format, IMAGE_FORMATS)
    _require("views", views, ("frontal", "all"))
    _require("engine", engine, ("processes", "ray"))
    _require("on_error", on_error, ("skip", "refuse"))
    for name, value in (("size", size), ("chunk", chunk), ("workers", 1 if workers is None else workers)):
        if value < 1:
            raise SistaError(f"{name} is {value}; it must be at least 1")
    if size > LARGEST:
        raise SistaError(f"size is {size:,}; it must be at most {LARGEST:,}")
    if min_words < 0:
        raise SistaError(f"min_words is {min_words}; it must be at least 0")
    split_of("", fractions, salt)
    if not len(archive):
        raise SistaError(
            f"archive {archive.name}: it holds no study ({json.dumps(archive.describe(), default=str)}); check the path it was given"
        )
    settings = {
        "format": FORMAT,
        "archive": archive.name,
        "describe": json.loads(json.dumps(archive.describe(), default=str)),
        "studies": len(archive),
        "label_names": list(archive.label_names),
        "size": size,
        "image_format": image_format,
        "tokenizer": tokenizer,
        "fractions": list(fractions),
        "salt": salt,
        "views": views,
        "display": asdict(display),
        "crop_borders": crop_borders,
        "min_words": min_words,
        "chunk": chunk,
        "has_reports": getattr(archive, "has_reports", True),
        "text_only": getattr(archive, "text_only", False),
    }
    _claim(out, settings)
    row_settings = RowSettings(
        size,
        image_format,
        views,
        min_words,
        (fractions[0], fractions[1], fractions[2]),
        salt,
        tuple(archive.label_names),
        settings["has_reports"],
        settings["text_only"],
        display,
        crop_borders,
    )
    job = PartJob(archive, row_settings, out / "studies", chunk, on_error == "refuse")
    _write_parts(job, workers, engine, progress)
    digest = hashlib.sha256((json.dumps(settings, sort_keys=True) + digest_of(job)).encode()).hexdigest()
    paths = [job.path(part) for part in range(job.count())]
    return finish(out, settings, digest, paths, left_out_of(job), teachers, getattr(archive, "notes", ()))


def _write_parts(job: PartJob, workers: int | None, engine: str, progress: bool) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    job.folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("studies"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"reading {job.archive.name}", total=len(job.archive))
        for done in write_parts(job, workers or (0 if engine == "ray" else _cores()), engine):
            bar.advance(task, done)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make `out`, or find the same build in it."""
    file, settings = out / "build.json", {**settings, "reading": READING}
    if file.exists():
        before = read_json(file)
        if (out / "corpus.json").exists():  # whole as it is
            before["reading"] = READING
        other = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if other:
            shown = "; ".join(f"{key}: {_short(before.get(key))} before, {_short(settings.get(key))} now" for key in other)
            raise SistaError(f"{out} holds a build with other settings ({shown}). Give another --out, or delete that folder.")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SistaError(f"{out} is in use and is no corpus of ours; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, settings)


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else text[:117] + "..."


def _require(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SistaError(f"{name} {value!r}: {nearest(value, known)}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
