from __future__ import annotations

import pytest

from sista.corpus.reports.negation import polarity

CASES = [
    ("No pneumothorax.", "pneumothorax", "denied"),
    ("There is no evidence of focal consolidation.", "consolidation", "denied"),
    ("Lungs are free of focal airspace disease, effusion, or edema.", "edema", "denied"),
    ("Clear of effusion.", "effusion", "denied"),
    ("Negative for pneumothorax.", "pneumothorax", "denied"),
    ("Cardiomegaly without heart failure.", "Cardiomegaly", "affirmed"),
    ("Cardiomegaly without heart failure.", "heart failure", "denied"),
    ("The effusion has resolved.", "effusion", "denied"),
    ("Resolved edema.", "edema", "denied"),
    ("Interval removal of the chest tube.", "chest tube", "denied"),
    ("Pneumothorax is not seen.", "Pneumothorax", "denied"),
    ("Pneumothorax is absent.", "Pneumothorax", "denied"),
    ("The prior effusion is no longer seen.", "effusion", "denied"),
    ("No effusion but a nodule.", "nodule", "affirmed"),
    ("No effusion; nodule on the left.", "nodule", "affirmed"),
    ("No pneumothorax, small left effusion.", "effusion", "affirmed"),
    ("No pneumothorax, large effusion, or consolidation.", "effusion", "denied"),
    ("No pneumothorax and there is a nodule.", "nodule", "affirmed"),
    ("No effusion or pneumothorax, however a nodule.", "nodule", "affirmed"),
    ("No change in the right effusion.", "effusion", "affirmed"),
    ("No significant interval change of the effusion.", "effusion", "affirmed"),
    ("The heart is not enlarged.", "heart is not enlarged", "denied"),
    ("Neither effusion nor pneumothorax.", "pneumothorax", "denied"),
    ("Possible pneumonia.", "pneumonia", "doubted"),
    ("Cannot exclude a small effusion.", "effusion", "doubted"),
    ("Pneumonia cannot be excluded.", "Pneumonia", "doubted"),
    ("This may represent atelectasis.", "atelectasis", "doubted"),
    ("Opacity, atelectasis versus pneumonia.", "pneumonia", "doubted"),
    ("Likely atelectasis.", "atelectasis", "affirmed"),
    ("Consistent with edema.", "edema", "affirmed"),
    ("No suspicious nodule.", "nodule", "denied"),
    ("Large effusion.", "effusion", "affirmed"),
    ("Normal tube.", "tube", "affirmed"),
    ("New opacity not present on prior.", "opacity", "affirmed"),
    ("There is a consolidation that was not seen on the most recent prior study.", "consolidation", "affirmed"),
    ("Left opacity, not well visualized previously.", "opacity", "affirmed"),
    ("Opacity not seen on the lateral view.", "Opacity", "denied"),
    ("Pleural effusion: None.", "effusion", "denied"),
    ("Pneumothorax: No.", "Pneumothorax", "denied"),
    ("Consolidation: not seen", "Consolidation", "denied"),
    ("Pneumothorax - none.", "Pneumothorax", "denied"),
    ("Effusion: no change.", "Effusion", "affirmed"),
    ("Heart: no effusion.", "Heart", "affirmed"),
    ("Heart is borderline enlarged.", "Heart is borderline enlarged", "doubted"),
    ("The heart may be slightly enlarged.", "heart may be slightly enlarged", "doubted"),
    ("The heart is no longer enlarged.", "heart is no longer enlarged", "denied"),
    ("Fractures cannot entirely be excluded.", "Fractures", "doubted"),
    ("Pneumonia can't be excluded.", "Pneumonia", "doubted"),
    ("We can't exclude pneumonia.", "pneumonia", "doubted"),
    ("Pulmonary edema has almost completely resolved.", "edema", "affirmed"),
    ("Effusion is nearly resolved.", "Effusion", "affirmed"),
    ("Near-complete resolution of left effusion.", "effusion", "affirmed"),
    ("Partial clearing of the consolidation.", "consolidation", "affirmed"),
    ("Resolution of the consolidation.", "consolidation", "denied"),
    # a second statement in the sentence
    ("No pneumothorax and no evidence of effusion.", "pneumothorax", "denied"),
    ("No consolidation or signs of heart failure.", "consolidation", "denied"),
    ("Left effusion has decreased and pneumothorax has resolved.", "effusion", "affirmed"),
    ("Left effusion has decreased and pneumothorax has resolved.", "pneumothorax", "denied"),
    ("There is a left effusion, pneumothorax is not seen.", "effusion", "affirmed"),
    ("Cardiomegaly is present and effusion is not seen.", "Cardiomegaly", "affirmed"),
    ("Left effusion is present and pneumonia cannot be excluded.", "effusion", "affirmed"),
    ("The previously seen effusion is smaller and has resolved.", "effusion", "denied"),
    ("No pneumothorax, left basilar atelectasis.", "atelectasis", "affirmed"),
    ("No pneumothorax with left basal atelectasis.", "atelectasis", "affirmed"),
    ("No pneumothorax, left or right.", "pneumothorax", "denied"),
    ("Removal of the tracheostomy tube and right subclavian catheter.", "catheter", "denied"),
    ("No effusion and heart size is enlarged.", "heart size is enlarged", "affirmed"),
    # change that is not there
    ("No relevant change in the right effusion.", "effusion", "affirmed"),
    ("No short interval change in the effusion.", "effusion", "affirmed"),
    ("No worsening of the effusion.", "effusion", "affirmed"),
    # lists
    ("Pneumothorax: none visualized.", "Pneumothorax", "denied"),
    ("Effusion: not identified.", "Effusion", "denied"),
    ("Effusion: none; pneumothorax: small.", "Effusion", "denied"),
    ("Effusion: none; pneumothorax: small.", "pneumothorax", "affirmed"),
    # hedges
    ("A trace effusion may be present.", "effusion", "doubted"),
    ("Edema is also possible.", "Edema", "doubted"),
    ("Opacity, unlikely to represent pneumonia.", "pneumonia", "doubted"),
    ("Opacity, unlikely to represent pneumonia.", "Opacity", "affirmed"),
    ("Atelectasis, less likely pneumonia.", "pneumonia", "doubted"),
    ("Atelectasis, less likely pneumonia.", "Atelectasis", "affirmed"),
    ("Pneumonia is less likely in this setting.", "Pneumonia", "doubted"),
    ("Pneumonia is felt to be unlikely.", "Pneumonia", "doubted"),
    ("Suspect small effusion.", "effusion", "doubted"),
    ("Either atelectasis or pneumonia.", "atelectasis", "doubted"),
    ("Effusion on either side.", "Effusion", "affirmed"),
    ("It is difficult to exclude pneumonia.", "pneumonia", "doubted"),
    ("Pneumonia is difficult to exclude.", "Pneumonia", "doubted"),
    ("Pneumothorax is not visible.", "Pneumothorax", "denied"),
    ("The effusion is no longer visible.", "effusion", "denied"),
    ("Pneumothorax is not observed.", "Pneumothorax", "denied"),
    ("The effusion is visible.", "effusion", "affirmed"),
]


@pytest.mark.parametrize(("sentence", "mention", "expected"), CASES)
def test_polarity(sentence: str, mention: str, expected: str) -> None:
    start = sentence.index(mention)
    assert polarity(sentence, start, start + len(mention)) == expected


def test_a_doubt_of_the_place_of_a_tip_is_none_of_its_tube() -> None:
    sentence = "PICC with its tip that may be in the cava."
    assert polarity(sentence, 0, len(sentence) - 1) == "doubted"
    assert polarity(sentence, 0, len(sentence) - 1, doubts_inside=False) == "affirmed"
