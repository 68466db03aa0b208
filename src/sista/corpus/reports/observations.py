"""The 14 observations of CheXpert from the rule labeller, as the CheXpert labeler states them: present, uncertain, denied, silent.

A finding of the lexicon speaks of one observation at every polarity ("no mass" denies a lung lesion); none follows from another, but
"no finding". Over all sentences present outranks uncertain outranks denied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sista.corpus.reports.labeller import RANK, Mention, mentions, outranking
from sista.corpus.reports.lexicon import BY_NAME, CHEXPERT
from sista.corpus.reports.sentences import split_sentences
from sista.errors import SistaError, nearest

OBSERVATIONS = tuple(" ".join(word.capitalize() for word in name.split()) for name in CHEXPERT)
"""The names as the CheXpert tables spell them, in their order."""


class Labeller(Protocol):
    """Reads reports (their training text) into labels [N, K] in the order of `names`: 1 present, 0 denied, -1 uncertain, NaN silent."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, reports: Sequence[str]) -> np.ndarray: ...


def make_labeller(name: str = "rules") -> Labeller:
    """A labeller by name: "rules", or "hf:NAME" for a classifier by transformers, a model's name or folder, see `HfLabeller`."""
    if name.startswith("hf:"):
        from sista.corpus.reports.hf_labeller import HfLabeller

        return HfLabeller(name[3:])
    if name != "rules":
        raise SistaError(f"labeller {name!r}: {nearest(name, ('rules', 'hf:NAME'))}")
    return RuleLabeller()


def spoken_of(report: str) -> dict[str, list[tuple[str, Mention]]]:
    """Observation (lower case) -> the sentences that speak of it and the mention in each, in the order of the report."""
    result: dict[str, list[tuple[str, Mention]]] = {}
    for sentence in split_sentences(report):
        for mention in mentions(sentence):
            for name in _observations(sentence, mention):
                result.setdefault(name, []).append((sentence, mention))
    return result


def observe(report: str) -> dict[str, int]:
    """Observation (lower case) -> 1 present, -1 uncertain, 0 denied, for those that the report speaks of.

    "no finding" is 1 when nothing is present or uncertain but devices, else 0; it is never missing. What comes with age (scoliosis,
    degenerative changes) and granulomas count against it, as in the CheXpert labeler.
    """
    found: dict[str, int] = {}
    abnormal = False
    for sentence in split_sentences(report):
        for mention in mentions(sentence):
            finding, value = BY_NAME[mention.finding], RANK[mention.polarity]
            for name in _observations(sentence, mention):
                found[name] = outranking(found.get(name), value)
            abnormal |= bool(value) and not finding.device
    return {"no finding": int(not abnormal), **found}


def _observations(sentence: str, mention: Mention) -> tuple[str, ...]:
    """A "nodular opacity" is a lesion and an opacity, a "linear opacity" atelectasis and an opacity."""
    name = BY_NAME[mention.finding].observation
    if name and name != "lung opacity" and "opaci" in sentence[mention.start : mention.end].lower():
        return (name, "lung opacity")
    return (name,) if name else ()


class RuleLabeller:
    """Reports to labels [N, 14] by rules alone: no weights, a fraction of a millisecond per report, the same on every machine."""

    names = OBSERVATIONS

    def __call__(self, reports: Sequence[str]) -> np.ndarray:
        """float32 [N, 14] in the order of `names`: 1 present, 0 denied, -1 uncertain, NaN silent."""
        rows = [observe(report) for report in reports]
        return np.array([[row.get(name, np.nan) for name in CHEXPERT] for row in rows], dtype=np.float32).reshape(len(rows), len(CHEXPERT))
