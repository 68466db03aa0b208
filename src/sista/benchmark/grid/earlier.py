"""Figures of an earlier call of a grid whose runs are no longer at hand, by the jobs that made them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sista.errors import SistaError

Figures = Mapping[str, tuple[float, float | None, float | None]]  # metric -> value, and its own interval over subjects


@dataclass(frozen=True)
class Earlier:
    """figures: `Job.name` of a task -> its figures. scores: the names of all of a trial's tasks -> its score.

    precisions: the keys of both -> the precision of the pre-training, where it is written down. folders: of each folder the keys of both.
    """

    figures: Mapping[str, Figures] = field(default_factory=dict)
    precisions: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    folders: Mapping[Path, Collection[str]] = field(default_factory=dict)

    def without_use(self, jobs: Collection[str]) -> list[Path]:
        """The folders that hold nothing of these jobs, or names of all of a trial's tasks."""
        return [folder for folder, held in self.folders.items() if not set(held) & set(jobs)]


def read_earlier(folders: Sequence[Path]) -> Earlier:
    """The results.csv, and where there is one the tuning.csv, of earlier calls; of a job that several have, what the first says.

    Raises SistaError where they cannot be read, or do not say by which jobs their figures were made.
    """
    figures: dict[str, dict[str, tuple[float, float | None, float | None]]] = {}
    precisions: dict[str, str] = {}
    scores: dict[str, float] = {}
    of_folder: dict[Path, set[str]] = {}
    for folder in folders:
        rows = _rows(folder / "results.csv", ("job", "metric"), ("value", "low", "high"))
        of_folder[folder] = {row["job"] for row in rows}
        rows = [row for row in rows if row["job"] not in figures and np.isfinite(row["value"])]
        for row in rows:
            low, high = (None if np.isnan(row[name]) else float(row[name]) for name in ("low", "high"))
            figures.setdefault(row["job"], {})[row["metric"]] = (float(row["value"]), low, high)
        tuning = folder / "tuning.csv"
        trials = _rows(tuning, ("jobs",), ("score",)) if tuning.is_file() else []
        of_folder[folder] |= {row["jobs"] for row in trials}
        trials = [row for row in trials if row["jobs"] not in scores and np.isfinite(row["score"])]
        scores |= {row["jobs"]: float(row["score"]) for row in trials}
        for row, key in [*((row, "job") for row in rows), *((row, "jobs") for row in trials)]:
            if isinstance(precision := row.get("precision"), str):
                precisions[row[key]] = precision
    return Earlier(figures, precisions, scores, of_folder)


def _rows(file: Path, texts: Sequence[str], numbers: Sequence[str]) -> list[dict[Any, Any]]:
    import pandas as pd

    columns = (*texts, *numbers)

    try:
        table = pd.read_csv(file, dtype={"job": str, "jobs": str})
    except (OSError, ValueError) as error:
        raise SistaError(f"earlier figures {file} cannot be read ({str(error).splitlines()[0]})") from error
    if absent := [column for column in columns if column not in table]:
        raise SistaError(f"{file} has no column {', '.join(absent)}; it is not what this version of `sista benchmark` writes")
    for column in numbers:
        known = pd.to_numeric(table[column], errors="coerce")
        if len(wrong := table.index[known.isna() & table[column].notna()]):
            raise SistaError(f"{file} has {table[column][wrong[0]]!r} for a number, in row {wrong[0] + 2}, column {column}")
        table[column] = known
    return table.to_dict("records")
