"""Check an archive before an hour goes into building it: its counts, and a sample of its studies read as the builder would."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np

from sista.corpus.finish import count_reasons
from sista.corpus.published import against_published
from sista.corpus.reports.sections import split_sections
from sista.corpus.reports.words import word_spans
from sista.corpus.rows import LeftOut, RowSettings, study_rows
from sista.corpus.study import Archive, StudyRefused

SAMPLE = 200


def check_archive(archive: Archive, sample: int = SAMPLE) -> dict[str, Any]:
    """Count an archive, hold its counts against the published ones, and read some of its studies without writing anything.

    Memory does not grow with the archive: one study is held at a time.

    Args:
        archive: the data set as released.
        sample: studies to read, evenly over the archive; 0 reads none.

    Returns:
        archive, studies, counts (by the archive, where it has them), published (release, agrees, each count found and published; empty
        where no counts are published), sample (studies read, rows they would give, views, sections of the reports, words per report,
        labels present, left_out by reason with an example each, seconds per study), notes, verdict.
    """
    counted = getattr(archive, "counts", None)
    counts: dict[str, Any] = counted() if callable(counted) else {}
    published = against_published(archive.name, counts)
    notes = list(getattr(archive, "notes", ()))
    if published and not published["agrees"]:
        wrong = [
            f"{key} {row['found']} (published {row['published']})"
            for key, row in published["counts"].items()
            if row["found"] != row["published"]
        ]
        notes.append(f"the counts are not those of release {published['release']}: {', '.join(wrong)}; a part of it, or another version?")
    read = _read(archive, min(sample, len(archive)))
    if read["studies"] and not read["rows"]:
        notes.append("no study of the sample can be used; see left_out")
    elif read["unusable"] > 0.05 * read["studies"]:
        notes.append(f"{read['unusable']} of {read['studies']} studies of the sample cannot be used; see left_out")
    if not len(archive):
        notes.append("it holds no study; check the path")
    verdict = "not usable" if not len(archive) or (read["studies"] and not read["rows"]) else "usable, with notes" if notes else "usable"
    return {
        "archive": archive.name,
        "studies": len(archive),
        "counts": counts,
        "published": published,
        "sample": read,
        "notes": notes,
        "verdict": verdict,
    }


def _read(archive: Archive, sample: int) -> dict[str, Any]:
    """Read `sample` studies as the builder would."""
    settings = RowSettings(
        size=256,
        image_format="jpeg",
        views="all",
        min_words=3,
        fractions=(0.8, 0.1, 0.1),
        salt="sista",
        label_names=tuple(archive.label_names),
        has_reports=getattr(archive, "has_reports", True),
        text_only=getattr(archive, "text_only", False),
    )
    views: Counter[str] = Counter()
    sections: Counter[str] = Counter()
    present: Counter[str] = Counter()
    words: list[int] = []
    left_out: list[LeftOut] = []
    rows = unusable = 0
    started = time.perf_counter()
    for index in np.linspace(0, len(archive) - 1, sample).astype(int).tolist() if sample else ():
        try:
            study = archive[index]
            sections.update(split_sections(study.report).keys())
            new, missing = study_rows(study, settings)
        except StudyRefused as refused:
            new, missing = [], [LeftOut(f"study number {index}", "", archive.name, str(refused))]
        left_out += missing
        unusable += not new
        rows += len(new)
        if new:
            views.update(row["view"] or "unknown" for row in new)
            words.append(len(word_spans(new[0]["report"])))
            present.update(name for name, value in zip(archive.label_names, new[0]["labels"], strict=True) if value == 1)
    seconds = time.perf_counter() - started
    examples: dict[str, str] = {}
    for entry in left_out:
        examples.setdefault(entry.reason.split(": ")[0], f"{entry.study_id}: {entry.reason}")
    return {
        "studies": sample,
        "rows": rows,
        "unusable": unusable,
        "views": dict(views.most_common()),
        "sections": dict(sections.most_common()),
        "words": {
            name: int(value)
            for name, value in zip(("min", "median", "max"), np.percentile(words, (0, 50, 100)) if words else (), strict=False)
        },
        "labels_present": dict(present.most_common()),
        "left_out": count_reasons(left_out),
        "examples": examples,
        "seconds_per_study": round(seconds / max(1, sample), 4),
    }
