"""zeroshot, retrieve and ground on a corpus, and for one film."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import sista
from sista.corpus.corpus import Corpus
from sista.corpus.study import Region
from sista.errors import SistaError
from sista.inference.embedding import embed_rows
from sista.inference.enlarge import enlarge
from sista.inference.grounding import ground_regions, hottest
from sista.inference.index import Neighbours, VectorIndex, exact_neighbours, unit_rows
from sista.inference.pretrained import prompts_of
from sista.metrics.grounding import box_mask, pointing_game
from sista.models.receptive_field import PatchCentres


def test_zeroshot_equals_scikit_learn(run_path: Path, corpus_path: Path) -> None:
    result = sista.zeroshot(run_path, corpus_path, findings=["pleural effusion", "cardiomegaly"])
    model, corpus = sista.load(run_path), Corpus.open(corpus_path)
    rows = corpus.rows("test")
    scores = model.zero_shot(embed_rows(model, corpus, rows).image, prompts_of(["pleural effusion", "cardiomegaly"]))
    labels = corpus.labels(rows)[:, [corpus.label_names.index(name) for name in ("pleural effusion", "cardiomegaly")]]
    each = [roc_auc_score(labels[:, k], scores[:, k]) for k in range(2)]
    assert result["auroc"]["value"] == pytest.approx(np.mean(each))
    assert result["per_finding"]["cardiomegaly"]["value"] == pytest.approx(each[1])
    low, high = result["auroc"]["ci95"]
    assert low < result["auroc"]["value"] < high


def test_zeroshot_of_one_film(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "film.png"
    Image.fromarray(Corpus.open(corpus_path).films([0])[0, 0].numpy()).save(file)
    result = sista.zeroshot(run_path, image=file)
    assert set(result["probability"]) == set(Corpus.open(corpus_path).label_names)


def test_paths_may_be_texts(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    run, data, out = str(run_path), str(corpus_path), str(tmp_path)
    pair = {"positive": ["Cardiomegaly."], "negative": ["Normal heart."]}
    (tmp_path / "prompts.json").write_text(json.dumps({"cardiomegaly": pair}))
    sista.zeroshot(run, data, prompts=f"{out}/prompts.json", out=f"{out}/zero")  # type: ignore[arg-type]
    sista.embed(run, data, f"{out}/vectors")  # type: ignore[arg-type]
    for place in (data, f"{out}/vectors"):
        assert sista.retrieve(run, place, text="effusion")["results"]  # type: ignore[arg-type]
    Image.fromarray(Corpus.open(corpus_path).films([0])[0, 0].numpy()).save(tmp_path / "film.png")
    sista.ground(run, image=f"{out}/film.png", phrase="heart", out=f"{out}/map.png")  # type: ignore[arg-type]
    assert sista.compare(f"{out}/zero", f"{out}/zero", resamples=10)["metrics"]  # type: ignore[arg-type]
    assert all((tmp_path / name).exists() for name in ("zero/result.json", "map.png"))
    with pytest.raises(SistaError, match="no MS-CXR annotations"):
        sista.ground(run, data, regions=f"{out}/none.csv")  # type: ignore[arg-type]


def test_zeroshot_tells_a_finding_that_is_mistyped_and_what_it_leaves_out(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="labels no 'cardiomegali': did you mean 'cardiomegaly'"):
        sista.zeroshot(run_path, corpus_path, findings=["pleural effusion", "cardiomegali"])
    pair = {"positive": ["There is scoliosis."], "negative": ["There is no scoliosis."]}
    (tmp_path / "prompts.json").write_text(json.dumps({"scoliosis": pair, "cardiomegaly": pair}))
    result = sista.zeroshot(run_path, corpus_path, prompts=tmp_path / "prompts.json")
    assert (list(result["per_finding"]), result["prompted_but_not_labelled"]) == (["cardiomegaly"], ["scoliosis"])
    with pytest.raises(SistaError, match="either --findings or --prompts"):
        sista.zeroshot(run_path, corpus_path, findings=["cardiomegaly"], prompts=tmp_path / "prompts.json")


def test_zeroshot_of_findings_that_nobody_labelled(run_path: Path, corpus_path: Path) -> None:
    with pytest.raises(SistaError, match="labels none of scoliosis"):
        sista.zeroshot(run_path, corpus_path, findings=["scoliosis"])


def test_retrieve_scores_and_queries(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    scores = sista.retrieve(run_path, corpus_path)
    assert 0 <= scores["i2t_r1"]["value"] <= scores["i2t_r5"]["value"] <= scores["i2t_r10"]["value"] <= 1
    assert scores["i2t_r10_semantic"]["value"] >= scores["i2t_r10"]["value"]
    corpus = Corpus.open(corpus_path)
    found = sista.retrieve(run_path, corpus_path, text="Large left pleural effusion.", top=4)["results"]
    similarities = [hit["similarity"] for hit in found]
    assert len(found) == 4
    assert similarities == sorted(similarities, reverse=True)
    test_studies = set(corpus.values("study_id", corpus.rows("test")))
    assert {hit["study_id"] for hit in found} <= test_studies
    film_of = dict(zip(corpus.column("film_id"), corpus.column("study_id"), strict=True))
    assert [film_of[hit["film_id"]] for hit in found] == [hit["study_id"] for hit in found]
    file = tmp_path / "film.png"
    Image.fromarray(corpus.films([0])[0, 0].numpy()).save(file)
    by_film = sista.retrieve(run_path, corpus_path, image=file, top=2)["results"]
    assert by_film[0]["report"] in corpus.reports()
    with pytest.raises(SistaError, match="not both"):
        sista.retrieve(run_path, corpus_path, image=file, text="x")


def test_what_an_index_does_not_find_is_no_result(run_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(index: VectorIndex, queries: np.ndarray, k: int) -> Neighbours:
        """As faiss where the cells it looks into hold two vectors."""
        found = exact_neighbours(unit_rows(queries), index.vectors, 2)
        lacking = [(0, 0), (0, k - 2)]
        return Neighbours(np.pad(found.rows, lacking, constant_values=-1), np.pad(found.scores, lacking, constant_values=-np.inf))

    monkeypatch.setattr(VectorIndex, "search", search)
    assert len(sista.retrieve(run_path, corpus_path, text="Large left pleural effusion.", top=9)["results"]) == 2


def test_ground_equals_the_metric_region_by_region(run_path: Path, corpus_path: Path) -> None:
    model, corpus = sista.load(run_path), Corpus.open(corpus_path)
    with pytest.raises(SistaError, match="--limit is 0"):
        ground_regions(model, corpus, corpus.rows("test"), limit=0)
    result = ground_regions(model, corpus, corpus.rows("test"), limit=7)
    assert len(result.hit) == 7
    queries = [(row, region) for row in corpus.rows("test") for region in corpus.regions(int(row))][:7]
    for (row, region), hit in zip(queries, result.hit, strict=True):
        heat = model.heatmap(corpus.films([row])[0, 0].numpy(), region.phrase)
        assert pointing_game(heat, region.mask) == pytest.approx(hit)
    summary = result.summary()
    assert 0 < summary["chance"] < 1
    assert set(summary["pointing_game_per_finding"]) == {region.finding.split("/")[0] for _, region in queries}


def test_ground_writes_the_map_of_one_film(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "film.png"
    Image.fromarray(Corpus.open(corpus_path).films([0])[0, 0].numpy()).save(file)
    result = sista.ground(run_path, image=file, phrase="cardiomegaly", out=tmp_path / "maps" / "heat.png")
    heat = np.load(tmp_path / "maps" / "heat.npy")
    assert heat[result["hottest"]["y"], result["hottest"]["x"]] == pytest.approx(heat.max(), abs=1e-5)
    assert Image.open(tmp_path / "maps" / "heat.png").size == (64, 64)


def test_sure_answers_still_differ(run_path: Path) -> None:
    """At a temperature of 0.01 a probability is 1 from a difference of 0.17 (float32) or 0.37 (float64) on, and ranks would be lost."""
    model = sista.load(run_path)
    model.card = {**model.card, "temperature": 0.01}
    prompts = prompts_of(["edema"])
    direction = model._ensemble(prompts["edema"].positive) - model._ensemble(prompts["edema"].negative)
    direction /= np.linalg.norm(direction)
    gap = float(np.linalg.norm(model._ensemble(prompts["edema"].positive) - model._ensemble(prompts["edema"].negative)))
    films = np.linspace(0.2, 1.0, 50)[:, None] / gap * direction
    scores = model.zero_shot(films.astype(np.float32), prompts)[:, 0]
    assert len(np.unique(scores)) == 50
    assert (np.diff(scores) > 0).all()


def test_retrieval_without_reports_is_refused(run_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.open(corpus_path)
    corpus.has_reports = False
    monkeypatch.setattr(Corpus, "open", lambda path: corpus)
    with pytest.raises(SistaError, match="has no reports to find or to find films by"):
        sista.retrieve(run_path, corpus_path)
    assert sista.retrieve(run_path, corpus_path, text="Edema.", top=2)["results"]


def test_boxes_of_one_finding_without_a_phrase_are_one_region(run_path: Path, corpus_path: Path) -> None:
    model, corpus = sista.load(run_path), Corpus.open(corpus_path)
    row = int(corpus.rows("test")[0])
    boxes = [Region("opacity", 2, 2, 10, 10), Region("opacity", 40, 40, 12, 12), Region("mass", 20, 20, 4, 4)]
    spoken = [Region("opacity", 2, 2, 10, 10, "Opacities."), Region("opacity", 40, 40, 12, 12, "Opacities.")]
    found = ground_regions(model, corpus, np.array([row]), given={row: boxes})
    assert found.queries.tolist() == ["opacity", "mass"]
    heat = model.heatmap(corpus.films([row])[0, 0].numpy(), "opacity")
    area = box_mask((2, 2, 10, 10), (64, 64)) | box_mask((40, 40, 12, 12), (64, 64))
    assert pointing_game(heat, area) == pytest.approx(found.hit[0])
    assert found.chance[0] == pytest.approx(area.mean())
    assert len(ground_regions(model, corpus, np.array([row]), given={row: spoken}).hit) == 2


def test_what_would_do_nothing_is_refused(run_path: Path, corpus_path: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    with pytest.raises(SistaError, match="--out goes with --data"):
        sista.zeroshot(run_path, image=film, out=tmp_path / "out")
    with pytest.raises(SistaError, match="finding '日本' holds no word that"):
        sista.zeroshot(run_path, corpus_path, findings=["日本"])
    for text, told in ((" ", "--text ' ' holds no word to look for"), ("日本 🫁", "holds no word that this model's vocabulary knows")):
        with pytest.raises(SistaError, match=told):
            sista.retrieve(run_path, corpus_path, text=text)
    with pytest.raises(SistaError, match="--out goes with a corpus alone"):
        sista.retrieve(run_path, corpus_path, text="Edema.", out=tmp_path / "out")
    with pytest.raises(SistaError, match="--phrase is for one film"):
        sista.ground(run_path, corpus_path, phrase="edema")
    with pytest.raises(SistaError, match="--split train goes with a corpus"):
        sista.zeroshot(run_path, image=film, split="train")
    with pytest.raises(SistaError, match="--split and --limit go with a corpus"):
        sista.ground(run_path, image=film, phrase="edema", split="valid", limit=5)
    with pytest.raises(SistaError, match="--regions and --levels go with a corpus"):
        sista.ground(run_path, image=film, phrase="edema", regions=tmp_path / "no.csv", levels=["word"])
    assert not (tmp_path / "out").exists()


def test_a_heat_map_without_an_ending_is_refused(run_path: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"give a name that ends in \.png"):
        sista.ground(run_path, image=tmp_path / "film.png", phrase="edema", out=tmp_path / "heat")


def test_a_heat_map_does_not_overwrite_its_film(run_path: Path, tmp_path: Path) -> None:
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "film.png")
    before = (tmp_path / "film.png").read_bytes()
    with pytest.raises(SistaError, match="is the film itself"):
        sista.ground(run_path, image=tmp_path / "film.png", phrase="edema", out=tmp_path / "maps" / ".." / "film.png")
    assert (tmp_path / "film.png").read_bytes() == before


def test_the_hottest_place_is_a_patchs_centre_also_at_the_border() -> None:
    """Maps are flat beyond the outermost centres: the corner of the film is as hot as the patch there, and was told for it."""
    maps = np.zeros((1, 4, 4), dtype=np.float32)
    for row, column in ((0, 0), (0, 3), (2, 3), (3, 1), (1, 2)):
        maps[:] = 0
        maps[0, row, column] = 1
        assert hottest(enlarge(maps, [PatchCentres(8.0, 16.0)] * 2, 64, 64)[0]) == pytest.approx(
            (16 * row + 7.5, 16 * column + 7.5), abs=0.5
        )
