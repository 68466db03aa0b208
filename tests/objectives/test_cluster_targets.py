import math

import pytest
import torch

from sista.errors import SistaError
from sista.objectives.cluster_targets import (
    acceptance_rate,
    acceptance_threshold,
    assign,
    cluster_targets,
    false_negatives,
)
from sista.objectives.contrastive import contrast, contrast_rows
from sista.objectives.targets import identity_targets

from .inputs import fx, random_unit, unit

Q, K, QUEUE = unit(fx((6, 8), 0.1)), unit(fx((6, 8), 0.6)), unit(fx((20, 8), 1.7))
LOGITS = torch.cat([(Q * K).sum(1, keepdim=True), Q @ QUEUE.T], dim=1) / 0.2  # column 0: the own key, then the queue
OWN = torch.zeros(6, dtype=torch.int64)
LABELS, QUEUE_LABELS = torch.arange(6) % 3, torch.arange(20) % 4
ACCEPTED = torch.arange(20) % 5 != 0


def queue_pairs(accepted):
    removed = false_negatives(LABELS, torch.ones(6, dtype=torch.bool), QUEUE_LABELS, accepted)
    return torch.cat([torch.zeros(6, 1, dtype=torch.bool), removed], dim=1)


def test_golden_elimination_with_oracle_labels():
    """The values of the specification's section 6, all labels of the anchors accepted."""
    removed = queue_pairs(ACCEPTED)
    assert removed.sum() == 24
    assert contrast(LOGITS, cluster_targets(removed, own=OWN)).item() == pytest.approx(0.4514346935157228, abs=1e-12)
    nothing = queue_pairs(torch.zeros(20, dtype=torch.bool))
    assert contrast(LOGITS, cluster_targets(nothing, own=OWN)).item() == pytest.approx(0.5724204782280743, abs=1e-12)


@pytest.mark.parametrize("mode", ["eliminate", "attract"])
def test_the_formulas(mode):
    alike = queue_pairs(ACCEPTED)
    ours = contrast_rows(LOGITS, cluster_targets(alike, mode, OWN, torch.float64))
    for i in range(6):
        z = [math.exp(v) for v in LOGITS[i]]
        if mode == "eliminate":
            below = z[0] + sum(z[k] for k in range(1, 21) if not alike[i, k])
            wanted = -math.log(z[0] / below)
        else:
            positives = [0] + [k for k in range(1, 21) if alike[i, k]]
            wanted = -sum(math.log(z[p] / sum(z)) for p in positives) / len(positives)
        assert ours[i].item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("mode", ["eliminate", "attract"])
def test_nothing_alike_is_identity(mode):
    targets = cluster_targets(torch.zeros(6, 6, dtype=torch.bool), mode)
    assert torch.equal(targets.weights, identity_targets(6).weights)
    assert torch.equal(targets.allowed, identity_targets(6).allowed)


def test_everything_alike():
    alike = torch.ones(6, 6, dtype=torch.bool)
    assert contrast(LOGITS[:, :6], cluster_targets(alike)).item() == 0
    assert torch.equal(cluster_targets(alike, "attract").weights, torch.full((6, 6), 1 / 6))


def test_both_must_be_accepted():
    label = torch.tensor([0, 0, 0, 1])
    accepted = torch.tensor([True, True, False, True])
    found = false_negatives(label, accepted, label, accepted)
    assert found[0, 1]
    assert not found[0, 2]
    assert not found[2, 0]
    assert not found[0, 3]


def test_confidence_is_the_softmax_at_the_assigned_centroid():
    points, centroids = random_unit(7, 5), random_unit(3, 5, seed=1)
    label, confidence = assign(points, centroids, 0.2)
    for i in range(7):
        z = [math.exp(points[i] @ c / 0.2) for c in centroids]
        assert label[i] == z.index(max(z))
        assert confidence[i].item() == pytest.approx(max(z) / sum(z), abs=1e-12)


def test_the_surest_share_is_accepted():
    confidence = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    for rate in (0.0, 0.1, 0.5, 1.0):
        kept = confidence >= acceptance_threshold(confidence, rate)
        assert kept.float().mean().item() == pytest.approx(rate, abs=0.002)
        assert not kept.any() or kept.all() or confidence[kept].min() > confidence[~kept].max()
    assert acceptance_threshold(confidence, 1.0) == -math.inf


def test_the_rate_rises_in_a_straight_line():
    assert [acceptance_rate(t, 10, 0.8) for t in (0, 5, 10, 99)] == pytest.approx([0.0, 0.4, 0.8, 0.8])
    assert acceptance_rate(0, 0) == 1


def test_unknown_modes():
    with pytest.raises(SistaError, match="did you mean 'attract'"):
        cluster_targets(torch.zeros(2, 2, dtype=torch.bool), "atract")
