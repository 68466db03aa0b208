"""Published counts of the archives, to hold a copy on disk against; sources in docs/archives.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# archive: release: counts, as `archive.counts()` names them; "a.b" is b inside a.
PUBLISHED: dict[str, dict[str, dict[str, int]]] = {
    "openi": {"as released": {"studies": 3955, "with_findings": 3425, "with_impression": 3921, "images_named": 7470}},
    "nih": {"2017": {"rows": 112120, "subjects": 30805, "boxes": 984, "boxed_films": 880, "positives.No Finding": 60361}},
    "rsna": {"stage 2": {"rows": 30227, "studies": 26684, "positive_studies": 6012, "boxes": 9555}},
    "siim": {
        "train and test of stage 1": {"rows": 12954, "studies": 12047, "positive_studies": 2669, "negative_studies": 9378},
        "train of stage 1": {"studies": 10675},
    },
    "chexpert": {"v1.0": {"rows_per_split.train": 223414, "rows_per_split.valid": 234, "frontal_per_split.train": 191027}},
    "vindr": {"Kaggle": {"rows": 67914, "studies": 15000}, "PhysioNet": {"studies": 18000}},
    "covidx": {
        "8A": {"positives.train.covid-19": 2158, "positives.train.normal": 7966, "positives.train.pneumonia": 5475},
        "9A": {"positives.train.covid-19": 16490, "positives.train.normal": 8085, "positives.train.pneumonia": 5555},
    },
    "mimic_cxr": {"2.0.0": {"rows": 377110, "studies": 227835, "subjects": 65379}},
    "object_cxr": {"as released": {"rows": 10000}},
}


def against_published(name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Hold counts against the published ones of an archive, those of the release that agrees in most.

    Returns release, agrees, and per count found and published; an empty dict for an archive whose counts nobody published.
    """
    best: dict[str, Any] = {}
    most = -1
    for release, published in PUBLISHED.get(name, {}).items():
        rows = {key: {"found": _inside(counts, key), "published": value} for key, value in published.items()}
        right = sum(row["found"] == row["published"] for row in rows.values())
        if right > most:
            best, most = {"release": release, "agrees": right == len(rows), "counts": rows}, right
    return best


def _inside(counts: Mapping[str, Any], key: str) -> Any:
    value: Any = counts
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
