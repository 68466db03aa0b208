"""What a protocol is: a data set, how it is split, how it is trained and scored on, what is wrong with it, and what was published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from sista.protocols.release import DataSet, Release
    from sista.protocols.split_list import SplitList

Status = Literal["exact", "as coded", "corrected", "substitute"]

# What a status promises of the id lists.
STATUS = {
    "exact": "the authors' rule on the released table gives the published sizes, or their own lists lie beside the table",
    "as coded": "the authors' released code to the letter, with what it leaks or drops, or although its sizes are not those reported",
    "corrected": "without what the released code leaks or drops; where it draws, no image and no patient is in two subsets",
    "substitute": "the published ids do not follow from public ids: deterministic ones of the published sizes, not the authors'",
}


@dataclass(frozen=True)
class Score:
    """One published row: `shares` is "1 % / 10 % / 100 % of the labels", word for word; `source` is a key of `published.SOURCES`."""

    method: str
    shares: str
    source: str

    @property
    def values(self) -> tuple[float | None, ...]:
        """The numbers of `shares`; None where no number was published (as "<1")."""
        return tuple(float(part) if part.replace(".", "", 1).isdigit() else None for part in self.shares.split(" / "))


@dataclass(frozen=True)
class Task:
    """One task on a split: input, head, optimiser and metric as its authors state or code them."""

    name: str
    metric: str
    image_size: int
    preprocessing: str
    head: str
    loss: str
    optimiser: str
    labels: tuple[str, ...] = ()
    label_policy: str = ""
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """How many images train, valid and test hold as published."""

    train: int
    valid: int
    test: int

    @property
    def total(self) -> int:
        return self.train + self.valid + self.test

    def as_dict(self) -> dict[str, int]:
        return {"train": self.train, "valid": self.valid, "test": self.test}


@dataclass(frozen=True)
class Protocol:
    """A named, cited way to split, train and score on one data set.

    rule         (release, cases, sizes) -> SplitList; a pure function of public ids, the released labels and a fixed seed
    split        the rule in words
    sizes        as published; `reported` where the paper says otherwise than the code does
    coded_share  (train ids in drawn order, their strata, share) -> ids: the authors' own 1 % and 10 % draw, None where it depends on
                 the state of a generator that no one recorded
    lists        split -> names of the authors' id list files, looked for beside the table; `with_lists` is the status when they are there
    """

    name: str
    data: DataSet
    citation: str
    status: Status
    split: str
    sizes: Sizes
    rule: Callable[[Release, pd.DataFrame, Sizes], SplitList]
    tasks: tuple[Task, ...]
    defects: tuple[str, ...] = ()
    reported: Sizes | None = None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shares: str = ""
    coded_share: Callable[[Sequence[str], Sequence[str], float], tuple[str, ...]] | None = None
    with_lists: Status | None = None
