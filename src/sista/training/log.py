"""The log of a run: `log.csv` always, TensorBoard on request."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sista.corpus.disk import room_for, write_bytes
from sista.errors import SistaError


class RunLog:
    """One row of numbers a logged step, in `out/log.csv`.

    Columns that first appear later make the file be written anew with the wider header. `rewind` drops what a killed run wrote after its
    last checkpoint, so that a resumed run's log equals an unbroken one's (but for the speed).
    """

    def __init__(self, out: Path, tensorboard: bool = False) -> None:
        self.path = out / "log.csv"
        self.columns: list[str] = []
        self._writer_of = _tensorboard(out) if tensorboard else None
        self._writer: Any = None
        self._purged: int | None = None

    def rewind(self, step: int) -> None:
        """Keep the rows up to and including `step`; TensorBoard is told to pass over what came after. Before the first `write`."""
        rows = [row for row in read_log(self.path) if row["step"] <= step] if self.path.is_file() else []
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        if rows:
            self._write_all(rows)
        else:
            self.path.unlink(missing_ok=True)
        self._purged = step + 1

    def write(self, row: dict[str, float]) -> None:
        """Add one row; it must hold `step`."""
        self._append(row)
        if self._writer_of is not None:
            self._writer = self._writer or self._writer_of(purge_step=self._purged)
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        """Flush what TensorBoard still holds."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, row: dict[str, float]) -> None:
        fresh = [name for name in row if name not in self.columns]
        with room_for(self.path):
            if fresh:
                earlier = read_log(self.path) if self.path.is_file() else []
                self.columns += fresh
                self._write_all(earlier)
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)

    def _write_all(self, rows: list[dict[str, float]]) -> None:
        """Anew and as a whole: who is stopped meanwhile keeps what was there."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(self.path, text.getvalue().encode())


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log; what a row does not have is left out of it, and so is half a line that a killed run has left."""
    text = path.read_bytes()
    whole = io.StringIO(text[: text.rfind(b"\n") + 1].decode(), newline="")
    return [{name: _number(name, text) for name, text in row.items() if text not in ("", None)} for row in csv.DictReader(whole)]


def _number(name: str, text: str) -> float:
    return int(text) if name == "step" else float(text)


def require_tensorboard() -> None:
    """`SistaError` where it is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise SistaError("tensorboard is not installed; `pip install -e '.[tensorboard]'`, or give --run.tensorboard false") from error


def _tensorboard(out: Path) -> Callable[..., Any]:
    """Makes the writer; it makes its file at once."""
    from torch.utils.tensorboard import SummaryWriter

    return partial(SummaryWriter, str(out / "tensorboard"))
