"""The data at hand against the published counts: what differs, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sista.corpus.study import SPLITS
from sista.protocols.protocol import Protocol
from sista.protocols.release import Release
from sista.protocols.split_list import SplitList

if TYPE_CHECKING:
    import pandas as pd


def check_counts(protocol: Protocol, release: Release, cases: pd.DataFrame, split: SplitList) -> dict:
    """{"release": counts, "split": sizes, "differs": [...], "in two subsets": ..., "verdict": one line}.

    A count is {"published", "here", "difference"}; "here" is None where the file that it is counted in is not at hand.
    """
    here = protocol.data.count(release, cases)
    release_counts = {name: _compare(count, here.get(name)) for name, count in protocol.data.counts.items()}
    release_counts |= {name: _compare(None, count) for name, count in here.items() if name not in protocol.data.counts}
    sizes = {name: _compare(protocol.sizes.as_dict()[name], split.sizes[name]) for name in SPLITS}
    differs = [_line(name, entry) for name, entry in {**release_counts, **sizes}.items() if entry["difference"]]
    absent = [name for name, entry in release_counts.items() if entry["here"] is None]
    patients = split.in_two(cases["subject"].to_dict()) if (cases["subject"] != cases.index).any() else None
    return {
        "release": release_counts,
        "split": sizes,
        "differs": differs,
        "not counted (file not at hand)": absent,
        "images in two subsets": split.in_two(),
        "patients in two subsets": patients if patients is not None else "the tables at hand name no patient",
        "verdict": _verdict(differs, absent, split),
    }


def _compare(published: int | None, here: int | None) -> dict[str, int | None]:
    both = published is not None and here is not None
    return {"published": published, "here": here, "difference": here - published if both else None}  # type: ignore[operator]


def _line(name: str, entry: Mapping[str, int | None]) -> str:
    return f"{name}: {entry['here']:,} here, {entry['published']:,} published ({entry['difference']:+,})"


def _verdict(differs: list[str], absent: list[str], split: SplitList) -> str:
    first = f"{len(differs)} count(s) differ from the published ones" if differs else "every count at hand equals the published one"
    second = f"; {len(absent)} could not be counted" if absent else ""
    leak = sum(split.in_two().values())
    return f"{first}{second}; split: {split.status}" + (f"; LEAK: {leak:,} image(s) in two subsets" if leak else "")
