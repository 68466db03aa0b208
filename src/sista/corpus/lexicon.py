"""The words of chest radiograph reports: findings and their mentions, places, sides, severity.

The names are the 14 observations of CheXpert (Irvin et al., AAAI 2019) in lower case and, where the phantom corpus is finer, its names.
The mentions are our own regular expressions, written with the phrase lists of the CheXpert labeler (stanfordmlgroup, MIT licence) in view.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sista.corpus.places import phrase_pattern

_HEART = (
    r"(?:(?<!above the )(?<!behind the )heart|cardiac\s+(?:silhouette|shadow|size|contours?|outline)|cardiopericardial\s+silhouette"
    r"|heart\s+(?:size|silhouette|shadow|contours?)|cardiothoracic\s+ratio)"
)
_MEDIASTINUM = r"(?:(?:cardio)?mediastin(?:um|al\s+(?:silhouette|contours?|width|shadow|structures))|cardiomediastinal\s+silhouettes?)"
_LINK = r"(?:\s+(?!normal|unremarkable|and\b|with\b|or\b)[\w-]+){0,5}?\s+"
_LARGE = r"(?:enlarged|enlargement|increased|prominent|widened|big|large|enlarging)"
_FINE = r"(?:normal|unremarkable|within\s+normal|not\s+(?:\w+\s+)?enlarged|top[\s-]normal|upper\s+limits\s+of\s+normal)"


@dataclass(frozen=True)
class Finding:
    """One observation. `mentions` speak of it, `absences` deny it without a negation cue ("heart size is normal"); regular expressions.

    parent: the broader observation that it implies. kin: the finding that it counts as when reports are compared, for on a film they look
    alike. sided, zoned: whether side and zone tell two of it apart. zone: where it always is. relevant: False for what comes with age,
    which makes no report abnormal. observation: the CheXpert observation that it speaks of, affirmed or denied; its own name if that is
    one. device: foreign to the body; it leaves "no finding" as it is.
    """

    name: str
    mentions: tuple[str, ...]
    absences: tuple[str, ...] = ()
    parent: str | None = None
    kin: str | None = None
    sided: bool = True
    zoned: bool = True
    zone: str = ""
    relevant: bool = True
    observation: str = ""
    device: bool = False

    def spots(self, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """The (side, zone) pairs that matter for this finding; ("", zone) when nothing is said."""
        return {(side if self.sided else "", zone if self.zoned else self.zone) for side, zone in places} or {
            ("", "" if self.zoned else self.zone)
        }


FINDINGS: tuple[Finding, ...] = (
    Finding(
        "cardiomegaly",
        (
            r"cardiomegaly",
            r"(?:cardiac|heart)\s+enlargement",
            r"enlarge(?:d|ment\s+of)\s+(?:the\s+)?(?:heart|cardiac)(?:\s+\w+)?",
            rf"{_HEART}{_LINK}{_LARGE}",
            rf"(?<=borderline\s){_HEART}",
            rf"{_HEART}(?=(?:\s+\w+){{0,4}}?\s+borderline\b)",
        ),
        (
            rf"{_HEART}(?:\s+(?:and|size|is|are|in|pulmonary|\w+))" + r"{0,6}?\s+" + _FINE,
            r"normal\s+(?:heart|cardiac)\b",
            r"normal[\s-]sized?\s+heart",
        ),
        sided=False,
        zoned=False,
    ),
    Finding(
        "enlarged cardiomediastinum",
        (
            r"mediastinal\s+(?:widening|enlargement)",
            rf"(?:wide|widened|enlarged|prominent)\s+{_MEDIASTINUM}",
            rf"{_MEDIASTINUM}{_LINK}{_LARGE}",
        ),
        (rf"{_MEDIASTINUM}(?:\s+\w+)" + r"{0,5}?\s+" + _FINE, rf"normal\s+{_MEDIASTINUM}"),
        sided=False,
        zoned=False,
    ),
    Finding(
        "pleural effusion",
        (
            r"(?<!pericardial )(?:pleural\s+|parapneumonic\s+|subpulmonic\s+)?effusions?",
            r"pleural\s+fluid(?:\s+collections?)?",
            r"hydrothorax",
            r"layering\s+fluid",
            r"fluid\s+in\s+the\s+(?:\w+\s+)?pleura\w*(?:\s+space)?",
            r"meniscus",
        ),
        (
            r"(?:costophrenic|cp)\s+(?:angles?|sulc\w+)(?:\s+\w+){0,3}?\s+(?:clear|sharp|preserved)",
            r"pleural\s+spaces?\s+(?:is|are)\s+(?:clear|unremarkable)",
        ),
        zoned=False,
        zone="lower",
    ),
    Finding(
        "blunted angle",
        (
            r"blunt\w*\s+(?:of\s+)?(?:the\s+)?(?:\w+\s+){0,4}?(?:costophrenic|costodiaphragmatic|cp)(?:\s+(?:angles?|sulc\w+|recess\w*))?",
            r"(?:costophrenic|cp)\s+(?:angles?|sulc\w+|recess\w*)(?:\s+\w+){0,3}?\s+(?:blunt\w*|obscured|obliterated|effaced)",
        ),
        parent="pleural effusion",
        kin="pleural effusion",
        zoned=False,
        zone="lower",
    ),
    Finding(
        "pneumothorax",
        (
            r"(?:hydro)?pneumothora(?:x|ces)",
            r"ptx",
            r"pleural\s+air(?:\s+collections?)?",
            r"air\s+in\s+the\s+pleural\s+space",
            r"visible\s+pleural\s+line",
            r"(?:absent|absence\s+of|lack\s+of)\s+(?:peripheral\s+)?lung\s+markings",
        ),
        zoned=False,
        zone="upper",
    ),
    Finding(
        "nodule",
        (
            r"(?:micro|reticulo)?nodul(?:es?|ar(?:ity)?|ar\s+(?:opacit\w+|opacification|densit\w+|lesions?|foc\w+))",
            r"coin\s+lesion",
            r"round(?:ed)?\s+(?:(?!mass)\w+\s+)?(?:opacity|density)",
        ),
        parent="lung lesion",
        observation="lung lesion",
    ),
    Finding(
        "mass",
        (r"mass(?:es)?(?!\s+effect)", r"mass[\s-]?like\s+\w+", r"tumou?rs?", r"neoplasms?", r"carcinoma"),
        parent="lung lesion",
        observation="lung lesion",
    ),
    Finding("lung lesion", (r"(?:cavitary|cystic|pulmonary|lung|parenchymal)\s+lesions?", r"cavit(?:y|ation)", r"metasta\w+")),
    Finding(
        "atelectasis",
        (
            r"(?:sub|micro)?atelecta\w+",
            r"volume\s+loss",
            r"loss\s+of\s+volume",
            r"(?:segmental|lobar|lung|partial|subsegmental|lobe)\s+collapse",
            r"collapse\s+of\s+the",
            r"(?:plate|band)[\s-]?like\s+(?:opacit\w+|densit\w+)",
            r"linear\s+(?:opacit\w+|densit\w+)",
        ),
    ),
    Finding(
        "edema",
        (
            r"(?:pulmonary\s+|interstitial\s+|alveolar\s+|vascular\s+)?(?:o?edema(?:tous)?)",
            r"(?:vascular|venous|pulmonary|interstitial)\s+(?:vascular\s+)?congestion",
            r"(?:fluid|volume)\s+overload",
            r"kerley(?:\s+\w)?\s+lines",
            r"cephali[sz]ation",
            r"(?:congestive\s+)?(?:heart|cardiac)\s+failure",
            r"chf",
            r"(?:pulmonary\s+)?(?:vascular|venous)\s+(?:engorgement|indistinctness|prominence)(?!\s+appears?\s+(?:to\s+be\s+)?within)",
            r"(?:engorge\w+|indistinct\w*)(?:\s+\w+){0,3}?\s+vascul\w+",
            r"vascul\w+\s+(?:is|are|appears?|remains?)\s+(?:\w+\s+)?(?:congested|engorged|indistinct)",
            r"(?:perihilar\s+(?:haze|haziness)|bat[\s-]?wing\s+\w+)",
        ),
        sided=False,
        zoned=False,
    ),
    Finding(
        "consolidation",
        (
            r"consolidat\w+",
            r"air\s+bronchograms?",
        ),
    ),
    Finding(
        "airspace opacity",
        (
            r"air[\s-]?space\s+(?:disease|opacit\w+|opacification)",
            r"infiltrat\w+",
            r"alveolar\s+(?:opacit\w+|infiltrat\w+)",
        ),
        parent="consolidation",
        kin="consolidation",
        observation="lung opacity",
    ),
    Finding(
        "pneumonia",
        (
            r"(?:broncho)?pneumonias?",
            r"infectious\s+(?:process|disease|infiltrate|etiology)",
            r"(?<!granulomatous )infections?",
            r"pneumonitis",
        ),
        parent="consolidation",
        kin="consolidation",
    ),
    Finding(
        "lung opacity",
        (
            r"opacit(?:y|ies)",
            r"opacifi\w+",
            r"(?:increased|air[\s-]?space|alveolar|parenchymal|interstitial|patchy|hazy|streaky)\s+(?:\w+\s+)?densit(?:y|ies)",
            r"haz(?:e|y|iness)",
            r"interstitial\s+(?:markings|pattern|thickening|prominence)",
            r"reticula\w*",
        ),
    ),
    Finding("density", (r"densit(?:y|ies)",), parent="lung opacity", kin="lung opacity"),
    Finding(
        "pleural other",
        (
            r"pleural\s+(?:and\s+parenchymal\s+)?(?:thickening|scar\w*|plaques?|calcifications?)",
            r"fibrothorax",
            r"pleuro-?parenchymal\s+scar\w*",
        ),
    ),
    Finding("fracture", (r"(?<!catheter )(?<!screw )(?<!lead )(?<!wire )fractur\w+",)),
    Finding(
        "central line",
        (
            r"central\s+(?:venous\s+)?(?:line|catheter)s?",
            r"picc(?:\s+line)?",
            r"port-?a-?cath",
            r"mediport",
            r"(?:(?:internal\s+)?jugular|ij|subclavian|venous|dialysis|hickman|port)\s+(?:central\s+)?(?:venous\s+)?(?:line|catheter)s?",
            r"swan[\s-]ganz(?:\s+catheter)?",
            r"cvc",
            r"(?:tip|tips|port|catheter)\s+(?:\w+\s+){0,6}?(?:svc|superior\s+vena\s+cava|cavo-?\s?atrial|caval\s+atrial|atriocaval)(?:\s+junction)?",
            r"(?:chest|subclavian|infusion|jugular|venous|access|power)\s?-?ports?",
            r"infus-?a-?port",
        ),
        parent="support devices",
        observation="support devices",
        device=True,
        zoned=False,
    ),
    Finding(
        "chest tube",
        (r"(?:chest|thoracostomy|pleural(?:\s+drainage)?)\s+(?:tube|drain|catheter)s?", r"pigtail\s+(?:catheter|drain)"),
        parent="tube",
        kin="tube",
        observation="support devices",
        device=True,
        zoned=False,
    ),
    Finding(
        "tube",
        (
            r"(?:endo)?tracheal\s+tube",
            r"(?:et|ng|og)\s+tube",
            r"ett",
            r"(?:naso|oro)(?:gastric|enteric)\s+tube",
            r"(?:enteric|feeding|gastric|breathing|dobb?hoff|tracheostomy)\s+tube",
            r"tracheostomy",
            r"tubes?",
        ),
        parent="support devices",
        observation="support devices",
        device=True,
        sided=False,
        zoned=False,
    ),
    Finding(
        "pacemaker",
        (
            r"pace\s?maker(?:\s+leads?)?",
            r"pacer",
            r"(?:cardiac\s+)?pacing\s+(?:device|leads?|wires?)",
            r"a?icd",
            r"defibrillator",
            r"(?:pulse|cardiac|pacer)\s+generator",
            r"(?:atrial|ventricular|pacer|\w+\s+chamber|cardiac|aicd)\s+(?:and\s+\w+\s+ventricular\s+)?leads?",
        ),
        parent="support devices",
        observation="support devices",
        device=True,
        zoned=False,
        zone="upper",
    ),
    Finding(
        "support devices",
        (
            r"catheters?",
            r"(?:support|monitoring|implanted|medical)\s+(?:\w+\s+)?(?:devices?|lines?|apparatus|hardware|equipment)",
            r"hardware",
            r"(?:prosthe\w+|mechanical|artificial)\s+(?:\w+\s+)?valves?",
            r"valve\s+(?:replacement|prosthes\w+)",
            r"devices?",
            r"arthroplast\w+",
            r"(?:nerve\s+|spinal\s+(?:cord\s+)?|neuro|bone\s+)?stimulators?(?:\s+(?:leads?|wires?))?",
            r"(?:metallic|fixation|orthopedic|surgical|cervical|anterior|fusion|side)\s+plates?",
            r"screws?",
            r"(?:bone|suture)\s+anchors?",
            r"(?:internal|surgical|posterior|anterior)\s+fixation",
            r"(?:embolization|metallic|surgical)\s+coils?",
            r"loop\s+recorder",
            r"(?:electronic|metallic|implantable|monitoring|infusion|(?:left|right)\s+chest)\s+device",
            r"spinal\s+rods?",
        ),
        sided=False,
        zoned=False,
        device=True,
    ),
    Finding(
        "surgical material",
        (
            r"sternotomy(?:\s+(?:wires|sutures))?",
            r"(?:surgical\s+)?clips",
            r"stents?",
        ),
        parent="support devices",
        kin="support devices",
        sided=False,
        zoned=False,
        device=True,
    ),
    Finding(
        "other finding",
        (
            r"emphysema\w*",
            r"hyper(?:inflat|expan|lucen|distent)\w+",
            r"hypo(?:inflat|expan|ventilat)\w+",
            r"low\s+lung\s+volumes?",
            r"(?:calcified\s+)?granulom\w+",
            r"calcified\s+(?:\w+\s+)?nodul(?:es?|ar\s+densit\w+)",
            r"calcifi\w+",
            r"(?:hiatal\s+)?hernia",
            r"copd",
            r"scar(?:s|ring)?",
            r"fibro(?:sis|tic)",
            r"bronchi(?:ectasis|tis)",
            r"(?:peri)?bronchial\s+(?:wall\s+)?(?:thickening|cuffing)",
            r"(?:elevat\w+|eventration)(?:\s+of)?(?:\s+the)?(?:\s+\w+)?\s+(?:hemi)?diaphragm",
            r"(?:hemi)?diaphragm(?:\s+\w+){0,2}\s+elevat\w+",
            r"(?:thoracic|vertebral)\s+deformit\w+",
            r"compression\s+deformit\w+",
            r"lymphadenopathy",
            r"adenopathy",
            r"pneumomediastinum",
            r"pneumoperitoneum",
            r"subcutaneous\s+(?:air|emphysema)",
            r"bullae?",
            r"sarcoid\w*",
            r"aneurysm\w*",
        ),
        sided=False,
        zoned=False,
    ),
    Finding(
        "old fracture",
        (r"(?:old|healed|healing|remote|chronic)(?:\s+\w+){0,3}?\s+fractures?",),
        sided=False,
        zoned=False,
        relevant=False,
        observation="fracture",
    ),
    Finding(
        "incidental",
        (
            r"scolio\w+",
            r"kypho\w+",
            r"degenerative\s+\w+",
            r"osteophyt\w+",
            r"spondylosis",
            r"tortuo\w+",
            r"atherosclero\w+",
            r"ectati\w+",
            r"osteopeni\w+",
            r"osteoporo\w+",
            r"(?:aort\w+|arch|vascular|atherosclerotic)(?:\s+\w+){0,3}\s+calcifi\w+",
            r"calcifi\w+(?:\s+\w+){0,4}\s+aort\w+",
            r"(?:age[\s-]related|degenerative)\s+changes?",
            r"granulomatous\s+disease",
        ),
        sided=False,
        zoned=False,
        relevant=False,
    ),
)

CHEXPERT = (
    "no finding",
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung lesion",
    "lung opacity",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural other",
    "fracture",
    "support devices",
)
PHANTOM = (
    "consolidation",
    "pleural effusion",
    "pneumothorax",
    "nodule",
    "mass",
    "cardiomegaly",
    "atelectasis",
    "edema",
    "central line",
    "tube",
    "pacemaker",
)
FINDINGS = tuple(replace(f, observation=f.name) if f.name in CHEXPERT else f for f in FINDINGS)
BY_NAME = {finding.name: finding for finding in FINDINGS}

MENTION_PATTERNS = {f.name: phrase_pattern(f.mentions) for f in FINDINGS}
ABSENCE_PATTERNS = {f.name: phrase_pattern(f.absences) for f in FINDINGS if f.absences}
