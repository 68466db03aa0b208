"""The user's own table: CSV, TSV, Parquet or JSONL, one row per film, with its report."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sista.archives.table_regions import boxes_by_film, table_regions
from sista.corpus.names import plain_name
from sista.corpus.splits import refuse_leaks, split_numbers
from sista.corpus.study import Film, Region, Study, StudyRefused
from sista.corpus.tables import cell_text, read_table
from sista.errors import SistaError, nearest

_SPLITS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "valid": "valid",
    "validate": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
_VIEWS = {"FRONTAL": "FRONTAL", "PA": "PA", "AP": "AP", "LATERAL": "LATERAL", "LL": "LATERAL", "LAT": "LATERAL", "L": "LATERAL"}
_REPORT_NAMES = ("text", "report", "report_text", "caption", "note")


class Table:
    """Film-report pairs from a table. Picklable; the table is read once per process.

    Args:
        table: a .csv, .tsv, .parquet or .jsonl file.
        image_column: path of each film, relative to `image_root`.
        report_column: the report; by default the first of text, report, report_text, caption, note that exists. A table with label
            columns and none of these makes a corpus without reports.
        subject_column: whose film it is; without it each study counts as its own subject (a film in several rows as one), and splits
            cannot be kept apart by patient.
        study_column: rows with the same value are films of one study and must carry the same report, subject, split, labels, age and sex
            (cells left empty aside); without it each row is a study.
        split_column: train, valid or test (also val, validate, dev, ...); without it sista draws the split per subject.
        view_column: PA, AP, LATERAL, frontal; other values stand as they are.
        label_columns: 1 present, 0 absent, -1 uncertain, empty (or "nan") unknown.
        findings_column: the findings section, when the report comes in two columns; `report_column` is then not read.
        impression_column: the impression section.
        age_column: age in years.
        sex_column: sex, as written.
        image_root: folder of the films; by default that of the table.
        masks: finding -> the column that holds the path of its mask image, relative to `image_root`, white (above half of the largest value
            of its kind) on black. An empty cell: no mask was drawn. What that means is said by the label of the same name, as with boxes;
            where the table has none, such a film counts as one without the finding, and building says how many do.
        boxes: a table of boxes: image (as in this one), label, x, y, width, height in pixels of the film. What a film without a region
            means is said by its label of the same name (capitals and underscores aside): 0 absent; otherwise nobody looked. Where the
            table has no such label a film without a region counts as one without the finding.
    """

    name = "table"

    def __init__(
        self,
        table: Path,
        image_column: str = "image",
        report_column: str | None = None,
        subject_column: str | None = None,
        study_column: str | None = None,
        split_column: str | None = None,
        view_column: str | None = None,
        label_columns: Sequence[str] = (),
        findings_column: str | None = None,
        impression_column: str | None = None,
        age_column: str | None = None,
        sex_column: str | None = None,
        image_root: Path | None = None,
        masks: dict[str, str] | None = None,
        boxes: Path | None = None,
    ) -> None:
        self.table = Path(table)
        self.image_root = Path(image_root) if image_root is not None else self.table.parent
        self.label_names = (label_columns,) if isinstance(label_columns, str) else tuple(label_columns)
        self._image, self._subject, self._study, self._split, self._view = (
            image_column,
            subject_column,
            study_column,
            split_column,
            view_column,
        )
        self._findings, self._impression, self._age, self._sex = findings_column, impression_column, age_column, sex_column
        self._masks, self._boxes_table = dict(masks or {}), Path(boxes) if boxes is not None else None
        columns = list(self._frame.columns)
        if report_column is None and not (findings_column or impression_column):
            report_column = next(
                (name for name in _REPORT_NAMES if name in columns),
                None if self.label_names or masks or boxes is not None else _REPORT_NAMES[0],
            )
        self._report = None if findings_column or impression_column else report_column
        self.has_reports = bool(self._report or findings_column or impression_column)
        named = (
            self._image,
            self._report,
            self._subject,
            self._study,
            self._split,
            self._view,
            self._findings,
            self._impression,
            self._age,
            self._sex,
        )
        for column in [*(name for name in named if name is not None), *self.label_names, *self._masks.values()]:
            self._require(column, columns)
        if not self.image_root.is_dir():
            raise SistaError(
                f"{self.image_root}: no such folder; image_root must be the folder that the paths in column {self._image!r} start from"
            )
        if not len(self._frame):
            raise SistaError(f"{self.table}: it has a header and no rows")
        self._check_values()
        self._check_splits()
        self._check_boxes()

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        return f"Table({self.table}: {len(self._frame):,} films in {len(self):,} studies)"

    def describe(self) -> dict[str, Any]:
        """The settings that determine the content; says so when each study counts as its own subject."""
        return {
            "table": self.table.name,
            "rows": len(self._frame),
            "image_column": self._image,
            "report_column": self._report,
            "subject_column": self._subject,
            "subjects": self._whose,
            "study_column": self._study,
            "split_column": self._split,
            "view_column": self._view,
            "label_columns": list(self.label_names),
            "findings_column": self._findings,
            "impression_column": self._impression,
            "age_column": self._age,
            "sex_column": self._sex,
            **({"masks": self._masks} if self._masks else {}),
            **self._describe_boxes(),
            "content": self._digest,
        }

    @property
    def notes(self) -> list[str]:
        """What of it will not be used, which films stand in several rows, and what films without a mask are taken for."""
        found = []
        if repeated := self._repeated:
            films = f"{len(repeated)} film{'s' if len(repeated) > 1 else ''} of {self.table}, such as {sorted(repeated)[0]!r},"
            found.append(f"{films} in several rows: each is one subject, and comes into one split with all of its rows")
        for finding in self._masks:
            if (empty := self._without_mask(finding)) and plain_name(finding) not in map(plain_name, self.label_names):
                found.append(
                    f"films without a mask of {finding!r}: {empty:,}, which count as without it; where nobody looked, give a label column "
                    f"{finding!r} (1, 0, or empty for unknown)"
                )
        if unknown := self._unknown_boxes:
            images = f"{len(unknown)} image{'s' if len(unknown) > 1 else ''} of {self._boxes_table}, such as {unknown[0]!r},"
            found.append(f"{images} named by no row of {self.table}: their boxes are not used")
        return found

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order in which studies first appear."""
        study, positions = self._groups[index]
        rows = self._frame.iloc[positions]
        first = rows.iloc[0]
        reports = {self._report_of(row) for _, row in rows.iterrows()} - {""}
        if len(reports) > 1:
            raise StudyRefused(f"one study with different reports: {study} of {self.table.name}")
        films = []
        for (_, row), position in zip(rows.iterrows(), positions, strict=True):
            path = cell_text(row[self._image])
            if path:
                view = cell_text(row[self._view]) if self._view else ""
                name = path if self._study else f"{position}:{path}"
                films.append(Film(name, self.image_root / path, _VIEWS.get(view.upper(), view), self._regions(row, path)))
        subject = self._one(study, rows, self._subject, str, "subjects") if self._subject else self._own_subject(study, first)
        if not subject:
            raise StudyRefused(f"no subject: {study} of {self.table.name} (column {self._subject!r} is empty)")
        labels = {name: self._one(study, rows, name, float, "labels") for name in self.label_names}
        return Study(
            study_id=study,
            subject_id=subject,
            report=next(iter(reports), ""),
            films=tuple(films),
            labels={name: label for name, label in labels.items() if label is not None},
            split=self._one(study, rows, self._split, lambda cell: _SPLITS[cell.lower()], "splits"),
            age=self._one(study, rows, self._age, float, "ages"),
            sex=self._one(study, rows, self._sex, str, "sexes"),
        )

    def _own_subject(self, study: str, row: pd.Series) -> str:
        """The study, or of a film that stands in several rows that film, so that it comes into one split."""
        image = cell_text(row[self._image])
        return image if image in self._repeated else study

    def _one(self, study: str, rows: pd.DataFrame, column: str | None, read: Callable[[str], Any], what: str) -> Any:
        """What all rows of a study hold in a column, empty cells aside; None without any. StudyRefused where they differ."""
        cells = [cell_text(cell) for cell in rows[column]] if column else []
        found = {read(cell) for cell in cells if cell}
        if len(found) > 1:
            raise StudyRefused(f"one study with different {what}: {study} of {self.table.name} (column {column!r})")
        return next(iter(found), None)

    def __getstate__(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self.__dict__.items()
            if key not in ("_frame", "_groups", "_digest", "_boxes", "_unknown_boxes", "_repeated")
        }

    @cached_property
    def _frame(self) -> pd.DataFrame:
        frame = read_table(self.table)
        for column in {*self.label_names, *filter(None, (self._age,))} & {*frame.columns}:
            frame[column] = ["" if cell_text(cell).lower() == "nan" else cell for cell in frame[column]]  # as some exporters write empty
        return frame

    @property
    def _whose(self) -> str:
        if self._subject is not None:
            return f"column {self._subject}"
        film = ", or film that stands in several rows," if self._repeated else ""
        return f"each study{film} is its own subject: no subject_column was given"

    @cached_property
    def _repeated(self) -> frozenset[str]:
        """Where rows are studies and nothing names their subjects: the films in more than one row."""
        if self._subject is not None or self._study is not None:
            return frozenset()
        counts = Counter(map(cell_text, self._frame[self._image]))
        return frozenset(image for image, count in counts.items() if image and count > 1)

    @cached_property
    def _boxes(self) -> dict[str, list[Region]]:
        """image -> its boxes."""
        return boxes_by_film(self._boxes_table, read_table(self._boxes_table), "image", "label") if self._boxes_table else {}

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.table.read_bytes()).hexdigest()

    @cached_property
    def _groups(self) -> list[tuple[str, list[int]]]:
        """(study id, row positions) of each study."""
        if self._study is None:
            return [(f"row {position + 1}", [position]) for position in range(len(self._frame))]
        groups: dict[str, list[int]] = {}
        for position, value in enumerate(self._frame[self._study]):
            groups.setdefault(cell_text(value) or f"row {position + 1}", []).append(position)
        return list(groups.items())

    def _describe_boxes(self) -> dict[str, Any]:
        if self._boxes_table is None:
            return {}
        content = hashlib.sha256(self._boxes_table.read_bytes()).hexdigest()
        return {
            "boxes": content,
            "films_with_boxes": len(self._boxes) - len(self._unknown_boxes),
            "boxes_of_unknown_films": len(self._unknown_boxes),
        }

    def _without_mask(self, finding: str) -> int:
        """How many films have an empty cell in a finding's column of masks."""
        columns = (self._frame[self._image], self._frame[self._masks[finding]])
        return sum(bool(cell_text(film)) and not cell_text(mask) for film, mask in zip(*columns, strict=True))

    def _regions(self, row: pd.Series, film: str) -> tuple[Region, ...]:
        cells = {finding: cell_text(row[column]) for finding, column in self._masks.items()}
        return table_regions(cells, film, self.image_root, self._masks, self._boxes)

    def _report_of(self, row: pd.Series) -> str:
        if self._report is not None:
            return cell_text(row[self._report])
        parts = [("FINDINGS", self._findings), ("IMPRESSION", self._impression)]
        return "\n".join(f"{heading}: {cell_text(row[column])}" for heading, column in parts if column and cell_text(row[column]))

    def _require(self, column: str, columns: list[str]) -> None:
        if column in columns:
            return
        raise SistaError(f"{self.table}: no column {column!r}: {nearest(column, columns)}. Name the right one with its ..._column setting.")

    def _check_boxes(self) -> None:
        if self._boxes and len(self._unknown_boxes) == len(self._boxes):
            raise SistaError(
                f"{self._boxes_table}: no image of it, such as {next(iter(self._boxes))!r}, is in column {self._image!r} of {self.table}"
            )

    @cached_property
    def _unknown_boxes(self) -> list[str]:
        """The images of the table of boxes that are no films of this one."""
        films = set(map(cell_text, self._frame[self._image]))
        return [film for film in self._boxes if film not in films]

    def _check_splits(self) -> None:
        """SistaError for a subject in two splits: here, and not when all films have been read. Studies that contradict themselves, and
        are left out, do not count.
        """
        if self._split is None or self._subject is None:
            return
        columns = [list(map(cell_text, self._frame[column])) for column in (self._subject, self._split)]
        subjects, splits = list[str](), list[str]()
        for _, positions in self._groups:
            subject, split = ({column[position] for position in positions} - {""} for column in columns)
            if len(subject) == 1 and len(names := {_SPLITS[name.lower()] for name in split}) == 1:
                subjects += subject
                splits += names
        refuse_leaks(subjects, split_numbers(splits), str(self.table))

    def _check_values(self) -> None:
        if self._split is not None:
            unknown = sorted({value for value in map(cell_text, self._frame[self._split]) if value and value.lower() not in _SPLITS})
            if unknown:
                raise SistaError(
                    f"{self.table}: column {self._split!r} holds {', '.join(map(repr, unknown[:5]))}; "
                    "expected train, valid or test, or nothing"
                )
        for column in (*self.label_names, *filter(None, (self._age,))):
            values = pd.to_numeric(self._frame[column], errors="coerce")
            wrong = [cell_text(v) for v, number in zip(self._frame[column], values, strict=True) if cell_text(v) and math.isnan(number)]
            if wrong or (column in self.label_names and not set(values.dropna()) <= {-1.0, 0.0, 1.0}):
                seen = sorted(set(wrong)) or sorted(set(values.dropna()))
                expected = "numbers" if column == self._age else "1, 0, -1 or nothing"
                raise SistaError(f"{self.table}: column {column!r} holds {', '.join(map(repr, seen[:5]))}; expected {expected}")
