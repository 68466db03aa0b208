"""phantom-v1: the frozen test bed. Its seeds, sizes and splits do not change; what is wrong with it goes into a v2."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from sista.archives.phantom.study import REVISION, Phantom
from sista.corpus.splits import split_of
from sista.corpus.study import Study
from sista.errors import SistaError, nearest

SIZE = 128  # pixels a side
OMISSIONS = 0.12  # of the findings are not in the report, so that no teacher that reads reports can be perfect


@dataclass(frozen=True)
class Part:
    """count studies of a seed and site; fractions: shares of subjects in train, valid and test. use: what it is for."""

    count: int
    seed: int
    fractions: tuple[float, float, float]
    use: str
    site: str = "main"


PARTS = {
    "pairs": Part(15_000, 26_010, (0.9, 0.05, 0.05), "pre-training; valid for choosing settings"),
    "labelled": Part(6_000, 26_020, (0.5, 0.1, 0.4), "classify, segment, detect, ground and zero-shot at home"),
    "shifted": Part(6_000, 26_030, (0.5, 0.1, 0.4), "the same at a second hospital: other patients, scanners, grain", "shifted"),
    "retrieve": Part(3_000, 26_040, (0.0, 0.0, 1.0), "retrieval between films and reports"),
    "falseneg": Part(3_000, 26_050, (0.0, 0.0, 1.0), "which pairs of reports a teacher takes for false negatives"),
}

# part: SHA-256 of the words of all its studies, and of the films of its first 200 (`digests`)
DIGESTS = {
    "pairs": (
        "2d64c1fde7d5f1b19e8281dc94a27e0d2863f2808e9e3a5e2c2abe2177755caa",
        "c7a7476fcea5ba7ee76a54e378fee04533c11e70b5422009bcda434039d14a9a",
    ),
    "labelled": (
        "e2083a3437eacd557f34b30f5872cdaf922592e6988ba9203e64db8f57de6176",
        "26ecdde2a57b2552f95f0cb9d50bdf3ecf394001a089595aac4afb8b509132ef",
    ),
    "shifted": (
        "aac1f278aa80e4121cb65c2d82d5338e6a5082edba6574756d7e087daced5140",
        "58a653f5463d9af0245d6639ed7f9c87c086494a339dd7bb68637c1c24e70d15",
    ),
    "retrieve": (
        "85ae2c735662c0079a3282c795945c7adff4be4c9619af387fc96f75f2174ed5",
        "cd7508ecf36452405672124230856ee93501d12b72f9fc9eafb6bd340722baa1",
    ),
    "falseneg": (
        "25bc085ee594cb79dfec47ff95295d81f709f45f2439be7ea6a61c58c7c5fc8c",
        "a0c29ab5274eb3f6d28fdd7beb83d31094f5f2f77eb5e6240961874347584713",
    ),
}


class PhantomV1(Phantom):
    """A part of phantom-v1. Splits are given with the studies, so that `fractions` and `salt` of a build change nothing.

    Args:
        part: pairs, labelled, shifted, retrieve or falseneg.
    """

    name = "phantom-v1"

    def __init__(self, part: str) -> None:
        if part not in PARTS:
            raise SistaError(f"phantom-v1 has no part {part!r}: {nearest(part, PARTS)}")
        self.part, self.fractions = part, PARTS[part].fractions
        super().__init__(PARTS[part].count, PARTS[part].seed, SIZE, PARTS[part].site, OMISSIONS)

    def __repr__(self) -> str:
        return f"PhantomV1({self.part!r})"

    def describe(self) -> dict[str, object]:
        """The part, and the revision of the phantom that made it."""
        return {"archive": self.name, "part": self.part, "revision": REVISION}

    def __getitem__(self, index: int) -> Study:
        """Study number `index` with its split."""
        return replace(super().__getitem__(index), split=self.split_of(index))

    def split_of(self, index: int) -> str:
        """The split of a study: that of its subject."""
        return split_of(self.subject_id(self.case(index).visit.subject), self.fractions, self.name)


def digests(archive: PhantomV1, films: int = 200) -> tuple[str, str]:
    """What `DIGESTS` holds of a part.

    Words: ids, split, report and findings, drawn without their films: the same on every machine. Films: pixels and masks; a processor
    with other vector units may round single pixels to the next gray level, so that a difference here alone is no other data set.
    """
    words, pixels = hashlib.sha256(), hashlib.sha256()
    for index in range(len(archive)):
        case = archive.case(index)
        held = (
            archive.study_id(index),
            archive.split_of(index),
            archive.report(index, case).text,
            sorted(f.name for f in case.visit.findings),
        )
        words.update(repr(held).encode())
    for index in range(films):
        for film in archive[index].films:
            pixels.update(np.ascontiguousarray(film.source).tobytes())
            for region in film.regions:
                pixels.update(b"" if region.mask is None else np.packbits(region.mask).tobytes())
    return words.hexdigest(), pixels.hexdigest()
