"""COVIDx CXR: MGCA's split of the release that its code names (9A), of the one whose size the papers report, and one by patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sista.errors import SistaError
from sista.protocols.draws import sample_rows, shuffle_split, sizes_for, whole_patients
from sista.protocols.protocol import Protocol, Sizes
from sista.protocols.release import DataSet, Release, Table
from sista.protocols.rsna import MAPPING, MAPPING_TABLE, nih_patients
from sista.protocols.split_list import SplitList
from sista.protocols.tasks import COVIDX_LINEAR

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("patient id", "filename", "class", "data source")
CLASSES_9A = ("COVID-19", "normal", "pneumonia")
TWO = ("positive", "negative")
RSNA = "rsna"  # the source of most normal and pneumonia films
_NO_TEST = "the test label file is not beside the table: the test list is empty"


def file_cases(frame: pd.DataFrame, folder: str, nih: pd.Series) -> pd.DataFrame:
    """One row per line of a label file: id "train/name.png", patient "source/patient id", one 0/1 column per class.

    What RSNA's lines have for a patient is an image: `nih` tells whose, the patient is then "nih/00000061".
    """
    import pandas as pd

    index = pd.Index(folder + "/" + frame["filename"].astype(str), name="id")
    classes = frame["class"].astype(str)
    columns = {f"class {name}": (classes == name).astype(float).to_numpy() for name in sorted(classes.unique())}
    source, patient = frame["data source"].astype(str), frame["patient id"].astype(str)
    owner = patient.where(source.str.lower() == RSNA).map(nih)
    subject = (source + "/" + patient).where(owner.isna(), "nih/" + owner.astype(str)).to_numpy()
    return pd.DataFrame({"subject": subject, "stratum": classes.to_numpy(), **columns}, index=index)


def cases(release: Release) -> pd.DataFrame:
    """Images of the train file, then of the val and test files that lie beside it; an image of several lines counts once.

    SistaError where one file has two classes and another three: they are of different releases.
    """
    import pandas as pd

    files = {"train": release.table} | {name: release.companions[name] for name in ("val", "test") if name in release.companions}
    kinds = {name: set(frame["class"].astype(str)) <= set(TWO) for name, frame in files.items()}
    if len(set(kinds.values())) > 1:
        which = ", ".join(f"{name}: {'positive and negative' if two else 'COVID-19, normal and pneumonia'}" for name, two in kinds.items())
        raise SistaError(f"the label files are of different releases ({which}); take all from one")
    nih = nih_patients(release)
    parts = [file_cases(frame, name, nih) for name, frame in files.items()]
    joined = pd.concat(parts)
    # a class that one file lacks is absent there, not unknown
    labels = [column for column in joined.columns if column.startswith("class ")]
    joined[labels] = joined[labels].fillna(0.0)
    return joined[~joined.index.duplicated()]


def _mgca(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    ids = ("train/" + release.table["filename"].astype(str)).tolist()
    held_out = len(ids) - int(0.8 * len(ids))  # train_size=0.8: the floor trains, the rest validates
    train, valid = (tuple(dict.fromkeys(part)) for part in shuffle_split(ids, held_out, seed=0))
    test = _test(cases)
    twice = len(ids) - len(set(ids))
    notes = (f"{twice:,} line(s) repeat an image; lines are drawn, the lists hold distinct images",) if twice else ()
    return SplitList(train, valid, test, "as coded", notes=(*notes, *_notes(cases, test)))


def _corrected(release: Release, cases: pd.DataFrame, sizes: Sizes) -> SplitList:
    test = _test(cases)
    known = set(cases.loc[list(test), "subject"]) if test else set()
    train = cases[cases.index.str.startswith("train/")]
    clean = train[~train["subject"].isin(known)]
    here = sizes_for(len(train), Sizes(sizes.train, sizes.valid, 0))
    split = np.array(whole_patients(clean["subject"].tolist(), here, "mgca-covidx-corrected"))
    names = clean.index.to_numpy()
    left_out = {"patient-in-test": tuple(train.index[train["subject"].isin(known)])} if known else {}
    return SplitList(tuple(names[split == "train"]), tuple(names[split == "valid"]), test, "corrected", left_out, _notes(cases, test))


def _notes(cases: pd.DataFrame, test: tuple[str, ...]) -> tuple[str, ...]:
    return (*unknown_patients(cases), *(() if test else (_NO_TEST,)))


def unknown_patients(cases: pd.DataFrame) -> tuple[str, ...]:
    """What to know of the films whose patient is not known; empty where there is none."""
    unknown = int(cases["subject"].str.lower().str.startswith(f"{RSNA}/").sum())
    if not unknown:
        return ()
    return (
        f"{unknown:,} film(s) of RSNA's count as patients of their own: its ids name images, and patients may stand in two subsets; put "
        f"{MAPPING} beside the table",
    )


def _test(cases: pd.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in cases.index if name.startswith("test/"))


def count_files(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    """Images of each label file, and of each class in the train file."""
    counts = {"train images": len(release.table)}
    counts |= {f"{name} images": len(release.companions[name]) for name in ("val", "test") if name in release.companions}
    counts |= {f"train {name}": int(n) for name, n in release.table["class"].value_counts().items()}
    return counts


def _count_9a(release: Release, cases: pd.DataFrame) -> dict[str, int]:
    """Likewise, with the classes of 9A that a file lacks: they differ, their file is at hand."""
    return {**dict.fromkeys((f"train {name}" for name in CLASSES_9A), 0), **count_files(release, cases)}


def _data(name: str, file: str, counts: dict[str, int], count: Callable[[Release, pd.DataFrame], dict[str, int]] = count_files) -> DataSet:
    test = Table(file.replace("train", "test"), FIELDS, headerless=True, names=("test.txt",))
    return DataSet(
        name,
        Table(file, FIELDS, headerless=True),
        {"test": test, "mapping": MAPPING_TABLE},
        cases,
        count,
        counts,
        "github.com/lindawangg/COVID-Net, docs/COVIDx.md",
    )


_9A = _data(
    "COVIDx 9A",
    "train_COVIDx9A.txt",
    {"train images": 30_130, "test images": 400, "train COVID-19": 16_490, "train normal": 8_085, "train pneumonia": 5_555},
    _count_9a,
)
_CXR3 = _data("COVIDx CXR-3", "train_COVIDx_CXR-3A.txt", {"train images": 29_986, "test images": 400})
_MGCA = "Wang et al., Multi-Granularity Cross-modal Alignment (MGCA), NeurIPS 2022; mgca/preprocess/covidx.py"
_RULE = "lines of the train file in order; train_test_split(train_size=0.8, random_state=0): train, valid; test: the released test file"
_BY_LINE = "lines, not patients, are split, so patients straddle train and valid"
_BY_IMAGE = "RSNA's lines, most of normal and pneumonia, name an image where the patient should stand, and one NIH patient has several"
_SHARES = "rows: DataFrame.sample(frac, random_state=42); neither stratified nor by patient"

PROTOCOLS = (
    Protocol(
        name="mgca-covidx",
        data=_9A,
        citation=f"{_MGCA} and mgca/constants.py, which name the 9A files",
        status="as coded",
        split=_RULE,
        sizes=Sizes(24_104, 6_026, 400),
        reported=Sizes(23_988, 5_998, 400),
        rule=_mgca,
        tasks=(COVIDX_LINEAR,),
        defects=(
            "the papers report 23,988 / 5,998, which no 9A file gives",
            _BY_LINE,
            _BY_IMAGE,
            "half of the test set is one class: the floor is 50 %",
        ),
        shares=_SHARES,
        coded_share=sample_rows,
    ),
    Protocol(
        name="mgca-covidx-reported",
        data=_CXR3,
        citation=f"{_MGCA}; sizes: G2D appendix, arXiv 2312.01522; COVIDx CXR-3: Pavlova et al., arXiv 2206.03671 (30,386 images)",
        status="as coded",
        split=_RULE,
        sizes=Sizes(23_988, 5_998, 400),
        rule=_mgca,
        tasks=(COVIDX_LINEAR,),
        defects=(
            "the papers do not name the release; our inference: 0.8 of the 29,986 training images of CXR-3 is 23,988, and 5,998 are left",
            "the papers' task has three classes, as train_COVIDx_CXR-3A.txt of COVID-Net; Kaggle's train.txt of CXR-3 has two",
            _BY_LINE,
            _BY_IMAGE,
        ),
        shares=_SHARES,
        coded_share=sample_rows,
    ),
    Protocol(
        name="mgca-covidx-corrected",
        data=_9A,
        citation=f"sista, after {_MGCA}",
        status="corrected",
        split="patients (source and id; of RSNA's films the NIH's, by the challenge's mapping) of the test file are taken out of train; "
        "whole patients, in the order of a SHA-256, fill valid",
        sizes=Sizes(24_104, 6_026, 400),
        rule=_corrected,
        tasks=(COVIDX_LINEAR,),
        defects=(
            "other ids than any published row was made with",
            "train is smaller than published by the images of test patients, if any",
            f"{_BY_IMAGE}: without the mapping some patients do stand in two subsets",
        ),
        shares="see the stratified shares",
    ),
)
