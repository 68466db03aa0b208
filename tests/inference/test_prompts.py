"""Prompt pairs."""

from pathlib import Path

import pytest

from sista.errors import SistaError
from sista.inference.prompts import PromptPair, default_prompts, read_prompts


def test_default_prompts_affirm_and_deny() -> None:
    pair = default_prompts("Pleural_Effusion")
    assert "There is a pleural effusion." in pair.positive
    assert "No pleural effusion." in pair.negative
    assert "There is edema." in default_prompts("edema").positive


def test_a_finding_without_a_word_is_refused() -> None:
    for name in ("", "!!!", "_"):
        with pytest.raises(SistaError, match="holds no word to ask for"):
            default_prompts(name)


def test_prompts_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text('{"ptx": {"positive": ["Pneumothorax."], "negative": ["No pneumothorax.", "Lungs expanded."]}}')
    assert read_prompts(file) == {"ptx": PromptPair(("Pneumothorax.",), ("No pneumothorax.", "Lungs expanded."))}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "must map"),
        ('{"a": ["x"]}', "must map"),
        ('{"a": {"positive": ["x"]}}', "negative"),
        ('{"a": {"positive": [], "negative": ["x"]}}', "at least one"),
        ('{"a": {"positive": "Edema.", "negative": "No edema."}}', "'Edema.' is no list of sentences"),
        ('{"a": {"positive": ["x", 2], "negative": ["y"]}}', "is no list of sentences"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(content)
    with pytest.raises(SistaError, match=said):
        read_prompts(file)


def test_a_file_without_findings_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(SistaError, match=r"empty\.json holds no finding; leave --prompts out"):
        read_prompts(tmp_path / "empty.json")
    with pytest.raises(SistaError, match="give a JSON file"):
        read_prompts(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="no prompts at"):
        read_prompts(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["No Finding", "No_Finding", "no finding", "Normal"])
def test_a_label_of_films_without_findings_is_affirmed_by_normal_statements(name: str) -> None:
    pair, other = default_prompts(name), default_prompts("edema")
    assert "Normal chest." in pair.positive
    assert not set(pair.positive) & set(pair.negative)
    assert set(pair.positive) <= set(other.negative)
    assert not any("no finding" in text.lower() for text in pair.positive + pair.negative)
