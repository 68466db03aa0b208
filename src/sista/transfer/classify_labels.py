"""What a classifier learns: the labels of a corpus after a policy for the uncertain and the blank, several at once or one class of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sista.corpus.corpus import Corpus
from sista.corpus.names import plain_name
from sista.errors import SistaError, nearest
from sista.protocols.tasks import CHEXPERT_UNCERTAIN

Floats = NDArray[np.float64]
UNCERTAIN = {"unknown": np.nan, "positive": 1.0, "negative": 0.0}
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Labelled:
    """The films to learn from: `rows` [n] of the corpus; `truth` [n,k] 1, 0 or NaN (of one class among many: exactly one 1); subjects and
    splits [n]; and how many films were left out for want of a label, by reason."""

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    truth: Floats
    subjects: NDArray[np.str_]
    splits: NDArray[np.str_]
    left_out: dict[str, int]

    def of(self, split: str) -> NDArray[np.intp]:
        """Positions of a split's films."""
        return np.flatnonzero(self.splits == split)


def labelled_films(
    corpus: Corpus, names: Sequence[str] | None = None, uncertain: str = "unknown", blank: str = "unknown", multi_class: bool = False
) -> Labelled:
    """The films of a corpus with at least one of the named labels known (with `multi_class`: exactly one present).

    uncertain: what -1 counts as: unknown, positive, negative, or chexpert (the protocol's choice by finding). blank: what no entry counts
    as: unknown or negative. Raises SistaError for unknown names, a split without films, or subjects that stand in two splits.
    """
    if not corpus.label_names:
        raise SistaError(f"corpus {corpus.path} has no labels; build it from an archive or a table with labels")
    chosen = list(dict.fromkeys(names or corpus.label_names))
    if missing := [name for name in chosen if name not in corpus.label_names]:
        raise SistaError(f"corpus {corpus.path} has no label {missing[0]!r}: {nearest(missing[0], corpus.label_names)}")
    if blank not in ("unknown", "negative"):
        raise SistaError(f"blank is {blank!r}; choose unknown or negative")
    rows = np.concatenate([corpus.rows(split) for split in SPLITS])
    truth = corpus.labels(rows)[:, [corpus.label_names.index(name) for name in chosen]].astype(np.float64)
    unsure, empty = truth == -1, np.isnan(truth)
    truth = np.where(unsure, np.array([_uncertain(name, uncertain) for name in chosen]), truth)
    truth[empty] = 0.0 if blank == "negative" else np.nan
    left_out: dict[str, int] = {}
    if multi_class:
        if len(chosen) < 2:
            raise SistaError(f"one class of many among {len(chosen)} label: name at least two with --labels")
        present = (truth == 1).sum(axis=1)
        kept, truth = present == 1, (truth == 1).astype(np.float64)
        left_out = {"none of the classes": int((present == 0).sum()), "several classes": int((present > 1).sum())}
    else:
        kept = ~np.isnan(truth).all(axis=1)
        left_out = {"no label known": int((~kept).sum())}
    rows, truth = rows[kept], truth[kept]
    found = Labelled(
        tuple(chosen), rows, truth, corpus.values("subject_id", rows).astype(str), corpus.values("split", rows).astype(str), left_out
    )
    _refuse_splits(corpus, found)
    return found


def _refuse_splits(corpus: Corpus, films: Labelled) -> None:
    for split in SPLITS:
        if not len(films.of(split)):
            why = "".join(f"; {count} films of all splits left out: {reason}" for reason, count in films.left_out.items() if count)
            raise SistaError(f"corpus {corpus.path} has no labelled film in split {split!r}; a classifier needs train, valid and test{why}")
    whose = {split: set(films.subjects[films.of(split)]) for split in SPLITS}
    both = whose["train"] & whose["valid"] | whose["train"] & whose["test"] | whose["valid"] & whose["test"]
    if both:
        raise SistaError(f"{len(both)} subjects stand in two splits, first {min(both)!r}; split by subject")


def _uncertain(name: str, policy: str) -> float:
    if policy in UNCERTAIN:
        return UNCERTAIN[policy]
    if policy != "chexpert":
        raise SistaError(f"uncertain is {policy!r}; choose unknown, positive, negative or chexpert")
    known = {plain_name(finding): float(value) for finding, value in CHEXPERT_UNCERTAIN.items()}
    key = plain_name(name)
    if key not in known:
        raise SistaError(
            f"the chexpert policy says nothing of {name!r}; it knows {', '.join(CHEXPERT_UNCERTAIN)}: choose those with --labels"
        )
    return known[key]
