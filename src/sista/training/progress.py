"""The progress bar of a run: steps, loss, pairs a second, time left."""

from __future__ import annotations

from types import TracebackType


class StepProgress:
    """A rich progress bar on standard error; nothing when `show` is off."""

    def __init__(self, steps: int, start: int, pairs: int, show: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("pretrain"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[rate]} pairs/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not show,
        )
        self._pairs, self._loss = pairs, "..."
        self._task = self._bar.add_task("pretrain", total=steps, completed=start, loss="...", rate="...")

    def __enter__(self) -> StepProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, loss: float | None) -> None:
        """One step is done; `loss` where it was read."""
        if loss is not None:
            self._loss = f"{loss:.3f}"
        speed = self._bar.tasks[self._task].speed
        self._bar.update(self._task, advance=1, loss=self._loss, rate=f"{speed * self._pairs:.0f}" if speed else "...")
