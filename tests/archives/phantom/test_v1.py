"""phantom-v1 stays what it is."""

from pathlib import Path

import pytest

from sista.archives.build import build
from sista.archives.phantom.v1 import DIGESTS, PARTS, PhantomV1, digests
from sista.archives.registry import archive_class
from sista.errors import SistaError


@pytest.mark.parametrize("part", [pytest.param(part, marks=[pytest.mark.slow] if part == "pairs" else []) for part in PARTS])
def test_it_is_what_it_was(part: str) -> None:
    words, films = digests(PhantomV1(part))
    assert words == DIGESTS[part][0]
    if films != DIGESTS[part][1]:
        pytest.skip("the words are the same; films differ, in single gray levels on another processor, or because the renderer changed")


def test_splits_come_with_the_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "labelled", PARTS["labelled"].__class__(60, 26_020, (0.5, 0.1, 0.4), ""))
    facts = [build(PhantomV1("labelled"), tmp_path / salt, salt=salt, progress=False) for salt in ("a", "b")]
    assert facts[0]["splits"] == facts[1]["splits"]
    assert facts[0]["splits"]["train"] > 20


def test_parts_share_no_study_and_an_unknown_one_is_refused() -> None:
    assert archive_class("phantom-v1") is PhantomV1
    assert len({(part.seed, part.site) for part in PARTS.values()}) == len(PARTS)
    with pytest.raises(SistaError, match="has no part 'pair': did you mean 'pairs'"):
        PhantomV1("pair")
