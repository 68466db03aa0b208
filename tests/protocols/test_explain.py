"""The verb: listing, explaining, checking, writing, and what it says when the input is wrong."""

import hashlib
import json

import pytest

from sista.errors import SistaError
from sista.protocols import PROTOCOLS, STATUS, assign, protocol
from sista.protocols.published import SOURCES
from tests.protocols import synthetic as made


def test_without_a_name_all_are_listed_in_a_line_each():
    listed = protocol()
    assert list(listed) == list(PROTOCOLS)
    assert "186,027 / 5,000 / 202; as coded" in listed["mgca-chexpert"]
    assert "exact with the authors' lists" in listed["nih-official"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_explains_itself_completely(name):
    text = protocol(name)
    json.dumps(text)
    for key in ("citation", "split", "sizes", "published counts", "obtain", "status means", "table"):
        assert text[key], key
    assert text["status"] in STATUS
    assert text["known defects"] or name == "benchx-covidx-corrected"
    for task in text["tasks"].values():
        assert all(task[key] for key in ("metric", "head", "loss", "optimiser", "preprocessing", "image size"))


def test_every_published_number_names_a_source_and_reads_as_percent():
    scores = [score for one in PROTOCOLS.values() for task in one.tasks for score in task.scores]
    assert len(scores) > 150
    for score in scores:
        assert score.source in SOURCES
        assert len(score.values) == 3
        assert all(value is None or 0 < value < 100 for value in score.values)
    rows = {score.method: score for score in PROTOCOLS["mgca-rsna-reported"].tasks[1].scores}
    assert rows["MGCA (ViT)"].values == (69.3, 70.0, 72.3)
    floor = {score.method: score.values for score in PROTOCOLS["mgca-siim"].tasks[0].scores}
    assert max(value[2] for method, value in floor.items() if "fine-tuned" not in method and "nothing" not in method) < 77.8
    assert PROTOCOLS["mgca-objectcxr-coded"].tasks[0].scores[0].values == (None, 0.5, 4.4)


def test_a_table_is_checked_against_the_published_counts(tmp_path):
    made.rsna(26_684, 6_012, 9_555).iloc[1:].to_csv(tmp_path / "stage_2_train_labels.csv", index=False)
    check = protocol("mgca-rsna-reported", tmp_path / "stage_2_train_labels.csv")["check"]
    assert check["release"]["rows"] == 30_226
    assert check["differs"]["rows"] == {"here": 30_226, "published": 30_227, "difference": -1}
    assert "differ from the published ones" in check["verdict"]


def test_a_count_whose_file_is_not_there_is_named(tmp_path):
    made.object_cxr().to_csv(tmp_path / "train.csv", index=False)
    check = protocol("mgca-objectcxr-coded", tmp_path / "train.csv")["check"]
    assert check["not counted"] == ["dev images"]
    assert check["differs"] == {"test ids": {"here": 0, "published": 1_000, "difference": -1_000}}


def test_lists_shares_and_checksums_are_written(tmp_path):
    table = tmp_path / "stage_2_train_labels.csv"
    made.rsna(1_000, 225, 300).to_csv(table, index=False)
    result = protocol("mgca-rsna-classify", table, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "protocol.json").read_text())
    assert record["checksum"] == result["checksum"] == assign("mgca-rsna-classify", table).checksum
    assert record["table"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert set(record["versions"]) == {"numpy", "pandas", "scikit-learn"}
    assert "shares/train-1-as-coded.txt" in record["files"]
    assert "shares/train-10-draw-4.txt" in record["files"]
    for name, entry in record["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert content.count(b"\n") == entry["ids"] > 0
    again = protocol("mgca-rsna-classify", table, tmp_path / "again")
    assert again["files"] == result["files"]


def test_no_list_of_another_protocol_is_left_in_the_folder(tmp_path):
    table, out, rows = tmp_path / "stage_2_train_labels.csv", tmp_path / "out", made.rsna(1_000, 225, 300)
    rows.to_csv(table, index=False)
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(made.rsna_mapping(rows, 200).to_dict("records")))
    first = protocol("mgca-rsna-classify", table, out)["files"]
    (out / "mine.txt").write_text("a note\n")
    files = protocol("mgca-rsna-corrected", table, out)["files"]
    assert "shares/train-1-as-coded.txt" in set(first) - set(files)
    assert {str(file.relative_to(out)) for file in out.rglob("*.*")} == {*files, "protocol.json", "mine.txt"}


def test_an_empty_cell_is_no_negative():
    table = made.siim(60, 10, 4, 66)
    column = next(name for name in table.columns if name.strip() == "EncodedPixels")
    table.loc[5, column] = None
    with pytest.raises(SistaError, match="1 rows without EncodedPixels"):
        assign("mgca-siim", table)


def test_lists_never_overwrite_the_release_and_say_what_their_status_means(tmp_path):
    for name, classes in (("train", {"negative": 60, "positive": 40}), ("test", {"negative": 6, "positive": 4})):
        made.covidx(classes, 50, name).to_csv(tmp_path / f"{name}.txt", sep=" ", header=False, index=False)
    before = (tmp_path / "train.txt").read_bytes()
    with pytest.raises(SistaError, match=r"is the folder of train\.txt, whose train\.txt or test\.txt could be overwritten"):
        protocol("mgca-covidx-reported", tmp_path / "train.txt", tmp_path / "." / "")
    assert (tmp_path / "train.txt").read_bytes() == before
    for out in (tmp_path / "test.txt", tmp_path / "test.txt" / "below"):
        with pytest.raises(SistaError, match=r"test\.txt is a file; give a folder for the id lists"):
            protocol("mgca-covidx-reported", tmp_path / "train.txt", out)
    made.nih(50, 20).to_csv(tmp_path / "Data_Entry_2017_v2020.csv", index=False)
    names = made.nih(50, 20)["Image Index"].tolist()
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[:40]))
    (tmp_path / "test_list.txt").write_text("\n".join(names[40:]))
    protocol("nih-official", tmp_path / "Data_Entry_2017_v2020.csv", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "protocol.json").read_text())
    assert record["status means"] == STATUS[record["status"]] == STATUS["exact"]


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "train_COVIDx9A.txt"
    made.covidx({"normal": 60, "COVID-19": 40}, 50).to_csv(path, sep=" ", header=False, index=False)
    with path.open("a") as file:
        file.write("9 cut.png\n")
    with pytest.raises(SistaError, match=r"train_COVIDx9A\.txt, line 101: fewer than 4 fields"):
        protocol("mgca-covidx", path)
    packed = tmp_path / "train.csv.gz"
    made.object_cxr(200).to_csv(packed, index=False)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(SistaError, match=r"train\.csv\.gz cannot be read as train\.csv of Object-CXR"):
        protocol("mgca-objectcxr-coded", packed)
    labels = made.rsna(200, 50, 60).astype({"Target": object})
    labels.loc[3, "Target"] = "yes"
    labels.to_csv(tmp_path / "stage_2_train_labels.csv", index=False)
    with pytest.raises(SistaError, match=r"labels\.csv, line 5: Target is yes, expected 0 or 1; download it again"):
        protocol("mgca-rsna-reported", tmp_path / "stage_2_train_labels.csv")
    made.nih(50, 20).to_csv(tmp_path / "Data_Entry_2017_v2020.csv", index=False)
    for name in ("train_val_list.txt", "test_list.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SistaError, match=r"_list\.txt cannot be read as a list of ids"):
        protocol("nih-official", tmp_path / "Data_Entry_2017_v2020.csv")


def test_classes_of_another_release_differ_and_are_not_said_to_be_missing(tmp_path):
    for name in ("train", "test"):
        made.covidx({"negative": 60, "positive": 40}, 50, name).to_csv(
            tmp_path / f"{name}_COVIDx9A.txt", sep=" ", header=False, index=False
        )
    check = protocol("mgca-covidx", tmp_path / "train_COVIDx9A.txt")["check"]
    assert check["not counted"] == []
    assert check["differs"]["train pneumonia"] == {"here": 0, "published": 5_555, "difference": -5_555}


def test_files_without_a_header_and_the_mapping_are_read_from_beside_the_table(tmp_path):
    made.covidx({"normal": 60, "COVID-19": 40}, 50).to_csv(tmp_path / "train_COVIDx9A.txt", sep=" ", header=False, index=False)
    made.covidx({"normal": 8, "COVID-19": 4}, 50, "test").to_csv(tmp_path / "test_COVIDx9A.txt", sep=" ", header=False, index=False)
    assert assign("mgca-covidx", tmp_path / "train_COVIDx9A.txt").sizes == {"train": 80, "valid": 20, "test": 12}
    table = made.rsna(500, 110, 150)
    table.to_csv(tmp_path / "stage_2_train_labels.csv", index=False)
    with pytest.raises(SistaError, match=r"needs pneumonia-challenge-dataset-mappings_2018.json beside the table"):
        assign("mgca-rsna-corrected", tmp_path / "stage_2_train_labels.csv")
    mapping = made.rsna_mapping(table, 200).to_dict("records")
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapping))
    check = protocol("mgca-rsna-corrected", tmp_path / "stage_2_train_labels.csv")["check"]
    assert set(check["patients in two subsets"].values()) == {0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mgca-chexprt"}, "unknown protocol 'mgca-chexprt': did you mean 'mgca-chexpert'"),
        ({"name": "mgca-siim", "table": "nowhere.csv"}, "nowhere.csv: no such file; expected train-rle.csv of SIIM"),
        ({"name": "mgca-siim", "out": "lists"}, "--out needs --table"),
        ({"table": "x.csv"}, "which protocol"),
    ],
)
def test_mistakes_are_named_with_the_remedy(arguments, message):
    with pytest.raises(SistaError, match=message):
        protocol(**arguments)


def test_another_table_is_refused_by_its_columns(tmp_path):
    path = tmp_path / "train.csv"
    made.object_cxr(10).to_csv(path, index=False)
    with pytest.raises(
        SistaError, match=r"is not train.csv of CheXpert: no column 'Path', 'Frontal/Lateral'.*found image_name, annotation"
    ):
        protocol("mgca-chexpert", path)
    with pytest.raises(SistaError, match=r"is not train_COVIDx9A.txt of COVIDx 9A: \d field\(s\) separated by spaces, expected 4"):
        protocol("mgca-covidx", path)
    path.write_text("")
    with pytest.raises(SistaError, match=r"cannot be read as train.csv of CheXpert"):
        protocol("mgca-chexpert", path)
    path.write_bytes(b"\x00\xff\xfe\x00" * 50)
    with pytest.raises(SistaError):
        protocol("mgca-chexpert", path)
    path.write_text("image_name,annotation\n")
    with pytest.raises(SistaError, match="has no rows"):
        protocol("mgca-objectcxr-coded", path)
    with pytest.raises(SistaError, match="the table given is not"):
        assign("mgca-siim", made.object_cxr(10))


def test_an_id_that_stands_twice_and_an_unknown_finding_are_refused():
    table = made.nih(50, 20)
    with pytest.raises(SistaError, match="stand in the tables twice"):
        assign("nih-official", table.iloc[[0, *range(50)]])
    with pytest.raises(SistaError, match=r"unknown finding\(s\) Cold"):
        assign("nih-official", table.assign(**{"Finding Labels": "Cold"}))
