from __future__ import annotations

import csv
import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from sista.corpus.study import Film, Study
from sista.errors import SistaError
from tests.corpus.tiny_archive import TinyArchive

SMALL: dict[str, Any] = {"size": 64, "chunk": 4, "workers": 1, "progress": False, "teachers": ("tfidf", "labels")}


def content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def reasons(folder: Path) -> list[tuple[str, str]]:
    with (folder / "left_out.csv").open() as file:
        return [(row["study_id"], row["reason"]) for row in csv.DictReader(file)]


class Studies:
    """An archive of given studies."""

    name = "given"
    label_names: tuple[str, ...] = ()

    def __init__(self, *studies: Study) -> None:
        self.studies = studies

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> Study:
        return self.studies[index]

    def describe(self) -> dict:
        return {}


def study(number: int, report: str = "Left pleural effusion.", **changes: Any) -> Study:
    pixels = np.arange(400, dtype=np.uint8).reshape(20, 20) + np.uint8(number)
    return Study(
        **{"study_id": f"s{number}", "subject_id": f"p{number}", "report": report, "films": (Film(f"f{number}", pixels),), **changes}
    )


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    archive = TinyArchive(12, broken=(5,))
    one = build_corpus(archive, tmp_path / "one", **SMALL)
    two = build_corpus(archive, tmp_path / "two", **{**SMALL, "workers": 2})
    assert one == two
    assert one["rows"] == 11
    assert content(tmp_path / "one") == content(tmp_path / "two")


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.corpus.tiny_archive import TinyArchive
from sista.corpus.build import build_corpus
from sista.errors import SistaError
if __name__ == "__main__":
    try:
        archive = TinyArchive(12, broken=(5,), pause={pause})
        build_corpus(archive, Path({out!r}), size=64, chunk=4, workers={workers}, progress=False, teachers=("tfidf", "labels"))
    except SistaError as error:
        print(error)
        sys.exit(2)
"""


def script(out: Path, pause: float, workers: int = 1) -> list[str]:
    return [sys.executable, "-c", SCRIPT.format(root=str(Path(__file__).parents[2]), out=str(out), pause=pause, workers=workers)]


def test_a_build_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    build_corpus(TinyArchive(12, broken=(5,)), tmp_path / "whole", **SMALL)
    process = subprocess.Popen(script(tmp_path / "cut", pause=0.25))
    try:
        for _ in range(600):
            if (tmp_path / "cut/studies/part-00000.json").exists():
                break
            time.sleep(0.05)
        time.sleep(0.3)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "cut/corpus.json").exists()
    with pytest.raises(SistaError, match="did not finish"):
        Corpus.open(tmp_path / "cut")
    first = (tmp_path / "cut/studies/part-00000.arrow").stat().st_mtime_ns
    build_corpus(TinyArchive(12, broken=(5,)), tmp_path / "cut", **SMALL)
    assert (tmp_path / "cut/studies/part-00000.arrow").stat().st_mtime_ns == first
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_finishing_again_changes_nothing(tmp_path: Path) -> None:
    build_corpus(TinyArchive(8), tmp_path / "c", **SMALL)
    before = content(tmp_path / "c")
    build_corpus(TinyArchive(8), tmp_path / "c", **SMALL)
    assert content(tmp_path / "c") == before
    (tmp_path / "c/corpus.json").unlink()
    (tmp_path / "c/tokens.arrow.tmp").write_bytes(b"half")
    build_corpus(TinyArchive(8), tmp_path / "c", **SMALL)
    assert content(tmp_path / "c") == before


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    build_corpus(TinyArchive(6), tmp_path / "c", **SMALL)
    with pytest.raises(SistaError, match=r"other settings \(size: 64 before, 32 now\)\. Give another --out"):
        build_corpus(TinyArchive(6), tmp_path / "c", **{**SMALL, "size": 32})
    with pytest.raises(SistaError, match=r"describe: .*studies: 6 before, 7 now"):
        build_corpus(TinyArchive(7), tmp_path / "c", **SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("hello")
    with pytest.raises(SistaError, match="is in use"):
        build_corpus(TinyArchive(6), tmp_path / "mine", **SMALL)


def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-150])
    lateral = Film("side", np.arange(400, dtype=np.uint8).reshape(20, 20), "LATERAL")
    archive = Studies(
        study(0),
        study(1, report="  "),
        study(2, report="Normal."),
        study(3, films=()),
        study(4, films=(Film("cut", tmp_path / "cut.jpg"),)),
        study(5, films=(*study(5).films, lateral)),
        study(6, films=(Film("black", np.zeros((20, 20), dtype=np.uint8)),)),
        study(7, films=study(0).films),
        study(8, study_id="s0"),
        study(9, report="TECHNIQUE: One view of the chest."),
    )
    summary = build_corpus(archive, tmp_path / "c", **SMALL)
    found = dict(reasons(tmp_path / "c"))
    assert summary["rows"] == 2
    assert found.pop("s4").startswith(f"unreadable image: {tmp_path / 'cut.jpg'}")
    assert found.pop("s6").startswith("blank film: pixels sha256:")
    assert found == {
        "s1": "empty report",
        "s2": "report too short: fewer than 3 words",
        "s3": "no film",
        "s5": "lateral view",
        "s7": "film id used before",
        "s0": "study id of another subject",
        "s9": "empty report",
    }
    assert summary["reasons"]["empty report"] == 2
    assert summary["left_out"] == 9 == sum(summary["reasons"].values())
    assert "9 left out" in repr(Corpus.open(tmp_path / "c"))


def test_refuse_stops_at_the_first(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"study number 3: made to fail: study 3\. Mend it"):
        build_corpus(TinyArchive(6, broken=(3,)), tmp_path / "c", **SMALL, on_error="refuse")


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"no usable study \(empty report: 1\)"):
        build_corpus(Studies(study(0, report="")), tmp_path / "c", **SMALL)
    with pytest.raises(SistaError, match="it holds no study"):
        build_corpus(Studies(), tmp_path / "d", **SMALL)


def test_splits_of_the_archive_are_kept_and_leaks_refused(tmp_path: Path) -> None:
    build_corpus(TinyArchive(6, splits=("train", "train", "valid", "valid", "test", "test")), tmp_path / "c", **SMALL)
    assert Corpus.open(tmp_path / "c").column("split") == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    with pytest.raises(SistaError, match=r"3 subject\(s\) in more than one split: p0, p1, p2"):
        build_corpus(TinyArchive(6, splits=("train", "test")), tmp_path / "d", **SMALL)
    with pytest.raises(SistaError, match="split 'dev'"):
        build_corpus(TinyArchive(2, splits=("dev",)), tmp_path / "e", **SMALL)


@pytest.mark.parametrize(
    "victim", ["part-00001.arrow", "part-00000.json", "tokens.arrow", "keys.npy", "tfidf.npy", "corpus.json", "left_out.csv", "build.json"]
)
def test_a_full_disk_is_named_and_the_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    build_corpus(TinyArchive(8), tmp_path / "whole", **SMALL)
    move = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == victim:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return move(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(SistaError, match=rf"{victim}: no room to write it .*the same command then goes on"):
            build_corpus(TinyArchive(8), tmp_path / "c", **SMALL)
    assert not list((tmp_path / "c").rglob(victim))
    assert not list((tmp_path / "c").rglob("*.tmp"))
    build_corpus(TinyArchive(8), tmp_path / "c", **SMALL)
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_a_real_write_that_does_not_fit(tmp_path: Path) -> None:
    """The kernel refuses to make any file longer than 4 kB: a part of four films does not fit, and none is taken for whole."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(script(tmp_path / "c", pause=0), preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "part-00000.arrow: no room to write it" in done.stdout
    assert not list((tmp_path / "c/studies").iterdir())


def test_settings_are_checked_first(tmp_path: Path) -> None:
    for wrong, message in (
        ({"image_format": "jpg"}, "did you mean 'jpeg'"),
        ({"views": "side"}, "views 'side'"),
        ({"size": 0}, "size is 0"),
        ({"size": 25600}, "size is 25,600; it must be at most 8,192"),
        ({"min_words": -1}, "min_words is -1; it must be at least 0"),
        ({"on_error": "x"}, "on_error"),
    ):
        with pytest.raises(SistaError, match=message):
            build_corpus(TinyArchive(2), tmp_path / "c", **{**SMALL, **wrong})
    assert not (tmp_path / "c").exists()


def test_real_pairs(data: Path, tmp_path: Path) -> None:
    from sista.archives.table import Table

    table = Table(data / "pairs.csv", subject_column="patient_id", split_column="split", view_column="projection")
    summary = build_corpus(table, tmp_path / "c", **{**SMALL, "chunk": 256})
    assert summary["rows"] == 389
    assert summary["reasons"] == {"lateral view": 36}
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.films(corpus.rows("test")[:4]).shape == (4, 1, 64, 64)
    vectors, cut_offs = corpus.teacher("tfidf")
    assert vectors.shape[0] == 389
    assert cut_offs[0.01] >= cut_offs[0.1] > 0


def test_a_worker_that_dies_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"a worker process ended before its time.*Build with fewer workers"):
        build_corpus(Deadly(8), tmp_path / "c", **{**SMALL, "workers": 2})


class Deadly(TinyArchive):
    """Ends the process that reads its fifth study, as the kernel does when memory runs out."""

    def __getitem__(self, index: int) -> Study:
        if index == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)
