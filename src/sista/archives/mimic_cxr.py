"""MIMIC-CXR reports joined with the films and tables of MIMIC-CXR-JPG: 377,110 films, 227,835 studies, 65,379 patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sista.archives.chexpert import BLANK, OBSERVATIONS, label_counts, label_table
from sista.archives.release import Release, RowGroups, read_columns, some_existing
from sista.archives.zipped import ZippedTexts
from sista.corpus.films.views import is_frontal
from sista.corpus.study import SPLITS, Film, Study, StudyRefused
from sista.errors import SistaError

_SPLITS = {"train": 0, "validate": 1, "valid": 1, "test": 2}
_VIEWS = {"PA": "PA", "AP": "AP", "LL": "LATERAL", "LATERAL": "LATERAL", "XTABLE LATERAL": "LATERAL", "SWIMMERS": "SWIMMERS"}
_OBLIQUE = ("LAO", "RAO", "LPO", "RPO", "OBLIQUE")


class MimicCxr(Release):
    """One study per report, with all its films; labels 1, 0, -1 uncertain; the official split; the patient's study before as `prior_id`.

    Read: the reports `files/p10/p10000032/s50414267.txt` (MIMIC-CXR, a folder or mimic-cxr-reports.zip) and, from MIMIC-CXR-JPG,
    `mimic-cxr-2.0.0-metadata.csv` (dicom_id, subject_id, study_id, ViewPosition, StudyDate, StudyTime), `-split.csv`,
    `-chexpert.csv` or `-negbio.csv` (all also .gz) and `files/p10/p10000032/s50414267/DICOM.jpg`.
    Views: AP and PA as they are, also with an addition (AP LLD, AP AXIAL); LL, LATERAL and XTABLE LATERAL are LATERAL; LAO, RAO, LPO, RPO
    are OBLIQUE; SWIMMERS; "" where the table has none.
    Left out: a second row of the same film; a study without a row in the split table, without a report file, or without any film file.
    A report that has neither findings, impression nor other text about the film (comparison only) is left out by the builder.

    Licence: PhysioNet Credentialed Health Data License 1.5.0 (training and signature needed); reports and labels must not be passed on.
    Obtain: https://physionet.org/content/mimic-cxr/ (mimic-cxr-reports.zip) and https://physionet.org/content/mimic-cxr-jpg/

    Args:
        reports: the folder that holds files/ with the reports, or mimic-cxr-reports.zip.
        images: the folder of MIMIC-CXR-JPG, which holds the tables and files/.
        labels: whose labels of the reports: chexpert, negbio, or none.
    """

    name = "mimic_cxr"
    has_reports = True

    def __init__(self, reports: Path, images: Path, labels: Literal["chexpert", "negbio", "none"] = "chexpert") -> None:
        super().__init__(Path(images), labels=labels)
        self._reports = _open_reports(Path(reports))
        if isinstance(self._reports, ZippedTexts):
            self._tables[self._reports.path.name] = self._reports.digest
        path = self.find("mimic-cxr-2.0.0-metadata.csv")
        numbers = {"subject": "subject_id", "study": "study_id", "date": "StudyDate", "time": "StudyTime"}
        frame = read_columns(path, {"film": "dicom_id", "view": "ViewPosition"}, numbers)
        ids = frame[["subject", "study"]]
        if not ((ids % 1 == 0) & ids.gt(0) & ids.lt(2**53)).all(axis=None):
            raise SistaError(f"{path}: rows whose subject_id or study_id is no whole number; download it again")
        self._rows = len(frame)
        twice = frame["film"].duplicated()
        frame = frame[~twice].reset_index(drop=True)
        self._films = frame["film"]
        self._views = frame["view"].map(_view).astype("category")
        self._studies = RowGroups(frame["study"].astype(np.int64))
        first = frame.iloc[self._studies.first].reset_index(drop=True)
        self._study = first["study"].to_numpy(np.int64)
        self._subject = first["subject"].to_numpy(np.int64)
        self._prior = _priors(first)
        self._split = self._read_split()
        self.label_names = () if labels == "none" else OBSERVATIONS
        self._labels, repeated = self._read_labels(labels)
        several = frame.groupby("study")["subject"].nunique()
        if (several > 1).any():
            raise SistaError(f"{path}: study {several.index[several > 1][0]} belongs to several subjects; download the table again")
        self._left_out = {
            "duplicate film": int(twice.sum()),
            "repeated label row": repeated,
            "study without official split": int((self._split < 0).sum()),
        }
        if isinstance(self._reports, ZippedTexts):
            self._left_out["study without report"] = int((~np.isin(self._study, self._reports.numbers())).sum())

    def __len__(self) -> int:
        return len(self._studies)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the metadata table."""
        index = range(len(self))[index]
        study, subject = int(self._study[index]), int(self._subject[index])
        if self._split[index] < 0:
            raise StudyRefused(f"no official split: study {study}")
        place = f"p{str(subject)[:2]}/p{subject}/s{study}"
        report = self._report_of(study, place)
        rows = self._studies[index]
        folder = self.root / "files" / place
        named = [(str(self._films.iat[row]), str(self._views.iat[row])) for row in rows]
        films = [Film(film, folder / f"{film}.jpg", view) for film, view in named]
        labels = zip(self.label_names, self._labels[index].tolist(), strict=True)
        prior = self._prior[index]
        return Study(
            study_id=str(study),
            subject_id=str(subject),
            report=report,
            films=some_existing(films),
            labels={name: float(value) for name, value in labels if value != BLANK},
            split=SPLITS[self._split[index]],
            prior_id=None if prior < 0 else str(self._study[prior]),
        )

    def counts(self) -> dict[str, Any]:
        """Rows, studies, subjects, films, views, studies per split, with a prior, positive and uncertain ones, and what was left out.

        Counted from the tables alone; missing films (and reports, in a folder) come to light study by study.
        """
        return {
            "rows": self._rows,
            "studies": len(self),
            "subjects": len(np.unique(self._subject)),
            "films": len(self._films),
            "studies_with_prior": int((self._prior >= 0).sum()),
            "studies_per_split": {name: int((self._split == place).sum()) for place, name in enumerate(SPLITS)},
            "views": {view or "unknown": count for view, count in self._views.value_counts(sort=False).to_dict().items()},
            **(label_counts(self._labels) if self.label_names else {}),
            "left_out": self._left_out,
        }

    def _report_of(self, study: int, place: str) -> str:
        if isinstance(self._reports, ZippedTexts):
            return self._reports.read(study)
        path = self._reports / f"{place}.txt"
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            raise StudyRefused(f"no such file: {path}") from None
        except OSError as error:
            raise StudyRefused(f"unreadable file: {path} ({error.strerror or error})") from None

    def _read_split(self) -> np.ndarray:
        """The place in SPLITS of each study, -1 without one."""
        path = self.find("mimic-cxr-2.0.0-split.csv")
        frame = read_columns(path, {"split": "split"}, {"study": "study_id", "subject": "subject_id"})
        codes = frame["split"].map(_SPLITS)
        if codes.isna().any():
            raise SistaError(f"{path}: split {frame['split'][codes.isna()].iloc[0]!r}; expected train, validate or test, as released")
        for key in ("study", "subject"):
            mixed = codes.groupby(frame[key]).nunique() > 1
            if mixed.any():
                raise SistaError(f"{path}: {key} {int(mixed.index[mixed][0])} stands in several splits; download the table again")
        once = frame.assign(code=codes).drop_duplicates("study").set_index("study")["code"]
        return once.reindex(self._study).fillna(-1).to_numpy(np.int8)

    def _read_labels(self, whose: str) -> tuple[np.ndarray, int]:
        """The labels [N, 14] of each study and how many rows were repeated; a study without a row has blanks only."""
        if whose == "none":
            return np.zeros((len(self), 0), dtype=np.int8), 0
        path = self.find(f"mimic-cxr-2.0.0-{whose}.csv")
        frame = read_columns(path, {}, {"study": "study_id", **{name: name for name in OBSERVATIONS}})
        twice = frame["study"].duplicated()
        table = label_table(frame[~twice], path)
        place = pd.Index(frame["study"][~twice]).get_indexer(self._study)
        return np.where(place[:, None] >= 0, table[place], BLANK).astype(np.int8), int(twice.sum())


def _open_reports(given: Path) -> Path | ZippedTexts:
    """The folder that holds p10, p11, ..., or the zip."""
    if given.is_file():
        return ZippedTexts(given)
    for folder in (given / "files", given / "mimic-cxr-reports" / "files", given):
        if any(folder.glob("p1[0-9]")):
            return folder
    if (given / "mimic-cxr-reports.zip").is_file():
        return ZippedTexts(given / "mimic-cxr-reports.zip")
    found = "no such file or folder" if not given.exists() else "expected files/p10 ... or mimic-cxr-reports.zip there"
    raise SistaError(f"{given}: {found}; give the reports of MIMIC-CXR, which come apart from MIMIC-CXR-JPG")


def _view(position: str) -> str:
    first = position.upper().split()[0] if position else ""
    if first in _OBLIQUE or first in ("AP", "PA"):
        return "OBLIQUE" if first in _OBLIQUE else first
    return _VIEWS.get(position.upper(), "" if is_frontal(position) else "LATERAL")


def _priors(studies: pd.DataFrame) -> np.ndarray:
    """Row of the same subject's study before, by date and time; -1 for the first."""
    order = studies.assign(row=np.arange(len(studies))).sort_values(["subject", "date", "time", "study"], kind="stable")
    rows, subject = order["row"].to_numpy(), order["subject"].to_numpy()
    prior = np.full(len(studies), -1, dtype=np.int32)
    same = subject[1:] == subject[:-1]
    prior[rows[1:][same]] = rows[:-1][same]
    return prior
