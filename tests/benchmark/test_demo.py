"""The demo, small: all its files, all its metrics, and the same again."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sista
from sista.benchmark.report import _curves, _heat_maps
from sista.corpus.corpus import Corpus
from sista.errors import SistaError


def test_demo_writes_summary_checkpoint_and_report(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    summary = sista.demo(out, seed=3, studies=400, epochs=1, progress=False)
    assert json.loads((out / "summary.json").read_text())["zero_shot_auroc"] == summary["zero_shot_auroc"]
    for scores in (summary, summary["untrained"]):
        assert set(scores["probe_auroc"]) == {"0.01", "0.1", "1.0"}
        estimates = [scores["zero_shot_auroc"], scores["pointing_game"], *scores["probe_auroc"].values()]
        estimates += [scores["retrieval"]["i2t_r10"], scores["retrieval"]["t2i_r10"]]
        for estimate in estimates:
            assert estimate["ci95"][0] <= estimate["value"] <= estimate["ci95"][1]
    assert summary["pairs_per_second"] > 0
    assert summary["seconds"] > 0
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert not re.search(r"(src|href)=.?(?!data:)\w", page)
    assert sista.load(out / "run").label_names
    again = sista.demo(out, seed=3, studies=400, epochs=1, progress=False)
    assert again["zero_shot_auroc"] == summary["zero_shot_auroc"]


def test_a_demo_of_no_epochs_is_its_own_floor(tmp_path: Path) -> None:
    summary = sista.demo(tmp_path / "demo", seed=3, studies=128, epochs=0, progress=False)
    assert (tmp_path / "demo" / "report.html").is_file()
    assert summary["pointing_game"] == summary["untrained"]["pointing_game"]


def test_the_page_marks_the_hottest_place_where_the_patch_looks(run_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, corpus = sista.load(run_path, device="cpu"), Corpus.open(corpus_path)
    only = np.zeros((1, 8, 8), np.float32)
    only[0, 3, 5] = 1
    monkeypatch.setattr(model, "patch_map", lambda images, _: only.repeat(len(images), axis=0))
    scores = SimpleNamespace(test=SimpleNamespace(rows=corpus.rows("test")))
    marks = [line.get_xydata().tolist() for axis in _heat_maps(corpus, model, scores, count=2).axes for line in axis.lines]  # type: ignore[arg-type]
    assert marks == [[[5 * 8, 3 * 8]]] * 2


def test_too_few_studies_are_told_before_any_is_made(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"studies is 5; .* at least 128"):
        sista.demo(tmp_path / "demo", studies=5)
    with pytest.raises(SistaError, match="unknown method 'clop'"):
        sista.demo(tmp_path / "demo", method="clop")
    with pytest.raises(SistaError, match="epochs is -1"):
        sista.demo(tmp_path / "demo", epochs=-1)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"moved_share": 0.4, "moved_precision": 0.6, "share_ignored": 0.0, "removed_precision": 0.1}, "targets moved to other reports"),
        ({"moved_share": 0.0, "moved_precision": 1.0, "share_ignored": 0.1, "removed_precision": 0.9}, "pairs left out as false negatives"),
        ({"moved_share": 0.1, "moved_precision": 1.0, "share_ignored": 0.1, "removed_precision": 0.9}, "pairs left out as false negatives"),
    ],
)
def test_the_report_shows_what_became_of_alike_pairs(row: dict[str, float], title: str) -> None:
    """Where targets are soft nothing is left out, and figures of what is would mislead."""
    axis = _curves([{"step": 1.0, **row}, {"step": 2.0, **row}]).axes[2]
    assert axis.get_title() == title
    assert axis.lines[0].get_ydata()[0] == row["moved_share" if "moved" in title else "share_ignored"]
