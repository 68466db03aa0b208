"""The parts of a corpus under construction: one Arrow stream and one summary per stretch of the archive, by any number of processes."""

from __future__ import annotations

import hashlib
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

from sista.corpus.disk import read_json, whole_file, write_json
from sista.corpus.rows import SCHEMA, LeftOut, RowSettings, study_rows
from sista.corpus.study import Archive, StudyRefused
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

    def finished(self, part: int) -> bool:
        """The summary is written last, so a part that has one is whole."""
        path = self.path(part)
        return path.exists() and path.with_suffix(".json").exists()


def write_part(job: PartJob, part: int) -> int:
    """Read the studies of one part and write its rows and its summary; returns how many studies that were."""
    rows: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    indices = range(part * job.chunk, min((part + 1) * job.chunk, len(job.archive)))
    for index in indices:
        try:
            new, missing = study_rows(job.archive[index], job.settings)
        except StudyRefused as refused:
            new, missing = [], [LeftOut(f"study number {index}", "", job.archive.name, str(refused))]
        except Exception as error:
            error.add_note(f"while reading study number {index} of archive {job.archive.name}")
            raise
        if missing and job.refuse:
            first = missing[0]
            raise SistaError(
                f"study {first.study_id}: {first.reason}. Mend it, or build with on_error='skip' to leave it out and count it."
            )
        rows += new
        left_out += missing
    path = job.path(part)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with whole_file(path) as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=256)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_json(path.with_suffix(".json"), {"rows": len(rows), "sha256": digest, "left_out": [asdict(entry) for entry in left_out]})
    return len(indices)


def write_parts(job: PartJob, workers: int) -> Iterator[int]:
    """Write all parts that are missing; yields the number of studies after each part, in whatever order they end.

    The files do not depend on `workers`. With one worker everything happens in this process.
    """
    todo = []
    for part in range(job.count()):
        if job.finished(part):
            yield min(job.chunk, len(job.archive) - part * job.chunk)
        else:
            todo.append(part)
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


def left_out_of(job: PartJob) -> list[LeftOut]:
    """What all parts left out, in the order of the archive."""
    return [LeftOut(**entry) for part in range(job.count()) for entry in read_json(job.path(part).with_suffix(".json"))["left_out"]]


def digest_of(job: PartJob) -> str:
    """SHA-256 over the digests of all parts."""
    digests = [read_json(job.path(part).with_suffix(".json"))["sha256"] for part in range(job.count())]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


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
