"""An array that is written piece by piece and read at the end, in memory or in a nameless file."""

from __future__ import annotations

import io
import mmap
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from sista.corpus.disk import room_for


class GrowingArray:
    """A flat array of one dtype. With `folder` its values lie in a file there that has no name and goes when the array goes."""

    def __init__(self, dtype: str, folder: Path | None = None) -> None:
        self._dtype, self._folder = dtype, folder
        self._file: IO[bytes] = io.BytesIO() if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  as long as self

    def append(self, values: np.ndarray) -> None:
        """Add values of any shape at the end, flat."""
        with room_for(self._folder or Path()):
            self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
            self._file.flush()

    def array(self) -> np.ndarray:
        """All values; a file is mapped, not read."""
        if not self._file.tell():
            return np.zeros(0, dtype=self._dtype)
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getbuffer(), dtype=self._dtype)
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), dtype=self._dtype)
