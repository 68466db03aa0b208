"""Finishing and checking batch by batch: the same bytes and counts as with everything in Python lists, in memory that hardly grows."""

from __future__ import annotations

import csv
import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sista.corpus import taught, twins
from sista.corpus.build import build_corpus
from sista.corpus.check import _duplicates
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json
from sista.corpus.equal import distinct, first_equal, same_as
from sista.corpus.finish import finish
from sista.corpus.growing import GrowingArray
from sista.corpus.keys import report_keys, stable_key, truth_keys
from sista.corpus.reports import tokens
from sista.corpus.reports.tokens import TokenStore, report_tokens
from sista.corpus.rows import LeftOut
from sista.corpus.stored import StoredRows
from sista.corpus.teachers import Reports, make_teacher
from sista.errors import SistaError
from tests.corpus.tiny_archive import RepeatingArchive, TextArchive

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def repeating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of an archive where films, studies, texts and subjects come again, cut and taught three reports at a time."""
    out = tmp_path_factory.mktemp("repeating") / "c"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tokens, "_AT_ONCE", 3)
        patched.setattr(taught, "_AT_ONCE", 3)
        build_corpus(RepeatingArchive(90), out, size=32, workers=1, chunk=7, progress=False, teachers=("tfidf", "tfidf-raw", "labels"))
    return out


def all_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted((folder / "studies").glob("*.arrow")) for row in pa.ipc.open_stream(part).read_all().to_pylist()]


def slow_kept(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[LeftOut]]:
    films: set[str] = set()
    owner: dict[str, str] = {}
    kept, left_out = [], []
    for number, row in enumerate(rows):
        film, study, subject = row["film_id"], row["study_id"], row["subject_id"]
        if film in films:
            left_out.append(LeftOut(study, film, row["source"], "film id used before"))
        elif owner.setdefault(study, subject) != subject:
            left_out.append(LeftOut(study, film, row["source"], "study id of another subject"))
        else:
            films.add(film)
            kept.append(number)
    return kept, left_out


def slow_report_keys(reports: Sequence[str], studies: Sequence[str]) -> list[int]:
    nodes = {*(("study", study) for study in studies), *(("text", text.lower()) for text in reports)}
    group = {node: {node} for node in nodes}
    for report, study in zip(reports, studies, strict=True):
        joined = group["text", report.lower()] | group["study", study]
        group.update(dict.fromkeys(joined, joined))
    return [stable_key("text " + max(text for kind, text in group["study", study] if kind == "text")) for study in studies]


def test_rows_keys_and_what_is_left_out(repeating: Path) -> None:
    rows = all_rows(repeating)
    kept, doubled = slow_kept(rows)
    assert np.load(repeating / "rows.npy").tolist() == kept
    rows = [rows[number] for number in kept]
    reports, studies = [row["report"] for row in rows], [row["study_id"] for row in rows]
    keys = np.load(repeating / "keys.npy")
    assert keys[:, 0].tolist() == slow_report_keys(reports, studies)
    assert keys[:, 1].tolist() == truth_keys([row["true_findings"] for row in rows]).tolist()
    with (repeating / "left_out.csv").open(newline="") as file:
        named = [LeftOut(*line) for line in csv.reader(file)][1:]
    refused = [LeftOut("study number 5", "", "repeating", 'made, "to" fail')]
    assert named == refused + doubled
    facts = read_json(repeating / "corpus.json")
    assert facts["reasons"] == dict(Counter(entry.reason for entry in named).most_common())
    assert set(facts["reasons"]) >= {"film id used before", "study id of another subject"}
    assert (facts["rows"], facts["left_out"]) == (len(kept), len(named))
    assert facts["subjects"] == len({row["subject_id"] for row in rows})
    assert facts["splits"] == {split: [row["split"] for row in rows].count(split) for split in ("train", "valid", "test")}
    assert len(set(keys[:, 0])) < len(set(reports)) < len(reports)  # the archive does repeat texts, and joins some by their study


def test_tokens_are_written_as_from_one_list(repeating: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(repeating)
    reports, tokenizer = corpus.reports(), corpus.tokenizer
    done = [report_tokens(text, *encoded) for text, encoded in zip(reports, tokenizer.encode(reports), strict=True)]
    columns = [pa.array([getattr(report, name) for report in done]) for name in tokens._COLUMNS]
    schema = pa.ipc.open_file(repeating / "tokens.arrow").schema
    with pa.ipc.new_file(tmp_path / "slow.arrow", schema) as writer:
        writer.write_batch(pa.record_batch([column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema))
    assert (tmp_path / "slow.arrow").read_bytes() == (repeating / "tokens.arrow").read_bytes()
    TokenStore.from_texts(reports, tokenizer).save(tmp_path / "memory.arrow")
    assert (tmp_path / "memory.arrow").read_bytes() == (repeating / "tokens.arrow").read_bytes()


@pytest.mark.parametrize("name", ["tfidf", "tfidf-raw", "labels"])
def test_vectors_are_those_of_all_reports_at_once(repeating: Path, name: str, tmp_path: Path) -> None:
    corpus = Corpus.open(repeating)
    reports = Reports(corpus.reports(), corpus.labels(), corpus.label_names, corpus.column("true_findings"))
    np.save(tmp_path / "slow.npy", make_teacher(name).fit(reports.take(corpus.rows("train"))).vectors(reports))
    assert (repeating / "teachers" / f"{name}.npy").read_bytes() == (tmp_path / "slow.npy").read_bytes()


def test_a_build_killed_while_it_teaches_leaves_nothing_behind(repeating: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(repeating, tmp_path / "c"))
    shutil.rmtree(copy / "teachers")
    process = subprocess.Popen([sys.executable, "-c", TEACHING.format(out=str(copy))], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half of the vectors\n"
    process.kill()
    process.wait()
    assert {path.name for path in copy.rglob("*")} == {path.name for path in repeating.rglob("*") if "teachers" not in path.parts}


TEACHING = """
import time
from sista.corpus import taught
from sista.corpus.corpus import Corpus
from sista.corpus.teachers.tfidf import Tfidf
vectors, calls = Tfidf.vectors, []
def slow(self, reports):
    calls.append(len(reports))
    if len(calls) == 3:
        print("half of the vectors", flush=True)
        time.sleep(60)
    return vectors(self, reports)
Tfidf.vectors, taught._AT_ONCE = slow, 16
Corpus.open({out!r}).teacher("tfidf")
"""


def test_keys_of_texts_and_studies_joined_at_random() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reports = [str(rng.choice(["A", "a", "b", "c", "D", "e", "f", "g", "h"])) for _ in range(12)]
        studies = [f"s{rng.integers(1, 10)}" for _ in reports]
        assert report_keys(reports, studies).tolist() == slow_report_keys(reports, studies)


def test_equal_texts() -> None:
    texts = [f"text {number % 13 * number % 7}" for number in range(9000)]
    same = same_as(texts)
    assert [texts.index(text) for text in texts[:50]] == same[:50].tolist()
    assert [texts[number] for number in same] == texts
    assert distinct(same) == len(set(texts))
    assert same_as([]).tolist() == []
    assert first_equal(np.array([5, 3, 5])).tolist() == [0, 1, 0]


def test_buckets_come_in_the_order_of_their_first() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (40, 4), dtype=np.uint32)
    slow: dict[bytes, list[int]] = {}
    for place, row in enumerate(rows):
        slow.setdefault(row.tobytes(), []).append(place)
    assert list(twins._buckets(rows)) == [bucket for bucket in slow.values() if len(bucket) > 1]


def test_duplicates_are_counted_as_by_sets() -> None:
    rng = np.random.default_rng(0)
    values, splits, studies = rng.integers(0, 40, 60), rng.integers(0, 3, 60), rng.integers(0, 30, 60)
    for owners in (None, studies):
        held: dict[int, set[tuple[int, int]]] = {}
        for row in np.flatnonzero(values):
            held.setdefault(values[row], set()).add((splits[row], row if owners is None else owners[row]))
        counts = [(Counter(split for split, _ in found), len(found)) for found in held.values()]
        assert _duplicates(values, splits, values != 0, owners) == {
            "within_a_split": sum(count for by_split, _ in counts for count in by_split.values() if count > 1),
            "across_splits": sum(total for by_split, total in counts if len(by_split) > 1),
        }


def test_columns_are_read_as_they_are_looked_at(repeating: Path) -> None:
    corpus = Corpus.open(repeating)
    whole = corpus.column("report")
    column = corpus.stored.values("report")
    assert list(column) == list(column) == whole
    assert (len(column), column[3], column[2:9:3]) == (len(whole), whole[3], whole[2:9:3])
    some = np.array([0, 5, 6, 20])
    assert list(column.take(some)) == [column.take(some)[place] for place in range(4)] == [whole[row] for row in some]
    everything = StoredRows(corpus.stored.parts)
    assert len(everything) == len(all_rows(repeating)) == len(list(everything.values("film_id")))
    batches = list(corpus.stored.batches(("study_id", "film_id")))
    assert batches[0].schema.names == ["study_id", "film_id"]
    assert [film for batch in batches for film in batch.column("film_id").to_pylist()] == corpus.column("film_id")


@pytest.mark.parametrize("in_file", [False, True])
def test_arrays_grow(tmp_path: Path, in_file: bool) -> None:
    array = GrowingArray("<i4", tmp_path if in_file else None)
    assert array.array().tolist() == []
    for block in (np.arange(6).reshape(2, 3), np.zeros(0, int), np.array([7])):
        array.append(block)
    assert array.array().tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert array.array().dtype == np.int32


def test_no_room_for_what_is_kept_on_disk_meanwhile(tmp_path: Path) -> None:
    array, before = GrowingArray("<i4", tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    array.append(np.arange(3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(SistaError, match=f"{tmp_path}: no room to write it"):
            array.append(np.arange(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_finishing_holds_no_python_object_per_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python and NumPy allocate at their peak, 2,000 studies more."""
    monkeypatch.setattr(tokens, "_AT_ONCE", 64)
    out = tmp_path / "c"
    build_corpus(TextArchive(3000), out, workers=1, chunk=100, progress=False, teachers=())
    parts, settings = sorted((out / "studies").glob("*.arrow")), read_json(out / "build.json")
    peaks = {}
    for count in (1000, 3000):
        left_out = (LeftOut(f"x{number}", "", "", "made: up") for number in range(count))
        (folder := tmp_path / str(count)).mkdir()
        tracemalloc.start()
        finish(folder, settings, "", parts[: count // 100], left_out, ())
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (peaks[3000] - peaks[1000]) / 2000 < 300


SCRIPT = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.corpus.tiny_archive import TextArchive
from sista.corpus.build import build_corpus
from sista.corpus.check import check
peak = 0
def watch():
    global peak
    while True:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
        peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
build_corpus(TextArchive({count}), Path({out!r}), workers=1, progress=False)
print(peak)
peak = 0
check(Path({out!r}))
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_building_and_checking_grow_by_few_bytes_a_study(tmp_path: Path) -> None:
    peaks = []
    for count in (6000, 26000):
        script = SCRIPT.format(root=str(ROOT), count=count, out=str(tmp_path / str(count)))
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        peaks.append(np.array(done.stdout.split(), dtype=np.int64))
    growth = (peaks[1] - peaks[0]) / 20_000
    assert (growth < 600).all(), growth
