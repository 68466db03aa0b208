import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods.ifnd import Ifnd
from sista.training.log import read_log
from sista.training.pretrain import pretrain
from sista.training.settings import OptimizerSettings, RunSettings
from sista.training.state import checkpoints

from .samples import cosines, cross_entropy, finite_in_bf16, learner, result, small_batch, step

SMALL = {"clusters": "3,5", "memory": 48, "every": 1, "ramp": 0}
RUN = RunSettings(progress=False, checkpoint_every=3, evaluate_every=5, log_every=1)


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


def removed_loss(logits, pairs):
    """InfoNCE over the rows' reduced sets, by hand."""
    total = 0.0
    for i in range(len(logits)):
        below = sum(math.exp(logits[i, k]) for k in range(len(logits)) if k == i or not pairs[i][k])
        total -= math.log(math.exp(logits[i, i]) / below)
    return total / len(logits)


@pytest.mark.parametrize("space", ["image", "text"])
@pytest.mark.parametrize("mode", ["eliminate", "attract"])
def test_the_formula(batch, mode, space):
    method = learner("ifnd", mode=mode, space=space, **SMALL)
    step(method, batch)
    logits = cosines(method, batch) / 0.07
    image, text = method.embed(batch, eval_view(batch.images, 64))
    each = []
    for pairs in method.labels.alike((image if space == "image" else text).detach()):
        assert pairs.sum() > 12
        if mode == "eliminate":
            each += [removed_loss(logits, pairs.tolist()), removed_loss(logits.T, pairs.tolist())]
        else:
            weights = (pairs | torch.eye(12, dtype=torch.bool)).double()
            weights = (weights / weights.sum(1, keepdim=True)).numpy()
            each += [cross_entropy(logits, weights), cross_entropy(logits.T, weights)]
    assert step(method, batch).loss.item() == pytest.approx(sum(each) / 4, rel=1e-5)


def test_an_acceptance_of_zero_is_clip_bit_for_bit(corpus_path, tmp_path):
    finals = {}
    for name, settings in (("clip", {}), ("ifnd", {**SMALL, "acceptance": 0.0})):
        pretrain(
            corpus_path, tmp_path / name, method=name, settings=settings, optimizer=OptimizerSettings(epochs=1, batch_size=24), run=RUN
        )
        finals[name] = load_file(tmp_path / name / "model" / "model.safetensors")
    assert all(torch.equal(value, finals["ifnd"][name]) for name, value in finals["clip"].items())


def test_before_the_first_clustering_it_is_clip(batch):
    ours, clip = result(batch, "ifnd"), result(batch, "clip")
    assert torch.equal(ours.loss, clip.loss)
    assert ours.statistics["acceptance"] == 0


def test_the_acceptance_that_is_logged_is_the_one_in_force(batch):
    method, logged = learner("ifnd", clusters="3,5", memory=48, every=3, ramp=12), []
    for _ in range(8):
        logged.append(step(method, batch).statistics["acceptance"].item())
    assert logged == pytest.approx([0, 0, 0, 0.25, 0.25, 0.25, 0.5, 0.5])


def test_evaluation_remembers_nothing(batch):
    method = learner("ifnd", **SMALL)
    step(method, batch)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.eval()
    with torch.inference_mode():
        step(method, batch)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items() if name.startswith("labels."))
    method.train()
    step(method, batch).loss.backward()


def test_interrupted_and_resumed_equals_unbroken(corpus_path, tmp_path, monkeypatch):
    forward, calls = Ifnd.forward, {"n": 0}
    settings = {"clusters": "3,5", "memory": 48, "every": 2, "ramp": 6}

    def train(name: str) -> Path:
        optimizer = OptimizerSettings(epochs=2, batch_size=24)
        pretrain(corpus_path, tmp_path / name, method="ifnd", settings=settings, optimizer=optimizer, run=RUN)
        return tmp_path / name

    def stopped(self, *args, **kwargs):
        calls["n"] += self.training
        if calls["n"] == 6:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    whole = train("whole")
    monkeypatch.setattr(Ifnd, "forward", stopped)
    with pytest.raises(KeyboardInterrupt):
        train("broken")
    assert [p.name for p in checkpoints(tmp_path / "broken" / "checkpoints")] == ["step-0000003"]
    monkeypatch.setattr(Ifnd, "forward", forward)
    broken = train("broken")
    for file in ("model/model.safetensors", f"checkpoints/{checkpoints(whole / 'checkpoints')[-1].name}/method.safetensors"):
        ours, theirs = load_file(broken / file), load_file(whole / file)
        assert all(torch.equal(value, ours[name]) for name, value in theirs.items())
    log = read_log(whole / "log.csv")
    assert log[0]["share_ignored"] == 0 < log[-1]["share_ignored"]
    assert log[-1]["acceptance"] == pytest.approx(1.0)


def test_bf16_and_settings(batch):
    finite_in_bf16(batch, "ifnd", **SMALL)
    for wrong, message in (
        ({"mode": "eliminat"}, "did you mean 'eliminate'"),
        ({"space": "film"}, "known: image, text"),
        ({"clusters": "many"}, "numbers with commas"),
        ({"memory": 100}, "from 2 to 100"),
        ({"clusters": "64,64"}, "different numbers"),
    ):
        with pytest.raises(SistaError, match=message):
            learner("ifnd", **wrong)
    assert learner("ifnd", clusters=[3, 5]).labels.clusters == (3, 5)
