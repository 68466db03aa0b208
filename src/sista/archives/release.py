"""The tables of a release: found by name, read column by column, their rows gathered by id."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sista.corpus.disk import file_digest
from sista.corpus.study import Film, StudyRefused
from sista.corpus.tables import long_cells, named_columns
from sista.errors import SistaError, nearest

Names = str | Sequence[str]
_DAMAGE = (ValueError, OSError, EOFError, zlib.error, csv.Error, pd.errors.ParserError)


class Release:
    """What the readers of releases share: the tables that were read, a description of them, a repr that counts.

    A subclass sets `name`, `label_names` and `has_reports`, and says in `counts()` what it read and what it left out.
    """

    name: str
    label_names: tuple[str, ...] = ()
    has_reports: bool = False

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = Path(root)
        self._settings = settings
        self._tables: dict[str, str] = {}
        self._noted_as: dict[Path, str] = {}

    def counts(self) -> dict[str, Any]:
        """What was read (rows, studies, subjects, films, positives, boxes) and, under `left_out`, what was not, by reason."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The settings and the digest of every table: equal descriptions mean equal studies, wherever the files lie."""
        return {**self._settings, "tables": dict(self._tables), "counts": self.counts()}

    def __repr__(self) -> str:
        plain = {key: value for key, value in self.counts().items() if isinstance(value, int)}
        return (
            f"{type(self).__name__}({self.root}: " + ", ".join(f"{value:,} {key.replace('_', ' ')}" for key, value in plain.items()) + ")"
        )

    def find(self, *names: str, root: Path | None = None) -> Path:
        """The first of these files under `root` that exists, also with .gz, or `root` itself if it is a file; else a SistaError."""
        root = self.root if root is None else root
        found = self._noted(root) if root.is_file() else self.find_or_none(*names, root=root)
        if found is None:
            if not root.exists():
                raise SistaError(f"{root}: no such file or folder; give the folder of the release that holds {names[0]}")
            there = sorted(path.name for path in root.iterdir())[:8] if root.is_dir() else []
            raise SistaError(
                f"{root}: expected {' or '.join(names)} (or .gz) there, found {', '.join(there) or 'nothing'}; "
                "give the folder into which the release was downloaded"
            )
        return found

    def find_or_none(self, *names: str, root: Path | None = None) -> Path | None:
        """Like `find`, but None where there is none; beside a `root` that is a file."""
        root = self.root if root is None else root
        root = root.parent if root.is_file() else root
        for name in names:
            for path in (root / name, root / f"{name}.gz"):
                if path.is_file():
                    return self._noted(path)
        return None

    def require_folder_or(self, *names: str) -> None:
        """SistaError for a `root` that is a file of none of these names (also with .gz): another table than those that would be read."""
        if self.root.is_file() and self.root.name.removesuffix(".gz") not in names:
            raise SistaError(f"{self.root}: would not be read; give its folder, where {' and '.join(names)} are read")

    def _noted(self, path: Path) -> Path:
        if path not in self._noted_as:
            again = sum(other.name == path.name for other in self._noted_as)
            self._noted_as[path] = f"{path.name} ({again + 1})" if again else path.name
            self._tables[self._noted_as[path]] = file_digest(path)
        return path


def read_columns(
    path: Path, text: Mapping[str, Names] | None = None, numbers: Mapping[str, Names] | None = None, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """The wanted columns of a CSV (also .gz) under our own names: text without outer spaces ("" where empty), numbers as float64 (NaN).

    Args:
        path: the table.
        text: our name -> the release's name, or several that it had over time; spaces around a header are ignored.
        numbers: likewise.
        optional: our names of columns that may be missing; they are then missing in the result too.

    Raises:
        SistaError: the file is empty, damaged or not separated by commas, a column is missing, a row is cut, or a number is none.
    """
    text, numbers = dict(text or {}), dict(numbers or {})
    header = read_header(path)
    try:
        raw = {str(name).strip(): str(name) for name in reversed(header)}
        ours = {}
        for own, theirs in {**text, **numbers}.items():
            names = (theirs,) if isinstance(theirs, str) else tuple(theirs)
            found = next((raw[name] for name in names if name in raw), None)
            if found is None and own not in optional:
                raise SistaError(_missing(path, names, list(raw)))
            if found is not None:
                ours[found] = own
        kinds: dict[str, Any] = {name: "float64" if own in numbers else "string[pyarrow]" for name, own in ours.items()}
        empty = {name: ["", "nan", "NaN", "NA", "None"] for name, own in ours.items() if own in numbers}
        frame = pd.read_csv(
            path, usecols=list(ours), dtype=kinds, keep_default_na=False, na_values=empty, index_col=False, encoding="utf-8-sig"
        )
        _check_rows(path)
    except _DAMAGE as error:
        raise _unreadable(path, error, "as a table") from None
    frame = frame.rename(columns=ours)
    for own in text:
        if own in frame:
            frame[own] = frame[own].str.strip()
    return frame


def read_header(path: Path) -> list[str]:
    """The names of the columns of a CSV (also .gz), as they stand there; `SistaError` for a file that is empty or damaged."""
    try:
        return [str(name) for name in pd.read_csv(path, nrows=0, index_col=False, encoding="utf-8-sig").columns]
    except _DAMAGE as error:
        raise _unreadable(path, error, "as a table") from None


def read_text(path: Path) -> str:
    """A text file of UTF-8, also .gz, without its byte order mark; `SistaError` for one that is damaged."""
    try:
        with _opened(path) as file:
            return str(file.read())
    except _DAMAGE as error:
        raise _unreadable(path, error, "as text") from None


def _opened(path: Path) -> Any:
    opened = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _check_rows(path: Path) -> None:
    """SistaError for a row that is cut, or longer than the header; only columns without a name may be missing at its end.

    pandas fills up such rows, or cuts them, without a word, and what is missing could then count as a negative.
    """
    with long_cells(), _opened(path) as file:
        rows = csv.reader(file)
        header = next(rows)
        least = named_columns(header)
        for row in rows:
            if row and (len(row) < least or any(field.strip() for field in row[len(header) :])):
                raise SistaError(f"{path}, line {rows.line_num}: {len(row)} fields, its header has {len(header)}; download it again")


def _unreadable(path: Path, error: Exception, what: str) -> SistaError:
    if isinstance(error, UnicodeDecodeError):
        return SistaError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); download it again")
    return SistaError(f"{path}: cannot be read {what} ({str(error).strip() or type(error).__name__}); download it again")


class RowGroups:
    """The rows of a table gathered by id: `ids` in the order in which they first appear, the rows of each in the order of the table.

    codes [rows]: the group of each row. sizes, first [groups]: how many rows a group has, and its first row.
    """

    def __init__(self, keys: pd.Series) -> None:
        self.codes, ids = pd.factorize(keys)
        self.codes = self.codes.astype(np.int32)
        self.ids = pd.Series(ids)
        self.sizes = np.bincount(self.codes, minlength=len(ids))
        self._order = np.argsort(self.codes, kind="stable").astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.first = self._order[self._starts[:-1]]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> np.ndarray:
        """Row positions of group number `index`."""
        index = range(len(self))[index]
        return self._order[self._starts[index] : self._starts[index + 1]]

    def id_of(self, index: int) -> str:
        return str(self.ids.iloc[index])


def existing(path: Path) -> Path:
    """The path itself; `StudyRefused` when there is no such file."""
    if not path.is_file():
        raise StudyRefused(f"no such file: {path}")
    return path


def some_existing(films: Sequence[Film]) -> tuple[Film, ...]:
    """All films of a study, if the file of one is there (the builder names those that are not); else `StudyRefused`."""
    paths = [film.source for film in films if isinstance(film.source, Path)]
    if paths and not any(path.is_file() for path in paths):
        raise StudyRefused(f"no such file: {paths[0]}" + (f" (nor the {len(paths) - 1} other of its study)" if len(paths) > 1 else ""))
    return tuple(films)


def _missing(path: Path, names: Sequence[str], header: Sequence[str]) -> str:
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        sign = next(sign for sign in "\t;|" if sign in header[0])
        return f"{path}: its header has one column only, {header[0][:60]!r}, and seems to be separated by {sign!r}; save it with commas."
    return f"{path}: no column {' or '.join(map(repr, names))}: {nearest(names[0], header)}. Take the table as released."
