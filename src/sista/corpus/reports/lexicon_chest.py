"""Findings of heart, lungs, pleura and ribs, and the phrases that speak of them."""

from __future__ import annotations

from sista.corpus.reports.finding import Finding

_HEART = (
    r"(?:(?<!above the )(?<!behind the )heart|cardiac\s+(?:silhouette|shadow|size|contours?|outline)|cardiopericardial\s+silhouette"
    r"|heart\s+(?:size|silhouette|shadow|contours?)|cardiothoracic\s+ratio)"
)
_MEDIASTINUM = r"(?:(?:cardio)?mediastin(?:um|al\s+(?:silhouette|contours?|width|shadow|structures))|cardiomediastinal\s+silhouettes?)"
_LINK = r"(?:\s+(?!normal|unremarkable|and\b|with\b|or\b)[\w-]+){0,5}?\s+"
_LARGE = r"(?:enlarged|enlargement|increased|prominent|widened|big|large|enlarging)"
_FINE = r"(?:normal|unremarkable|within\s+normal|not\s+(?:\w+\s+)?enlarged|top[\s-]normal|upper\s+limits\s+of\s+normal)"

CHEST: tuple[Finding, ...] = (
    Finding(
        "cardiomegaly",
        (
            r"cardiomegaly",
            r"(?:cardiac|heart)\s+enlargement",
            r"enlarge(?:d|ment\s+of)\s+(?:the\s+)?(?:heart|cardiac)(?:\s+(?:silhouette|size|shadow|contours?))?",
            rf"{_HEART}:?{_LINK}{_LARGE}",
            rf"(?<=borderline\s){_HEART}",
            rf"{_HEART}(?=(?:\s+\w+){{0,4}}?\s+borderline\b)",
        ),
        (
            rf"{_HEART}:?(?:\s+(?:and|size|is|are|in|pulmonary|\w+))" + r"{0,6}?\s+" + _FINE,
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
            r"(?:micro|reticulo)?nodul(?:es?|arity|ar(?:\s+(?:opacit\w+|opacification|densit\w+|lesions?|foc\w+))?)",
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
    Finding("density", (r"(?<!bone )(?<!mineral )densit(?:y|ies)",), parent="lung opacity", kin="lung opacity"),
    Finding(
        "pleural other",
        (
            r"pleural\s+(?:and\s+parenchymal\s+)?(?:thickening|scar\w*|plaques?|calcifications?)",
            r"fibrothorax",
            r"pleuro-?parenchymal\s+scar\w*",
        ),
    ),
    Finding("fracture", (r"(?<!catheter )(?<!screw )(?<!lead )(?<!wire )fractur\w+",)),
)
