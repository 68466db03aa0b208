"""The reports: varied, true, and readable by a plain negation rule."""

import re
from collections import Counter

import numpy as np
import pytest

from sista.archives.phantom import Phantom
from sista.archives.phantom.findings import LABELS
from sista.archives.phantom.phrases import WORDINGS

COUNT = 6000
NEGATED = re.compile(r"\b(no|without|free|negative|not)\b", re.I)
NOUNS = sorted(
    {
        (noun, "tube" if name in ("endotracheal", "enteric", "chest") else name)
        for name, wording in WORDINGS.items()
        for noun in (*(n for n, _ in wording.nouns), *wording.absent)
    }
    | {("effusions", "pleural effusion"), ("pleural effusions", "pleural effusion"), ("infiltrates", "consolidation")}
    | {("consolidations", "consolidation"), ("bandlike opacities", "atelectasis")},
    key=lambda pair: -len(pair[0]),
)
TABLE = dict(NOUNS)
ANY_NOUN = re.compile(r"\b(" + "|".join(noun for noun, _ in NOUNS) + r")\b", re.I)


@pytest.fixture(scope="module")
def studies():
    phantom = Phantom(COUNT, seed=11)
    cases = [phantom.case(i) for i in range(COUNT)]
    return [(case, phantom.report(i, case)) for i, case in enumerate(cases)]


def sentences(text):
    return [s for s in re.split(r"(?<=\.)\s+|FINDINGS: |IMPRESSION: ", text) if s]


def read(text):
    """A radiologist's reading of the text by rule alone: the affirmed findings with side and zone, and the denied labels."""
    affirmed, denied = set(), set()
    for sentence in sentences(text):
        labels = {TABLE[noun.lower()] for noun in ANY_NOUN.findall(sentence)}
        if NEGATED.search(sentence):
            denied |= labels
            continue
        assert len(labels) <= 1, sentence
        words = sentence.lower()
        sides = {side for side in ("right", "left") if re.search(rf"\b{side}\b", words)}
        if re.search(r"\b(bilateral|both)\b", words):
            sides = {"left", "right"}
        zones = [
            z
            for z, pattern in (("upper", "upper"), ("mid", "mid|middle|lingula"), ("lower", "lower"))
            if re.search(rf"\b({pattern})\b", words)
        ]
        for label in labels:
            if label in ("cardiomegaly", "edema"):
                affirmed.add(f"{label}/{'both' if label == 'edema' else ''}/")
            elif label == "tube" and not re.search("chest|pleural|thoracostomy", words):
                affirmed.add("tube//")
            else:
                zone = {"pleural effusion": "lower", "pneumothorax": "upper", "pacemaker": "upper", "central line": "", "tube": ""}.get(
                    label
                )
                zone = zone if zone is not None else (zones[0] if zones else None)
                if sides and zone is not None:
                    affirmed |= {f"{label}/{side}/{zone}" for side in sides}
    return affirmed, denied


def test_a_plain_reader_recovers_exactly_the_true_findings(studies):
    for case, report in studies:
        affirmed, denied = read(report.text)
        assert affirmed == {f.name for f in case.visit.findings}, report.text
        assert denied.isdisjoint({f.label for f in case.visit.findings}), report.text


def test_equal_text_means_equal_findings_and_texts_rarely_repeat(studies):
    by_text = {}
    for case, report in studies:
        found = frozenset(f.name for f in case.visit.findings)
        assert by_text.setdefault(report.text, found) == found
    assert len({report.text for _, report in studies[:3000]}) >= 0.99 * 3000


def test_equal_findings_are_common_although_texts_differ(studies):
    sets = Counter(frozenset(f.name for f in case.visit.findings) for case, _ in studies)
    assert sum(count for count in sets.values() if count > 4) > 0.6 * COUNT


def test_phrases_are_in_the_text_and_name_their_finding(studies):
    for case, report in studies:
        assert set(report.phrases) == {f.name for f in case.visit.findings}
        for name, phrase in report.phrases.items():
            assert phrase in report.text
            assert {TABLE[noun.lower()] for noun in ANY_NOUN.findall(phrase)} == {name.split("/")[0]}


def test_length_and_vocabulary(studies):
    lengths = [len(report.text.split()) for _, report in studies]
    assert 35 <= np.median(lengths) <= 60
    assert min(lengths) >= 8
    vocabulary = {word for _, report in studies for word in re.findall("[a-z]+", report.text.lower())}
    assert 150 <= len(vocabulary) <= 400


def test_every_report_has_both_sections_in_order(studies):
    for _, report in studies[:500]:
        assert report.text.startswith("FINDINGS: ")
        assert report.text.count(" IMPRESSION: ") == 1
        assert "  " not in report.text
        assert ".." not in report.text
        assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences(report.text))


def test_hedges_and_comparisons_occur(studies):
    texts = [report.text.lower() for _, report in studies]
    hedged = sum(bool(re.search("possible|cannot exclude|suggestive of|may represent|probable|suspected", text)) for text in texts)
    assert 0.05 < hedged / COUNT < 0.4
    for _case, report in studies:
        text = report.text
        if "improved" in text or "less marked" in text:
            assert _case.visit.has_prior


def test_every_label_has_many_wordings(studies):
    said = {label: set() for label in LABELS}
    for _, report in studies:
        for name, phrase in report.phrases.items():
            said[name.split("/")[0]].add(phrase.lower())
    assert min(len(phrases) for phrases in said.values()) >= 10
    for label in ("consolidation", "nodule", "atelectasis", "pleural effusion"):
        assert len(said[label]) >= 60
