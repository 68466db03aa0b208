"""The score of the labeller on OpenI: its halves, its arithmetic, its kinds of error, and that the committed result is still true."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from sista.corpus.reports.observations import observe, spoken_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("labeller_benchmark", ROOT / "benchmarks" / "labeller.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "name", "terms", "kind"),
    [
        ("Lungs are clear.", "edema", ["edema"], "not in text"),
        ("Septal indistinctness.", "edema", ["edema"], "missed mention"),
        ("No edema.", "edema", ["edema"], "denied"),
        ("Possible edema.", "edema", ["edema"], "hedge"),
        ("Possible edema.", "edema", [], "hedge"),
        ("No effusion, mild edema.", "edema", [], "missed negation"),
        ("Mild edema. No edema at the base.", "edema", [], "contradicted"),
        ("Edema.", "edema", ["lung opacity"], "said, indexed otherwise"),
        ("Mild edema.", "edema", [], "said, qualified"),
        ("Edema.", "edema", [], "said, not indexed"),
    ],
)
def test_kinds_of_error(benchmark: ModuleType, text: str, name: str, terms: list[str], kind: str) -> None:
    value = observe(text).get(name)
    other = re.compile("indistinctness")
    assert benchmark.kind_of(name, text, terms, spoken_of(text).get(name, []), value, other) == kind


def test_scores(benchmark: ModuleType) -> None:
    found = benchmark.scores([1, 1, 0, 0, 1], [1, 0, 1, 0, 1])
    assert (found["precision"], found["recall"], found["f1"]) == (0.6667, 0.6667, 0.6667)
    assert benchmark.scores([0], [0])["f1"] == 0


def test_the_committed_result_is_what_the_rules_give(benchmark: ModuleType, data: Path) -> None:
    committed = json.loads((ROOT / "results" / "labeller_openi.json").read_text())
    again = benchmark.measure(data / "openi" / "NLMCXR_reports.tgz", data / "terms" / "chexpert_labeler")
    for half in benchmark.HALVES:
        assert again[half] == committed[half]
        assert committed[half]["uncertain_positive"]["macro_f1"] > 0.83
    assert again["reports"] == committed["reports"] == 3832


def test_no_report_text_enters_the_result() -> None:
    result = json.loads((ROOT / "results" / "labeller_openi.json").read_text())
    ids = [
        study
        for half in ("development", "held_out")
        for side in ("missed", "extra")
        for found in result[half]["errors"][side]["examples"].values()
        for study in found
    ]
    assert ids
    assert all(re.fullmatch(r"CXR\d+", study) for study in ids)


def test_the_table_in_the_docs_is_the_committed_one() -> None:
    result = json.loads((ROOT / "results" / "labeller_openi.json").read_text())
    text = (ROOT / "docs" / "labeller.md").read_text()
    both = result["held_out"]["uncertain_positive"]["per_finding"], result["held_out"]["uncertain_negative"]["per_finding"]
    for name, row in both[0].items():
        numbers = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        assert f"| {name} | {row['positives']} | {' | '.join(numbers)} | {both[1][name]['f1']:.3f} |" in text
    for key in ("uncertain_positive", "uncertain_negative"):
        assert f"| {result['development'][key]['macro_f1']:.3f} | **{result['held_out'][key]['macro_f1']:.3f}** |" in text
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    exec(example[1], {})
