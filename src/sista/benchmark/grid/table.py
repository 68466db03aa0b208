"""All figures of a grid's runs, their means over seeds with intervals, and a paired bootstrap against the best method."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.benchmark.compare import mean_difference
from sista.benchmark.grid.jobs import Job
from sista.benchmark.grid.settings import TASKS, Grid
from sista.corpus.disk import read_json, write_bytes
from sista.errors import SistaError
from sista.metrics.result import read_run

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("encoder", "method", "task", "metric")
_NO_TEST = dict.fromkeys(("difference", "difference_low", "difference_high", "p"), float("nan"))


@dataclass(frozen=True)
class Found:
    """figures: a row for each figure of each run (KEYS, seed, value, low, high: its own interval over subjects).

    summary: a row for KEYS of the main table: mean and the seeds' 95 % t-interval (low, high; NaN for one seed), seeds, best (the highest
    mean of its encoder and metric), and against the best a difference with its paired interval and p.
    """

    grid: Grid
    figures: pd.DataFrame
    summary: pd.DataFrame


def gather(grid: Grid, tasks: Sequence[Job], resamples: int = 1000) -> Found:
    """Read the results of the tasks that are done."""
    import pandas as pd

    rows = []
    for job in tasks:
        task, encoder, method, seed = job.key
        for metric, held in read_json(job.folder / "result.json")["metrics"].items():
            value, (low, high) = (held["value"], held["ci95"]) if isinstance(held, dict) else (held, (None, None))
            if value is not None:
                rows.append((encoder, method, task, metric, seed, value, low, high))
    figures = pd.DataFrame(rows, columns=[*KEYS, "seed", "value", "low", "high"])
    folders = {job.key: job.folder for job in tasks}
    return Found(grid, figures, pd.DataFrame(_summary(grid, figures, folders, resamples)))


def main_metrics(grid: Grid, task: str, known: Sequence[str]) -> list[str]:
    """The metrics of a task's main table, in the order of its result; "auroc@" is that of every share."""
    spec = grid.tasks[task]
    wanted = spec.get("metrics") or TASKS[spec.get("task", task)][1]
    return [name for name in known if any(name == one or (one.endswith("@") and name.rpartition("@")[0] == one[:-1]) for one in wanted)]


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of runs [n] by Student's t; NaN for one run."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _summary(grid: Grid, figures: pd.DataFrame, folders: dict[tuple[str, str, str, int], Path], resamples: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for task in grid.tasks:
        of_task = figures[figures.task == task]
        for metric in main_metrics(grid, task, list(dict.fromkeys(of_task.metric))):
            for encoder in grid.encoders:
                here = of_task[(of_task.metric == metric) & (of_task.encoder == encoder)]
                means = {method: part.value.mean() for method, part in here.groupby("method", sort=False)}
                if not means:
                    continue
                ranked = grid.tasks[task].get("task", task) != "controls"  # more is not better there, and losses have scales of their own
                best = max(means, key=lambda method: means[method]) if ranked else None
                for method in (name for name in grid.methods if name in means):
                    part = here[here.method == method].sort_values("seed")
                    low, high = seed_interval(part.value.to_numpy(float))
                    row = {"encoder": encoder, "method": method, "task": task, "metric": metric, "mean": means[method]}
                    row |= {"low": low, "high": high, "seeds": len(part), "ranked": ranked, "best": method == best}
                    if best is None or method == best:
                        rows.append({**row, **_NO_TEST})
                        continue
                    both = [int(seed) for seed in sorted(set(part.seed) & set(here[here.method == best].seed))]
                    runs = [[folders[(task, encoder, one, seed)] for seed in both] for one in (str(method), str(best))]
                    rows.append({**row, **_against(runs[0], runs[1], metric, grid.tasks[task].get("split", "test"), resamples)})
    return rows


def _against(mine: Sequence[Path], theirs: Sequence[Path], metric: str, split: str, resamples: int) -> dict[str, float]:
    """Mean difference over seeds, paired by seed and by film; NaN where no seed is in both, or the figure is none of films."""
    try:
        pairs = [(read_run(a), read_run(b)) for a, b in zip(mine, theirs, strict=True)]
        found = mean_difference(pairs, metric, split, resamples)
    except SistaError:
        return _NO_TEST
    return dict(zip(_NO_TEST, (found.value, *found.ci95, found.p), strict=True))


def write_tables(found: Found, out: Path) -> None:
    """results.csv, table.csv, table.md and table.tex."""
    write_bytes(out / "results.csv", found.figures.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    write_bytes(out / "table.csv", found.summary.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    write_bytes(out / "table.md", _markdown(found).encode())
    write_bytes(out / "table.tex", _latex(found).encode())


def main_table(found: Found, encoder: str) -> tuple[list[tuple[str, str]], list[tuple[str, list[dict[str, Any] | None]]]]:
    """The main table of one encoder: its (task, metric) columns, and for each method its rows of the summary or None."""
    part = found.summary[found.summary.encoder == encoder]
    columns = list(dict.fromkeys(zip(part.task, part.metric, strict=True)))
    rows = [{str(name): value for name, value in row.items()} for row in part.to_dict("records")]
    held = {(row["method"], row["task"], row["metric"]): row for row in rows}
    return columns, [(method, [held.get((method, *column)) for column in columns]) for method in found.grid.methods]


def cell(row: dict[str, Any] | None) -> str:
    """ "0.812 ± 0.013", the half width of the seeds' interval; "†" where the paired interval against the best holds 0, "‡" without one."""
    if row is None:
        return "-"
    half = "" if np.isnan(row["low"]) else f" ± {(row['high'] - row['low']) / 2:.3f}"
    near = "‡" if np.isnan(row["difference_low"]) else "†" if row["difference_low"] <= 0 <= row["difference_high"] else ""
    near = "" if row["best"] or not row["ranked"] else near
    return f"{row['mean']:.3f}{half}{near}"


NOTE = (
    "Mean over seeds ± half the width of its 95 % t-interval over seeds (training and label draws). Bold: the highest mean of its column. "
    "†: the paired bootstrap over the scored subjects (seeds averaged) finds no difference from the bold one at 95 %; "
    "‡: there is no such test of this figure."
)


def _markdown(found: Found) -> str:
    lines = [f"# {found.grid.name}", "", *([found.grid.about, ""] if found.grid.about else []), NOTE, ""]
    for encoder in found.grid.encoders:
        columns, rows = main_table(found, encoder)
        lines += [f"## {encoder}", "", "| method | " + " | ".join(f"{task} {metric}" for task, metric in columns) + " |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for method, cells in rows:
            texts = [f"**{cell(one)}**" if one and one["best"] else cell(one) for one in cells]
            lines.append(f"| {method} | " + " | ".join(texts) + " |")
        lines.append("")
    return "\n".join(lines)


def _latex(found: Found) -> str:
    text = io.StringIO()
    for encoder in found.grid.encoders:
        columns, rows = main_table(found, encoder)
        text.write(f"% {found.grid.name}: {encoder}\n\\begin{{tabular}}{{l{'c' * len(columns)}}}\n\\toprule\nmethod")
        text.write("".join(f" & {_escaped(task)} {_escaped(metric)}" for task, metric in columns) + " \\\\\n\\midrule\n")
        for method, cells in rows:
            texts = [cell(one).replace("±", "$\\pm$").replace("†", "$^\\dagger$").replace("‡", "$^\\ddagger$") for one in cells]
            texts = [f"\\textbf{{{shown}}}" if one and one["best"] else shown for shown, one in zip(texts, cells, strict=True)]
            text.write(f"{_escaped(method)} & " + " & ".join(texts) + " \\\\\n")
        text.write("\\bottomrule\n\\end{tabular}\n\n")
    return text.getvalue()


def _escaped(text: str) -> str:
    return text.replace("_", "\\_").replace("%", "\\%").replace("&", "\\&")
