"""The words of phantom reports: how each finding may be called, placed, graded, hedged, denied and compared.

No noun is shared by two labels, every wording states side and zone, and a sentence affirms or denies but never does both. So equal text
means equal findings, and a rule that looks for negation words is right about every sentence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """How one label (or kind of tube) is put into words.

    nouns: (noun, article) with the article "a" when the noun is counted, "" when not. forms: how grade, noun and place are joined.
    grades: words for mild, moderate and severe. absent: nouns for denying it.
    """

    nouns: tuple[tuple[str, str], ...]
    forms: tuple[str, ...]
    grades: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    absent: tuple[str, ...]


_ZONED = (
    "{grade} {noun} in the {side} {zone} lung",
    "{grade} {side} {zone} lung {noun}",
    "{grade} {noun} in the {side} {zone} zone",
    "{grade} {side} {zone} zone {noun}",
    "{grade} {noun} in the {zone} zone of the {side} lung",
    "{grade} {noun} in the {lobe}",
    "{grade} {lobe} {noun}",
)

WORDINGS: dict[str, Wording] = {
    "consolidation": Wording(
        (
            ("consolidation", ""),
            ("airspace opacity", "a"),
            ("airspace disease", ""),
            ("infiltrate", "a"),
            ("pneumonia", ""),
            ("alveolar opacity", "a"),
        ),
        _ZONED,
        (("mild", "faint", "patchy", "subtle"), ("moderate", "focal", ""), ("dense", "extensive", "severe")),
        ("consolidation", "focal consolidation", "airspace disease", "infiltrate", "pneumonia", "airspace opacity"),
    ),
    "pleural effusion": Wording(
        (("pleural effusion", "a"), ("effusion", "a"), ("pleural fluid", ""), ("pleural fluid collection", "a")),
        (
            "{grade} {side} {noun}",
            "{grade} {noun} on the {side}",
            "{grade} {side} basal {noun}",
            "{grade} {noun} at the {side} base",
            "{grade} {side} {noun} with blunting of the costophrenic angle",
            "{grade} {noun} in the {side} costophrenic angle",
        ),
        (("small", "trace", "minimal", "tiny"), ("moderate", "medium", ""), ("large", "extensive", "massive")),
        ("pleural effusion", "effusion", "pleural fluid"),
    ),
    "pneumothorax": Wording(
        (("pneumothorax", "a"), ("apical pneumothorax", "a"), ("air in the pleural space", ""), ("pleural air collection", "a")),
        (
            "{grade} {side} {noun}",
            "{grade} {noun} on the {side}",
            "{grade} {noun} at the {side} apex",
            "{grade} {side} sided {noun}",
            "{grade} {side} {noun} with a visible pleural line",
        ),
        (("small", "tiny", "minimal"), ("moderate", "medium", ""), ("large", "extensive")),
        ("pneumothorax", "apical pneumothorax", "pleural air"),
    ),
    "nodule": Wording(
        (
            ("nodule", "a"),
            ("pulmonary nodule", "a"),
            ("lung nodule", "a"),
            ("nodular opacity", "a"),
            ("coin lesion", "a"),
            ("noncalcified nodule", "a"),
        ),
        _ZONED,
        (("small", "faint", "subtle"), ("", "solitary", "round"), ("prominent", "dense", "well defined")),
        ("nodule", "pulmonary nodule", "suspicious nodule", "nodular opacity"),
    ),
    "mass": Wording(
        (("mass", "a"), ("lung mass", "a"), ("pulmonary mass", "a"), ("masslike opacity", "a"), ("mass lesion", "a"), ("tumor", "a")),
        _ZONED,
        (("small", "rounded"), ("", "lobulated", "moderate"), ("large", "bulky", "extensive")),
        ("mass", "lung mass", "mass lesion"),
    ),
    "cardiomegaly": Wording(
        (
            ("cardiomegaly", ""),
            ("enlargement of the heart", ""),
            ("cardiac enlargement", ""),
            ("enlarged cardiac silhouette", "a"),
            ("enlarged heart", "a"),
            ("cardiac silhouette enlargement", ""),
            ("enlarged heart shadow", "a"),
        ),
        ("{grade} {noun}",),
        (("mild", "slight", "borderline"), ("moderate", ""), ("marked", "severe", "massive")),
        ("cardiomegaly", "cardiac enlargement", "enlargement of the heart"),
    ),
    "atelectasis": Wording(
        (
            ("atelectasis", ""),
            ("linear atelectasis", ""),
            ("platelike atelectasis", ""),
            ("subsegmental atelectasis", ""),
            ("bandlike opacity", "a"),
            ("volume loss", ""),
        ),
        _ZONED,
        (("mild", "minimal", "subtle"), ("moderate", ""), ("marked", "severe", "extensive")),
        ("atelectasis", "volume loss", "focal atelectasis"),
    ),
    "edema": Wording(
        (
            ("pulmonary edema", ""),
            ("interstitial edema", ""),
            ("pulmonary vascular congestion", ""),
            ("vascular congestion", ""),
            ("perihilar edema", ""),
            ("pulmonary venous congestion", ""),
        ),
        ("{grade} {noun}", "{grade} bilateral {noun}", "{grade} {noun} in both lungs"),
        (("mild", "minimal", "early"), ("moderate", ""), ("severe", "marked", "florid")),
        ("pulmonary edema", "edema", "vascular congestion", "interstitial edema"),
    ),
    "central line": Wording(
        (
            ("central venous catheter", "a"),
            ("central line", "a"),
            ("venous catheter", "a"),
            ("central venous line", "a"),
            ("central catheter", "a"),
        ),
        (
            "{side} {noun}",
            "{noun} from the {side}",
            "{side} sided {noun}",
            "{noun} placed from the {side}",
            "{side} {noun} with its tip in the superior vena cava",
            "{noun} entering on the {side}",
        ),
        (("",), ("",), ("",)),
        ("central line", "central venous catheter", "venous catheter"),
    ),
    "endotracheal": Wording(
        (("endotracheal tube", "a"), ("tracheal tube", "a"), ("breathing tube", "a")),
        ("{noun}", "{noun} above the carina", "{noun} in satisfactory position", "{noun} with its tip above the carina"),
        (("",), ("",), ("",)),
        ("endotracheal tube", "tube", "enteric tube", "chest tube"),
    ),
    "enteric": Wording(
        (("nasogastric tube", "a"), ("enteric tube", "a"), ("feeding tube", "a")),
        ("{noun}", "{noun} below the diaphragm", "{noun} in satisfactory position", "{noun} with its tip in the stomach"),
        (("",), ("",), ("",)),
        (),
    ),
    "chest": Wording(
        (("chest tube", "a"), ("pleural drainage tube", "a"), ("thoracostomy tube", "a")),
        ("{side} {noun}", "{noun} on the {side}", "{side} sided {noun}", "{noun} in the {side} pleural space"),
        (("",), ("",), ("",)),
        (),
    ),
    "pacemaker": Wording(
        (
            ("pacemaker", "a"),
            ("cardiac pacemaker", "a"),
            ("pacing device", "a"),
            ("dual lead pacemaker", "a"),
            ("implanted pacemaker", "a"),
        ),
        (
            "{side} {noun}",
            "{side} sided {noun}",
            "{noun} on the {side}",
            "{noun} in the {side} upper chest wall",
            "{side} chest wall {noun}",
            "{side} {noun} with leads in the heart",
        ),
        (("",), ("",), ("",)),
        ("pacemaker", "pacing device", "cardiac pacemaker"),
    ),
}

LOBES = {
    ("right", "upper"): "right upper lobe",
    ("right", "mid"): "right middle lobe",
    ("right", "lower"): "right lower lobe",
    ("left", "upper"): "left upper lobe",
    ("left", "mid"): "left lingula",
    ("left", "lower"): "left lower lobe",
}

# {p}: the phrase; {a}: its article and the phrase; {be}: is or are. A capital asks for a capital.
CERTAIN = (
    "There {be} {a}.",
    "{P} {be} present.",
    "{P} {be} seen.",
    "{P} {be} noted.",
    "{P}.",
    "{A} {be} identified.",
    "The film shows {a}.",
    "{A} {be} visible.",
    "Again seen {be} {a}.",
    "{P} {be} demonstrated on this view.",
)
HEDGED = (
    "Possible {p}.",
    "Cannot exclude {a}.",
    "Appearances are suggestive of {a}.",
    "Findings may represent {a}.",
    "Questionable {p}.",
    "Probable {p}.",
    "Suspected {p}.",
    "Findings could reflect {a}.",
    "Likely {p}.",
)
DENIED_ONE = (
    "There is no {n}.",
    "No {n}.",
    "No evidence of {n}.",
    "No {n} is seen.",
    "Negative for {n}.",
    "There is no evidence of {n}.",
    "No definite {n}.",
    "The film is negative for {n}.",
    "Study without {n}.",
)
DENIED_MORE = (
    "There is no {l}.",
    "No {l}.",
    "No evidence of {l}.",
    "No {l} is seen.",
    "Negative for {l}.",
    "Without evidence of {l}.",
    "There is no evidence of {l}.",
    "The chest is free of {l}.",
)

CLEAR_LUNGS = (
    "The lungs are clear.",
    "Both lungs are clear and well expanded.",
    "The lungs are well aerated.",
    "Lungs are clear bilaterally.",
    "Clear lungs.",
    "Normal lung volumes and clear lung fields.",
)
NORMAL_HEART = (
    "The heart is normal in size.",
    "Heart size is normal.",
    "The cardiac silhouette is within normal limits.",
    "Normal heart size.",
    "The heart size is within normal limits.",
)
CLEAR_ANGLES = ("The costophrenic angles are sharp.", "Both costophrenic angles are clear.", "Costophrenic angles are preserved.")
BACKGROUND = (
    "The bony thorax is intact.",
    "Degenerative changes of the thoracic spine.",
    "The mediastinal contours are unremarkable.",
    "The trachea is midline.",
    "The aorta is mildly tortuous.",
    "Osseous structures are unremarkable.",
    "The hilar contours are normal.",
    "Mild scoliosis of the thoracic spine.",
    "The visualized upper abdomen is unremarkable.",
    "Soft tissues are unremarkable.",
    "Age related changes of the skeleton.",
    "Old healed rib fractures are present.",
    "The aortic arch is calcified.",
    "The diaphragm is well defined.",
)
TECHNIQUE = {
    "PA": ("Frontal view of the chest.", "Upright frontal radiograph.", "A single frontal view was obtained.", "PA view of the chest."),
    "AP": ("Portable view of the chest.", "Single portable AP radiograph.", "AP view at the bedside.", "Portable supine radiograph."),
}
NO_PRIOR = ("No prior studies for comparison.", "Comparison is not available.", "None available for comparison.")
PRIOR = ("Comparison is made with the prior study.", "Compared to the previous examination.", "The prior radiograph was reviewed.")
CHANGED = {
    "better": (
        "Compared with the prior study the {n} has improved.",
        "The {n} has decreased since the previous examination.",
        "Interval improvement of the {n}.",
        "The {n} is less marked than before.",
    ),
    "worse": (
        "Compared with the prior study the {n} has increased.",
        "The {n} has worsened since the previous examination.",
        "Interval increase of the {n}.",
        "The {n} is more marked than before.",
    ),
    "same": (
        "The {n} is unchanged from the prior study.",
        "Compared with the prior study the {n} is stable.",
        "The {n} is similar to the previous examination.",
        "Stable {n}.",
    ),
    "new": (
        "The {n} is new since the prior study.",
        "Compared with the previous examination the {n} is new.",
        "New {n} in the interval.",
        "The {n} has appeared since the prior study.",
    ),
    "resolved": (
        "The prior {n} is no longer seen.",
        "No residual {n}.",
        "No {n} remains.",
        "The previous {n} is no longer present.",
    ),
}
NORMAL_IMPRESSION = (
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No acute disease.",
    "Unremarkable chest.",
    "No acute cardiopulmonary process.",
    "Normal study.",
    "No active disease in the chest.",
)
FOLLOW_UP_ADVICE = (
    "Follow up is recommended.",
    "Clinical correlation is advised.",
    "Recommend repeat radiograph.",
    "Further imaging may be helpful.",
    "Attention on follow up.",
)
