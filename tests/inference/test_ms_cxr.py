"""MS-CXR's two forms read alike, its boxes moved onto the corpus' films, and grounding scored by hand on them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import sista
from sista.corpus.corpus import Corpus
from sista.corpus.study import Region
from sista.errors import SistaError
from sista.inference.grounding import ground, ground_regions, query_text
from sista.inference.ms_cxr import COLUMNS, corpus_regions, read_ms_cxr
from sista.inference.regions import region_area
from sista.metrics.grounding import iou_at, pointing_game
from sista.metrics.result import read_run

# dicom id index, category, phrase, box, on films of 3056 x 2544
BOXES = [
    (0, "Pleural Effusion", "Small left pleural effusion", (1800, 1700, 600, 500)),
    (0, "Pneumonia", "Patchy opacities", (400, 500, 300, 300)),
    (0, "Pneumonia", "Patchy opacities", (1500, 500, 300, 300)),
    (1, "Cardiomegaly", "The heart is enlarged", (900, 1200, 1200, 900)),
]


def release(folder: Path, ids: list[str]) -> tuple[Path, Path]:
    """A miniature of MS_CXR_Local_Alignment_v1.1.0 in both forms."""
    categories = sorted({category for _, category, _, _ in BOXES})
    content = {
        "info": {"version": "1.1.0"},
        "images": [
            {"id": i, "file_name": f"{name}.jpg", "path": f"files/p10/{name}.jpg", "width": 3056, "height": 2544, "num_annotations": 1}
            for i, name in enumerate(ids)
        ],
        "categories": [{"id": i, "name": name, "supercategory": "disease"} for i, name in enumerate(categories)],
        "annotations": [
            {"id": i, "image_id": film, "category_id": categories.index(category), "bbox": list(box), "label_text": [phrase], "iscrowd": 0}
            for i, (film, category, phrase, box) in enumerate(BOXES)
        ],
    }
    (folder / "MS_CXR_Local_Alignment_v1.1.0.json").write_text(json.dumps(content))
    with (folder / "MS_CXR_Local_Alignment_v1.1.0.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "path", "split"])
        for film, category, phrase, box in BOXES:
            writer.writerow([ids[film], category, phrase, *box, 3056, 2544, f"files/p10/{ids[film]}.jpg", "test"])
    return folder / "MS_CXR_Local_Alignment_v1.1.0.json", folder / "MS_CXR_Local_Alignment_v1.1.0.csv"


@pytest.fixture
def corpus(corpus_path: Path) -> Corpus:
    return Corpus.open(corpus_path)


def test_both_forms_give_the_same_regions(tmp_path):
    from_json, from_csv = (read_ms_cxr(file) for file in release(tmp_path, ["aaa-1", "bbb-2"]))
    assert from_json == from_csv
    assert list(from_json) == ["aaa-1", "bbb-2"]
    assert from_json["aaa-1"].regions[0] == Region("pleural effusion", 1800, 1700, 600, 500, "Small left pleural effusion")
    assert (from_json["bbb-2"].width, from_json["bbb-2"].height) == (3056, 2544)


def test_boxes_of_one_phrase_become_one_region_on_the_corpus_film(tmp_path, corpus):
    rows = corpus.rows("test")
    ids = corpus.values("film_id", rows[:2]).tolist()
    found = corpus_regions(corpus, read_ms_cxr(release(tmp_path, ids)[0]), rows)
    assert sorted(found) == sorted(rows[:2].tolist())
    effusion, pneumonia = found[int(rows[0])]
    height, width = (corpus.stored.cell(name, int(rows[0])).as_py() for name in ("height", "width"))
    left, top = (64 - width) // 2, (64 - height) // 2
    assert (effusion.x, effusion.width) == pytest.approx((1800 * width / 3056 + left, 600 * width / 3056))
    assert (effusion.y, effusion.height) == pytest.approx((1700 * height / 2544 + top, 500 * height / 2544))
    columns = pneumonia.mask.any(axis=0)
    assert np.diff(np.flatnonzero(columns)).max() > 5  # two boxes, and nothing between them
    assert (pneumonia.x, pneumonia.x + pneumonia.width) == pytest.approx((400 * width / 3056 + left, 1800 * width / 3056 + left))


def test_ground_scores_a_corpus_on_them_at_each_level(tmp_path, corpus, run_path, corpus_path):
    rows = corpus.rows("test")
    file = release(tmp_path, corpus.values("film_id", rows[:2]).tolist())[1]
    result = ground(run_path, corpus_path, regions=file, levels=["word", "phrase"], out=tmp_path / "run", device="cpu", precision="fp32")
    assert result["regions"] == 3
    assert result["annotated_films"] == {"in_file": 2, "in_split": 2}
    assert result["levels"]["word"]["queries"] == 3
    frame = read_run(tmp_path / "run").predictions
    assert frame.query("level == 'phrase'")["value/pointing_game"].mean() == pytest.approx(result["pointing_game"]["value"])
    assert set(frame.query("level == 'word'")["query"]) == {"effusion", "pneumonia", "cardiomegaly"}
    model = sista.load(run_path, device="cpu", precision="fp32")
    region = corpus_regions(corpus, read_ms_cxr(file), rows)[int(rows[1])][0]
    heat = model.heatmap(corpus.films([rows[1]])[0, 0].numpy(), region.phrase)
    one = frame[(frame["level"] == "phrase") & (frame["film_id"] == corpus.values("film_id", rows[1:2])[0])].iloc[0]
    assert one["value/pointing_game"] == pytest.approx(pointing_game(heat, region_area(region, corpus.size)))
    assert one["value/miou"] == pytest.approx(iou_at(heat, region_area(region, corpus.size)), abs=1e-6)
    scaled = (heat - heat.min()) / (heat.max() - heat.min())
    assert one["value/miou_scaled"] == pytest.approx(iou_at(scaled, region_area(region, corpus.size)), abs=1e-6)


def test_sentences_are_those_of_the_report_around_the_phrase(run_path, corpus_path, corpus):
    region = Region("pleural effusion/left", 0, 0, 9, 9, "Left effusion")
    assert query_text(region, "sentence", "Heart is normal. A small left  effusion is seen. No edema.") == "A small left  effusion is seen."
    assert query_text(region, "sentence", "Heart is normal.") == ""
    assert query_text(region, "phrase") == "Left effusion"
    assert query_text(region, "word") == "effusion"
    model = sista.load(run_path, device="cpu", precision="fp32")
    asked = ground_regions(model, corpus, corpus.rows("test"), limit=12, level="sentence")
    assert 0 < len(asked.hit) <= 12
    reports = corpus.reports(asked.rows)
    assert all(query in report for query, report in zip(asked.queries, reports, strict=True))


def test_what_is_not_ms_cxr_is_refused(tmp_path, corpus):
    bad = tmp_path / "x.json"
    bad.write_text('{"images": []}')
    with pytest.raises(SistaError, match="not MS-CXR"):
        read_ms_cxr(bad)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SistaError, match="no column dicom_id"):
        read_ms_cxr(tmp_path / "x.csv")
    with pytest.raises(SistaError, match="no MS-CXR annotations"):
        read_ms_cxr(tmp_path / "none.json")
    with pytest.raises(SistaError, match="none of the 2 annotated films"):
        corpus_regions(corpus, read_ms_cxr(release(tmp_path, ["q-1", "q-2"])[0]), corpus.rows("test"))
    corpus.facts["crop_borders"] = True
    with pytest.raises(SistaError, match="built with --crop-borders"):
        corpus_regions(corpus, read_ms_cxr(release(tmp_path, ["q-1", "q-2"])[0]), corpus.rows("test"))


@pytest.mark.parametrize("box", ["nan", "inf", "-3"])
def test_a_box_that_makes_no_sense_is_refused(tmp_path, box):
    file = release(tmp_path, ["aaa-1", "bbb-2"])[1]
    file.write_text(file.read_text().replace(",600,", f",{box},"))
    with pytest.raises(SistaError, match="film aaa-1 has a box of"):
        read_ms_cxr(file)


def test_a_file_of_another_form_is_refused(tmp_path):
    file = release(tmp_path, ["aaa-1", "bbb-2"])[0]
    file.write_text(file.read_text().replace('"label_text": ["Patchy opacities"]', '"label_text": []'))
    with pytest.raises(SistaError, match="not MS-CXR"):
        read_ms_cxr(file)
    with pytest.raises(SistaError, match="not MS-CXR"):
        read_ms_cxr(tmp_path)
