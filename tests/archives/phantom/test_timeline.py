"""Subjects, priors and change."""

from itertools import pairwise

import pytest

from sista.archives.phantom import Phantom
from sista.archives.phantom.timeline import BLOCK, STEP, subject_of

COUNT = 4000


@pytest.fixture(scope="module")
def phantom():
    return Phantom(COUNT, seed=31)


@pytest.fixture(scope="module")
def visits(phantom):
    return [phantom.case(i).visit for i in range(COUNT)]


def test_a_quarter_of_the_studies_has_a_prior(visits):
    assert 0.21 < sum(v.has_prior for v in visits) / COUNT < 0.29


def test_the_prior_is_the_index_before_and_of_the_same_subject(visits):
    for index, visit in enumerate(visits):
        assert visit.subject <= index
        assert visit.subject // BLOCK == index // BLOCK
        if visit.has_prior:
            assert visits[index - 1].subject == visit.subject


def test_change_agrees_with_both_finding_sets(visits):
    seen = set()
    for before, after in pairwise(visits):
        if not after.has_prior:
            assert after.change == {}
            continue
        old, new = ({f.label for f in v.findings} for v in (before, after))
        assert set(after.change) == old | new
        for label, outcome in after.change.items():
            seen.add(outcome)
            was = {f.name: f.severity for f in before.findings if f.label == label}
            now = {f.name: f.severity for f in after.findings if f.label == label}
            if outcome == "resolved":
                assert was
                assert not now
            elif outcome == "new":
                assert now
                assert not was
            else:
                assert set(was) == set(now)
                steps = [now[name] - was[name] for name in was]
                if outcome == "worse":
                    assert max(steps) >= STEP - 1e-9
                elif outcome == "better":
                    assert max(steps) <= -STEP + 1e-9
                else:
                    assert max(abs(step) for step in steps) <= 0.05 + 1e-9
    assert seen == {"better", "worse", "same", "new", "resolved"}


def test_a_subject_keeps_its_body_and_sex_and_grows_older(phantom, visits):
    pairs = [i for i in range(1, COUNT) if visits[i].has_prior][:200]
    for i in pairs:
        before, after = phantom.case(i - 1), phantom.case(i)
        assert before.patient == after.patient
        assert before.pose != after.pose
        assert 0 < after.visit.years - before.visit.years < 1


def test_studies_name_their_prior_and_subject(phantom, visits):
    index = next(i for i in range(1, COUNT) if visits[i].has_prior)
    before, after = phantom[index - 1], phantom[index]
    assert after.prior_id == before.study_id
    assert after.subject_id == before.subject_id
    assert after.sex == before.sex
    assert before.age <= after.age < before.age + 1.01
    assert phantom[next(i for i in range(COUNT) if not visits[i].has_prior)].prior_id is None


def test_the_first_of_a_block_starts_a_subject():
    assert all(subject_of((1, 0), block * BLOCK) == block * BLOCK for block in range(50))
