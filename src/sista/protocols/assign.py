"""From a release to the id lists of a protocol, and to its label shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sista.errors import SistaError
from sista.protocols.label_shares import share_rows
from sista.protocols.protocol import Protocol
from sista.protocols.registry import protocol_named
from sista.protocols.release import Release, read_release, refuse_other_columns
from sista.protocols.split_list import SplitList

if TYPE_CHECKING:
    import pandas as pd

SHARES = (1, 10, 100)  # percent of the training patients
DRAWS = 5


def release_of(protocol: Protocol, table: Path | pd.DataFrame, companions: Mapping[str, pd.DataFrame] | None = None) -> Release:
    """The release at a path (with what lies beside it) or of a table in memory (with the companions given)."""
    if isinstance(table, str | Path):
        if companions:
            raise SistaError("companions are read from beside the table; give them only with a table in memory")
        return read_release(protocol.data, Path(table), protocol.lists)
    frame = table.rename(columns=lambda column: str(column).strip())
    refuse_other_columns(list(frame.columns), protocol.data.table, "the table given", protocol.data.name)
    return Release(frame.reset_index(drop=True), dict(companions or {}))


def cases_of(protocol: Protocol, release: Release) -> pd.DataFrame:
    """One row per image of the release; SistaError where an id stands twice."""
    cases = protocol.data.cases(release)
    if not cases.index.is_unique:
        twice = cases.index[cases.index.duplicated()]
        raise SistaError(f"{protocol.data.name}: {len(twice):,} image id(s) stand in the tables twice, such as {twice[0]!r}")
    return cases


def assign(
    protocol: Protocol | str, table: Path | pd.DataFrame | Release, companions: Mapping[str, pd.DataFrame] | None = None
) -> SplitList:
    """Train, valid and test ids of a protocol on a release: its path, its main table in memory, or a `Release` read before.

    Depends on the ids and released labels alone (and, as coded, on the order of the rows of the released file). What is "exact" by rule is
    "as coded" where the release at hand does not give the published sizes; a note says so.
    Raises SistaError for an unknown protocol, another table, or one too small for the rule.
    """
    protocol = protocol_named(protocol) if isinstance(protocol, str) else protocol
    release = table if isinstance(table, Release) else release_of(protocol, table, companions)
    split = protocol.rule(release, cases_of(protocol, release), protocol.sizes)
    if split.status == "exact" and not release.lists and split.sizes != protocol.sizes.as_dict():
        published = " / ".join(f"{size:,}" for size in protocol.sizes.as_dict().values())
        note = f"the rule is the authors', but on this release it does not give the published sizes ({published})"
        return replace(split, status="as coded", notes=(*split.notes, note))
    return split


def label_shares(cases: pd.DataFrame, train: tuple[str, ...], draws: int = DRAWS) -> dict[str, tuple[str, ...]]:
    """ "train-PERCENT-draw-D" -> ids: 1 % within 10 % within all of the training patients, whole patients, labels in proportion.

    `cases` is indexed by image id, with a column "subject" and columns of 0, 1 or NaN per label. All of train is one list, "train-100".
    """
    ours = cases.loc[list(train)]
    labels = ours.drop(columns=[column for column in ("subject", "stratum", "released") if column in ours.columns])
    names, values = np.array(train, dtype=object), labels.to_numpy(dtype=float)
    lists = {}
    for percent in SHARES[:-1]:
        for draw in range(draws):
            rows = share_rows(ours["subject"].to_numpy(), values, percent / 100, draw=draw).rows
            lists[f"train-{percent}-draw-{draw}"] = tuple(names[rows])
    lists["train-100"] = tuple(train)
    return lists


def coded_shares(protocol: Protocol, cases: pd.DataFrame, train: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """ "train-PERCENT-as-coded" -> the authors' own draw of 1 % and 10 %; empty where none follows from ids and a seed."""
    if protocol.coded_share is None:
        return {}
    strata = cases.loc[list(train), "stratum"].tolist()
    return {f"train-{percent}-as-coded": protocol.coded_share(train, strata, percent / 100) for percent in SHARES[:-1]}
