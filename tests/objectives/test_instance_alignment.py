import pytest
import torch

from sista.errors import SistaError
from sista.objectives.contrastive import info_nce, symmetric_contrast
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.sigmoid import pairwise_sigmoid
from sista.objectives.similarity import report_similarity
from sista.objectives.targets import MODES, sigmoid_signs, triage_targets

from .inputs import alike_teacher, operators, random_unit

IMAGE, TEXT, TEACHER, KEYS = random_unit(6, 4), random_unit(6, 4, seed=1), alike_teacher(), torch.arange(6)


@pytest.mark.parametrize("mode", ["identity", "eliminate", "triage"])
def test_cut_offs_above_one_give_infonce(mode):
    loss, _, _ = InstanceAlignment(mode, theta_p=1.1, theta_n=1.1).double()(IMAGE, TEXT, TEACHER, KEYS)
    assert loss.item() == pytest.approx(info_nce(IMAGE, TEXT, 0.07).item(), abs=1e-6)


def test_triage_is_its_parts():
    loss, targets, similarity = InstanceAlignment("triage", 0.9, 0.3, temperature=0.1)(IMAGE, TEXT, TEACHER, KEYS)
    assert torch.equal(similarity, report_similarity(TEACHER))
    wanted = triage_targets(similarity, 0.9, 0.3)
    assert torch.equal(targets.weights, wanted.weights)
    assert loss.item() == pytest.approx(symmetric_contrast(IMAGE, TEXT, wanted, 0.1).item(), abs=1e-6)


def test_one_study_is_always_positive_and_identical_reports_cost_nothing():
    keys = torch.tensor([0, 1, 2, 3, 4, 4])
    _, targets, similarity = InstanceAlignment("triage", 1.1, 1.1)(IMAGE, TEXT, TEACHER, keys)
    assert similarity[4, 5] == 1
    assert targets.weights[4, 5] == 0.5
    for mode in ("triage", "eliminate"):
        loss, _, _ = InstanceAlignment(mode)(IMAGE, TEXT, TEACHER, torch.zeros_like(keys))
        assert loss.item() == 0


def test_sigmoid_mode_learns_scale_and_bias():
    alignment = InstanceAlignment("sigmoid", 0.9, temperature=0.1, learn_temperature=True, bias=-10.0)
    loss, targets, similarity = alignment(IMAGE, TEXT, TEACHER, KEYS)
    signs = sigmoid_signs(similarity, 0.9)
    assert loss.item() == pytest.approx(pairwise_sigmoid(IMAGE @ TEXT.T, signs, 10.0, -10.0).item(), rel=1e-6)
    assert torch.equal(targets.positives, signs > 0)
    loss.backward()
    assert {name for name, p in alignment.named_parameters() if p.grad is not None} == {"log_scale", "bias"}


def test_the_learned_temperature_stays_in_bounds_and_can_come_back():
    alignment = InstanceAlignment("identity", learn_temperature=True)
    for value, bound in ((50.0, 0.01), (-50.0, 1.0)):
        with torch.no_grad():
            alignment.log_scale.fill_(value)
        loss, _, _ = alignment(IMAGE, TEXT, TEACHER, KEYS)
        alignment.zero_grad()
        loss.backward()
        assert alignment.temperature.item() == pytest.approx(bound, rel=1e-5)
        assert alignment.log_scale.grad.abs() > 0
    assert not InstanceAlignment().log_scale.requires_grad
    with pytest.raises(SistaError, match="temperature"):
        InstanceAlignment(temperature=0.001)


def test_shares_of_a_gathered_batch_average_to_the_whole():
    alignment = InstanceAlignment("triage", 0.9, 0.3)
    keys = torch.tensor([0, 1, 2, 3, 2, 5])
    whole, _, _ = alignment(IMAGE, TEXT, TEACHER, keys)
    wholes = [IMAGE, TEXT, TEACHER, keys]
    shares = []
    for rows in (torch.arange(3), torch.arange(3, 6)):
        parts = [x[rows] for x in wholes]

        def gather(x, parts=parts):
            return next(every for part, every in zip(parts, wholes, strict=True) if part is x)

        loss, targets, _ = alignment(*parts, gather=gather, own=rows)
        assert targets.weights.shape == (3, 6)
        shares.append(loss)
        with pytest.raises(SistaError, match="own = rank"):
            alignment(*parts, gather=gather)
    assert whole.item() == pytest.approx(torch.stack(shares).mean().item(), abs=1e-12)


def test_the_running_offset_moves_in_training_only():
    alignment = InstanceAlignment("triage", 0.9, 0.3, adaptive_offset=True).double()
    _, _, similarity = alignment(IMAGE, TEXT, TEACHER, KEYS)
    offset = alignment.offset.offset.clone()
    assert offset > 0
    assert (similarity.diagonal() == 1).all()
    assert similarity[2, 4] < report_similarity(TEACHER)[2, 4]
    alignment.eval()(IMAGE, TEXT, random_unit(6, 8, seed=9), KEYS)
    assert torch.equal(alignment.offset.offset, offset)
    assert "offset.offset" in alignment.state_dict()


def test_a_batch_told_alike_is_no_contrast_with_the_offset_removed_either():
    alike = TEACHER[:1].expand(6, -1).clone()
    for offset in (False, True):
        loss, _, similarity = InstanceAlignment("eliminate", 0.9, 0.3, adaptive_offset=offset).double()(IMAGE, TEXT, alike, torch.arange(6))
        assert (similarity == 1).all()
        assert loss.item() == 0


@pytest.mark.parametrize("mode", MODES)
def test_autocast_and_operator_count(mode):
    def run(b):
        image, text, teacher = (random_unit(b, 4, seed=s, dtype=torch.float32).requires_grad_(s < 2) for s in range(3))
        return InstanceAlignment(mode, 0.9, 0.3)(image, text, teacher, torch.arange(b))[0]

    assert operators(lambda: run(4)) == operators(lambda: run(16))
    wanted = run(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(6), wanted)
    assert torch.isfinite(wanted)


def test_unknown_modes_are_refused():
    with pytest.raises(SistaError, match="did you mean 'eliminate'"):
        InstanceAlignment("elimin")
    for wrong in ({"tau_s": 0.0}, {"beta": 1.5}, {"beta": float("nan")}):
        with pytest.raises(SistaError, match="give a beta from 0 to 1 and a tau_s above 0"):
            InstanceAlignment("soft", **wrong)
    with pytest.raises(SistaError, match="above theta_p"):
        InstanceAlignment("triage", 0.5, 0.9)


def test_positives_without_the_offset_are_right_whatever_the_redundancy_and_no_cut_off_of_the_cosine_is():
    """FaNe's claim: reports of planted findings, in two batches that have more or less of their words in common."""
    random = torch.Generator().manual_seed(0)
    findings = torch.randint(0, 12, (96,), generator=random)
    concepts, common = random_unit(12, 256, seed=1).float(), random_unit(1, 256, seed=2).float()
    own = torch.nn.functional.normalize(concepts[findings] + 0.8 * random_unit(96, 256, seed=3).float(), dim=1)
    planted = (findings[:, None] == findings[None, :]) & ~torch.eye(96, dtype=torch.bool)

    def least(found: torch.Tensor) -> float:
        """The lower of precision and recall of the pairs found, off the diagonal."""
        found = found & ~torch.eye(96, dtype=torch.bool)
        right = (found & planted).sum()
        return float(min(right / found.sum().clamp(min=1), right / planted.sum()))

    batches = [torch.nn.functional.normalize(share**0.5 * common + (1 - share) ** 0.5 * own, dim=1) for share in (0.2, 0.8)]
    image, text, keys = random_unit(96, 4).float(), random_unit(96, 4, seed=4).float(), torch.arange(96)
    for teacher in batches:
        _, targets, _ = InstanceAlignment("sigmoid", 0.1, adaptive_offset=True)(image, text, teacher, keys)
        assert least(targets.positives) > 0.9
    plain = [min(least(teacher @ teacher.T >= cut) for teacher in batches) for cut in torch.linspace(0, 1, 201)]
    assert max(plain) < 0.5
