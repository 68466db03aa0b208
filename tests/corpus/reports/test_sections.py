from __future__ import annotations

import pytest

from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import split_sections, training_text

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


def test_a_line_wrapped_before_the_name_of_a_section_goes_on() -> None:
    text = "FINDINGS: Frontal and lateral\nviews: the lungs are clear. There is cardiomegaly.\nIMPRESSION: Cardiomegaly."
    assert split_sections(text) == {
        "findings": "Frontal and lateral\nviews: the lungs are clear. There is cardiomegaly.",
        "impression": "Cardiomegaly.",
    }
    assert split_sections("findings: clear lungs\nimpression: normal") == {"findings": "clear lungs", "impression": "normal"}
    assert split_sections("FINDINGS: Clear lungs.\nimpression: normal") == {"findings": "Clear lungs.", "impression": "normal"}


def test_a_section_said_twice_counts_once_and_two_parts_are_joined() -> None:
    assert split_sections("IMPRESSION: Normal.\nIMPRESSION: Normal.")["impression"] == "Normal."
    assert split_sections("IMPRESSION: A.\nFINDINGS: B.\nIMPRESSION: C.")["impression"] == "A.\nC."


@pytest.mark.parametrize(
    "text",
    [
        "\u00a0INDICATION: Rule out pneumothorax.\n\u00a0FINDINGS: Clear lungs.",
        "INDICATION\uff1a Rule out pneumothorax.\nFINDINGS\uff1a Clear lungs.",
        "INDICATION\u00a0: Rule out pneumothorax.\u2028FINDINGS\u00a0: Clear lungs.",
        "INDICATION \u2013 Rule out pneumothorax.\u0085FINDINGS \u2013 Clear lungs.",
    ],
)
def test_headings_in_any_typography(text: str) -> None:
    assert split_sections(text) == {"indication": "Rule out pneumothorax.", "findings": "Clear lungs."}


def test_significant_findings_are_findings_and_a_signature_is_none() -> None:
    text = "FINDINGS:\nSIGNIFICANT FINDINGS: Right pneumonia.\nHEART: Enlarged.\nELECTRONICALLY SIGNED BY: Dr. Doe"
    assert split_sections(text)["findings"] == "SIGNIFICANT FINDINGS: Right pneumonia.\nHEART: Enlarged."


@pytest.mark.parametrize(
    "last",
    [
        "I have personally reviewed the images for this examination and agreed\nwith the report transcribed above.",
        "I, Dr. ___, the attending physician, have reviewed the images and\nagree with the interpretation above.",
        "As the teaching physician, I have personally viewed the film and agree.",
        "SUMMARY:2-ABNORMAL, PREVIOUSLY REPORTED\n\nI HAVE REVIEWED THE STUDY AND AGREE WITH THE REPORT.",
    ],
)
@pytest.mark.parametrize("between", ["\n\n", " "])
def test_a_code_and_who_agrees_are_not_trained_on(last: str, between: str) -> None:
    if between == " " and last.startswith("SUMMARY"):
        last = last.removeprefix("SUMMARY:2-ABNORMAL, PREVIOUSLY REPORTED\n\n")
    for report in ("FINDINGS: Lungs are clear.\n\nIMPRESSION:\n1. STABLE PICC.", "Lungs are clear. STABLE PICC."):
        assert training_text(split_sections(report + between + last)) == training_text(split_sections(report))


def test_a_summary_in_words_is_an_impression_and_a_reader_without_consent_stays() -> None:
    assert split_sections("SUMMARY: 1. No change.") == {"impression": "1. No change."}
    text = "I have reviewed the prior film: the nodule is new."
    assert split_sections(f"IMPRESSION: {text}") == {"impression": text}


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
    "a film's name in place of FINDINGS": (
        "PA AND LATERAL VIEWS OF THE CHEST:  Left effusion.\nIMPRESSION: Stable.",
        {"body": "Left effusion.", "impression": "Stable."},
        "Left effusion. Stable.",
    ),
    "a line ruled below the report": (
        "IMPRESSION: Stable.\n______________________\nRead by a resident.",
        {"impression": "Stable.", "other": "Read by a resident."},
        "Stable.",
    ),
    "a line ruled below a heading": (
        "IMPRESSION:\n-----------\nStable.",
        {"body": "Stable."},
        "Stable.",
    ),
    "a title": (
        "CHEST TWO VIEWS\nIMPRESSION: Stable.",
        {"body": "CHEST TWO VIEWS", "impression": "Stable."},
        "Stable.",
    ),
    "all on one line": (
        "INDICATION: Cough COMPARISON: None FINDINGS: Left effusion. IMPRESSION: Effusion.",
        {"indication": "Cough", "comparison": "None", "findings": "Left effusion.", "impression": "Effusion."},
        "Left effusion. Effusion.",
    ),
    "organ by organ": (
        "HISTORY: Cough\nLUNGS: Clear.\nCARDIAC: Enlarged.\nSIGNED BY: Dr. A",
        {"indication": "Cough", "body": "LUNGS: Clear.\nCARDIAC: Enlarged.", "other": "Dr. A"},
        "LUNGS: Clear. CARDIAC: Enlarged.",
    ),
    "a report and its conclusion": (
        "REPORT: Left effusion.\nCONCLUSION: Effusion.",
        {"findings": "Left effusion.", "impression": "Effusion."},
        "Left effusion. Effusion.",
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
    "parts of the chest under headings of their own": (
        "FINDINGS:\nLINES AND TUBES: ETT 4 cm above carina.\nLUNGS: Left consolidation.\nHEART AND MEDIASTINUM: Normal.\n"
        "IMPRESSION:\n1. Pneumonia.",
        {
            "findings": "LINES AND TUBES: ETT 4 cm above carina.\nLUNGS: Left consolidation.\nHEART AND MEDIASTINUM: Normal.",
            "impression": "1. Pneumonia.",
        },
        "LINES AND TUBES: ETT 4 cm above carina. LUNGS: Left consolidation. HEART AND MEDIASTINUM: Normal. 1. Pneumonia.",
    ),
    "who signed stands under the impression": (
        "IMPRESSION: Normal.\nELECTRONICALLY SIGNED BY: ___\nDICTATED BY DR. ___: today",
        {"impression": "Normal.", "other": "___\ntoday"},
        "Normal.",
    ),
    "impression and recommendations": (
        "IMPRESSION AND RECOMMENDATIONS:\nLeft effusion.",
        {"impression": "Left effusion."},
        "Left effusion.",
    ),
    "impression and plan": ("IMPRESSION/PLAN: Left effusion.", {"impression": "Left effusion."}, "Left effusion."),
    "no heading below the indication": (
        "FINAL REPORT\n REASON FOR EXAMINATION:  Pneumothorax.\n\n AP radiograph was reviewed.\n\n Small apical pneumothorax.\n",
        {"indication": "Pneumothorax.", "body": "AP radiograph was reviewed.\n\n Small apical pneumothorax."},
        "AP radiograph was reviewed. Small apical pneumothorax.",
    ),
    "no heading below the comparison": (
        "INDICATION:  cough.\n\n fever.\n\n COMPARISON:  ___.\n\n Clear lungs.",
        {"indication": "cough.\n\n fever.", "comparison": "___.", "body": "Clear lungs."},
        "Clear lungs.",
    ),
    "a comparison below the findings": (
        "FINDINGS: Clear.\nCOMPARISON: ___.\n\nDr. ___",
        {"findings": "Clear.", "comparison": "___.\n\nDr. ___"},
        "Clear.",
    ),
    "sentences in capitals": (
        "FINDINGS:\nTHE LUNGS ARE CLEAR. SMALL LEFT EFFUSION. IMPRESSION: NO ACUTE DISEASE.",
        {"findings": "THE LUNGS ARE CLEAR. SMALL LEFT EFFUSION.", "impression": "NO ACUTE DISEASE."},
        "THE LUNGS ARE CLEAR. SMALL LEFT EFFUSION. NO ACUTE DISEASE.",
    ),
    "a list without full stops": (
        "IMPRESSION:\n- No pneumothorax\n- Left lower lobe pneumonia\n- Cardiomegaly",
        {"impression": "- No pneumothorax\n- Left lower lobe pneumonia\n- Cardiomegaly"},
        "- No pneumothorax. - Left lower lobe pneumonia. - Cardiomegaly.",
    ),
    "a numbered list": (
        "IMPRESSION: \n1) No pneumonia\n2) Cardiomegaly",
        {"impression": "1) No pneumonia\n2) Cardiomegaly"},
        "1) No pneumonia. 2) Cardiomegaly.",
    ),
    "a line for each finding": (
        "FINDINGS:\nNo pneumothorax\nLeft pleural effusion\n\nPacemaker in place",
        {"findings": "No pneumothorax\nLeft pleural effusion\n\nPacemaker in place"},
        "No pneumothorax. Left pleural effusion. Pacemaker in place.",
    ),
    "wrapped prose": (
        "FINDINGS: The PICC ends in the mid portion of the superior vena\n cava, as Dr. X\n was told, near the\n Swan-Ganz catheter\n",
        {"findings": "The PICC ends in the mid portion of the superior vena\n cava, as Dr. X\n was told, near the\n Swan-Ganz catheter"},
        "The PICC ends in the mid portion of the superior vena cava, as Dr. X was told, near the Swan-Ganz catheter.",
    ),
    "a time inside a sentence": ("Taken at 8:14: clear lungs.", {"body": "Taken at 8:14: clear lungs."}, "Taken at 8:14: clear lungs."),
    "an unknown heading": (
        "SIGNED BY: ___\nCLINICAL STATEMENT: Cough.\nLUNGS: Clear.",
        {"other": "___", "indication": "Cough.", "body": "LUNGS: Clear."},
        "LUNGS: Clear.",
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
