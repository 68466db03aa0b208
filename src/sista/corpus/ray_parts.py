"""The parts of a corpus by Ray: read on any machine of a cluster, written by this process alone.

Plain Ray tasks rather than Ray Data, whose maps start a task again without end: one film that kills its reader would hold a build up for
ever. Here a part is read again `RETRIES` times, and no more parts are under way than there are workers, twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from sista.corpus.parts import PartContent, PartJob, read_part, store_part
from sista.errors import SistaError

RETRIES = 3
_STORE = 256 * 2**20  # bytes of the object store of a Ray that is started here; a part of 512 films of 256 px has some 10 MB


def write_parts_by_ray(job: PartJob, todo: Sequence[int], workers: int = 0) -> Iterator[int]:
    """Write the parts `todo`; yields the number of studies after each, in whatever order they end.

    A part whose worker or machine was lost is read again elsewhere. `workers` parts are read at a time; with 0 as many as the cluster
    has cores. Joins the cluster that runs, or starts one on this machine and ends it.
    """
    if not todo:
        return
    try:
        import ray
    except ImportError as error:
        raise SistaError(f"engine 'ray' needs Ray ({error}): pip install -e '.[ray]', or build with engine='processes'") from None
    started = _connect(ray, workers)
    try:
        workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared = ray.put(job)
        read = ray.remote(num_cpus=1, max_retries=RETRIES)(_read)
        waiting = iter(todo)
        pending: dict[Any, int] = {}
        while True:
            while len(pending) < 2 * workers and (part := next(waiting, None)) is not None:
                pending[read.remote(shared, part)] = part
            if not pending:
                return
            done = ray.wait(list(pending), num_returns=1)[0][0]
            content = ray.get(done)
            yield store_part(job, pending.pop(done), content)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except ray.exceptions.RayError as error:
        raise SistaError(
            f"{job.folder}: Ray lost the reader of a part {RETRIES + 1} times ({type(error).__name__}), most often for want of memory. "
            "Build with fewer workers; the same command goes on where it stopped."
        ) from error
    finally:
        if started:
            ray.shutdown()


def _read(job: PartJob, part: int) -> PartContent:
    """Runs on a worker."""
    return read_part(job, part)


def _connect(ray: Any, workers: int) -> bool:
    """Join the running cluster, or start one on this machine; True when this process was not connected before."""
    if ray.is_initialized():
        return False
    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError:
        ray.init(
            address="local",
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=_STORE,
            log_to_driver=False,
        )
    return True
