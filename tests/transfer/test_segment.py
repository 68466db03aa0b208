"""Segmenting: targets and views, figures equal to the metrics', one loop that learns, edge cases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from sista.corpus.corpus import Corpus
from sista.corpus.study import Region
from sista.errors import SistaError
from sista.metrics.dice import all_empty_floor, positive_dice_per_image, protocol_dice, protocol_dice_per_image
from sista.models.image_encoder import ImageEncoder
from sista.transfer import segment as module
from sista.transfer import segment_targets
from sista.transfer.decoders import Segmenter
from sista.transfer.pyramid import EncoderMaps, Pyramid
from sista.transfer.segment import Segmentation, dice_focal_loss, segment
from sista.transfer.segment_fit import FitSettings
from sista.transfer.segment_scores import dice_on_positives, dice_or_empty, finding_scores, macro_dice, pixel_counts, pooled_dice
from sista.transfer.segment_targets import annotated, pixel_shares, region_masks, region_names, training_positions
from sista.transfer.segment_views import ViewSettings, film_view, mask_view, random_affine
from sista.transfer.shares import training_share

QUICK = FitSettings(epochs=3, batch_size=16, learning_rate=2e-3)
ENCODERS = ["sista_compact", "test_resnet", "test_vit", "test_convnext", "test_efficientnet"]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("decoder", ["auto", "unet", "progressive", "dpt"])
def test_every_encoder_has_a_decoder(name: str, decoder: str) -> None:
    encoder = ImageEncoder(name, image_size=64)
    if decoder == "dpt" and not encoder.plain:
        with pytest.raises(SistaError, match="dpt"):
            Segmenter(encoder, 2, decoder)
        return
    segmenter = Segmenter(encoder, 2, decoder)
    logits = segmenter(torch.randn(2, 1, 64, 64))
    assert logits.shape == (2, 2, 64, 64)
    logits.mean().backward()
    assert all(p.grad is None for p in encoder.parameters())
    assert all(p.grad is not None for p in segmenter.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "decoder"), [("sista_compact", "unet"), ("test_vit", "unet"), ("test_vit", "progressive"), ("test_vit", "dpt")]
)
def test_maps_start_at_the_share_of_pixels_that_they_are_told(name: str, decoder: str) -> None:
    """Where the last layer adds nothing, the share itself; and nothing but its bias is touched."""
    torch.manual_seed(0)
    segmenter = Segmenter(ImageEncoder(name, image_size=64), 2, decoder).eval()
    before = {key: tensor.clone() for key, tensor in segmenter.state_dict().items()}
    segmenter.start_at(torch.tensor([0.002, 0.2]))
    changed = [key for key, tensor in segmenter.state_dict().items() if not torch.equal(tensor, before[key])]
    assert len(changed) == 1
    torch.nn.init.zeros_(segmenter.get_parameter(changed[0].replace("bias", "weight")))
    found = segmenter(torch.randn(2, 1, 64, 64)).sigmoid()
    torch.testing.assert_close(found, torch.tensor([0.002, 0.2]).reshape(1, 2, 1, 1).expand_as(found))


@pytest.mark.parametrize("size", [65, 101])
def test_odd_sizes(size: int) -> None:
    encoder = ImageEncoder("sista_compact", image_size=size)
    assert Segmenter(encoder, 1)(torch.randn(2, 1, size, size)).shape == (2, 1, size, size)


@pytest.mark.parametrize("name", ENCODERS)
def test_pyramid_has_the_sizes_it_says(name: str) -> None:
    pyramid = Pyramid(ImageEncoder(name, image_size=64), width=32)
    maps = pyramid(torch.randn(2, 1, 64, 64))
    assert [(one.shape[1], 64 // one.shape[2]) for one in maps] == list(zip(pyramid.widths, pyramid.strides, strict=True))
    assert sorted(pyramid.strides) == pyramid.strides


def test_a_frozen_encoder_stays_and_a_tuned_one_moves() -> None:
    for tune in (False, True):
        encoder = ImageEncoder("test_resnet", image_size=64)
        maps = EncoderMaps(encoder, tune=tune).train()
        before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        result = maps(torch.randn(4, 1, 64, 64))
        assert result[-1].requires_grad == encoder.training == tune
        same = all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
        assert same is not tune


def test_masks_move_with_films() -> None:
    """A bright square and its mask stay together, and a film that is not to be changed is not."""
    films, masks = torch.zeros(8, 1, 64, 64, dtype=torch.uint8), torch.zeros(8, 2, 64, 64, dtype=torch.bool)
    films[..., 20:40, 12:30], masks[:, 1, 20:40, 12:30] = 255, True
    affine = random_affine(8, ViewSettings(share=1.0), torch.Generator().manual_seed(0))
    for size in (64, 96):
        bright = film_view(films, size, affine)[:, 0] > 0
        moved = mask_view(masks, size, affine)
        assert (bright != moved[:, 1].bool()).float().mean() < 0.01
        assert moved[:, 0].sum() == 0
    assert (mask_view(masks, 64, affine) != masks.float()).any()
    still = random_affine(8, ViewSettings(share=0.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close(mask_view(masks, 64, still), masks.float())


def test_loss_is_the_protocols() -> None:
    random = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(3, 1, 8, 8, generator=random), (torch.rand(3, 1, 8, 8, generator=random) > 0.7).float()
    p = logits.sigmoid()
    right = torch.where(masks == 1, p, 1 - p)
    focal = (-((1 - right) ** 2) * right.log()).mean()
    dice = (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)
    torch.testing.assert_close(dice_focal_loss(logits, masks), 10 * focal - dice.log())
    two = torch.cat([logits, logits], 1), torch.cat([masks, masks], 1)
    torch.testing.assert_close(dice_focal_loss(*two), dice_focal_loss(logits, masks))


def test_figures_equal_those_of_the_metrics() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((20, 1, 6, 6), dtype=bool)
    mask[:8] = random.random((8, 1, 6, 6)) > 0.6
    probability = random.random(mask.shape) * (random.random((20, 1, 1, 1)) > 0.3)
    counts = pixel_counts(probability, mask)[:, 0]
    np.testing.assert_allclose(dice_on_positives(counts), positive_dice_per_image(probability[:, 0], mask[:, 0]))
    np.testing.assert_allclose(dice_or_empty(counts), protocol_dice_per_image(probability[:, 0], mask[:, 0]))
    predicted = probability > 0.5
    assert pooled_dice(counts) == pytest.approx(2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()))
    scores = finding_scores(counts[None], 36, np.arange(20), protocol_batch=8)
    assert scores["protocol_dice"]["value"] == pytest.approx(protocol_dice(probability[:, 0], mask[:, 0], 8))
    assert scores["protocol_floor"] == pytest.approx(all_empty_floor(mask[:, 0], 8))
    background = 2 * (~predicted & ~mask).sum() / ((~predicted).sum() + (~mask).sum())
    assert scores["mean_dice"] == pytest.approx((pooled_dice(counts) + background) / 2)
    assert (scores["films"], scores["positive"]) == (20, 8)
    assert scores["false_positive_films"] == pytest.approx(predicted[8:].any(axis=(1, 2, 3)).mean())
    low, high = scores["dice"]["ci95"]
    assert low < scores["dice"]["value"] < high


def test_the_macro_is_the_mean_of_findings() -> None:
    counts = np.array([[[[4, 4, 4], [0, 2, 0]], [[4, 4, 2], [2, 0, 0]]]], dtype=float)
    assert macro_dice(counts, np.arange(2))["value"] == pytest.approx((0.75 + 0) / 2)


def test_regions_are_read_with_and_without_masks(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    names = region_names(corpus)
    assert names == [[region.finding.split("/")[0] for region in corpus.regions(row)] for row in range(len(corpus))]
    row = next(row for row, found in enumerate(names) if "mass" in found)
    mask = region_masks(corpus, np.array([row]), ("nodule", "mass"))
    drawn = np.any([region.mask for region in corpus.regions(row) if region.finding.startswith("mass")], axis=0)
    assert torch.equal(mask[0, 1], torch.from_numpy(drawn))


def test_shares_of_pixels_are_of_the_films_that_show_a_finding(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    found = ("cardiomegaly", "mass")
    films = annotated(corpus, found)
    masks = region_masks(corpus, films.rows, found).double().mean(dim=(2, 3))
    expected = torch.stack([of[of > 0].mean() for of in masks.T])
    for batch in (7, len(films.rows)):
        torch.testing.assert_close(pixel_shares(corpus, films.rows, found, batch), expected, rtol=1e-2, atol=0)
    without = films.rows[~films.present.any(axis=1)][:2]
    assert pixel_shares(corpus, without, found).tolist() == [1 / (2 * corpus.size**2 + 2)] * 2


def test_training_starts_at_the_share_of_the_training_films(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    films = annotated(corpus, ["cardiomegaly", "mass"])
    encoder = ImageEncoder("sista_compact", image_size=64).eval()
    still = FitSettings(epochs=1, learning_rate=1e-9)
    work = Segmentation(corpus, films, encoder, "auto", False, still, ViewSettings(), torch.device("cpu"), "fp32")
    for positions in (films.of("train"), films.of("train")[~films.present[films.of("train")].any(axis=1)]):
        segmenter, _ = work.train(positions, films.of("valid")[:4], seed=0)
        shares = pixel_shares(corpus, films.rows[positions], films.findings)
        torch.testing.assert_close(segmenter.decoder.head[0].bias, torch.logit(shares).float(), rtol=0, atol=1e-5)


@dataclass
class Drawn:
    """A corpus of one film with boxes only."""

    boxes: tuple[Region, ...]
    size: int = 32

    def regions(self, row: int) -> tuple[Region, ...]:
        return self.boxes


def test_boxes_are_filled() -> None:
    corpus = Drawn((Region("mass/left", 3.6, 5.2, 4.0, 6.0), Region("mass", 30, 30, 9, 9), Region("tube", 0, 0, 1, 1)))
    mask = region_masks(corpus, np.array([0]), ("mass",))  # type: ignore[arg-type]
    assert mask[0, 0].nonzero().min(0).values.tolist() == [5, 4]
    assert mask.sum() == 6 * 4 + 2 * 2


def test_a_finding_with_a_slash_in_its_name_is_whole() -> None:
    """VinDr's: cut at the slash it would be no region of its label, and films labelled with it would count as free of it."""
    regions = (Region("Nodule/Mass", 20, 20, 9, 9), Region("Nodule/Other", 0, 0, 4, 4), Region("mass/left/upper", 10, 10, 5, 5))
    assert [region.name for region in regions] == ["Nodule/Mass", "Nodule/Other", "mass"]
    masks = region_masks(Drawn(regions), np.array([0]), ("Nodule/Mass", "mass", "Nodule"))  # type: ignore[arg-type]
    assert masks.sum(dim=(2, 3)).tolist() == [[81, 25, 0]]


def test_who_is_annotated(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    films = annotated(corpus, ["cardiomegaly"])
    label = corpus.labels()[:, corpus.label_names.index("cardiomegaly")]
    assert films.left_out == ((label == 1) & ~np.array(["cardiomegaly" in names for names in region_names(corpus)])).sum()
    np.testing.assert_array_equal(films.present[:, 0], label[films.rows] == 1)
    chosen = training_positions(films, films.of("train"), 1.0, (0, 0))
    assert films.present[chosen].sum() * 2 == len(chosen)
    assert set(films.of("train")[films.present[films.of("train"), 0]]) <= set(chosen)
    with pytest.raises(SistaError, match="did you mean 'mass'"):
        annotated(corpus, ["mas"])


def test_a_corpus_without_regions_is_refused(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.open(corpus_path)
    monkeypatch.setattr(segment_targets, "region_names", lambda corpus: [[] for _ in range(len(corpus))])
    with pytest.raises(SistaError, match="no regions"):
        annotated(corpus)
    train = set(corpus.rows("train"))
    monkeypatch.setattr(segment_targets, "region_names", lambda corpus: [["lung"] * (row in train) for row in range(len(corpus))])
    with pytest.raises(SistaError, match="split 'valid' has no annotated film with lung"):
        annotated(corpus)


def test_it_learns_and_beats_the_untrained_floor(corpus_path: Path, run_path: Path, tmp_path: Path) -> None:
    """A few seconds of training on 96 films: the loss falls, and Dice leaves that of the first steps far behind."""
    settings = FitSettings(epochs=10, batch_size=8, learning_rate=3e-3, least_steps=30)
    found = ["cardiomegaly", "pleural effusion"]
    result = segment(str(run_path), corpus_path, found, shares=[1.0], fit=settings, precision="fp32", device="cpu", out=tmp_path / "out")
    draw = result["per_share"]["1.0"]["draws"][0]
    assert draw["last_loss"] < 0.8 * draw["first_loss"]
    start = segment(str(run_path), corpus_path, found, shares=[1.0], fit=FitSettings(epochs=1, learning_rate=1e-9), untrained=True)
    assert result["metrics"]["dice@1.0"]["value"] > 2 * start["metrics"]["dice@1.0"]["value"]
    written = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert (tmp_path / "out" / "result.json").is_file()
    predicted, true, both = (written[f"pixels/{kind}/cardiomegaly"].to_numpy() for kind in ("predicted", "true", "both"))
    dice = (2 * both / np.maximum(predicted + true, 1))[true > 0]
    np.testing.assert_allclose(written["value/dice/cardiomegaly"][true > 0], dice)
    assert dice.mean() == pytest.approx(result["per_share"]["1.0"]["findings"]["cardiomegaly"]["dice"]["value"])
    assert len(written) == result["films"]["test"] == result["splits"]["test"]["films"]


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_tuned_at_another_size_and_the_same_again(corpus_path: Path, model: str) -> None:
    settings = FitSettings(epochs=1, batch_size=16, learning_rate=1e-3)
    keywords: dict[str, Any] = {"fit": settings, "tune": True, "image_size": 96, "untrained": True, "negatives": 1.0}
    result = segment(f"timm:{model}", corpus_path, ["cardiomegaly"], [0.5], **keywords)
    assert (result["image_size"], result["decoder"]) == (96, "progressive" if model == "test_vit" else "unet")
    assert segment(f"timm:{model}", corpus_path, ["cardiomegaly"], [0.5], **keywords)["per_share"] == result["per_share"]


def test_one_per_cent_has_at_least_one_film_with_the_finding(corpus_path: Path, run_path: Path) -> None:
    result = segment(str(run_path), corpus_path, ["cardiomegaly"], [0.01], [2], fit=FitSettings(epochs=1))
    for draw in result["per_share"]["0.01"]["draws"]:
        assert draw["positive"] == {"cardiomegaly": 1}
        assert draw["without_positive"] == []


def test_what_cannot_be_is_refused(corpus_path: Path, run_path: Path) -> None:
    with pytest.raises(SistaError, match="decoder 'unit'"):
        segment(str(run_path), corpus_path, ["mass"], decoder="unit")
    with pytest.raises(SistaError, match="one number of draws a share"):
        segment(str(run_path), corpus_path, ["mass"], shares=[0.1, 1.0], draws=[1])
    with pytest.raises(SistaError, match="label share"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], shares=[2.0])
    with pytest.raises(SistaError, match="schedule"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], shares=[1.0], fit=FitSettings(schedule="step"))
    with pytest.raises(SistaError, match="epochs 0, batch_size 16"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], shares=[1.0], fit=FitSettings(epochs=0))
    with pytest.raises(SistaError, match=r"fit: learning_rate -0\.01"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], shares=[1.0], fit=FitSettings(learning_rate=-0.01))
    with pytest.raises(SistaError, match="protocol-batch is 0"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], protocol_batch=0)
    with pytest.raises(SistaError, match="validation-films is 0"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], validation_films=0)
    with pytest.raises(SistaError, match="seed is -1"):
        segment(str(run_path), corpus_path, ["cardiomegaly"], seed=-1)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_negatives_are_a_multiple_of_the_positives(corpus_path: Path, wrong: float) -> None:
    films = annotated(Corpus.open(corpus_path), ["cardiomegaly"])
    with pytest.raises(SistaError, match="--negatives is"):
        training_positions(films, films.of("train"), wrong, (0, 0))


def test_a_share_that_fails_is_named_and_the_others_are_kept(run_path, corpus_path, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "training_share", lambda films, share, *rest: training_share(films, share if share == 1 else -1.0, *rest))
    result = segment(
        str(run_path), corpus_path, ["cardiomegaly"], shares=[0.5, 1.0], fit=FitSettings(epochs=1), device="cpu", out=tmp_path / "out"
    )
    assert set(result["per_share"]) == {"1.0"}
    assert "label share" in result["refused"]["0.5"]
    assert set(pd.read_parquet(tmp_path / "out" / "predictions.parquet")["share"]) == {1.0}


def test_probabilities_are_scored_on_the_corpus_square(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    films = annotated(corpus, ["cardiomegaly"])
    encoder = ImageEncoder("sista_compact", image_size=48).eval()
    work = Segmentation(corpus, films, encoder, "auto", False, QUICK, ViewSettings(), torch.device("cpu"), "fp32")
    segmenter = Segmenter(encoder, 1).eval()
    counts = work.counts(segmenter, films.of("test")[:3])
    images = film_view(corpus.films(films.rows[films.of("test")[:3]]), 48)
    probability = F.interpolate(segmenter(images).sigmoid(), (64, 64), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(counts[:, 0, 0], (probability > 0.5).sum(dim=(1, 2, 3)), atol=2)


def test_a_label_is_that_of_a_finding_whatever_its_capitals(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else films of which the label says that they show it, and nobody drew where, would count as free of it."""
    corpus = Corpus.open(corpus_path)
    names = [[name.title().replace(" ", "_") for name in of] * (row % 2) for row, of in enumerate(region_names(corpus))]
    monkeypatch.setattr(segment_targets, "region_names", lambda corpus: names)
    films = annotated(corpus, ["Pleural_Effusion"])
    shown = corpus.labels()[:, corpus.label_names.index("pleural effusion")] == 1
    drawn = np.array(["Pleural_Effusion" in of for of in names])
    assert films.left_out == (shown & ~drawn).sum() > 0
    assert not (shown[films.rows] & ~films.present[:, 0]).any()


def test_of_labels_that_are_spelled_alike_the_exact_one_counts(corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    before = annotated(corpus, ["mass"])
    names = tuple("Mass" if name == "consolidation" else name for name in corpus.label_names)
    assert names.index("Mass") < names.index("mass")
    corpus.label_names = names
    np.testing.assert_array_equal(annotated(corpus, ["mass"]).rows, before.rows)
