"""The page of a grid: its tables, a plot for each task, and where every figure came from."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista import versions
from sista.benchmark.grid.table import NOTE, Found, cell, main_table
from sista.benchmark.grid.tune import Trial
from sista.benchmark.report import STYLE, figure_tag
from sista.corpus.disk import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_page(found: Found, out: Path, result: dict[str, Any], tuned: Sequence[Trial] = ()) -> None:
    """Write index.html, self-contained."""
    grid = found.grid
    parts = [
        f"<h1>{html.escape(grid.name)}</h1><p class=note>{html.escape(grid.about)}</p>",
        f"<p class=note>{result['done']} of {result['jobs']} jobs are done; seeds {', '.join(map(str, grid.seeds))}. {NOTE}</p>",
    ]
    for encoder in grid.encoders:
        columns, rows = main_table(found, encoder)
        if not columns:
            continue
        head = "".join(f"<th>{html.escape(task)}<br><small>{html.escape(metric)}</small></th>" for task, metric in columns)
        body = "".join(f"<tr><td>{html.escape(method)}</td>{''.join(_cell(one) for one in cells)}</tr>" for method, cells in rows)
        parts.append(f"<h2>{html.escape(encoder)}</h2><table><tr><th>method</th>{head}</tr>{body}</table>")
    for task in grid.tasks:
        if (found.summary.task == task).any():
            parts.append(f"<h2>{html.escape(task)}</h2>{figure_tag(_plot(found, task))}")
    if tuned:
        parts.append(_tuning(tuned))
    stated = ", ".join(f"{name} {version}" for name, version in versions().items())
    parts.append(f"<footer><p>results.csv has every figure of every run. {html.escape(stated)}.</p></footer>")
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(grid.name)}</title><style>{STYLE}</style>{''.join(parts)}"
    write_bytes(out / "index.html", f"{page}</html>\n".encode())


def _cell(row: dict[str, Any] | None) -> str:
    shown = html.escape(cell(row))
    return f"<td><b>{shown}</b></td>" if row and row["best"] else f"<td>{shown}</td>"


def _tuning(tuned: Sequence[Trial]) -> str:
    """Every trial and its score on the valid split; the chosen ones bold."""
    rows = []
    for trial in tuned:
        cells = [trial.encoder, trial.method, json.dumps(trial.changes), f"{trial.score:.3f}" if np.isfinite(trial.score) else "failed"]
        shown = (f"<b>{html.escape(one)}</b>" if trial.chosen else html.escape(one) for one in cells)
        rows.append(f"<tr>{''.join(f'<td>{one}</td>' for one in shown)}</tr>")
    head = "<tr><th>encoder</th><th>method</th><th>trial</th><th>score on valid</th></tr>"
    note = "As many trials for each method; the best (bold) was taken."
    return f"<h2>Tuning</h2><p class=note>{note}</p><table>{head}{''.join(rows)}</table>"


def _plot(found: Found, task: str) -> Figure:
    """Each run a dot, the means a bar, a panel for each metric of the main table, a group for each encoder."""
    from matplotlib.figure import Figure

    part = found.summary[found.summary.task == task]
    metrics = list(dict.fromkeys(part.metric))
    figure = Figure(figsize=(max(3.2 * len(metrics), 5), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(metrics)))
    encoders, methods = list(found.grid.encoders), list(found.grid.methods)
    width = 0.8 / len(methods)
    for panel, metric in zip(panels, metrics, strict=True):
        for place, method in enumerate(methods):
            for group, encoder in enumerate(encoders):
                figures = found.figures[
                    found.figures[["encoder", "method", "task", "metric"]].eq([encoder, method, task, metric]).all(axis=1)
                ]
                runs = figures.value
                if len(runs):
                    x = group + (place - (len(methods) - 1) / 2) * width
                    panel.bar(x, runs.mean(), width * 0.9, color=f"C{place % 10}", alpha=0.5, label=method if group == 0 else None)
                    panel.plot([x] * len(runs), runs, "k.", markersize=3)
        panel.set_xticks(range(len(encoders)), encoders)
        panel.set_title(metric, fontsize=9)
    panels[0].legend(fontsize=7)
    return figure
