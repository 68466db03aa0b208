import pytest
import torch

from sista.errors import SistaError
from tests.objectives import reference

from .samples import cosines, finite_in_bf16, learner, result, small_batch, step


@pytest.fixture(scope="module")
def batch(corpus_path):
    return small_batch(corpus_path)


@pytest.mark.parametrize(("theta_p", "theta_n"), [(0.9, 0.3), (0.5, 0.5), (2.0, 0.2)])
def test_the_formula(batch, theta_p, theta_n):
    method = learner("sat", theta_p=theta_p, theta_n=theta_n)
    vectors = batch.teacher.double()
    alike = (vectors @ vectors.T).masked_fill(batch.report_key[:, None] == batch.report_key, 2.0).numpy()
    logits = cosines(method, batch) / 0.1
    loops = (reference.triage_loss(logits, alike, theta_p, theta_n) + reference.triage_loss(logits.T, alike, theta_p, theta_n)) / 2
    assert step(method, batch).loss.item() == pytest.approx(loops, rel=1e-5)


def test_cut_offs_above_everything_are_clip(corpus_path):
    batch = small_batch(corpus_path, unique=True)
    ours = result(batch, "sat", theta_p=2.0, theta_n=2.0)
    torch.testing.assert_close(ours.loss, result(batch, "clip", temperature=0.1).loss, rtol=1e-6, atol=0)


def test_it_is_the_instance_term_of_sista_paper(batch):
    ours = result(batch, "sat", temperature=0.07)
    theirs = result(batch, "sista-paper", token_weight=0.0)
    assert torch.equal(ours.loss, theirs.loss)


def test_cut_offs_come_from_the_shares_of_pairs(batch):
    asked = []

    def cutoff(share):
        asked.append(share)
        return {0.02: 0.95, 0.2: 0.4}[share]

    method = learner("sat", cutoff=cutoff, positive_share=0.02, negative_share=0.2)
    assert asked == [0.02, 0.2]
    assert (method.instance.theta_p, method.instance.theta_n) == (0.95, 0.4)
    asked.clear()
    given = learner("sat", cutoff=cutoff, theta_p=0.98, theta_n=0.97)
    assert asked == []
    assert (given.instance.theta_p, given.instance.theta_n) == (0.98, 0.97)


@pytest.mark.parametrize("name", ["sat", "sista-paper"])
def test_a_cut_off_for_negatives_above_that_for_positives_is_refused(name):
    with pytest.raises(SistaError, match=r"theta_n 0\.9 lies above theta_p 0\.5"):
        learner(name, theta_p=0.5, theta_n=0.9)
    shares = {"positive_share": 0.2, "negative_share": 0.02}  # more pairs are positives than may be no negatives: none is left out
    assert learner(name, cutoff=lambda share: {0.2: 0.4, 0.02: 0.95}[share], **shares).instance.theta_n == 0.4


def test_bf16(batch):
    finite_in_bf16(batch, "sat")
