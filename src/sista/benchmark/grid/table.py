"""The tables of a grid: Markdown, LaTeX, CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sista.benchmark.grid.settings import Grid
from sista.benchmark.grid.summary import Found, lower_is_better
from sista.corpus.disk import write_bytes

NOTE = (
    "Mean over seeds ± half the width of its 95 % t-interval over seeds (training and label draws). Bold: the best mean of its column, the "
    "highest or of ranks the lowest, floors and ceilings left out. †: the paired bootstrap over the scored subjects (seeds averaged) does "
    "not find it worse than the bold one at 95 %; ‡: there is no such test, because this figure is none of single subjects or because its "
    "runs are not at hand. A method that lacks a seed which another has: said in brackets, and never the best."
)
EARLIER = "Of seeds {} figures are taken from an earlier call; their subjects take no part in the bootstrap."
MIXED = (
    "The pre-trainings differ in precision, or do not all say theirs (number of tasks: {}); `auto` is not the same on every machine. "
    "Figures of equal seeds then differ by that too: the column `precision` of results.csv says which is which."
)
ABSENT = "Without a result: {}."
OVER = (
    "What each method has over {}, or the method in brackets: the mean of the differences of equal seeds, and its 95 % t-interval over "
    "them. Bold: this interval and that of the paired bootstrap over the scored subjects lie on the same side of 0; where there is no such "
    "bootstrap (‡), this interval alone does not hold 0. Not corrected for the number of comparisons."
)
MARKDOWN = {"|": r"\|", "<": "&lt;", "*": r"\*", "`": r"\`"}
LATEX = {sign: f"\\{sign}" for sign in "_%&#${}"} | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


@dataclass(frozen=True)
class Table:
    """One task with one encoder: a row a method, each cell its text and whether it is bold."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


def note_of(found: Found) -> str:
    """What is to be known to read the tables."""
    notes = [NOTE]
    if found.earlier:
        notes.append(EARLIER.format(", ".join(map(str, found.earlier))))
    if len(found.precisions) > 1:
        counted = [f"{name or 'not written down'} {count}" for name, count in sorted(found.precisions.items())]
        notes.append(MIXED.format(", ".join(counted)))
    if found.absent:
        notes.append(ABSENT.format("; ".join(f"{task}: {', '.join(methods)}" for task, methods in found.absent.items())))
    return " ".join(notes)


def tables_of(found: Found, encoder: str, over: bool = False) -> list[Table]:
    """The figures of each task, or (over) what each method has over the grid's baseline or the method that it names."""
    made = []
    for task in found.grid.tasks:
        part = found.summary[(found.summary.encoder == encoder) & (found.summary.task == task)]
        if over:
            part = part[part.over.notna()]
        columns = list(dict.fromkeys(part.metric))
        held = {(row["method"], row["metric"]): row for row in part.to_dict("records")}
        methods = [method for method in found.grid.methods if any((method, column) in held for column in columns)]
        show = over_cell if over else cell
        rows = [(method, [show(held.get((method, column))) for column in columns]) for method in methods]
        if over:
            rows = [(_against(found.grid, method), cells) for method, cells in rows]
        if columns:
            most = (part.seeds + part.missing).max()
            title = task if most == len(found.grid.seeds) else f"{task} ({most} of {len(found.grid.seeds)} seeds)"
            made.append(Table(title, columns, rows))
    return made


def _against(grid: Grid, method: str) -> str:
    """A method's name, and the one it is held against where that is not the baseline."""
    other = grid.over(method)
    return method if other == grid.baseline else f"{method} (over {other})"


def cell(row: Mapping[Any, Any] | None) -> tuple[str, bool]:
    """ "0.812 ± 0.013", the half width of the seeds' interval; "†" unless the paired interval lies below the best, "‡" without one."""
    if row is None:
        return "-", False
    half = "" if np.isnan(row["low"]) else f" ± {(row['high'] - row['low']) / 2:.3f}"
    worse = row["difference_low"] > 0 if lower_is_better(row["metric"]) else row["difference_high"] < 0
    near = "‡" if np.isnan(row["difference_low"]) else "" if worse else "†"
    near = "" if row["best"] or not row["ranked"] else near
    return f"{row['mean']:.3f}{half}{near}{_few(row, 'seeds')}", bool(row["best"])


def over_cell(row: Mapping[Any, Any] | None) -> tuple[str, bool]:
    """ "+0.012 (0.003 to 0.021)"; bold where the intervals of seeds and subjects lie on one side of 0; "‡" where seeds alone decide."""
    if row is None:
        return "-", False
    low, high = row["over_low"], row["over_high"]
    interval = "" if np.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
    sides = {_side(low, high), _side(row["over_films_low"], row["over_films_high"])} - {None}
    alone = "‡" if np.isnan(row["over_films_low"]) else ""
    return f"{row['over']:+.3f}{interval}{alone}{_few(row, 'over_seeds')}", bool(np.isfinite(low)) and sides in ({-1}, {1})


def _side(low: float, high: float) -> int | None:
    """Of an interval: above 0, below it, or 0 where it holds that; None where there is none."""
    return None if np.isnan(low) else int(low > 0) - int(high < 0)


def _few(row: Mapping[Any, Any], seeds: str) -> str:
    every = row["seeds"] + row["missing"]
    return f" ({row[seeds]} of {every} seeds)" if row[seeds] < every else ""


def write_tables(found: Found, out: Path) -> None:
    """results.csv, table.csv, table.md and table.tex."""
    write_bytes(out / "results.csv", found.figures.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    write_bytes(out / "table.csv", found.summary.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    write_bytes(out / "table.md", _markdown(found).encode())
    write_bytes(out / "table.tex", _latex(found).encode())


def _markdown(found: Found) -> str:
    grid = found.grid
    lines = [f"# {_in_row(grid.name)}", "", *([grid.about, ""] if grid.about else []), note_of(found), ""]
    for over in (False, True):
        for encoder in grid.encoders:
            tables = tables_of(found, encoder, over)
            if tables:
                lines += [f"## {_in_row(f'{encoder}, over {grid.baseline}' if over else encoder)}", ""]
                lines += [OVER.format(grid.baseline), ""] if over else []
            for table in tables:
                head = " | ".join(map(_in_row, table.columns))
                lines += [f"### {_in_row(table.title)}", "", f"| method | {head} |", "|---" * (len(table.columns) + 1) + "|"]
                for method, cells in table.rows:
                    lines.append(f"| {_in_row(method)} | {' | '.join(f'**{text}**' if bold else text for text, bold in cells)} |")
                lines.append("")
    return "\n".join(lines)


def _latex(found: Found) -> str:
    text = io.StringIO()
    text.write(f"% {_in_line(note_of(found))}\n\n")
    for encoder in found.grid.encoders:
        for table in tables_of(found, encoder):
            text.write(f"% {_in_line(f'{encoder}, {table.title}')}\n\\begin{{tabular}}{{l{'c' * len(table.columns)}}}\n\\toprule\n")
            text.write("".join(["method", *(f" & {_escaped(column)}" for column in table.columns), " \\\\\n\\midrule\n"]))
            for method, cells in table.rows:
                shown = [f"\\textbf{{{_symbols(one)}}}" if bold else _symbols(one) for one, bold in cells]
                text.write(f"{_escaped(method)} & " + " & ".join(shown) + " \\\\\n")
            text.write("\\bottomrule\n\\end{tabular}\n\n")
    return text.getvalue()


def _symbols(text: str) -> str:
    return text.replace("±", "$\\pm$").replace("†", "$^\\dagger$").replace("‡", "$^\\ddagger$")


def _in_line(text: str) -> str:
    """A name may hold line breaks, a line of a table or a comment may not."""
    return " ".join(text.split())


def _in_row(text: str) -> str:
    """For a row of a Markdown table, which `|` would part; `<`, `*` and a backtick would be read as marks."""
    return "".join(MARKDOWN.get(sign, sign) for sign in _in_line(text))


def _escaped(text: str) -> str:
    """For LaTeX, where a row that began with `[` or `*` would be read as an option of the line break before it."""
    escaped = "".join(LATEX.get(sign, sign) for sign in _in_line(text))
    return "{}" * escaped.startswith(("[", "*")) + escaped
