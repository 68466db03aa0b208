"""Id lists of a split, their checksums, what is in two of them, and how they lie on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sista.corpus.splits import list_checksum, list_text
from sista.corpus.study import SPLITS
from sista.protocols.protocol import Status


@dataclass(frozen=True)
class SplitList:
    """Image ids of train, valid and test, each in the order in which the rule drew them.

    left_out  reason -> ids that the protocol uses nowhere (or elsewhere, as CheXpert 5x200)
    notes     what the reader of the lists must know, such as a companion file that was not there
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    status: Status
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, split: str) -> tuple[str, ...]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]

    @property
    def sizes(self) -> dict[str, int]:
        return {split: len(self[split]) for split in SPLITS}

    @property
    def checksums(self) -> dict[str, str]:
        """Split -> SHA-256 of its list file."""
        return {split: list_checksum(self[split]) for split in SPLITS}

    @property
    def checksum(self) -> str:
        """One SHA-256 for the whole split: of the lines "split checksum"."""
        return hashlib.sha256("".join(f"{split} {one}\n" for split, one in self.checksums.items()).encode()).hexdigest()

    def in_two(self, subject_of: Mapping[str, str] | None = None) -> dict[str, int]:
        """How many ids (or, with `subject_of`, patients) stand in both of two subsets: {"train and valid": 4875, ...}."""
        sets = {split: {subject_of.get(one, one) if subject_of else one for one in self[split]} for split in SPLITS}
        pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
        return {f"{first} and {second}": len(sets[first] & sets[second]) for first, second in pairs}

    def write(self, folder: Path) -> dict[str, dict]:
        """Write train.txt, valid.txt, test.txt and one left-out-REASON.txt each; file name -> ids and checksum."""
        lists = {f"{split}.txt": self[split] for split in SPLITS}
        lists |= {f"left-out-{reason}.txt": ids for reason, ids in self.left_out.items()}
        return write_lists(lists, folder)


def write_lists(lists: Mapping[str, Iterable[str]], folder: Path) -> dict[str, dict]:
    """Write each id list into `folder` under its name; name -> {"ids": how many, "sha256": checksum}."""
    written = {}
    for name, ids in lists.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(list_text(ids).encode())
        written[name] = {"ids": len(set(ids)), "sha256": list_checksum(ids)}
    return written
