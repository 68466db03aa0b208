"""Every recipe is made of settings that exist, and names its own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sista.cli import _parse
from sista.methods import settings_of
from sista.training.pretrain import pretrain

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 4


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_fits_the_signature(recipe: Path) -> None:
    values = _parse("pretrain", ["--config", str(recipe), "--data", "corpus", "--out", "run"], pretrain)
    assert settings_of(values["method"], values["settings"] or {})
    assert values["optimizer"].batch_size >= 64
    assert f"recipes/{recipe.name}" in recipe.read_text()
