"""`sista benchmark GRID.yaml`: do what is missing, then write the tables and the page."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from sista.benchmark.grid.calls import require_values
from sista.benchmark.grid.earlier import read_earlier
from sista.benchmark.grid.jobs import Job, jobs_of, missing_of
from sista.benchmark.grid.page import write_page
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.settings import Grid
from sista.benchmark.grid.summary import gather
from sista.benchmark.grid.table import write_tables
from sista.benchmark.grid.tune import Trial, chosen, scored, trial_grid, trials_of, write_trials
from sista.corpus.alone import alone
from sista.errors import SistaError

PRELOAD = ("torch", "timm", "transformers", "pandas", "sista.benchmark.grid.jobs", "sista.training.pretrain", "sista.transfer.segment")
UNTRIED = "what it needs failed"


def benchmark(
    grid: Path,
    out: Path,
    earlier: list[Path] | Path | None = None,
    baseline: str = "",
    processes: int = 1,
    threads: int = 0,
    commands: bool = False,
    tables_only: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Pre-train every method with every encoder and seed of a grid, score each run on every task, and compare.

    `out` then holds results.csv (every figure of every run), table.md, table.csv and table.tex (mean and 95 % interval over seeds, paired
    bootstrap against the best, gains over the grid's baseline), and index.html; where the grid tunes, also tuning.csv, every trial and its
    score. A job whose result is there, from the same arguments, data and version, is not done again; an interrupted pre-training goes on
    from its last checkpoint.

    Args:
        grid: a YAML file; docs/benchmark.md says what it holds.
        out: a folder; the corpora, runs and tasks lie there too.
        earlier: a folder, or several, [DIR, DIR] or DIR DIR, with the results.csv, and tuning.csv, of an earlier call, such as a published
            one. What stands there from the same arguments, data and version is not done again, although its runs are not here; their
            subjects take no part in the bootstrap. Of a job that stands in several the figures of the first are taken.
        baseline: the method over which the gains of all others are stated, in the place of the grid's and of what its methods name.
        processes: jobs done at the same time on this machine.
        threads: of each job; 0: the cores shared among the processes.
        commands: do nothing, but write commands.txt, a line for each job that is missing, in stages that need each other (for SLURM, or
            torchrun by hand).
        tables_only: do nothing, but write the tables from what is there.
        progress: a line for each job on standard error.
    """
    if processes < 1:
        raise SistaError(f"--processes is {processes}; at least 1 is needed")
    if threads < 0:
        raise SistaError(f"--threads is {threads}; give a number of threads, or 0 for the cores shared among the processes")
    if commands and tables_only:
        raise SistaError("--commands writes what is missing, --tables_only the tables of what is there: give one of them")
    plan, out = read_grid(Path(grid), baseline), Path(out)
    threads = threads or max(1, (os.cpu_count() or 1) // processes)
    past = read_earlier([earlier] if isinstance(earlier, Path) else earlier or [])
    tuned, lost = list[Trial](), dict[Job, str]()
    out.mkdir(parents=True, exist_ok=True)
    if plan.tune is not None:
        trials = trial_grid(plan)
        tuning = jobs_of(trials, out)
        of_earlier = scored(tuning, past)
        _require_of_use(bool(past.scores), bool(of_earlier), "trial")
        missing = _missing(trials, tuning, of_earlier)
        _missing(plan, jobs_of(plan, out), ())  # what is wrong with the comparison is said before the tuning
        lost = _lost(missing)
        if commands and len(lost) < len(missing):
            return {**_write_commands(plan, tuning, missing, out), "tuning": True}
        if missing and not (commands or tables_only):
            with alone(out, "sista benchmark"):
                lost = _do(missing, processes, threads, progress)
        tuned = trials_of(plan, tuning, lost, past)
        write_trials(tuned, out)
    jobs = jobs_of(plan, out, chosen(tuned))
    _require_of_use(bool(past.figures), any(job.name in past.figures for job in jobs), "figure")
    known = [job for job in jobs if not job.done and job.name in past.figures]
    missing = _missing(plan, jobs, known)
    if commands:
        return _write_commands(plan, jobs, missing, out)
    failed = dict[Job, str]()
    if missing and not tables_only:
        with alone(out, "sista benchmark"):
            failed = _do(missing, processes, threads, progress)
    found = gather(plan, [job for job in jobs if job.key[0]], past, written=_precisions(out))
    result: dict[str, Any] = {
        "task": "benchmark",
        "grid": plan.name,
        "jobs": len(jobs),
        "done": sum(job.done for job in jobs),
        "earlier": len(known),
        "failed": {job.folder.name: reason for job, reason in failed.items()},
        "failed_trials": {job.folder.name: reason for job, reason in lost.items()},
        "table": str(out / "table.md"),
        "page": str(out / "index.html"),
    }
    if idle := past.without_use({job.name for job in jobs} | {trial.jobs for trial in tuned}):
        result["earlier_without_use"] = [str(folder) for folder in idle]  # not refused: one of several may be for another grid
    if len(found.figures):
        write_tables(found, out)
        write_page(found, out, result, tuned)
    elif tables_only:
        raise SistaError(f"{out} holds no result of this grid yet, so that there is nothing to write; run it without --tables_only")
    _raise_failed(failed, missing)
    for task, (lacking, figures) in found.unnamed.items():
        if lacking:
            raise SistaError(f"task {task!r} has no {', '.join(lacking)}, which its `metrics` name; it has {', '.join(figures)}")
        raise SistaError(f"task {task!r} has none of the metrics of its main table; give it `metrics`, of {', '.join(figures)}")
    return result


def _precisions(out: Path) -> Mapping[str, str]:
    """What the results.csv of a call before says of each task's pre-training, whose folder may have been deleted since."""
    try:
        return read_earlier([out]).precisions
    except SistaError:  # there is none, or none to go by
        return {}


def _require_of_use(given: bool, used: bool, what: str) -> None:
    """SistaError where an earlier table is given and nothing of it fits: all would be done again, unnoticed."""
    if given and not used:
        raise SistaError(f"no {what} of --earlier is of this grid: arguments, data or sista's version differ; leave it out to do all anew")


def _missing(grid: Grid, jobs: list[Job], known: Sequence[Job]) -> list[Job]:
    """The jobs that are to be done; SistaError where a command does not take their arguments."""
    missing = missing_of(jobs, known)
    for job in missing:
        if job.key[3] in (-1, grid.seeds[0]):  # the other seeds have the same arguments
            _require_sound(job)
    return missing


def _lost(missing: Sequence[Job]) -> dict[Job, str]:
    """Of jobs that are not done, in their order, those that failed when they were last tried, and those that need one of these; and why."""
    lost: dict[Job, str] = {}
    for job in missing:
        if reason := job.failure or (UNTRIED if {one.folder for one in lost} & set(job.needs) else ""):
            lost[job] = reason
    return lost


def _write_commands(grid: Grid, jobs: list[Job], missing: list[Job], out: Path) -> dict[str, Any]:
    """commands.txt and the arguments that its commands read."""
    for job in missing:
        job.write_config()
    lines = [f"{stage}\t{job.command()}" for stage, job in zip(_stages(missing), missing, strict=True)]
    (out / "commands.txt").write_text("\n".join(lines) + "\n" if lines else "")
    return {"grid": grid.name, "jobs": len(jobs), "missing": len(missing), "commands": str(out / "commands.txt")}


def _raise_failed(failed: dict[Job, str], tried: list[Job]) -> None:
    if failed:
        job, reason = next(iter(failed.items()))
        raise SistaError(f"{len(failed)} of {len(tried)} jobs failed, such as {job.folder.name}: {reason}; the same call tries them again")


def _require_sound(job: Job) -> None:
    """SistaError for a job whose command does not take its arguments: before anything runs, not when its turn comes."""
    try:
        require_values(job.verb, job.prepare())
    except SistaError as error:
        raise SistaError(f"{job.folder.name}: {error}") from error


def _do(jobs: list[Job], processes: int, threads: int, progress: bool) -> dict[Job, str]:
    """Do the jobs, those that others need first; the reasons of those that failed, or that could not be tried."""
    failed: dict[Job, str] = {}
    waiting, running, places = list(jobs), dict[Future[str], tuple[Job, ProcessPoolExecutor]](), {job.folder: job for job in jobs}
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    begin = time.perf_counter()
    try:
        while waiting or running:
            for job in list(waiting):
                before = [places[folder] for folder in job.needs if folder in places]
                if any(one in failed for one in before):
                    failed[job] = UNTRIED
                    waiting.remove(job)
                elif len(running) < processes and all(one.done for one in before):
                    waiting.remove(job)
                    pool = ProcessPoolExecutor(1, mp_context=context)  # its own: a process that is killed takes no other job with it
                    running[pool.submit(_attempt, job, threads)] = (job, pool)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, pool = running.pop(future)
                pool.shutdown()
                reason = _outcome(job, future)
                job.note_failure(reason)
                if reason:
                    failed[job] = reason
                if progress:
                    left = len(waiting) + len(running)
                    state = f"failed: {reason}" if reason else "done"
                    print(f"[{time.perf_counter() - begin:7.0f} s] {job.folder.name} {state}; {left} to go", file=sys.stderr, flush=True)
    finally:
        for process in set(multiprocessing.active_children()) - set(others) if running else ():  # an interrupt waits for no job
            process.terminate()
        for _, pool in running.values():
            pool.shutdown(cancel_futures=True)
    return failed


def _outcome(job: Job, future: Future[str]) -> str:
    """Why a job failed, or ""."""
    try:
        reason = future.result()
    except BrokenProcessPool:
        return "its process was killed (out of memory?)"
    return reason or ("" if job.done else "it ended without a result")


def _attempt(job: Job, threads: int) -> str:
    """Do one job in this process; why it failed, or ""."""
    import torch

    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: _end())
    torch.set_num_threads(threads)
    if job.done:  # by its command, since this call began
        return ""
    job.write_config()
    if job.verb not in ("build", "pretrain"):
        shutil.rmtree(job.folder, ignore_errors=True)  # a task that was cut off starts again; builds and runs go on by themselves
    try:
        job.run()
    except SistaError as error:
        return str(error)
    except Exception as error:
        job.config.with_suffix(".error.txt").write_text(traceback.format_exc())
        return f"{type(error).__name__}: {error}"
    return ""


def _end_with_parent() -> None:
    """End this process when the one that asked for it has ended: a killed grid leaves nobody writing where the next one will."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _end()


def _end() -> None:
    """End this process at once, and the workers of its build, who would wait for ever."""
    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(1)


def _stages(jobs: list[Job]) -> list[int]:
    """The stage of each job: 1 for those that need nothing that is missing, else one more than the last that they need."""
    stage: dict[Path, int] = {}
    for job in jobs:
        stage[job.folder] = 1 + max((stage[folder] for folder in job.needs if folder in stage), default=0)
    return [stage[job.folder] for job in jobs]
