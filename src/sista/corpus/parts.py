"""The parts of a corpus under construction: one Arrow stream and one summary per stretch of the archive, by any number of processes."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sista.corpus.disk import read_json, write_bytes, write_json
from sista.corpus.rows import SCHEMA, LeftOut, RowSettings, study_rows
from sista.corpus.study import Archive, NotAsked, StudyRefused
from sista.errors import SistaError

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class PartJob:
    """What every worker needs: the archive, the row settings, where to write, and studies per part."""

    archive: Archive
    settings: RowSettings
    folder: Path
    chunk: int
    refuse: bool

    def path(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.arrow"

    def count(self) -> int:
        return -(-len(self.archive) // self.chunk)

    def studies(self, part: int) -> range:
        """The study numbers of a part."""
        return range(part * self.chunk, min((part + 1) * self.chunk, len(self.archive)))

    def finished(self, part: int) -> bool:
        """The summary is written last, so a part that has one is whole."""
        path = self.path(part)
        return path.exists() and path.with_suffix(".json").exists()


@dataclass(frozen=True)
class PartContent:
    """One part as it will lie on disk: the Arrow stream, how many rows it has, what was left out."""

    stream: bytes
    rows: int
    left_out: tuple[LeftOut, ...]


def read_part(job: PartJob, part: int) -> PartContent:
    """Read the studies of one part. Its bytes depend on the archive and the settings alone, wherever and whenever it is read."""
    rows: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    for index in job.studies(part):
        try:
            new, missing = study_rows(job.archive[index], job.settings)
        except StudyRefused as refused:
            asked = not isinstance(refused, NotAsked)
            new, missing = [], [LeftOut(f"study number {index}", "", job.archive.name, str(refused), asked)]
        except Exception as error:
            error.add_note(f"while reading study number {index} of archive {job.archive.name}")
            raise
        if job.refuse and (first := next((entry for entry in missing if entry.asked), None)):
            where = first.study_id if first.study_id == f"study number {index}" else f"study {first.study_id}"
            raise SistaError(f"{where}: {first.reason}. Mend it, or build with on_error='skip' to leave it out and count it.")
        rows += new
        left_out += missing
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), max_chunksize=256)
    return PartContent(stream.getvalue(), len(rows), tuple(left_out))


def store_part(job: PartJob, part: int, content: PartContent) -> int:
    """Write a part and then its summary; returns how many studies of the archive it stands for."""
    path = job.path(part)
    write_bytes(path, content.stream)
    digest = hashlib.sha256(content.stream).hexdigest()
    write_json(
        path.with_suffix(".json"), {"rows": content.rows, "sha256": digest, "left_out": [asdict(entry) for entry in content.left_out]}
    )
    return len(job.studies(part))


def write_part(job: PartJob, part: int) -> int:
    """Read and store one part; returns how many studies that were."""
    return store_part(job, part, read_part(job, part))


def write_parts(job: PartJob, workers: int, engine: str = "processes") -> Iterator[int]:
    """Write all parts that are missing; yields the number of studies after each part, in whatever order they end.

    The files depend neither on `workers` nor on `engine`, "processes" or "ray". With one worker process everything happens in this one.
    """
    todo = []
    for part in range(job.count()):
        if job.finished(part):
            yield len(job.studies(part))
        else:
            todo.append(part)
    if engine == "ray":
        from sista.corpus.ray_parts import write_parts_by_ray

        yield from write_parts_by_ray(job, todo, workers)
        return
    workers = min(workers, len(todo))
    if workers <= 1:
        for part in todo:
            yield write_part(job, part)
        return
    with _single_threaded(), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (job,)) as pool:
        futures = [pool.submit(_write_part, part) for part in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise SistaError(
                f"{job.folder}: a worker process ended before its time, most often for want of memory, or because the archive's class "
                "cannot be imported (in a script, guard the call by `if __name__ == '__main__'`). Build with fewer workers, or with 1; "
                "the same command goes on where it stopped."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def left_out_of(job: PartJob) -> Iterator[LeftOut]:
    """What all parts left out, in the order of the archive; one part's summary is read at a time."""
    for part in range(job.count()):
        yield from (LeftOut(**entry) for entry in read_json(job.path(part).with_suffix(".json"))["left_out"])


def digest_of(job: PartJob) -> str:
    """SHA-256 over the digests of all parts."""
    whole = hashlib.sha256()
    for part in range(job.count()):
        whole.update(read_json(job.path(part).with_suffix(".json"))["sha256"].encode())
    return whole.hexdigest()


_job: PartJob | None = None


def _start(job: PartJob) -> None:
    global _job
    _job = job


def _write_part(part: int) -> int:
    assert _job is not None
    return write_part(_job, part)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started in here use one arithmetic thread each; this process keeps what it has."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
