"""The archives by name: what each is, its licence, how to obtain it, and what it can be used for."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import Any

from sista.errors import SistaError, nearest


@dataclass(frozen=True)
class Entry:
    """One archive: where its class is, and what a user wants to know before downloading it."""

    module: str
    kind: str
    what: str
    licence: str
    obtain: str
    use: str


_PHYSIONET = "PhysioNet Credentialed Health Data License 1.5.0 (training, signed agreement)"
ARCHIVES = {
    "phantom": Entry(
        "sista.archives.phantom",
        "Phantom",
        "procedural chest studies with known findings; no data needed",
        "Apache-2.0, as sista",
        "made by the command itself",
        "pre-train, classify, segment, detect, ground, retrieve",
    ),
    "phantom-v1": Entry(
        "sista.archives.phantom.v1",
        "PhantomV1",
        "the frozen test bed of procedural studies, in five parts (docs/phantom.md)",
        "Apache-2.0, as sista",
        "made by the command itself",
        "compare methods: pre-train, classify, segment, detect, ground, retrieve",
    ),
    "table": Entry(
        "sista.archives.table",
        "Table",
        "your own films and reports: a CSV, Parquet or JSON-lines table",
        "yours",
        "yours",
        "pre-train, retrieve; with label columns classify; with masks or boxes segment, detect, ground",
    ),
    "folder": Entry(
        "sista.archives.folder",
        "Folder",
        "your own films below a folder, each with its report in a text file beside it",
        "yours",
        "yours",
        "pre-train, retrieve",
    ),
    "mimic_cxr": Entry(
        "sista.archives.mimic_cxr",
        "MimicCxr",
        "MIMIC-CXR reports with MIMIC-CXR-JPG films: 377,110 films, 227,835 studies, labels, official split, prior studies",
        _PHYSIONET,
        "https://physionet.org/content/mimic-cxr/ (mimic-cxr-reports.zip) and https://physionet.org/content/mimic-cxr-jpg/",
        "pre-train, classify, retrieve",
    ),
    "openi": Entry(
        "sista.archives.openi",
        "OpenI",
        "Indiana University chest X-rays: 3,955 reports with manual indexing terms, 7,470 films",
        "reports CC BY-NC-ND 4.0: no changed copies, no commercial use",
        "https://openi.nlm.nih.gov/faq (NLMCXR_reports.tgz, NLMCXR_png.tgz)",
        "pre-train, classify, retrieve; text alone with text_only",
    ),
    "chexpert": Entry(
        "sista.archives.chexpert",
        "CheXpert",
        "CheXpert: 223,648 films with 14 observations, uncertain ones kept; no reports",
        "Stanford University Dataset Research Use Agreement",
        "https://stanfordaimi.azurewebsites.net",
        "classify",
    ),
    "nih": Entry(
        "sista.archives.nih",
        "Nih",
        "NIH ChestX-ray14: 112,120 films with 14 mined findings, 984 boxes, official lists; no reports",
        "no restriction on use; cite Wang et al. 2017 and the NIH Clinical Center",
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "classify, detect (880 films), ground",
    ),
    "rsna": Entry(
        "sista.archives.rsna",
        "Rsna",
        "RSNA Pneumonia Detection Challenge: 26,684 DICOM films, 9,555 boxes; no reports",
        "academic, commercial and other use with attribution",
        "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        "classify, detect, segment (boxes as masks)",
    ),
    "siim": Entry(
        "sista.archives.siim",
        "Siim",
        "SIIM-ACR Pneumothorax Segmentation: 12,047 DICOM films, 2,669 with masks; no reports",
        "rules of the Kaggle competition: research and education",
        "https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
        "classify, segment",
    ),
    "covidx": Entry(
        "sista.archives.covidx",
        "Covidx",
        "COVIDx CXR: COVID-19, pneumonia, normal (or COVID-19 yes and no), by label files of each release; no reports",
        "that of each source; several forbid commercial use",
        "https://www.kaggle.com/datasets/andyczhao/covidx-cxr2 and https://github.com/lindawangg/COVID-Net",
        "classify",
    ),
    "object_cxr": Entry(
        "sista.archives.object_cxr",
        "ObjectCxr",
        "Object-CXR: foreign objects on 10,000 films as rectangles, ellipses, polygons; no reports",
        "CC BY-NC 4.0 by third parties' account; read the terms of your copy",
        "https://academictorrents.com/details/fdc91f11d7010f7259a05403fc9d00079a09f5d5",
        "classify, detect, segment",
    ),
    "vindr": Entry(
        "sista.archives.vindr",
        "VinDr",
        "VinDr-CXR: 15,000 films read by three radiologists each (PhysioNet: and 3,000 test films), boxes; no reports",
        f"{_PHYSIONET}; Kaggle copy: rules of the competition, non-commercial",
        "https://physionet.org/content/vindr-cxr/ or https://www.kaggle.com/c/vinbigdata-chest-xray-abnormalities-detection",
        "classify, detect",
    ),
}


def archives() -> dict[str, dict[str, str]]:
    """List the archives that `sista build` reads: what each is, its licence, how to obtain it, what it can be used for."""
    return {name: {key: value for key, value in asdict(entry).items() if key not in ("module", "kind")} for name, entry in ARCHIVES.items()}


def archive_class(name: str) -> Any:
    """The class that reads the archive `name`; `SistaError` with the nearest names for an unknown one."""
    if name not in ARCHIVES:
        raise SistaError(f"unknown archive {name!r}: {nearest(name, ARCHIVES)}")
    return getattr(importlib.import_module(ARCHIVES[name].module), ARCHIVES[name].kind)
