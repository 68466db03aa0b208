"""Findings on the film: visible where their mask says, on the right side, in the right zone."""

from collections import defaultdict

import numpy as np
import pytest

from sista.archives.phantom import Phantom
from sista.archives.phantom.findings import LABELS

COUNT = 450


@pytest.fixture(scope="module")
def shown():
    """label -> list of (finding, mask, film with it, film without it, thorax midline share)."""
    phantom = Phantom(COUNT, seed=41)
    rows = defaultdict(list)
    for i in range(COUNT):
        case = phantom.case(i)
        if not case.visit.findings:
            continue
        whole = phantom.render(i, case)
        for finding, mask in zip(case.visit.findings, whole.masks, strict=True):
            if len(rows[finding.label]) < 30:
                without = phantom.render(i, case, without=finding.name)
                rows[finding.label].append((finding, mask, whole.film.astype(float), without.film.astype(float), case.pose.centre))
    return rows


def test_every_label_is_there(shown):
    assert set(shown) == set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_the_film_differs_inside_the_mask_far_more_than_outside(shown, label):
    inside, outside = [], []
    for _finding, mask, film, without, _centre in shown[label]:
        assert mask.sum() >= 25
        change = np.abs(film - without)
        inside.append(change[mask].mean())
        outside.append(change[~mask].mean())
    # The same film has the same grain with and without the finding, so all of the change is the finding's.
    assert np.median(inside) > 10
    assert min(inside) > 1.5
    assert np.median(inside) > 4 * np.median(outside)


@pytest.mark.parametrize(
    "label", ["consolidation", "pleural effusion", "nodule", "mass", "atelectasis", "edema", "central line", "tube", "pacemaker"]
)
def test_dense_findings_brighten_and_air_darkens(shown, label):
    assert all((film - without)[mask].mean() > 0 for _f, mask, film, without, _c in shown[label])


def test_a_pneumothorax_darkens_all_but_its_line(shown):
    darker = [np.mean((film - without)[mask] < 0) for _f, mask, film, without, _c in shown["pneumothorax"]]
    assert np.median(darker) > 0.6


@pytest.mark.parametrize("label", ["consolidation", "pleural effusion", "pneumothorax", "nodule", "mass", "atelectasis"])
def test_the_patients_right_is_on_the_left_of_the_film(shown, label):
    for finding, mask, _film, _without, centre in shown[label]:
        x = (np.nonzero(mask)[1].mean() + 0.5) / mask.shape[1]
        assert (x < centre) == (finding.side == "right")


def test_the_heart_lies_mostly_left_of_the_midline(shown):
    offsets = [(np.nonzero(mask)[1].mean() + 0.5) / 128 - centre for _f, mask, _a, _b, centre in shown["cardiomegaly"]]
    assert np.median(offsets) > 0.02


def test_zones_are_in_order_from_top_to_bottom(shown):
    heights = defaultdict(list)
    for label in ("consolidation", "nodule", "mass", "atelectasis"):
        for finding, mask, *_ in shown[label]:
            heights[finding.zone].append(np.nonzero(mask)[0].mean() / 128)
    assert max(np.mean(heights["upper"]), 0) + 0.1 < np.mean(heights["mid"]) < np.mean(heights["lower"]) - 0.1


def test_nodules_are_large_enough_to_be_seen_and_masses_larger(shown):
    nodules = [np.sqrt(mask.sum() / np.pi) for _f, mask, *_ in shown["nodule"]]
    masses = [np.sqrt(mask.sum() / np.pi) for _f, mask, *_ in shown["mass"]]
    assert np.median(nodules) > 4
    assert min(masses) > 6


@pytest.mark.parametrize("label", ["consolidation", "edema", "atelectasis"])
def test_severity_shows(shown, label):
    severity = [f.severity for f, *_ in shown[label]]
    strength = [(film - without)[mask].sum() for _f, mask, film, without, _c in shown[label]]
    assert np.corrcoef(severity, strength)[0, 1] > 0.3


def test_edema_does_not_change_the_grain_elsewhere(shown):
    for _f, mask, film, without, _c in shown["edema"]:
        corner = np.s_[:14, :]
        assert np.abs(film[corner] - without[corner]).mean() < 2  # equalising processing only
        assert abs(np.diff(film[corner]).std() - np.diff(without[corner]).std()) < 0.3
        assert not mask[corner].any()


def test_leaving_out_nothing_known_changes_nothing():
    phantom = Phantom(20, seed=1)
    for i in range(6):
        assert np.array_equal(phantom.render(i).film, phantom.render(i, without="nothing//").film)
