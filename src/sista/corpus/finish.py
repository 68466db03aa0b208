"""The last stage of a build: one numbering of the rows, keys, tokenizer, tokens, teachers; `corpus.json` says that all is there.

Every step goes through the stored rows a batch at a time. What stays of a row meanwhile is a few numbers in NumPy arrays.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.disk import file_digest, read_json, whole_file, write_array, write_json
from sista.corpus.equal import distinct, same_as
from sista.corpus.keys import report_keys, truth_keys
from sista.corpus.reports.tokenizer import ReportTokenizer, load_tokenizer, train_tokenizer
from sista.corpus.reports.tokens import MAX_PIECES, TokenStore
from sista.corpus.rows import LeftOut
from sista.corpus.splits import refuse_leaks, split_numbers
from sista.corpus.stored import StoredRows
from sista.corpus.study import SPLITS
from sista.errors import SistaError

FORMAT = 2


def finish(
    out: Path,
    settings: dict[str, Any],
    fingerprint: str,
    parts: Sequence[Path],
    left_out: Iterable[LeftOut],
    teachers: Sequence[str],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Complete the corpus in `out`; what is there already is not made again. Returns the content of `corpus.json`."""
    file = out / "corpus.json"
    if not file.exists():
        everything = StoredRows(parts)
        film_twice, other_subject = _unusable(*(everything.values(name) for name in ("film_id", "study_id", "subject_id")))
        doubled = _named(everything, film_twice, other_subject)
        reasons = _write_left_out(out / "left_out.csv", chain(left_out, doubled))
        kept = np.flatnonzero(~(film_twice | other_subject))
        if not len(kept):
            counts = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
            for part in parts:  # forgotten, so that the same call reads again what has been mended since, such as the folder of the films
                part.with_suffix(".json").unlink(missing_ok=True)
            raise SistaError(f"archive {settings['archive']}: no usable study ({counts}). See {out / 'left_out.csv'} for each.")
        rows = StoredRows(parts, kept)
        subjects, reports, splits = rows.values("subject_id"), rows.values("report"), split_numbers(rows.values("split"))
        refuse_leaks(subjects, splits, f"archive {settings['archive']}")
        write_array(out / "rows.npy", kept)
        keys = [report_keys(reports, rows.values("study_id")), truth_keys(rows.values("true_findings"))]
        write_array(out / "keys.npy", np.stack(keys, axis=1))
        train = splits == SPLITS.index("train")
        tokenizer = _tokenizer(out, settings["tokenizer"], compress(reports, train) if train.any() else reports)
        TokenStore.from_texts(reports, tokenizer, scratch=out).save(out / "tokens.arrow")
        summary = {
            **settings,
            "fingerprint": fingerprint,
            "parts": [part.name for part in parts],
            "rows": len(kept),
            "splits": {split: int((splits == number).sum()) for number, split in enumerate(SPLITS)},
            "subjects": distinct(same_as(subjects)),
            "left_out": sum(reasons.values()),
            "reasons": reasons,
            **({"notes": list(notes)} if notes else {}),
            "max_pieces": MAX_PIECES,
            "tokenizer": {"name": settings["tokenizer"], "pieces": len(tokenizer), "fingerprint": tokenizer.fingerprint},
            "sha256": {name: file_digest(out / name) for name in ("rows.npy", "keys.npy", "tokens.arrow")},
        }
        write_json(file, summary)
        for stray in out.rglob("*.tmp"):
            stray.unlink(missing_ok=True)
    if settings["has_reports"]:
        _teach(out, teachers)
    return read_json(file)


def count_reasons(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How many were left out for each reason, particulars after ": " aside; the commonest first."""
    return dict(Counter(entry.reason.split(": ")[0] for entry in left_out).most_common())


def _unusable(films: Iterable[str], studies: Iterable[str], subjects: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, in turn: whether a usable row before it has its film id; else, whether a subject before it has its study id."""
    film, study, subject = same_as(films), same_as(studies), same_as(subjects)
    used, owner = np.zeros(len(film), dtype=bool), np.full(len(film), -1)
    film_twice, other_subject = np.zeros((2, len(film)), dtype=bool)
    for row in range(len(film)):
        if used[film[row]]:
            film_twice[row] = True
        elif owner[study[row]] not in (-1, subject[row]):
            other_subject[row] = True
        else:
            used[film[row]], owner[study[row]] = True, subject[row]
    return film_twice, other_subject


def _named(rows: StoredRows, film_twice: np.ndarray, other_subject: np.ndarray) -> Iterator[LeftOut]:
    """What `_unusable` found, as rows that are left out."""
    unusable = np.flatnonzero(film_twice | other_subject)
    if len(unusable):
        columns = (StoredRows(rows.parts, unusable).values(name) for name in ("study_id", "film_id", "source"))
        for row, study, film, source in zip(unusable, *columns, strict=True):
            yield LeftOut(study, film, source, "film id used before" if film_twice[row] else "study id of another subject")


def _write_left_out(path: Path, left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Write the table; returns the counts of the reasons."""
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("study_id", "film", "source", "reason"))

        def written() -> Iterator[LeftOut]:
            for entry in left_out:
                writer.writerow((entry.study_id, entry.film, entry.source, entry.reason))
                yield entry

        reasons = count_reasons(written())
        text.detach()
    return reasons


def _tokenizer(out: Path, name: str | None, texts: Iterable[str]) -> ReportTokenizer:
    tokenizer = train_tokenizer(texts) if name is None else load_tokenizer(name)
    tokenizer.save(out / "tokenizer")
    return tokenizer


def _teach(out: Path, teachers: Sequence[str]) -> None:
    from sista.corpus.corpus import Corpus

    corpus = Corpus.open(out)
    for name in teachers:
        corpus.teacher(name)
