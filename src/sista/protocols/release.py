"""Reading the tables of a data set as released, with a clear refusal of any other table."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sista.errors import SistaError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """One file of a release: its name there, the columns that are read, and how.

    columns     must all be there; spaces around names in the file are ignored
    text        columns kept as text (ids)
    binary      columns that hold 0 or 1 in every row
    headerless  a file without a header, fields separated by spaces, named by `columns`
    names       other names under which the file is found beside the main table
    """

    file: str
    columns: tuple[str, ...]
    text: tuple[str, ...] = ()
    binary: tuple[str, ...] = ()
    headerless: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A data set as released.

    cases      Release -> one row per image, indexed by image id, with a column "subject", a column "stratum" (text), and one column of
               0, 1 or NaN per label
    count      (Release, cases) -> what `counts` counts, here
    counts     the published counts of the release
    """

    name: str
    table: Table
    companions: Mapping[str, Table]
    cases: Callable[[Release], pd.DataFrame]
    count: Callable[[Release, pd.DataFrame], dict[str, int]]
    counts: Mapping[str, int]
    obtain: str


@dataclass(frozen=True)
class Release:
    """The tables in hand: the main one, and those companions and id lists that lay beside it."""

    table: pd.DataFrame
    companions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_release(data: DataSet, path: Path, lists: Mapping[str, tuple[str, ...]] | None = None) -> Release:
    """Read the main table at `path`, and from its folder the companions and the released id lists (split -> file names) that are there.

    Raises SistaError when the table is missing, unreadable or another one.
    """
    path = Path(path)
    if not path.is_file():
        raise SistaError(f"{path}: no such file; expected {data.table.file} of {data.name} ({data.obtain})")
    companions = {}
    for key, companion in data.companions.items():
        found = _beside(path, (path.name.replace("train", key), companion.file, *companion.names))
        if found:
            companions[key] = _read(companion, found, data.name)
    found_lists = {split: _beside(path, names) for split, names in (lists or {}).items()}
    there = {split: _ids(file) for split, file in found_lists.items() if file}
    return Release(_read(data.table, path, data.name), companions, there)


def refuse_other_columns(columns: Sequence[str], table: Table, where: str, data_set: str) -> None:
    """Raise a SistaError that names the columns that are missing."""
    missing = [column for column in table.columns if column not in columns]
    if missing:
        found = ", ".join(map(str, list(columns)[:8])) + (", ..." if len(columns) > 8 else "")
        raise SistaError(
            f"{where} is not {table.file} of {data_set}: no column {', '.join(repr(column) for column in missing)}; found {found or 'none'}"
        )


def _read(table: Table, path: Path, data_set: str) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.name.endswith(".json"):
            frame = pd.DataFrame(json.loads(path.read_text()))
        elif table.headerless:
            fields = pd.read_csv(path, sep=" ", header=None, nrows=1).shape[1]
            if fields != len(table.columns):
                raise SistaError(
                    f"{path} is not {table.file} of {data_set}: {fields} field(s) separated by spaces, expected {len(table.columns)} "
                    f"({', '.join(table.columns)}) and no header"
                )
            frame = pd.read_csv(path, sep=" ", header=None, dtype=str, keep_default_na=False, na_values=[""])
            frame.columns = pd.Index(table.columns)
            if (cut := frame.isna().any(axis=1)).any():
                raise SistaError(f"{path}, line {int(cut.argmax()) + 1}: fewer than {len(table.columns)} fields; download it again")
        else:
            header = pd.read_csv(path, nrows=0).columns
            text = {column: str for column in header if column.strip() in table.text}
            frame = pd.read_csv(path, dtype=text, low_memory=False)
    except (ValueError, OSError, UnicodeError, EOFError, zlib.error) as error:
        raise SistaError(f"{path} cannot be read as {table.file} of {data_set}: {' '.join(str(error).split())}") from error
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    refuse_other_columns(list(frame.columns), table, str(path), data_set)
    if frame.empty:
        raise SistaError(f"{path} has no rows; expected {table.file} of {data_set}")
    for name in table.binary:
        if (wrong := ~pd.to_numeric(frame[name], errors="coerce").isin((0, 1))).any():
            found = frame[name][wrong].iloc[0]
            raise SistaError(f"{path}, line {int(wrong.to_numpy().argmax()) + 2}: {name} is {found}, expected 0 or 1; download it again")
    return frame


def _beside(path: Path, names: Sequence[str]) -> Path | None:
    for name in names:
        candidate = path.parent / name
        if name != path.name and candidate.is_file():
            return candidate
    return None


def _ids(path: Path) -> tuple[str, ...]:
    """The first word of each line; lists of MRM hold labels after it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise SistaError(f"{path} cannot be read as a list of ids: {' '.join(str(error).split())}") from error
    return tuple(dict.fromkeys(line.split()[0] for line in text.splitlines() if line.strip()))
