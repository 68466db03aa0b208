"""Arguments of a grid's commands are looked at before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from sista.benchmark.grid.run import benchmark
from sista.errors import SistaError

from .inputs import write


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"probe": {"data": "main", "share": [1.0]}}}, r"probe-compact-untrained-0-\w+: arguments of sista probe: .*share"),
        ({"pretrain": {"data": "main", "optimizer": {"epoch": 1}}}, r"arguments of sista pretrain: .*epoch"),
        ({"methods": {"clip": {"run": {"precison": "fp32"}}}}, r"does not accept option 'precison'"),
        ({"methods": {"clip": {"run": {"precision": "fp16"}}}}, r"precision.*fp16"),
        ({"pretrain": {"data": "main", "optimizer": {"epochs": -1}}}, r"untrained.*optimizer\.epochs is -1|clip.*optimizer\.epochs is -1"),
        ({"encoders": {"compact": {"model": {"dim": 0}}}}, r"model\.dim is 0; it must be at least 1"),
        ({"methods": {"sista": {"settings": {"negative_share": 3.0}}}}, r"negative_share is 3\.0; it is a share of pairs"),
        (
            {"tasks": {"probe": {"data": "main", "shares": [-0.1]}}},
            r"probe-compact-untrained-0-\w+: label share -0\.1: expected more than 0",
        ),
        ({"tasks": {"segment": {"data": "main", "shares": [0.1, 0.1]}}}, r"label share .* stands twice"),
        ({"tasks": {"probe": {"data": "main", "shares": [0.1], "draws": [0]}}}, r"give one number of draws a share"),
        ({"tasks": {"ground": {"data": "main", "levels": ["frase"]}}}, r"--levels frase: choose from word, phrase, sentence"),
        ({"corpora": {"main": {"archive": "phantom", "count": 0}}}, r"corpus 'main': phantom count=0"),
        ({"corpora": {"main": {"archive": "phantom", "cuont": 9}}}, r"corpus 'main': arguments of sista build: .*cuont"),
        ({"corpora": {"main": {"path": "nowhere"}}}, r"nowhere"),
        (
            {"corpora": {"main": {"path": "nowhere", "size": 64}}},
            r"corpus 'main' is built already, at its path, where size would do nothing",
        ),
        ({"encoders": {"compact": {"model": {"image_encoder": "resnet5"}}}}, r"unknown image encoder 'resnet5': did you mean 'resnet50"),
    ],
)
def test_arguments_are_looked_at_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SistaError, match=message):
        benchmark(write(tmp_path, **changes), tmp_path / "out")
    assert not list(tmp_path.rglob("corpus.json"))
