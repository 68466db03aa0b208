"""The page of the evidence: its tables are what the figures under results/ give."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import ttest_rel

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import evidence  # noqa: E402

PAGE = (ROOT / "docs" / "evidence.md").read_text()


def test_the_tables_are_those_of_the_results():
    assert evidence.filled(PAGE) == PAGE


def test_a_gain_is_the_paired_t_interval_of_the_seeds_that_both_have():
    runs = pd.DataFrame({"sista": [0.9, 0.8, 0.85, 0.7], "clip": [0.8, 0.75, 0.7, float("nan")]})
    expected = ttest_rel([0.9, 0.8, 0.85], [0.8, 0.75, 0.7]).confidence_interval()
    found = evidence.gain(runs, "sista", "clip")
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, *expected))
    assert (found.seeds, found.shows) == (3, False)
    assert str(found) == f"{0.1:+.3f} ({expected[0]:+.3f} to {expected[1]:+.3f})"
    assert evidence.gain(runs + 1, "sista", "sista").mean == 0


def test_the_tables_name_no_floor_no_ceiling_and_no_sista_for_a_rival():
    for line in evidence.rivals_table().splitlines()[2:]:
        rivals = re.findall(r"`([^`]+)`", line)
        assert len(rivals) == len(evidence.GAINS)
        assert not {"untrained", "oracle", "sista"} & set(rivals)
        assert not [rival for rival in rivals if rival.startswith("sista,")]


def test_a_method_of_one_seed_is_no_rival(monkeypatch):
    figures = {"sista": [0.8, 0.9], "clip": [0.5, 0.6], "fane": [0.7, float("nan")], "untrained": [0.9, 0.9]}
    monkeypatch.setattr(evidence, "GAINS", (evidence.Setup("it", "any", "sista"),))
    monkeypatch.setattr(evidence, "runs_of", lambda table, metric: pd.DataFrame(figures))
    assert all("`clip`: **+0.300**" in line for line in evidence.rivals_table().splitlines()[2:])


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(SystemExit, match="0 places for the table 'gains'"):
        evidence.filled("# Does SISTA work?\n")


def test_the_picture_is_drawn(tmp_path):
    evidence.draw(tmp_path / "gains.png")
    assert (tmp_path / "gains.png").read_bytes().startswith(b"\x89PNG")
