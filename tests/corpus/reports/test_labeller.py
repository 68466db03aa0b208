from __future__ import annotations

import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from sista.archives.phantom.findings import LABELS
from sista.corpus.reports.labeller import label_report, rule_labels
from sista.corpus.reports.lexicon import BY_NAME, CHEXPERT
from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import training_text

CASES = [
    ("Small left pleural effusion and right lower lobe consolidation.", {"pleural effusion/left/lower", "consolidation/right/lower"}),
    ("Consolidation in the right lower lobe and left effusion.", {"pleural effusion/left/lower", "consolidation/right/lower"}),
    ("Atelectasis and effusion at the left base.", {"pleural effusion/left/lower", "atelectasis/left/lower"}),
    ("Right basilar atelectasis and effusion.", {"pleural effusion/right/lower", "atelectasis/right/lower"}),
    ("Bilateral pleural effusions.", {"pleural effusion/left/lower", "pleural effusion/right/lower"}),
    ("Right lower and left upper lobe consolidation.", {"consolidation/right/lower", "consolidation/left/upper"}),
    ("Nodule in the left apex. Impression: left nodule.", {"nodule/left/upper"}),
    ("The heart is mildly enlarged. No edema.", {"cardiomegaly//"}),
    ("Enlarged cardiac silhouette.", {"cardiomegaly//"}),
    ("Blunting of the left costophrenic angle.", {"pleural effusion/left/lower"}),
    ("Left pacemaker with leads in the right heart.", {"pacemaker/left/upper"}),
    ("Right internal jugular central venous catheter. Endotracheal tube above the carina.", {"central line/right/", "tube//"}),
    ("Left chest tube. The chest tube is unchanged.", {"tube/left/"}),
    ("Right upper lobe pneumonia. The infiltrate is new.", {"consolidation/right/upper"}),
    ("Possible right middle lobe mass.", {"mass/right/mid"}),
    ("Pericardial effusion.", set()),
    ("No acute cardiopulmonary abnormality. Mild scoliosis.", set()),
    ("The heart size is normal. Lungs are clear without focal consolidation, pneumothorax or effusion.", set()),
]


@pytest.mark.parametrize(("report", "placed"), CASES)
def test_places(report: str, placed: set[str]) -> None:
    assert label_report(report).placed == placed
    assert label_report(report).normal == (not placed)


def test_values_and_their_ranks() -> None:
    labels = label_report(
        "No effusion. Possible left effusion. Right effusion. No pneumothorax. Pneumothorax cannot be excluded. No edema."
    ).findings
    assert (labels["pleural effusion"], labels["pneumothorax"], labels["edema"]) == (1, -1, 0)
    assert labels["no finding"] == 0


def test_broader_observations_follow() -> None:
    labels = label_report("Left lung nodule. Right chest tube. Suspected pneumonia.").findings
    assert (labels["lung lesion"], labels["tube"], labels["support devices"]) == (1, 1, 1)
    assert (labels["pneumonia"], labels["consolidation"]) == (-1, -1)


def test_devices_and_age_are_no_findings() -> None:
    assert label_report("Pacemaker on the left. Degenerative changes of the spine.").findings["no finding"] == 1


def test_normal_heart_is_a_denial_without_a_negation_word() -> None:
    assert label_report("Heart size is within normal limits.").findings["cardiomegaly"] == 0


def test_a_silent_report_gives_nan() -> None:
    values = rule_labels(["Left effusion.", ""], ["pleural effusion", "edema"])
    np.testing.assert_array_equal(values, [[1, np.nan], [np.nan, np.nan]])


def test_every_public_label_has_a_rule() -> None:
    assert set(LABELS) <= set(BY_NAME)
    assert set(CHEXPERT) - {"no finding"} <= set(BY_NAME)


def test_phantom_reports_are_read_almost_without_error() -> None:
    phantom = pytest.importorskip("sista.archives.phantom", reason="the phantom archive is not there").Phantom(60, seed=3, size=64)
    right = 0
    for index in range(len(phantom)):
        study = phantom[index]
        from sista.corpus.reports.sections import split_sections

        truth = {"edema//" if entry.startswith("edema") else entry for entry in study.true_findings or ()}
        right += label_report(clean_text(training_text(split_sections(study.report)))).placed == truth
    assert right >= 0.95 * len(phantom)


def test_openi_reports_against_their_manual_terms(data: Path) -> None:
    """Recall of what the indexers wrote down; they leave out much that a report says, so precision is bounded below only loosely."""
    reports, terms = [], []
    with tarfile.open(data / "openi" / "NLMCXR_reports.tgz") as archive:
        for number, member in enumerate(m for m in archive if m.name.endswith(".xml")):
            if number % 4:
                continue
            root = ET.parse(archive.extractfile(member)).getroot()  # type: ignore[arg-type]
            text = clean_text(training_text({(a.get("Label") or "").lower(): a.text or "" for a in root.iter("AbstractText")}))
            if text:
                reports.append(text)
                terms.append([(e.text or "").lower() for e in root.iter("major")])
    labels = [label_report(report) for report in reports]
    names = {
        "cardiomegaly": ("cardiomegaly", 0.85, 0.7),
        "pleural effusion": ("pleural effusion", 0.9, 0.6),
        "atelectasis": ("pulmonary atelectasis", 0.9, 0.7),
    }
    for finding, (term, recall, precision) in names.items():
        written = np.array([any(t.startswith(term) for t in found) for found in terms])
        said = np.array([label.findings.get(finding, 0) != 0 for label in labels])
        assert (written & said).sum() >= recall * written.sum(), finding
        assert (written & said).sum() >= precision * said.sum(), finding
    normal = np.array([found == ["normal"] for found in terms])
    assert np.array([label.normal for label in labels])[normal].mean() >= 0.95
