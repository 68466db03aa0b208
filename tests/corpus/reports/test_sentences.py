from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sista.corpus.reports.sentences import sentence_spans, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Lungs clear. No effusion.", ["Lungs clear.", "No effusion."]),
        ("A 2.5 cm nodule. Stable.", ["A 2.5 cm nodule.", "Stable."]),
        ("Seen by Dr. Smith today. Call vs. wait.", ["Seen by Dr. Smith today.", "Call vs. wait."]),
        ("1. Cardiomegaly. 2. Effusion.", ["1. Cardiomegaly.", "2. Effusion."]),
        ("Clear lungs.No effusion.", ["Clear lungs.", "No effusion."]),
        ("No. The heart is big.", ["No.", "The heart is big."]),
        ("Image no. 3 is blurred.", ["Image no. 3 is blurred."]),
        ("lower case. also splits", ["lower case.", "also splits"]),
        ("Is it new? Yes! Done", ["Is it new?", "Yes!", "Done"]),
        ("Read by J. Doe.", ["Read by J. Doe."]),
        ("Compared to 5 p.m. Right effusion persists.", ["Compared to 5 p.m.", "Right effusion persists."]),
        ("At 5 p.m. the effusion was larger.", ["At 5 p.m. the effusion was larger."]),
        ("No effusions, masses, etc. Right pneumothorax.", ["No effusions, masses, etc.", "Right pneumothorax."]),
        ("First\n\nSecond", ["First", "Second"]),
        ("", []),
        (" . ", []),
    ],
)
def test_splitting(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ab1. \n,?N", max_size=60))
def test_spans_are_ordered_do_not_overlap_and_hold_every_letter(text: str) -> None:
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(x[1] <= y[0] for x, y in pairwise(spans))
    covered = {i for a, b in spans for i in range(a, b)}
    assert {i for i, c in enumerate(text) if c.isalnum()} <= covered
