"""SIIM-ACR Pneumothorax: MGCA's split by row of the run-length table, under which images straddle, and the same by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sista.errors import SistaError
from sista.protocols.draws import sizes_for, two_shuffles
from sista.protocols.protocol import Protocol, Sizes
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import SIIM_SEGMENTATION

if TYPE_CHECKING:
    import pandas as pd


def cases(release: Release) -> pd.DataFrame:
    """One row per ImageId in the order of first appearance; positive if any of its rows has a run-length mask. No patient is released."""
    import pandas as pd

    code = release.table["EncodedPixels"].fillna("").astype(str).str.strip()
    if (empty := code == "").any():
        one = release.table["ImageId"][empty].iloc[0]
        raise SistaError(f"SIIM-ACR: {int(empty.sum())} rows without EncodedPixels, such as that of {one}; the release has -1 for no mask")
    has_mask = code != "-1"
    positive = has_mask.groupby(release.table["ImageId"], sort=False).max()
    index = pd.Index(positive.index, name="id")
    return pd.DataFrame(
        {"subject": index, "stratum": positive.astype(int).astype(str).to_numpy(), "Pneumothorax": positive.astype(float).to_numpy()},
        index=index,
    )


def _as_coded(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    rows = two_shuffles(release.table["ImageId"].tolist(), 0.3, seed=0)
    train, test, valid = (tuple(dict.fromkeys(ids)) for ids in rows)
    counts = " / ".join(f"{len(rows[k]):,}" for k in (0, 2, 1))
    note = f"drawn by row: {counts} rows of {len(release.table):,}; the lists hold distinct images"
    return SplitList(train, valid, test, "as coded", notes=(note,))


def _corrected(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    here = sizes_for(len(cases), sizes)
    train, test, valid = two_shuffles(sorted(cases.index), here.valid + here.test, seed=0)
    return SplitList(tuple(train), tuple(valid), tuple(test), "corrected")


def _count(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    per_image = release.table["ImageId"].value_counts()
    positive = int((cases["Pneumothorax"] == 1).sum())
    return {
        "rows": len(release.table),
        "images": len(cases),
        "positive images": positive,
        "negative images": len(cases) - positive,
        "images with several rows": int((per_image > 1).sum()),
    }


DATA = DataSet(
    name="SIIM-ACR Pneumothorax",
    table=Table("train-rle.csv", ("ImageId", "EncodedPixels"), text=("ImageId", "EncodedPixels")),
    companions={},
    cases=cases,
    count=_count,
    counts={
        "rows": 12_954,
        "images": 12_047,
        "positive images": 2_669,
        "negative images": 9_378,
        "images with several rows": 624,
    },
    obtain="kaggle.com/c/siim-acr-pneumothorax-segmentation (the table of all 12,047 films of stage 1; also as stage_2_train.csv)",
)

_MGCA = "Wang et al., Multi-Granularity Cross-modal Alignment (MGCA), NeurIPS 2022"
_FLOOR = "predicting nothing scores about 0.778 on this metric, above every frozen-encoder row published"
_NO_PATIENT = "the release names no patient, so that no split of it can be shown to be free of patients in two subsets"

PROTOCOLS = (
    Protocol(
        name="mgca-siim",
        data=DATA,
        citation=f"{_MGCA}; mgca/preprocess/siim.py; sizes: G2D appendix, arXiv 2312.01522",
        status="as coded",
        split="rows in file order; train_test_split(test_size=0.3, random_state=0), the rest halved with the same seed: test, valid",
        sizes=Sizes(8_433, 1_807, 1_807),
        rule=_as_coded,
        tasks=(SIIM_SEGMENTATION,),
        defects=(
            "leak: rows, not images, are split, so the 624 images with several rows can stand in two subsets, each with part of their mask",
            "rows come to 9,067 / 1,944 / 1,943; the sizes reported (8,433 / 1,807 / 1,807) add up to the 12,047 images",
            'preprocessing compares with " -1" and the data set with "-1": with the space in the file there is no negative left to draw '
            "and training stops; without it the label column is 1 everywhere",
            "the 10 % script uses another seed than the rest",
            _FLOOR,
            _NO_PATIENT,
        ),
        shares="images drawn from NumPy's global generator, seeded at import, after as many negatives as positives were drawn from it: "
        "depends on what was built before",
    ),
    Protocol(
        name="mgca-siim-corrected",
        data=DATA,
        citation=f"sista, after {_MGCA}; sizes: G2D appendix, arXiv 2312.01522",
        status="corrected",
        split="images in ascending order; train_test_split(test_size=3614, random_state=0), the rest halved: test, valid",
        sizes=Sizes(8_433, 1_807, 1_807),
        rule=_corrected,
        tasks=(SIIM_SEGMENTATION,),
        defects=(_FLOOR, _NO_PATIENT, "other ids than any published row was made with"),
        shares="see the stratified shares",
    ),
)
