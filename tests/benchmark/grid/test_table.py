"""What a cell of a table says, and that names of any signs leave tables, page and plots whole."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from sista.benchmark.grid.jobs import jobs_of
from sista.benchmark.grid.read import read_grid
from sista.benchmark.grid.run import benchmark
from sista.benchmark.grid.table import cell, over_cell

from .inputs import TINY, write


@pytest.mark.parametrize(
    ("seeds", "films", "text", "bold"),
    [
        ((0.01, 0.02, 0.03), (0.005, 0.04), "+0.020 (+0.010 to +0.030)", True),
        ((0.01, 0.02, 0.03), (-0.01, 0.04), "+0.020 (+0.010 to +0.030)", False),
        ((-0.05, -0.02, 0.01), (-0.03, -0.01), "-0.020 (-0.050 to +0.010)", False),
        ((0.01, 0.02, 0.03), (np.nan, np.nan), "+0.020 (+0.010 to +0.030)‡", True),
        ((np.nan, 0.02, np.nan), (0.01, 0.04), "+0.020", False),
        ((0.003, 0.034, 0.065), (-0.013, -0.009), "+0.034 (+0.003 to +0.065)", False),  # films of other seeds may say the contrary
        ((-0.03, -0.02, -0.01), (-0.013, -0.009), "-0.020 (-0.030 to -0.010)", True),
    ],
)
def test_a_gain_is_claimed_where_seeds_and_films_agree(
    seeds: tuple[float, float, float], films: tuple[float, float], text: str, bold: bool
) -> None:
    row: dict[str, float] = {"seeds": 3, "missing": 0, "over_seeds": 3}
    row |= dict(zip(("over_low", "over", "over_high", "over_films_low", "over_films_high"), (*seeds, *films), strict=True))
    assert over_cell(row) == (text, bold)


@pytest.mark.parametrize(
    ("metric", "films", "mark"),
    [
        ("auroc", (-0.03, -0.01), ""),
        ("auroc", (-0.03, 0.01), "†"),
        ("auroc", (0.01, 0.03), "†"),  # films of fewer seeds may find better what is not the best of all
        ("auroc", (np.nan, np.nan), "‡"),
        ("i2t_rank", (1.0, 3.0), ""),
        ("i2t_rank", (-3.0, -1.0), "†"),
    ],
)
def test_a_mark_says_whether_the_films_find_it_worse_than_the_best(metric: str, films: tuple[float, float], mark: str) -> None:
    row: dict[str, object] = {"metric": metric, "mean": 0.5, "low": 0.4, "high": 0.6, "seeds": 3, "missing": 0}
    row |= {"ranked": True, "best": False}
    assert cell({**row, "difference_low": films[0], "difference_high": films[1]}) == (f"0.500 ± 0.100{mark}", False)


ODD = "*a*|b\n$x^$ {y}_~ \\z <i>&"


def test_names_of_any_signs_and_methods_without_a_result(tmp_path: Path) -> None:
    """Figures from an earlier table, so that nothing is run; the second method has none."""
    grid = write(tmp_path, methods={ODD: {"method": "clip"}, "gone": {"method": "siglip"}}, encoders={"one\nmore $": {}}, seeds=[0])
    jobs = [job for job in jobs_of(read_grid(grid), tmp_path / "out") if job.key[2] == ODD and job.key[0]]
    names = {"probe": "auroc@1.0", "zero": "auroc"}
    rows = [f"{names[job.key[0]]},0.5,,,{job.name},<b>" for job in jobs]
    (tmp_path / "results.csv").write_text("metric,value,low,high,job,precision\n" + "\n".join(rows) + "\n")
    benchmark(grid, tmp_path / "out", earlier=tmp_path, tables_only=True)
    markdown = (tmp_path / "out" / "table.md").read_text()
    assert "\n| \\*a\\*\\|b $x^$ {y}_~ \\z &lt;i>& | **0.500** |\n" in markdown
    assert "Without a result: probe: gone; zero: gone." in markdown
    latex = (tmp_path / "out" / "table.tex").read_text()
    assert r"{}*a*|b \$x\textasciicircum{}\$ \{y\}\_\textasciitilde{} \textbackslash{}z <i>\& & \textbf{0.500}" in latex
    assert "\n% one more $, probe\n" in latex
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<i>" not in page
    assert "<td>*a*|b\n$x^$ {y}_~ \\z &lt;i&gt;&amp;</td>" in page
    assert yaml.safe_load(grid.read_text())["about"] == TINY["about"]
