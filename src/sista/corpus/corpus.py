"""A finished corpus: film-report pairs on disk, opened without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.corpus.disk import read_json
from sista.corpus.equal import same_as
from sista.corpus.films.radiograph import decode_film
from sista.corpus.finish import FORMAT
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.corpus.reports.tokens import TokenStore
from sista.corpus.splits import split_numbers
from sista.corpus.stored import StoredRows
from sista.corpus.study import SPLITS, Region
from sista.corpus.taught import Taught, teach
from sista.corpus.teachers import Reports
from sista.errors import SistaError

if TYPE_CHECKING:
    from datasets import Dataset

Rows = Sequence[int] | np.ndarray


class Corpus:
    """Film-report pairs by row number. Open it with `Corpus.open(path)`.

    path, size (side of the padded films in pixels), label_names, fingerprint (of settings and content), max_pieces, facts (`corpus.json`).
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self.size: int = facts["size"]
        self.label_names: tuple[str, ...] = tuple(facts["label_names"])
        self.fingerprint: str = facts["fingerprint"]
        self.max_pieces: int = facts["max_pieces"]
        self.has_reports: bool = facts.get("has_reports", True)
        self.has_films: bool = not facts.get("text_only", False)
        self._columns: dict[str, list] = {}
        self._taught: dict[str, Taught] = {}

    @classmethod
    def open(cls, path: Path | str) -> Corpus:
        """Open the corpus in `path`; raises `SistaError` when there is none, it is unfinished, or another version wrote it."""
        path = Path(path)
        if not path.is_dir():
            raise SistaError(f"{path}: no such folder; a corpus is made by `sista build ARCHIVE --out {path}`")
        if not (path / "corpus.json").exists():
            if (path / "build.json").exists():
                raise SistaError(f"{path}: this build did not finish; run the same `sista build` again, it goes on where it stopped")
            raise SistaError(f"{path} is no corpus (it has no corpus.json); give a folder that `sista build` wrote")
        facts = read_json(path / "corpus.json")
        if facts.get("format") != FORMAT:
            raise SistaError(f"{path}: corpus format {facts.get('format')}, this version reads {FORMAT}; build it again")
        return cls(path, facts)

    def __reduce__(self) -> tuple:
        return Corpus.open, (self.path,)

    def __len__(self) -> int:
        return self.facts["rows"]

    def __repr__(self) -> str:
        parts = ", ".join(f"{split} {self.facts['splits'][split]:,}" for split in SPLITS)
        out = f", {self.facts['left_out']:,} left out" if self.facts["left_out"] else ""
        facts = self.facts
        return (
            f"Corpus({facts['archive']}: {len(self):,} film-report pairs of {facts['subjects']:,} subjects, {parts}, {self.size} px{out})"
        )

    @cached_property
    def stored(self) -> StoredRows:
        """The memory-mapped rows."""
        missing = [name for name in self.facts["parts"] if not (self.path / "studies" / name).exists()]
        if missing:
            raise SistaError(
                f"{self.path}: {', '.join(missing[:3])} missing from studies/; run the same `sista build` again after deleting corpus.json"
            )
        return StoredRows([self.path / "studies" / name for name in self.facts["parts"]], np.load(self.path / "rows.npy"))

    @cached_property
    def dataset(self) -> Dataset:
        """The rows as a Hugging Face `datasets.Dataset`, memory-mapped, to filter, stream or push."""
        from datasets import Dataset, concatenate_datasets

        parts = [Dataset.from_file(str(self.path / "studies" / name)) for name in self.facts["parts"]]
        whole = concatenate_datasets([part for part in parts if len(part)])
        return whole if len(whole) == len(self) else whole.select(self.stored.kept)

    def column(self, name: str) -> list:
        """One column as a list, read once."""
        if name not in self._columns:
            if name not in self.stored.schema.names:
                raise SistaError(f"{self.path}: no column {name!r} (columns: {', '.join(self.stored.schema.names)})")
            self._columns[name] = self.stored.column(name).to_pylist()
        return self._columns[name]

    def rows(self, split: str | None = None) -> np.ndarray:
        """Row numbers [N] int64 of "train", "valid" or "test"; of all without `split`."""
        if split is None:
            return np.arange(len(self))
        if split not in SPLITS:
            raise SistaError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.splits == SPLITS.index(split))

    @cached_property
    def splits(self) -> np.ndarray:
        """The place [N] int8 of each row's split in `SPLITS`."""
        return split_numbers(self.stored.values("split"))

    @cached_property
    def study_numbers(self) -> np.ndarray:
        """[N] int64, equal for rows of one study: the first of its rows."""
        return same_as(self.stored.values("study_id"))

    def films(self, rows: Rows) -> Tensor:
        """The films uint8 [B,1,S,S], decoded, in the middle of a black square."""
        if not self.has_films:
            raise SistaError(f"corpus {self.path} holds reports only; build it with the archive's films")
        films = np.zeros((len(rows), 1, self.size, self.size), dtype=np.uint8)
        for film, row in zip(films[:, 0], rows, strict=True):
            try:
                pixels = decode_film(memoryview(self.stored.cell("image", int(row)).as_buffer()))
            except OSError as error:
                name = self.stored.cell("film_id", int(row)).as_py()
                raise SistaError(
                    f"{self.path}: film {name} (row {row}) cannot be decoded ({error}); the corpus is damaged, build it again"
                ) from None
            height, width = pixels.shape
            top, left = (self.size - height) // 2, (self.size - width) // 2
            film[top : top + height, left : left + width] = pixels
        return torch.from_numpy(films)

    def regions(self, row: int) -> tuple[Region, ...]:
        """Where the findings of a row are, in pixels of the square film that `films` gives; masks bool [S,S] where known."""
        row = int(row)
        height, width = (self.stored.cell(name, row).as_py() for name in ("height", "width"))
        top, left = (self.size - height) // 2, (self.size - width) // 2
        result = []
        for entry in self.stored.cell("regions", row).as_py() or ():
            mask = None
            if entry["mask"] is not None:
                mask = np.zeros((self.size, self.size), dtype=bool)
                mask[top : top + height, left : left + width] = decode_film(entry["mask"])
            result.append(
                Region(entry["finding"], entry["x"] + left, entry["y"] + top, entry["width"], entry["height"], entry["phrase"], mask)
            )
        return tuple(result)

    def labels(self, rows: Rows | None = None) -> np.ndarray:
        """Labels float32 [N, K] in the order of `label_names`: 1 present, 0 absent, -1 uncertain, NaN unknown."""
        parts = [batch.column(0).flatten().to_numpy(zero_copy_only=False) for batch in self.stored.batches(["labels"])]
        labels = np.concatenate(parts).reshape(len(self), len(self.label_names))
        return labels if rows is None else labels[np.asarray(rows, dtype=np.int64)]

    def reports(self, rows: Rows | None = None) -> list[str]:
        """The cleaned training texts."""
        column = self.column("report")
        return list(column) if rows is None else [column[int(row)] for row in rows]

    @cached_property
    def tokenizer(self) -> ReportTokenizer:
        """The tokenizer that the reports were cut with."""
        return ReportTokenizer.open(self.path / "tokenizer")

    @cached_property
    def tokens(self) -> TokenStore:
        """The tokens of all reports."""
        return TokenStore.open(self.path / "tokens.arrow")

    def require_tokenizer(self, name: str) -> None:
        """Raise unless the corpus was cut with the tokenizer of the pre-trained text encoder `name`; fresh encoders take any."""
        own = {"compact", "small", "base"}
        if name not in own and self.facts["tokenizer"]["name"] != name:
            from sista.corpus.reports.tokenizer import load_tokenizer

            if load_tokenizer(name).fingerprint != self.facts["tokenizer"]["fingerprint"]:
                used = self.facts["tokenizer"]["name"] or "one trained on it"
                raise SistaError(
                    f"corpus {self.path} was cut with another tokenizer ({used}) than text encoder {name!r}; "
                    f"build it with --tokenizer {name}"
                )

    def teacher(self, name: str) -> Taught:
        """Report vectors and cut-offs of a teacher, computed and kept when they are not there yet; unpacks as `vectors, cut_offs`."""
        if not self.has_reports:
            raise SistaError(
                f"corpus {self.path} has no reports, so nothing can be said of their similarity; give a corpus of film-report pairs"
            )
        if name not in self._taught:
            reports = Reports(self.stored.values("report"), self.labels(), self.label_names, self.stored.values("true_findings"))
            self._taught[name] = teach(self.path / "teachers", name, reports, self.study_numbers, self.rows("train"), self.fingerprint)
        return self._taught[name]

    @cached_property
    def _keys(self) -> np.ndarray:
        return np.load(self.path / "keys.npy")

    def report_keys(self, rows: Rows) -> np.ndarray:
        """[N] int64, equal for pairs of one study or with the same report text."""
        return self._keys[np.asarray(rows, dtype=np.int64), 0]

    def truth_keys(self, rows: Rows) -> np.ndarray:
        """[N] int64, equal for equal true finding sets; -1 where the truth is unknown."""
        return self._keys[np.asarray(rows, dtype=np.int64), 1]

    def values(self, name: str, rows: Rows) -> np.ndarray:
        """One column's values at the given rows, as an array [N]."""
        return np.array(self.column(name))[np.asarray(rows, dtype=np.int64)]

    def warm(self, teacher: str) -> None:
        """Open all that `batch` needs."""
        _ = self.stored.cell("image", 0), self.tokens, self._keys, self.teacher(teacher)

    def batch(
        self,
        rows: Rows,
        teacher: str = "tfidf",
        rng: np.random.Generator | None = None,
        shuffle: bool = True,
        shorten: float = 0.0,
        films: Rows | None = None,
    ) -> Batch:
        """The tensors of these rows. With `rng` the sentences of each report come in a random order (`shuffle`), and of a share
        (`shorten`) of the reports only some sentences come. films: the rows whose films are read, by default all."""
        index = np.asarray(rows, dtype=np.int64)
        return Batch(
            images=self.films(index if films is None else films),
            **self.tokens.collate(index, rng, shuffle, shorten),
            teacher=torch.from_numpy(np.asarray(self.teacher(teacher).vectors[index], dtype=np.float32)),
            report_key=torch.from_numpy(self.report_keys(index)),
            truth_key=torch.from_numpy(self.truth_keys(index)),
            rows=torch.from_numpy(index.copy()),
        )
