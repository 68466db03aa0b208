import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sista.errors import SistaError

from .samples import cosines, cross_entropy, finite_in_bf16, learner, result, small_batch, step


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


@pytest.mark.parametrize("smoothing", ["exp", "sigmoid"])
def test_the_formula(batch, smoothing):
    method = learner("imitate", smoothing=smoothing, ratio=0.3, weight=0.2)
    vectors, keys = batch.teacher.double().numpy(), batch.report_key.numpy()
    wanted = np.eye(12)
    for i in range(12):
        for j in range(12):
            c = 0.0 if i == j else max(0.0, 1.0 if keys[i] == keys[j] else vectors[i] @ vectors[j])
            wanted[i, j] += 0.2 * (1 - math.exp(-0.3 * c) if smoothing == "exp" else 1 / (1 + math.exp(-c)))
    logits = cosines(method, batch) / 0.07
    loops = (cross_entropy(logits, wanted) + cross_entropy(logits.T, wanted)) / 2
    assert step(method, batch).loss.item() == pytest.approx(loops, rel=1e-5)


@pytest.mark.parametrize("off", [{"weight": 0.0}, {"ratio": 0.0}])
def test_without_the_prior_it_is_clip(batch, off):
    ours, clip = result(batch, "imitate", **off), result(batch, "clip", learn_temperature=False)
    assert torch.equal(ours.loss, clip.loss)


def test_unlike_reports_are_clip(batch):
    unlike = replace(batch, teacher=torch.eye(12), report_key=torch.arange(12))
    assert torch.equal(result(unlike, "imitate").loss, result(unlike, "clip", learn_temperature=False).loss)


def test_bf16_and_settings(batch):
    finite_in_bf16(batch, "imitate")
    with pytest.raises(SistaError, match="did you mean 'exp'"):
        learner("imitate", smoothing="expo")
