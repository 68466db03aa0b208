"""Which films a head learns from: label shares, their draws, and the valid films that pick the epoch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sista.errors import SistaError
from sista.protocols.label_shares import LabelShare, share_rows
from sista.transfer.result import share_name
from sista.transfer.segment_targets import Annotated

PROBE_DRAWS = {0.01: 5, 0.1: 3, 1.0: 1}  # of a linear head, which costs seconds


def share_plan(shares: list[float] | None, draws: list[int] | None, seed: int, cheap: bool = False) -> tuple[list[float], list[int]]:
    """Shares and the number of draws of each, with their defaults: 1 draw each, or where draws are cheap those of `PROBE_DRAWS`.

    Raises SistaError for a share that is none, a share without a draw, and a negative seed.
    """
    shares = shares or [0.01, 0.1, 1.0]
    if wrong := [share for share in shares if not 0 < share <= 1]:
        raise SistaError(f"label share {wrong[0]:g}: expected more than 0 and at most 1 (0.01 is 1 %)")
    if twice := [name for name, count in Counter(map(share_name, shares)).items() if count > 1]:
        raise SistaError(f"label share {twice[0]} stands twice in {shares}; --draws says how often one is drawn")
    if seed < 0:
        raise SistaError(f"--seed is {seed}; it must be 0 or more")
    draws = draws or [PROBE_DRAWS.get(share, 3) if cheap else 1 for share in shares]
    if len(draws) != len(shares) or min(draws) < 1:
        raise SistaError(f"--draws {draws} for --shares {shares}; give one number of draws a share, 1 or more")
    return shares, draws


def head_seed(seed: int, draw: int) -> int:
    """Of a head's first weights, its order of films and their augmentation: `seed` for the first draw, for each other pair of seed and draw
    one of its own, so that runs of neighbouring seeds share no heads, and an interval over seeds is of independent runs.
    """
    return seed if draw == 0 else int(np.random.SeedSequence((seed, draw)).generate_state(1)[0]) >> 1


def training_share(films: Annotated, share: float, draw: int, seed: int) -> LabelShare:
    """The share's rows among the training films; raises SistaError where it has no film with any finding."""
    train = films.of("train")
    part = share_rows(films.subjects[train], films.present[train].astype(float), share, draw, seed)
    if len(part.without_positive) == len(films.findings):
        raise SistaError(f"a share of {share:g} has no film with {', '.join(films.findings)}; choose a larger one")
    return part


def validation_positions(films: Annotated, most: int, seed: int) -> np.ndarray:
    """At most about `most` films of the valid split, findings in proportion."""
    valid = films.of("valid")
    if most < 1:
        raise SistaError(f"--validation-films is {most}; it must be 1 or more")
    if len(valid) <= most:
        return valid
    return valid[share_rows(films.subjects[valid], films.present[valid].astype(float), most / len(valid), 0, seed).rows]


def describe_share(films: Annotated, part: LabelShare, used: np.ndarray) -> dict[str, Any]:
    """How many subjects and films a share has, how many with each finding, and which findings it lacks."""
    return {
        "subjects": part.subjects,
        "films": len(used),
        "positive": dict(zip(films.findings, films.present[used].sum(axis=0).tolist(), strict=True)),
        "without_positive": [films.findings[column] for column in part.without_positive],
    }
