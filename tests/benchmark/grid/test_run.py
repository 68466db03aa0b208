"""Grids are done once, resumed, give the same tables again; a failed job is named and the rest done."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import stats

from sista.benchmark.grid import jobs as grid_jobs
from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import _attempt, benchmark
from sista.cli import main
from sista.errors import SistaError

from .inputs import TINY, in_this_process, write


def test_a_grid_done_resumed_and_done_again_gives_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid, out = write(tmp_path), tmp_path / "out"
    done = benchmark(grid, out, threads=1)
    assert done["done"] == done["jobs"] == 13
    figures = pd.read_csv(out / "results.csv")
    summary = pd.read_csv(out / "table.csv")
    assert set(summary.method) == {"untrained", "clip"}
    row = summary[(summary.method == "clip") & (summary.task == "probe")].iloc[0]
    values = figures[(figures.method == "clip") & (figures.task == "probe") & (figures.metric == "auroc@1.0")].value
    assert row["mean"] == pytest.approx(values.mean(), abs=1e-5)
    half = stats.t.ppf(0.975, 1) * values.std(ddof=1) / np.sqrt(2)
    assert row["high"] - row["mean"] == pytest.approx(half, rel=1e-3)
    worse = summary[~summary.best].iloc[0]
    best = summary[summary.best & (summary.task == worse.task)].iloc[0]
    assert worse.difference == pytest.approx(worse["mean"] - best["mean"], abs=1e-5)
    assert "### probe\n\n| method | auroc@1.0 |" in (out / "table.md").read_text()
    assert "\\toprule" in (out / "table.tex").read_text()
    assert "A grid of two methods &amp; two seeds." in (out / "index.html").read_text()

    before = {name: (out / name).read_bytes() for name in ("results.csv", "table.csv", "table.md")}
    gone = next(out.glob("tasks/probe-compact-clip-1-*/result.json"))
    gone.unlink()
    did: list[str] = []
    run = grid_jobs.Job.run
    monkeypatch.setattr(grid_jobs.Job, "run", lambda job: (did.append(job.folder.name), run(job))[1])
    benchmark(grid, out, threads=1)
    assert did == [gone.parent.name]
    assert {name: (out / name).read_bytes() for name in before} == before
    shutil.rmtree(next(out.glob("runs/compact-clip-0-*/")))  # of no use any more, and room is dear
    benchmark(grid, out, threads=1)
    assert len(did) == 1
    assert {name: (out / name).read_bytes() for name in before} == before


def test_commands_are_written_and_nothing_is_done(tmp_path: Path) -> None:
    result = benchmark(write(tmp_path), tmp_path / "out", commands=True)
    lines = (tmp_path / "out" / "commands.txt").read_text().splitlines()
    assert (result["jobs"], result["missing"], len(lines)) == (13, 13, 13)
    stage, command = lines[0].split("\t")
    assert (stage, command.split(" --config ")[0]) == ("1", "sista build phantom")
    assert yaml.safe_load(Path(command.split(" --config ")[1]).read_text())["count"] == 160
    assert not list((tmp_path / "out").rglob("corpus.json"))


def test_the_commands_do_what_the_grid_does(tmp_path: Path) -> None:
    """Each line of commands.txt by the command line itself, in order of its stage; then the tables."""
    grid, out = write(tmp_path, seeds=[0]), tmp_path / "out"
    benchmark(grid, out, commands=True)
    lines = [line.split("\t") for line in (out / "commands.txt").read_text().splitlines()]
    assert {stage for stage, _ in lines} == {"1", "2", "3"}
    for _, command in sorted(lines, key=lambda line: int(line[0])):
        assert main(shlex.split(command)[1:]) == 0
    assert benchmark(grid, out, tables_only=True)["done"] == 7
    assert benchmark(grid, out, commands=True)["missing"] == 0


def test_a_failed_job_is_named_and_the_others_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid = write(tmp_path, tasks={**TINY["tasks"], "segment": {"data": "main", "findings": ["no such thing"]}}, seeds=[0])
    with pytest.raises(SistaError, match=r"2 of 9 jobs failed, such as segment-compact-untrained-0-\w+: .*no region of 'no such thing'"):
        benchmark(grid, tmp_path / "out", threads=1)
    assert len(list((tmp_path / "out" / "tasks").glob("*/result.json"))) == 4
    assert "### zero\n\n| method | auroc |" in (tmp_path / "out" / "table.md").read_text()


def test_jobs_in_processes_of_their_own(tmp_path: Path) -> None:
    """Two at a time; what fails there is told here."""
    grid = write(tmp_path, methods={"untrained": TINY["methods"]["untrained"]}, tasks={"probe": TINY["tasks"]["probe"]})
    result = benchmark(grid, tmp_path / "out", processes=2, threads=1, progress=False)
    assert result["done"] == result["jobs"] == 5


def test_a_killed_grid_leaves_no_process_behind_and_goes_on(tmp_path: Path) -> None:
    grid, out = write(tmp_path, methods={"clip": {"optimizer": {"epochs": 400}}}, seeds=[0]), tmp_path / "out"
    code = f"from sista.cli import main; raise SystemExit(main(['benchmark', {str(grid)!r}, '--out', {str(out)!r}, '--threads', '1']))"
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _wait_for(lambda: list(out.glob("runs/*/run.json")))
    below = _below(parent.pid)
    assert below
    parent.kill()
    parent.wait()
    _wait_for(lambda: not any(_living(pid) for pid in below))
    write(tmp_path, methods={"clip": {}}, seeds=[0])
    assert benchmark(grid, out, threads=1, progress=False)["done"] == 4


@pytest.mark.parametrize("during", ["build", "pretrain"])
def test_an_interrupted_grid_waits_for_no_job_and_leaves_no_process(tmp_path: Path, during: str) -> None:
    """The signal reaches the grid's own process alone, as from `kill`; a build has workers of its own."""
    corpus = {**TINY["corpora"]["main"], **({"count": 20_000, "workers": 2} if during == "build" else {})}
    grid, out = write(tmp_path, corpora={"main": corpus}, methods={"clip": {"optimizer": {"epochs": 4000}}}, seeds=[0]), tmp_path / "out"
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from sista.cli import main; "
        f"raise SystemExit(main(['benchmark', {str(grid)!r}, '--out', {str(out)!r}, '--threads', '1']))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        _wait_for(lambda: parent.poll() is not None or list(out.glob("runs/*/run.json" if during == "pretrain" else "corpora/*/studies/*")))
        with pytest.raises(SistaError, match=r"another `sista benchmark` is at work in .*out"):
            benchmark(grid, out, threads=1, progress=False)
        below = _below(parent.pid)
        assert len(below) > (3 if during == "build" else 1)
        parent.send_signal(signal.SIGINT)
        assert parent.wait(60) != 0
        _wait_for(lambda: not any(_living(pid) for pid in below))
    finally:
        parent.kill()
        parent.wait()
    assert not list(out.glob("runs/*/summary.json"))


def test_where_no_file_can_be_locked_a_grid_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("sista.corpus.alone.FileLock.acquire", refuse)
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid = write(tmp_path, methods={"untrained": TINY["methods"]["untrained"]}, tasks={"zero": TINY["tasks"]["zero"]}, seeds=[0])
    assert benchmark(grid, tmp_path / "out", threads=torch.get_num_threads())["done"] == 3
    assert "lies where no file can be locked ([Errno 37] No locks available)" in capsys.readouterr().err


def test_a_job_that_another_has_done_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    job = jobs_of(read_grid(write(tmp_path, seeds=[0])), tmp_path / "out")[-1]
    assert job.verb == "zeroshot"
    job.folder.mkdir(parents=True)
    (job.folder / "result.json").write_text("{}")
    assert _attempt(job, torch.get_num_threads()) == ""
    assert (job.folder / "result.json").read_text() == "{}"


def test_calls_that_can_give_nothing_are_refused(tmp_path: Path) -> None:
    grid, out = write(tmp_path), tmp_path / "out"
    for more, message in (
        ({"threads": -1}, r"--threads is -1"),
        ({"processes": 0}, r"--processes is 0"),
        ({"commands": True, "tables_only": True}, r"give one of them"),
        ({"tables_only": True}, r"out holds no result of this grid yet"),
    ):
        with pytest.raises(SistaError, match=message):
            benchmark(grid, out, **more)
    assert not (out / "table.md").exists()


def _wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def _below(pid: int) -> list[int]:
    """All processes that this one started, and those started."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [other for child in children for other in _below(child)]


def _living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


KILLER = """
import os
import re
import signal
from sista.methods.clip import Clip

class Killer(Clip):
    def forward(self, *arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_that_is_killed_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "killer_method.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    grid = write(tmp_path, methods={"killer": {"method": "killer_method:Killer"}, "clip": {}}, seeds=[0])
    with pytest.raises(SistaError, match=r"3 of 7 jobs failed, such as compact-killer-0-\w+: its process was killed"):
        benchmark(grid, tmp_path / "out", processes=2, threads=1, progress=False)
    assert len(list((tmp_path / "out" / "tasks").glob("*-clip-*/result.json"))) == 2


SBATCH = """#!/usr/bin/env python3
import os, subprocess, sys
held = dict(zip(sys.argv, sys.argv[1:]))
count = int(next(one for one in sys.argv if one.startswith("--array=")).rpartition("-")[2])
for number in range(1, count + 1):
    subprocess.run(["sh", "-c", held["--wrap"]], check=True, env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number)})
print(7)
"""


def test_the_slurm_lines_of_the_docs_run_every_command_whatever_the_corpora_are_called(tmp_path: Path) -> None:
    """With an sbatch that runs its array at once, and a sista that writes down its arguments."""
    text = (Path(__file__).parents[3] / "docs" / "benchmark.md").read_text()
    lines = re.search(r"\n    sista benchmark grid\.yaml .*--commands\n(    for stage .*?\n    done\n)", text, re.S)
    assert lines
    corpora = {"pairs of 1,000": TINY["corpora"]["main"]}
    tasks = {"zero": {"task": "zeroshot", "data": "pairs of 1,000"}}
    grid = write(tmp_path, corpora=corpora, tasks=tasks, pretrain={**TINY["pretrain"], "data": "pairs of 1,000"}, seeds=[0])
    benchmark(grid, tmp_path / "runs" / "grid", commands=True)
    places = tmp_path / "bin"
    places.mkdir()
    (places / "sbatch").write_text(SBATCH)
    (places / "sista").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/done\nfor last; do :; done\ntest -f "$last"\n')
    for tool in places.iterdir():
        tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{places}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", lines[1]], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "done").read_text().split() == ["build", "pretrain", "pretrain", "zeroshot", "zeroshot"]
