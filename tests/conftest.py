"""Set-up for all tests: shapes checked, one thread, no network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jaxtyping

hook = jaxtyping.install_import_hook(["sista.objectives", "sista.models"], "beartype.beartype")

import torch  # noqa: E402  after the hook, as everything that may import sista

torch.set_num_threads(1)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom corpus: 160 studies at 64 px."""
    from sista.archives.build import build
    from sista.archives.phantom import Phantom

    out = tmp_path_factory.mktemp("corpus") / "phantom"
    build(Phantom(160, size=64), out, workers=1, progress=False, fractions=(0.6, 0.2, 0.2), teachers=["tfidf", "labels"])
    return out


@pytest.fixture(scope="session")
def run_path(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short SISTA run on it."""
    from sista.training.pretrain import pretrain
    from sista.training.settings import OptimizerSettings, RunSettings

    out = tmp_path_factory.mktemp("run") / "sista"
    pretrain(corpus_path, out, optimizer=OptimizerSettings(epochs=3, batch_size=32), run=RunSettings(progress=False))
    return out
