"""Embedding a whole corpus or a table: equal to embedding at once, and the same files when it was stopped and started again."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import sista
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.inference import embed_archive
from sista.inference.embed_archive import embed, read_embeddings
from sista.inference.embedding import embed_rows
from sista.inference.retrieval import retrieve

OPTIONS = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def embedded(run_path: Path, corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("embedded") / "all"
    result = embed(run_path, corpus_path, out, shard=60, **OPTIONS)
    assert (result["parts"], result["parts_made_now"], result["left_out"]) == (3, 3, {})
    return out


def test_vectors_equal_those_of_the_model_in_the_order_of_the_corpus(run_path, corpus_path, embedded):
    corpus = Corpus.open(corpus_path)
    held = read_embeddings(embedded, "film_id", "subject_id", "pooled", "image", "text")
    assert held["film_id"].tolist() == corpus.column("film_id")
    expected = embed_rows(sista.load(run_path, **OPTIONS), corpus, corpus.rows())
    for name in ("pooled", "image", "text"):
        np.testing.assert_allclose(held[name], getattr(expected, name), atol=1e-5)


def test_a_table_goes_on_with_its_own_columns_and_holds_reports_as_a_corpus_does(run_path, corpus_path, tmp_path):
    films = Corpus.open(corpus_path).films([0, 1])[:, 0].numpy()
    for number, film in enumerate(films):
        Image.fromarray(film).save(tmp_path / f"{number}.png")
    raw = "INDICATION: history of pneumothorax.\nFINDINGS: Small left effusion.\nIMPRESSION: Effusion."
    rows = {"image": ["0.png"], "second": ["1.png"], "raw": [raw], "clean": ["Small left effusion. Effusion."]}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    embed(run_path, tmp_path / "t.csv", tmp_path / "a", report_column="raw", **OPTIONS)
    for other in ({"image_column": "second", "report_column": "raw"}, {"report_column": "clean"}, {}):
        with pytest.raises(SistaError, match=r"was begun with another (image_column|report_column)"):
            embed(run_path, tmp_path / "t.csv", tmp_path / "a", **other, **OPTIONS)
    embed(run_path, tmp_path / "t.csv", tmp_path / "b", report_column="clean", **OPTIONS)
    raw_text, clean_text = (read_embeddings(tmp_path / name, "text")["text"] for name in "ab")
    np.testing.assert_array_equal(raw_text, clean_text)


def test_a_folder_in_use_is_not_taken(run_path, corpus_path, tmp_path):
    corpus = Path(shutil.copytree(corpus_path, tmp_path / "corpus"))
    with pytest.raises(SistaError, match=r"corpus is not empty and has no embed\.json"):
        embed(run_path, corpus, corpus, **OPTIONS)
    assert not list(corpus.glob("part-*.parquet"))


def test_a_stopped_run_goes_on_and_ends_with_the_same_files(run_path, corpus_path, embedded, tmp_path, monkeypatch):
    whole = embed_archive._write_part
    written = []

    def stopping(file, *rest):
        if len(written) == 1:
            raise KeyboardInterrupt
        whole(file, *rest)
        written.append(file)

    monkeypatch.setattr(embed_archive, "_write_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        embed(run_path, corpus_path, tmp_path / "two", shard=60, **OPTIONS)
    with pytest.raises(SistaError, match="no finished embeddings"):
        read_embeddings(tmp_path / "two", "image")
    monkeypatch.undo()
    assert embed(run_path, corpus_path, tmp_path / "two", shard=60, **OPTIONS)["parts_made_now"] == 2
    for file in sorted(embedded.iterdir()):
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()
    assert embed(run_path, corpus_path, tmp_path / "two", shard=60, **OPTIONS)["parts_made_now"] == 0


def test_another_shard_size_is_not_mixed_in(run_path, corpus_path, embedded):
    with pytest.raises(SistaError, match="begun with another shard"):
        embed(run_path, corpus_path, embedded, shard=50, **OPTIONS)


def test_a_table_of_films_and_the_one_that_cannot_be_read(run_path, corpus_path, tmp_path):
    corpus = Corpus.open(corpus_path)
    for row in range(2):
        Image.fromarray(corpus.films([row])[0, 0].numpy()).save(tmp_path / f"{row}.png")
    (tmp_path / "2.png").write_bytes(b"not a film")
    table = pd.DataFrame({"image": ["0.png", "2.png", "1.png"], "study_id": ["a", "b", "c"], "text": ["Edema.", "x", "No edema."]})
    table.to_csv(tmp_path / "films.csv", index=False)
    result = embed(run_path, tmp_path / "films.csv", tmp_path / "out", report_column="text", **OPTIONS)
    assert sum(result["left_out"].values()) == 1
    held = read_embeddings(tmp_path / "out", "study_id", "image", "text")
    assert held["study_id"].tolist() == ["a", "c"]
    model = sista.load(run_path, **OPTIONS)
    np.testing.assert_allclose(held["image"], model.encode_films([model.prepare(tmp_path / f"{i}.png") for i in range(2)]).image, atol=1e-5)
    plain = pd.DataFrame({"image": ["0.png", "1.png"], "film_id": ["00000013", "NA"], "subject_id": ["007", "7"]})
    plain.to_csv(tmp_path / "ids.csv", index=False)
    embed(run_path, tmp_path / "ids.csv", tmp_path / "ids", **OPTIONS)
    held = read_embeddings(tmp_path / "ids", "film_id", "subject_id")
    assert (held["film_id"].tolist(), held["subject_id"].tolist()) == (["00000013", "NA"], ["007", "7"])
    blank = plain.drop(columns="film_id").assign(image=["", "0.png"], split="test")
    blank.iloc[[1, 0]].to_csv(tmp_path / "blank.csv", index=False)
    assert embed(run_path, tmp_path / "blank.csv", tmp_path / "blank", split="test", **OPTIONS)["left_out"] == {"no film": 1}
    (part,) = (tmp_path / "blank").glob("part-*.parquet")
    assert pd.read_parquet(part)[["film_id", "error"]].to_numpy().tolist() == [["0.png", ""], ["row 2", "no film: row 2"]]
    with pytest.raises(SistaError, match=r"no column 'film'.*--image-column"):
        embed(run_path, tmp_path / "films.csv", tmp_path / "other", image_column="film", **OPTIONS)
    with pytest.raises(SistaError, match="no column 'split'"):
        embed(run_path, tmp_path / "films.csv", tmp_path / "other", split="test", **OPTIONS)
    plain.assign(split=["train", "test"]).to_csv(tmp_path / "split.csv", index=False)
    embed(run_path, tmp_path / "split.csv", tmp_path / "test", split="test", **OPTIONS)
    assert read_embeddings(tmp_path / "test", "film_id", "split")["film_id"].tolist() == ["NA"]
    with pytest.raises(SistaError, match="split 'tset': did you mean 'test'"):
        embed(run_path, tmp_path / "split.csv", tmp_path / "other", split="tset", **OPTIONS)


def test_a_report_that_is_not_there_has_no_vector_and_is_not_found(run_path, corpus_path, tmp_path):
    corpus = Corpus.open(corpus_path)
    for row in range(3):
        Image.fromarray(corpus.films([row])[0, 0].numpy()).save(tmp_path / f"{row}.png")
    texts = ["Edema.", "  ", "INDICATION: cough.\nFINDINGS:"]
    pd.DataFrame({"image": ["0.png", "1.png", "2.png"], "text": texts}).to_csv(tmp_path / "t.csv", index=False)
    result = embed(run_path, tmp_path / "t.csv", tmp_path / "out", report_column="text", **OPTIONS)
    assert (result["left_out"], result["without_report"]) == ({}, 2)
    assert read_embeddings(tmp_path / "out", "film_id", "text")["film_id"].tolist() == ["0.png"]
    assert read_embeddings(tmp_path / "out", "film_id", "image")["film_id"].tolist() == ["0.png", "1.png", "2.png"]
    found = retrieve(run_path, tmp_path / "out", image=tmp_path / "1.png", top=3, **OPTIONS)["results"]
    assert [hit["film_id"] for hit in found] == ["0.png"]


def test_retrieve_searches_the_shards_of_its_own_model(run_path, corpus_path, embedded, tmp_path):
    corpus = Corpus.open(corpus_path)
    Image.fromarray(corpus.films([5])[0, 0].numpy()).save(tmp_path / "film.png")
    by_text = retrieve(run_path, embedded, text=corpus.reports([5])[0], top=3, **OPTIONS)
    assert by_text["vectors"] == len(corpus)
    model, held = sista.load(run_path, **OPTIONS), read_embeddings(embedded, "film_id", "image")
    scores = held["image"] @ model.encode_texts(corpus.reports([5]))[0]
    assert [hit["film_id"] for hit in by_text["results"]] == held["film_id"][np.argsort(-scores)[:3]].tolist()
    assert len(retrieve(run_path, embedded, image=tmp_path / "film.png", top=2, **OPTIONS)["results"]) == 2
    with pytest.raises(SistaError, match="ask with --image or --text"):
        retrieve(run_path, embedded, **OPTIONS)


def test_two_models_of_the_hub_are_told_apart(run_path, corpus_path, tmp_path, monkeypatch):
    """A Hub name is no file here; what tells models apart is the weights that it stands for."""
    folders = {"owner/one": tmp_path / "one", "owner/other": tmp_path / "other"}
    for number, folder in enumerate(folders.values()):
        shutil.copytree(run_path / "model", folder)
        weights = {name: tensor + number for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(folders[name]))
    embed("owner/one", corpus_path, tmp_path / "vectors", split="test", **OPTIONS)
    assert retrieve("owner/one", tmp_path / "vectors", text="Edema.", top=1, **OPTIONS)["results"]
    with pytest.raises(SistaError, match=r"was embedded with other weights \([0-9a-f]{12}\) than owner/other has"):
        retrieve("owner/other", tmp_path / "vectors", text="Edema.", top=1, **OPTIONS)


def test_a_stopped_run_does_not_begin_again_where_films_are_missing(run_path, corpus_path, tmp_path, monkeypatch):
    films = Corpus.open(corpus_path).films([0, 1])[:, 0].numpy()
    (tmp_path / "t.csv").write_text("image\na.png\nb.png\nc.png\n")
    Image.fromarray(films[1]).save(tmp_path / "c.png")
    whole, written = embed_archive._write_part, []

    def stopping(file, *given):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(file.name)
        whole(file, *given)

    monkeypatch.setattr(embed_archive, "_write_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        embed(run_path, tmp_path / "t.csv", tmp_path / "out", **{**OPTIONS, "shard": 1})
    monkeypatch.undo()
    went_on = embed(run_path, tmp_path / "t.csv", tmp_path / "out", **{**OPTIONS, "shard": 1})
    assert (went_on["parts_made_now"], went_on["left_out"]) == (1, {"no such file": 2})
    Image.fromarray(films[0]).save(tmp_path / "a.png")
    again = embed(run_path, tmp_path / "t.csv", tmp_path / "out", **{**OPTIONS, "shard": 1})
    assert (again["parts_made_now"], again["left_out"]) == (2, {"no such file": 1})


def test_films_that_come_back_are_read_when_it_is_run_again(run_path, corpus_path, tmp_path):
    (tmp_path / "t.csv").write_text("image\na.png\n")
    with pytest.raises(SistaError, match=r"no film of .*t\.csv could be read, such as: no such file: .*a\.png \(no such file: 1 of 1\)"):
        embed(run_path, tmp_path / "t.csv", tmp_path / "out", **OPTIONS)
    with pytest.raises(SistaError, match="holds no film that could be read"):
        retrieve(run_path, tmp_path / "out", text="effusion")
    Image.fromarray(Corpus.open(corpus_path).films([0])[0, 0].numpy()).save(tmp_path / "a.png")
    again = embed(run_path, tmp_path / "t.csv", tmp_path / "out", **OPTIONS)
    assert (again["left_out"], again["parts_made_now"]) == ({}, 1)
    assert retrieve(run_path, tmp_path / "out", text="effusion")["results"][0]["film_id"] == "a.png"
    with pytest.raises(SistaError, match="all of which are searched; leave --split out"):
        retrieve(run_path, tmp_path / "out", text="effusion", split="train")


def test_columns_of_a_table_are_no_options_of_a_corpus_and_a_path_may_be_spelled_otherwise(run_path, corpus_path, tmp_path, monkeypatch):
    with pytest.raises(SistaError, match="name columns of a table"):
        embed(run_path, corpus_path, tmp_path / "out", report_column="text", **OPTIONS)
    embed(run_path, corpus_path, tmp_path / "out", **OPTIONS)
    monkeypatch.chdir(Path(corpus_path).parent)
    assert embed(run_path, Path(Path(corpus_path).name), tmp_path / "out", **OPTIONS)["parts_made_now"] == 0
