import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sista.errors import SistaError
from sista.methods import require_teacher
from sista.training.pretrain import pretrain

from .samples import cosines, cross_entropy, finite_in_bf16, learner, result, small_batch, step


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


@pytest.mark.parametrize("label_temperature", [1.0, 0.2])
def test_the_formula(batch, label_temperature):
    method = learner("medclip", label_temperature=label_temperature)
    labels, keys = batch.teacher.double().numpy(), batch.report_key.numpy()
    wanted = np.zeros((12, 12))
    for i in range(12):
        alike = [1.0 if keys[i] == keys[j] else labels[i] @ labels[j] for j in range(12)]
        below = sum(math.exp(s / label_temperature) for s in alike)
        wanted[i] = [math.exp(s / label_temperature) / below for s in alike]
    logits = cosines(method, batch) / 0.07
    loops = (cross_entropy(logits, wanted) + cross_entropy(logits.T, wanted)) / 2
    assert step(method, batch).loss.item() == pytest.approx(loops, rel=1e-5)


def test_sharp_targets_of_unlike_studies_are_clip(corpus_path):
    batch = replace(small_batch(corpus_path, unique=True), teacher=torch.eye(12))
    ours, clip = result(batch, "medclip", label_temperature=0.005), result(batch, "clip")
    torch.testing.assert_close(ours.loss, clip.loss, rtol=1e-6, atol=0)


def test_a_teacher_without_labels_is_refused_before_anything_is_written(corpus_path, tmp_path):
    for teacher in ("tfidf", "hf:somewhere/bert"):
        with pytest.raises(SistaError, match=rf"'medclip' can do nothing with teacher '{teacher}'; give one of labels, rules, oracle"):
            pretrain(corpus_path, tmp_path / "run", method="medclip", teacher=teacher)
    assert not (tmp_path / "run").exists()
    for teacher in ("labels", "rules", "oracle"):
        require_teacher("medclip", teacher)
    require_teacher("clip", "tfidf")


def test_bf16(batch):
    finite_in_bf16(batch, "medclip")
