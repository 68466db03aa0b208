import pytest
import torch

from sista.errors import SistaError
from sista.objectives.pseudo_labels import PseudoLabels

from .inputs import WAITING, Operators, random_unit


def batches(count, pairs=6, dim=4):
    return [random_unit(pairs, dim, seed=seed, dtype=torch.float32) for seed in range(count)]


def run(labels, some, start=0):
    for number, batch in enumerate(some, start):
        labels.update(batch, torch.Generator().manual_seed(number))


def test_the_memory_holds_the_last_embeddings():
    labels = PseudoLabels(4, [2], memory=8, every=1000)
    some = batches(5)
    run(labels, some)
    seen = torch.cat(some)
    held = {tuple(v) for v in labels.vectors.tolist()}
    assert held == {tuple(v) for v in seen[-8:].tolist()}
    assert labels.counts.tolist() == [5, 30, 0]


def test_a_batch_larger_than_the_memory():
    labels = PseudoLabels(4, [2], memory=4, every=1000)
    (batch,) = batches(1)
    labels.update(batch)
    assert {tuple(v) for v in labels.vectors.tolist()} == {tuple(v) for v in batch[-4:].tolist()}


def test_nothing_is_said_before_the_first_clustering_or_at_rate_zero():
    labels = PseudoLabels(4, [2, 8], memory=16, every=1, ramp=0)
    some = batches(4)
    run(labels, some[:1])
    assert labels.alike(some[0]) == []  # 6 embeddings, 8 clusters
    run(labels, some[1:2])
    assert [pairs.shape for pairs in labels.alike(some[0])] == [(6, 6), (6, 6)]
    never = PseudoLabels(4, [2], memory=16, every=1, ramp=0, final=0.0)
    run(never, some)
    assert never.alike(some[0]) == []


def test_more_pairs_are_alike_as_the_rate_rises_and_all_of_a_cluster_at_the_end():
    some, shares = batches(12), []
    for final in (0.1, 0.5, 1.0):
        labels = PseudoLabels(4, [2], memory=64, every=1, ramp=0, final=final)
        run(labels, some)
        shares.append(labels.alike(torch.cat(some))[0].float().mean().item())
    assert shares == sorted(shares)
    assert shares[0] < shares[2]
    assert shares[2] >= 0.5  # two clusters: at least half of the pairs


def test_it_goes_on_from_its_buffers():
    some = batches(9)
    whole = PseudoLabels(4, [2, 3], memory=20, every=2, ramp=6)
    run(whole, some)
    first = PseudoLabels(4, [2, 3], memory=20, every=2, ramp=6)
    run(first, some[:5])
    second = PseudoLabels(4, [2, 3], memory=20, every=2, ramp=6)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    run(second, some[5:], 5)
    assert all(torch.equal(whole.state_dict()[name], value) for name, value in second.state_dict().items())
    assert (second.batches, second.seen, second.clusterings) == (9, 54, 4)


def test_no_step_between_clusterings_waits_for_the_device():
    labels = PseudoLabels(4, [2], memory=16, every=2, ramp=0)
    some = batches(3)
    run(labels, some[:2])
    with Operators() as seen:
        labels.alike(some[0])
        labels.update(some[2])
    assert not WAITING & set(seen.names)


@pytest.mark.parametrize(
    "wrong",
    [{"clusters": [32]}, {"clusters": [1]}, {"clusters": []}, {"clusters": [2, 2]}, {"every": 0}, {"final": 2.0}, {"concentration": 0.0}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(SistaError, match="give"):
        PseudoLabels(**{"dim": 4, "clusters": [2], "memory": 16, **wrong})
