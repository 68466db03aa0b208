"""The releases that BenchX reads and MGCA does not, and which images each holds in the order in which BenchX sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sista.protocols import covidx, object_cxr
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.rsna import MAPPING_TABLE

if TYPE_CHECKING:
    import pandas as pd


def siim_cases(release: Release) -> pd.DataFrame:
    """PNG copy of stage 1: positives by name, then negatives by name, then test by name, as BenchX globs them. No patient is released."""
    import pandas as pd

    parts = []
    for folder, frame in {"train": release.table, **release.companions}.items():
        by_name = frame.sort_values("new_filename")
        if folder == "train":
            by_name = by_name.sort_values("has_pneumo", ascending=False, kind="stable")
        parts.append(by_name[["new_filename", "has_pneumo"]].assign(released=folder))
    joined = pd.concat(parts)
    index = pd.Index(joined["new_filename"].astype(str).str.removesuffix(".png"), name="id")
    positive = joined["has_pneumo"].astype(int).to_numpy()
    columns = {"subject": index, "stratum": positive.astype(str), "released": joined["released"].to_numpy(), "Pneumothorax": positive / 1.0}
    return pd.DataFrame(columns, index=index)


def vindr_cases(release: Release) -> pd.DataFrame:
    """Images in ascending order; positive unless all three readers found nothing. No patient is released."""
    import pandas as pd

    parts = []
    for folder, frame in {"train": release.table, **release.companions}.items():
        found = (frame["class_name"] != "No finding").groupby(frame["image_id"].astype(str), sort=True).max()
        parts.append(pd.DataFrame({"released": folder, "stratum": found.astype(str), "any finding": found.astype(float)}))
    joined = pd.concat(parts).rename_axis("id")
    return joined.assign(subject=joined.index)


def tbx_cases(release: Release) -> pd.DataFrame:
    """Images in ascending order of file name, stratified by `target`."""
    target = release.table.groupby(release.table["fname"].astype(str), sort=True)["target"].first()
    index = target.index.str.rsplit(".", n=1).str[0].rename("id")
    frame = target.astype(str).to_frame("stratum").set_index(index)
    return frame.assign(subject=index, tuberculosis=(frame["stratum"] == "tb").astype(float))


def count_images(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    """How many images the release holds, per released part where it comes in parts."""
    if "released" not in cases.columns:
        return {"images": len(cases)}
    return {f"{name} images": int((cases["released"] == name).sum()) for name in ("train", *release.companions)}


_SIIM_COLUMNS = ("new_filename", "ImageId", "has_pneumo")
SIIM = DataSet(
    "SIIM-ACR Pneumothorax, PNG copy of stage 1",
    Table("stage_1_train_images.csv", _SIIM_COLUMNS, text=("new_filename", "ImageId"), binary=("has_pneumo",)),
    {"test": Table("stage_1_test_images.csv", _SIIM_COLUMNS, text=("new_filename", "ImageId"), binary=("has_pneumo",))},
    siim_cases,
    count_images,
    {"train images": 10_675, "test images": 1_372},
    "kaggle.com/datasets/vbookshelf/pneumothorax-chest-xray-images-and-masks",
)
VINDR = DataSet(
    "VinDr-CXR 1.0.0",
    Table("annotations_train.csv", ("image_id", "class_name"), text=("image_id",)),
    {"test": Table("annotations_test.csv", ("image_id", "class_name"), text=("image_id",))},
    vindr_cases,
    count_images,
    {"train images": 15_000, "test images": 3_000},
    "physionet.org/content/vindr-cxr/1.0.0",
)
TBX = DataSet(
    "TBX11K simplified",
    Table("data.csv", ("fname", "target"), text=("fname",)),
    {},
    tbx_cases,
    count_images,
    {"images": 8_399},
    "kaggle.com/datasets/vbookshelf/tbx11k-simplified",
)
_CXR4_FILE = {name: Table(f"{name}.txt", covidx.FIELDS, headerless=True) for name in ("train", "val", "test")}
CXR4 = DataSet(
    "COVIDx CXR-4",
    _CXR4_FILE["train"],
    {"val": _CXR4_FILE["val"], "test": _CXR4_FILE["test"], "mapping": MAPPING_TABLE},
    covidx.cases,
    covidx.count_files,
    {"train images": 67_863, "val images": 8_473, "test images": 8_482},
    "kaggle.com/datasets/andyczhao/covidx-cxr2 (version with val.txt)",
)
OBJECT = replace(
    object_cxr.DATA,
    companions={**object_cxr.DATA.companions, "test": Table("test.csv", ("annotation",), text=("annotation",))},
    counts={"train images": 8_000, "dev images": 1_000, "test images": 1_000},
)
