"""The last stage of a build: one numbering of the rows, keys, tokenizer, tokens, teachers; `corpus.json` says that all is there."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.disk import read_json, write_array, write_bytes, write_json
from sista.corpus.keys import report_keys, truth_keys
from sista.corpus.rows import LeftOut
from sista.corpus.splits import refuse_leaks
from sista.corpus.stored import StoredRows
from sista.corpus.study import SPLITS
from sista.corpus.tokenizer import ReportTokenizer, load_tokenizer, train_tokenizer
from sista.corpus.tokens import MAX_PIECES, TokenStore
from sista.errors import SistaError

FORMAT = 2


def finish(
    out: Path, settings: dict[str, Any], fingerprint: str, parts: Sequence[Path], left_out: list[LeftOut], teachers: Sequence[str]
) -> dict[str, Any]:
    """Complete the corpus in `out`; what is there already is not made again. Returns the content of `corpus.json`."""
    file = out / "corpus.json"
    if not file.exists():
        everything = StoredRows(parts)
        kept, doubled = _distinct(everything)
        left_out = [*left_out, *doubled]
        write_bytes(out / "left_out.csv", _as_csv(left_out))
        rows = StoredRows(parts, kept)
        if not len(rows):
            reasons = ", ".join(f"{reason}: {count}" for reason, count in count_reasons(left_out).items())
            raise SistaError(f"archive {settings['archive']}: no usable study ({reasons}). See {out / 'left_out.csv'} for each.")
        splits = rows.column("split").to_pylist()
        refuse_leaks(rows.column("subject_id").to_pylist(), splits, f"archive {settings['archive']}")
        reports = rows.column("report").to_pylist()
        write_array(out / "rows.npy", kept)
        keys = np.stack(
            [report_keys(reports, rows.column("study_id").to_pylist()), truth_keys(rows.column("true_findings").to_pylist())], axis=1
        )
        write_array(out / "keys.npy", keys)
        tokenizer = _tokenizer(
            out, settings["tokenizer"], [text for text, split in zip(reports, splits, strict=True) if split == "train"] or reports
        )
        TokenStore.from_texts(reports, tokenizer).save(out / "tokens.arrow")
        summary = {
            **settings,
            "fingerprint": fingerprint,
            "parts": [part.name for part in parts],
            "rows": len(rows),
            "splits": {split: splits.count(split) for split in SPLITS},
            "subjects": len(set(rows.column("subject_id").to_pylist())),
            "left_out": len(left_out),
            "reasons": count_reasons(left_out),
            "max_pieces": MAX_PIECES,
            "tokenizer": {"name": settings["tokenizer"], "pieces": len(tokenizer), "fingerprint": tokenizer.fingerprint},
        }
        write_json(file, summary)
        for stray in out.rglob("*.tmp"):
            stray.unlink(missing_ok=True)
    if settings["has_reports"]:
        _teach(out, teachers)
    return read_json(file)


def count_reasons(left_out: Sequence[LeftOut]) -> dict[str, int]:
    """How many were left out for each reason, particulars after ": " aside; the commonest first."""
    return dict(Counter(entry.reason.split(": ")[0] for entry in left_out).most_common())


def _distinct(rows: StoredRows) -> tuple[np.ndarray, list[LeftOut]]:
    """The rows whose film id is new and whose study id belongs to one subject; the others as left out."""
    films: set[str] = set()
    owner: dict[str, str] = {}
    kept, left_out = [], []
    columns = [rows.column(name).to_pylist() for name in ("film_id", "study_id", "subject_id", "source")]
    for row, (film, study, subject, source) in enumerate(zip(*columns, strict=True)):
        if film in films:
            left_out.append(LeftOut(study, film, source, "film id used before"))
        elif owner.setdefault(study, subject) != subject:
            left_out.append(LeftOut(study, film, source, "study id of another subject"))
        else:
            films.add(film)
            kept.append(row)
    return np.array(kept, dtype=np.int64), left_out


def _tokenizer(out: Path, name: str | None, texts: list[str]) -> ReportTokenizer:
    tokenizer = train_tokenizer(texts) if name is None else load_tokenizer(name)
    tokenizer.save(out / "tokenizer")
    return tokenizer


def _teach(out: Path, teachers: Sequence[str]) -> None:
    from sista.corpus.corpus import Corpus

    corpus = Corpus.open(out)
    for name in teachers:
        corpus.teacher(name)


def _as_csv(left_out: Sequence[LeftOut]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("study_id", "film", "source", "reason"))
    writer.writerows((entry.study_id, entry.film, entry.source, entry.reason) for entry in left_out)
    return text.getvalue().encode()
