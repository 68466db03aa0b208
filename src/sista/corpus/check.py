"""Count and check a corpus before anything is trained on it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json
from sista.corpus.splits import refuse_leaks
from sista.corpus.study import SPLITS
from sista.corpus.taught import has_taught
from sista.corpus.teachers.calibration import pair_similarity, sample_pairs
from sista.corpus.words import word_spans
from sista.errors import SistaError

PAIRS = 300_000  # sampled for the shares of false negatives; their error is then below 0.1 percentage points


def check(data: Path) -> dict[str, Any]:
    """Count and check a corpus: splits, views, labels, report lengths, duplicates, false negatives, damage.

    Raises a SistaError for what makes it useless: a subject in two splits, tokens cut by another tokenizer, a missing or damaged part.

    Args:
        data: a corpus, as `sista build` writes it.

    Returns:
        pairs, subjects, splits, views, labels (positives and known per label), words (quantiles of the report length), duplicates
        (texts and films within and across splits), false_negatives (per teacher: the share of random pairs at each cut-off, and how many of
        those truly have equal findings where known), left_out, notes, verdict.
    """
    corpus = Corpus.open(data)
    splits = np.array(corpus.column("split"))
    refuse_leaks(corpus.column("subject_id"), splits.tolist(), f"corpus {data}")
    _require_whole(corpus)
    studies = np.array(corpus.column("study_id"))
    lengths = [len(word_spans(report)) for report in corpus.reports()]
    duplicates = {
        "reports": _duplicates([" ".join(report.lower().split()) for report in corpus.reports()], splits, studies),
        "films": _duplicates([_film_digest(corpus, row) for row in range(len(corpus))], splits),
    }
    notes = []
    if duplicates["films"]["across_splits"]:
        notes.append(
            f"{duplicates['films']['across_splits']} films stand in more than one split; scores on valid and test are too good by them"
        )
    notes += [f"the {split} split is empty" for split in SPLITS if not (splits == split).any()]
    teachers = [read_json(file)["name"] for file in sorted((corpus.path / "teachers").glob("*.json"))]
    if not corpus.has_reports:
        notes.append("it has no reports: a corpus to probe, segment or detect on, not to pre-train on")
    if not corpus.has_films:
        notes.append("it has no films: a corpus of reports only")
    if not teachers and corpus.has_reports:
        notes.append("no teacher is stored; the first pre-training computes the one that it needs")
    return {
        "pairs": len(corpus),
        "subjects": len(set(corpus.column("subject_id"))),
        "studies": len(set(studies.tolist())),
        "splits": {split: int((splits == split).sum()) for split in SPLITS},
        "views": dict(Counter(view or "unknown" for view in corpus.column("view")).most_common()),
        "labels": _labels(corpus),
        "words": dict(
            zip(("min", "p5", "median", "p95", "max"), (int(q) for q in np.percentile(lengths, (0, 5, 50, 95, 100))), strict=True)
        ),
        "duplicates": duplicates,
        "false_negatives": {name: _false_negatives(corpus, name, studies) for name in teachers},
        "left_out": corpus.facts["reasons"],
        "notes": notes,
        "verdict": "usable" if not notes else "usable, with notes",
    }


def _require_whole(corpus: Corpus) -> None:
    where = f"corpus {corpus.path}"
    again = "delete its corpus.json and run the same `sista build` again"
    if corpus.tokenizer.fingerprint != corpus.tokens.fingerprint:
        raise SistaError(f"{where}: its tokens were cut by another tokenizer than the one stored with it; {again}")
    if not len(corpus) == len(corpus.stored) == len(corpus.tokens):
        raise SistaError(
            f"{where}: {len(corpus)} rows announced, {len(corpus.stored)} stored, {len(corpus.tokens)} cut into tokens; {again}"
        )
    for name in corpus.facts["parts"]:
        part = corpus.path / "studies" / name
        if hashlib.sha256(part.read_bytes()).hexdigest() != read_json(part.with_suffix(".json"))["sha256"]:
            raise SistaError(
                f"{where}: {part} is damaged (its checksum differs); delete it and corpus.json, and run the same `sista build` again"
            )


def _film_digest(corpus: Corpus, row: int) -> str:
    return hashlib.sha256(corpus.stored.cell("image", row).as_buffer()).hexdigest() if corpus.has_films else ""


def _labels(corpus: Corpus) -> dict[str, dict[str, int]]:
    labels = corpus.labels()
    return {
        name: {"present": int((column == 1).sum()), "absent": int((column == 0).sum()), "uncertain": int((column == -1).sum())}
        for name, column in zip(corpus.label_names, labels.T, strict=True)
    }


def _duplicates(values: Sequence[str], splits: np.ndarray, studies: np.ndarray | None = None) -> dict[str, int]:
    """Rows whose value another row has, too: of the same split, and of another. With `studies`, rows of one study are one."""
    places: dict[str, set[tuple[str, Any]]] = {}
    for row, (value, split) in enumerate(zip(values, splits.tolist(), strict=True)):
        if not value:
            continue
        places.setdefault(value, set()).add((split, row if studies is None else studies[row]))
    within, across = 0, 0
    for found in places.values():
        counts = Counter(split for split, _ in found)
        within += sum(count for count in counts.values() if count > 1)
        across += len(found) if len(counts) > 1 else 0
    return {"within_a_split": within, "across_splits": across}


def _false_negatives(corpus: Corpus, name: str, studies: np.ndarray) -> dict[str, Any]:
    if not has_taught(corpus.path / "teachers", name):
        raise SistaError(
            f"corpus {corpus.path}: the vectors of teacher {name} are missing; delete its .json in teachers/, they are then computed again"
        )
    taught = corpus.teacher(name)
    rows = corpus.rows("train") if (corpus.rows("train")).size else corpus.rows()
    left, right = sample_pairs(studies[rows], PAIRS)
    similarity = pair_similarity(taught.vectors[rows], left, right)
    truth = corpus.truth_keys(rows)
    known = bool(len(left)) and bool((truth >= 0).all())
    equal = truth[left] == truth[right] if known else None
    result: dict[str, Any] = {"equal_truth": float(equal.mean()) if equal is not None else None, "cut_offs": {}}
    for share, cut in sorted(taught.cut_offs.items()):
        chosen = similarity >= cut
        entry: dict[str, Any] = {"similarity": round(cut, 4), "share": float(chosen.mean()) if len(chosen) else 0.0}
        if equal is not None:
            entry["precision"] = float(equal[chosen].mean()) if chosen.any() else None
            entry["recall"] = float(chosen[equal].mean()) if equal.any() else None
        result["cut_offs"][str(share)] = entry
    return result
