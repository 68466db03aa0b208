"""Training that starts from an earlier run: its weights, its tokenizer, its model settings."""

import shutil
from pathlib import Path

import pytest
import torch

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.models.checkpoint import load_pretrained
from sista.training.pretrain import pretrain
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings

NO_STEP = OptimizerSettings(epochs=0, batch_size=24)
QUIET = RunSettings(progress=False, seed=3)


def test_the_weights_are_those_of_the_run_and_go_on_from_there(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    start = ModelSettings(start=str(run_path))
    pretrain(corpus_path, tmp_path / "same", model=start, optimizer=NO_STEP, run=QUIET)
    earlier, same = (load_pretrained(path).encoder.state_dict() for path in (run_path, tmp_path / "same"))
    assert all(torch.equal(earlier[name], same[name]) for name in earlier)
    fresh = pretrain(corpus_path, tmp_path / "fresh", method="clip", optimizer=OptimizerSettings(epochs=1, batch_size=24), run=QUIET)
    further = pretrain(
        corpus_path, tmp_path / "further", method="clip", model=start, optimizer=OptimizerSettings(epochs=1, batch_size=24), run=QUIET
    )
    assert further["last"]["loss"] < fresh["last"]["loss"]


def test_another_corpus_takes_the_tokenizer_of_the_run(run_path: Path, tmp_path: Path) -> None:
    archive = Phantom(80, seed=9, size=64)
    build(archive, tmp_path / "other", workers=1, progress=False)
    start = ModelSettings(start=str(run_path))
    with pytest.raises(SistaError, match=r"another tokenizer than .*: build it with --tokenizer") as told:
        pretrain(tmp_path / "other", tmp_path / "run", model=start, optimizer=NO_STEP, run=QUIET)
    tokenizer = str(told.value).rpartition(" ")[2]
    build(archive, tmp_path / "fitting", workers=1, progress=False, tokenizer=tokenizer)
    pretrain(tmp_path / "fitting", tmp_path / "run", model=start, optimizer=NO_STEP, run=QUIET)
    assert Corpus.open(tmp_path / "fitting").fingerprint != Corpus.open(tmp_path / "other").fingerprint


def test_other_model_settings_are_told(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    """Also those that no tensor's shape tells: vectors pooled otherwise are no start, and were taken for one."""
    for other, told in (({"dim": 64}, "dim: 128 there, 64 here"), ({"text_pooling": "cls"}, "text.pooling: mean there, cls here")):
        with pytest.raises(SistaError, match=rf"made with other model settings \({told}"):
            pretrain(corpus_path, tmp_path / "run", model=ModelSettings(start=str(run_path), **other), optimizer=NO_STEP, run=QUIET)
    model = ModelSettings(start=str(run_path), image_encoder="resnet18")
    with pytest.raises(SistaError, match=r"does not fit the model settings: \S+ is .* there, .* here"):
        pretrain(corpus_path, tmp_path / "run", model=model, optimizer=NO_STEP, run=QUIET)
    free = ModelSettings(start=run_path, dropout=0.3)  # type: ignore[arg-type]  a path will do, and dropout is no part of the start
    pretrain(corpus_path, tmp_path / "free", model=free, optimizer=NO_STEP, run=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_from_its_checkpoint_where_the_start_is_gone(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    shutil.copytree(run_path / "model", tmp_path / "start")
    model, optimizer = ModelSettings(start=str(tmp_path / "start")), OptimizerSettings(epochs=0.3, batch_size=24)
    whole = pretrain(corpus_path, tmp_path / "run", method="clip", model=model, optimizer=optimizer, run=QUIET)
    (tmp_path / "run" / "summary.json").unlink()
    shutil.rmtree(tmp_path / "start")
    again = pretrain(corpus_path, tmp_path / "run", method="clip", model=model, optimizer=optimizer, run=QUIET)
    assert again["last"] == whole["last"]
