"""What a patch knows of findings on it and elsewhere: as it was planted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.training.pretrain import pretrain
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from patch_reach import _away, drawn, reach  # noqa: E402


def test_away_is_a_quarter_of_the_side_from_any_region() -> None:
    share = np.zeros((2, 8, 8), dtype=np.float32)
    share[0, 0, 0] = 0.01
    away = _away(share).reshape(2, 8, 8)
    assert not away[0, :3, :3].any()
    assert away[0].sum() == 64 - 9
    assert not away[1].any()  # a film without the finding has no place away from it


def test_patches_of_films_without_it_are_of_the_same_places() -> None:
    where = np.zeros((4, 9), dtype=bool)
    where[0, 2] = where[1, 7] = True
    film, place, truth = drawn(where, np.array([2, 3]), np.random.default_rng(0))
    assert list(film) == [0, 1, 2, 3]
    assert list(truth) == [1, 1, 0, 0]
    assert list(place[:2]) == [2, 7]
    assert set(place[2:]) <= {2, 7}


def test_knowledge_that_is_planted_is_found_where_it_is() -> None:
    """Half of 400 films have the finding at patch 0, which tells it; patch 8 does where it was told, not by noise that was fitted."""
    random = np.random.default_rng(0)
    has = np.arange(400) % 2 == 0
    on = np.zeros((400, 9), dtype=bool)
    away = on.copy()
    on[has, 0], away[has, 8] = True, True
    for told in (False, True):
        vectors = {split: random.normal(size=(400, 9, 200)).astype(np.float32) for split in ("train", "valid")}
        for held in vectors.values():
            held[has, 0, :4] += 2
            if told:
                held[has, 8, :4] += 2
        given = [
            dict.fromkeys(vectors, value)
            for value in ({"mass": (on, away), "rare": (on[:], away & False)}, np.stack([has, has], axis=1).astype(float))
        ]
        found = reach(vectors, *given, ["mass", "rare"], draws=2, least=10)
        assert list(found) == ["mass"]
        assert found["mass"]["on"] > 0.95
        assert found["mass"]["away"] > 0.95 if told else 0.4 < found["mass"]["away"] < 0.6


@pytest.mark.slow
def test_script(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "out.json"
    encoders = {"sista_vit": ["the stem", "block 1", "block 6"], "sista_compact": ["its own", "the deepest"], "test_resnet": ["its own"]}
    runs = {name: tmp_path / name for name in encoders}
    build(Phantom(300, size=64), corpus, workers=1, progress=False, fractions=(0.6, 0.4, 0.0), teachers=["tfidf"])
    settings = OptimizerSettings(epochs=0, batch_size=32)
    for name, run in runs.items():
        pretrain(corpus, run, model=ModelSettings(image_encoder=name), optimizer=settings, run=RunSettings(progress=False))
    command = [
        sys.executable,
        str(BENCHMARKS / "patch_reach.py"),
        "--model",
        *map(str, runs.values()),
        "--data",
        str(corpus),
        "--out",
        str(out),
        "--least",
        "5",
        "--draws",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    refused = subprocess.run([*command, "--least", "999"], capture_output=True, text=True, timeout=300, check=False)
    assert "no finding has regions on 999 films of either split; give another corpus, or a lower --least" in refused.stderr
    for name, asked in encoders.items():
        found = json.loads(out.read_text())["runs"][str(runs[name])]
        assert list(found) == asked
        assert all(0 <= one[which] <= 1 for one in found.values() for which in ("on", "away"))
        assert len({len(one["per_finding"]) for one in found.values()}) == 1
