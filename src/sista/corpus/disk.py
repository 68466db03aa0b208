"""Files that are whole or absent: written beside their place, then moved into it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sista.errors import SistaError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing under a temporary name and move it into place at the end; nothing is left behind on an error.

    A full disk, a quota or a file-size limit becomes a SistaError that names the file and what to do.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two processes may compute the same teacher
    try:
        with room_for(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """A full disk, a quota or a file-size limit met in here becomes a SistaError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SistaError(
                f"{path}: no room to write it ({error.strerror}). Make room on that disk; the same command then goes on where it stopped."
            ) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON, sorted keys, as a whole file."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes as a whole file."""
    with whole_file(path) as file:
        file.write(data)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a `.npy` file as a whole file. (`numpy.save` reports a full disk without an error number.)"""
    array = np.ascontiguousarray(array)
    with whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file; a damaged one raises a SistaError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SistaError(f"{path} is damaged ({error}). Delete it and run the command that made it again.") from None
