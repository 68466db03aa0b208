"""The demo, small: all its files, all its metrics, and the same again."""

import json
import re
from pathlib import Path

import sista


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
