"""Grid files: what is not of its kind is refused before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sista.benchmark.grid.read import _Loader, read_grid
from sista.benchmark.grid.run import benchmark
from sista.errors import SistaError

from .inputs import TINY, write

ROOT = Path(__file__).parents[3]
GRIDS = sorted([*ROOT.glob("benchmarks/grids/*.yaml"), *ROOT.glob("results/**/grid.yaml")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": [1]}, r"unknown key 'seed': did you mean 'seeds'"),
        ({"encoders": {}}, r"there is no encoders"),
        ({"name": 2024}, r"name must be text, not 2024; put it in quotes"),
        ({"about": ["why"]}, r"about must be text"),
        ({"baseline": 0.1}, r"baseline must be text, not 0\.1"),
        ({"pretrain": "main"}, r"pretrain must be a mapping from arguments of `sista pretrain`, not 'main'"),
        ({"methods": ["clip"]}, r"methods must be a mapping"),
        ({"methods": {0.1: {"method": "clip"}}}, r"0\.1 of methods must be text, for it is a name; put it in quotes"),
        ({"methods": {"clip": "sista"}}, r"'clip' of methods must be a mapping, not 'sista'"),
        ({"encoders": {"compact": "sista_compact"}}, r"'compact' of encoders must be a mapping, not 'sista_compact'"),
        ({"corpora": {500: TINY["corpora"]["main"]}}, r"500 of corpora must be text"),
        ({"tasks": {"": {"task": "probe", "data": "main"}}}, r"'' of tasks is no name"),
        ({"methods": {" ": {"method": "clip"}}}, r"' ' of methods is no name"),
        ({"tasks": {True: {"data": "main"}}}, r"True of tasks must be text"),
        ({"tasks": {"probe": None}}, r"'probe' of tasks is empty"),
        ({"seeds": 0}, r"seeds must be a list of whole numbers, 0 or more, not 0"),
        ({"seeds": []}, r"there is no seeds"),
        ({"seeds": 3}, r"seeds must be a list of whole numbers, 0 or more, not 3"),
        ({"seeds": [True]}, r"seeds must be a list of whole numbers"),
        ({"seeds": [1, 1]}, r"a seed stands twice in seeds \[1, 1\]"),
    ],
)
def test_what_is_of_another_kind_is_refused_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        benchmark(write(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_grids_of_the_project_are_sound(file: Path) -> None:
    assert read_grid(file).about


def test_a_file_that_is_no_grid(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[1, 2")
    with pytest.raises(SistaError, match="cannot be read"):
        read_grid(tmp_path / "a.yaml")
    with pytest.raises(SistaError, match="cannot be read"):
        read_grid(tmp_path / "none.yaml")


def with_methods(folder: Path, text: str) -> Path:
    """The grid with these lines of YAML as its methods."""
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in TINY.items() if key != "methods"}) + "methods:\n" + text)
    return file


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"cannot be read \('clip' stands twice in the mapping that begins in line \d+\)"):
        read_grid(with_methods(tmp_path, "  clip: {}\n  clip: {method: sista}\n"))


def test_anchors_and_merges_may_be_written(tmp_path: Path) -> None:
    grid = read_grid(with_methods(tmp_path, "  clip: &c {settings: {}}\n  again: {<<: *c, method: clip}\n"))
    assert grid.methods["again"] == {"method": "clip", "settings": {}}
    deep = "b: &b {m: 0}\nx: {y: &c {<<: *b, m: 1}}\nz: {<<: *c}\n"  # merged once more where it lies less deep
    assert yaml.load(deep, _Loader) == yaml.safe_load(deep) == {"b": {"m": 0}, "x": {"y": {"m": 1}}, "z": {"m": 1}}


def test_what_is_left_empty_is_left_out(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path, about=None, baseline=None, encoders={"compact": None}))
    assert (grid.about, grid.baseline) == ("", "")


def test_another_baseline_goes_before_what_methods_name(tmp_path: Path) -> None:
    stated = write(tmp_path, methods={"clip": None, "sista": {}, "dense": {"method": "sista", "over": "sista"}}, baseline="clip")
    grid = read_grid(stated, baseline="sista")
    assert [grid.over(method) for method in grid.methods] == ["sista", "", "sista"]
    assert [read_grid(stated).over(method) for method in grid.methods] == ["", "clip", "sista"]
    with pytest.raises(SistaError, match=r"grid\.yaml: the baseline 'sisat' is none of its methods: did you mean 'sista'"):
        read_grid(stated, baseline="sisat")
