from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sista.corpus.build import build_corpus
from sista.corpus.study import Study
from sista.errors import SistaError
from tests.corpus.test_build import SMALL, Deadly, content
from tests.corpus.tiny_archive import TinyArchive


def test_without_ray_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SistaError, match=r"engine 'ray' needs Ray .*pip install -e '\.\[ray\]'"):
        build_corpus(TinyArchive(4), tmp_path / "c", **SMALL, engine="ray")
    with pytest.raises(SistaError, match="engine 'rey': did you mean 'ray'"):
        build_corpus(TinyArchive(4), tmp_path / "d", **SMALL, engine="rey")


@dataclass
class OnceDeadly(TinyArchive):
    """Ends the process that first reads its tenth study, as a lost machine would; `marker` remembers that it did."""

    marker: Path | None = None

    def __getitem__(self, index: int) -> Study:
        assert self.marker is not None
        if index == 9:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra `ray`)")
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_worker_is_killed_in_the_middle_and_the_bytes_are_the_same(tmp_path: Path, two_workers: Any) -> None:
    marker = tmp_path / "killed"
    build_corpus(TinyArchive(24, broken=(5,)), tmp_path / "processes", **SMALL)
    build_corpus(OnceDeadly(24, broken=(5,), marker=marker), tmp_path / "ray", **{**SMALL, "workers": 2}, engine="ray")
    assert marker.exists()
    assert content(tmp_path / "ray") == content(tmp_path / "processes")


@pytest.mark.slow
def test_errors_of_a_worker_are_those_of_the_process(tmp_path: Path, two_workers: Any) -> None:
    with pytest.raises(SistaError, match=r"study number 3: made to fail: study 3\. Mend it"):
        build_corpus(TinyArchive(6, broken=(3,)), tmp_path / "c", **SMALL, engine="ray", on_error="refuse")
    with pytest.raises(SistaError, match=r"Ray lost the reader of a part 4 times"):
        build_corpus(Deadly(8), tmp_path / "d", **{**SMALL, "workers": 2}, engine="ray")


@pytest.mark.slow
def test_what_was_built_by_processes_is_finished_by_ray(tmp_path: Path, two_workers: Any) -> None:
    build_corpus(TinyArchive(12), tmp_path / "whole", **SMALL)
    build_corpus(TinyArchive(12), tmp_path / "cut", **SMALL)
    for name in ("corpus.json", "studies/part-00001.json", "studies/part-00001.arrow"):
        (tmp_path / "cut" / name).unlink()
    build_corpus(TinyArchive(12), tmp_path / "cut", **SMALL, engine="ray")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
