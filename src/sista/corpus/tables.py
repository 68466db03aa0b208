"""Tables as users have them: CSV, TSV, Parquet, JSON lines; every cell as it is written."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sista.errors import SistaError

_KINDS = {".csv": ",", ".tsv": "\t", ".parquet": "", ".pq": "", ".jsonl": "", ".ndjson": ""}


def read_table(table: Path) -> pd.DataFrame:
    """All cells as they are written (text files: as strings); raises a SistaError for a missing, empty or damaged file."""
    kind = table.suffix.lower()
    if kind not in _KINDS:
        raise SistaError(f"{table}: unknown kind of table {kind!r} (known: {', '.join(_KINDS)})")
    if not table.is_file():
        raise SistaError(f"{table}: no such file; give the path of a table")
    try:
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(table)
        if kind in (".jsonl", ".ndjson"):
            lines = table.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other line ends, such as U+2028
            return pd.DataFrame([json.loads(line) for line in lines if line.strip()], dtype=object)
        return _read_text(table, _KINDS[kind])
    except UnicodeDecodeError as error:
        raise SistaError(f"{table}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise SistaError(f"{table}: cannot be read as {kind[1:]} ({str(error).strip()}); check that its ending says what it is") from None


def _read_text(table: Path, sign: str) -> pd.DataFrame:
    try:
        frame = pd.read_csv(table, sep=sign, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.ParserError:
        _refuse_separator(table, sign)
        raise
    uneven = not isinstance(frame.index, pd.RangeIndex)  # what pandas makes of a first row that is longer than the header
    if uneven or len(frame.columns) == 1:
        _refuse_separator(table, sign)
    if uneven:
        raise SistaError(f"{table}: its first row has more cells than its header; a text that holds {sign!r} needs quotes around it")
    _refuse_short_rows(table, sign)
    return frame


def _refuse_short_rows(table: Path, sign: str) -> None:
    """SistaError where the last row alone has fewer cells than the header, as in a file that was cut short, or every row has.

    Empty cells at the end of a row may be missing elsewhere, as spreadsheets write them; pandas takes them for empty ones.
    """
    cells, wanted = list[int](), 0
    with long_cells(), table.open(newline="", encoding="utf-8-sig") as file, suppress(csv.Error):  # what pandas has read is no damage
        rows = (row for row in csv.reader(file, delimiter=sign) if any(cell.strip() for cell in row) or len(row) > 1)
        wanted = named_columns(next(rows, []))
        cells += map(len, rows)
    short = [number for number, found in enumerate(cells, start=1) if found < wanted]
    if short and (short == [len(cells)] or len(short) == len(cells)):
        raise SistaError(
            f"{table}: data row {short[0]} has {cells[short[0] - 1]} cells, the header {wanted}. If the file was cut short, fetch it "
            f"again; if its last cells are empty, write {sign!r} for each of them"
        )


@contextmanager
def long_cells() -> Iterator[None]:
    """Within it `csv` reads cells of up to 16 million characters: a run-length code or a polygon may exceed its usual 2**17."""
    usual = csv.field_size_limit(2**24)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def named_columns(header: Sequence[str]) -> int:
    """How many columns there are up to the last one with a name; those without may be missing at the end of a row."""
    return max((place for place, name in enumerate(header, start=1) if name.strip()), default=0)


def _refuse_separator(table: Path, expected: str) -> None:
    """SistaError where the header, what stands in quotes aside, is separated by another sign."""
    with table.open(encoding="utf-8-sig") as file:
        header = next((line.strip() for line in file if line.strip()), "")
    signs = re.sub(r'"[^"]*"', "", header)
    other = next((sign for sign in "\t;|," if sign in signs), None)
    if expected not in signs and other:
        raise SistaError(
            f"{table}: its header has one column only, {header[:80]!r}; it seems to be separated by {other!r}. "
            "Save it with commas (.csv) or tabs (.tsv)."
        )


def cell_text(value: Any) -> str:
    """A cell as text; empty for None and NaN, true and false as 1 and 0, and numbers without a needless ".0"."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
