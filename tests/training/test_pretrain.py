"""A run: it ends, goes on after a kill with the same weights, and stops clearly when something is wrong."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sista
from sista.corpus.alone import alone
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods.clip import Clip
from sista.models.checkpoint import load_pretrained
from sista.training.log import read_log
from sista.training.pretrain import pretrain
from sista.training.restored import restore
from sista.training.settings import AugmentSettings, ModelSettings, OptimizerSettings, RunSettings
from sista.training.state import checkpoints

OPTIMIZER = OptimizerSettings(epochs=4, batch_size=24)
RUN = RunSettings(progress=False, checkpoint_every=3, evaluate_every=5, log_every=1)

SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from sista.training.pretrain import pretrain
from sista.training.settings import OptimizerSettings, RunSettings
run = RunSettings(progress=False, checkpoint_every=3, evaluate_every=5, log_every=1)
pretrain(Path(sys.argv[1]), Path(sys.argv[2]), optimizer=OptimizerSettings(epochs=4, batch_size=24), run=run)
"""


def test_a_run_leaves_what_it_promises(run_path: Path, corpus_path: Path) -> None:
    summary = json.loads((run_path / "summary.json").read_text())
    assert summary["steps"] == 3 * (len(Corpus.open(corpus_path).rows("train")) // 32)
    assert summary["pairs_per_second"] > 0
    log = read_log(run_path / "log.csv")
    for name in ("share_positives", "share_ignored", "share_negatives", "removed_precision", "removed_recall", "patches_per_word"):
        assert name in log[-1]
    assert 0 < log[-1]["moved_share"] < 0.5  # beta, and the own pair has some of it
    for name in (
        "moved_precision",
        "attention_entropy",
        "instance",
        "token",
        "gradient_norm",
        "wrong_film_gap",
        "valid_i2t_r10",
        "temperature",
    ):
        assert name in log[-1]
    assert log[-1]["share_positives"] + log[-1]["share_ignored"] + log[-1]["share_negatives"] == pytest.approx(1)
    assert not list(run_path.rglob("*.pt")) + list(run_path.rglob("*.pkl"))
    taught = Corpus.open(corpus_path).teacher("tfidf")
    asked = json.loads((run_path / "run.json").read_text())["cut_offs"]["0.01"]
    assert asked == {"similarity": taught(0.01), "share": taught.realised[0.01]}
    assert asked["share"] >= 0.01


def test_the_same_call_again_returns_at_once(run_path: Path, corpus_path: Path) -> None:
    begin = time.perf_counter()
    again = pretrain(corpus_path, run_path, optimizer=OptimizerSettings(epochs=3, batch_size=32), run=RunSettings(progress=False))
    assert time.perf_counter() - begin < 2
    assert again == json.loads((run_path / "summary.json").read_text())


def test_killed_and_resumed_equals_unbroken(corpus_path: Path, tmp_path: Path) -> None:
    """SIGKILL somewhere between two checkpoints; the resumed run ends with the same weights, bit for bit, and the same log."""
    pretrain(corpus_path, tmp_path / "whole", optimizer=OPTIMIZER, run=RUN)
    command = [sys.executable, "-c", SCRIPT, str(corpus_path), str(tmp_path / "killed")]
    process = subprocess.Popen(command)
    log = tmp_path / "killed" / "log.csv"
    goal = 4 + os.getpid() % 5  # a step that is another in each run of the tests
    while process.poll() is None and not (log.is_file() and f"\n{goal}," in log.read_text()):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "summary.json").exists()
    assert checkpoints(tmp_path / "killed" / "checkpoints")
    subprocess.run(command, check=True)
    whole = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    resumed = load_file(tmp_path / "killed" / "model" / "model.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    drop = {"seconds"}
    rows = [
        [{k: v for k, v in row.items() if k not in drop} for row in read_log(tmp_path / name / "log.csv")] for name in ("whole", "killed")
    ]
    assert rows[0] == rows[1]


def test_other_settings_in_the_same_folder_are_refused(run_path: Path, corpus_path: Path) -> None:
    with pytest.raises(SistaError, match=r"optimizer\.learning_rate: 0\.002 there, 0\.001 here"):
        pretrain(
            corpus_path, run_path, optimizer=OptimizerSettings(epochs=3, batch_size=32, learning_rate=1e-3), run=RunSettings(progress=False)
        )


def test_settings_that_one_call_has_and_the_other_leaves_out_are_told(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    same = {"optimizer": OptimizerSettings(epochs=3, batch_size=32), "run": RunSettings(progress=False)}
    with pytest.raises(SistaError, match=r"settings\.token_weight: 0\.1 there, 1\.0 here"):
        pretrain(corpus_path, run_path, settings={"token_weight": 1.0}, **same)
    floor = {"optimizer": OptimizerSettings(epochs=0, batch_size=32), "run": RunSettings(progress=False)}
    pretrain(corpus_path, tmp_path / "run", settings={"token_weight": 1.0}, **floor)
    with pytest.raises(SistaError, match=r"settings\.token_weight: 1\.0 there, 0\.1 here"):
        pretrain(corpus_path, tmp_path / "run", **floor)
    stated = json.loads((tmp_path / "run" / "run.json").read_text())
    stated["settings"] = {"token_weight": 1.0}  # as runs of earlier versions have them, the defaults left out
    (tmp_path / "run" / "run.json").write_text(json.dumps(stated))
    assert pretrain(corpus_path, tmp_path / "run", settings={"token_weight": 1.0}, **floor)["steps"] == 0


def test_what_a_run_of_no_steps_was_made_of_is_kept(corpus_path: Path, tmp_path: Path) -> None:
    floor = {"optimizer": OptimizerSettings(epochs=0, batch_size=32), "run": RunSettings(progress=False, seed=5)}
    pretrain(corpus_path, tmp_path / "run", method="fane", **floor)
    one, other = (restore(tmp_path / "run", Corpus.open(corpus_path)).state_dict() for _ in range(2))
    assert [name for name in one if name.startswith("pooling.")]  # FaNe's gates, which the model folder does not have
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_tensorboard_nothing_is_written(corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SistaError, match="tensorboard is not installed"):
        pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=RunSettings(progress=False, tensorboard=True))
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused(corpus_path: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(SistaError, match="not empty"):
        pretrain(corpus_path, tmp_path, optimizer=OPTIMIZER)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": OptimizerSettings(batch_size=4096)}, "lower --optimizer.batch_size"),
        ({"optimizer": OptimizerSettings(batch_size=1)}, "at least 2 pairs"),
        ({"optimizer": OptimizerSettings(learning_rate=-1.0, batch_size=8)}, r"learning_rate is -1\.0; it must be above zero"),
        ({"optimizer": OptimizerSettings(epochs=-1.0, batch_size=8)}, r"epochs is -1\.0; it must be 0 or more"),
        ({"optimizer": OptimizerSettings(epochs=math.inf, batch_size=8)}, "epochs is inf"),
        ({"optimizer": OptimizerSettings(learning_rate=math.nan, batch_size=8)}, "learning_rate is nan"),
        ({"optimizer": OptimizerSettings(beta2=math.nan, batch_size=8)}, "beta2 is nan"),
        ({"augment": AugmentSettings(rotation=math.inf)}, r"augment\.rotation is inf"),
        ({"augment": AugmentSettings(gamma=math.nan)}, r"augment\.gamma is nan"),
        ({"run": RunSettings(device="mps")}, "sista runs on cpu and cuda"),
        ({"method": "sitsa"}, "did you mean 'sista'"),
        ({"settings": {"sigmma": 0.5}}, "did you mean 'sigma'"),
        ({"settings": {"mode": "elminate"}}, "did you mean 'eliminate'"),
        ({"settings": {"words": "many"}}, "must be int"),
        ({"teacher": "tfdif"}, "tfidf"),
        ({"model": ModelSettings(image_encoder="resnet_50")}, "resnet50"),
        ({"model": ModelSettings(text_encoder="compakt")}, "compact"),
        ({"optimizer": OptimizerSettings(warmup=500, batch_size=8)}, r"optimizer\.warmup is 500; it is a share of the steps, 0 to 1"),
        ({"optimizer": OptimizerSettings(beta1=1.0, batch_size=8)}, r"optimizer\.beta1 is 1\.0; it is at least 0 and below 1"),
        ({"settings": {"negative_share": 3.0}}, r"settings\.negative_share is 3\.0; it is a share of pairs, 0 to 1"),
        ({"augment": AugmentSettings(shorten=20.0)}, r"augment\.shorten is 20\.0"),
        ({"run": RunSettings(seed=-1)}, r"run\.seed is -1; it must be at least 0"),
        ({"run": RunSettings(seed=2**64)}, r"it must be below 2\^63"),
        ({"model": ModelSettings(dim=0)}, r"model\.dim is 0; it must be at least 1"),
        ({"model": ModelSettings(image_size=0)}, r"model\.image_size is 0"),
        ({"model": ModelSettings(dropout=1.5)}, r"model\.dropout is 1\.5"),
        ({"augment": AugmentSettings(scale=1.0)}, r"augment\.scale is 1\.0; it must be 0 or more, and below 1"),
        ({"augment": AugmentSettings(shift=-0.1)}, r"augment\.shift is -0\.1; it must be 0 or more"),
        ({"settings": {"adaptive_offset": True, "token_weight": 0.0, "mode": "triage"}}, r"adaptive_offset: give theta_p and theta_n"),
        ({"settings": {"adaptive_offset": True}}, r"adaptive_offset: give theta_n"),
        ({"run": RunSettings(precision="fp64")}, "auto, bf16 or fp32"),
        ({"run": RunSettings(device="cuda:9")}, "CUDA"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(corpus_path: Path, tmp_path: Path, change: dict, message: str) -> None:
    settings = {"optimizer": OptimizerSettings(batch_size=24), **change}
    with pytest.raises(SistaError, match=message):
        pretrain(corpus_path, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_the_teacher_of_labels_needs_some(corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without, it says what `rules` does, and the run would be recorded as one that had seen labels."""
    monkeypatch.setattr(Corpus, "labels", lambda self, rows=None: np.full((1, 0 if rows is None else 2), np.nan))
    with pytest.raises(SistaError, match=r"teacher 'labels': no training report of corpus .* has a label; 'rules' reads"):
        pretrain(corpus_path, tmp_path / "run", method="medclip", teacher="labels", optimizer=OptimizerSettings(batch_size=24))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("pairs", "said"), [(0, "0 training pairs;"), (1, "1 training pair;")])
def test_no_batch_is_proposed_where_none_can_be(
    corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: int, said: str
) -> None:
    monkeypatch.setattr(Corpus, "rows", lambda self, split=None: range(pairs))
    with pytest.raises(SistaError, match=f"has {said} a contrast needs at least 2"):
        pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_names_the_studies(corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Clip.forward
    bad = {"step": 0}

    def poisoned(self: Clip, *args: object, **kwargs: object) -> object:
        result = forward(self, *args, **kwargs)
        bad["step"] += 1
        if bad["step"] < 5:
            return result
        return type(result)(result.loss * float("nan"), result.terms, result.statistics)

    monkeypatch.setattr(Clip, "forward", poisoned)
    with pytest.raises(SistaError, match=r"not finite at step 4 on studies phantom-.*step-0000003"):
        pretrain(
            corpus_path,
            tmp_path / "run",
            method="clip",
            optimizer=OPTIMIZER,
            run=RunSettings(progress=False, checkpoint_every=3, evaluate_every=0),
        )
    named = json.loads((tmp_path / "run" / "nonfinite.json").read_text())
    assert len(named["studies"]) == 24
    assert set(named["studies"]) <= set(Corpus.open(corpus_path).column("study_id"))
    assert [p.name for p in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-0000003"]


def test_a_full_disk_is_a_clear_error_and_nothing_half_written_counts(
    corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sista.training.state as state

    write = state.save_file
    calls = {"n": 0}

    def full(tensors: dict, file: Path, metadata: dict | None = None) -> None:
        calls["n"] += 1
        if calls["n"] > 3:
            Path(file).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(tensors, file, metadata=metadata)

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(SistaError, match=r"disk full.*goes on from the last checkpoint"):
        pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=RUN)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000003"]
    monkeypatch.setattr(state, "save_file", write)
    assert pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=RUN)["steps"] > 3


def test_accumulated_pairs_are_counted(corpus_path: Path, tmp_path: Path) -> None:
    summary = pretrain(
        corpus_path,
        tmp_path / "run",
        optimizer=OptimizerSettings(epochs=2, batch_size=16, accumulate=2),
        augment=AugmentSettings(shuffle_sentences=False),
        run=RunSettings(progress=False),
    )
    assert summary["pairs"] == summary["steps"] * 32


@pytest.mark.parametrize("image_encoder", ["test_vit", "test_resnet"])
@pytest.mark.parametrize("method", ["sista", "sista-paper", "clip"])
def test_other_encoders_and_methods(corpus_path: Path, tmp_path: Path, image_encoder: str, method: str) -> None:
    summary = pretrain(
        corpus_path,
        tmp_path / "run",
        method=method,
        teacher="labels",
        model=ModelSettings(image_encoder=image_encoder, hidden=32, dim=16),
        optimizer=OptimizerSettings(epochs=1, batch_size=24),
        run=RunSettings(progress=False, precision="bf16"),
    )
    assert summary["last"]["loss"] > 0


@pytest.mark.parametrize("block", [0, 1])
def test_words_may_look_at_the_patches_of_an_earlier_block(corpus_path: Path, tmp_path: Path, block: int) -> None:
    """The run's checkpoint knows which: maps and zero-shot answers are of the same patches."""
    pretrain(
        corpus_path,
        tmp_path / "run",
        model=ModelSettings(image_encoder="sista_vit", dim=16, patch_block=block),
        optimizer=OptimizerSettings(epochs=1, batch_size=24),
        run=RunSettings(progress=False),
    )
    model = sista.load(tmp_path / "run", device="cpu", precision="fp32")
    films = eval_view(Corpus.open(corpus_path).films([0, 1]), model.image_size)
    image = model.encoder.image
    assert image.patch_block == block
    with torch.inference_mode():
        expected = (
            image.model.patch_embed(films) if block == 0 else image.model.forward_intermediates(films, indices=[0])[1][0].flatten(2).mT
        )
        found = model.encoder.encode_images(films)[1]
        assert torch.allclose(found, model.encoder.patch_head(expected), atol=1e-5)
    assert model.patch_map(films, ["right pleural effusion"] * 2).shape == (2, *image.grid)


def test_a_checkpoint_cut_short_is_told_with_the_remedy(corpus_path: Path, tmp_path: Path) -> None:
    pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=RUN)
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    (tmp_path / "run" / "summary.json").unlink()
    file = newest / "method.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SistaError, match=f"{newest.name} cannot be read .*; remove it to go on from the one before"):
        pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=RUN)


def test_a_log_of_the_first_and_the_last_step(corpus_path: Path, tmp_path: Path) -> None:
    pretrain(corpus_path, tmp_path / "run", optimizer=OPTIMIZER, run=replace(RUN, log_every=0, evaluate_every=0, checkpoint_every=0))
    steps = [int(row["step"]) for row in read_log(tmp_path / "run" / "log.csv")]
    assert len(steps) == 2
    assert steps[0] == 1


@pytest.mark.parametrize(("method", "temperature"), [("convirt", 0.1), ("clip", 0.07), ("siglip", 0.1)])
def test_an_untrained_model_keeps_its_method_s_temperature(corpus_path: Path, tmp_path: Path, method: str, temperature: float) -> None:
    pretrain(corpus_path, tmp_path / "run", method, optimizer=OptimizerSettings(epochs=0), run=RunSettings(progress=False))
    card = load_pretrained(tmp_path / "run").card
    assert card["temperature"] == pytest.approx(temperature)
    assert card["films"] == {"display": {"window": "first", "frame": None}, "crop_borders": False}


def test_weights_that_a_step_has_spoilt_are_told_and_not_kept(corpus_path: Path, tmp_path: Path) -> None:
    """Its loss and gradient were finite; what came of them was not, and ended in a traceback or in a model of NaN."""
    wild = OptimizerSettings(epochs=0.2, batch_size=24, learning_rate=1e30, warmup=0.0)
    with pytest.raises(SistaError, match=r"not finite.*lower --optimizer\.learning_rate"):
        pretrain(corpus_path, tmp_path / "run", method="clip", optimizer=wild, run=RunSettings(progress=False))
    assert not (tmp_path / "run" / "model").exists()


def test_two_calls_do_not_train_in_one_folder(corpus_path: Path, tmp_path: Path) -> None:
    short = OptimizerSettings(epochs=0.2, batch_size=24)
    with alone(tmp_path / "run", "sista pretrain"), pytest.raises(SistaError, match="another `sista pretrain` is at work in"):
        pretrain(corpus_path, tmp_path / "run", method="clip", optimizer=short, run=RunSettings(progress=False))
    summary = pretrain(corpus_path, tmp_path / "run", method="clip", optimizer=short, run=RunSettings(progress=False))
    shutil.rmtree(tmp_path / "run" / "model")
    with pytest.raises(SistaError, match="a finished run without its model/; remove"):
        pretrain(corpus_path, tmp_path / "run", method="clip", optimizer=short, run=RunSettings(progress=False))
    (tmp_path / "run" / "summary.json").unlink()
    again = pretrain(corpus_path, tmp_path / "run", method="clip", optimizer=short, run=RunSettings(progress=False))
    assert (again["last"], (tmp_path / "run" / "model" / "config.json").is_file()) == (summary["last"], True)


@pytest.mark.parametrize("change", [{"batch_size": 24, "chunk": 1}, {"batch_size": 25, "chunk": 3}])
def test_a_batch_norm_that_would_see_one_row_is_told_before_anything_is_written(corpus_path: Path, tmp_path: Path, change: dict) -> None:
    with pytest.raises(SistaError, match="has a batch norm, which needs 2 pairs at once"):
        pretrain(corpus_path, tmp_path / "run", method="clip", model=ModelSettings(hidden=16), optimizer=OptimizerSettings(**change))
    assert not (tmp_path / "run").exists()
