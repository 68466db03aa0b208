import numpy as np
import pytest
import torch

from sista.errors import SistaError

from .samples import cosines, cross_entropy, finite_in_bf16, learner, result, small_batch, step


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


@pytest.mark.parametrize("weight", [0.75, 0.0, 1.0])
def test_the_formula(batch, weight):
    method = learner("convirt", image_to_text=weight)
    logits = cosines(method, batch) / 0.1
    wanted = weight * cross_entropy(logits, np.eye(12)) + (1 - weight) * cross_entropy(logits.T, np.eye(12))
    assert step(method, batch).loss.item() == pytest.approx(wanted, rel=1e-5)


def test_equal_weights_are_clip_at_the_same_temperature(batch):
    ours = result(batch, "convirt", image_to_text=0.5)
    clip = result(batch, "clip", temperature=0.1, learn_temperature=False)
    assert torch.equal(ours.loss, clip.loss)
    assert ours.statistics.keys() == clip.statistics.keys()


def test_the_temperature_is_fixed(batch):
    method = learner("convirt")
    step(method, batch).loss.backward()
    assert not method.instance.log_scale.requires_grad
    assert method.instance.temperature.item() == pytest.approx(0.1)


def test_bf16_and_settings(batch):
    finite_in_bf16(batch, "convirt")
    with pytest.raises(SistaError, match="give 0 to 1"):
        learner("convirt", image_to_text=1.5)
