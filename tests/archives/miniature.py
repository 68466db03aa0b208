"""What the miniatures of releases are made of: small films, texts, a pickled copy."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sista.archives.release import Release
from sista.corpus.study import StudyRefused

DATA = Path(__file__).parents[2] / "../shared/data"


def film(path: Path, width: int = 16, height: int = 12) -> Path:
    """A gray film with a ramp; the ending decides the format (a .dcm is a stub, for archives never open it)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".dcm", ".dicom"):
        path.write_bytes(bytes(128) + b"DICM")
    else:
        Image.fromarray(np.tile(np.arange(width, dtype=np.uint8) * 9, (height, 1))).save(path)
    return path


def text(path: Path, content: str) -> Path:
    """A text file, or a gzipped one when the path ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content, encoding="utf-8")
    return path


def refusals(archive: Release) -> dict[int, str]:
    """Index -> reason of every study that is refused; any other exception is a failure of the archive."""
    reasons = {}
    for index in range(len(archive)):
        try:
            archive[index]
        except StudyRefused as refused:
            reasons[index] = str(refused)
    return reasons


def same_after_pickling(archive: Release) -> None:
    """A copy made by pickle describes itself alike, yields equal studies, and iteration ends."""
    copy: Any = pickle.loads(pickle.dumps(archive))
    assert json.loads(json.dumps(copy.describe())) == archive.describe()
    assert refusals(copy) == refusals(archive)
    usable = [index for index in range(len(archive)) if index not in refusals(archive)]
    for index in usable[:3]:
        assert copy[index].labels == archive[index].labels
        assert [one.source for one in copy[index].films] == [one.source for one in archive[index].films]
    with pytest.raises(IndexError):
        archive[len(archive)]
    assert str(archive.root) in repr(archive)


def real(*parts: str) -> Path:
    """A file of shared/data; skips the test where it is not."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path
