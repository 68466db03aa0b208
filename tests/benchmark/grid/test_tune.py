"""Trials, and the choice among them."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import benchmark
from sista.benchmark.grid.tune import trial_grid
from sista.errors import SistaError

from .inputs import TINY, TRIALS, VALID, in_this_process, write


def test_the_best_trial_is_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    tune = {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0.25}}, "task": VALID}
    grid, out = write(tmp_path, methods=TRIALS, tune=tune, seeds=[0], tasks={"zero": TINY["tasks"]["zero"]}), tmp_path / "out"
    with pytest.raises(SistaError, match=r"trial tune-compact-clip_trial_1-9-\w+ is not done"):
        benchmark(grid, out, tables_only=True)
    first = benchmark(grid, out, commands=True)
    assert (first["jobs"], first["missing"], first["tuning"]) == (9, 9, True)  # a corpus, 4 trials and their scores
    benchmark(grid, out, threads=1)
    trials = pd.read_csv(out / "tuning.csv")
    assert list(trials.method) == ["clip", "clip", "siglip", "siglip"]
    for method, part in trials.groupby("method"):
        assert list(part.chosen) == list(part.score == part.score.max())
        best = TRIALS[method]["trials"][int(part.score.to_numpy().argmax())]
        run = next(one for one in jobs_of(read_grid(grid), out, {("compact", method): best}) if one.key == ("", "compact", method, 0))
        assert run.done
    tried = next(one for one in jobs_of(trial_grid(read_grid(grid)), out) if one.key == ("", "compact", "clip trial 1", 9))
    assert tried.arguments["optimizer"] == {"epochs": 0.25, "batch_size": 32}
    assert "<h2>Tuning</h2>" in (out / "index.html").read_text()
    assert benchmark(grid, out, commands=True)["missing"] == 0


def test_a_failed_trial_is_not_chosen_and_a_method_without_any_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails: set[str] = {"clip trial 1"}

    def done(jobs: list, *rest: Any) -> dict:
        lost = {job: "it broke" for job in jobs if job.key[2] in fails}
        return {**in_this_process([job for job in jobs if job not in lost], *rest), **lost}

    monkeypatch.setattr("sista.benchmark.grid.run._do", done)
    tune = {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0}}, "task": VALID}
    methods = {name: TRIALS[name] for name in ("clip", "untrained")}
    grid = write(tmp_path, methods=methods, tune=tune, seeds=[0], tasks={"zero": TINY["tasks"]["zero"]})
    result = benchmark(grid, tmp_path / "out", threads=1)
    assert set(result["failed_trials"].values()) == {"it broke"}
    assert list(pd.read_csv(tmp_path / "out" / "tuning.csv").chosen) == [False, True]
    assert "failed" in (tmp_path / "out" / "index.html").read_text()
    fails.add("clip trial 2")
    with pytest.raises(SistaError, match=r"all trials of 'clip' with 'compact' failed, such as the first: it broke"):
        benchmark(grid, tmp_path / "new", threads=1)


def test_a_trial_whose_pre_training_failed_holds_up_neither_tables_nor_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune = {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0}}, "task": VALID}
    methods = {name: TRIALS[name] for name in ("clip", "untrained")}
    grid, out = write(tmp_path, methods=methods, tune=tune, seeds=[0], tasks={"zero": TINY["tasks"]["zero"]}), tmp_path / "out"

    def done(jobs: list, *rest: Any) -> dict:
        broken = [job for job in jobs if job.verb == "pretrain" and job.key[2] == "clip trial 1"]
        for job in broken:
            job.config.parent.mkdir(parents=True, exist_ok=True)
            job.note_failure("its loss is no number")
        above = [job for job in jobs if {one.folder for one in broken} & set(job.needs)]
        lost = {**dict.fromkeys(broken, "its loss is no number"), **dict.fromkeys(above, "what it needs failed")}
        return {**in_this_process([job for job in jobs if job not in lost], *rest), **lost}

    monkeypatch.setattr("sista.benchmark.grid.run._do", done)
    benchmark(grid, out, threads=1)
    table = (out / "table.csv").read_bytes()
    again = benchmark(grid, out, tables_only=True)
    assert sorted(again["failed_trials"].values()) == ["its loss is no number", "what it needs failed"]
    assert (out / "table.csv").read_bytes() == table
    assert benchmark(grid, out, commands=True)["missing"] == 0
    shutil.rmtree(next(out.glob("tasks/zero-compact-clip-0-*/")))
    assert "tuning" not in (left := benchmark(grid, out, commands=True))
    assert left["missing"] == 1
