"""Means, intervals, the best, and gains."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sista.benchmark.grid.earlier import Earlier
from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import benchmark
from sista.benchmark.grid.summary import Found, gather, seed_interval
from sista.benchmark.grid.table import tables_of
from sista.errors import SistaError

from .inputs import TINY, in_this_process, write


def test_gains_over_a_baseline_and_a_floor_that_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
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
    benchmark(write(tmp_path, methods=methods, baseline="untrained"), out, baseline="clip", tables_only=True)  # without another grid
    swapped = pd.read_csv(out / "table.csv").set_index(["method", "task", "metric"])
    assert swapped.loc[("untrained", "zero", "auroc"), "over"] == pytest.approx(-mine.over)
    assert "over clip" in (out / "table.md").read_text()


def test_a_method_with_fewer_seeds_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
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
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid, out = write(tmp_path, tasks={"zero": TINY["tasks"]["zero"]}, seeds=[0]), tmp_path / "out"
    benchmark(grid, out, threads=1)
    next(out.glob("tasks/zero-compact-clip-0-*/predictions.parquet")).write_bytes(b"damaged")
    with pytest.raises(SistaError, match=r"predictions\.parquet"):
        benchmark(grid, out, tables_only=True)
    next(out.glob("tasks/zero-compact-clip-0-*/result.json")).write_text("{}")
    with pytest.raises(SistaError, match=r"result\.json holds no metrics; delete it, and the same call makes it again"):
        benchmark(grid, out, tables_only=True)


def test_a_task_without_its_metrics_is_named_and_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    tasks = {"probe": {**TINY["tasks"]["probe"], "metrics": ["auroc"]}}
    with pytest.raises(SistaError, match=r"task 'probe' has no auroc, which its `metrics` name; it has .*auroc@1\.0"):
        benchmark(write(tmp_path, tasks=tasks, seeds=[0]), tmp_path / "out", threads=1)
    assert "auroc@1.0" in (tmp_path / "out" / "results.csv").read_text()


def test_a_grid_on_valid_is_tested_on_valid_and_controls_are_not_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    tasks = {"zero": {"task": "zeroshot", "data": "main", "split": "valid"}, "controls": {"data": "main"}}
    pretrain = {**TINY["pretrain"], "optimizer": {"epochs": 0.5, "batch_size": 8}}
    methods = {"untrained": {"method": "clip", "optimizer": {"epochs": 0}}, "sista": {}}
    corpora = {"main": {**TINY["corpora"]["main"], "fractions": [0.5, 0.2, 0.3]}}
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


def test_a_figure_that_is_none_of_films_has_no_paired_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid = write(tmp_path, tasks={"classify": {"data": "main", "shares": [1.0], "draws": [1], "metrics": ["accuracy@"]}}, seeds=[0])
    benchmark(grid, tmp_path / "out", threads=1)
    assert pd.read_csv(tmp_path / "out" / "table.csv").p.isna().all()
    assert "‡" in (tmp_path / "out" / "table.md").read_text()


def test_runs_without_predictions_have_figures_and_no_paired_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sista.benchmark.grid.run._do", in_this_process)
    grid, out = write(tmp_path, tasks={"zero": TINY["tasks"]["zero"]}, baseline="untrained", seeds=[0]), tmp_path / "out"
    benchmark(grid, out, threads=1)
    for file in out.glob("tasks/zero-compact-clip-0-*/predictions.parquet"):
        file.unlink()
    benchmark(grid, out, tables_only=True)
    table = pd.read_csv(out / "table.csv").set_index("method")
    assert table["mean"].notna().all()
    assert table.loc[~table.best, "p"].isna().all()
    assert "‡" in (out / "table.md").read_text().split("## compact, over untrained")[1].split("| clip |")[1]


def _gathered(folder: Path, values: dict[str, dict[int, float]], metric: str = "auroc", **changes: Any) -> Found:
    """What is found where nothing is here and an earlier table has these figures of methods and seeds."""
    methods = {name: {"method": "clip", "settings": {"temperature": 0.1 + place / 100}} for place, name in enumerate(values)}
    grid = read_grid(write(folder, methods=methods, **{"tasks": {"zero": TINY["tasks"]["zero"]}, "seeds": [0, 1, 2, 3], **changes}))
    tasks = [job for job in jobs_of(grid, folder / "out") if job.key[0]]
    held = {job.name: {metric: (values[job.key[2]][job.key[3]], None, None)} for job in tasks if job.key[3] in values[job.key[2]]}
    return gather(grid, tasks, Earlier(held))


def test_methods_with_other_seeds_are_not_compared_as_if_they_had_the_same(tmp_path: Path) -> None:
    """As many seeds, but not the same: seed 0 is a hard one, and who lacks it must not win by that."""
    found = _gathered(tmp_path, {"a": {0: 0.7, 1: 0.8, 2: 0.8}, "b": {1: 0.8, 2: 0.8, 3: 0.8}, "c": {0: 0.7, 1: 0.75, 2: 0.75, 3: 0.75}})
    table = found.summary.set_index("method")
    assert dict(table.missing) == {"a": 1, "b": 1, "c": 0}
    assert list(table.index[table.best]) == ["c"]
    assert "0.800 ± 0.000‡ (3 of 4 seeds)" in dict(tables_of(found, "compact")[0].rows)["b"][0][0]


def test_a_gain_says_of_how_many_seeds_it_is(tmp_path: Path) -> None:
    values = {"base": {0: 0.7, 1: 0.8}, "other": {0: 0.72, 1: 0.82, 2: 0.9, 3: 0.9}}
    found = _gathered(tmp_path, values, baseline="base")
    row = found.summary.set_index("method").loc["other"]
    assert (row.over, row.over_seeds, row.seeds, row.missing) == (pytest.approx(0.02), 2, 4, 0)
    text, _ = dict(tables_of(found, "compact", over=True)[0].rows)["other"][0]
    assert text.endswith(" (2 of 4 seeds)")
    assert found.summary.set_index("method").over_seeds["base"] == 0


def test_of_ranks_the_lowest_is_the_best(tmp_path: Path) -> None:
    values = {"far": dict.fromkeys(range(4), 305.0), "near": dict.fromkeys(range(4), 22.5)}
    tasks = {"retrieve": {"data": "main", "metrics": ["i2t_rank"]}}
    table = _gathered(tmp_path, values, "i2t_rank", tasks=tasks).summary
    assert list(table.method[table.best]) == ["near"]


def test_a_metric_that_there_is_not_is_named(tmp_path: Path) -> None:
    tasks = {"probe": {"data": "main", "metrics": ["auroc@", "auroc@1"]}}
    found = _gathered(tmp_path, {"a": {0: 0.7}}, "auroc@1.0", tasks=tasks)
    assert found.unnamed == {"probe": (["auroc@1"], ["auroc@1.0"])}
    assert len(found.summary) == 1
    assert _gathered(tmp_path, {"a": {0: 0.7}}, "accuracy", tasks={"probe": {"data": "main"}}).unnamed == {"probe": ([], ["accuracy"])}
