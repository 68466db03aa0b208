"""Prevalence and co-occurrence."""

import pytest

from sista.archives.phantom import Phantom
from sista.archives.phantom.findings import LABELS

COUNT = 5000
BANDS = {
    "consolidation": (0.12, 0.22),
    "pleural effusion": (0.15, 0.26),
    "pneumothorax": (0.05, 0.11),
    "nodule": (0.05, 0.12),
    "mass": (0.04, 0.1),
    "cardiomegaly": (0.13, 0.24),
    "atelectasis": (0.09, 0.18),
    "edema": (0.07, 0.15),
    "central line": (0.11, 0.2),
    "tube": (0.08, 0.17),
    "pacemaker": (0.05, 0.11),
}


@pytest.fixture(scope="module")
def sets():
    phantom = Phantom(COUNT, seed=21)
    return [phantom.case(i).visit.findings for i in range(COUNT)]


def share(sets, label, given=None):
    chosen = [s for s in sets if given is None or any(f.label == given for f in s)]
    return sum(any(f.label == label for f in s) for s in chosen) / len(chosen)


def test_every_label_has_its_band():
    assert tuple(BANDS) == LABELS == Phantom.label_names


def test_prevalence(sets):
    for label, (low, high) in BANDS.items():
        assert low <= share(sets, label) <= high, label


def test_about_a_third_is_normal(sets):
    assert 0.28 <= sum(not s for s in sets) / COUNT <= 0.40


@pytest.mark.parametrize(
    ("label", "given", "lift"),
    [
        ("pleural effusion", "cardiomegaly", 1.8),
        ("pleural effusion", "edema", 1.8),
        ("edema", "cardiomegaly", 2.5),
        ("pleural effusion", "consolidation", 1.3),
        ("tube", "central line", 2.5),
        ("tube", "pneumothorax", 1.8),
        ("pacemaker", "cardiomegaly", 1.8),
    ],
)
def test_findings_that_go_together(sets, label, given, lift):
    assert share(sets, label, given) > lift * share(sets, label)


def test_names_are_unique_and_well_formed(sets):
    for findings in sets:
        names = [f.name for f in findings]
        assert len(set(names)) == len(names)
        for finding in findings:
            label, side, zone = finding.name.split("/")
            assert label in LABELS
            assert side in ("right", "left", "both", "")
            assert zone in ("upper", "mid", "lower", "")
            assert 0 <= finding.severity <= 1
            assert (zone != "") == (
                label in ("consolidation", "nodule", "mass", "atelectasis", "pleural effusion", "pneumothorax", "pacemaker")
            )
            assert (side == "") == (label == "cardiomegaly" or finding.kind in ("endotracheal", "enteric"))


def test_each_side_zone_and_degree_occurs(sets):
    spots = {(f.side, f.zone) for s in sets for f in s if f.label == "consolidation"}
    assert len(spots) == 6
    severities = [f.severity for s in sets for f in s]
    assert min(severities) < 0.1
    assert max(severities) > 0.9
