"""CheXpert: MGCA's split as coded, whose validation rows nearly all stay in train, and one without that leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sista.errors import SistaError
from sista.protocols.draws import sample_rows, sizes_for, whole_patients
from sista.protocols.protocol import Protocol, Sizes
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import CHEXPERT_LINEAR, CHEXPERT_UNCERTAIN

if TYPE_CHECKING:
    import pandas as pd

# Columns that MGCA looks at for its 5x200 set, in its order; the first five are the competition findings. "No Finding" is not looked at.
_EXCLUSIVE = (
    *CHEXPERT_UNCERTAIN,
    *("Enlarged Cardiomediastinum", "Lung Lesion", "Lung Opacity", "Pneumonia", "Pneumothorax", "Pleural Other", "Fracture"),
    "Support Devices",
)
_COLUMNS = ("Path", "Frontal/Lateral", *_EXCLUSIVE)
_VALID_ROWS = 5_000
_NO_TEST = "valid.csv is not beside the table: the test list is empty"


def image_ids(paths: pd.Series) -> pd.Series:
    """ "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg" -> "train/patient00001/study1/view1_frontal.jpg"."""
    return paths.astype(str).str.replace(r"^.*?(?=(?:train|valid|test)/patient)", "", regex=True)


def cases(release: Release) -> pd.DataFrame:
    """Frontal images of train.csv and valid.csv: patient, and the five findings with uncertain as 1, 0, 0, 1, 1 and blank as 0."""
    import pandas as pd

    frame = pd.concat([release.table, *release.companions.values()], ignore_index=True)
    frame = frame[frame["Frontal/Lateral"] == "Frontal"]
    labels = {name: frame[name].fillna(0).replace(-1, uncertain) for name, uncertain in CHEXPERT_UNCERTAIN.items()}
    ids = image_ids(frame["Path"])
    result = pd.DataFrame({"subject": ids.str.extract(r"(patient\d+)", expand=False), **labels})
    result.index = pd.Index(ids, name="id")
    result["stratum"] = ""
    return result


def five_times_200(table: pd.DataFrame, each: int = 200) -> np.ndarray:
    """Positions of MGCA's CheXpert 5x200 rows: `each` frontal rows for which one of the five findings is the only one of 13 that is 1.

    The draws are `DataFrame.sample(n=each, random_state=0)`, one per finding.
    """
    values = table[list(_EXCLUSIVE)].fillna(0).to_numpy(dtype=float)
    frontal = (table["Frontal/Lateral"] == "Frontal").to_numpy()
    taken = []
    for k, finding in enumerate(CHEXPERT_UNCERTAIN):
        alone = np.flatnonzero(frontal & (values == np.eye(len(_EXCLUSIVE))[k]).all(axis=1))
        if len(alone) < each:
            raise SistaError(f"only {len(alone)} frontal row(s) with {finding} alone; MGCA draws {each}: is this the whole train.csv?")
        taken.append(alone[np.random.RandomState(0).choice(len(alone), size=each, replace=False)])
    return np.concatenate(taken)


def rows_as_coded(table: pd.DataFrame, valid_rows: int = _VALID_ROWS, each: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, valid, 5x200): row positions in train.csv, laterals included, as mgca/preprocess/chexpert.py draws them.

    NumPy's legacy generator of seed 0 draws *positions* among the rows left after 5x200 is taken out; validation takes those positions,
    but train drops the rows with those *index labels*, which by then are other rows. Hence most of validation stays in train.
    """
    aside = five_times_200(table, each)
    kept = np.setdiff1d(np.arange(len(table)), aside)
    if len(kept) < valid_rows:
        raise SistaError(f"{len(kept)} rows after CheXpert 5x200 is taken out; MGCA draws {valid_rows:,} for validation")
    drawn = np.random.RandomState(0).choice(len(kept), size=valid_rows, replace=False)
    return kept[~np.isin(kept, drawn)], kept[drawn], aside


def _as_coded(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    train, valid, aside = rows_as_coded(release.table)
    ids, frontal = image_ids(release.table["Path"]).to_numpy(), (release.table["Frontal/Lateral"] == "Frontal").to_numpy()
    lists = [tuple(ids[rows[frontal[rows]]]) for rows in (train, valid)]
    test = _test(release)
    stay = len(np.intersect1d(train, valid))
    notes = (
        f"{stay:,} of the {len(valid):,} validation rows ({stay / len(valid):.1%}) are in train as well, "
        f"which has {len(train):,} rows; lists hold frontal images only",
        *(() if test else (_NO_TEST,)),
    )
    return SplitList(lists[0], lists[1], test, "as coded", {"chexpert-5x200": tuple(ids[aside])}, notes)


def _corrected(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    test = _test(release)
    of_test = cases["subject"].isin(cases.loc[list(test), "subject"])
    known = tuple(cases.index[of_test & ~cases.index.isin(test)])
    ours = cases[~of_test]
    at_hand = sizes_for(len(ours), Sizes(sizes.train, sizes.valid, 0))
    split = np.array(whole_patients(ours["subject"].tolist(), at_hand, "mgca-chexpert-corrected"))
    train, valid = (tuple(ours.index[split == name]) for name in ("train", "valid"))
    left_out = {"patient-in-test": known} if known else {}
    return SplitList(train, valid, test, "corrected", left_out, notes=() if test else (_NO_TEST,))


def _test(release: Release) -> tuple[str, ...]:
    if "valid" not in release.companions:
        return ()
    official = release.companions["valid"]
    return tuple(image_ids(official[official["Frontal/Lateral"] == "Frontal"]["Path"]))


def _count(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    counts = {"rows of train.csv": len(release.table), "frontal in train.csv": int((release.table["Frontal/Lateral"] == "Frontal").sum())}
    if "valid" in release.companions:
        valid = release.companions["valid"]
        counts |= {"rows of valid.csv": len(valid), "frontal in valid.csv": int((valid["Frontal/Lateral"] == "Frontal").sum())}
    return counts


DATA = DataSet(
    name="CheXpert",
    table=Table("train.csv", _COLUMNS, text=("Path",)),
    companions={"valid": Table("valid.csv", _COLUMNS, text=("Path",))},
    cases=cases,
    count=_count,
    counts={
        "rows of train.csv": 223_414,
        "frontal in train.csv": 191_027,
        "rows of valid.csv": 234,
        "frontal in valid.csv": 202,
    },
    obtain="stanfordmlgroup.github.io/competitions/chexpert",
)

_CITATION = "Wang et al., Multi-Granularity Cross-modal Alignment (MGCA), NeurIPS 2022; sizes: G2D appendix, arXiv 2312.01522"
_SHARES = "rows: DataFrame.sample(frac, random_state=42) on the frontal rows of train; neither stratified nor by patient"
_SIZES = Sizes(186_027, 5_000, 202)

PROTOCOLS = (
    Protocol(
        name="mgca-chexpert",
        data=DATA,
        citation=_CITATION,
        status="as coded",
        split="train.csv without 1,000 rows of 5x200; 5,000 positions drawn with NumPy seed 0 are valid; train drops those index labels; "
        "test: the official valid.csv; frontal images only, filtered last",
        sizes=_SIZES,
        rule=_as_coded,
        tasks=(CHEXPERT_LINEAR,),
        defects=(
            "leak: positions are drawn for validation but index labels dropped from train, so 97.5 to 98 % of the 5,000 validation rows "
            "stay in train (217.4 thousand rows, laterals included); early stopping then watches training images",
            "the frontal filter comes after the draw: 5,000 rows are about 4,300 frontal images, not 5,000",
            "rows, not patients, are drawn, so patients straddle train and valid even without the bug",
            "the sizes reported (186,027 / 5,000) are those of frontal images without the leak and without 5x200 taken out",
            "test has 202 images, so AUROC moves by points with few films",
        ),
        shares=_SHARES,
        coded_share=sample_rows,
    ),
    Protocol(
        name="mgca-chexpert-corrected",
        data=DATA,
        citation=f"sista, after {_CITATION}",
        status="corrected",
        split="frontal images of train.csv: whole patients, in the order of a SHA-256 of their id, fill valid to 5,000; all others train; "
        "test: frontal images of the official valid.csv",
        sizes=_SIZES,
        rule=_corrected,
        tasks=(CHEXPERT_LINEAR,),
        defects=(
            "other ids than any published row was made with",
            "CheXpert 5x200 is not taken out of train: no zero-shot or retrieval figure on 5x200 with an encoder trained here",
        ),
        shares="see the stratified shares",
    ),
)
