from __future__ import annotations

import pytest

from sista.corpus.report import clean_text
from sista.corpus.sections import split_sections, training_text

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old man with cough.

 COMPARISON:  None.

 FINDINGS:

 The lungs are clear.  No effusion.

 IMPRESSION:
 1. No acute process.
"""


def test_a_report_with_headings() -> None:
    sections = split_sections(MIMIC)
    assert sections["findings"] == "The lungs are clear.  No effusion."
    assert sections["impression"] == "1. No acute process."
    assert sections["indication"].startswith("___-year-old")
    assert sections["comparison"] == "None."
    assert "body" not in sections
    assert training_text(sections) == "The lungs are clear.  No effusion.\n1. No acute process."


def test_without_headings_the_text_is_the_body() -> None:
    assert split_sections("Right lower lobe consolidation") == {"body": "Right lower lobe consolidation"}
    assert training_text({"body": "Right lower lobe consolidation"}) == "Right lower lobe consolidation."


def test_headings_on_one_line() -> None:
    sections = split_sections("FINDINGS: Heart enlarged. No effusion. IMPRESSION: Cardiomegaly.")
    assert sections == {"findings": "Heart enlarged. No effusion.", "impression": "Cardiomegaly."}


def test_other_names_of_the_same_sections() -> None:
    assert split_sections("Conclusion: Normal.")["impression"] == "Normal."
    assert split_sections("REASON FOR EXAM: fall\nFINDINGS AND IMPRESSION: Normal.") == {"indication": "fall", "findings": "Normal."}
    assert split_sections("CLINICAL HISTORY\nFever.\nIMPRESSION\nNormal.") == {"indication": "Fever.", "impression": "Normal."}


def test_a_heading_that_names_the_film_opens_the_body_any_other_does_not() -> None:
    sections = split_sections("CHEST, PA AND LATERAL: Lungs are clear.\nSIGNATURE BLOCK: Dr. A")
    assert sections == {"body": "Lungs are clear.", "other": "Dr. A"}


def test_the_word_findings_inside_a_sentence_is_no_heading() -> None:
    text = "There are no acute findings: the lungs are clear."
    assert split_sections(text) == {"body": text}


def test_a_section_said_twice_counts_once_and_two_parts_are_joined() -> None:
    assert split_sections("IMPRESSION: Normal.\nIMPRESSION: Normal.")["impression"] == "Normal."
    assert split_sections("IMPRESSION: A.\nFINDINGS: B.\nIMPRESSION: C.")["impression"] == "A.\nC."


def test_an_empty_report_has_no_section() -> None:
    assert split_sections("  \n ") == {}
    assert training_text({}) == ""


WET_READ = """WET READ: ___ ___ ___ 8:14 PM
  Possible left effusion.
 ______________________________________________________________________________
                                 FINAL REPORT
 HISTORY:  ___-year-old with ___.

 PORTABLE AP CHEST, 8:14 A.M. ON ___:  The lungs are clear.

 ______________________________________________________________________________
                                 FINAL ADDENDUM
 ADDENDUM:  Seen by Dr. ___ at 9:00 AM.
"""

CASES = {
    "wet read, final text and addendum": (
        WET_READ,
        {
            "wet_read": "Possible left effusion.",
            "indication": "___-year-old with ___.",
            "body": "The lungs are clear.",
            "addendum": "Seen by Dr. ___ at 9:00 AM.",
        },
        "The lungs are clear.",
    ),
    "a later version of the wet read": (
        "WET READ VERSION #1 ___ ___ ___ 1:20 AM\nNo change.\nFINAL REPORT\nIMPRESSION:  Stable.",
        {"wet_read": "No change.", "impression": "Stable."},
        "Stable.",
    ),
    "findings and impression in one": ("FINDINGS/IMPRESSION: Left effusion.", {"findings": "Left effusion."}, "Left effusion."),
    "impression first": ("IMPRESSION AND FINDINGS:\nLeft effusion", {"findings": "Left effusion"}, "Left effusion."),
    "provisional impression": ("PROVISIONAL FINDINGS IMPRESSION (PFI): Normal.", {"impression": "Normal."}, "Normal."),
    "comparison alone is no text about the film": ("COMPARISON:  ___.", {"comparison": "___."}, ""),
    "a banner alone": ("   FINAL REPORT\n", {}, ""),
    "text under the banner": ("FINAL REPORT\n Lungs are clear.", {"body": "Lungs are clear."}, "Lungs are clear."),
    "technique and views": ("TECHNIQUE: Frontal view.\nFINDINGS: Clear.", {"technique": "Frontal view.", "findings": "Clear."}, "Clear."),
    "marks of removed words": (
        "FINDINGS: XXXX left base density.\nIMPRESSION: Seen by ___, stable since ___.",
        {"findings": "XXXX left base density.", "impression": "Seen by ___, stable since ___."},
        "left base density. Seen by, stable since.",
    ),
    "a time inside a sentence": ("Taken at 8:14: clear lungs.", {"body": "Taken at 8:14: clear lungs."}, "Taken at 8:14: clear lungs."),
    "an unknown heading": (
        "SIGNED BY: ___\nCLINICAL STATEMENT: Cough.\nLUNGS: Clear.",
        {"other": "___", "indication": "Cough.", "body": "Clear."},
        "Clear.",
    ),
    "free text in two paragraphs": (
        "Normal heart.\n\nIn comparison with ___, no change.",
        {"body": "Normal heart.\n\nIn comparison with ___, no change."},
        "Normal heart. In comparison with, no change.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reports_of_every_kind(name: str) -> None:
    text, sections, trained = CASES[name]
    assert split_sections(text) == sections
    assert clean_text(training_text(split_sections(text))) == trained
