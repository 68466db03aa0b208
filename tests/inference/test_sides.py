"""The other side as a hard negative: texts are mirrored, films with both sides are left out, and the figure is what vectors say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.corpus.corpus import Corpus
from sista.inference.sides import mirrored, own_side


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Large left pleural effusion", "Large right pleural effusion"),
        ("Right base opacity on the right", "Left base opacity on the left"),
        ("cardiomegaly", ""),
        ("effusions left and right", ""),
        ("bright copyright", ""),
    ],
)
def test_mirrored(text: str, other: str) -> None:
    assert mirrored(text) == other
    assert not other or mirrored(other) == text


def test_own_side(tmp_path: Path) -> None:
    build(Phantom(60, seed=1, size=64), tmp_path / "corpus", progress=False)
    corpus = Corpus.open(tmp_path / "corpus")
    asked = [(row, region, region.phrase) for row in range(len(corpus)) for region in corpus.regions(row) if region.phrase]
    films = {row: np.eye(2)[row % 2] for row, _, _ in asked}  # a film of an even row fits the left, of an odd row the right

    def encode_films(given: object) -> SimpleNamespace:
        rows = np.unique([row for (row, region, text), value in zip(asked, found, strict=True) if not np.isnan(value)])
        assert len([*given]) == len(rows)  # type: ignore[misc]
        return SimpleNamespace(image=np.stack([films[row] for row in rows]))

    names = [region.finding.split("/")[0] for _, region, _ in asked]
    alone = [sum(r.finding.split("/")[0] == name for r in corpus.regions(row)) == 1 for (row, _, _), name in zip(asked, names, strict=True)]
    found = np.array(
        [
            float(("left" in text.lower()) == (row % 2 == 0)) if mirrored(text) and single else np.nan
            for (row, _, text), single in zip(asked, alone, strict=True)
        ]
    )
    assert np.isfinite(found).sum() > 10
    assert 0 < np.nanmean(found) < 1
    model = SimpleNamespace(
        image_size=64,
        encode_films=encode_films,
        encode_texts=lambda texts: np.stack([[1.0, 0.0] if "left" in text.lower() else [0.0, 1.0] for text in texts]),
    )
    np.testing.assert_array_equal(
        own_side(model, corpus, asked, [(row, r) for row in range(len(corpus)) for r in corpus.regions(row)]), found
    )  # type: ignore[arg-type]
