"""Grids: checked before they run, done once, resumed, the same tables again, a failed job named and the rest done."""

import re
import shlex
import shutil
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

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.benchmark.grid import jobs as grid_jobs
from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.run import _stages, benchmark
from sista.benchmark.grid.settings import read_grid
from sista.benchmark.grid.summary import seed_interval
from sista.benchmark.grid.table import over_cell
from sista.benchmark.grid.tune import trial_grid
from sista.cli import main
from sista.errors import SistaError
from sista.models.precision import choose_precision

TINY: dict[str, Any] = {
    "name": "tiny",
    "about": "A grid of two methods & two seeds.",
    "corpora": {"main": {"archive": "phantom", "count": 160, "seed": 5, "size": 64, "progress": False}},
    "pretrain": {"data": "main", "optimizer": {"epochs": 0.5, "batch_size": 32}, "run": {"evaluate_every": 0, "device": "cpu"}},
    "encoders": {"compact": {}},
    "methods": {"untrained": {"method": "clip", "optimizer": {"epochs": 0}}, "clip": {}},
    "tasks": {"probe": {"data": "main", "shares": [1.0], "draws": [1]}, "zero": {"task": "zeroshot", "data": "main"}},
    "seeds": [0, 1],
}


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grid.yaml").write_text(yaml.safe_dump({**TINY, **changes}, sort_keys=False))
    return folder / "grid.yaml"


def test_the_jobs_of_a_grid(tmp_path: Path) -> None:
    jobs = jobs_of(read_grid(write(tmp_path)), tmp_path / "out")
    assert [job.verb for job in jobs] == ["build"] + 4 * ["pretrain", "probe", "zeroshot"]
    assert [job.key[3] for job in jobs[1:]] == 6 * [0] + 6 * [1]
    assert _stages(jobs) == [1] + 4 * [2, 3, 3]
    run = next(job for job in jobs if job.key == ("", "compact", "untrained", 1))
    assert run.arguments["optimizer"] == {"epochs": 0, "batch_size": 32}
    assert run.arguments["run"] == {"evaluate_every": 0, "device": "cpu", "seed": 1, "progress": False}
    assert run.arguments["method"] == "clip"
    probe = next(job for job in jobs if job.key == ("probe", "compact", "untrained", 1))
    assert (probe.arguments["model"], probe.arguments["seed"]) == (str(run.folder), 1)
    zero = next(job for job in jobs if job.verb == "zeroshot")
    assert "seed" not in zero.arguments


def test_a_folder_changes_with_what_determines_its_result_and_with_nothing_else(tmp_path: Path) -> None:
    def folders(**changes: Any) -> dict[tuple[str, str, str, int], str]:
        return {(job.verb, *job.key): job.folder.name for job in jobs_of(read_grid(write(tmp_path, **changes)), tmp_path / "out")}  # type: ignore[misc]

    plain = folders()
    assert folders(about="other words", name="other") == plain
    more = folders(seeds=[0, 1, 2])
    assert all(more[key] == name for key, name in plain.items())
    longer = folders(methods={**TINY["methods"], "clip": {"optimizer": {"epochs": 2}}})
    assert {key[3] for key in plain if longer[key] != plain[key]} == {"clip"}
    other = folders(corpora={"main": {**TINY["corpora"]["main"], "seed": 6}})
    assert all(other[key] != name for key, name in plain.items())


def test_a_method_may_have_a_corpus_and_a_precision_of_its_own(tmp_path: Path) -> None:
    corpora = {**TINY["corpora"], "few": {**TINY["corpora"]["main"], "count": 80}}
    methods = {"clip": {}, "clip, few": {"method": "clip", "data": "few", "run": {"precision": "fp32"}}}
    jobs = jobs_of(read_grid(write(tmp_path, corpora=corpora, methods=methods)), tmp_path / "out")
    folders = {job.arguments["count"]: str(job.folder) for job in jobs if job.verb == "build"}
    runs = {job.key[2]: job for job in jobs if job.verb == "pretrain" and job.key[3] == 0}
    assert runs["clip"].arguments["data"] == folders[160]
    assert runs["clip, few"].arguments["data"] == folders[80]
    assert runs["clip, few"].needs == (Path(folders[80]),)
    assert runs["clip, few"].arguments["run"] == {**runs["clip"].arguments["run"], "precision": "fp32"}
    assert {job.arguments["data"] for job in jobs if job.verb == "probe"} == {folders[160]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"prob": {"data": "main"}}}, r"unknown task 'prob': did you mean 'probe'"),
        ({"tasks": {"probe": {"data": "mian"}}}, r"data 'mian', which is none of the corpora main"),
        ({"methods": {"clop": {}}}, r"unknown method 'clop'"),
        ({"methods": {"sista": {"settings": {"sigmaa": 1}}}}, r"no setting 'sigmaa'"),
        ({"methods": {"clip": {"data": "mian"}}}, r"clip has data 'mian', which is none of the corpora main"),
        ({"methods": {"clip": {"data": ["main"]}}}, r"clip has data \['main'\], which is none of the corpora main"),
        ({"methods": {"clip": {"run": "fp32"}}}, r"run of 'clip' must be a mapping from settings, not 'fp32'"),
        ({"methods": {"clip": {"run": None}}}, r"run of 'clip' must be a mapping from settings, not None"),
        ({"methods": {"clip": {"run": {"seed": 7}}}}, r"run of 'clip' has a seed; the grid's own `seeds` are those of its runs"),
        ({"pretrain": {**TINY["pretrain"], "run": {"seed": 7}}}, r"run of 'pretrain' has a seed"),
        ({"encoders": {"compact": {"optimizer": 0.1}}}, r"optimizer of 'compact' must be a mapping"),
        ({"methods": {"sista": {"epochs": 1}}}, r"method 'sista' has an unknown key 'epochs'"),
        ({"corpora": {"main": {}}}, r"needs an archive to build from, or the path"),
        ({"seeds": [1, 1]}, r"a seed stands twice"),
        ({"seeds": 3}, r"seeds must be a list of whole numbers, not 3"),
        ({"tasks": {"probe": None}}, r"'probe' of tasks is empty"),
        ({"methods": ["clip"]}, r"methods must be a mapping"),
        ({"seed": [1]}, r"unknown key 'seed': did you mean 'seeds'"),
        ({"encoders": {}}, r"has no encoders"),
        ({"baseline": "clib"}, r"baseline 'clib' is none of its methods: did you mean 'clip'"),
        ({"methods": {"clip": {"over": "clip"}, "sat": {}}}, r"'clip' is to be over 'clip', which is no other method"),
        ({"methods": {"clip": {"over": "sta"}, "sat": {}}}, r"which is no other method: did you mean 'sat'"),
        ({"methods": {"clip": {"over": "sat"}, "sat": {}}}, r"'clip' is to be over 'sat', but the grid has no baseline"),
        ({"methods": {"clip": {"trials": [{}]}}}, r"'clip' has trials, but the grid has no `tune`"),
        ({"tune": {"seeds": [9], "task": {}}}, r"no method has trials"),
        ({"methods": {"clip": {"trials": [{"epochs": 1}]}}}, r"a trial of 'clip' has an unknown key 'epochs'"),
        ({"methods": {"clip": {"trials": [{"settings": {"sigma": 1}}]}}}, r"no setting 'sigma'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        benchmark(write(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "benchmarks" / "grids").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_grids_of_the_project_are_sound(file: Path) -> None:
    assert read_grid(file).about


def test_a_file_that_is_no_grid(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[1, 2")
    with pytest.raises(SistaError, match="cannot be read"):
        read_grid(tmp_path / "a.yaml")
    with pytest.raises(SistaError, match="cannot be read"):
        read_grid(tmp_path / "none.yaml")


def test_commands_are_written_and_nothing_is_done(tmp_path: Path) -> None:
    result = benchmark(write(tmp_path), tmp_path / "out", commands=True)
    lines = (tmp_path / "out" / "commands.txt").read_text().splitlines()
    assert (result["jobs"], result["missing"], len(lines)) == (13, 13, 13)
    stage, command = lines[0].split("\t")
    assert (stage, command.split(" --config ")[0]) == ("1", "sista build phantom")
    assert yaml.safe_load(Path(command.split(" --config ")[1]).read_text())["count"] == 160
    assert not list((tmp_path / "out").rglob("corpus.json"))


def test_methods_may_be_named_as_a_table_wants_them(tmp_path: Path) -> None:
    """Folders have plain names, and each job arguments of its own, also where names differ behind a dot."""
    methods = {f"top {share} %, {share / 2:g}": {"method": "sista", "settings": {"negative_share": share / 100}} for share in (0.1, 0.2)}
    jobs = jobs_of(read_grid(write(tmp_path, methods=methods)), tmp_path / "out")
    assert len({job.config for job in jobs}) == len(jobs)
    assert all(shlex.quote(str(job.folder)) == str(job.folder) for job in jobs)
    assert all(job.config.name == f"{job.folder.name}.yaml" for job in jobs)


def _in_this_process(jobs: list, processes: int, threads: int, progress: bool) -> dict:
    from sista.benchmark.grid.run import _attempt

    failed = {}
    for job in jobs:
        before = [one for one in jobs if one.folder in job.needs]
        reason = "what it needs failed" if any(one in failed for one in before) else _attempt(job, threads)
        if reason:
            failed[job] = reason
    return failed


def test_a_grid_done_resumed_and_done_again_gives_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
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


def test_a_method_of_ones_own_is_run_again_when_it_is_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "my_own_method.py"
    grid = write(tmp_path, methods={"mine": {"method": "my_own_method:Mine"}, "clip": {}})

    def folders(text: str) -> dict[str, set[str]]:
        source.write_text(text)
        jobs = jobs_of(read_grid(grid), tmp_path / "out")
        return {method: {job.folder.name for job in jobs if job.key[2] == method} for method in ("mine", "clip")}

    text = "from sista.methods.clip import Clip\n\n\nclass Mine(Clip):\n    pass\n"
    before, after = folders(text), folders(text + "\n    weight = 2\n")
    assert not before["mine"] & after["mine"]
    assert before["clip"] == after["clip"]
    assert folders(text) == before


def test_a_seed_is_added_to_a_table_whose_runs_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    stated: dict[str, Any] = {
        "tune": {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0}}, "task": VALID},
        "methods": {"clip": TRIALS["clip"], "untrained": TRIALS["untrained"], "the same again": TRIALS["untrained"]},
        "tasks": {"zero": TINY["tasks"]["zero"]},
    }
    old, out = tmp_path / "old", tmp_path / "out"
    benchmark(write(tmp_path, **stated, seeds=[0]), old, threads=1)
    table = tmp_path / "table"
    table.mkdir()
    for name in ("results.csv", "tuning.csv"):
        shutil.copy(old / name, table)
    did: list[tuple[str, str, str, int]] = []
    run = grid_jobs.Job.run
    monkeypatch.setattr(grid_jobs.Job, "run", lambda job: (did.append(job.key), run(job))[1])
    result = benchmark(write(tmp_path, **stated, seeds=[0, 1]), out, earlier=table, threads=1)
    assert {key[3] for key in did} == {-1, 1}  # the corpus, and the new seed: no trial, and nothing of the old seed
    assert (result["jobs"], result["done"], result["earlier"]) == (13, 7, 3)
    new = pd.read_csv(out / "results.csv")
    pd.testing.assert_frame_equal(new[new.seed == 0].reset_index(drop=True), pd.read_csv(table / "results.csv"))
    assert (out / "tuning.csv").read_bytes() == (table / "tuning.csv").read_bytes()
    assert set(pd.read_csv(out / "table.csv").seeds) == {2}
    assert "Of seeds 0 figures are taken from an earlier call" in (out / "table.md").read_text()
    summary = pd.read_csv(out / "table.csv")
    ones = new[(new.metric == "auroc") & (new.seed == 1)].set_index("method").value
    worse = summary[~summary.best].iloc[0]
    best = summary[summary.best].iloc[0].method
    assert worse.difference == pytest.approx(ones[worse.method] - ones[best], abs=1e-5)  # of the seed whose films are here
    both = benchmark(write(tmp_path, **stated, seeds=[0, 1]), tmp_path / "third", earlier=out, tables_only=True)
    assert (both["done"], both["earlier"]) == (0, 6)
    assert (tmp_path / "third" / "results.csv").read_bytes() == (out / "results.csv").read_bytes()

    alone = pd.read_csv(out / "results.csv")
    alone[alone.seed == 1].to_csv(tmp_path / "results.csv", index=False)
    joined = ["benchmark", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "fourth"), "--tables_only"]
    assert main([*joined, "--earlier", f"[{tmp_path}, {table}]"]) == 0
    assert (tmp_path / "fourth" / "results.csv").read_bytes() == (out / "results.csv").read_bytes()
    assert main([*joined, "--earlier", str(out)]) == 0

    assert set(new.precision) == {f"{choose_precision('auto', torch.device('cpu'))} on cpu"}
    assert list(pd.read_csv(out / "tuning.csv").precision) == [new.precision.iloc[0]] * 2
    assert "differ in precision" not in (out / "table.md").read_text()
    known = pd.read_csv(table / "results.csv")
    for changed, said in (
        (known.assign(precision="bf16 on cuda"), "bf16 on cuda 3"),
        (known.drop(columns="precision"), "not written down 3"),
    ):
        changed.to_csv(table / "results.csv", index=False)
        benchmark(write(tmp_path, **stated, seeds=[0, 1]), out, earlier=table, tables_only=True)
        counted = re.search(r"number of tasks: ([^)]*)\)", (out / "table.md").read_text())
        assert counted
        assert set(counted[1].split(", ")) == {said, f"{new.precision.iloc[0]} 3"}

    longer = {**stated, "pretrain": {**TINY["pretrain"], "optimizer": {"epochs": 0.25, "batch_size": 32}}}
    assert (
        benchmark(write(tmp_path, **longer, seeds=[0]), tmp_path / "other", earlier=table, commands=True)["missing"] == 3
    )  # the corpus, and clip; untrained is as it was


def test_a_table_that_does_not_say_what_made_it_is_refused(tmp_path: Path) -> None:
    grid = write(tmp_path)
    with pytest.raises(SistaError, match=r"earlier figures .*results\.csv cannot be read"):
        benchmark(grid, tmp_path / "out", earlier=tmp_path / "none")
    (tmp_path / "results.csv").write_text("method,value\nclip,0.5\n")
    with pytest.raises(SistaError, match=r"results\.csv has no column job, metric, low, high"):
        benchmark(grid, tmp_path / "out", earlier=tmp_path)


def test_a_table_of_another_grid_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("metric,value,low,high,job\nauroc,0.5,,,0123456789abcdef\n")
    with pytest.raises(SistaError, match=r"no figure of --earlier is of this grid"):
        benchmark(write(tmp_path), tmp_path / "out", earlier=tmp_path)
    (tmp_path / "tuning.csv").write_text("score,jobs\n0.5,0123456789abcdef\n")
    tune = {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0}}, "task": VALID}
    with pytest.raises(SistaError, match=r"no trial of --earlier is of this grid"):
        benchmark(write(tmp_path, methods=TRIALS, tune=tune), tmp_path / "out", earlier=tmp_path)


def test_gains_over_a_baseline_and_a_floor_that_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    methods = {"untrained": {**TINY["methods"]["untrained"], "reference": True}, "clip": {}}
    out = tmp_path / "out"
    benchmark(write(tmp_path, methods=methods, baseline="untrained"), out, threads=1)
    figures, summary = pd.read_csv(out / "results.csv"), pd.read_csv(out / "table.csv")
    assert set(summary[summary.best].method) == {"clip"}
    values = figures[(figures.task == "zero") & (figures.metric == "auroc")].pivot(index="seed", columns="method", values="value")
    gains = values["clip"] - values["untrained"]
    row = summary[(summary.method == "clip") & (summary.task == "zero")].iloc[0]
    half = stats.t.ppf(0.975, 1) * gains.std(ddof=1) / np.sqrt(2)
    assert row.over == pytest.approx(gains.mean(), abs=1e-5)
    assert (row.over_low, row.over_high) == pytest.approx((gains.mean() - half, gains.mean() + half), abs=1e-5)
    assert row.over_films_low < row.over < row.over_films_high
    floor = summary[(summary.method == "untrained") & (summary.task == "zero")].iloc[0]
    assert floor[["over", "over_low"]].isna().all()
    text = (out / "table.md").read_text()
    assert f"| clip | {gains.mean():+.3f} (" in text.split("## compact, over untrained")[1]
    assert "Over untrained" in (out / "index.html").read_text()
    folders = sorted(file.name for file in (out / "runs").iterdir())
    again = {**methods, "untrained": {**methods["untrained"], "over": "clip"}}
    benchmark(write(tmp_path, methods=again, baseline="untrained"), out, tables_only=True)
    assert sorted(file.name for file in (out / "runs").iterdir()) == folders  # what is held against what is no part of a job
    table = pd.read_csv(out / "table.csv").set_index(["method", "task", "metric"])
    other, mine = (table.loc[(method, "zero", "auroc")] for method in ("untrained", "clip"))
    assert (other.over, other.over_films_low) == pytest.approx((-mine.over, -mine.over_films_high))
    assert f"| untrained (over clip) | {-gains.mean():+.3f} (" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("seeds", "films", "text", "bold"),
    [
        ((0.01, 0.02, 0.03), (0.005, 0.04), "+0.020 (+0.010 to +0.030)", True),
        ((0.01, 0.02, 0.03), (-0.01, 0.04), "+0.020 (+0.010 to +0.030)", False),
        ((-0.05, -0.02, 0.01), (-0.03, -0.01), "-0.020 (-0.050 to +0.010)", False),
        ((0.01, 0.02, 0.03), (np.nan, np.nan), "+0.020 (+0.010 to +0.030)", True),
        ((np.nan, 0.02, np.nan), (0.01, 0.04), "+0.020", False),
    ],
)
def test_a_gain_is_claimed_where_seeds_and_films_agree(
    seeds: tuple[float, float, float], films: tuple[float, float], text: str, bold: bool
) -> None:
    row: dict[str, float] = {"seeds": 3, "missing": 0}
    row |= dict(zip(("over_low", "over", "over_high", "over_films_low", "over_films_high"), (*seeds, *films), strict=True))
    assert over_cell(row) == (text, bold)


def test_a_failed_job_is_named_and_the_others_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    grid = write(tmp_path, tasks={**TINY["tasks"], "segment": {"data": "main", "findings": ["no such thing"]}}, seeds=[0])
    with pytest.raises(SistaError, match=r"2 of 9 jobs failed, such as segment-compact-untrained-0-\w+: .*no region of 'no such thing'"):
        benchmark(grid, tmp_path / "out", threads=1)
    assert len(list((tmp_path / "out" / "tasks").glob("*/result.json"))) == 4
    assert "### zero\n\n| method | auroc |" in (tmp_path / "out" / "table.md").read_text()


def test_a_method_with_fewer_seeds_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    grid, out = write(tmp_path, tasks={"zero": TINY["tasks"]["zero"]}), tmp_path / "out"
    benchmark(grid, out, threads=1)
    best = pd.read_csv(out / "table.csv").set_index("method").best.idxmax()
    shutil.rmtree(next(out.glob(f"tasks/zero-compact-{best}-1-*/")))
    benchmark(grid, out, tables_only=True)
    again = pd.read_csv(out / "table.csv").set_index("method")
    assert not again.best[best]
    assert (again.seeds[best], again.missing[best], again.missing.sum()) == (1, 1, 1)
    text = (out / "table.md").read_text()
    assert "(1 of 2 seeds)" in text
    assert "### zero\n" in text
    for other in out.glob("tasks/zero-compact-*-1-*/"):
        shutil.rmtree(other)
    benchmark(grid, out, tables_only=True)
    assert "### zero (1 of 2 seeds)\n" in (out / "table.md").read_text()


def test_damaged_predictions_are_told_and_not_taken_for_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    grid, out = write(tmp_path, tasks={"zero": TINY["tasks"]["zero"]}, seeds=[0]), tmp_path / "out"
    benchmark(grid, out, threads=1)
    next(out.glob("tasks/zero-compact-clip-0-*/predictions.parquet")).write_bytes(b"damaged")
    with pytest.raises(SistaError, match=r"predictions\.parquet"):
        benchmark(grid, out, tables_only=True)


def test_a_task_without_its_metrics_is_named_and_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    tasks = {"probe": {**TINY["tasks"]["probe"], "metrics": ["auroc"]}}
    with pytest.raises(SistaError, match=r"task 'probe' has none of the metrics of its main table; give it `metrics`, of .*auroc@1\.0"):
        benchmark(write(tmp_path, tasks=tasks, seeds=[0]), tmp_path / "out", threads=1)
    assert "auroc@1.0" in (tmp_path / "out" / "results.csv").read_text()


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


VALID = {"task": "zeroshot", "data": "main", "split": "valid", "metric": "auroc"}
TRIALS = {
    "clip": {"trials": [{}, {"optimizer": {"epochs": 0}}]},
    "siglip": {"trials": [{"settings": {"bias": -5.0}}, {"settings": {"bias": 0.0}}]},
    "untrained": TINY["methods"]["untrained"],
}


@pytest.mark.parametrize(
    ("tune", "methods", "message"),
    [
        ({"seeds": [9], "task": VALID, "trials": 2}, TRIALS, r"unknown key 'trials'"),
        ({"seeds": [9], "task": {**VALID, "split": "test"}}, TRIALS, r"must be scored on `split: valid`"),
        ({"seeds": [1, 9], "task": VALID}, TRIALS, r"share seeds \[1\]"),
        ({"seeds": [9], "task": {**VALID, "data": "no"}}, TRIALS, r"`data` \(a corpus\)"),
        ({"seeds": 9, "task": VALID}, TRIALS, r"tune needs a list of seeds"),
        ({"seeds": [9], "task": "zeroshot"}, TRIALS, r"tune must be a mapping"),
        ({"seeds": [9], "task": {**VALID, "metric": "aurok"}}, TRIALS, r"metric 'aurok': did you mean 'auroc'"),
        (
            {"seeds": [9], "task": {**VALID, "task": "controls", "metric": "position_share"}},
            TRIALS,
            r"tune needs a list of seeds, and a task",
        ),
        ({"seeds": [9], "task": VALID, "pretrain": {"data": "main"}}, TRIALS, r"leave `data` out"),
        ({"seeds": [9], "task": VALID}, {"clip": {"trials": [None, {}]}}, r"must be a list of mappings"),
        ({"seeds": [9], "task": VALID}, {**TRIALS, "sat": {"trials": [{}]}}, r"different numbers of trials"),
        (
            {"seeds": [9], "task": VALID},
            {"clip": {"trials": [{}, {"settings": {"temperature": 0.07}}]}},
            r"two trials of 'clip' come to the same",
        ),
    ],
)
def test_tuning_is_even_and_never_on_test(tmp_path: Path, tune: dict[str, Any], methods: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        read_grid(write(tmp_path, tune=tune, methods=methods))


def test_the_best_trial_is_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
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
        return {**_in_this_process([job for job in jobs if job not in lost], *rest), **lost}

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


def test_a_grid_on_valid_is_tested_on_valid_and_controls_are_not_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    tasks = {"zero": {"task": "zeroshot", "data": "main", "split": "valid"}, "controls": {"data": "main"}}
    pretrain = {**TINY["pretrain"], "optimizer": {"epochs": 0.5, "batch_size": 8}}
    methods = {"untrained": {"method": "clip", "optimizer": {"epochs": 0}}, "sista": {}}
    corpora = {"main": {**TINY["corpora"]["main"], "fractions": [0.6, 0.1, 0.3]}}
    benchmark(write(tmp_path, tasks=tasks, pretrain=pretrain, methods=methods, corpora=corpora, seeds=[0]), tmp_path / "out", threads=1)
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    zero, other = table[table.task == "zero"], table[table.task == "controls"]
    assert zero[~zero.best].p.notna().all()
    assert set(other.metric) == {"token/wrong_gap", "token/mean_gap", "position_share"}
    assert not other.best.any()
    assert "‡" not in (tmp_path / "out" / "table.md").read_text().split("## compact")[1]


def test_the_interval_of_seeds() -> None:
    low, high = seed_interval(np.array([0.7, 0.8, 0.9]))
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, loc=0.8, scale=stats.sem([0.7, 0.8, 0.9])))
    assert np.isnan(seed_interval(np.array([0.7]))).all()


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"probe": {"data": "main", "share": [1.0]}}}, r"probe-compact-untrained-0-\w+: arguments of sista probe: .*share"),
        ({"pretrain": {"data": "main", "optimizer": {"epoch": 1}}}, r"arguments of sista pretrain: .*epoch"),
        ({"methods": {"clip": {"run": {"precison": "fp32"}}}}, r"does not accept option 'precison'"),
        ({"methods": {"clip": {"run": {"precision": "fp16"}}}}, r"precision.*fp16"),
        ({"corpora": {"main": {"archive": "phantom", "count": 0}}}, r"corpus 'main': phantom count=0"),
        ({"corpora": {"main": {"archive": "phantom", "cuont": 9}}}, r"corpus 'main': arguments of sista build: .*cuont"),
        ({"corpora": {"main": {"path": "nowhere"}}}, r"nowhere"),
    ],
)
def test_arguments_are_looked_at_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        benchmark(write(tmp_path, **changes), tmp_path / "out")
    assert not list(tmp_path.rglob("corpus.json"))


def test_a_built_corpus_counts_by_what_is_in_it(tmp_path: Path) -> None:
    names = []
    for seed in (1, 2):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        build(Phantom(40, seed=seed, size=64), tmp_path / "corpus", progress=False)
        grid = read_grid(write(tmp_path, corpora={"main": {"path": str(tmp_path / "corpus")}}))
        names.append({job.folder.name for job in jobs_of(grid, tmp_path / "out")})
    assert not names[0] & names[1]


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


def test_a_figure_that_is_none_of_films_has_no_paired_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", _in_this_process)
    grid = write(tmp_path, tasks={"classify": {"data": "main", "shares": [1.0], "draws": [1], "metrics": ["accuracy@"]}}, seeds=[0])
    benchmark(grid, tmp_path / "out", threads=1)
    assert pd.read_csv(tmp_path / "out" / "table.csv").p.isna().all()
    assert "‡" in (tmp_path / "out" / "table.md").read_text()
