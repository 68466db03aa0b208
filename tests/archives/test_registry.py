"""Every archive by name, with what a user wants to know before downloading."""

import inspect

import pytest

from sista.archives.registry import ARCHIVES, archive_class, archives
from sista.cli import main
from sista.errors import SistaError


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_what_the_builder_expects(name: str) -> None:
    kind = archive_class(name)
    assert kind.name == name
    assert all(hasattr(kind, method) for method in ("__len__", "__getitem__", "describe"))
    assert set(archives()[name]) == {"what", "licence", "obtain", "use"}
    assert all(archives()[name].values())


@pytest.mark.parametrize("name", sorted(set(ARCHIVES) - {"phantom", "phantom-v1", "table", "folder"}))
def test_a_release_says_what_it_reads_and_documents_every_argument(name: str) -> None:
    text = inspect.getdoc(archive_class(name)) or ""
    for words in ("Read", "Left out:", "Licence:", "Obtain: https://", "Args:"):
        assert words in text, words
    arguments = set(inspect.signature(archive_class(name)).parameters)
    assert all(f"\n    {argument}: " in text for argument in arguments)
    build = set(inspect.signature(__import__("sista.archives.build", fromlist=["build"]).build).parameters)
    assert not arguments & build, "an option of the archive would hide one of build"


@pytest.mark.parametrize("name", ["mimic_cxr", "openi", "siim"])
def test_the_options_of_an_archive_are_options_of_build(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", name, "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{argument}" in shown for argument in inspect.signature(archive_class(name)).parameters)


def test_an_unknown_archive_is_answered_with_the_nearest() -> None:
    with pytest.raises(SistaError, match="did you mean 'chexpert'"):
        archive_class("chexprt")
