"""BenchX: stratified draws of seed 42 and the splits that its releases bring along."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sista.protocols import benchx_data, covidx, nih, published, rsna
from sista.protocols.draws import shuffle_split, stratified_part, stratified_rows, two_shuffles
from sista.protocols.protocol import Protocol, Sizes, Task
from sista.protocols.release import DataSet, Release
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import BENCHX_CLASSIFICATION, BENCHX_SEGMENTATION

if TYPE_CHECKING:
    import pandas as pd

_CITATION = "Zhou et al., BenchX, arXiv 2410.21969; github.com/yangzhou12/BenchX, preprocess/datasets"


def _halved(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """70/15/15, stratified, ids in ascending order (RSNA, TBX11K)."""
    train, valid, test = two_shuffles(cases.index.tolist(), 0.3, 42, cases["stratum"].tolist())
    return SplitList(tuple(train), tuple(valid), tuple(test), "exact")


def _official_test(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """Test as released; as many images, stratified, are cut from train for validation (SIIM, VinDr-CXR)."""
    in_test = cases["released"] == "test"
    test, rest = tuple(cases.index[in_test]), cases[~in_test]
    notes = () if test else (f"the test table is not beside this one: the test list is empty, valid has the published {sizes.valid:,}",)
    train, valid = shuffle_split(rest.index.tolist(), len(test) or sizes.valid, 42, rest["stratum"].tolist())
    return SplitList(tuple(train), tuple(valid), test, "exact", notes=notes)


def _as_released(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """Train, valid (dev or val) and test as the release has them."""
    folder = cases.index.to_series().str.split("/").str[0]
    lists = [tuple(cases.index[folder.isin(names)]) for names in (("train",), ("dev", "val"), ("test",))]
    absent = [name for name in release_companions(cases) if name not in release.companions]
    notes = (f"not beside the table, so empty here: {', '.join(absent)}",) if absent else ()
    return SplitList(lists[0], lists[1], lists[2], "exact", notes=(*notes, *covidx.unknown_patients(cases)))


def release_companions(cases: pd.DataFrame) -> tuple[str, ...]:
    """The label files beside train that `_as_released` expects for this data set."""
    return ("dev", "test") if "foreign object" in cases.columns else ("val", "test")


def _without_first_lines(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """As released, but each label file is read as if its first line were a header, so one image of each is lost."""
    whole = _as_released(release, cases, sizes)
    first = tuple(part[0] for part in (whole.train, whole.valid, whole.test) if part)
    return SplitList(whole.train[1:], whole.valid[1:], whole.test[1:], "as coded", {"read-as-header": first}, whole.notes)


def _every_line(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    """As released, the lines that the authors' code loses too."""
    return replace(_as_released(release, cases, sizes), status="corrected")


_NO_PATIENT = "the release names no patient"
_SHARES = "stratified train_test_split(test_size=0.99 or 0.9, random_state=42): neither nested nor by patient"


def _task(task: Task, labels: tuple[str, ...], policy: str = "", scores: tuple = ()) -> Task:
    return replace(task, labels=labels, label_policy=policy, scores=scores)


def _protocol(name: str, data: DataSet, split: str, sizes: Sizes, rule, tasks: tuple[Task, ...], *defects: str, **more) -> Protocol:
    more = {"status": "exact", "citation": _CITATION, "shares": _SHARES, "coded_share": stratified_rows, **more}
    return Protocol(name=name, data=data, split=split, sizes=sizes, rule=rule, tasks=tasks, defects=defects, **more)


PROTOCOLS = (
    _protocol(
        "benchx-nih",
        nih.DATA,
        "MRM's lists: see mrm-nih",
        nih.MRM_SIZES,
        nih.released_or_substitute,
        (_task(BENCHX_CLASSIFICATION, tuple(nih.FINDINGS), scores=published.NIH_BENCHX_AUROC),),
        "not the official test set",
        status="substitute",
        lists=nih.MRM_LISTS,
        with_lists="exact",
        shares="MRM's train_1.txt and train_10.txt, of unknown origin",
        coded_share=None,
    ),
    _protocol(
        "benchx-rsna",
        rsna.DATA,
        "ids in ascending order; 70/15/15 by two stratified train_test_split of seed 42: train, valid, test",
        Sizes(18_678, 4_003, 4_003),
        _halved,
        (
            _task(BENCHX_CLASSIFICATION, ("Pneumonia",)),
            _task(BENCHX_SEGMENTATION, ("Pneumonia",), "mask = the filled boxes", published.RSNA_BENCHX_DICE),
        ),
        rsna.SAME_PATIENT,
    ),
    _protocol(
        "benchx-siim",
        benchx_data.SIIM,
        "test: stage 1 test; valid: as many of train, stratified, train_test_split of seed 42 on positives by name, then negatives by name",
        Sizes(9_303, 1_372, 1_372),
        _official_test,
        (_task(BENCHX_SEGMENTATION, ("Pneumothorax",), scores=published.SIIM_BENCHX_DICE),),
        _NO_PATIENT,
    ),
    _protocol(
        "benchx-objectcxr",
        benchx_data.OBJECT,
        "train.csv, dev.csv and test.csv as released",
        Sizes(8_000, 1_000, 1_000),
        _as_released,
        (_task(BENCHX_SEGMENTATION, ("foreign object",), "ellipses become rectangles", published.OBJECT_CXR_BENCHX_DICE),),
        _NO_PATIENT,
        shares="the test part of a stratified train_test_split(test_size=0.01 or 0.1, random_state=42): neither nested nor by patient",
        coded_share=stratified_part,
    ),
    _protocol(
        "benchx-covidx",
        benchx_data.CXR4,
        "train.txt, val.txt and test.txt as released, without the first line of each",
        Sizes(67_862, 8_472, 8_481),
        _without_first_lines,
        (_task(BENCHX_CLASSIFICATION, ("negative", "positive")),),
        "the label files have no header but are read as if they had: one image of each is lost (84,815 of 84,818)",
        status="as coded",
    ),
    _protocol(
        "benchx-covidx-corrected",
        benchx_data.CXR4,
        "train.txt, val.txt and test.txt as released, every line",
        Sizes(67_863, 8_473, 8_482),
        _every_line,
        (_task(BENCHX_CLASSIFICATION, ("negative", "positive")),),
        status="corrected",
        shares="see the stratified shares",
        coded_share=None,
    ),
    _protocol(
        "benchx-tbx11k",
        benchx_data.TBX,
        "file names in ascending order; 70/15/15 by two stratified train_test_split of seed 42: train, valid, test",
        Sizes(5_879, 1_260, 1_260),
        _halved,
        (_task(BENCHX_SEGMENTATION, ("tuberculosis",), "mask = the filled boxes"),),
        _NO_PATIENT,
        "the official TBX11K test images are not in this copy",
    ),
    _protocol(
        "benchx-vindr",
        benchx_data.VINDR,
        "test: annotations_test.csv; valid: as many of train, stratified by any finding, train_test_split of seed 42, ids ascending",
        Sizes(12_000, 3_000, 3_000),
        _official_test,
        (_task(BENCHX_CLASSIFICATION, ("28 findings",), scores=published.VINDR_BENCHX_AUROC),),
        _NO_PATIENT,
        "a finding counts if any of the three readers saw it",
        "its masks read x_max and y_max as width and height",
    ),
)
