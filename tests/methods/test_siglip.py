import math

import numpy as np
import pytest
import torch

from sista.errors import SistaError

from .samples import cosines, finite_in_bf16, learner, result, small_batch, step


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


def loops(scores, pairs, log_scale, bias):
    """The paper's algorithm 1: -1/B sum_ij log sigmoid( h_ij ( exp(t') s_ij + b ) )."""
    total = 0.0
    for i in range(len(scores)):
        for j in range(len(scores)):
            z = (1 if pairs[i, j] else -1) * (math.exp(log_scale) * scores[i, j] + bias)
            total += math.log1p(math.exp(-z))
    return total / len(scores)


@pytest.mark.parametrize(("log_scale", "bias"), [(math.log(10), -10.0), (0.5, 1.0)])
def test_the_formula(batch, log_scale, bias):
    method = learner("siglip", log_scale=log_scale, bias=bias)
    same = (batch.report_key[:, None] == batch.report_key).numpy()
    wanted = loops(cosines(method, batch), same, log_scale, bias)
    assert step(method, batch).loss.item() == pytest.approx(wanted, rel=1e-5)


def test_only_own_pairs_are_positives_unless_the_report_is_the_same(corpus_path):
    batch = small_batch(corpus_path, unique=True)
    method = learner("siglip")
    wanted = loops(cosines(method, batch), np.eye(12), math.log(10), -10.0)
    found = step(method, batch)
    assert found.loss.item() == pytest.approx(wanted, rel=1e-5)
    assert found.statistics["share_positives"] == 0
    batch.report_key[3] = 5
    twins = step(method, batch)
    assert twins.statistics["share_positives"].item() == pytest.approx(2 / (12 * 11))


def test_a_scale_out_of_its_range_is_called_by_its_name():
    with pytest.raises(SistaError, match=r"setting log_scale of method 'siglip' is 5; give a value from 0 to 4\.605"):
        learner("siglip", log_scale=5.0)
    assert learner("siglip", log_scale=math.log(100.0)).instance.temperature.item() == pytest.approx(0.01)


def test_scale_and_bias_are_learned_and_start_where_the_paper_has_them(batch):
    method = learner("siglip")
    assert method.instance.temperature.item() == pytest.approx(0.1)
    assert method.instance.bias.item() == 10.0  # FaNe's sign
    step(method, batch).loss.backward()
    assert method.instance.log_scale.grad != 0
    assert method.instance.bias.grad != 0


def test_no_cut_off_of_the_teacher_counts(batch):
    assert torch.equal(result(batch, "siglip", cutoff=lambda share: -1.0).loss, result(batch, "siglip").loss)


def test_bf16(batch):
    finite_in_bf16(batch, "siglip")
