from __future__ import annotations

import pytest

from sista.corpus.reports.report import clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Lungs  are\n clear .", "Lungs are clear."),
        ("XXXX left base density.", "left base density."),
        ("Compared to ___, the heart is big.", "Compared to, the heart is big."),
        ("XXXX-year-old with XXXX, XXXX.", "year-old with."),
        ("seen on [**2101-3-4**] again", "seen on again"),
        ("2.5 cm nodule \u2013 patient\u2019s left", "2.5 cm nodule - patient's left"),
        ("ﬁbrosis\u00a0noted", "fibrosis noted"),
        ("No finding. . .", "No finding."),
        ("No pneumothorax. .8 cm nodule.", "No pneumothorax. .8 cm nodule."),
        ("A .5 cm nodule , stable", "A .5 cm nodule, stable"),
        ("", ""),
        ("PA and Lateral", "PA and Lateral"),
    ],
)
def test_cleaning(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


def test_cleaning_twice_changes_nothing() -> None:
    text = "XXXX , the XXXX-year-old ___ . FINDINGS: 1. a  b"
    assert clean_text(clean_text(text)) == clean_text(text)
