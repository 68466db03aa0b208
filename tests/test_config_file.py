"""Of two files of options the later adds to the earlier, and wins where both speak."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from sista.config_file import ConfigFile
from sista.errors import SistaError

BASE = "method: sista\nsettings: {mode: soft, token_weight: 0.5}\nmodel: {dim: 64}\nshares: [0.1, 1.0]\n"


@dataclass
class Model:
    dim: int = 128
    hidden: int = 0


def call(method: str = "clip", settings: dict[str, Any] | None = None, shares: Any = None) -> None:
    """What is parsed for."""


def parsed(folder: Path, *files: str, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action=ConfigFile)
    parser.add_function_arguments(call)
    parser.add_class_arguments(Model, "model")
    arguments = []
    for number, text in enumerate(files):
        (folder / f"{number}.yaml").write_text(text)
        arguments += ["--config", str(folder / f"{number}.yaml")]
    values = parser.parse_args([*arguments, *beside]).as_dict()
    values.pop("config")
    return values


@pytest.mark.parametrize(
    ("later", "changed"),
    [
        ("settings: {token_weight: 0.7}", {"settings": {"mode": "soft", "token_weight": 0.7}}),
        ("settings: {mode: hard, sigma: 2}", {"settings": {"mode": "hard", "token_weight": 0.5, "sigma": 2}}),
        ("settings: null", {"settings": None}),
        ("model: {hidden: 3}", {"model": {"dim": 64, "hidden": 3}}),
        ("shares: [0.01]", {"shares": [0.01]}),
        ("method: siglip", {"method": "siglip"}),
    ],
)
def test_a_later_file_wins_key_by_key(tmp_path: Path, later: str, changed: dict[str, Any]) -> None:
    alone = parsed(tmp_path, BASE)
    assert alone["settings"] == {"mode": "soft", "token_weight": 0.5}
    assert parsed(tmp_path, BASE, later) == alone | changed


def test_what_is_given_beside_files_wins_over_all_of_them(tmp_path: Path) -> None:
    values = parsed(tmp_path, BASE, "settings: {token_weight: 0.7}", beside=("--settings.token_weight", "0.9"))
    assert values["settings"] == {"mode": "soft", "token_weight": 0.9}
    assert parsed(tmp_path, BASE, beside=("--settings", "{sigma: 2}"))["settings"] == {"sigma": 2}  # a whole mapping is meant as such


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"1\.yaml: while parsing a flow mapping, line 1, column 11 did not find expected"):
        parsed(tmp_path, BASE, "settings: {mode: soft")
