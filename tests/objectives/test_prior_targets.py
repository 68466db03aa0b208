import math

import pytest
import torch

from sista.errors import SistaError
from sista.objectives.prior_targets import prior_targets
from sista.objectives.similarity import report_similarity
from sista.objectives.targets import identity_targets

from .inputs import alike_teacher

SIMILARITY = report_similarity(alike_teacher())


@pytest.mark.parametrize("smoothing", ["exp", "sigmoid"])
def test_the_formula(smoothing):
    targets = prior_targets(SIMILARITY, 0.5, 0.2, smoothing)
    for i in range(6):
        for j in range(6):
            c = 0.0 if i == j else max(0.0, SIMILARITY[i, j].item())
            smooth = 1 - math.exp(-0.2 * c) if smoothing == "exp" else 1 / (1 + math.exp(-c))
            assert targets.weights[i, j].item() == pytest.approx((i == j) + 0.5 * smooth, abs=1e-12)
    assert (targets.allowed == 1).all()


def test_without_weight_it_is_identity():
    for off in ({"weight": 0.0}, {"ratio": 0.0}):
        assert torch.equal(prior_targets(SIMILARITY, **off).weights, identity_targets(6, dtype=torch.float64).weights)


def test_a_share_of_the_rows_has_the_same_targets():
    rows = torch.arange(3, 6)
    whole = prior_targets(SIMILARITY)
    assert torch.equal(prior_targets(SIMILARITY[rows], own=rows).weights, whole.weights[rows])


def test_unknown_smoothing():
    with pytest.raises(SistaError, match="did you mean 'sigmoid'"):
        prior_targets(SIMILARITY, smoothing="sigmoids")
