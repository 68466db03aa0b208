"""Tables as users have them: CSV, TSV, Parquet, JSON lines; every cell as it is written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

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
    if _KINDS[kind]:
        _require_separator(table, _KINDS[kind])
    try:
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(table)
        if kind in (".jsonl", ".ndjson"):
            lines = table.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other line ends, such as U+2028
            return pd.DataFrame([json.loads(line) for line in lines if line.strip()], dtype=object)
        frame = pd.read_csv(table, sep=_KINDS[kind], dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SistaError(f"{table}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise SistaError(f"{table}: cannot be read as {kind[1:]} ({str(error).strip()}); check that its ending says what it is") from None
    if not isinstance(frame.index, pd.RangeIndex):  # what pandas makes of rows that are longer than the header
        raise SistaError(
            f"{table}: its first row has more cells than its header; a text that holds {_KINDS[kind]!r} needs quotes around it"
        )
    return frame


def _require_separator(table: Path, expected: str) -> None:
    """SistaError for a header that is separated by another sign."""
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().strip()
    other = next((sign for sign in "\t;|," if sign in header), None)
    if expected not in header and other:
        raise SistaError(
            f"{table}: its header has one column only, {header[:80]!r}; it seems to be separated by {other!r}. "
            "Save it with commas (.csv) or tabs (.tsv)."
        )


def cell_text(value: Any) -> str:
    """A cell as text; empty for None and NaN, and numbers without a needless ".0"."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
