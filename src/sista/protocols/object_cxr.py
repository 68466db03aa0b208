"""Object-CXR: MGCA's split as its code makes it, and one of the sizes that the papers report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sista.protocols.draws import shuffle_split, sizes_for
from sista.protocols.protocol import Protocol, Sizes, Status
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import OBJECT_CXR_DETECTION

if TYPE_CHECKING:
    import pandas as pd

_NO_TEST = "dev.csv, which MGCA tests on, is not beside the table: the test list is empty"


def file_cases(frame: pd.DataFrame, folder: str) -> pd.DataFrame:
    """One row per image: id "train/01234.jpg" (test.csv names it by path), whether it holds a foreign object. No patient is released."""
    import pandas as pd

    name = frame["image_name"] if "image_name" in frame.columns else frame["image_path"].astype(str).str.split("/").str[-1]
    index = pd.Index(folder + "/" + name.astype(str), name="id")
    has = frame["annotation"].notna()
    columns = {"subject": index, "stratum": has.astype(str).to_numpy(), "foreign object": has.astype(float).to_numpy()}
    return pd.DataFrame(columns, index=index)


def cases(release: Release) -> pd.DataFrame:
    """Images of train.csv, then of dev.csv and test.csv where they lie beside it."""
    import pandas as pd

    return pd.concat([file_cases(release.table, "train"), *(file_cases(frame, name) for name, frame in release.companions.items())])


def _shuffled(ids: list[str], cases: pd.DataFrame, test_size: float | int, status: Status) -> SplitList:
    train, valid = shuffle_split(ids, test_size, seed=0)
    test = tuple(name for name in cases.index if name.startswith("dev/"))
    notes = () if test else (_NO_TEST,)
    return SplitList(tuple(train), tuple(valid), test, status, notes=notes)


def _as_coded(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    return _shuffled(cases.index[: len(release.table)].tolist(), cases, 0.1, "as coded")


def _reported(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    here = sizes_for(len(release.table), Sizes(sizes.train, sizes.valid, 0))
    return _shuffled(sorted(cases.index[: len(release.table)]), cases, here.valid, "substitute")


def _count(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    counts = {"train images": len(release.table)} | {f"{name} images": len(frame) for name, frame in release.companions.items()}
    counts["images with objects"] = int((cases["foreign object"] == 1).sum())
    return counts


DATA = DataSet(
    name="Object-CXR",
    table=Table("train.csv", ("image_name", "annotation"), text=("image_name", "annotation")),
    companions={"dev": Table("dev.csv", ("image_name", "annotation"), text=("image_name", "annotation"))},
    cases=cases,
    count=_count,
    counts={"train images": 8_000, "dev images": 1_000},
    obtain="kaggle.com/datasets/raddar/foreign-objects-in-chest-xrays (the original site is gone)",
)

_MGCA = "Wang et al., Multi-Granularity Cross-modal Alignment (MGCA), NeurIPS 2022; mgca/preprocess/object_cxr.py"
_DEFECTS = (
    "the official test images are not used: test is dev.csv",
    "polygons are turned into boxes round a representative inner point of a buffered line: wrong boxes (FaNe uses plain bounds)",
    "detection: images without boxes or without detections are skipped, scores under 0.5 are cut",
    "the release names no patient",
)
_SHARES = "a draw from NumPy's global generator, seeded at import: depends on what was built before"

PROTOCOLS = (
    Protocol(
        name="mgca-objectcxr-coded",
        data=DATA,
        citation=_MGCA,
        status="as coded",
        split="train.csv in file order; train_test_split(test_size=0.1, random_state=0): train, valid; test: dev.csv",
        sizes=Sizes(7_200, 800, 1_000),
        reported=Sizes(6_400, 1_600, 1_000),
        rule=_as_coded,
        tasks=(OBJECT_CXR_DETECTION,),
        defects=("the papers report 6,400 / 1,600; the shipped code makes 7,200 / 800", *_DEFECTS),
        shares=_SHARES,
    ),
    Protocol(
        name="mgca-objectcxr-reported",
        data=DATA,
        citation=f"{_MGCA}; sizes: G2D appendix, arXiv 2312.01522",
        status="substitute",
        split="images of train.csv in ascending order; train_test_split(test_size=1600, random_state=0): train, valid; test: dev.csv",
        sizes=Sizes(6_400, 1_600, 1_000),
        rule=_reported,
        tasks=(OBJECT_CXR_DETECTION,),
        defects=("no released code makes these sizes: the rule is MGCA's with another test_size, so the ids are a guess", *_DEFECTS),
        shares=_SHARES,
    ),
)
