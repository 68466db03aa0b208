"""A folder that one call at a time works in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sista.errors import SistaError

LOCK = ".lock"  # its name there


@contextmanager
def alone(folder: Path, command: str) -> Iterator[None]:
    """SistaError while another call of `command` works in `folder`, which is made: each would spoil what the other does there."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise SistaError(f"another `{command}` is at work in {folder}; wait for it, or give another --out") from error
    except (OSError, NotImplementedError) as error:
        print(f"{folder} lies where no file can be locked ({error}); see to it that no other call works there", file=sys.stderr)
    try:
        yield
    finally:
        lock.release()
