"""Tables as released: header spaces, other names, other separators, damage."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sista.archives.release import Release, RowGroups, read_columns, read_text
from sista.errors import SistaError
from tests.archives.miniature import text


class Counted(Release):
    name = "counted"

    def counts(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_columns_come_under_our_names_whatever_the_header_looks_like(tmp_path: Path, ending: str) -> None:
    path = text(tmp_path / f"a.{ending}", "\ufeffImageId, Code ,Patient Sex,\nNA, -1,F,\n b ,,,\n")
    frame = read_columns(path, {"image": "ImageId", "sex": ("Patient Gender", "Patient Sex")}, {"code": "Code", "age": "Age"}, ("age",))
    assert frame["image"].tolist() == ["NA", "b"]
    assert frame["sex"].tolist() == ["F", ""]
    assert frame["code"].tolist()[0] == -1
    assert np.isnan(frame["code"].tolist()[1])
    assert "age" not in frame


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("image;label\na;1\n", ["separated by ';'", "commas"]),
        ("images,label\na,1\n", ["no column 'image'", "images", "as released"]),
        ("image,label\na,yes\n", ["cannot be read", "yes"]),
        ("", ["cannot be read"]),
        ('image,label\n"a,1\n', ["cannot be read"]),
        ("image,label\na,1\n\nb\n", ["line 4: 1 fields, its header has 2"]),
        ("image,label\na,1,0 1 1\n", ["line 2: 3 fields, its header has 2"]),
    ],
)
def test_a_table_that_is_not_as_released_is_named(tmp_path: Path, content: str, words: list[str]) -> None:
    path = text(tmp_path / "table.csv", content)
    with pytest.raises(SistaError) as caught:
        read_columns(path, {"image": "image"}, {"label": "label"})
    assert str(path) in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_ends_without_a_name_may_be_missing_and_empty_ones_too_many(tmp_path: Path) -> None:
    path = text(tmp_path / "table.csv", "image,label,,\na,1\nb,2,,\n\nc,3,,,,\n")  # as NIH's list of boxes
    assert read_columns(path, {"image": "image"}, {"label": "label"})["label"].tolist() == [1, 2, 3]


def test_a_long_field_is_no_damage(tmp_path: Path) -> None:
    path = text(tmp_path / "table.csv", "image,code\na," + "1 " * 2**17 + "\n")
    assert len(read_columns(path, {"code": "code"})["code"][0]) == 2**18 - 1


def test_two_tables_of_one_name_both_count(tmp_path: Path) -> None:
    one, other = text(tmp_path / "a" / "list.txt", "1"), text(tmp_path / "b" / "list.txt", "2")

    def described() -> dict[str, object]:
        release = Counted(tmp_path)
        for path in (one, other, one):
            release.find(root=path)
        return release.describe()

    before = described()
    assert len(before["tables"]) == 2
    text(other, "3")
    assert described() != before


def test_a_text_may_be_gzipped_and_have_a_byte_order_mark(tmp_path: Path) -> None:
    for name in ("list.txt", "list.txt.gz"):
        assert read_text(text(tmp_path / name, "\ufeffa\nb\n")) == "a\nb\n"
    (tmp_path / "list.txt").write_bytes(b"caf\xe9")
    with pytest.raises(SistaError, match=r"list\.txt: not UTF-8 text .* download it again"):
        read_text(tmp_path / "list.txt")


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = text(tmp_path / "table.csv.gz", "image,label\n" + "a,1\n" * 500)
    whole = path.read_bytes()
    for damaged in (whole[:40], whole[:20] + b"\xff" * 8 + whole[28:]):
        path.write_bytes(damaged)
        with pytest.raises(SistaError, match="download it again"):
            read_columns(path, {"image": "image"})


def test_a_missing_table_says_what_is_there_instead(tmp_path: Path) -> None:
    text(tmp_path / "other.csv", "a\n")
    with pytest.raises(SistaError, match=r"expected train\.csv \(or \.gz\) there, found other\.csv"):
        Release(tmp_path).find("train.csv")
    with pytest.raises(SistaError, match="no such file or folder"):
        Release(tmp_path / "nowhere").find("train.csv")


def test_groups_keep_the_order_of_the_table() -> None:
    groups = RowGroups(pd.Series(["b", "a", "b", "c", "a", "b"]))
    assert [groups.id_of(index) for index in range(len(groups))] == ["b", "a", "c"]
    assert [groups[index].tolist() for index in range(3)] == [[0, 2, 5], [1, 4], [3]]
    assert groups.first.tolist() == [0, 1, 3]
    assert groups[-1].tolist() == [3]
    with pytest.raises(IndexError):
        groups[3]
