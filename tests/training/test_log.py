"""The log of a run."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sista.training.log import RunLog, read_log


def test_columns_grow_and_rows_come_back(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write({"step": 1, "loss": 2.5})
    log.write({"step": 2, "loss": 2.25, "valid_loss": 3.0})
    log.write({"step": 3, "loss": 0.1})
    assert read_log(tmp_path / "log.csv") == [
        {"step": 1, "loss": 2.5},
        {"step": 2, "loss": 2.25, "valid_loss": 3.0},
        {"step": 3, "loss": 0.1},
    ]


def test_rewind_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in range(1, 6):
        log.write({"step": step, "loss": 1 / 3 / step})
    before = read_log(tmp_path / "log.csv")
    again = RunLog(tmp_path)
    again.rewind(3)
    assert read_log(tmp_path / "log.csv") == before[:3]
    for half in ("4,-", "4,0.", "4"):  # a disk that was full, a machine that was lost
        with (tmp_path / "log.csv").open("a") as file:
            file.write(half)
        again.rewind(4)
        assert read_log(tmp_path / "log.csv") == before[:3]
    again.rewind(0)
    again.write({"step": 1, "loss": 1.0})
    assert read_log(tmp_path / "log.csv") == [{"step": 1, "loss": 1.0}]


def test_tensorboard(tmp_path: Path) -> None:
    log = RunLog(tmp_path, tensorboard=True)
    for step in range(1, 6):
        log.write({"step": step, "loss": 2.5})
    log.close()
    again = RunLog(tmp_path, tensorboard=True)
    again.rewind(3)
    for step in (4, 5):
        again.write({"step": step, "loss": 1.5})
    again.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.5), (2, 2.5), (3, 2.5), (4, 1.5), (5, 1.5)]


def test_who_is_stopped_while_a_log_is_written_anew_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RunLog(tmp_path)
    for step in range(1, 6):
        log.write({"step": step, "loss": 1.0})
    before = (tmp_path / "log.csv").read_bytes()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sista.corpus.disk.os.fsync", stopped)
    for write in (lambda: RunLog(tmp_path).rewind(3), lambda: log.write({"step": 6, "valid_loss": 2.0})):
        with pytest.raises(KeyboardInterrupt):
            write()
        assert (tmp_path / "log.csv").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]
