"""Several processes: loss and gradients are those of the whole batch on one device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.methods import METHODS
from sista.training.gather import share_of
from sista.training.pretrain import pretrain
from sista.training.processes import Processes, join
from sista.training.settings import OptimizerSettings
from tests.training.shared import assert_equal, gradients, make_fit, shared_gradients


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def parted(request: pytest.FixtureRequest, corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gradients of every method, computed by 2 and by 4 processes with augmentation."""
    out = tmp_path_factory.mktemp(f"gradients-{request.param}")
    shared_gradients(request.param, corpus_path, out)
    return out


@pytest.mark.parametrize("method", METHODS)
def test_loss_and_gradients_are_those_of_the_whole_batch(parted: Path, corpus_path: Path, method: str) -> None:
    whole = gradients(make_fit(Corpus.open(corpus_path), method))
    assert_equal(load_file(parted / f"{method}.safetensors"), whole)


def test_chunks_within_the_processes(parted: Path, corpus_path: Path) -> None:
    assert_equal(load_file(parted / "chunks.safetensors"), gradients(make_fit(Corpus.open(corpus_path), "sista")))


@pytest.mark.parametrize(("total", "world"), [(24, 4), (7, 3), (3, 2)])
def test_shares_cover_all_rows_once(total: int, world: int) -> None:
    shares = [share_of(total, rank, world) for rank in range(world)]
    assert np.concatenate([np.arange(total)[share] for share in shares]).tolist() == list(range(total))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == -(-total // world)


def test_films_are_read_once_and_texts_by_all(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    whole = make_fit(corpus, "clip")._loader().batch(5)
    parts = [make_fit(corpus, "clip", processes=Processes(rank, 2, rank))._loader().batch(5) for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    for part in parts:
        assert torch.equal(part.pieces, whole.pieces)
        assert torch.equal(part.teacher, whole.teacher)
        assert torch.equal(part.rows, whole.rows)


def test_alone_without_torchrun() -> None:
    with join("cpu") as (processes, device):
        assert processes == Processes()
        assert device.type == "cpu"
        assert processes.from_first(lambda: 3) == processes.in_turn(lambda: 3) == 3


def test_a_batch_that_cannot_be_shared_is_refused(corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sista.training.pretrain as module

    class Three:
        def __enter__(self) -> tuple[Processes, torch.device]:
            return Processes(0, 3, 0), torch.device("cpu")

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(module, "join", lambda name: Three())
    with pytest.raises(SistaError, match="batch_size 16 is that of all processes and cannot be shared by 3"):
        pretrain(corpus_path, tmp_path / "run", optimizer=OptimizerSettings(batch_size=16))
    assert not (tmp_path / "run").exists()


def test_a_process_that_loses_the_others_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed as distributed

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    lost = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4242\nmore")
    with (
        pytest.raises(SistaError, match=r"process 1 of 2 lost the others .*Connection closed by peer.*same command again") as caught,
        join("cpu"),
    ):
        raise lost
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="shape"), join("cpu"):
        raise RuntimeError("mat1 and mat2 shape mismatch")


def test_one_device_for_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SistaError, match="names one device for 2 processes"), join("cuda:0"):
        pass
    monkeypatch.setenv("LOCAL_RANK", "1")
    with (
        pytest.raises(
            SistaError, match="process 1 of this machine has no CUDA device, there are 1; start torchrun with --nproc_per_node 1"
        ),
        join("cuda"),
    ):
        pass
