"""Runs of several processes that break: torchrun starts them again, and any number of processes may go on with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sista.training.log import read_log
from sista.training.pretrain import pretrain
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings
from sista.training.state import checkpoints
from tests.training.shared import environment, torchrun

MODEL = ModelSettings(image_encoder="test_vit", dim=32, dropout=0.0)
OPTIMIZER = OptimizerSettings(epochs=4, batch_size=24, learning_rate=1e-3)
RUN = RunSettings(progress=False, checkpoint_every=3, evaluate_every=5, log_every=1, device="cpu", precision="fp32")


def command(world: int, corpus: Path, out: Path, restarts: int = 0, batch_size: int = 24) -> list[str]:
    """The same run on the command line."""
    return torchrun(
        world, "-m", "sista", "pretrain", "--data", corpus, "--out", out,
        "--model.image_encoder", "test_vit", "--model.dim", 32, "--model.dropout", 0.0,
        "--optimizer.epochs", 4, "--optimizer.batch_size", batch_size, "--optimizer.learning_rate", 1e-3,
        "--run.progress", "false", "--run.checkpoint_every", 3, "--run.evaluate_every", 5, "--run.log_every", 1,
        "--run.device", "cpu", "--run.precision", "fp32",
        restarts=restarts,
    )  # fmt: skip


def processes_of(agent: int) -> list[int]:
    """The processes that a torchrun has started, by rank: the ids of its children."""
    return [int(child) for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split()]


def wait_for_step(process: subprocess.Popen, log: Path, step: int) -> None:
    begin = time.monotonic()
    while not (log.is_file() and f"\n{step}," in log.read_text()):
        assert process.poll() is None, "the run ended before it could be broken"
        assert time.monotonic() - begin < 120
        time.sleep(0.002)


def assert_same_run(one: Path, other: Path) -> None:
    """The log to 1e-5 and the weights to what Adam makes of rounding: it moves a weight by up to its rate whatever the gradient's size."""
    ours, theirs = (read_log(run / "log.csv") for run in (one, other))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs], rel=1e-5)
    assert ours[-1]["valid_loss"] == pytest.approx(theirs[-1]["valid_loss"], rel=1e-5)
    weights, wanted = (load_file(run / "model" / "model.safetensors") for run in (one, other))
    for name, values in wanted.items():
        torch.testing.assert_close(weights[name], values, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture(scope="module")
def whole(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on one process, unbroken."""
    out = tmp_path_factory.mktemp("whole") / "run"
    pretrain(corpus_path, out, model=MODEL, optimizer=OPTIMIZER, run=RUN)
    return out


@pytest.mark.slow
def test_torchrun_goes_on_after_a_process_is_killed(corpus_path: Path, tmp_path: Path, whole: Path) -> None:
    process = subprocess.Popen(
        command(2, corpus_path, tmp_path / "run", restarts=2), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_step(process, tmp_path / "run" / "log.csv", 5)
    os.kill(processes_of(process.pid)[1], signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err[-3000:]
    assert "Traceback" not in out
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_any_number_of_processes_goes_on(corpus_path: Path, tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(command(2, corpus_path, run), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_step(process, run / "log.csv", 8)
    os.kill(processes_of(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in err
    assert not (run / "summary.json").exists()
    assert checkpoints(run / "checkpoints")
    shutil.copytree(run, tmp_path / "four")
    assert pretrain(corpus_path, run, model=MODEL, optimizer=OPTIMIZER, run=RUN)["processes"] == 1
    assert_same_run(run, whole)
    done = subprocess.run(command(4, corpus_path, tmp_path / "four"), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_run(tmp_path / "four", whole)


def test_a_batch_that_cannot_be_shared_is_refused_in_one_line(corpus_path: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(2, corpus_path, tmp_path / "run", batch_size=25), env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    line = "sista pretrain: optimizer.batch_size 25 is that of all processes and cannot be shared by 2; make it a multiple of 2"
    assert line in done.stderr
    assert not (tmp_path / "run").exists()
