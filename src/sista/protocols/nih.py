"""NIH ChestX-ray14: the official test list, KAD's and MRM's splits; substitutes where the authors' lists are not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sista.corpus.study import SPLITS
from sista.errors import SistaError
from sista.protocols.draws import sizes_for, whole_patients
from sista.protocols.protocol import Protocol, Sizes
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import MRM_FINE_TUNING, NIH_FINE_TUNING, NIH_LINEAR

if TYPE_CHECKING:
    import pandas as pd

# images of each finding in Data_Entry_2017_v2020.csv; an image can have several
FINDINGS = {
    **{"Atelectasis": 11_559, "Cardiomegaly": 2_776, "Consolidation": 4_667, "Edema": 2_303, "Effusion": 13_317},
    **{"Emphysema": 2_516, "Fibrosis": 1_686, "Hernia": 227, "Infiltration": 19_894, "Mass": 5_782, "Nodule": 6_331},
    **{"Pleural_Thickening": 3_385, "Pneumonia": 1_431, "Pneumothorax": 5_302},
}
_OFFICIAL = {"train": ("train_val_list.txt",), "test": ("test_list.txt",)}


def cases(release: Release) -> pd.DataFrame:
    """One row per film in file order: patient, and 14 findings of 0 and 1."""
    import pandas as pd

    names = release.table["Finding Labels"].astype(str)
    found = names.str.get_dummies("|")
    unknown = sorted(set(found.columns) - {*FINDINGS, "No Finding"})
    if unknown:
        raise SistaError(f"Data_Entry table: unknown finding(s) {', '.join(unknown[:5])}; expected the 14 of ChestX-ray14 or 'No Finding'")
    result = found.reindex(columns=list(FINDINGS), fill_value=0).astype(float)
    result.index = pd.Index(release.table["Image Index"].astype(str), name="id")
    result.insert(0, "subject", release.table["Patient ID"].astype(str).to_numpy())
    result.insert(1, "stratum", names.to_numpy())
    return result


def official(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """The official lists beside the table, or a substitute: whole patients to the official sizes. There is no official validation set."""
    if {"train", "test"} <= set(release.lists):
        return from_lists(release, cases, {"train": sizes.train, "test": sizes.test})
    return _substitute(cases, sizes, "nih-official", "train_val_list.txt and test_list.txt")


def _kad(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    if not {"train", "test"} <= set(release.lists):
        return _substitute(cases, sizes, "kad-nih", "train_val_list.txt and test_list.txt")
    lists = from_lists(release, cases, {"train": sizes.train + sizes.valid, "test": sizes.test})
    rest = cases.loc[list(lists.train)]
    here = sizes_for(len(rest), Sizes(sizes.train, sizes.valid, 0))
    split = np.array(whole_patients(rest["subject"].tolist(), here, "kad-nih"))
    train, valid = (tuple(rest.index[split == name]) for name in ("train", "valid"))
    note = "test is the official list; KAD published no train and valid lists, so these two are a substitute by patient"
    return SplitList(train, valid, lists.test, "substitute", notes=(note,))


def released_or_substitute(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """Three lists of the authors beside the table, or a substitute: whole patients to the published sizes."""
    if set(SPLITS) <= set(release.lists):
        return from_lists(release, cases, sizes.as_dict())
    return _substitute(cases, sizes, "mrm-nih", "DatasetsSplits/NIH_ChestX-ray of github.com/RL4M/MRM-pytorch")


def from_lists(release: Release, cases: pd.DataFrame, expected: Mapping[str, int]) -> SplitList:
    """The lists as they are; SistaError for an id that the table lacks, or, with the whole table, for lists of other sizes."""
    lists = {split: release.lists.get(split, ()) for split in SPLITS}
    for split, ids in lists.items():
        unknown = [one for one in ids if one not in cases.index]
        if unknown:
            raise SistaError(f"the {split} list beside the table has {len(unknown):,} id(s) that the table lacks, such as {unknown[0]!r}")
    found = {split: len(lists[split]) for split in expected}
    if len(cases) == sum(expected.values()) and found != dict(expected):
        raise SistaError(
            f"id lists beside the table have {found} ids, expected {dict(expected)}: do lists of another protocol lie in this folder?"
        )
    used = {one for ids in lists.values() for one in ids}
    rest = tuple(one for one in cases.index if one not in used)
    notes = ("ids as in the authors' list files beside the table",)
    return SplitList(lists["train"], lists["valid"], lists["test"], "exact", {"in-no-list": rest} if rest else {}, notes)


def _substitute(cases: pd.DataFrame, sizes: Sizes, salt: str, wanted: str) -> SplitList:
    split = np.array(whole_patients(cases["subject"].tolist(), sizes_for(len(cases), sizes), salt))
    train, valid, test = (tuple(cases.index[split == name]) for name in SPLITS)
    note = f"SUBSTITUTE, not the published ids: put {wanted} beside the table for those"
    return SplitList(train, valid, test, "substitute", notes=(note,))


def _count(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    counts = {"films": len(cases), "patients": cases["subject"].nunique()}
    counts |= {finding: int(cases[finding].sum()) for finding in FINDINGS}
    counts["no finding"] = int((cases[list(FINDINGS)].sum(axis=1) == 0).sum())
    if "boxes" in release.companions:
        boxes = release.companions["boxes"]
        counts |= {"boxes": len(boxes), "films with boxes": boxes["Image Index"].nunique()}
    return counts


DATA = DataSet(
    name="NIH ChestX-ray14",
    table=Table("Data_Entry_2017_v2020.csv", ("Image Index", "Finding Labels", "Patient ID"), text=("Image Index", "Patient ID")),
    companions={
        "boxes": Table("BBox_List_2017.csv", ("Image Index", "Finding Label"), text=("Image Index",), names=("BBox_List_2017.csv.gz",))
    },
    cases=cases,
    count=_count,
    counts={"films": 112_120, "patients": 30_805, **FINDINGS, "no finding": 60_361, "boxes": 984, "films with boxes": 880},
    obtain="nihcc.app.box.com/v/ChestXray-NIHCC",
)

MRM_SIZES = Sizes(78_468, 11_219, 22_433)
MRM_LISTS = {"train": ("train_list.txt", "train.txt"), "valid": ("val_list.txt", "val.txt"), "test": ("test_list.txt", "test.txt")}
_LABELS = "findings are mined from reports, about 90 % right"

PROTOCOLS = (
    Protocol(
        name="nih-official",
        data=DATA,
        citation="Wang et al., ChestX-ray8, CVPR 2017; lists of the release",
        status="substitute",
        split="train_val_list.txt and test_list.txt beside the table; without them whole patients in the order of a SHA-256",
        sizes=Sizes(86_524, 0, 25_596),
        rule=official,
        tasks=(NIH_FINE_TUNING,),
        defects=("no validation set: papers cut their own from the 86,524", "positives are commoner in test than in train", _LABELS),
        lists=_OFFICIAL,
        with_lists="exact",
    ),
    Protocol(
        name="kad-nih",
        data=DATA,
        citation="Zhang et al., Knowledge-enhanced visual-language pre-training (KAD), Nature Communications 2023; sizes: G2D appendix",
        status="substitute",
        split="test: the official list; train and valid: whole patients of train_val_list.txt in the order of a SHA-256",
        sizes=Sizes(77_872, 8_652, 25_596),
        rule=_kad,
        tasks=(NIH_FINE_TUNING, NIH_LINEAR),
        defects=("the authors' train and valid ids are not public: only test can be theirs", _LABELS),
        lists=_OFFICIAL,
    ),
    Protocol(
        name="mrm-nih",
        data=DATA,
        citation="Zhou et al., Advancing Radiograph Representation Learning with Masked Record Modeling (MRM), ICLR 2023",
        status="substitute",
        split="train_list.txt, val_list.txt and test_list.txt of the MRM repository beside the table; without them whole patients",
        sizes=MRM_SIZES,
        rule=released_or_substitute,
        tasks=(MRM_FINE_TUNING,),
        defects=("not the official test set: figures on the 25,596 and on these 22,433 films are not comparable", _LABELS),
        lists=MRM_LISTS,
        with_lists="exact",
    ),
)
