"""Count and check a corpus before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sista.corpus.corpus import Corpus
from sista.corpus.disk import file_digest, read_json
from sista.corpus.equal import distinct, first_equal, same_as
from sista.corpus.inspect_films import FilmScan, Likeness, difference_hashes, outliers, scan_films
from sista.corpus.keys import plain
from sista.corpus.reports.words import word_spans
from sista.corpus.splits import refuse_leaks
from sista.corpus.study import SPLITS
from sista.corpus.taught import has_taught
from sista.corpus.teachers.calibration import pair_similarity, sample_pairs
from sista.corpus.twins import MOST, confirmed, near_pairs, near_texts
from sista.errors import SistaError

FEW = 5  # examples of each kind
# Correlation of two thumbnails, the mean film taken out, from which their films are compared pixel by pixel. Of copies cropped by 1 to 3 %
# and compressed again it was 0.90 to 1.00; of different NIH films whose hashes met, 0.88 at most in 99 of 100 pairs.
ALIKE = 0.9
_NONE = {"within_a_split": 0, "across_splits": 0}
PAIRS = 300_000  # sampled for the shares of false negatives; their error is then below 0.1 percentage points


def check(data: Path, page: Path | None = None) -> dict[str, Any]:
    """Count and check a corpus: splits, views, labels, report lengths, duplicates, outliers, false negatives, damage.

    On the command line an archive's name in the place of a corpus, with the options that `build` takes of it, looks at a release before it
    is built: `sista check openi --root ...`.

    Raises a SistaError for what makes it useless: a subject in two splits, tokens cut by another tokenizer, a missing or damaged file.
    Films are read once, one part at a time; what is kept of each is 92 bytes, so memory does not grow with the films.

    Args:
        data: a corpus, as `sista build` writes it.
        page: an HTML file to write beside the counts: the verdict, tables, and films with their reports. It holds patient data.

    Returns:
        pairs, studies, subjects, splits, views, labels (present, absent and uncertain of each), words (quantiles of the report length),
        duplicates (equal texts and films within and across splits; near_films by perceptual hash; near_reports by word triples), outliers
        (films far from the others in brightness, contrast or shape, and films unlike all others), false_negatives (per teacher: the share
        of random pairs at each cut-off, and how many of those truly have equal findings where known), left_out, notes, verdict.
    """
    corpus = Corpus.open(data)
    if page is not None and Path(page).is_dir():
        raise SistaError(f"--page {page} is a folder; give the name of an HTML file")
    _require_whole(corpus)
    subjects, reports, splits = corpus.stored.values("subject_id"), corpus.stored.values("report"), corpus.splits
    refuse_leaks(subjects, splits, f"corpus {data}")
    studies = corpus.study_numbers
    lengths = np.fromiter((len(word_spans(report)) for report in reports), dtype=np.int32)
    scan = scan_films(corpus) if corpus.has_films else None
    texts, filled = same_as(map(plain, reports)), np.fromiter((bool(plain(report)) for report in reports), dtype=bool)
    duplicates: dict[str, dict[str, Any]] = {
        "reports": _duplicates(texts, splits, filled, studies),
        "near_reports": _near_reports(corpus, texts, filled),
        "films": _duplicates(first_equal(scan.digests), splits, scan.digests != 0) if scan else {**_NONE},
        "near_films": _near_films(corpus, scan),
    }
    far = outliers(scan) if scan else {}
    teachers = [read_json(file)["name"] for file in sorted((corpus.path / "teachers").glob("*.json"))]
    notes = _notes(corpus, duplicates, far, teachers)
    result = {
        "pairs": len(corpus),
        "subjects": distinct(same_as(subjects)),
        "studies": distinct(studies),
        "splits": {split: int((splits == number).sum()) for number, split in enumerate(SPLITS)},
        "views": dict(Counter(view or "unknown" for view in corpus.stored.values("view")).most_common()),
        "labels": _labels(corpus),
        "words": dict(
            zip(("min", "p5", "median", "p95", "max"), (int(q) for q in np.percentile(lengths, (0, 5, 50, 95, 100))), strict=True)
        ),
        "duplicates": duplicates,
        "outliers": {
            name: {"films": len(found), "farthest": {_name(corpus, row): value for row, value in found[:FEW]}}
            for name, found in far.items()
        },
        "false_negatives": {name: _false_negatives(corpus, name) for name in teachers},
        "left_out": corpus.facts["reasons"],
        "notes": notes,
        "verdict": "usable" if not notes else "usable, with notes",
    }
    if page is not None:
        from sista.corpus.page import write_page

        write_page(Path(page), corpus, result, {name: [row for row, _ in found[:FEW]] for name, found in far.items()})
    return result


def _notes(
    corpus: Corpus, duplicates: dict[str, dict[str, Any]], far: dict[str, list[tuple[int, float]]], teachers: list[str]
) -> list[str]:
    """What a user should know before training, in a sentence each."""
    notes = list(corpus.facts.get("notes", ()))  # the archive's own
    for kind, what in (("films", "films"), ("near_films", "films have a near-duplicate that")):
        if count := duplicates[kind]["across_splits"]:
            stand = "stand in more than one split" if kind == "films" else "stands in another split"
            notes.append(f"{count} {what} {stand}; scores on valid and test are too good by them")
    notes += [f"the {split} split is empty" for split in SPLITS if not len(corpus.rows(split))]
    notes += [
        f"{len(found)} films are outliers by {name}, the farthest {_name(corpus, found[0][0])} ({found[0][1]:g})"
        for name, found in far.items()
        if found
    ]
    if not corpus.has_reports:
        notes.append("it has no reports: a corpus to probe, segment or detect on, not to pre-train on")
    if not corpus.has_films:
        notes.append("it has no films: a corpus of reports only")
    if not teachers and corpus.has_reports:
        notes.append("no teacher is stored; the first pre-training computes the one that it needs")
    return notes


def _name(corpus: Corpus, row: int, column: str = "film_id") -> str:
    return str(corpus.stored.cell(column, row).as_py())


def _near_films(corpus: Corpus, scan: FilmScan | None) -> dict[str, Any]:
    """Films of different studies, not byte for byte equal, that a perceptual hash and then 32 x 32 pixels call the same."""
    if scan is None:
        return {**_NONE, "examples": []}
    alike, digests, studies, splits = Likeness(scan.thumbs), scan.digests, corpus.study_numbers, corpus.splits

    def keep(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (studies[first] != studies[second]) & (digests[first] != digests[second]) & (alike(first, second) >= ALIKE)

    found, stopped = near_pairs(difference_hashes(scan.thumbs), keep=keep)

    def small(row: int) -> np.ndarray:
        pixels = corpus.films([row])[0, 0].numpy()
        return np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX))

    pairs = confirmed(found, small)
    within = {row for a, b in pairs if splits[a] == splits[b] for row in (a, b)}
    across = {row for a, b in pairs if splits[a] != splits[b] for row in (a, b)}
    worst = sorted(pairs, key=lambda pair: bool(splits[pair[0]] == splits[pair[1]]))[:FEW]
    result: dict[str, Any] = {
        "within_a_split": len(within),
        "across_splits": len(across),
        "examples": [f"{_name(corpus, a)} ({SPLITS[splits[a]]}) and {_name(corpus, b)} ({SPLITS[splits[b]]})" for a, b in worst],
    }
    return {**result, "stopped_at_pairs": MOST} if stopped else result


def _near_reports(corpus: Corpus, same: np.ndarray, filled: np.ndarray) -> dict[str, Any]:
    """Different texts that share most of their word triples; a text that many studies share counts once.

    same, filled [N]: the first row with each row's text, and whether there is any text.
    """
    groups = np.zeros(len(corpus), dtype=np.uint8)
    np.bitwise_or.at(groups, same, np.left_shift(1, corpus.splits).astype(np.uint8))
    owners = np.flatnonzero((same == np.arange(len(corpus))) & filled)
    within, across, pairs = near_texts(corpus.stored.take(owners).values("report"), groups[owners])
    names = [[_name(corpus, owners[place], "study_id") for place in pair] for pair in pairs[:FEW]]
    return {"within_a_split": int(within.sum()), "across_splits": int(across.sum()), "examples": [f"{a} and {b}" for a, b in names]}


def _require_whole(corpus: Corpus) -> None:
    """SistaError for a file that is missing or not as it was written, before anything else is read."""
    where = f"corpus {corpus.path}"
    again = "delete its corpus.json and run the same `sista build` again"
    for name in corpus.facts["parts"]:
        part = corpus.path / "studies" / name
        stated = part.with_suffix(".json")
        if not stated.is_file():
            raise SistaError(f"{where}: {stated} is missing; {again}")
        _require_equal(part, read_json(stated)["sha256"], where, "delete it and corpus.json, and run the same `sista build` again")
    for name, digest in corpus.facts.get("sha256", {}).items():  # corpora that were built earlier state none
        _require_equal(corpus.path / name, digest, where, again)
    for stated in sorted((corpus.path / "teachers").glob("*.json")):
        if (digest := read_json(stated).get("sha256")) and stated.with_suffix(".npy").exists():
            _require_equal(stated.with_suffix(".npy"), digest, where, f"delete {stated}, its vectors are then computed again")
    try:
        cut, stored = corpus.tokens, corpus.stored
        tokenizer = corpus.tokenizer.fingerprint
    except SistaError:
        raise
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise SistaError(f"{where}: its tokens or its tokenizer cannot be read ({error}); {again}") from None
    if tokenizer != cut.fingerprint:
        raise SistaError(f"{where}: its tokens were cut by another tokenizer than the one stored with it; {again}")
    if not len(corpus) == len(stored) == len(cut):
        raise SistaError(f"{where}: {len(corpus)} rows announced, {len(stored)} stored, {len(cut)} cut into tokens; {again}")


def _require_equal(file: Path, digest: str, where: str, remedy: str) -> None:
    try:
        damaged = file_digest(file) != digest
    except OSError as error:
        raise SistaError(f"{where}: {error.filename} cannot be read ({error.strerror}); {remedy}") from None
    if damaged:
        raise SistaError(f"{where}: {file} is damaged (its checksum differs); {remedy}")


def _labels(corpus: Corpus) -> dict[str, dict[str, int]]:
    labels = corpus.labels()
    return {
        name: {"present": int((column == 1).sum()), "absent": int((column == 0).sum()), "uncertain": int((column == -1).sum())}
        for name, column in zip(corpus.label_names, labels.T, strict=True)
    }


def _duplicates(values: np.ndarray, splits: np.ndarray, counted: np.ndarray, studies: np.ndarray | None = None) -> dict[str, int]:
    """Rows whose value another row has, too: of the same split, and of another. With `studies`, rows of one study are one.

    values [N]: numbers below N, as `studies`. counted [N]: rows that are looked at.
    """
    owners = np.arange(len(values)) if studies is None else studies
    place = values * len(SPLITS) + splits  # of a value and a split
    place = np.unique((place * len(values) + owners)[counted]) // len(values)
    value, rows = np.unique(place, return_counts=True)
    _, group, held = np.unique(value // len(SPLITS), return_inverse=True, return_counts=True)
    return {"within_a_split": int(rows[rows > 1].sum()), "across_splits": int(rows[held[group] > 1].sum())}


def _false_negatives(corpus: Corpus, name: str) -> dict[str, Any]:
    if not has_taught(corpus.path / "teachers", name):
        raise SistaError(
            f"corpus {corpus.path}: the vectors of teacher {name} are missing; delete its .json in teachers/, they are then computed again"
        )
    taught = corpus.teacher(name)
    rows = corpus.rows("train") if (corpus.rows("train")).size else corpus.rows()
    left, right = sample_pairs(corpus.study_numbers[rows], PAIRS)
    similarity = pair_similarity(taught.vectors, rows[left], rows[right])
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
