"""Controls of token terms: what is solved without the film is told from what is not, on maps and losses made for it and on a real run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.benchmark import controls as room
from sista.benchmark.controls import MapVariance, controls, one_of_each_subject, patches_of
from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.methods.fane import Fane
from sista.methods.method import StepResult
from sista.training.pretrain import pretrain
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings


def share(position: float, film: float, count: int = 400) -> float:
    random, variance = torch.Generator().manual_seed(0), MapVariance()
    places = position * torch.randn(3, 16, generator=random)
    for _ in range(count // 20):
        types = torch.randint(0, 3, (20,), generator=random)
        variance.add(types, places[types] + film * torch.randn(20, 16, generator=random))
    return variance.share_of_types()


def test_the_share_of_position_in_a_words_map() -> None:
    assert share(1.0, 0.0) == pytest.approx(1.0)
    assert share(0.0, 1.0) == pytest.approx(0.0, abs=0.01)
    assert share(1.0, 1.0) == pytest.approx(0.5, abs=0.15)
    rare = MapVariance()
    rare.add(torch.tensor([1, 2]), torch.randn(2, 4))
    assert np.isnan(rare.share_of_types())


def test_adding_a_constant_to_a_map_changes_nothing() -> None:
    one, other = MapVariance(), MapVariance()
    maps, types = torch.randn(40, 9), torch.arange(40) % 2
    one.add(types, maps)
    other.add(types, maps + torch.randn(40, 1))
    assert one.share_of_types() == pytest.approx(other.share_of_types())


@dataclass(frozen=True)
class Finished:
    """A corpus and a short run on it."""

    corpus: Path
    run: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("controls")
    build(Phantom(120, seed=3, size=64), folder / "corpus", fractions=(0.6, 0.1, 0.3), progress=False)
    pretrained(folder / "corpus", folder / "sista", "sista")
    return Finished(folder / "corpus", folder / "sista")


def pretrained(corpus: Path, out: Path, method: str, model: ModelSettings = ModelSettings(), **settings: Any) -> None:  # noqa: B008
    run = RunSettings(evaluate_every=0, device="cpu", progress=False)
    pretrain(corpus, out, method, settings, model=model, optimizer=OptimizerSettings(epochs=1, batch_size=8), run=run)


def test_a_run(finished: Finished, tmp_path: Path) -> None:
    found = controls(finished.run, finished.corpus, out=tmp_path / "out")
    assert found["terms"] == ["token"]
    rows = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert len(rows) == found["batches"] > 2
    metrics = found["metrics"]
    for film in ("right", "wrong", "mean"):
        assert metrics[f"token/{film}"] == pytest.approx(rows[f"value/token/{film}"].mean())
    assert metrics["token/wrong_gap"] == pytest.approx(metrics["token/wrong"] - metrics["token/right"])
    # 8 words against 2 films that all look alike: every word that has a contrast loses log 2 or log 3
    assert np.log(2) - 1e-3 < metrics["token/mean"] < np.log(3) + 1e-3
    assert 0 <= metrics["position_share"] <= 1
    assert controls(finished.run, finished.corpus)["metrics"] == metrics


def test_a_method_without_a_token_term_has_none(finished: Finished, tmp_path: Path) -> None:
    pretrained(finished.corpus, tmp_path / "clip", "clip")
    found = controls(tmp_path / "clip", finished.corpus)
    assert (found["terms"], list(found["metrics"])) == ([], ["position_share"])


@pytest.mark.parametrize(("detached", "terms"), [(False, ["sentence", "sparsity"]), (True, [])])
def test_a_term_that_is_the_same_on_any_film_is_told_all_the_same(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detached: bool, terms: list[str]
) -> None:
    """A term that has been solved without the film to the last digit is what this looks for, not one that takes no patches."""
    pretrained(finished.corpus, tmp_path / "fane", "fane")
    view = Fane.forward

    def blind(self: Fane, batch: Batch, images: torch.Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        with patches_of(self.encoder, lambda _, patches: torch.ones_like(patches) + 0 * (patches.detach() if detached else patches)):
            return view(self, batch, images, generator, statistics)

    monkeypatch.setattr(Fane, "forward", blind)
    found = controls(tmp_path / "fane", finished.corpus)
    assert found["terms"] == terms
    assert [found["metrics"][f"{term}/{gap}"] for term in terms for gap in ("wrong_gap", "mean_gap")] == [0.0] * 2 * len(terms)


def test_patches_are_changed_within_and_not_after(finished: Finished) -> None:
    from sista.training.restored import restore

    corpus = Corpus.open(finished.corpus)
    encoder = restore(finished.run, corpus).encoder
    batch = corpus.batch(np.arange(4))
    given = (torch.randn(4, 1, 64, 64), batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
    with torch.no_grad():
        before = encoder(*given)
        with patches_of(encoder, lambda _, patches: patches.roll(1, dims=0)):
            within = encoder(*given)
        after = encoder(*given)
    torch.testing.assert_close(within.patches, before.patches.roll(1, dims=0))
    torch.testing.assert_close(within.image, before.image)
    torch.testing.assert_close(after.patches, before.patches)


def test_a_term_of_the_deepest_patches_is_asked_by_them(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own means and those of other films, too, and not the patches that the other term looks at."""
    model = ModelSettings(image_encoder="sista_vit", patch_block=0)
    pretrained(finished.corpus, tmp_path / "run", "sista", model, token_weight=0.0, within_weight=1.0, within_deepest=True)
    found = controls(tmp_path / "run", finished.corpus)
    assert found["terms"] == ["within"]
    assert len({found["metrics"][f"within/{film}"] for film in ("right", "wrong", "mean")}) == 3
    means: dict[str, torch.Tensor] = {}
    looks = room._Looks.losses
    monkeypatch.setattr(room._Looks, "losses", lambda self, given: means.update(given) or looks(self, given))
    assert controls(tmp_path / "run", finished.corpus)["metrics"] == found["metrics"]
    assert means["patches"].shape == means["deepest"].shape
    assert not torch.allclose(means["patches"], means["deepest"], atol=0.1)
    monkeypatch.setattr(room._Looks, "losses", lambda self, given: looks(self, {**given, "patches": -given["patches"]}))
    assert controls(tmp_path / "run", finished.corpus)["metrics"] == found["metrics"]


def test_what_cannot_be_looked_at(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="no finished pre-training"):
        controls(tmp_path, finished.corpus)
    build(Phantom(60, seed=4, size=64), tmp_path / "other", progress=False)
    with pytest.raises(SistaError, match="another tokenizer"):
        controls(finished.run, tmp_path / "other")
    with pytest.raises(SistaError, match="split 'train' is what the terms were trained on"):
        controls(finished.run, finished.corpus, split="train")
    with pytest.raises(SistaError, match="subjects in split 'valid'; two batches of 8 are needed"):
        controls(finished.run, finished.corpus, split="valid")


def test_untrained_runs_and_those_on_wrong_films_are_asked_alike(finished: Finished, tmp_path: Path) -> None:
    """A run of no steps has no checkpoint; one that trains its term on wrong films is asked about the right ones, too."""
    found = []
    for name, wrong in (("right", False), ("wrong", True)):
        run, settings = RunSettings(evaluate_every=0, device="cpu", progress=False), {"wrong_films": wrong}
        pretrain(finished.corpus, tmp_path / name, "sista", settings, optimizer=OptimizerSettings(epochs=0, batch_size=8), run=run)
        found.append(controls(tmp_path / name, finished.corpus)["metrics"])
    assert found[0] == found[1]
    assert "token/right" in found[0]


def test_neighbours_are_of_different_subjects(finished: Finished) -> None:
    corpus = Corpus.open(finished.corpus)
    rows = one_of_each_subject(corpus, corpus.rows("train"))
    subjects = corpus.values("subject_id", rows)
    assert len(set(subjects)) == len(rows) == len(set(corpus.values("subject_id", corpus.rows("train"))))
    assert list(rows) != sorted(rows)
