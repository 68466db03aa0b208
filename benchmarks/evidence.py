"""The tables and the picture of docs/evidence.md, from the figures under results/phantom-v1/.

Each cell is a mean over seeds of the difference between two methods' runs of equal seed, with the 95 % t-interval of that mean, as
`sista benchmark` has it. Bold: the interval leaves out 0. None is corrected for the number of them.

    python benchmarks/evidence.py --page docs/evidence.md --picture docs/images/gains.png
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd

from sista.benchmark.grid.summary import seed_interval

RESULTS = Path(__file__).parents[1] / "results" / "phantom-v1"
METRICS = {  # what it is called -> task and metric
    "zero-shot AUROC": ("zeroshot", "auroc"),
    "probe AUROC, 1 % of the labels": ("classify", "auroc@0.01"),
    "probe AUROC, 10 %": ("classify", "auroc@0.1"),
    "film to report, R@10": ("retrieve", "i2t_r10"),
    "report to film, R@10": ("retrieve", "t2i_r10"),
    "pointing": ("ground", "pointing_game/phrase"),
    "overlap of map and finding": ("ground", "miou_scaled/phrase"),
    "contrast to noise": ("ground", "contrast_to_noise/phrase"),
}


@dataclass(frozen=True)
class Setup:
    """One column: a table of results, and the method whose gain over `over` it shows."""

    name: str
    table: str
    method: str
    over: str = "clip"


SAME = "sista, MGCA's term of the same patches beside it"
STEM = "sista, patches of the stem"
GAINS = (
    Setup("CNN, 418 steps", "methods", "sista"),
    Setup("CNN, 836 steps", "compact_longer", "sista"),
    Setup("the same with MGCA's term", "compact_longer", SAME),
    Setup("ViT, 1,254 steps", "vit_longer", STEM),
    Setup("the same with MGCA's term", "vit_longer", f"{STEM}, MGCA beside it"),
)
CONTROLS = (  # 836 steps, the CNN
    Setup("`sista`, right films over wrong", "longer_controls", "sista", "sista, wrong films"),
    Setup("`mgca`, right over wrong", "longer_controls", "mgca", "mgca, wrong films"),
    Setup("`sparc`, right over wrong", "longer_controls", "sparc", "sparc, wrong films"),
    Setup("eliminating over InfoNCE", "longer_controls", "sista, eliminating", "clip"),
    Setup("eliminating over soft targets", "longer_controls", "sista, eliminating", "sista"),
)
NO_RIVALS = ("untrained", "oracle")  # floor and ceiling
LEAST_SEEDS = 2  # of a rival: one has no interval


@dataclass(frozen=True)
class Gain:
    """Mean difference of equal seeds, the 95 % t-interval of it, and how many seeds."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def shows(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        digits = 2 if abs(self.high - self.low) > 0.3 else 3
        mean, low, high = (f"{value:+.{digits}f}" for value in (self.mean, self.low, self.high))
        return f"**{mean}** ({low} to {high})" if self.shows else f"{mean} ({low} to {high})"


def gain(runs: pd.DataFrame, method: str, over: str) -> Gain:
    """Of one metric's runs, a row for each seed and a column for each method."""
    differences = (runs[method] - runs[over]).dropna().to_numpy()
    return Gain(float(differences.mean()), *seed_interval(differences), len(differences))


def runs_of(table: str, metric: str) -> pd.DataFrame:
    """The figures of a table in one metric: a row for each seed, a column for each method."""
    figures = _read(table)
    task, name = METRICS[metric]
    figures = figures[(figures.task == task) & (figures.metric == name)]
    return figures.pivot(index="seed", columns="method", values="value")


@cache
def _read(table: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / table / "results.csv")


def gains_table(what: str, setups: Sequence[Setup]) -> str:
    """Markdown: the gains of set-ups, metric by metric."""
    lines = [_row(what, *(setup.name for setup in setups)), _row(*["---"] * (len(setups) + 1))]
    for metric in METRICS:
        lines.append(_row(metric, *(str(gain(runs_of(setup.table, metric), setup.method, setup.over)) for setup in setups)))
    return "\n".join(lines)


def rivals_table() -> str:
    """Markdown: SISTA over the best of the others, by mean, in each metric. That was picked among many, which flatters it. A method that
    has been run with one seed is none of them.
    """
    lines = [_row("over the best of the others", *(setup.name for setup in GAINS)), _row(*["---"] * (len(GAINS) + 1))]
    for metric in METRICS:
        cells = []
        for setup in GAINS:
            runs = runs_of(setup.table, metric)
            rivals = runs[[name for name in runs if not name.startswith("sista,") and name not in ("sista", *NO_RIVALS)]]
            best = str(rivals.mean()[rivals.count() >= LEAST_SEEDS].idxmax())
            found = gain(runs, setup.method, best)
            few = f", {found.seeds} seeds" if found.seeds < len(runs) else ""
            cells.append(f"`{best}`: {found}{few}")
        lines.append(_row(metric, *cells))
    return "\n".join(lines)


def draw(file: Path) -> None:
    """The gains as a picture: one panel for each metric, one interval for each set-up."""
    figure, panels = plt.subplots(1, len(METRICS) - 1, figsize=(14, 2.4), sharey=True)
    shown = [metric for metric in METRICS if metric != "contrast to noise"]  # the others are between 0 and 1
    for panel, metric in zip(panels, shown, strict=True):
        for place, setup in enumerate(reversed(GAINS)):
            found = gain(runs_of(setup.table, metric), setup.method, setup.over)
            colour = "tab:blue" if found.low > 0 else "tab:red" if found.high < 0 else "grey"
            panel.errorbar(found.mean, place, xerr=[[found.mean - found.low], [found.high - found.mean]], fmt="o", color=colour, capsize=3)
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set_title(metric.replace(", 1 % of the labels", ", 1 %").replace(" of map and finding", ""), fontsize=9)
        panel.tick_params(labelsize=8)
    names = [GAINS[0].name, *(setup.name.replace("the same", before.name) for before, setup in pairwise(GAINS))]
    panels[0].set_yticks(range(len(GAINS)), reversed(names), fontsize=8)
    figure.supxlabel("gain over clip: mean of five seeds with its 95 % t-interval", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def tables() -> dict[str, str]:
    """The page's tables, by the name of their place in it."""
    return {
        "gains": gains_table("gain over `clip`", GAINS),
        "rivals": rivals_table(),
        "controls": gains_table("difference", CONTROLS),
    }


def filled(page: str) -> str:
    """The page with its tables as the figures have them now."""
    for name, table in tables().items():
        page, count = re.subn(
            rf"(<!-- {name}: [^>]*-->\n).*?(\n<!-- end -->)", lambda found, t=table: found[1] + t + found[2], page, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"the page has {count} places for the table {name!r}; it needs one")
    return page


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="the page whose tables are written anew; by default they are printed")
    parser.add_argument("--picture", type=Path, help="where to draw the gains")
    arguments = parser.parse_args()
    if arguments.page:
        arguments.page.write_text(filled(arguments.page.read_text()))
    else:
        print(*tables().values(), sep="\n\n")
    if arguments.picture:
        draw(arguments.picture)


if __name__ == "__main__":
    main()
