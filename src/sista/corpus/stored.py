"""The rows of a corpus on disk: Arrow parts, memory-mapped, seen as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa


class StoredRows:
    """Rows of several part files by one number. `kept` are the rows that count, ascending, in the numbering of all parts end to end.

    Nothing is read before it is asked for. `batches` and `values` go through the parts one at a time, whatever their number; `cell` and
    `column` map all parts and keep them mapped.
    """

    def __init__(self, parts: Sequence[Path], kept: np.ndarray | None = None) -> None:
        self.parts, self._kept, self._mapped = tuple(parts), kept, _Mapped(parts)

    @cached_property
    def kept(self) -> np.ndarray:
        return np.arange(len(self._mapped.column("film_id"))) if self._kept is None else self._kept

    @property
    def schema(self) -> pa.Schema:
        return self._mapped.schema

    def __len__(self) -> int:
        return len(self.kept)

    def take(self, rows: np.ndarray) -> StoredRows:
        """Some of the rows, ascending."""
        some = StoredRows(self.parts, self.kept[rows])
        some._mapped = self._mapped
        return some

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns in order of the rows, some hundred rows at a time; memory does not grow with the corpus."""
        start = 0
        for part in self.parts:
            for batch in _batches(pa.memory_map(str(part)), self.schema, names):
                end = start + len(batch)
                if self._kept is None:
                    yield batch
                else:
                    low, high = np.searchsorted(self._kept, (start, end))
                    if high > low:
                        yield batch if high - low == len(batch) else batch.take(pa.array(self._kept[low:high] - start))
                start = end

    def values(self, name: str) -> StoredColumn:
        """A column as a sequence of Python values that are read when they are looked at."""
        return StoredColumn(self, name)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column as Arrow, rows that do not count left out."""
        column = self._mapped.column(name)
        return column if len(self.kept) == len(column) else column.take(pa.array(self.kept))

    def cell(self, name: str, row: int) -> pa.Scalar:
        """One value, zero-copy."""
        return self._mapped.column(name)[int(self.kept[row])]


class StoredColumn(Sequence[Any]):
    """One column of stored rows. Each `for` over it reads it anew from disk, so that it may be larger than memory."""

    def __init__(self, rows: StoredRows, name: str) -> None:
        self.rows, self.name = rows, name

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.rows.batches([self.name]):
            yield from batch.column(0).to_pylist()

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        if isinstance(row, slice):
            return [self[number] for number in range(len(self))[row]]
        return self.rows.cell(self.name, row).as_py()

    def take(self, rows: np.ndarray) -> StoredColumn:
        """Some of its rows, ascending."""
        return StoredColumn(self.rows.take(rows), self.name)


class _Mapped:
    """All parts, mapped when first asked for; their columns with the rows that do not count."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = tuple(parts)
        self._columns: dict[str, pa.ChunkedArray] = {}

    @cached_property
    def schema(self) -> pa.Schema:
        with pa.memory_map(str(self._parts[0])) as file:
            return pa.ipc.read_schema(file)

    @cached_property
    def _content(self) -> list[pa.Buffer]:
        return [pa.memory_map(str(part)).read_buffer() for part in self._parts]

    def column(self, name: str) -> pa.ChunkedArray:
        if name not in self._columns:
            chunks = [batch.column(0) for content in self._content for batch in _batches(content, self.schema, [name])]
            self._columns[name] = pa.chunked_array(chunks, self.schema.field(name).type)
        return self._columns[name]


def _batches(source: Any, schema: pa.Schema, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in names])
    for batch in pa.ipc.open_stream(source, options=options):
        yield batch.select(names)
