"""RSNA Pneumonia 2018: MGCA's two splits of one seed, and one by the NIH patient behind the challenge's ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sista.errors import SistaError
from sista.protocols.draws import sample_rows, sizes_for, two_shuffles, whole_patients
from sista.protocols.protocol import Protocol, Sizes
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import RSNA_DETECTION, RSNA_LINEAR, RSNA_SEGMENTATION

if TYPE_CHECKING:
    import pandas as pd

MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
MAPPING_TABLE = Table(MAPPING, ("img_id", "subset_img_id"))


def cases(release: Release) -> pd.DataFrame:
    """One row per `patientId` (an image), ascending as pandas groups; the subject is the NIH patient where the mapping is there."""
    import pandas as pd

    target = release.table.groupby("patientId", sort=True)["Target"].max()
    subject = nih_patients(release).reindex(target.index).fillna(pd.Series(target.index, index=target.index))
    return pd.DataFrame({"subject": subject, "stratum": target.astype(str), "Pneumonia": target.astype(float)})


def nih_patients(release: Release) -> pd.Series:
    """The challenge's id of an image -> its NIH patient, by the mapping where that lies beside the table; else empty."""
    import pandas as pd

    if "mapping" not in release.companions:
        return pd.Series(dtype=object)
    mapping = release.companions["mapping"]
    # "00000061_012.png" is film 12 of NIH patient 61
    nih = pd.Series(mapping["img_id"].astype(str).str.split("_").str[0].to_numpy(), index=mapping["subset_img_id"].astype(str))
    return nih[~nih.index.duplicated()]


def _as_coded(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    train, test, valid = two_shuffles(cases.index.tolist(), 0.3, seed=0)
    return SplitList(tuple(train), tuple(valid), tuple(test), "as coded")


def _reported(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    here = sizes_for(len(cases), sizes)
    train, test, valid = two_shuffles(cases.index.tolist(), here.valid + here.test, seed=0)
    return SplitList(tuple(train), tuple(valid), tuple(test), "exact")


def _corrected(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    if "mapping" not in release.companions:
        raise SistaError(
            f"mgca-rsna-corrected splits by NIH patient and needs {MAPPING} beside the table (from the RSNA challenge page, "
            "rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018)"
        )
    split = np.array(whole_patients(cases["subject"].tolist(), sizes_for(len(cases), sizes), "mgca-rsna-corrected"))
    names = cases.index.to_numpy()
    lists = [tuple(names[split == name]) for name in ("train", "valid", "test")]
    unmapped = int((cases["subject"] == cases.index).sum())
    notes = (f"{unmapped} image(s) are not in the mapping and count as patients of their own",) if unmapped else ()
    return SplitList(lists[0], lists[1], lists[2], "corrected", notes=notes)


def _count(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    return {
        "rows": len(release.table),
        "images": len(cases),
        "positive images": int((cases["Pneumonia"] == 1).sum()),
        "boxes": int(release.table["Target"].sum()),
    }


DATA = DataSet(
    name="RSNA Pneumonia Detection Challenge 2018",
    table=Table("stage_2_train_labels.csv", ("patientId", "x", "y", "width", "height", "Target"), text=("patientId",), binary=("Target",)),
    companions={"mapping": MAPPING_TABLE},
    cases=cases,
    count=_count,
    counts={"rows": 30_227, "images": 26_684, "positive images": 6_012, "boxes": 9_555},
    obtain="kaggle.com/c/rsna-pneumonia-detection-challenge",
)

_MGCA = "Wang et al., Multi-Granularity Cross-modal Alignment (MGCA), NeurIPS 2022"
SAME_PATIENT = (
    "the challenge's patientId names an image: its films come from NIH ChestX-ray14, where one patient has several, so patients "
    "straddle the subsets (of 275 NIH patients among the 339 RSNA films we hold, 47 own two or more ids)"
)
_SHARES = (
    "classification: DataFrame.sample(frac, random_state=42); segmentation and detection: a draw from NumPy's global generator, seeded "
    "at import, so it depends on what was built before: not reproducible by name"
)

PROTOCOLS = (
    Protocol(
        name="mgca-rsna-classify",
        data=DATA,
        citation=f"{_MGCA}; preprocess_rsna_data in mgca/preprocess/rsna.py",
        status="as coded",
        split="ids in ascending order; train_test_split(test_size=0.3, random_state=0), the 30 % halved with the same seed: test, valid",
        sizes=Sizes(18_678, 4_003, 4_003),
        reported=Sizes(16_010, 5_337, 5_337),
        rule=_as_coded,
        tasks=(RSNA_LINEAR,),
        defects=("the papers report 16,010 / 5,337 / 5,337 for classification; this is what the code makes", SAME_PATIENT),
        shares=_SHARES,
        coded_share=sample_rows,
    ),
    Protocol(
        name="mgca-rsna-reported",
        data=DATA,
        citation=f"{_MGCA}; prepare_detection_data in mgca/preprocess/rsna.py; sizes: G2D appendix, arXiv 2312.01522",
        status="exact",
        split="ids in ascending order; train_test_split(test_size=10674, random_state=0), the rest halved with the same seed: test, valid",
        sizes=Sizes(16_010, 5_337, 5_337),
        rule=_reported,
        tasks=(RSNA_LINEAR, RSNA_SEGMENTATION, RSNA_DETECTION),
        defects=(
            "segmentation: predicting nothing scores about 0.775 on this metric, above every frozen-encoder row published",
            "detection: images without boxes or without detections are skipped, so false alarms on healthy films are free",
            "detection: scores under 0.5 are cut before the precision-recall curve",
            "detection: boxes are normalised in place, wrong from the second epoch on without worker processes",
            "that classification in the papers used these very ids follows from the sizes only; the code shipped for it makes 70/15/15",
            SAME_PATIENT,
        ),
        shares=_SHARES,
        coded_share=sample_rows,
    ),
    Protocol(
        name="mgca-rsna-corrected",
        data=DATA,
        citation=f"sista, after {_MGCA}",
        status="corrected",
        split="whole NIH patients (by the challenge's own mapping file), in the order of a SHA-256 of their id, fill test and valid",
        sizes=Sizes(16_010, 5_337, 5_337),
        rule=_corrected,
        tasks=(RSNA_LINEAR, RSNA_SEGMENTATION, RSNA_DETECTION),
        defects=("other ids than any published row was made with",),
        shares="see the stratified shares",
    ),
)
