from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sista.archives import open_archive
from sista.archives.build import build
from sista.archives.table import Table
from sista.corpus.films.radiograph import read_radiograph
from sista.corpus.study import StudyRefused
from sista.errors import SistaError

ROWS = pd.DataFrame(
    {
        "image": ["a.png", "b.png", "c.png"],
        "text": ["Left effusion, small.", "Left effusion, small.", 'He said "normal"; really.'],
        "patient": ["p1", "p1", "p2"],
        "study": ["s1", "s1", "s2"],
        "split": ["training", "training", "VAL"],
        "view": ["PA", "Lateral", "frontal"],
        "effusion": ["1", "1", ""],
        "age": ["61", "61", "7.5"],
        "sex": ["F", "F", ""],
    }
)
OPTIONS: dict[str, Any] = {
    "subject_column": "patient", "study_column": "study", "split_column": "split", "view_column": "view", "label_columns": ("effusion",),
    "age_column": "age", "sex_column": "sex",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder: Path, kind: str, rows: pd.DataFrame = ROWS) -> Path:
    path = folder / f"table.{kind}"
    if kind == "parquet":
        rows.to_parquet(path)
    elif kind == "jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl"])
def test_all_kinds_give_the_same_studies(folder: Path, kind: str) -> None:
    table = Table(write(folder, kind), **OPTIONS)
    assert len(table) == 2
    first, second = table[0], table[1]
    assert (first.study_id, first.subject_id, first.split, first.age, first.sex) == ("s1", "p1", "train", 61, "F")
    assert [(film.film_id, film.view) for film in first.films] == [("a.png", "PA"), ("b.png", "LATERAL")]
    assert dict(first.labels) == {"effusion": 1}
    assert second.labels == {}
    assert (second.split, second.age, second.sex, second.films[0].view) == ("valid", 7.5, None, "FRONTAL")
    assert second.report == 'He said "normal"; really.'
    assert read_radiograph(first.films[0].source).shape == (10, 10)
    assert repr(table).endswith("3 films in 2 studies)")
    assert pickle.loads(pickle.dumps(table))[1] == second


def test_without_columns_each_row_is_a_study_and_its_own_subject(folder: Path) -> None:
    table = open_archive("table", table=write(folder, "csv"))
    assert len(table) == 3
    assert len({table[i].subject_id for i in range(3)}) == 3
    assert len({table[i].films[0].film_id for i in range(3)}) == 3
    assert "its own subject" in table.describe()["subjects"]
    assert table[0].split is None


def test_a_film_with_several_captions_comes_into_one_split(folder: Path) -> None:
    rows = pd.DataFrame({"image": ["a.png", "b.png", "a.png", "c.png"], "caption": ["An effusion.", "Clear.", "Fluid.", "Edema."]})
    table = Table(write(folder, "csv", rows))
    assert [table[i].subject_id for i in range(4)] == ["a.png", "row 2", "a.png", "row 4"]
    (note,) = table.notes
    assert note.startswith(f"1 film of {folder / 'table.csv'}, such as 'a.png', in several rows: each is one subject")
    assert "film that stands in several rows" in table.describe()["subjects"]
    assert pickle.loads(pickle.dumps(table))[2].subject_id == "a.png"


def test_findings_and_impression_in_two_columns(folder: Path) -> None:
    rows = ROWS.rename(columns={"text": "findings"}).assign(impression=["Effusion.", "Effusion.", ""])
    table = Table(write(folder, "csv", rows), findings_column="findings", impression_column="impression")
    assert table[0].report == "FINDINGS: Left effusion, small.\nIMPRESSION: Effusion."
    assert table[2].report == 'FINDINGS: He said "normal"; really.'


def test_films_in_another_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    table = write(tmp_path / "elsewhere", "csv")
    assert Table(table, image_root=folder)[0].films[0].source == folder / "a.png"
    with pytest.raises(SistaError, match=r"nowhere: no such folder; image_root must be"):
        Table(table, image_root=folder / "nowhere")


def test_a_wrong_column_is_named_with_its_nearest(folder: Path) -> None:
    with pytest.raises(SistaError, match=r"table\.csv: no column 'patients': did you mean 'patient'.*known: age, effusion, image"):
        Table(write(folder, "csv"), subject_column="patients")
    with pytest.raises(SistaError, match=r"no column 'edema'"):
        Table(write(folder, "csv"), label_columns=("edema",))


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_wrong_delimiter_is_seen(folder: Path, sign: str) -> None:
    ROWS.to_csv(folder / "t.csv", index=False, sep=sign)
    with pytest.raises(SistaError, match=r"seems to be separated by .* Save it with commas"):
        Table(folder / "t.csv")
    (folder / "t.csv").write_text(f"image{sign}text\na.png{sign}No edema.\nb.png{sign}Edema, effusion, no mass.\n")  # commas in a text
    with pytest.raises(SistaError, match=r"seems to be separated by .* Save it with commas"):
        Table(folder / "t.csv")


def test_texts_with_commas_need_quotes(folder: Path) -> None:
    (folder / "t.csv").write_text("image,text\na.png,Edema, no mass.\nb.png,Edema, effusion.\n")
    with pytest.raises(SistaError, match=r"first row has more cells than its header; a text that holds ',' needs quotes"):
        Table(folder / "t.csv")


def test_nan_as_some_exporters_write_it_is_an_empty_cell(folder: Path) -> None:
    table = Table(write(folder, "csv", ROWS.assign(effusion=["NaN", "1", "nan"], age="nan")), label_columns=("effusion",), age_column="age")
    assert [dict(table[i].labels) for i in range(3)] == [{}, {"effusion": 1}, {}]
    assert table[0].age is None


def test_values_that_cannot_be(folder: Path) -> None:
    with pytest.raises(SistaError, match=r"column 'split' holds 'maybe'; expected train, valid or test"):
        Table(write(folder, "csv", ROWS.assign(split="maybe")), split_column="split")
    with pytest.raises(SistaError, match=r"column 'effusion' holds 'yes'; expected 1, 0, -1 or nothing"):
        Table(write(folder, "csv", ROWS.assign(effusion="yes")), label_columns=("effusion",))
    with pytest.raises(SistaError, match=r"column 'effusion' holds 2"):
        Table(write(folder, "csv", ROWS.assign(effusion="2")), label_columns=("effusion",))
    with pytest.raises(SistaError, match=r"column 'age' holds 'old'; expected numbers"):
        Table(write(folder, "csv", ROWS.assign(age="old")), age_column="age")


def test_files_that_are_no_table(folder: Path) -> None:
    (folder / "t.xlsx").write_bytes(b"PK")
    (folder / "broken.parquet").write_bytes(b"PAR1")
    (folder / "empty.csv").write_text("")
    (folder / "latin.csv").write_bytes("image,text\na.png,Käse\n".encode("latin-1"))
    (folder / "header.csv").write_text("image,text\n")
    for name, message in (
        ("t.xlsx", "unknown kind of table '.xlsx'"),
        ("gone.csv", "no such file"),
        ("broken.parquet", "cannot be read as parquet"),
        ("empty.csv", "cannot be read as csv"),
        ("latin.csv", "not UTF-8"),
        ("header.csv", "a header and no rows"),
    ):
        with pytest.raises(SistaError, match=message) as caught:
            Table(folder / name)
        assert name in str(caught.value)


def test_studies_that_contradict_themselves_are_refused(folder: Path) -> None:
    table = Table(write(folder, "csv", ROWS.assign(text=["one", "two", "three"])), study_column="study", subject_column="patient")
    with pytest.raises(StudyRefused, match="one study with different reports: s1"):
        table[0]
    for cells in (["one", "", "three"], ["", "one", "three"], ["", "", "three"]):  # a report written once, in any row, is the study's
        table = Table(write(folder, "csv", ROWS.assign(text=cells)), study_column="study", subject_column="patient")
        assert [study.report for study in table] == ["".join(cells[:2]), "three"]
    table = Table(write(folder, "csv", ROWS.assign(patient=["", "", "p2"])), study_column="study", subject_column="patient")
    with pytest.raises(StudyRefused, match="no subject: s1"):
        table[0]
    for column, cells, what in (
        ("patient", ["p1", "p9", "p2"], "subjects"),
        ("split", ["train", "test", "valid"], "splits"),
        ("effusion", ["1", "0", ""], "labels"),
        ("age", ["61", "62", ""], "ages"),
        ("sex", ["F", "M", ""], "sexes"),
    ):
        table = Table(write(folder, "csv", ROWS.assign(**{column: cells})), **OPTIONS)
        with pytest.raises(StudyRefused, match=rf"one study with different {what}: s1 of table\.csv \(column '{column}'\)"):
            table[0]


def test_a_subject_in_two_splits_is_told_before_films_are_read(folder: Path) -> None:
    rows = ROWS.assign(patient=["p1", "p1", "p1"])
    with pytest.raises(SistaError, match=r"table\.csv: 1 subject\(s\) in more than one split: p1\. Give all studies"):
        Table(write(folder, "csv", rows), **OPTIONS)
    assert len(Table(write(folder, "csv", rows.assign(split=["training", "", ""])), **OPTIONS)) == 2
    assert len(Table(write(folder, "csv", rows), **{**OPTIONS, "subject_column": None})) == 2


def test_cells_left_empty_contradict_nothing(folder: Path) -> None:
    rows = ROWS.assign(split=["", "train", "VAL"], effusion=["", "1.0", ""], age=["61", "", ""], sex=["", "F", ""])
    study = Table(write(folder, "csv", rows), **OPTIONS)[0]
    assert (study.split, study.labels, study.age, study.sex) == ("train", {"effusion": 1.0}, 61, "F")


def test_line_ends_within_a_text_of_json_lines(folder: Path) -> None:
    texts = ["Left effusion,\u2028small.", "Left effusion,\u2028small.", "Next\u0085line."]
    lines = [json.dumps({**row, "text": text}, ensure_ascii=False) for row, text in zip(ROWS.to_dict("records"), texts, strict=True)]
    (folder / "table.jsonl").write_text("\r\n".join(lines) + "\n", encoding="utf-8", newline="")
    assert [study.report for study in (Table(folder / "table.jsonl", **OPTIONS)[n] for n in range(2))] == [texts[0], texts[2]]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_labels_may_be_true_and_false(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "text": ["Edema.", "Clear."], "edema": [True, False]})
    file = tmp_path / f"films.{kind}"
    frame.to_parquet(file) if kind == "parquet" else frame.to_json(file, orient="records", lines=True)
    archive = Table(file, report_column="text", label_columns=["edema"])
    assert [archive[row].labels for row in range(2)] == [{"edema": 1.0}, {"edema": 0.0}]


def test_an_unknown_archive(folder: Path) -> None:
    with pytest.raises(SistaError, match="did you mean 'table'"):
        open_archive("tabel")


def test_a_build_without_any_film_reads_again_once_they_are_there(folder: Path, tmp_path: Path) -> None:
    table, other = write(folder, "csv", ROWS.assign(text=3 * ["Left effusion, small."], study=["s1", "s2", "s3"])), tmp_path / "empty"
    other.mkdir()
    options = {"workers": 1, "progress": False, "views": "all", "min_words": 1, "size": 10}
    with pytest.raises(SistaError, match=r"no usable study \(no such file: 3\)"):
        build(Table(table, **OPTIONS, image_root=other), tmp_path / "corpus", **options)
    assert build(Table(table, **OPTIONS), tmp_path / "corpus", **options)["rows"] == 3
