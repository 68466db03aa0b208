"""An archive split by id lists: a published protocol's on a miniature of its release, and lists of one's own."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import sista
from sista.archives.listed import Listed
from sista.archives.phantom import Phantom
from sista.archives.rsna import Rsna
from sista.archives.table import Table
from sista.cli import main
from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from sista.corpus.study import NotAsked
from sista.errors import SistaError
from sista.protocols.explain import protocol
from sista.transfer.protocol import protocol_facts
from tests.archives.miniature import DATA, film
from tests.protocols.synthetic import rsna


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six films of four studies, in folders as releases have them."""
    rows = []
    for number, study in enumerate("aabbcd"):
        name = f"{'train' if number < 4 else 'test'}/{number}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)).save(tmp_path / name)
        rows.append({"image": name, "text": f"Left effusion of study {study}.", "study": study, "split": "test"})
    pd.DataFrame(rows).to_csv(tmp_path / "films.csv", index=False)
    return tmp_path / "films.csv"


def lists(folder: Path, **splits: str) -> Path:
    folder.mkdir()
    for split, ids in splits.items():
        (folder / f"{split}.txt").write_text("".join(f"{one}\n" for one in ids.split()))
    return folder


def open_table(table: Path) -> Table:
    return Table(table, report_column="text", study_column="study", split_column="split")


def test_a_protocol_written_is_the_split_that_is_built(tmp_path: Path) -> None:
    release = rsna(60, 20, 30)
    release.to_csv(tmp_path / "stage_2_train_labels.csv", index=False)
    for name in release["patientId"].unique():
        film(tmp_path / "stage_2_train_images" / f"{name}.dcm")
    protocol("mgca-rsna-reported", tmp_path / "stage_2_train_labels.csv", tmp_path / "lists")
    archive = Listed(Rsna(tmp_path), tmp_path / "lists")
    assert archive.protocol == "mgca-rsna-reported"
    found = {split: sorted(s.study_id for s in (archive[i] for i in range(len(archive))) if s.split == split) for split in archive.listed}
    for split, ids in found.items():
        assert ids == (tmp_path / "lists" / f"{split}.txt").read_text().split()
        assert len(ids) == archive.listed[split] > 0
    assert Listed(Rsna(tmp_path), tmp_path / "lists").describe() == archive.describe() != Rsna(tmp_path).describe()


def test_films_go_where_the_lists_say_and_others_are_left_out(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By id, by the end of the path with its folder, by file name, and by that without its ending."""
    folder = lists(tmp_path / "lists", train="train/0.png 1.png", test="4 nowhere.png")
    options = ["--report-column", "text", "--study-column", "study", "--split-column", "split"]
    command = ["build", "table", "--table", str(table), *options, "--lists", str(folder), "--out", str(tmp_path / "corpus"), "--size", "32"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["lists"] == {
        "train": {"listed": 2, "in_corpus": 2},
        "valid": {"listed": 0, "in_corpus": 0},
        "test": {"listed": 2, "in_corpus": 1},
    }
    assert told["protocol"] is None
    corpus = Corpus.open(tmp_path / "corpus")
    rows = np.arange(len(corpus))
    assert list(zip(corpus.values("film_id", rows), corpus.values("split", rows), strict=True)) == [
        ("train/0.png", "train"),
        ("train/1.png", "train"),
        ("test/4.png", "test"),
    ]
    assert "in none of the lists: b" in (tmp_path / "corpus" / "left_out.csv").read_text()
    again = sista.build(open_table(table), tmp_path / "other", size=32, progress=False)
    assert again["rows"] == 6
    assert again["fingerprint"] != told["fingerprint"]


def test_copies_of_another_format_are_found(table: Path, tmp_path: Path) -> None:
    folder = lists(tmp_path / "lists", train="train/0.jpg 1.dcm", valid="2.png", test="2.jpg 4.jpg")
    archive = Listed(open_table(table), folder)
    assert [(film.film_id, archive[0].split) for film in archive[0].films] == [("train/0.png", "train"), ("train/1.png", "train")]
    assert archive[1].split == "valid"  # by its own name, although 2.jpg is another
    assert archive[2].split == "test"


@pytest.mark.skipif(not (DATA / "nih/tables").is_dir(), reason="the NIH tables and films are not there")
def test_the_films_at_hand_of_a_real_release_go_where_its_protocol_says(tmp_path: Path) -> None:
    """1,000 films of ChestX-ray14, JPEG copies of the PNG files that its table names; patients stay whole."""
    protocol("kad-nih", DATA / "nih/tables/Data_Entry_2017_v2020.csv.gz", tmp_path / "lists")
    archive = Listed(Table(DATA / "nih/images.csv", subject_column="patient_id", label_columns=["Pneumonia"]), tmp_path / "lists")
    studies = [archive[index] for index in range(len(archive))]
    assert Counter(study.split for study in studies) == {"train": 694, "valid": 113, "test": 193}
    assert len({(study.subject_id, study.split) for study in studies}) == len({study.subject_id for study in studies})


def test_films_in_memory_and_with_masks_are_taken_too(tmp_path: Path) -> None:
    phantom = Phantom(6, size=64)
    archive = Listed(phantom, lists(tmp_path / "lists", train=" ".join(phantom[index].films[0].film_id for index in range(6))))
    taken = [archive[index] for index in range(6)]
    assert {study.split for study in taken} == {"train"}
    assert any(region.mask is not None for study in taken for region in study.films[0].regions)


def test_what_would_leak_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"1 id\(s\) stand in two lists, such as 'train/1.png'"):
        Listed(open_table(table), lists(tmp_path / "two", train="train/0.png train/1.png", valid="train/1.png"))
    apart = Listed(open_table(table), lists(tmp_path / "apart", train="train/0.png", valid="train/1.png", test="train/2.png"))
    with pytest.raises(SistaError, match="films of study a stand in train and valid"):
        apart[0]
    assert [(film.film_id, film.not_asked) for film in apart[1].films] == [("train/2.png", ""), ("train/3.png", "in none of the lists")]
    with pytest.raises(NotAsked, match="in none of the lists: c"):
        apart[2]


def test_what_is_no_folder_of_lists_is_told(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"holds no train\.txt"):
        Listed(open_table(table), tmp_path)
    folder = lists(tmp_path / "lists", train="train/0.png")
    (folder / "protocol.json").write_text("{}")
    with pytest.raises(SistaError, match=r"protocol\.json is not what `sista protocol NAME --out` writes"):
        Listed(open_table(table), folder)
    (folder / "protocol.json").unlink()
    (folder / "valid.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SistaError, match="cannot be read as a list of ids"):
        Listed(open_table(table), folder)


def test_a_film_in_no_list_is_named_and_stops_no_build_that_refuses_the_unusable(table: Path, tmp_path: Path) -> None:
    """Of study a one film of two is listed, of study c none: nothing is wrong with them, nobody asked for them."""
    listed = Listed(open_table(table), lists(tmp_path / "lists", train="train/0.png train/2.png train/3.png", test="test/5.png"))
    facts = build_corpus(listed, tmp_path / "corpus", size=32, on_error="refuse", progress=False)
    assert facts["reasons"] == {"in none of the lists": 2}
    assert [line.split(",")[:2] for line in (tmp_path / "corpus" / "left_out.csv").read_text().splitlines()[1:]] == [
        ["a", "train/1.png"],
        ["study number 2", ""],
    ]
    (table.parent / "test/5.png").write_bytes(b"")
    with pytest.raises(SistaError, match=r"^study d: .*5\.png.*Mend it"):
        build_corpus(listed, tmp_path / "again", size=32, on_error="refuse", progress=False)


def test_a_corpus_says_by_whose_lists_it_was_built(table: Path, tmp_path: Path) -> None:
    folder = lists(tmp_path / "lists", train="train/0.png train/2.png", test="test/4.png")
    (folder / "protocol.json").write_text('{"protocol": "mgca-rsna-reported"}')
    build_corpus(Listed(open_table(table), folder), tmp_path / "corpus", size=32, progress=False)
    corpus = Corpus.open(tmp_path / "corpus")
    facts = protocol_facts("mgca-rsna-reported", {"train": 2}, corpus)["beside"]["lists"]
    assert facts["of"] == "mgca-rsna-reported"
    assert facts["train"] == hashlib.sha256((folder / "train.txt").read_bytes()).hexdigest()
    with pytest.raises(SistaError, match="was built by the lists of mgca-rsna-reported; name that protocol"):
        protocol_facts("mgca-rsna-classify", {"train": 2}, corpus)
