"""The page of a grid: its tables, a plot for each task, and where every figure came from."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista import versions
from sista.benchmark.grid.summary import Found
from sista.benchmark.grid.table import OVER, Table, note_of, tables_of
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
        f"<p class=note>{result['done']} of {result['jobs']} jobs are done here; seeds {', '.join(map(str, grid.seeds))}. "
        f"{html.escape(note_of(found))}</p>",
    ]
    for encoder in grid.encoders:
        parts += [_table(table, f"{encoder}: {table.title}") for table in tables_of(found, encoder)]
    for task in grid.tasks:
        if (found.summary.task == task).any():
            parts.append(f"<h2>{html.escape(task)}</h2>{figure_tag(_plot(found, task))}")
    if found.summary.over.notna().any():
        parts.append(f"<h2>Over {html.escape(grid.baseline)}</h2><p class=note>{html.escape(OVER.format(grid.baseline))}</p>")
        parts += [
            _table(table, f"{encoder}: {table.title}", "h3") for encoder in grid.encoders for table in tables_of(found, encoder, True)
        ]
    if tuned:
        parts.append(_tuning(tuned))
    stated = ", ".join(f"{name} {version}" for name, version in versions().items())
    parts.append(f"<footer><p>results.csv has every figure of every run. {html.escape(stated)}.</p></footer>")
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(grid.name)}</title><style>{STYLE}</style>{''.join(parts)}"
    write_bytes(out / "index.html", f"{page}</html>\n".encode())


def _table(table: Table, title: str, level: str = "h2") -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = []
    for method, cells in table.rows:
        shown = (f"<td><b>{html.escape(text)}</b></td>" if bold else f"<td>{html.escape(text)}</td>" for text, bold in cells)
        rows.append(f"<tr><td>{html.escape(method)}</td>{''.join(shown)}</tr>")
    return f"<{level}>{html.escape(title)}</{level}><table><tr><th>method</th>{head}</tr>{''.join(rows)}</table>"


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
    """A panel for each metric of the main table, a line for each method: every run a dot, the mean with the seeds' interval, by encoder."""
    from matplotlib.figure import Figure

    part = found.summary[found.summary.task == task]
    metrics, methods, encoders = list(dict.fromkeys(part.metric)), list(found.grid.methods), list(found.grid.encoders)
    figure = Figure(figsize=(2.6 * len(metrics) + 1.6, 0.22 * len(methods) * len(encoders) + 1.0), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for panel, metric in zip(panels, metrics, strict=True):
        for group, encoder in enumerate(encoders):
            rows = part[(part.metric == metric) & (part.encoder == encoder)]
            y = np.array([methods.index(method) for method in rows.method]) + (group - (len(encoders) - 1) / 2) * 0.8 / len(encoders)
            for place, method in zip(y, rows.method, strict=True):
                runs = found.figures[
                    found.figures[["encoder", "method", "task", "metric"]].eq([encoder, method, task, metric]).all(axis=1)
                ].value
                panel.plot(runs, [place] * len(runs), ".", color=f"C{group}", alpha=0.4, markersize=4)
            half = np.nan_to_num((rows.high - rows.low).to_numpy(float) / 2)
            panel.errorbar(rows["mean"], y, xerr=half, fmt="|", color=f"C{group}", markersize=9, linewidth=1, label=encoder)
        panel.set_yticks(range(len(methods)), methods, fontsize=8, parse_math=False)  # a name may hold dollars
        panel.tick_params(axis="x", labelsize=8)
        panel.grid(axis="y", linewidth=0.3)
        panel.set_title(metric, fontsize=9, parse_math=False)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    if len(encoders) > 1:
        for text in panels[0].legend(fontsize=7).get_texts():
            text.set_parse_math(False)
    return figure
