"""The rows of a corpus on disk: Arrow parts, memory-mapped, seen as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa


class StoredRows:
    """Rows of several part files by one number. `kept` are the rows that count, in the numbering of all parts end to end.

    Nothing is read before it is asked for; `cell` of an image touches its own bytes only.
    """

    def __init__(self, parts: Sequence[Path], kept: np.ndarray | None = None) -> None:
        self.table = pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(part))).read_all() for part in parts])
        sizes = [len(chunk) for chunk in self.table.column("film_id").chunks]
        self._starts = np.cumsum([0, *sizes])
        self.kept = np.arange(self.table.num_rows) if kept is None else kept

    def __len__(self) -> int:
        return len(self.kept)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column as Arrow, rows that do not count left out."""
        column = self.table.column(name)
        return column if len(self.kept) == self.table.num_rows else column.take(pa.array(self.kept))

    def cell(self, name: str, row: int) -> pa.Scalar:
        """One value, zero-copy."""
        place = int(self.kept[row])
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self.table.column(name).chunk(chunk)[place - int(self._starts[chunk])]
