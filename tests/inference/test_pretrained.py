"""A loaded model: classify, heat maps, embeddings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sista
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.corpus.films.radiograph import Display
from sista.errors import SistaError
from sista.inference.embedding import embed_rows
from sista.inference.pretrained import PretrainedModel, untrained
from sista.inference.prompts import PromptPair
from sista.models.receptive_field import PatchCentres


@pytest.fixture(scope="module")
def model(run_path: Path) -> PretrainedModel:
    return sista.load(run_path, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, corpus_path: Path) -> Path:
    pixels = Corpus.open(corpus_path).films([0])[0, 0].numpy()
    file = tmp_path_factory.mktemp("film") / "film.png"
    Image.fromarray(pixels[:, 8:56]).save(file)  # not square
    return file


def test_repr_says_what_it_is(model: PretrainedModel) -> None:
    assert "sista, sista_compact + compact, 64 px" in repr(model)


def test_classify_by_names_and_by_prompts(model: PretrainedModel, film: Path) -> None:
    given = model.classify(film, ["pneumothorax", "edema"])
    assert list(given) == ["pneumothorax", "edema"]
    assert all(0 < p < 1 for p in given.values())
    assert model.classify(film, "edema") == {"edema": pytest.approx(given["edema"])}  # a name alone is not its letters
    pair = PromptPair(("Edema.",), ("No edema.",))
    swapped = PromptPair(pair.negative, pair.positive)
    both = model.classify(film, {"edema": pair, "no edema": swapped})
    assert both["edema"] + both["no edema"] == pytest.approx(1, abs=1e-5)
    with pytest.raises(SistaError, match="no finding to ask for"):
        model.classify(film, [])
    with pytest.raises(SistaError, match="the prompts that affirm 'edema': '', ' ' holds no word"):
        model.classify(film, {"edema": PromptPair(("", " "), ("No edema.",))})
    with pytest.raises(SistaError, match="finding '日本' holds no word that this model's vocabulary knows"):
        model.classify(film, ["edema", "日本"])  # within the usual prompts other words are known
    with pytest.raises(SistaError, match="the prompts that deny 'edema': '日本' holds no word that this model's vocabulary knows"):
        model.classify(film, {"edema": PromptPair(("Edema.",), ("日本",))})
    assert model.classify(film, {"edema": PromptPair(("日本", "Edema."), ("No edema.",))})["edema"] > 0  # one of them has words
    with pytest.raises(SistaError, match="'edema' has no prompt that affirms it"):
        model.classify(film, {"edema": PromptPair((), ("No edema.",))})


def test_classify_takes_arrays(model: PretrainedModel, film: Path) -> None:
    pixels = np.asarray(Image.open(film))
    assert model.classify(pixels, ["edema"]) == model.classify(film, ["edema"])
    assert model.classify(str(film), ["edema"]) == model.classify(film, ["edema"])


def test_heatmap_has_the_film_s_own_size(model: PretrainedModel, film: Path) -> None:
    heat = model.heatmap(film, "left pleural effusion")
    assert heat.shape == (64, 48)
    assert np.isfinite(heat).all()
    assert heat.std() > 0


def test_a_patch_is_drawn_where_it_looks(model: PretrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of strided convolutions that is the corner of its cell, not the middle."""
    only = np.zeros((1, 8, 8), np.float32)
    only[0, 3, 5] = 1
    monkeypatch.setattr(model, "patch_map", lambda *_: only)
    heat = model.heatmap(np.zeros((128, 96), np.uint8), "edema")  # twice the encoder's size; the square's left 16 px are not the film's
    assert np.argwhere(heat == heat.max()).mean(axis=0) + 0.5 == pytest.approx([2 * (3 * 8 + 0.5), 2 * (5 * 8 + 0.5) - 16])


@pytest.mark.parametrize("size", [(1000, 700), (700, 1000), (2048, 1493), (64, 63), (33, 97)])
def test_a_map_lies_on_its_film_also_where_that_is_not_square(
    run_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an encoder whose patches are its pixels the map is the film again: its middle of mass stays where it was."""
    model = sista.load(run_path, device="cpu", precision="fp32")
    monkeypatch.setattr(model, "patch_map", lambda images, _: images[:, 0].numpy())
    monkeypatch.setattr(model.encoder.image, "centres", (PatchCentres(0.5, 1.0), PatchCentres(0.5, 1.0)))
    rows, columns = np.mgrid[: size[0], : size[1]]
    film = np.zeros(size, np.float64)
    for row, column in ((0.3, 0.3), (0.6, 0.7)):
        film += np.exp(-((rows - row * size[0]) ** 2 + (columns - column * size[1]) ** 2) / (0.08 * min(size)) ** 2)
    pixels = np.rint(255 * film / film.max()).astype(np.uint8)
    heat = model.heatmap(pixels, "edema")
    heat = heat - heat.min()
    for axis, long in ((rows, size[0]), (columns, size[1])):
        middle, drawn = (float((axis * values).sum() / values.sum()) for values in (pixels.astype(float), heat))
        assert drawn == pytest.approx(middle, abs=0.15 * max(1, max(size) / model.image_size) + 0.002 * long)


def test_films_are_shown_as_those_of_the_corpus_were(run_path: Path, tmp_path: Path) -> None:
    """Window and frame by the card; borders cut off, and put back around a heat map."""
    made = sista.load(run_path, device="cpu", precision="fp32")
    assert (made.display, made.crop_borders) == (Display(), False)
    assert made.card["films"] == {"display": {"window": "first", "frame": None}, "crop_borders": False}
    card = {**made.card, "films": {"display": {"window": "percentile", "frame": 2}, "crop_borders": True}}
    model = PretrainedModel(made.encoder, made.tokenizer, card, made.device, made.precision)
    assert model.display == Display("percentile", 2)
    inner = np.random.default_rng(0).integers(60, 255, (40, 30)).astype(np.uint8)
    whole = np.zeros((64, 50), np.uint8)
    whole[10:50, 5:35] = inner
    assert torch.equal(model.prepare(whole), made.prepare(inner))
    heat = model.heatmap(whole, "edema")
    np.testing.assert_array_equal(heat[10:50, 5:35], made.heatmap(inner, "edema"))
    border = np.ones_like(whole, bool)
    border[10:50, 5:35] = False
    assert (heat[border] <= heat[~border].min()).all()
    older = {name: value for name, value in made.card.items() if name != "films"}
    assert PretrainedModel(made.encoder, made.tokenizer, older, made.device, made.precision).display == Display()


def test_a_phrase_without_a_word_is_refused(model: PretrainedModel, film: Path) -> None:
    with pytest.raises(SistaError, match="phrase '日本 🫁' holds no word that this model's vocabulary knows"):
        model.heatmap(film, "日本 🫁")
    with pytest.raises(SistaError, match="holds no word that this model's vocabulary knows"):
        model.heatmap(film, "日本, 日本.")  # signs are no words
    with pytest.raises(SistaError, match=r"phrase '!!!' holds no word to look for"):
        model.heatmap(film, "!!!")


def test_patch_map_equals_a_loop_over_words(model: PretrainedModel, corpus_path: Path) -> None:
    """The mean over informative words of cosine with the patch minus cosine with the mean patch."""
    images = eval_view(Corpus.open(corpus_path).films([1]), 64)
    found = model.patch_map(images, ["the left pleural effusion"])[0]
    tokens = model._tokens(["the left pleural effusion"])
    with torch.no_grad():
        _, patches, grid = model.encoder.encode_images(images)
        _, words = model.encoder.encode_texts(tokens["pieces"], tokens["piece_mask"], tokens["piece_word"], 4)
    weights = tokens["word_weight"][0].tolist()
    assert weights[0] == 0
    assert min(weights[1:]) > 0
    expected = np.zeros(grid)
    mean = model.encoder.patch_mean(grid)
    for p in range(grid[0] * grid[1]):
        for word, weight in enumerate(weights):
            expected[p // grid[1], p % grid[1]] += weight / sum(weights) * float(words[0, word] @ (patches[0, p] - mean[p]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_texts_come_back_in_order_whatever_their_length(model: PretrainedModel) -> None:
    texts = ["Edema.", "There is a large left pleural effusion with adjacent atelectasis.", "No pneumothorax."]
    together = model.encode_texts(texts, batch=2)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.encode_texts([text])[0], vector, atol=1e-5)


def test_no_films_and_no_texts(model: PretrainedModel) -> None:
    assert model.encode_films([]).image.shape == (0, model.encoder.dim)
    assert model.encode_texts([]).shape == (0, model.encoder.dim)


def test_embed_rows_equals_film_by_film(model: PretrainedModel, corpus_path: Path) -> None:
    corpus = Corpus.open(corpus_path)
    vectors = embed_rows(model, corpus, corpus.rows("test")[:5])
    row = int(corpus.rows("test")[3])
    film = corpus.films([row])[0, 0].numpy()
    np.testing.assert_allclose(vectors.image[3], model.encode_films([model.prepare(film)]).image[0], atol=1e-5)
    np.testing.assert_allclose(vectors.text[3], model.encode_texts(corpus.reports([row]))[0], atol=1e-5)


def test_untrained_differs_and_repeats(model: PretrainedModel, run_path: Path) -> None:
    first, again, other = (untrained(run_path, seed).encoder.state_dict() for seed in (0, 0, 1))
    name = "image_head.last.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[name], model.encoder.state_dict()[name])


@pytest.mark.parametrize("content", [b"", b"not a film", b"\x89PNG\r\n\x1a\ncut short"])
def test_unreadable_films_are_named(model: PretrainedModel, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.png"
    file.write_bytes(content)
    with pytest.raises(SistaError, match=r"broken\.png"):
        model.classify(file, ["edema"])


def test_vectors_that_are_no_numbers_are_refused(run_path: Path, film: Path) -> None:
    broken = sista.load(run_path, device="cpu", precision="fp32")
    with torch.no_grad():
        for parameter in broken.encoder.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(SistaError, match="vectors of films are not finite"):
        broken.classify(film, ["edema"])
    with pytest.raises(SistaError, match="vectors of texts are not finite"):
        broken.encode_texts(["No edema."])
    with pytest.raises(SistaError, match="vectors of patches are not finite"):
        broken.heatmap(film, "edema")
