"""The data at hand against the published counts: what differs, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sista.protocols.protocol import Protocol
from sista.protocols.release import Release
from sista.protocols.split_list import SplitList

if TYPE_CHECKING:
    import pandas as pd


def check_counts(protocol: Protocol, release: Release, cases: pd.DataFrame, split: SplitList) -> dict:
    """Counts of the release and sizes of the split here, those that differ from the published ones, leaks, and a verdict of one line.

    "differs" is {name: {"here", "published", "difference"}}; a published count whose file is not at hand stands under "not counted".
    """
    counts = protocol.data.count(release, cases)
    published = {**protocol.data.counts, **{f"{name} ids": size for name, size in protocol.sizes.as_dict().items()}}
    here = {**counts, **{f"{name} ids": size for name, size in split.sizes.items()}}
    differs = {
        name: {"here": here[name], "published": count, "difference": here[name] - count}
        for name, count in published.items()
        if name in here and here[name] != count
    }
    absent = [name for name in published if name not in here]
    subject_of = dict(zip(cases.index.astype(str), cases["subject"].astype(str), strict=True))
    named = any(one != subject for one, subject in subject_of.items())
    return {
        "verdict": _verdict(len(differs), len(absent), split),
        "release": counts,
        "split": split.sizes,
        "differs": differs,
        "not counted": absent,
        "images in two subsets": split.in_two(),
        "patients in two subsets": split.in_two(subject_of) if named else "the tables at hand name no patient",
    }


def _verdict(differs: int, absent: int, split: SplitList) -> str:
    first = f"{differs} count(s) differ from the published ones" if differs else "every count at hand equals the published one"
    second = f"; {absent} could not be counted, their file is not at hand" if absent else ""
    leak = sum(split.in_two().values())
    return f"{first}{second}; split: {split.status}" + (f"; LEAK: {leak:,} image(s) in two subsets" if leak else "")
