"""Grids go on from a table whose runs are gone."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from sista.benchmark.grid import jobs as grid_jobs
from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import benchmark
from sista.cli import main
from sista.errors import SistaError
from sista.models.precision import choose_precision

from .inputs import TINY, TRIALS, VALID, in_this_process, write


def test_a_seed_is_added_to_a_table_whose_runs_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
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


def test_of_a_job_in_several_tables_the_first_is_taken_and_what_is_no_number_is_told(tmp_path: Path) -> None:
    grid = write(tmp_path, methods={"clip": {}}, tasks={"zero": TINY["tasks"]["zero"]}, seeds=[0])
    job = jobs_of(read_grid(grid), tmp_path / "out")[-1].name
    for name, value in (("a", "0.9"), ("b", "0.1"), ("none", ""), ("text", "high")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text(f"metric,value,low,high,job\nauroc,{value},,,{job}\n")

    def mean(*folders: str) -> float:
        benchmark(grid, tmp_path / "out", earlier=[tmp_path / name for name in folders], tables_only=True)
        return float(pd.read_csv(tmp_path / "out" / "table.csv")["mean"].iloc[0])

    assert (mean("a", "b"), mean("b", "a"), mean("none", "b")) == (0.9, 0.1, 0.1)
    with pytest.raises(SistaError, match=r"results\.csv has 'high' for a number, in row 2, column value"):
        mean("text")


def test_of_several_tables_one_that_holds_nothing_of_the_grid_is_told(tmp_path: Path) -> None:
    grid = write(tmp_path, methods={"clip": {}}, tasks={"zero": TINY["tasks"]["zero"]}, seeds=[0])
    job = jobs_of(read_grid(grid), tmp_path / "out")[-1].name
    folders = [tmp_path / name for name in ("ours", "others", "ours_again")]
    for folder, name in zip(folders, (job, "0123456789abcdef", job), strict=True):
        folder.mkdir()
        (folder / "results.csv").write_text(f"metric,value,low,high,job\nauroc,0.5,,,{name}\n")
    result = benchmark(grid, tmp_path / "out", earlier=folders, tables_only=True)
    assert result["earlier_without_use"] == [str(tmp_path / "others")]
    assert "earlier_without_use" not in benchmark(grid, tmp_path / "out", earlier=folders[0], tables_only=True)


def test_a_table_of_another_grid_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("metric,value,low,high,job\nauroc,0.5,,,0123456789abcdef\n")
    with pytest.raises(SistaError, match=r"no figure of --earlier is of this grid"):
        benchmark(write(tmp_path), tmp_path / "out", earlier=tmp_path)
    (tmp_path / "tuning.csv").write_text("score,jobs\n0.5,0123456789abcdef\n")
    tune = {"seeds": [9], "pretrain": {"optimizer": {"epochs": 0}}, "task": VALID}
    with pytest.raises(SistaError, match=r"no trial of --earlier is of this grid"):
        benchmark(write(tmp_path, methods=TRIALS, tune=tune), tmp_path / "out", earlier=tmp_path)
