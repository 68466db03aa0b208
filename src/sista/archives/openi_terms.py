"""From OpenI's manual indexing terms to the observations of CheXpert."""

from __future__ import annotations

from collections.abc import Iterable

# Observation: first parts of a term ("Opacity" of "Opacity/lung/base/left"), in lower case. A start of our own choosing, from reading all
# 122 first parts; what stands in no list says nothing about any observation (Spine, Calcinosis, Aorta, ...).
TERMS = {
    "Cardiomegaly": ("cardiomegaly",),
    "Lung Opacity": ("opacity", "airspace disease", "infiltrate"),
    "Lung Lesion": ("nodule", "mass"),
    "Edema": ("pulmonary edema", "pulmonary congestion", "heart failure"),
    "Consolidation": ("consolidation",),
    "Pneumonia": ("pneumonia",),
    "Atelectasis": ("pulmonary atelectasis",),
    "Pneumothorax": ("pneumothorax", "hydropneumothorax", "hemopneumothorax"),
    "Pleural Effusion": ("pleural effusion", "hydropneumothorax", "hemothorax", "hemopneumothorax"),
    "Fracture": ("fractures, bone",),
    "Support Devices": ("catheters, indwelling", "implanted medical device", "medical device", "tube, inserted"),
}
LABELS = ("No Finding", *TERMS)
"""Enlarged Cardiomediastinum and Pleural Other are missing: the terms have no word of their own for them."""
_NOT_INDEXED = ("no indexing",)
_NORMAL = "normal"


def labels_of(major: Iterable[str]) -> dict[str, float]:
    """1 for each observation that a term names, 0 for the others; No Finding is 1 for `normal` alone. Nothing for a report not indexed."""
    heads = [term.partition("/")[0].strip().lower() for term in major]
    heads = [head for head in heads if head and head not in _NOT_INDEXED]
    if not heads:
        return {}
    found = {name: float(any(head in terms for head in heads)) for name, terms in TERMS.items()}
    return {"No Finding": float(all(head == _NORMAL for head in heads)), **found}
