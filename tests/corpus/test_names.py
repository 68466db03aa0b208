"""Spellings of one name."""

import pytest

from sista.corpus.names import plain_name


@pytest.mark.parametrize("name", ["pleural effusion", "Pleural_Effusion", " PLEURAL  effusion "])
def test_capitals_underscores_and_spaces_do_not_count(name: str) -> None:
    assert plain_name(name) == "pleural effusion"
