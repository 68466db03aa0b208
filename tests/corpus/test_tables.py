"""Tables of text: another separator than their ending says is told, and nothing else is taken for one."""

from pathlib import Path

import pytest

from sista.corpus.tables import read_table
from sista.errors import SistaError


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.csv", '"Image;\nPath",text\na.png,b\n', ["Image;\nPath", "text"]),
        ("a.csv", '"image;path"\na.png\n', ["image;path"]),
        ("a.csv", "image\na.png\n", ["image"]),
        ("a.csv", "\nimage,text\na.png,b\n", ["image", "text"]),
        ("a.tsv", '"Report, free\ntext"\timage\nx\ty\n', ["Report, free\ntext", "image"]),
        ("a.tsv", '"image, path"\na.png\n', ["image, path"]),
    ],
)
def test_signs_in_quotes_separate_nothing(tmp_path: Path, name: str, text: str, columns: list[str]) -> None:
    (tmp_path / name).write_text(text)
    table = read_table(tmp_path / name)
    assert (list(table.columns), len(table)) == (columns, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image,text,label\na.png,"b\nc",1\nb.png,,\nc.png,NA\n', r"a\.csv: data row 3 has 2 cells, the header 3\. If the file was cut"),
        ("image,text,label\na.png,b\nb.png,c\n", r"data row 1 has 2 cells, the header 3\. .* write ',' for each of them"),
        ("image,text,label\na.png,b,1\nb.p", r"data row 2 has 1 cells, the header 3"),
    ],
)
def test_a_table_that_is_cut_short_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SistaError, match=message):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("image,text,label\nb.png,,\nc.png,NA,nan\n\n \n", [["b.png", "", ""], ["c.png", "NA", "nan"]]),
        ("image,text,\na.png,b\n", [["a.png", "b", ""]]),  # a column without a name
        ("image,text,label\na.png,b,1\nb.png,c\nc.png\n", [["a.png", "b", "1"], ["b.png", "c", ""], ["c.png", "", ""]]),  # a spreadsheet's
        ("image,text\r\na.png," + "x" * 140_000 + "\r\n", [["a.png", "x" * 140_000]]),
    ],
)
def test_empty_cells_may_be_missing_at_the_end_of_a_row(tmp_path: Path, text: str, rows: list[list[str]]) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_table(tmp_path / "a.csv").to_numpy().tolist() == rows


@pytest.mark.parametrize(
    "text",
    [
        "image;text\na.png;b\n",
        '"image";"text"\n"a.png";"b, c"\n',
        "\nimage;text\na.png;foo\n",
        "image;text\na.png;a\nb.png;b, c\n",
        "image;text\na.png;a, b\nb.png;c\n",
    ],
)
def test_another_separator_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SistaError, match=r"a\.csv: its header has one column only, .* separated by ';'. Save it with commas"):
        read_table(tmp_path / "a.csv")


def test_other_encodings_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image\ttext\na.png\tb\n", encoding="utf-16")
    with pytest.raises(SistaError, match="not UTF-8 text"):
        read_table(tmp_path / "a.csv")


def test_a_table_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("image,text\na.png,b\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sista.corpus.tables.pd.read_csv", refuse)
    with pytest.raises(SistaError, match=r"a\.csv: cannot be read as csv .*Permission denied"):
        read_table(tmp_path / "a.csv")
